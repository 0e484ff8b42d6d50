//! Coming and going: USER, PASS, ACCT, REIN, QUIT.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use wharf_core::account::{Account, is_name};
use wharf_core::error::ErrorKind;
use wharf_core::event::Event;
use wharf_core::users::{Attempt, Denied};
use wharf_proto::path::escaped;
use wharf_proto::reply::{Code, Reply};

use super::spec::{Arg, Run, Spec};
use crate::files::Files;
use crate::guard::Start;
use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::{LoggedIn, Login, Session};
use crate::settings::TlsRequire;
use crate::shared::BANNED;

pub(super) static ROWS: &[&Spec] = &[&USER, &PASS, &ACCT, &REIN, &QUIT];

/// The longest password in bytes: more is no password but an attack on the hash.
const SECRET_BYTES_MAX: usize = 1024;
/// However often somebody has failed, the next answer comes after this.
const FAILURE_DELAY_MAX: Duration = Duration::from_secs(10);
/// How often, and for how long each time, a try waits for others of its address: 20 s in all.
const TURN_TRIES_MAX: u32 = 200;
const TURN_PAUSE: Duration = Duration::from_millis(100);

static USER: Spec = Spec {
    verb: "USER",
    syntax: "USER <name>",
    about: "Say who you are",
    rfc: "RFC 959 §4.1.1",
    arg: Arg::Required,
    run: Run::Now(user),
    ..Spec::any_time()
};

/// Takes a name, whoever it is: 331 for every one, so that nobody learns which names exist.
fn user(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    session.leave();
    let user = session.names.text(arg);
    if !is_name(&user) {
        return Next::say(Code::BAD_ARGUMENT, "That cannot be a user name.");
    }
    if must_use_tls(session, &user) {
        return Next::say(
            Code::NOT_LOGGED_IN,
            "Passwords need TLS here: choose FTPS, explicit, in your client.",
        );
    }
    session.login = Login::Named { user };
    Next::say(Code::NEED_PASSWORD, "Password, please.")
}

/// Whether a password for `user` must not be sent in the clear from where the client is.
fn must_use_tls(session: &Session, user: &str) -> bool {
    let Some(tls) = &session.settings.tls else { return false };
    if session.is_tls() {
        return false;
    }
    let is_secret = !is_anonymous(session, user);
    match tls.require {
        TlsRequire::Off => false,
        TlsRequire::Public => {
            let near = &session.settings.passive.local_networks;
            is_secret && !near.iter().any(|network| network.contains(&session.peer.ip()))
        }
        TlsRequire::Login => is_secret,
        TlsRequire::All => true,
    }
}

static PASS: Spec = Spec {
    verb: "PASS",
    syntax: "PASS <password>",
    about: "Prove who you are",
    rfc: "RFC 959 §4.1.1",
    arg: Arg::Optional,
    is_secret: true,
    run: Run::Later(|session, arg| Box::pin(pass(session, arg))),
    ..Spec::any_time()
};

/// Logs in. Every failure sounds the same and comes ever later; the last one ends the session.
async fn pass(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let user = match &session.login {
        Login::Greeted => return Next::say(Code::BAD_SEQUENCE, "Send USER first."),
        Login::In(_) => return Next::say(Code::BAD_SEQUENCE, "You are logged in already."),
        Login::Named { user } => user.clone(),
    };
    let arrived = Instant::now();
    session.login = Login::Greeted;
    let attempt = match wait_for_turn(session, &user).await {
        Start::Go(attempt) => attempt,
        Start::Locked => {
            let why = "the account is locked for addresses from which it never logged in";
            return Ok(turn_away(session, &user, &Denied::Refused(why.into()), arrived).await);
        }
        Start::Banned => return Ok(Next::Close(Reply::new(Code::CLOSING, BANNED))),
        Start::Wait => return Ok(busy(session)),
    };
    let entered = match admit(session, &user, arg).await {
        Ok(account) => enter(session, account).await,
        Err(denied) => Err(denied),
    };
    let denied = match entered {
        Ok(next) => {
            // A visitor without a password is no sign of anybody.
            let is_inside = session.logged_in().is_some();
            if is_inside {
                session.shared.tally.logins.add(arrived.elapsed());
            }
            attempt.entered(is_inside && !is_anonymous(session, &user));
            return Ok(next);
        }
        Err(denied) => denied,
    };
    match denied {
        Denied::UnknownUser | Denied::WrongPassword | Denied::Disabled | Denied::NoPassword => {
            attempt.failed();
        }
        // The password was right, or nobody looked at it.
        _ => attempt.forgiven(),
    }
    if matches!(denied, Denied::Busy) {
        return Ok(busy(session));
    }
    Ok(turn_away(session, &user, &denied, arrived).await)
}

