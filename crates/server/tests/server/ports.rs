//! Data ports in memory: shared, stolen at, given up.

use wharf_core::permission::Permissions;
use wharf_server::settings::SessionReuse;
use wharf_sim::{DialogueOutcome, World};

const LOGIN: &str = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: TYPE I\nS: 200 *\n";
const SECURE: &str = "C: AUTH TLS\nS: 234 *\nTLS\nC: PBSZ 0\nS: 200 *\nC: PROT P\nS: 200 *\n";
const FORGETFUL: &str =
    "C: AUTH TLS\nS: 234 *\nTLS noresume\nC: PBSZ 0\nS: 200 *\nC: PROT P\nS: 200 *\n";

/// A world with one data port.
fn world() -> World {
    World::new()
        .account("anna", "secret", Permissions::ALL)
        .file("/a", b"for one")
        .file("/b", b"for two")
        .settings(|settings| settings.passive.ports = 30_000..=30_000)
}

/// `SECURE;`, `FORGETFUL;`, `LOGIN;` and `EPSV;` are replaced by their dialogues.
fn play(world: &World, script: &str) -> DialogueOutcome {
    world.run(
        &script
            .replace("SECURE;", SECURE)
            .replace("FORGETFUL;", FORGETFUL)
            .replace("LOGIN;", LOGIN)
            .replace("EPSV;", "C: EPSV\nS: 229 *\n"),
    )
}

#[test]
fn row_04_each_of_two_addresses_gets_its_own_data_on_one_port() {
    play(
        &world(),
        "LOGIN;EPSV;CLIENT 2 198.51.100.2\nLOGIN;EPSV;C: RETR b\nS: 150 *\nD: for two\nS: 226 *\n\
         CLIENT 1\nC: RETR a\nS: 150 *\nD: for one\nS: 226 *",
    );
}

#[test]
fn row_04_the_listening_session_hands_over_connections_of_others() {
    play(
        &world(),
        "LOGIN;EPSV;NODATA\nC: RETR a\nS: 150 *\n\
         CLIENT 2 198.51.100.2\nLOGIN;EPSV;C: RETR b\nS: 150 *\nD: for two\nS: 226 *\n\
         CLIENT 3 198.51.100.3\nLOGIN;EPSV;C: STOR c\nS: 150 *\nU: from three\nS: 226 *\n\
         HAS /c from three\nCLIENT 1\nC: ABOR\nS: 426 *\nS: 226 *",
    );
}

#[test]
fn row_04_when_the_listening_session_ends_another_listens() {
    play(
        &world(),
        "LOGIN;EPSV;NODATA\nC: RETR a\nS: 150 *\n\
         CLIENT 2 198.51.100.2\nLOGIN;EPSV;NODATA\nC: RETR b\nS: 150 *\n\
         CLIENT 1\nC: ABOR\nS: 426 *\nS: 226 *\nEPSV;C: RETR a\nS: 150 *\nD: for one\nS: 226 *\n\
         CLIENT 2\nWAIT 21s\nS: 425 *\nEPSV;C: RETR b\nS: 150 *\nD: for two\nS: 226 *",
    );
}

#[test]
fn row_04_a_client_may_connect_before_it_sends_its_command() {
    play(
        &world(),
        "LOGIN;EPSV;CLIENT 2 198.51.100.2\nLOGIN;EPSV;CLIENT 1\nDIAL\nCLIENT 2\nNODATA\n\
         C: RETR b\nS: 150 *\nWAIT 1s\nCLIENT 1\nC: RETR a\nS: 150 *\nD: for one\nS: 226 *\n\
         CLIENT 2\nC: ABOR\nS: 426 *\nS: 226 *",
    );
}

#[test]
fn row_04_a_second_session_of_one_address_gets_425_for_a_port_in_use() {
    let outcome = play(
        &world(),
        "LOGIN;EPSV;CLIENT 2\nLOGIN;C: EPSV\nS: 425 *\nCLIENT 1\nC: RETR a\nS: 150 *\n\
         D: for one\nS: 226 *\nCLIENT 2\nEPSV;C: RETR b\nS: 150 *\nD: for two\nS: 226 *",
    );
    assert!(outcome.events.iter().any(|line| line.contains("every port")), "{:?}", outcome.events);
}

