//! Web servers that receive events: down, slow, misbehaving, and available again.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::support::{Serving, TestFolder};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What a web server got.
#[derive(Debug)]
struct Request {
    headers: String,
    body: String,
}

impl Request {
    /// Reads one request from a connection, and responds with a status.
    fn take(stream: impl Read + Write, status: &str) -> Self {
        let mut stream = BufReader::new(stream);
        let mut headers = String::new();
        while !headers.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut headers).unwrap() > 0, "{headers}");
        }
        let headers = headers.to_ascii_lowercase();
        let length = headers.split_once("content-length: ").unwrap().1;
        let length = length.split_once("\r\n").unwrap().0.parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        stream.get_mut().flush().unwrap();
        Self { headers, body: String::from_utf8(body).unwrap() }
    }

    fn header(&self, name: &str) -> &str {
        let (_, rest) = self.headers.split_once(&format!("\r\n{name}: ")).unwrap();
        rest.split_once("\r\n").unwrap().0
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// As a receiver checks it.
    fn is_signed(&self) -> bool {
        let signature = self.header("wharf-signature");
        let (time, digits) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{time}.{}", self.body).as_bytes());
        let bytes = (0..digits.len()).step_by(2);
        let bytes: Vec<_> =
            bytes.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
        mac.verify_slice(&bytes).is_ok()
    }
}

fn takes(listener: &TcpListener, status: &str) -> Request {
    Request::take(listener.accept().unwrap().0, status)
}

