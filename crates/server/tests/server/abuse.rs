//! Abuse: password guessing, floods, slow transfers and other protocols, and the effect on others.

use std::ops::RangeInclusive;
use std::time::Duration;

use wharf_core::account::{Count, Rate};
use wharf_core::permission::Permissions;
use wharf_server::settings::Settings;
use wharf_sim::World;

const LOGIN: &str = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\n";
const WRONG: &str = "C: USER anna\nS: 331 *\nC: PASS wrong\nS: 530 Login incorrect.\n";
const LAST: &str =
    "C: USER anna\nS: 331 *\nC: PASS wrong\nS: 421 Too many failed logins.\nS: EOF\n";
const BANNED: &str = "S: 421 Your address is banned; try again later.\nS: EOF\n";

fn world() -> World {
    World::new().account("anna", "secret", Permissions::ALL).file("/a", b"hello")
}

/// Nine failures on three connections, and a fourth connection.
fn nine() -> String {
    each(1..=3, |number| format!("CLIENT c{number} 203.0.113.9\n{WRONG}{WRONG}{LAST}"))
}

/// The same with each number.
fn each(numbers: RangeInclusive<u32>, step: impl Fn(u32) -> String) -> String {
    numbers.map(step).collect::<Vec<_>>().concat()
}

/// Ten failures: the address is banned.
fn ten() -> String {
    let nine = nine();
    format!("{nine}CLIENT c4 203.0.113.9\nC: USER anna\nS: 331 *\nC: PASS wrong\n{BANNED}")
}

fn count(events: &[String], what: &str) -> usize {
    events.iter().filter(|line| line.contains(what)).count()
}

#[test]
fn row_17_the_tenth_failure_of_an_address_bans_only_it() {
    let ten = ten();
    let outcome = world().run(&format!(
        "{ten}CLIENT c5 203.0.113.9\n{BANNED}\
         CLIENT other 203.0.113.10\n{LOGIN}C: QUIT\nS: 221 *\nS: EOF\n\
         WAIT 601s\nCLIENT c6 203.0.113.9\n{LOGIN}"
    ));
    assert_eq!(count(&outcome.events, "LoginFailed"), 10);
    assert_eq!(count(&outcome.events, "BanAdded { network: \"203.0.113.9/32\""), 1);
    assert_eq!(count(&outcome.events, "ConnectionRejected"), 1);
}

#[test]
fn row_17_repeated_connections_of_a_banned_address_are_reported_once() {
    let again = each(5..=30, |n| format!("CLIENT c{n} 203.0.113.9\n{BANNED}"));
    let outcome = world().run(&format!("{}{again}", ten()));
    assert_eq!(count(&outcome.events, "ConnectionRejected"), 1);
}

#[test]
fn row_17_a_ban_ends_sessions_before_their_login_and_spares_the_others() {
    let ten = ten();
    let long_timeout = |settings: &mut Settings| settings.login.timeout = Duration::from_mins(10);
    world().settings(long_timeout).run(&format!(
        "CLIENT in 203.0.113.9\n{LOGIN}CLIENT out 203.0.113.9\nC: NOOP\nS: 200 *\n{ten}\
         CLIENT out\n{BANNED}CLIENT in\nC: NOOP\nS: 200 *\n"
    ));
}

#[test]
fn row_17_new_connections_for_each_attempt_do_not_shorten_the_delay() {
    let outcome = world().settings(|settings| settings.login.max_attempts = 100).run(&format!(
        "CLIENT a 203.0.113.9\n{WRONG}{WRONG}{WRONG}CLIENT b 203.0.113.9\n\
         C: USER anna\nS: 331 *\nC: PASS wrong\nWAIT 7s\nC: NOOP\nS: 530 *\nS: 200 *\n"
    ));
    assert_eq!(count(&outcome.events, "LoginFailed"), 4);
}

#[test]
fn row_17_a_ban_can_be_switched_off() {
    let nine = nine();
    world().settings(|settings| settings.ban.is_enabled = false).run(&format!(
        "{nine}CLIENT c4 203.0.113.9\n{WRONG}{WRONG}{LAST}CLIENT c5 203.0.113.9\n{LOGIN}"
    ));
}

