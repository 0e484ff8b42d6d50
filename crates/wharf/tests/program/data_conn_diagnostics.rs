//! Failed data connections as reported by status, log, metrics and check.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::support::{Serving, TestFolder};

fn place(config: &str) -> TestFolder {
    let place = TestFolder::new();
    place.write("wharf.toml", config);
    let words = ["user", "add", "anna", "--home", "home", "--create-home", "--permissions", "full"];
    place.run_with(&[&words[..], &["--password-file", "-"]].concat(), "secret\n").exits(0);
    place
}

fn passive(place: &TestFolder) -> Value {
    let ran = place.run(&["status", "--json"]).exits(0);
    let status: Value = serde_json::from_str(&ran.out).unwrap();
    status["passive"].clone()
}

/// Opens a data port for a transfer, and never connects.
fn fails(server: &Serving) {
    let mut anna = server.login("anna", "secret");
    assert!(anna.command("EPSV").starts_with("229 "));
    assert!(anna.command("LIST").starts_with("150 "));
    assert!(anna.reply().starts_with("425 "));
}

fn metrics(socket: &Path) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: wharf\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_client_that_never_connects_is_in_the_status_in_the_log_once_and_in_the_check() {
    let place = place("[passive]\naccept_timeout = \"100ms\"\n");
    let server = place.serve(&["serve"]);
    for _ in 0..3 {
        fails(&server);
    }
    assert!(server.login("anna", "secret").stores("a.txt", "hello").starts_with("226 "));
    let passive = passive(&place);
    assert_eq!(passive["failures"].as_array().unwrap().len(), 1, "{passive}");
    let failure = &passive["failures"][0];
    assert_eq!(failure["network"], "127.0.0.0/24");
    assert_eq!(failure["cause"], "no-connection");
    assert_eq!(failure["observation"], "no data connection arrived");
    assert_eq!((&failure["failed"], &failure["established"]), (&3.into(), &1.into()));
    assert!(failure["hint"].as_str().unwrap().contains(&place.range()), "{failure}");
    assert!(failure["last_failure"].as_str().unwrap().ends_with('Z'), "{failure}");
    let screen = place.run(&["status"]).exits(0).out;
    let reported = "3 of 4 failed for 127.0.0.0/24: no data connection arrived";
    assert!(screen.contains(reported) && screen.contains("hint: "), "{screen}");
    let metrics = metrics(&place.path("run/control.sock"));
    let counted = "wharf_data_connection_diagnoses_total{cause=\"no-connection\"} 3\n";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains("wharf_passive_connections_total 1\n"), "{metrics}");
    let reported = "3 of 4 data connections of 127.0.0.0/24 failed: no data connection arrived";
    place
        .run(&["check", "net"])
        .exits(0)
        .reports(reported)
        .reports(&format!("TCP {}", place.range()));
    place.run(&["check", "net", "--strict"]).exits(78);
    let (_, log) = server.stop();
    assert_eq!(log.matches("event=data-connection-diagnosis ").count(), 1, "{log}");
    assert!(log.contains("cause=\"no-connection\"") && log.contains("hint=\""), "{log}");
}

#[test]
fn a_client_that_disconnects_before_requesting_a_file_is_counted() {
    let place = place("");
    let server = place.serve(&["serve"]);
    let mut anna = server.login("anna", "secret");
    assert!(anna.command("EPSV").starts_with("229 "));
    assert!(anna.command("PASV").starts_with("227 "));
    assert!(anna.command("QUIT").starts_with("221 "));
    assert_eq!(anna.reply(), "");
    let mut passive = passive(&place);
    for _ in 0..1000 {
        if passive["failures"][0]["failed"] == 2 {
            break;
        }
        passive = self::passive(&place);
    }
    assert_eq!(passive["failures"][0]["failed"], 2, "{passive}");
}

#[test]
fn an_exhausted_port_range_is_a_separate_cause() {
    let place = place("");
    let port = place.ports().nth(0);
    let server = place.serve(&["serve", "-r", &format!("{port}-{port}")]);
    let mut one = server.login("anna", "secret");
    let mut two = server.login("anna", "secret");
    assert!(one.command("EPSV").starts_with("229 "));
    assert!(two.command("EPSV").starts_with("425 "));
    let failures = passive(&place)["failures"].clone();
    assert_eq!(failures[0]["cause"], "no-free-port", "{failures}");
    assert!(failures[0]["hint"].as_str().unwrap().contains("widen passive.ports"));
}

/// Local clients get the address they connected to; remote ones wait for the name.
#[test]
fn a_host_name_that_is_not_found_at_the_start_is_resolved_later() {
    let config = "[passive]\npublic_address = \"no-such-host.invalid\"\nresolve_every = \"10ms\"\n\
                  [tls]\nrequire = \"off\"\n";
    let place = place(config);
    place.run(&["check"]).reports("cannot resolve the public address no-such-host.invalid");
    let mut server = place.serve(&["serve"]);
    if !server.before.contains("cannot resolve the public address no-such-host.invalid") {
        server.waits_for("cannot resolve the public address no-such-host.invalid");
    }
    let mut client = server.login("anna", "secret");
    assert!(client.command("PASV").contains("(127,0,0,1,"));
    assert!(client.stores("a.txt", "hello").starts_with("226 "));
    // A reload does not fail because of a name that was in use before.
    place.run(&["reload"]).exits(0);
    place.write("wharf.toml", &config.replace("no-such-host.invalid", "127.0.0.9"));
    place.run(&["reload"]).exits(0);
    assert!(client.command("PASV").contains("(127,0,0,1,"), "a client nearby");
}

/// `localhost` is resolved by this computer.
#[test]
fn a_host_name_is_resolved_and_a_failed_lookup_changes_nothing() {
    let config = "[passive]\npublic_address = \"localhost\"\nlocal_networks = []\n\
                  resolve_every = \"10ms\"\n[tls]\nrequire = \"off\"\n";
    let place = place(config);
    let server = place.serve(&["serve"]);
    assert!(server.login("anna", "secret").command("PASV").contains("(127,0,0,1,"));
    place.write("wharf.toml", &config.replace("localhost", "no-such-host.invalid"));
    place.run(&["reload"]).exits(78).reports("no-such-host.invalid");
    let mut session = server.login("anna", "secret");
    place.write("wharf.toml", &config.replace("localhost", "127.0.0.9"));
    place.run(&["reload"]).exits(0);
    // An existing session gets the new address, too.
    assert!(session.command("PASV").contains("(127,0,0,9,"));
}
