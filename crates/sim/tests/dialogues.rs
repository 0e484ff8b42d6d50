//! Tests of the dialogue runner, including its failures.

use wharf_core::permission::Permissions;
use wharf_sim::World;

const LOGIN: &str = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: TYPE I\nS: 200 *\n";

fn world() -> World {
    World::new().account("anna", "secret", Permissions::ALL).file("/a", b"hello\r\n")
}

fn play(world: &World, script: &str) -> wharf_sim::DialogueOutcome {
    world.run(&format!("{LOGIN}{script}"))
}

fn failure_message(script: &str) -> String {
    let failed = std::panic::catch_unwind(|| play(&world(), script));
    let failed = failed.expect_err("the dialogue differs");
    failed.downcast_ref::<String>().expect("the message is text").clone()
}

#[test]
fn a_file_is_uploaded_and_downloaded() {
    let script = r"
C: PASV
S: 227 *
C: RETR a
S: 150 *
D: hello\r\n
S: 226 *
C: EPSV
S: 229 *
C: STOR b  # comments are passed over
S: 150 *
U... one
HASNOT /b
U: two
S: 226 *
HAS /b onetwo
C: FEAT
S: 211-*
S: 211 *
C: QUIT
S: 221 *
S: EOF
";
    let outcome = play(&world(), script);
    assert_eq!(outcome.memory.content("/b").unwrap(), b"onetwo");
    assert!(outcome.events.iter().any(|event| event == "1 anna LoggedIn"));
}

#[test]
fn active_mode_and_an_interrupted_upload() {
    let script = r"
LISTEN
C: PORT {PORT}
S: 200 *
C: RETR a
S: 150 *
D: hello\r\n
S: 226 *
LISTEN
C: EPRT {EPRT}
S: 200 *
C: STOR b
S: 150 *
U... half
UX
S: 426 *
HASNOT /b
C: NOOP
S: 200 *
";
    play(&world(), script);
}

#[test]
fn a_transfer_is_aborted_and_its_connection_ends() {
    let script =
        "C: EPSV\nS: 229 *\nC: RETR big\nS: 150 *\nD< 100\nC: ABOR\nS: 426 *\nS: 226 *\nDX";
    play(&world().file("/big", vec![7; 1_000_000]), script);
}

#[test]
fn time_passes_only_at_wait_steps() {
    let outcome = play(&world(), "WAIT 301s\nS: 421 *\nS: EOF");
    assert!(outcome.events.last().unwrap().contains("SessionEnded"), "{:?}", outcome.events);
}

#[test]
fn several_clients_and_an_administrator() {
    let script = r"
CLIENT two 198.51.100.3
C: USER anna
S: 331 *
C: PASS secret
S: 230 *
CLIENT 1
C: NOOP
S: 200 *
KICK anna
S: 421 *
S: EOF
CLIENT two
S: 421 *
S: EOF
SHUTDOWN 0s
";
    let outcome = play(&world(), script);
    assert!(outcome.transcript.contains("two C: USER anna"));
}

#[test]
fn tls_protects_control_and_data_and_is_resumed() {
    let world = world().tls().settings(|settings| {
        let tls = settings.tls.as_mut().unwrap();
        tls.session_reuse = wharf_server::settings::SessionReuse::Require;
    });
    let secure = "C: AUTH TLS\nS: 234 *\nTLS\nC: PBSZ 0\nS: 200 *\nC: PROT P\nS: 200 *\n";
    let script = r"
C: EPSV
S: 229 *
C: RETR a
S: 150 *
D: hello\r\n
S: 226 *
C: EPSV
S: 229 *
C: STOR b
S: 150 *
U: bytes
S: 226 *
C: QUIT
S: 221 *
S: EOF
";
    let outcome = world.run(&format!("{secure}{LOGIN}{script}"));
    assert_eq!(outcome.memory.content("/b").unwrap(), b"bytes");
    let rejected = "C: EPSV\nS: 229 *\nC: RETR a\nS: 150 *\nS: 522 *";
    world.run(&format!("{}{LOGIN}{rejected}", secure.replace("TLS\nC: PB", "TLS noresume\nC: PB")));
}

#[test]
fn differences_are_reported_with_their_line() {
    let message = failure_message("C: NOOP\nS: 500 *");
    assert!(message.contains("line 8") && message.contains("expected: 500 *"), "{message}");
    assert!(message.contains("got: 200 OK.") && message.contains("C: USER anna"), "{message}");
    assert!(failure_message("S: 200 *").contains("got: (nothing)"));
    assert!(failure_message("C: NOOP").contains("received unexpected lines: 200 OK."));
    assert!(failure_message("C: EPSV\nS: 229 *\nC: RETR a\nS: 150 *\nD: hallo").contains("hello"));
    assert!(failure_message("C: QUIT\nS: 221 *\nS: 200 *").contains("got: EOF"));
    assert!(failure_message("DANCE").contains("unknown step"));
    assert!(failure_message("HAS /a x").contains("hello"));
    assert!(failure_message("HASNOT /a").contains("exists"));
}
