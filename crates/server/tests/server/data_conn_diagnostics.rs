//! Each cause of a failed data connection, and its diagnosis.

use wharf_core::permission::Permissions;
use wharf_server::settings::SessionReuse;
use wharf_sim::{DialogueOutcome, World};

const LOGIN: &str = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: TYPE I\nS: 200 *\n";
const SECURE: &str = "C: AUTH TLS\nS: 234 *\nTLS\nC: PBSZ 0\nS: 200 *\nC: PROT P\nS: 200 *\n";
const FORGETFUL: &str =
    "C: AUTH TLS\nS: 234 *\nTLS noresume\nC: PBSZ 0\nS: 200 *\nC: PROT P\nS: 200 *\n";

fn world() -> World {
    World::new()
        .account("anna", "secret", Permissions::ALL)
        .file("/a", b"for one")
        .settings(|settings| settings.passive.ports = 30_000..=30_009)
}

fn play(world: &World, script: &str) -> DialogueOutcome {
    world.run(
        &script
            .replace("SECURE;", SECURE)
            .replace("FORGETFUL;", FORGETFUL)
            .replace("LOGIN;", LOGIN)
            .replace("EPSV;", "C: EPSV\nS: 229 *\n")
            .replace("PASV;", "C: PASV\nS: 227 *\n"),
    )
}

/// The reported causes, in order.
fn causes(outcome: &DialogueOutcome) -> Vec<String> {
    let reported =
        outcome.events.iter().filter_map(|line| line.split_once("DataConnectionDiagnosis { "));
    let cause = |(_, rest): (&str, &str)| {
        let (_, cause) = rest.split_once("cause: \"")?;
        cause.split('"').next().map(str::to_owned)
    };
    reported.filter_map(cause).collect()
}

#[track_caller]
fn assert_diagnosed(world: &World, script: &str, causes_expected: &[&str]) -> DialogueOutcome {
    let outcome = play(world, script);
    assert_eq!(causes(&outcome), causes_expected, "{:#?}", outcome.events);
    outcome
}

#[test]
fn no_connection_is_reported_once() {
    let once = "EPSV;NODATA\nC: RETR a\nS: 150 *\nWAIT 21s\nS: 425 *\n";
    let script = format!("LOGIN;{once}{once}{once}");
    let outcome = assert_diagnosed(&world(), &script, &["no-connection"]);
    assert!(outcome.events.iter().any(|line| line.contains("TCP 30000-30009")));
    let later = format!(
        "LOGIN;{once}C: NOOP\nS: 200 *\n{}{once}",
        "WAIT 240s\nC: NOOP\nS: 200 *\n".repeat(16)
    );
    assert_diagnosed(&world(), &later, &["no-connection", "no-connection"]);
}

#[test]
fn a_client_that_connects_first_and_cannot_is_counted_as_it_moves_on() {
    for script in
        ["EPSV;", "C: PORT 1,2,3,4,5,6\nS: 500 *", "C: QUIT\nS: 221 *\nS: EOF", "CX", "WAIT 31s"]
    {
        assert_diagnosed(&world(), &format!("LOGIN;EPSV;{script}\nWAIT 1s"), &["no-connection"]);
    }
}

#[test]
fn a_client_with_a_reason_to_stay_away_is_not_counted() {
    for script in [
        "EPSV;NODATA\nC: RETR missing\nS: 550 *\nC: QUIT\nS: 221 *\nS: EOF",
        "EPSV;C: RETR a\nS: 150 *\nD: for one\nS: 226 *\nC: QUIT\nS: 221 *\nS: EOF",
        "EPSV;DIAL\nC: QUIT\nS: 221 *\nS: EOF",
        "EPSV;NODATA\nC: RETR a\nS: 150 *\nC: ABOR\nS: 426 *\nS: 226 *",
        "EPSV;NODATA\nC: RETR a\nS: 150 *\nKICK anna\nS: 426 *\nS: 421 *\nS: EOF",
    ] {
        assert_diagnosed(&world(), &format!("LOGIN;{script}"), &[]);
    }
}

#[test]
fn a_client_that_times_out_first_is_counted() {
    let script = "LOGIN;EPSV;NODATA\nC: RETR a\nS: 150 *\nWAIT 10s\n";
    assert_diagnosed(&world(), &format!("{script}C: ABOR\nS: 426 *\nS: 226 *"), &["no-connection"]);
    assert_diagnosed(&world(), &format!("{script}CX\nWAIT 1s"), &["no-connection"]);
}