/// Waits until the attempt can be checked. So many guesses at once that the next ones would come
/// after a ban must not be checked before it.
async fn wait_for_turn(session: &Session, user: &str) -> Start {
    for _ in 0..TURN_TRIES_MAX {
        match session.shared.begin_attempt(session.peer.ip(), user) {
            Start::Wait => sleep(TURN_PAUSE).await,
            start => return start,
        }
    }
    Start::Wait
}

fn busy(session: &Session) -> Next {
    let reason = "The server is busy; try again later.";
    session.emit(&Event::TurnedAway { reason });
    Next::Close(Reply::new(Code::CLOSING, reason))
}

fn is_anonymous(session: &Session, user: &str) -> bool {
    session.shared.terms().users.is_anonymous(user)
}

/// Asks the store of accounts.
async fn admit(session: &Session, user: &str, secret: &[u8]) -> Result<Account, Denied> {
    if secret.len() > SECRET_BYTES_MAX {
        return Err(Denied::WrongPassword);
    }
    let attempt = Attempt { user, secret, peer: session.peer.ip(), is_tls: session.is_tls() };
    let account = session.shared.terms().users.login(&attempt).await?;
    if session.settings.login.deny_users.iter().any(|denied| denied == user) {
        return Err(Denied::Refused("the name is in login.deny_users".into()));
    }
    if account.requires_tls && !session.is_tls() {
        return Err(Denied::Refused("the account needs TLS".into()));
    }
    Ok(account)
}

/// Opens the account's files and takes its seat.
async fn enter(session: &mut Session, account: Account) -> Result<Next, Denied> {
    let store = match session.shared.terms().stores.open(&account).await {
        Ok(store) => store,
        Err(error) if error.kind == ErrorKind::Exhausted => return Ok(busy(session)),
        Err(error) => {
            let home = account.home.display();
            return Err(Denied::Refused(format!("its home {home} cannot be opened: {error}")));
        }
    };
    let most = account.limits.sessions_max.unwrap_or(session.settings.limits.sessions_per_user);
    let Some(seat) = session.shared.admission.user_seat(&account.name, most) else {
        let reason = "Too many sessions of this account.";
        session.emit(&Event::TurnedAway { reason });
        return Ok(Next::Close(Reply::new(Code::CLOSING, reason)));
    };
    let files = Files::new(Arc::clone(&store), account.rules.clone(), &session.settings.files);
    let text = welcome(session, &account);
    session.probe.live.logged_in(&account.name, account.limits.clone());
    session.failed_logins = 0;
    session.newcomer = None;
    if let (Some(tls), Some(tie), false) = (&session.tls, session.tie, account.is_anonymous) {
        tls.logged_in(tie, &account.name, session.peer.ip());
    }
    session.login = Login::In(Box::new(LoggedIn { account, files, _seat: seat }));
    session.emit(&Event::LoggedIn);
    Ok(Next::Say(text))
}

fn welcome(session: &Session, account: &Account) -> Reply {
    let message = &session.settings.login_message;
    if message.is_empty() {
        return Reply::new(Code::LOGGED_IN, "Logged in.");
    }
    let message =
        message.replace("{user}", &account.name).replace("{ip}", &session.peer.ip().to_string());
    Reply::lines(Code::LOGGED_IN, message.lines().map(str::to_owned))
}