#[test]
fn row_04_tls_distinguishes_sessions_of_one_address() {
    for reuse in [SessionReuse::Off, SessionReuse::Prefer, SessionReuse::Require] {
        let world = world().tls().settings(|settings| {
            if let Some(tls) = &mut settings.tls {
                tls.session_reuse = reuse;
            }
        });
        play(
            &world,
            "SECURE;LOGIN;EPSV;CLIENT 2\nSECURE;LOGIN;EPSV;NODATA\nC: RETR b\nS: 150 *\n\
             CLIENT 1\nC: RETR a\nS: 150 *\nD: for one\nS: 226 *\n\
             CLIENT 2\nC: ABOR\nS: 426 *\nS: 226 *\nEPSV;CLIENT 1\nEPSV;CLIENT 2\nC: RETR b\n\
             S: 150 *\nD: for two\nS: 226 *\nCLIENT 1\nC: STOR c\nS: 150 *\nU: from one\nS: 226 *\n\
             HAS /c from one",
        );
    }
}

#[test]
fn row_04_without_resumption_only_an_own_port_works() {
    let outcome = play(
        &world().tls(),
        "SECURE;LOGIN;EPSV;CLIENT 2\nFORGETFUL;LOGIN;EPSV;C: RETR b\nS: 150 *\nDX\nWAIT 21s\n\
         S: 425 *\nC: EPSV\nS: 425 *\n\
         CLIENT 1\nC: RETR a\nS: 150 *\nD: for one\nS: 226 *\nC: QUIT\nS: 221 *\nS: EOF\n\
         CLIENT 2\nEPSV;C: RETR b\nS: 150 *\nD: for two\nS: 226 *",
    );
    let reported = |what: &str| outcome.events.iter().any(|line| line.contains(what));
    assert!(reported("1 data connections resumed no TLS session"), "{:?}", outcome.events);
}

#[test]
fn row_04_a_connection_for_an_ended_session_is_not_given_to_another() {
    play(
        &world(),
        "LOGIN;EPSV;CLIENT 2 198.51.100.2\nLOGIN;EPSV;CLIENT 1\nDIAL\nC: ABOR\nS: 226 *\n\
         CLIENT 3\nLOGIN;EPSV;NODATA\nC: STOR c\nS: 150 *\nWAIT 21s\nS: 425 *\nHASNOT /c",
    );
}

#[test]
fn row_03_unexpected_peers_are_reported_and_do_not_stop_the_client() {
    let knocks = "KNOCK 198.51.100.7\n".repeat(7);
    let outcome =
        play(&world(), &format!("LOGIN;EPSV;{knocks}C: RETR a\nS: 150 *\nD: for one\nS: 226 *"));
    let reported = "1 anna DataConnectionUnexpectedPeers { first: 198.51.100.7, count: 7 }";
    assert!(outcome.events.iter().any(|line| line == reported), "{:?}", outcome.events);
}

#[test]
fn row_03_a_client_is_served_however_many_others_connect_before_it() {
    let knocks = "KNOCK 198.51.100.7\n".repeat(40);
    let command = "LOGIN;EPSV;NODATA\nC: RETR a\nS: 150 *\n";
    let script = format!("{command}{knocks}WAIT 10s\n{knocks}DIAL\nD: for one\nS: 226 *");
    let outcome = play(&world(), &script);
    let reported = "DataConnectionUnexpectedPeers { first: 198.51.100.7, count: 80 }";
    assert!(outcome.events.iter().any(|line| line.contains(reported)), "{:?}", outcome.events);
    // Counterpart: without the client it ends at the timeout, with the reason.
    let script = format!(
        "{command}{knocks}WAIT 19s\nC: NOOP\nS: 200 *\nWAIT 2s\n\
         S: 425 The data connection came from a different address."
    );
    play(&world(), &script);
}