#[test]
fn a_private_address_for_a_client_outside_is_the_cause() {
    let world = world().settings(|settings| {
        settings.passive.address = Some([192, 168, 1, 2].into());
    });
    let script =
        "CLIENT 1 203.0.113.10\nLOGIN;PASV;NODATA\nC: RETR a\nS: 150 *\nWAIT 21s\nS: 425 *";
    let outcome = assert_diagnosed(&world, script, &["private-address-announced"]);
    assert!(outcome.events.iter().any(|line| line.contains("192.168.1.2")));
    // A client that has a private address itself may well reach one.
    let near = script.replace("203.0.113.10", "10.9.8.7");
    assert_diagnosed(&world, &near, &["no-connection"]);
}

#[test]
fn unexpected_peers_are_the_cause() {
    let knock = "KNOCK 198.51.100.7\n";
    let script = format!("LOGIN;EPSV;{knock}NODATA\nC: RETR a\nS: 150 *\nWAIT 21s\nS: 425 *");
    let outcome = assert_diagnosed(&world(), &script, &["other-address"]);
    assert!(outcome.events.iter().any(|line| line.contains("(198.51.100.7)")));
    // Where the client comes after them all is well.
    let script = format!("LOGIN;EPSV;{}C: RETR a\nS: 150 *\nD...\nS: 226 *", knock.repeat(8));
    assert_diagnosed(&world(), &script, &[]);
}

#[test]
fn a_client_at_the_port_of_another_session_got_a_rewritten_port() {
    let script = "LOGIN;EPSV;KNOCK 198.51.100.7\nCLIENT 2 198.51.100.7\nLOGIN;EPSV;CLIENT 1\n\
         NODATA\nC: RETR a\nS: 150 *\nWAIT 1s\nKNOCK 198.51.100.7\nC: ABOR\nS: 426 *\nS: 226 *\n\
         CLIENT 2\nNODATA\nC: RETR a\nS: 150 *\nWAIT 21s\nS: 425 *";
    assert_diagnosed(&world(), script, &["other-address", "other-port"]);
}

#[test]
fn a_handshake_that_fails_and_one_that_does_not_resume_are_two_causes() {
    let broken = "CLIENT 1 203.0.113.10\nSECURE;LOGIN;EPSV;NODATA\nKNOCK 203.0.113.10\n\
                  C: RETR a\nS: 150 *\nS: 425 *";
    assert_diagnosed(&world().tls(), broken, &["tls-failed"]);
    let required = world().tls().settings(|settings| {
        if let Some(tls) = &mut settings.tls {
            tls.session_reuse = SessionReuse::Require;
        }
    });
    let script = "FORGETFUL;LOGIN;EPSV;C: RETR a\nS: 150 *\nDX\nS: 522 *";
    assert_diagnosed(&required, script, &["not-resumed"]);
}

#[test]
fn a_range_that_is_used_up_and_a_port_that_cannot_be_shared_are_two_causes() {
    let one = |world: World| world.settings(|settings| settings.passive.ports = 30_000..=30_000);
    let script = "LOGIN;EPSV;DIAL\nCLIENT 2\nLOGIN;C: EPSV\nS: 425 *";
    assert_diagnosed(&one(world()), script, &["no-free-port"]);
    let script = "SECURE;LOGIN;EPSV;CLIENT 2\nFORGETFUL;LOGIN;EPSV;C: RETR a\nS: 150 *\nDX\n\
                  WAIT 21s\nS: 425 *\nCLIENT 1\nDIAL";
    let outcome = play(&one(world().tls()), script);
    assert!(causes(&outcome).contains(&"ambiguous-session".to_owned()), "{:#?}", outcome.events);
}

#[test]
fn active_mode_has_its_own_causes() {
    let far = "CLIENT 1 203.0.113.10\nLOGIN;";
    let natted = format!("{far}C: PORT 192,168,1,5,100,1\nS: 500 *");
    assert_diagnosed(&world(), &natted, &["private-address-sent"]);
    let closed =
        format!("{far}C: PORT 203,0,113,10,100,1\nS: 200 *\nC: RETR a\nS: 150 *\nS: 425 *");
    assert_diagnosed(&world(), &closed, &["client-unreachable"]);
    // A client that names the address of a third host is not a client behind NAT.
    assert_diagnosed(&world(), &format!("{far}C: PORT 8,8,8,8,100,1\nS: 500 *"), &[]);
}