/// Answers a failed login, after a time that tells nothing of what was looked at.
async fn turn_away(session: &mut Session, user: &str, denied: &Denied, arrived: Instant) -> Next {
    session.shared.tally.login_failed(denied);
    let event = Event::LoginFailed { user: &escaped(user.as_bytes()), reason: &denied.to_string() };
    session.emit(&event);
    session.shared.tell_news();
    let peer = session.peer.ip();
    // Those who come anew for each try wait as long as those who stay.
    let failures = session.shared.guard.failures(peer, session.shared.now()).saturating_sub(1);
    let doublings = session.failed_logins.max(failures).min(16);
    let delay = session.settings.login.failure_delay.saturating_mul(1 << doublings);
    let slowest = session.shared.guard.slowest(arrived.elapsed(), session.shared.now());
    let slowest = slowest.min(FAILURE_DELAY_MAX).max(arrived.elapsed());
    sleep_until(arrived + held_back(delay.min(FAILURE_DELAY_MAX), slowest)).await;
    session.failed_logins += 1;
    if session.failed_logins >= session.settings.login.attempts_max {
        return Next::Close(Reply::new(Code::CLOSING, "Too many failed logins."));
    }
    if session.shared.guard.is_banned(peer, session.shared.now()) {
        return Next::Close(Reply::new(Code::CLOSING, BANNED));
    }
    Next::Say(Reply::new(Code::NOT_LOGGED_IN, "Login incorrect."))
}

/// How long after its arrival a failed try is answered: a whole number of delays, so that how long
/// the check took cannot be told from the time of the answer.
fn held_back(delay: Duration, took: Duration) -> Duration {
    let delays = took.as_nanos().div_ceil(delay.as_nanos().max(1));
    delay.saturating_mul(u32::try_from(delays).unwrap_or(u32::MAX).max(1))
}

static ACCT: Spec = Spec {
    verb: "ACCT",
    syntax: "ACCT <account>",
    about: "Name an account; never needed here",
    rfc: "RFC 959 §4.1.1",
    arg: Arg::Required,
    is_secret: true,
    run: Run::Now(|_, _| Next::say(Code::SUPERFLUOUS, "No account is needed.")),
    ..Spec::any_time()
};

static REIN: Spec = Spec {
    verb: "REIN",
    syntax: "REIN",
    about: "Start over, as after the greeting",
    rfc: "RFC 959 §4.1.1",
    run: Run::Now(rein),
    ..Spec::any_time()
};

/// Starts over. Under TLS it would have to go back to plain text (RFC 4217 §11), in which somebody
/// in the middle could then speak for the client; so it is refused there.
fn rein(session: &mut Session, _: &[u8]) -> Result<Next, Refusal> {
    if session.is_tls() {
        return Next::say(Code::NOT_IMPLEMENTED, "Not while TLS is on; connect anew instead.");
    }
    session.start_over();
    Next::say(Code::READY, "Ready for a new user.")
}

