//! Sessions in memory: replies, their order, and what ends a session.

use wharf_core::account::{Count, Rate};
use wharf_core::permission::Permissions;
use wharf_server::settings::{TlsRequire, TlsVersion};
use wharf_sim::World;

const LOGIN: &str = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\n";

fn world() -> World {
    World::new().account("anna", "secret", Permissions::ALL).file("/a", b"hello")
}

/// Plays a script behind a login.
fn inside(world: &World, script: &str) -> wharf_sim::DialogueOutcome {
    world.run(&format!("{LOGIN}{script}"))
}

#[test]
fn commands_in_any_case_and_any_pieces_are_commands() {
    inside(
        &world(),
        "C: nOoP\nS: 200 *\nC< NO\nC< OP\\r\nC< \\n\nS: 200 *\nC< noop\\n\n\
        S: 200 *",
    );
}

#[test]
fn row_15_pipelined_commands_are_answered_in_their_order() {
    inside(
        &world(),
        "C< PWD\\r\\nNOOP\\r\\nSYST\\r\\nTYPE I\\r\\n\nS: 257 *\nS: 200 *\nS: 215 *\nS: 200 *",
    );
}

#[test]
fn row_14_telnet_codes_are_not_part_of_a_line() {
    inside(
        &world(),
        "C< \\xff\\xf4\\xff\\xf2NO\\xff\\xfb\\x01OP\\r\\n\nS: 200 *\n\
         C< MKD a\\xff\\xffb\\r\\n\nS: 257 \"/a\\xff\\xffb\" *",
    );
}

#[test]
fn row_15_a_line_too_long_is_rejected_and_its_tail_is_not_a_command() {
    let long = "x".repeat(5000);
    let script =
        format!("C< STOR {long}\nS: 500 *\nC< DELE a\\r\\n\nC: NOOP\nS: 200 *\nHAS /a hello");
    inside(&world(), &script);
}

#[test]
fn row_15_a_client_that_keeps_sending_long_lines_is_disconnected() {
    let long = format!("C< {}\\r\\n\nS: 500 *\n", "x".repeat(5000));
    let last = format!("C< {}\\r\\n\nS: 421 *\nS: EOF", "x".repeat(5000));
    inside(&world(), &format!("{long}{long}{last}"));
}

#[test]
fn invalid_input_is_answered_and_the_session_continues() {
    inside(
        &world(),
        "C: XYZZY\nS: 500 *\nC: \nS: 500 *\nC: 123\nS: 500 *\nC: SITE\nS: 501 *\n\
         C: SITE EXEC rm\nS: 500 *\nC< \\x00\\x01\\r\\n\nS: 500 *\nC: RETR\nS: 501 *\n\
         C: NOOP\nS: 200 *",
    );
}

#[test]
fn row_31_a_name_with_a_nul_or_a_line_end_is_rejected() {
    inside(
        &world(),
        "C< DELE a\\x00b\\r\\n\nS: 501 *\nC< MKD a\\rb\\r\\n\nS: 501 *\n\
        HAS /a hello",
    );
}

#[test]
fn row_10_other_protocols_are_disconnected_at_once() {
    world().run("C: GET / HTTP/1.1\nS: 421 *\nS: EOF");
    world().run("C: EHLO example.com\nS: 421 *\nS: EOF");
}

#[test]
fn row_10_ten_unknown_lines_before_a_login_are_enough() {
    let nine = "C: HELLO\nS: 500 *\n".repeat(9);
    world().run(&format!("{nine}C: HELLO\nS: 421 *\nS: EOF"));
}

#[test]
fn row_7_an_idle_session_ends() {
    inside(&world(), "WAIT 299s\nC: NOOP\nS: 200 *\nWAIT 299s\nWAIT 2s\nS: 421 Idle*\nS: EOF");
}

#[test]
fn row_7_a_login_has_its_time_however_busy_the_client_is() {
    world().run(
        "WAIT 30s\nC: NOOP\nS: 200 *\nWAIT 29s\nC: NOOP\nS: 200 *\nWAIT 2s\n\
        S: 421 Login timeout*\nS: EOF",
    );
}

