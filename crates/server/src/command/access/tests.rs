//! Logins without a socket.

use super::*;
use crate::settings::Settings;
use crate::testing::TestSession;

#[tokio::test(start_paused = true)]
async fn row_18_a_password_is_requested_for_every_name() {
    let mut bench = TestSession::new();
    assert_eq!(bench.send("USER anna").await, "331 Please specify the password.");
    assert_eq!(bench.send("USER nobody").await, "331 Please specify the password.");
    assert_eq!(bench.send("USER a\u{7}").await, "501 Invalid user name.");
}

/// None of these names is passed to an account store.
#[tokio::test(start_paused = true)]
async fn row_21_22_invalid_user_names_reach_no_account_store() {
    for name in [
        "..", "../anna", "a/b", "a\\b", "C:", ".ssh", "anna.", "anna ", "anna\0", "' OR 1=1\n",
        "*)(uid=*))(|(uid=*\0", "%username%/..", "a\u{85}", "a\tb",
    ] {
        let mut bench = TestSession::new();
        assert_eq!(bench.send(&format!("USER {name}")).await, "501 Invalid user name.");
        assert!(matches!(bench.session.login, LoginState::NoUser), "{name}");
        assert_eq!(bench.send("PASS secret").await, "503 Login with USER first.");
    }
}

