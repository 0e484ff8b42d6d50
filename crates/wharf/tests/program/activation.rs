//! Sockets that systemd opens and hands over.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::support::{TestFolder, own_port};

/// A test folder whose configuration listens at these addresses, with anna's account.
fn listening(addresses: &[SocketAddr]) -> TestFolder {
    let place = TestFolder::new();
    std::fs::create_dir(place.path("files")).unwrap();
    let mut text = format!("[passive]\nports = \"{}\"\n", place.range());
    for at in addresses {
        let (address, port) = (at.ip(), at.port());
        let _ = write!(text, "[[listen]]\naddress = \"{address}\"\nport = {port}\n");
    }
    place.write("wharf.toml", &text);
    let files = place.path("files");
    let words = ["user", "add", "anna", "--home", files.to_str().unwrap(), "--permissions", "full"];
    let words = [&words[..], &["--password-file", "-"]].concat();
    place.run_with(&words, "secret\n").exits(0);
    place
}

/// An unused address.
fn free() -> SocketAddr {
    ([127, 0, 0, 1], own_port()).into()
}

/// systemd's own program opens sockets and starts wharf when a client connects.
fn activated(place: &TestFolder, sockets: &[(SocketAddr, &str)]) -> Activated {
    let program = place.command(&[]);
    let mut command = Command::new("systemd-socket-activate");
    for (address, _) in sockets {
        command.arg(format!("--listen={address}"));
    }
    let names: Vec<_> = sockets.iter().map(|(_, name)| *name).collect();
    command.arg(format!("--fdname={}", names.join(":")));
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            let (name, value) = (name.to_str().unwrap(), value.to_str().unwrap());
            command.arg(format!("--setenv={name}={value}"));
        }
    }
    command.arg(program.get_program()).args(["--config", "wharf.toml", "serve"]);
    command.current_dir(place.path("")).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("systemd-socket-activate is in Debian's systemd");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    for _ in sockets {
        let printed = lines.find(|line| line.contains("Listening on"));
        assert!(printed.is_some(), "it listens");
    }
    Activated { child, lines: Box::new(lines) }
}

struct Activated {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
}

impl Activated {
    fn command(&mut self, part: &str) -> String {
        self.lines.find(|line| line.contains(part)).unwrap_or_else(|| panic!("nothing of {part}"))
    }

    fn ends(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The reply to a command sent right after the greeting.
fn greeted(at: SocketAddr, line: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_client_that_connected_before_the_start_is_served_at_the_sockets_of_systemd() {
    let (first, second) = (free(), free());
    let place = listening(&[first, second]);
    let mut server = activated(&place, &[(second, "wharf.socket"), (first, "wharf.socket")]);
    // No wharf process runs yet: this connection starts it.
    let text = greeted(first, "USER anna");
    assert!(text.starts_with("220 ") && text.contains("331 "), "{text}");
    let ready = server.command("event=ready");
    assert!(ready.contains(&first.to_string()) && ready.contains(&second.to_string()), "{ready}");
    assert!(greeted(second, "NOOP").starts_with("220 "));
    assert_eq!(server.ends(), Some(0));
}

#[test]
fn the_name_of_a_socket_defines_its_use_and_the_others_are_opened_by_wharf() {
    let (named, elsewhere, own) = (free(), free(), free());
    let place = listening(&[own, named]);
    let mut server = activated(&place, &[(elsewhere, "listen.1")]);
    assert!(greeted(elsewhere, "NOOP").starts_with("220 "));
    let note = server.command("event=inherited-sockets");
    assert!(note.contains("listen.0") && note.contains("has no inherited socket"), "{note}");
    assert!(greeted(own, "NOOP").starts_with("220 "));
    assert!(TcpStream::connect(named).is_err(), "its socket is the one that was handed over");
    assert_eq!(server.ends(), Some(0));
}

#[test]
fn an_unused_socket_stops_the_start_with_a_hint() {
    let (configured, other) = (free(), free());
    let place = listening(&[configured]);
    let mut server = activated(&place, &[(other, "wharf.socket")]);
    drop(TcpStream::connect(other).unwrap());
    let error = server.command("error:");
    assert!(error.contains(&other.to_string()), "{error}");
    assert!(error.contains(&configured.port().to_string()), "{error}");
    assert!(server.command("hint:").contains("wharf service unit --kind socket"));
    assert_eq!(server.child.wait().unwrap().code(), Some(78));
}

#[test]
fn a_socket_that_does_not_listen_is_named_by_its_number() {
    let place = listening(&[free()]);
    let program = place.command(&[]);
    let mut command = Command::new("sh");
    command.args(["-c", "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\" 3</dev/null", "sh"]);
    command.arg(program.get_program()).args(["--config", "wharf.toml", "serve"]);
    command.current_dir(place.path(""));
    let output = command.output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{printed}");
    assert!(printed.contains("descriptor 3") && printed.contains("ListenStream="), "{printed}");
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let at = free();
    let place = listening(&[at]);
    let mut command = place.command(&["--config", "wharf.toml", "serve"]);
    command.env("LISTEN_FDS", "5").env("LISTEN_PID", "1");
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut server = Activated { child, lines: Box::new(lines) };
    server.command("event=ready");
    assert!(greeted(at, "NOOP").starts_with("220 "));
    assert_eq!(server.ends(), Some(0));
}