#[test]
fn row_7_a_silent_client_before_login_is_closed_after_the_idle_timeout() {
    let short = |settings: &mut wharf_server::settings::Settings| {
        settings.limits.idle_timeout = std::time::Duration::from_secs(5);
    };
    let world = world().tls().settings(short);
    world.run(
        "WAIT 4s\nC: NOOP\nS: 200 *\nWAIT 4s\nC: NOOP\nS: 200 *\nWAIT 6s\nS: 421 Idle*\nS: EOF",
    );
    world.run("C: AUTH TLS\nS: 234 *\nWAIT 6s\nS: EOF");
}

#[test]
fn a_connection_without_any_data_is_not_reported() {
    for script in ["CX\nWAIT 1s", "CR\nWAIT 1s"] {
        let outcome = world().run(script);
        assert!(outcome.events.is_empty(), "{:?}", outcome.events);
        let outcome = world().run(&format!("C< NO\n{script}"));
        assert_eq!(outcome.events.len(), 2, "{:?}", outcome.events);
    }
    // A client that stays connected without sending anything is reported.
    assert_eq!(world().run("WAIT 61s\nS: 220 *\nS: 421 *\nS: EOF").events.len(), 2);
}

#[test]
fn row_17_three_failed_logins_end_the_session() {
    let fail = "C: USER anna\nS: 331 *\nC: PASS wrong\nS: 530 Login incorrect.\n";
    let outcome = world()
        .run(&format!("{fail}{fail}C: USER anna\nS: 331 *\nC: PASS wrong\nS: 421 *\nS: EOF"));
    assert_eq!(outcome.events.iter().filter(|line| line.contains("LoginFailed")).count(), 3);
    assert!(outcome.events.iter().all(|line| !line.contains("wrong\"")), "{:?}", outcome.events);
}

#[test]
fn row_5_no_more_sessions_than_allowed_and_a_reason_for_the_next() {
    let world = world().settings(|settings| settings.limits.connections = Count::from_number(1));
    world.run("C: NOOP\nS: 200 *\nCLIENT bob 203.0.113.10\nS: 421 Too many connections*\nS: EOF");
    world.run("C: QUIT\nS: 221 *\nS: EOF\nCLIENT bob 203.0.113.10\nC: NOOP\nS: 200 *");
}

#[test]
fn row_5_no_more_sessions_of_one_address_than_allowed() {
    let limit = |settings: &mut wharf_server::settings::Settings| {
        settings.limits.connections_per_ip = Count::from_number(1);
    };
    let world = world().settings(limit);
    world.run(
        "C: NOOP\nS: 200 *\nCLIENT bob 203.0.113.9\n\
         S: 421 Too many connections from your address.\nS: EOF\n\
         CLIENT eve 203.0.113.10\nC: NOOP\nS: 200 *",
    );
}

#[test]
fn row_5_no_more_sessions_of_one_account_than_allowed() {
    let world =
        world().settings(|settings| settings.limits.sessions_per_user = Count::from_number(1));
    inside(
        &world,
        "CLIENT two 203.0.113.10\nC: USER anna\nS: 331 *\nC: PASS secret\n\
         S: 421 Too many sessions for this account.\nS: EOF",
    );
}

#[test]
fn site_without_a_command_has_a_missing_argument() {
    inside(
        &world(),
        "C: SITE\nS: 501 Missing argument. Syntax: SITE <command>\n\
         C: SITE NOTHING\nS: 500 Unknown SITE command; SITE HELP lists them.",
    );
}

#[test]
fn an_administrator_ends_the_sessions_of_an_account() {
    inside(&world(), "C: NOOP\nS: 200 *\nKICK anna\nS: 421 *\nS: EOF");
}