fn shared() -> TestFolder {
    let place = TestFolder::new();
    fs::create_dir(place.path("share")).unwrap();
    place.write("secret", SECRET);
    fs::set_permissions(place.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    place
}

fn serve(place: &TestFolder, url: &str, more: &[&str]) -> Serving {
    let url = format!("webhook.0.url={url}");
    let secret = format!("webhook.0.secret_file={}", place.path("secret").display());
    let mut words = vec!["-w", "share", "-u", "me", "-P", "secret"];
    let settings = [&url, &secret, "webhook.0.events=upload", "webhook.0.retry_pause=10ms"];
    for setting in settings.into_iter().chain(more.iter().copied()) {
        words.extend(["--set", setting]);
    }
    place.serve(&words)
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?x=1", listener.local_addr().unwrap());
    (listener, url)
}

fn uploads(server: &Serving, name: &str) {
    let mut client = server.login("me", "secret");
    assert!(client.stores(name, "hello").starts_with("226 "));
}

#[test]
fn an_upload_arrives_signed_and_once() {
    let place = shared();
    let (listener, url) = listener();
    // Nothing but this port may be reached: active mode is off.
    let server = serve(&place, &url, &["active.enabled=false"]);
    uploads(&server, "a b.txt");
    let request = takes(&listener, "204 No Content");
    assert!(request.headers.starts_with("post /hook?x=1 http/1.1\r\n"), "{}", request.headers);
    assert!(request.is_signed());
    let json = request.json();
    assert_eq!((&json["event"], &json["path"]), (&"upload".into(), &"/a b.txt".into()));
    assert_eq!(request.header("wharf-delivery"), json["id"].as_str().unwrap());
    assert_eq!(request.header("wharf-event"), "upload");
    assert_eq!(request.header("content-type"), "application/json");
    // The next one is another event, so the first was not sent again; events that were not
    // requested are not sent.
    uploads(&server, "b.txt");
    assert_eq!(takes(&listener, "200 OK").json()["path"], "/b.txt");
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn events_outlive_a_web_server_that_is_down_and_a_server_that_is_killed() {
    let place = shared();
    let (down, url) = listener();
    let address: SocketAddr = down.local_addr().unwrap();
    drop(down);
    let mut server = serve(&place, &url, &[]);
    for number in 0..5 {
        uploads(&server, &format!("{number}.txt"));
    }
    let line = server.waits_for("event=webhook-failing");
    assert!(line.contains(&format!("url=\"http://{address}\"")), "{line}");
    assert!(!line.contains("hook?"), "{line}");
    // Killed, not stopped.
    drop(server);
    let listener = TcpListener::bind(address).unwrap();
    let server = serve(&place, &url, &[]);
    uploads(&server, "5.txt");
    for number in 0..6 {
        let request = takes(&listener, "200 OK");
        assert!(request.is_signed());
        assert_eq!(request.json()["path"], format!("/{number}.txt"));
    }
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn an_event_is_sent_again_with_its_number_until_it_is_accepted_or_rejected() {
    let place = shared();
    let (listener, url) = listener();
    let mut server = serve(&place, &url, &[]);
    uploads(&server, "a.txt");
    let first = takes(&listener, "503 Busy").json()["id"].clone();
    // A connection that ends without a response is not a response.
    drop(listener.accept().unwrap());
    assert_eq!(takes(&listener, "200 OK").json()["id"], first);
    server.waits_for("event=webhook-failing");
    // It is reported with the first delivered event, not with the next one.
    server.waits_for("event=webhook-recovered");
    uploads(&server, "b.txt");
    takes(&listener, "200 OK");
    uploads(&server, "c.txt");
    for _ in 0..4 {
        takes(&listener, "400 Bad");
    }
    // Redirects lead nowhere.
    takes(&listener, "302 Found\r\nLocation: http://127.0.0.1:1/");
    server.waits_for("event=webhook-expired");
    uploads(&server, "d.txt");
    assert_eq!(takes(&listener, "200 OK").json()["path"], "/d.txt");
}

/// `give_up_after` counts from the event: the time in which no server ran counts, too.
#[test]
fn row_58_an_event_that_is_too_old_is_dropped_at_its_first_failure_after_a_start() {
    let place = shared();
    let (down, url) = listener();
    let address: SocketAddr = down.local_addr().unwrap();
    drop(down);
    let mut server = serve(&place, &url, &[]);
    uploads(&server, "old.txt");
    server.waits_for("event=webhook-failing");
    drop(server);
    age_events(&place.path("state/webhooks"));
    let mut server = serve(&place, &url, &["webhook.0.give_up_after=1h"]);
    if !server.before.contains("event=webhook-expired") {
        server.waits_for("event=webhook-expired");
    }
    // A new event is recent, and is kept until it is delivered.
    uploads(&server, "new.txt");
    server.waits_for("event=webhook-failing");
    let listener = TcpListener::bind(address).unwrap();
    assert_eq!(takes(&listener, "200 OK").json()["path"], "/new.txt");
    server.waits_for("event=webhook-recovered");
}

/// As if all events that wait had happened in 2001.
fn age_events(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age_events(&path);
        } else if path.extension().is_some_and(|suffix| suffix == "events") {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().map(|line| {
                let (_, rest) = line.split_once(' ').unwrap();
                format!("1000000000000 {rest}\n")
            });
            fs::write(&path, lines.collect::<String>()).unwrap();
        }
    }
}

/// The spool belongs to the user of the server, also one that root left behind.
#[test]
fn row_46_58_events_are_sent_by_a_server_that_root_starts_as_another_user() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root can become another user");
        return;
    }
    let place = shared();
    place.write("wharf.toml", "");
    let words =
        ["user", "add", "me", "--home", "share", "--permissions", "full", "--password-file", "-"];
    place.run_with(&words, "secret\n").exits(0);
    let (down, url) = listener();
    let address: SocketAddr = down.local_addr().unwrap();
    drop(down);
    let url = format!("webhook.0.url={url}");
    let common = ["--set", &url, "--set", "webhook.0.retry_pause=10ms"];
    let common = [&common[..], &["--set", "webhook.0.events=upload"]].concat();
    // As root, with a web server that is down.
    let mut server = place.serve(&common);
    uploads(&server, "root.txt");
    server.waits_for("event=webhook-failing");
    drop(server);
    for name in ["", "share", "share/root.txt", "users.toml"] {
        chown(place.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let words = [&common[..], &["--set", "server.user=nobody"]].concat();
    let server = place.serve(&words);
    uploads(&server, "nobody.txt");
    let listener = TcpListener::bind(address).unwrap();
    for name in ["/root.txt", "/nobody.txt"] {
        assert_eq!(takes(&listener, "200 OK").json()["path"], name);
    }
    let spool = fs::metadata(place.path("state/webhooks")).unwrap();
    assert_eq!(spool.uid(), NOBODY);
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn a_full_spool_drops_events_and_reports_it() {
    let place = shared();
    let (listener, url) = listener();
    let mut server = serve(&place, &url, &["webhook.0.spool_size=500"]);
    uploads(&server, "a.txt");
    let (held, _) = listener.accept().unwrap();
    for number in 0..3 {
        uploads(&server, &format!("{number}.txt"));
    }
    server.waits_for("event=webhook-spool-full");
    drop(held);
    assert_eq!(takes(&listener, "200 OK").json()["path"], "/a.txt");
    // Delivered events freed space, once the server has recorded it.
    server.waits_for("event=webhook-recovered");
    uploads(&server, "b.txt");
    let line = server.waits_for("event=webhook-events-dropped");
    assert!(line.contains("count=3"), "{line}");
    assert_eq!(takes(&listener, "200 OK").json()["path"], "/b.txt");
}

/// Over TLS with an authority of its own, and to a server that this authority did not certify.
#[test]
fn https_needs_a_certificate_that_is_trusted() {
    let place = shared();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    place.write("ca.pem", &made.cert.pem());
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let accept = || -> Result<Request, rustls::Error> {
        let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
        let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        while connection.is_handshaking() {
            if let Err(error) = connection.complete_io(&mut stream) {
                let reported =
                    error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
                return Err(reported
                    .cloned()
                    .unwrap_or_else(|| rustls::Error::General(error.to_string())));
            }
        }
        let stream = rustls::StreamOwned::new(connection, stream);
        Ok(Request::take(stream, "200 OK"))
    };
    let ca = format!("webhook.0.ca_file={}", place.path("ca.pem").display());
    let server = serve(&place, &url, &[&ca, "active.enabled=false"]);
    uploads(&server, "a.txt");
    assert!(accept().unwrap().is_signed());
    drop(server);
    // This one is not among the authorities of the system.
    let mut server = serve(&place, &url, &[]);
    uploads(&server, "b.txt");
    assert!(accept().is_err());
    server.waits_for("event=webhook-failing");
}

#[test]
fn a_secret_that_others_may_read_or_that_is_too_short_stops_the_start() {
    let place = shared();
    fs::set_permissions(place.path("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    let secret = format!("webhook.0.secret_file={}", place.path("secret").display());
    let words = ["serve", "share", "--set", "webhook.0.url=http://127.0.0.1:1/", "--set", &secret];
    place.run(&words).exits(78).reports("chmod 600");
    place.write("secret", "short");
    fs::set_permissions(place.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    place.run(&words).exits(78).reports("openssl rand -hex 32");
}