/// They may also come before the client requests a transfer, which it may do late.
#[test]
fn row_03_a_late_command_is_served_whatever_peers_connected_before() {
    // More in all than wait at a port of the simulated network.
    let knocks = "KNOCK 198.51.100.7\n".repeat(40);
    let late = format!("LOGIN;EPSV;WAIT 1s\n{knocks}WAIT 1s\n{knocks}WAIT 5s\n{knocks}");
    let outcome = play(&world(), &format!("{late}DIAL\nC: RETR a\nS: 150 *\nD: for one\nS: 226 *"));
    let reported = "DataConnectionUnexpectedPeers { first: 198.51.100.7,";
    assert!(outcome.events.iter().any(|line| line.contains(reported)), "{:?}", outcome.events);
    let script = format!(
        "{late}NODATA\nC: RETR a\nS: 150 *\nWAIT 21s\n\
         S: 425 The data connection came from a different address."
    );
    play(&world(), &script);
}

#[test]
fn row_03_04_unexpected_peers_at_a_shared_port_stop_none_of_its_clients() {
    let knocks = "KNOCK 198.51.100.7\n".repeat(40);
    play(
        &world(),
        &format!(
            "LOGIN;EPSV;NODATA\nC: RETR a\nS: 150 *\nCLIENT 2 198.51.100.2\nLOGIN;EPSV;\
             {knocks}C: RETR b\nS: 150 *\nD: for two\nS: 226 *\nCLIENT 1\nWAIT 10s\nDIAL\n\
             D: for one\nS: 226 *"
        ),
    );
}

#[test]
fn row_04_a_waiting_session_does_not_limit_downloads_of_another() {
    let download = "EPSV;C: RETR b\nS: 150 *\nD: for two\nS: 226 *\n".repeat(20);
    for waits in ["", "NODATA\nC: RETR a\nS: 150 *\n"] {
        play(
            &world(),
            &format!(
                "LOGIN;EPSV;{waits}CLIENT 2 198.51.100.2\nLOGIN;{download}CLIENT 3 198.51.100.2\n\
                 LOGIN;{download}"
            ),
        );
    }
}

#[test]
fn row_04_ten_waiting_sessions_do_not_limit_downloads_of_an_eleventh() {
    let world = world().settings(|settings| settings.passive.ports = 30_000..=30_009);
    let waiting = |host: usize| {
        format!("CLIENT {host} 198.51.100.{host}\nLOGIN;EPSV;NODATA\nC: RETR a\nS: 150 *\n")
    };
    let waiting: String = (101..=110).map(waiting).collect();
    let download = "EPSV;C: RETR b\nS: 150 *\nD: for two\nS: 226 *\n".repeat(25);
    play(&world, &format!("{waiting}CLIENT 11 198.51.100.11\nLOGIN;{download}"));
}

#[test]
fn row_03_a_new_pasv_closes_the_port_before_it() {
    let world = world().settings(|settings| settings.passive.ports = 30_000..=30_009);
    let outcome = play(&world, &format!("LOGIN;{}", "EPSV;".repeat(30)));
    assert!(!outcome.transcript.contains("425"));
}

#[test]
fn row_04_an_unused_port_is_given_up_in_time_and_at_every_end() {
    for script in [
        "WAIT 31s",
        "C: ABOR\nS: 226 *",
        "C: REIN\nS: 220 *",
        "C: QUIT\nS: 221 *\nS: EOF",
        "CX\nWAIT 1s",
        "CR\nWAIT 1s",
        "C: PORT 1,2,3,4,5,6\nS: 500 *",
    ] {
        // The other client has the same address, so the port must be free.
        let script = format!(
            "LOGIN;EPSV;{script}\nCLIENT 2\nLOGIN;EPSV;C: RETR b\nS: 150 *\nD: for two\nS: 226 *"
        );
        play(&world(), &script);
    }
}