#[test]
fn a_shutdown_is_announced_and_lets_transfers_finish() {
    inside(
        &world().file("/big", vec![7; 100_000]),
        "C: TYPE I\nS: 200 *\nC: EPSV\nS: 229 *\nC: STOR b\nS: 150 *\nU... half\nSHUTDOWN 30s\n\
         U: done\nS: 226 *\nS: 421 *\nS: EOF\nHAS /b halfdone",
    );
}

#[test]
fn row_44_a_shut_down_waits_for_no_data_connection_that_does_not_come() {
    for command in ["C: RETR a", "C: STOR b", "C: LIST"] {
        inside(
            &world(),
            &format!(
                "C: EPSV\nS: 229 *\nNODATA\n{command}\nS: 150 *\nWAIT 2s\nSHUTDOWN 30s\nWAIT 1s\n\
                 S: 426 *\nS: 421 *\nS: EOF\nHASNOT /b"
            ),
        );
    }
    // The same for a connection that was opened and has sent nothing.
    inside(
        &world(),
        "C: EPSV\nS: 229 *\nC: STOR b\nS: 150 *\nSHUTDOWN 30s\nWAIT 1s\n\
         S: 426 *\nS: 421 *\nS: EOF\nHASNOT /b",
    );
}

#[test]
fn row_44_a_shut_down_waits_for_no_handshake_and_no_answer_that_is_held_back() {
    let world = world().tls();
    world.run("C: AUTH TLS\nS: 234 *\nSHUTDOWN 30s\nWAIT 1s\nS: EOF");
    world.run("C: USER anna\nS: 331 *\nC: PASS wrong\nSHUTDOWN 30s\nWAIT 1s\nS: 421 *\nS: EOF");
    let secure = "C: AUTH TLS\nS: 234 *\nTLS\nC: PBSZ 0\nS: 200 *\nC: PROT P\nS: 200 *\n";
    world.run(&format!(
        "{secure}C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: EPSV\nS: 229 *\nNODATA\n\
         KNOCK 203.0.113.9\nC: LIST\nS: 150 *\nSHUTDOWN 30s\nWAIT 1s\nS: 4*\nS: 421 *\nS: EOF"
    ));
}

/// Two-sided: a stalled transfer ends within a second, limited or not; one that only waits for a
/// rate limit continues.
#[test]
fn row_44_a_shut_down_waits_for_a_limit_and_not_for_a_client_that_has_stopped() {
    let slow =
        || world().settings(|all| all.limits.user_upload_rate = Rate::from_bytes_per_second(200));
    for world in [world(), slow()] {
        inside(
            &world,
            "C: TYPE I\nS: 200 *\nC: EPSV\nS: 229 *\nC: STOR b\nS: 150 *\nU... half\nWAIT 5s\n\
             SHUTDOWN 30s\nWAIT 1s\nS: 426 *\nS: 421 *\nS: EOF\nHASNOT /b",
        );
    }
    // At 200 bytes a second a turn is longer than the server waits for a stopped client.
    inside(
        &slow(),
        "C: TYPE I\nS: 200 *\nC: EPSV\nS: 229 *\nC: STOR b\nS: 150 *\nSHUTDOWN 30s\n\
         U*2000: x\nS: 226 *\nS: 421 *\nS: EOF",
    );
}

#[test]
fn a_shut_down_cuts_a_transfer_that_takes_too_long() {
    inside(
        &world(),
        "C: TYPE I\nS: 200 *\nC: EPSV\nS: 229 *\nC: STOR b\nS: 150 *\nU... half\nSHUTDOWN 5s\n\
         WAIT 6s\nS: 426 *\nS: 421 *\nS: EOF\nHASNOT /b",
    );
}

#[test]
fn row_8_plain_bytes_before_the_handshake_are_never_answered() {
    let world = world().tls();
    world.run("C< AUTH TLS\\r\\nDELE a\\r\\n\nS: 421 *\nS: EOF\nHAS /a hello");
    world.run("C< AUTH TLS\\r\\n \nS: 421 *\nS: EOF");
}

