//! A server with a low limit of open files: it reports it, rejects connections above it, and
//! recovers.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::{Serving, TestFolder};

/// Connections at a time: more than the process may have files.
const STORM: usize = 200;
/// A client without any reply by then hangs.
const TIMEOUT: Duration = Duration::from_mins(1);

fn serve() -> (TestFolder, Serving) {
    let place = TestFolder::new();
    std::fs::create_dir(place.path("share")).unwrap();
    place.write("share/a.txt", "hello");
    let words = ["share", "-u", "me", "-P", "secret", "--set", "limits.connections_per_ip=0"];
    let server = place.serve_with_files(64, &words);
    (place, server)
}

/// The greeting.
fn greeting(client: &TcpStream) -> String {
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut line = String::new();
    BufReader::new(client).read_line(&mut line).unwrap();
    line
}

fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect_timeout(&address, TIMEOUT).unwrap()
}

#[test]
fn row_06_with_64_files_connections_above_the_limit_get_421_and_the_others_are_served() {
    let (_place, server) = serve();
    assert!(
        server.before.contains("limits.connections = 512 exceeds the limit of open files"),
        "{}",
        server.before
    );
    for _ in 0..2 {
        let clients: Vec<_> = (0..STORM).map(|_| connect(server.address)).collect();
        let greetings: Vec<_> = clients.iter().map(greeting).collect();
        let count = |code| greetings.iter().filter(|line| line.starts_with(code)).count();
        let (admitted, rejected) = (count("220 "), count("421 "));
        assert_eq!(admitted + rejected, STORM, "{greetings:?}");
        assert!(admitted > 0 && rejected > 0, "{admitted} and {rejected}");
        drop(clients);
        // Capacity is freed as the sessions end; until then a new connection gets 421.
        let mut client = server.login_when_admitted("me", "secret");
        assert_eq!(client.downloads("RETR a.txt"), "hello");
    }
    let (code, rest) = server.stop();
    assert_eq!(code, Some(0), "{rest}");
}

#[test]
fn row_06_clients_that_break_their_connection_at_once_end_nothing() {
    let (_place, server) = serve();
    for _ in 0..1000 {
        let client = socket2::Socket::from(connect(server.address));
        client.set_linger(Some(Duration::ZERO)).unwrap();
    }
    let mut client = server.login_when_admitted("me", "secret");
    assert_eq!(client.downloads("RETR a.txt"), "hello");
}