#[test]
fn row_18_20_all_failures_have_the_same_replies() {
    let world = world().settings(|settings| settings.login.deny_users = vec!["ben".into()]);
    let world = world.account("ben", "secret", Permissions::ALL);
    for (user, password) in [("anna", "wrong"), ("nobody", "wrong"), ("ben", "wrong")] {
        world.run(&format!(
            "C: USER {user}\nS: 331 Please specify the password.\nC: PASS {password}\n\
             S: 530 Login incorrect.\n"
        ));
    }
    let long = "x".repeat(1050);
    world.run("C: USER ben\nS: 331 *\nC: PASS secret\nS: 530 Login incorrect.");
    world.run(&format!("C: USER anna\nS: 331 *\nC: PASS {long}\nS: 530 Login incorrect."));
}

#[test]
fn row_5_clients_that_do_not_log_in_leave_connections_for_those_that_do() {
    let narrow = |settings: &mut Settings| {
        settings.limits.connections_before_login = Count::from_number(3);
    };
    let flood = each(1..=3, |n| format!("CLIENT f{n} 2001:db8::{n}\nC: NOOP\nS: 200 *\n"));
    world().settings(narrow).run(&format!(
        "CLIENT anna 198.51.100.1\n{LOGIN}C: QUIT\nS: 221 *\nS: EOF\n{flood}\
         CLIENT f4 2001:db8::4\nS: 421 Too many connections before login*\nS: EOF\n\
         CLIENT unknown 203.0.113.7\nS: 421 Too many connections before*\nS: EOF\n\
         CLIENT again 198.51.100.1\n{LOGIN}"
    ));
}

#[test]
fn row_5_a_login_gives_its_place_to_the_next_and_leaving_takes_it_back() {
    let narrow = |settings: &mut Settings| {
        settings.limits.connections_before_login = Count::from_number(1);
    };
    world().settings(narrow).run(&format!(
        "CLIENT one 198.51.100.1\n{LOGIN}CLIENT two 198.51.100.2\n{LOGIN}C: REIN\nS: 220 *\n\
         CLIENT three 198.51.100.3\nS: 421 Too many connections*\nS: EOF\n"
    ));
}

#[test]
fn row_7_after_a_logout_the_login_timeout_starts_again() {
    world().run(&format!(
        "{LOGIN}WAIT 120s\nC: USER anna\nS: 331 *\nWAIT 50s\nC: PASS secret\nS: 230 *\n\
         C: REIN\nS: 220 *\nWAIT 61s\nS: 421 Login timeout*\nS: EOF\n"
    ));
}

#[test]
fn row_7_a_slow_transfer_ends_below_the_minimum_rate() {
    let world = world().settings(|settings| {
        settings.limits.transfer_min_rate = Rate::from_bytes_per_second(100);
        settings.limits.transfer_min_rate_period = Duration::from_secs(30);
    });
    world.run(&format!(
        "{LOGIN}C: EPSV\nS: 229 *\nC: STOR b\nS: 150 *\nU... one\nWAIT 20s\nU... two\nWAIT 11s\n\
         S: 426 Transfer below the minimum rate*\nHASNOT /b\n\
         C: EPSV\nS: 229 *\nC: STOR c\nS: 150 *\nU*4000: x\nS: 226 *\nC: NOOP\nS: 200 *\n"
    ));
}

#[test]
fn row_10_the_words_of_other_protocols_end_a_session_at_once() {
    for line in [
        "GET / HTTP/1.1", "post /upload HTTP/1.0", "EHLO example.com", "Host: example.com",
        "Content-Type: text/plain", "X-A:b",
    ] {
        world().run(&format!(
            "C: {line}\nS: 421 Protocol error: request of another protocol*\nS: EOF"
        ));
    }
    // Behind a login a colon is a part of a name.
    world().run(&format!("{LOGIN}C: Host: example.com\nS: 500 *\nC: NOOP\nS: 200 *"));
}

#[test]
fn row_10_tls_on_a_plain_port_gets_a_hint() {
    world().run("C< \\x16\\x03\\x01\\x02\\x00\\x01\nS: 421 This port uses plain FTP*\nS: EOF");
    world().run("C: NOOP\nS: 200 *\nC< \\x16\\x03\\x01\\r\\n\nS: 500 *\nC: NOOP\nS: 200 *");
}