#[test]
fn row_8_starting_tls_resets_the_login() {
    let world = world().tls();
    let relaxed = world.settings(|settings| {
        if let Some(tls) = &mut settings.tls {
            tls.require = TlsRequire::Off;
        }
    });
    inside(&relaxed, "C: AUTH TLS\nS: 234 *\nTLS\nC: PWD\nS: 530 *");
}

#[test]
fn row_11_passwords_from_outside_need_tls_and_from_near_do_not() {
    let world = world().tls().settings(|settings| {
        if let Some(tls) = &mut settings.tls {
            tls.require = TlsRequire::Public;
        }
    });
    world.clone().peer("203.0.113.9").run("C: USER anna\nS: 530 TLS required*");
    world.clone().peer("192.168.1.20").run(LOGIN);
    world.peer("203.0.113.9").run(&format!("C: AUTH TLS\nS: 234 *\nTLS\n{LOGIN}"));
}

#[test]
fn row_11_a_policy_for_all_covers_the_data_too() {
    let world = world().tls().settings(|settings| {
        if let Some(tls) = &mut settings.tls {
            tls.require = TlsRequire::All;
            tls.min_version = TlsVersion::V1_3;
        }
    });
    world.clone().peer("192.168.1.20").run("C: USER anna\nS: 530 *");
    world.run(&format!(
        "C: AUTH TLS\nS: 234 *\nTLS\n{LOGIN}C: EPSV\nS: 229 *\nC: LIST\nS: 521 *\nC: PBSZ 0\n\
         S: 200 *\n\
         C: PROT C\nS: 534 *\nC: PROT P\nS: 200 *\nC: EPSV\nS: 229 *\nC: NLST\nS: 150 *\n\
         D: a\\r\\n\nS: 226 *"
    ));
}

#[test]
fn row_11_12_auth_prot_and_ccc_answer_as_the_rfc_requires() {
    world().run("C: AUTH TLS\nS: 502 *\nC: PBSZ 0\nS: 503 *");
    let world = world().tls();
    world.run(
        "C: AUTH KERBEROS\nS: 504 *\nC: PROT P\nS: 503 *\nC: CCC\nS: 533 *\nC: auth ssl\n\
         S: 234 *\n\
         TLS\nC: AUTH TLS\nS: 503 *\nC: PROT P\nS: 503 *\nC: PBSZ x\nS: 501 *\nC: PBSZ 0\n\
         S: 200 PBSZ=0\n\
         C: PROT S\nS: 536 *\nC: PROT E\nS: 536 *\nC: PROT X\nS: 504 *\nC: PROT P\nS: 200 *\n\
         C: CCC\nS: 534 *\nC: REIN\nS: 502 *",
    );
}

#[test]
fn row_42_every_command_and_its_reply_can_be_reported_without_secrets() {
    let outcome = inside(&world(), "C: ACCT hush\nS: 202 *\nC: CWD a\nS: 550 *");
    let reported: Vec<_> = outcome.events.iter().filter(|line| line.contains("Command")).collect();
    assert!(
        reported.iter().any(|line| line.contains("CWD a") && line.contains("550")),
        "{reported:?}"
    );
    assert!(
        reported.iter().all(|line| !line.contains("secret") && !line.contains("hush")),
        "{reported:?}"
    );
}

#[test]
fn a_legacy_charset_is_detected_and_used_for_the_session() {
    let world =
        world().settings(|settings| settings.names.legacy_encoding = Some(encoding_rs::GBK));
    inside(
        &world,
        "C< MKD \\xd6\\xd0\\xce\\xc4\\r\\n\nS: 257 *\nC: EPSV\nS: 229 *\nC: NLST\nS: 150 *\n\
         D: a\\r\\n\\xd6\\xd0\\xce\\xc4\\r\\n\nS: 226 *\nC< CWD \\xd6\\xd0\\xce\\xc4\\r\\n\n\
         S: 250 *\n\
         CLIENT modern\nC: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: CWD /中文\nS: 250 *",
    );
}