static QUIT: Spec = Spec {
    verb: "QUIT",
    syntax: "QUIT",
    about: "Say goodbye",
    rfc: "RFC 959 §4.1.1",
    run: Run::Now(|_, _| Ok(Next::Close(Reply::new(Code::GOODBYE, "Goodbye.")))),
    ..Spec::any_time()
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn row_18_every_name_is_asked_for_a_password() {
        let mut bench = Bench::new();
        assert_eq!(bench.says("USER anna").await, "331 Password, please.");
        assert_eq!(bench.says("USER nobody").await, "331 Password, please.");
        assert_eq!(bench.says("USER a\u{7}").await, "501 That cannot be a user name.");
    }

    /// None of these reaches a store of accounts, whatever it would make of them.
    #[tokio::test(start_paused = true)]
    async fn row_21_22_what_is_no_plain_name_reaches_no_store() {
        for name in [
            "..",
            "../anna",
            "a/b",
            "a\\b",
            "C:",
            ".ssh",
            "anna.",
            "anna ",
            "anna\0",
            "' OR 1=1\n",
            "*)(uid=*))(|(uid=*\0",
            "%username%/..",
            "a\u{85}",
            "a\tb",
        ] {
            let mut bench = Bench::new();
            assert_eq!(
                bench.says(&format!("USER {name}")).await,
                "501 That cannot be a user name."
            );
            assert!(matches!(bench.session.login, Login::Greeted), "{name}");
            assert_eq!(bench.says("PASS secret").await, "503 Send USER first.");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_needs_a_name_first_and_comes_once() {
        let mut bench = Bench::new();
        assert_eq!(bench.says("PASS secret").await, "503 Send USER first.");
        bench.says("USER anna").await;
        assert_eq!(bench.says("PASS secret").await, "230 Logged in.");
        assert_eq!(bench.says("PASS secret").await, "503 You are logged in already.");
    }

    #[tokio::test(start_paused = true)]
    async fn row_17_18_failures_sound_alike_come_later_and_end_the_session() {
        let mut bench = Bench::new();
        let started = Instant::now();
        bench.says("USER anna").await;
        assert_eq!(bench.says("PASS wrong").await, "530 Login incorrect.");
        bench.says("USER nobody").await;
        assert_eq!(bench.says("PASS wrong").await, "530 Login incorrect.");
        bench.says("USER anna").await;
        assert_eq!(bench.says("PASS wrong").await, "421 Too many failed logins.");
        // The clock is paused: this is the time that was waited, not the time that passed.
        assert_eq!(started.elapsed().as_secs(), 1 + 2 + 4);
    }

    #[tokio::test(start_paused = true)]
    async fn row_18_a_denied_name_sounds_like_a_wrong_password() {
        let login =
            crate::settings::Login { deny_users: vec!["anna".into()], ..Default::default() };
        let mut bench = Bench::with(Settings { login, ..Settings::default() });
        assert_eq!(bench.says("USER anna").await, "331 Password, please.");
        assert_eq!(bench.says("PASS secret").await, "530 Login incorrect.");
    }

    #[tokio::test(start_paused = true)]
    async fn row_5_one_session_too_many_of_an_account_is_told_so() {
        let mut settings = Settings::default();
        settings.limits.sessions_per_user = wharf_core::account::Count::from_number(1);
        let mut bench = Bench::with(settings);
        let admission = Arc::clone(&bench.session.shared.admission);
        let one = wharf_core::account::Count::from_number(1);
        let _seat = admission.user_seat("anna", one).unwrap();
        bench.says("USER anna").await;
        assert_eq!(bench.says("PASS secret").await, "421 Too many sessions of this account.");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_name_leaves_the_account() {
        let mut bench = Bench::new();
        bench.says("USER anna").await;
        bench.says("PASS secret").await;
        bench.says("USER anna").await;
        assert_eq!(bench.says("PWD").await, "530 Log in with USER and PASS first.");
    }

    #[tokio::test(start_paused = true)]
    async fn the_greeting_of_an_account_may_have_lines_and_names() {
        let login_message = "Hello {user}\nfrom {ip}".to_owned();
        let mut bench = Bench::with(Settings { login_message, ..Settings::default() });
        bench.says("USER anna").await;
        assert_eq!(bench.says("PASS secret").await, "230-Hello anna / 230 from 192.0.2.7");
    }

    #[test]
    fn row_18_an_answer_comes_after_a_whole_number_of_delays() {
        let second = Duration::from_secs(1);
        for (took, answered) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (2500, 3)] {
            let answered = Duration::from_secs(answered);
            assert_eq!(held_back(second, Duration::from_millis(took)), answered, "{took}");
        }
        // Without a delay it comes at once.
        assert_eq!(held_back(Duration::ZERO, second), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn rein_forgets_everything() {
        let mut bench = Bench::new().logged_in(wharf_core::permission::Permissions::ALL);
        bench.says("MKD d").await;
        bench.says("CWD d").await;
        assert_eq!(bench.says("REIN").await, "220 Ready for a new user.");
        assert!(bench.session.cwd.is_root());
        assert_eq!(bench.says("PWD").await, "530 Log in with USER and PASS first.");
    }
}
