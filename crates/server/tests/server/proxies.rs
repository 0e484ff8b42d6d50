//! Clients behind a proxy that sends the PROXY protocol.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails fails the test")]

use wharf_core::account::Count;
use wharf_core::permission::Permissions;
use wharf_sim::{DialogueOutcome, World};

const LOGIN: &str = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: TYPE I\nS: 200 *\n";

/// A world whose server takes clients from two proxies only.
fn world() -> World {
    World::new()
        .account("anna", "secret", Permissions::ALL)
        .file("/a", b"hello")
        .settings(|settings| {
            settings.listen[0].proxy_from =
                vec!["10.0.0.1/32".parse().unwrap(), "10.0.1.0/24".parse().unwrap()];
        })
        .peer("10.0.0.1")
}

/// `FOR 198.51.100.7;` stands for the header of a proxy for that client.
fn play(world: &World, script: &str) -> DialogueOutcome {
    let mut reported = String::new();
    for (number, part) in script.replace("LOGIN;", LOGIN).split("FOR ").enumerate() {
        match part.split_once(';').filter(|_| number > 0) {
            Some((client, rest)) => {
                let header = format!("FIRST PROXY TCP4 {client} 192.0.2.1 40000 21\\r\\n\n");
                reported.push_str(&header);
                reported.push_str(rest);
            }
            None => reported.push_str(part),
        }
    }
    world.run(&reported)
}

fn assert_event(outcome: &DialogueOutcome, what: &str) {
    assert!(outcome.events.iter().any(|line| line.contains(what)), "{:?}", outcome.events);
}

#[test]
fn row_13_a_client_behind_a_proxy_is_served_under_its_own_address() {
    let script = "FOR 198.51.100.7;LOGIN;C: EPSV\nS: 229 *\nC: RETR a\nS: 150 *\nD: hello\n\
         S: 226 *\nC: PORT 10,0,0,1,100,1\nS: 500 *\nC: PORT 198,51,100,7,100,1\nS: 200 *";
    play(&world(), script);
}

#[test]
fn row_13_clients_of_one_proxy_are_counted_apart() {
    let world =
        world().settings(|settings| settings.limits.connections_per_ip = Count::from_number(1));
    let outcome = play(
        &world,
        "FOR 198.51.100.7;LOGIN;CLIENT 2 10.0.1.77\nFOR 198.51.100.8;LOGIN;\
         CLIENT 3\nFOR 198.51.100.7;S: 421 Too many connections from your address.\nS: EOF",
    );
    assert_event(&outcome, "ConnectionRejected");
}

#[test]
fn row_13_binary_headers_are_accepted_and_a_proxy_may_connect_for_itself() {
    let header = "\\r\\n\\r\\n\\x00\\r\\nQUIT\\n\\x21\\x11\\x00\\x0c\\xc6\\x33\\x64\\x07\
         \\xc0\\x00\\x02\\x01\\x9c\\x40\\x00\\x15";
    play(&world(), &format!("FIRST {header}\nLOGIN;C: PORT 198,51,100,7,100,1\nS: 200 *"));
    play(&world(), "FIRST PROXY UNKNOWN\\r\\n\nLOGIN;C: PORT 10,0,0,1,100,1\nS: 200 *");
    let local = "\\r\\n\\r\\n\\x00\\r\\nQUIT\\n\\x20\\x00\\x00\\x00";
    play(&world(), &format!("FIRST {local}\nS: 220 *\nC: QUIT\nS: 221 *\nS: EOF"));
}

#[test]
fn row_13_a_health_check_of_a_proxy_is_not_a_session_before_a_command() {
    let local = "\\r\\n\\r\\n\\x00\\r\\nQUIT\\n\\x20\\x00\\x00\\x00";
    let world = world().settings(|settings| settings.limits.connections = Count::from_number(1));
    for header in [local, "PROXY UNKNOWN\\r\\n"] {
        for script in ["CX\nWAIT 1s", "CR\nWAIT 1s", "WAIT 61s\nS: EOF"] {
            // It takes no place: the only one is another client's.
            let script = format!(
                "FOR 198.51.100.7;LOGIN;CLIENT 2 10.0.1.77\nFIRST {header}\nS: 220 *\n{script}\n\
                 CLIENT 1\nC: NOOP\nS: 200 *"
            );
            let outcome = play(&world, &script);
            let of_check = |line: &&String| !line.starts_with("1 ");
            let reported: Vec<_> = outcome.events.iter().filter(of_check).collect();
            assert!(reported.is_empty(), "{reported:?}");
        }
        let script = format!("FIRST {header}\nC: QUIT\nS: 221 *\nS: EOF");
        assert_event(&play(&world, &script), "Connected");
    }
}

#[test]
fn row_13_a_peer_that_is_not_a_configured_proxy_is_rejected() {
    let outcome = play(&world(), "CLIENT 1 203.0.113.5\nFOR 198.51.100.7;S: EOF");
    assert_event(&outcome, "not a trusted proxy");
}

#[test]
fn row_13_a_connection_without_a_header_is_rejected() {
    for (first, why) in [
        ("USER anna\\r\\nPASS x\\r\\n", "no PROXY header came first"),
        ("PROXY TCP4 198.51.100.7 192.0.2.1 40000\\r\\n", "address or port that is none"),
        ("PROXY TCP9 198.51.100.7 192.0.2.1 40000 21\\r\\n", "not known"),
    ] {
        assert_event(&play(&world(), &format!("FIRST {first}\nS: EOF")), why);
    }
    // A connection without data is a port scan or a health check.
    for script in ["CX", "CR"] {
        let outcome = play(&world(), &format!("FIRST \n{script}\nWAIT 1s"));
        assert!(outcome.events.is_empty(), "{:?}", outcome.events);
    }
    let late = play(&world(), "FIRST PROXY TCP4\nWAIT 11s\nS: EOF");
    assert_event(&late, "timed out reading the PROXY header");
    let cut = play(&world(), "FIRST PROXY TCP4\nCX\nWAIT 1s");
    assert_event(&cut, "before the PROXY header was complete");
}

#[test]
fn row_13_without_configured_proxies_a_header_is_not_a_command() {
    let world = world().settings(|settings| settings.listen[0].proxy_from.clear());
    play(&world, "C: PROXY TCP4 198.51.100.7 192.0.2.1 40000 21\nS: 500 *");
}

#[test]
fn row_13_proxied_data_connections_must_be_of_the_same_client() {
    let script = "FOR 198.51.100.7;LOGIN;C: EPSV\nS: 229 *\nNODATA\nC: RETR a\nS: 150 *\n\
         KNOCK 10.0.0.1\nKNOCK 198.51.100.99\nWAIT 21s\nS: 425 *";
    let outcome = play(&world(), script);
    assert_event(&outcome, "DataConnectionUnexpectedPeers { first: 198.51.100.99, count: 1 }");
}

#[test]
fn row_13_two_clients_of_a_proxy_share_a_data_port() {
    let world = world()
        .file("/b", b"for two")
        .settings(|settings| settings.passive.ports = 30_000..=30_000);
    play(
        &world,
        "FOR 198.51.100.7;LOGIN;C: EPSV\nS: 229 *\nNODATA\nC: RETR a\nS: 150 *\n\
         CLIENT 2\nFOR 198.51.100.8;LOGIN;C: EPSV\nS: 229 *\nC: RETR b\nS: 150 *\nD: for two\n\
         S: 226 *\nCLIENT 1\nC: ABOR\nS: 426 *\nS: 226 *",
    );
}