#[test]
fn a_character_set_is_reported_once_and_names_keep_their_bytes() {
    let outcome = inside(
        &world(),
        "C< MKD \\xce\\xc4\\xbc\\xfe\\xbc\\xd0\\r\\n\nS: 257 *\n\
         C< MKD \\xd7\\xca\\xc1\\xcf\\r\\n\nS: 257 *\n\
         C: EPSV\nS: 229 *\nC: NLST\nS: 150 *\n\
         D: a\\r\\n\\xce\\xc4\\xbc\\xfe\\xbc\\xd0\\r\\n\\xd7\\xca\\xc1\\xcf\\r\\n\nS: 226 *\n\
         CLIENT modern\nC: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\n\
         C: CWD /文件夹\nS: 250 *\nC: CWD /资料\nS: 250 *",
    );
    let reported: Vec<_> =
        outcome.events.iter().filter(|line| line.contains("CharsetDetected")).collect();
    assert!(reported.len() == 1 && reported[0].contains("GBK"), "{reported:?}");
}

#[test]
fn row_32_a_name_of_invalid_text_is_listed_and_found() {
    let world = world();
    world.memory().put(b"/odd\xff\xfe", b"x");
    inside(
        &world,
        "C: TYPE I\nS: 200 *\nC: EPSV\nS: 229 *\nC: NLST\nS: 150 *\n\
         D: a\\r\\nodd\\xff\\xfe\\r\\n\nS: 226 *\n\
         C: EPSV\nS: 229 *\nC: RETR odd\\xff\\xff\\xfe\nS: 150 *\nD: x\nS: 226 *",
    );
}

#[test]
fn row_31_a_name_with_control_bytes_is_listed_on_one_line_and_found() {
    let world = world();
    world.memory().put("/two\nlines", b"x");
    inside(
        &world,
        "C: EPSV\nS: 229 *\nC: NLST\nS: 150 *\nD: a\\r\\ntwo␊lines\\r\\n\nS: 226 *\n\
         C: EPSV\nS: 229 *\nC: RETR two␊lines\nS: 150 *\nD: x\nS: 226 *\nC: DELE two␊lines\n\
         S: 250 *",
    );
}

#[test]
fn row_42_unknown_commands_are_reported_without_possible_passwords() {
    let outcome = world().run("C: PSAS secret\nS: 500 *\nC: SITE EXEC x\nS: 500 *");
    let reported: Vec<_> = outcome.events.iter().filter(|line| line.contains("Command")).collect();
    assert!(
        reported.iter().any(|line| line.contains("PSAS ***") && line.contains("500")),
        "{reported:?}"
    );
    assert!(reported.iter().all(|line| !line.contains("secret")), "{reported:?}");
}

#[test]
fn a_transfer_and_commands_during_it_are_reported_with_their_replies() {
    let outcome = inside(
        &world(),
        "C: EPSV\nS: 229 *\nC: NLST\nS: 150 *\nD: a\\r\\n\nS: 226 *\nC: TYPE I\nS: 200 *\n\
         C: EPSV\nS: 229 *\nC: STOR b\nS: 150 *\nU... half\nC: NOOP\nS: 200 *\nC: ABOR\n\
         S: 426 *\nS: 226 *",
    );
    for (line, code) in [("NLST", "226"), ("NOOP", "200"), ("STOR b", "426"), ("ABOR", "226")] {
        let start = format!("Command {{ line: \"{line}\", code: {code},");
        let reported = outcome.events.iter().filter(|event| event.contains(&start)).count();
        assert_eq!(reported, 1, "{line}: {:?}", outcome.events);
    }
}

#[test]
fn a_session_that_logged_out_does_not_end_with_the_account() {
    inside(&world(), "C: USER anna\nS: 331 *\nKICK anna\nWAIT 10s\nC: PASS secret\nS: 230 *");
}

#[test]
fn a_client_that_waits_for_a_delayed_reply_gets_421_at_shutdown() {
    world().run("C: USER anna\nS: 331 *\nC: PASS wrong\nWAIT 100ms\nSHUTDOWN 0s\nS: 421 *\nS: EOF");
}