#[tokio::test(start_paused = true)]
async fn row_19_a_new_login_starts_in_the_root_and_continues_no_pending_command() {
    for again in ["USER anna", "REIN"] {
        let mut bench = TestSession::new().with_file("/sub/a", b"a");
        for line in ["USER anna", "PASS secret", "CWD /sub", "RNFR a"] {
            bench.send(line).await;
        }
        assert_eq!(bench.send("PWD").await, "257 \"/sub\" is the current directory.");
        bench.send("RNFR a").await;
        bench.send(again).await;
        bench.send("USER anna").await;
        assert_eq!(bench.send("PASS secret").await, "230 Login successful.");
        assert_eq!(bench.send("PWD").await, "257 \"/\" is the current directory.", "{again}");
        assert!(bench.session.pending.rename_from.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_requires_user_first_and_happens_once() {
    let mut bench = TestSession::new();
    assert_eq!(bench.send("PASS secret").await, "503 Login with USER first.");
    bench.send("USER anna").await;
    assert_eq!(bench.send("PASS secret").await, "230 Login successful.");
    assert_eq!(bench.send("PASS secret").await, "503 Already logged in.");
}

#[tokio::test(start_paused = true)]
async fn row_17_18_failures_have_one_reply_growing_delays_and_end_the_session() {
    let mut bench = TestSession::new();
    let started = Instant::now();
    bench.send("USER anna").await;
    assert_eq!(bench.send("PASS wrong").await, "530 Login incorrect.");
    bench.send("USER nobody").await;
    assert_eq!(bench.send("PASS wrong").await, "530 Login incorrect.");
    bench.send("USER anna").await;
    assert_eq!(bench.send("PASS wrong").await, "421 Too many failed logins.");
    // The clock is paused: this is the time that was waited, not the time that passed.
    assert_eq!(started.elapsed().as_secs(), 1 + 2 + 4);
}

#[tokio::test(start_paused = true)]
async fn row_18_a_denied_name_gets_the_reply_of_a_wrong_password() {
    let login = crate::settings::Login { deny_users: vec!["anna".into()], ..Default::default() };
    let mut bench = TestSession::with(Settings { login, ..Settings::default() });
    assert_eq!(bench.send("USER anna").await, "331 Please specify the password.");
    assert_eq!(bench.send("PASS secret").await, "530 Login incorrect.");
}

#[tokio::test(start_paused = true)]
async fn row_18_57_a_right_password_without_permission_to_log_in_is_an_ordinary_failure() {
    let login = crate::settings::Login { deny_users: vec!["anna".into()], ..Default::default() };
    let mut ends = Vec::new();
    for (user, secret) in [
        ("far", "secret"),
        ("far", "wrong"),
        ("anna", "secret"),
        ("ANNA", "secret"),
        ("anna@example.com", "secret"),
        ("nobody", "secret"),
    ] {
        let settings = Settings { login: login.clone(), ..Settings::default() };
        let mut bench = TestSession::with(settings);
        let (started, mut replies) = (Instant::now(), Vec::new());
        for _ in 0..3 {
            bench.send(&format!("USER {user}")).await;
            replies.push(bench.send(&format!("PASS {secret}")).await);
        }
        let auth_throttle = &bench.session.shared.auth_throttle;
        let failures =
            auth_throttle.failures(bench.session.handle.peer.ip(), bench.session.shared.now());
        ends.push((replies, failures, started.elapsed()));
    }
    assert_eq!(ends[0].1, 3);
    assert_eq!(ends[0].0[0], "530 Login incorrect.");
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    // An account that may log in does.
    let mut bench = TestSession::new();
    bench.send("USER anna@example.com").await;
    assert_eq!(bench.send("PASS secret").await, "230 Login successful.");
    assert_eq!(bench.session.logged_in().unwrap().account.name, "anna");
}

#[tokio::test(start_paused = true)]
async fn row_18_57_a_refusal_at_user_and_the_limit_of_sessions_do_not_count() {
    let mut settings = Settings::default();
    settings.limits.sessions_per_user = wharf_core::account::Count::from_number(1);
    let mut bench = TestSession::with(settings);
    let one = wharf_core::account::Count::from_number(1);
    let _connection_guard =
        Arc::clone(&bench.session.shared.admission).account_guard("anna", one).unwrap();
    bench.send("USER ..").await;
    bench.send("USER anna").await;
    bench.send("PASS secret").await;
    let shared = &bench.session.shared;
    assert_eq!(shared.auth_throttle.failures(bench.session.handle.peer.ip(), shared.now()), 0);
}

#[tokio::test(start_paused = true)]
async fn row_17_57_a_locked_account_is_locked_under_every_spelling() {
    let mut bench = TestSession::new();
    let shared = Arc::clone(&bench.session.shared);
    for number in 0..200_u32 {
        let address = std::net::IpAddr::from((0x0b00_0000 + number).to_be_bytes());
        drop(shared.begin_attempt(address, "anna"));
    }
    bench.send("USER anna@example.com").await;
    assert_eq!(bench.send("PASS secret").await, "530 Login incorrect.");
    bench.send("USER Jörg").await;
    assert_eq!(bench.send("PASS süß").await, "230 Login successful.");
}

#[tokio::test(start_paused = true)]
async fn an_old_client_logs_in_in_its_character_set_and_is_answered_in_it() {
    for (user, secret, charset) in [
        (b"USER J\xf6rg".as_slice(), b"PASS s\xfc\xdf".as_slice(), "windows-1252"),
        (b"USER \xd5\xc5\xc8\xfd", b"PASS \xc3\xdc\xc2\xeb123", "GBK"),
    ] {
        let mut bench = TestSession::new();
        bench.send_bytes(user).await;
        assert_eq!(bench.send_bytes(secret).await, "230 Login successful.");
        assert_eq!(bench.session.names.charset(), charset);
        let name = bench.session.logged_in().unwrap().account.name.clone();
        assert_eq!(bench.session.shared.charset_memory.of(&name).unwrap().name(), charset);
    }
    let mut bench = TestSession::new();
    bench.send("USER old").await;
    assert_eq!(bench.send_bytes(b"PASS s\xfc\xdf").await, "230 Login successful.");
    assert_eq!(bench.session.names.charset(), "UTF-8", "a password alone settles nothing");
}

#[tokio::test(start_paused = true)]
async fn row_18_a_password_of_two_spellings_fails_once() {
    let mut bench = TestSession::new();
    let started = Instant::now();
    bench.send("USER anna").await;
    assert_eq!(bench.send_bytes(b"PASS s\xfc\xdf").await, "530 Login incorrect.");
    assert_eq!(started.elapsed().as_secs(), 1);
    let shared = &bench.session.shared;
    assert_eq!(shared.auth_throttle.failures(bench.session.handle.peer.ip(), shared.now()), 1);
    assert_eq!(bench.session.failed_logins, 1);
}

#[tokio::test(start_paused = true)]
async fn row_5_a_session_beyond_the_limit_of_the_account_gets_421() {
    let mut settings = Settings::default();
    settings.limits.sessions_per_user = wharf_core::account::Count::from_number(1);
    let mut bench = TestSession::with(settings);
    let admission = Arc::clone(&bench.session.shared.admission);
    let one = wharf_core::account::Count::from_number(1);
    let _connection_guard = admission.account_guard("anna", one).unwrap();
    bench.send("USER anna").await;
    assert_eq!(bench.send("PASS secret").await, "421 Too many sessions for this account.");
}

#[tokio::test(start_paused = true)]
async fn a_new_name_leaves_the_account() {
    let mut bench = TestSession::new();
    bench.send("USER anna").await;
    bench.send("PASS secret").await;
    bench.send("USER anna").await;
    assert_eq!(bench.send("PWD").await, "530 Please login with USER and PASS.");
}

#[tokio::test(start_paused = true)]
async fn the_greeting_of_an_account_may_have_lines_and_names() {
    let login_message = "Hello {user}\nfrom {ip}".to_owned();
    let mut bench = TestSession::with(Settings { login_message, ..Settings::default() });
    bench.send("USER anna").await;
    assert_eq!(bench.send("PASS secret").await, "230-Hello anna / 230 from 192.0.2.7");
}

#[test]
fn row_18_a_reply_is_sent_after_a_whole_number_of_delays() {
    let second = Duration::from_secs(1);
    for (took, answered) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (2500, 3)] {
        let answered = Duration::from_secs(answered);
        assert_eq!(answer_delay(second, Duration::from_millis(took)), answered, "{took}");
    }
    // Without a delay it comes at once.
    assert_eq!(answer_delay(Duration::ZERO, second), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn rein_forgets_everything() {
    let mut bench = TestSession::new().logged_in(wharf_core::permission::Permissions::ALL);
    bench.send("MKD d").await;
    bench.send("CWD d").await;
    assert_eq!(bench.send("REIN").await, "220 Service ready for new user.");
    assert!(bench.session.cwd.is_root());
    assert_eq!(bench.send("PWD").await, "530 Please login with USER and PASS.");
}
