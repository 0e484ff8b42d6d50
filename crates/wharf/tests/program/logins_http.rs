//! Authentication by a web service. The service is a thread of the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::{TestFolder, own_port};

/// The head and body of the request.
#[derive(Clone, Debug, Default)]
struct HttpRequest {
    head: String,
    body: String,
}

/// A service that records its requests, and responds by their content.
struct Service {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
}

type Answer = fn(&HttpRequest) -> String;

impl Service {
    fn start(answer: Answer) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), answer, None)
    }

    fn on(listener: TcpListener, answer: Answer, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<HttpRequest>>>::default();
        let shared = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (requests, tls) = (Arc::clone(&shared), tls.clone());
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    match tls {
                        None => serve(stream, &requests, answer),
                        Some(tls) => {
                            let connection = rustls::ServerConnection::new(tls).unwrap();
                            serve(rustls::StreamOwned::new(connection, stream), &requests, answer);
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    fn last(&self) -> HttpRequest {
        self.requests.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

/// Responds to one request, if there is one.
fn serve(stream: impl Read + Write, requests: &Mutex<Vec<HttpRequest>>, answer: Answer) {
    let mut lines = BufReader::new(stream);
    let mut request = HttpRequest::default();
    while !request.head.ends_with("\r\n\r\n") {
        if !matches!(lines.read_line(&mut request.head), Ok(1..)) {
            return;
        }
    }
    let length = request.head.to_lowercase();
    let (_, length) = length.split_once("content-length: ").unwrap();
    let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
    lines.read_exact(&mut body).unwrap();
    request.body = String::from_utf8(body).unwrap();
    requests.lock().unwrap().push(request.clone());
    let _ = lines.get_mut().write_all(answer(&request).as_bytes());
    let _ = lines.get_mut().flush();
}

fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// By the name: what a service may do, and what it should not.
fn by_name(request: &HttpRequest) -> String {
    let question: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    let is_right = question["password"] == "right";
    match question["user"].as_str().unwrap() {
        "anna" | "ben" if is_right => response("200 OK", r#"{"permissions": "read-write"}"#),
        "reader" if is_right => response("200 OK", "{}"),
        "anna" | "ben" | "reader" => response("401 Unauthorized", ""),
        "expired" => response("403 Forbidden", "no"),
        "moved" => "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n".to_owned(),
        "garbage" => response("200 OK", "let them in"),
        "typo" => response("200 OK", r#"{"permision": "none"}"#),
        "large" => response("200 OK", &format!("{{\"home\": \"{}\"}}", "x".repeat(100_000))),
        "cut" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}".to_owned(),
        "silent" => String::new(),
        _ => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
    }
}

/// A test folder with the accounts of the file and of the service.
fn place(service: &Service, more: &str) -> TestFolder {
    let place = TestFolder::new();
    std::fs::create_dir(place.path("homes")).unwrap();
    std::fs::create_dir(place.path("kept")).unwrap();
    let config = format!(
        "[accounts]\nauth_backends = [\"file\", \"http\"]\n\
         home = \"homes/%u\"\ncreate_home = true\n\
         [accounts.http]\nurl = \"http://{}/login\"\ntimeout = \"20s\"\n{more}\n\
         [login]\nfailure_delay = \"0s\"\n[ban]\nenabled = false\n",
        service.address
    );
    place.write("wharf.toml", &config);
    let words = ["user", "add", "file", "--home", "kept", "--password-file", "-"];
    place.run_with(&words, "secret\n").exits(0);
    place
}

#[test]
fn the_service_accepts_rejects_and_does_not_know_a_user() {
    let service = Service::start(by_name);
    let place = place(&service, "");
    let server = place.serve(&[]);
    let mut client = server.login("anna", "right");
    assert!(client.stores("a.txt", "hello").starts_with("226 "));
    assert_eq!(place.read("homes/anna/a.txt"), "hello");
    let request = service.last();
    assert!(request.head.starts_with("POST /login HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(
        request.body,
        r#"{"version":1,"user":"anna","password":"right","address":"127.0.0.1","tls":false}"#
    );
    let reply = server.login("reader", "right").stores("a.txt", "x");
    assert!(reply.starts_with("553 "), "accounts.permissions is read: {reply}");
    server.login("file", "secret");
    let rejected = server.tries("anna", "wrong");
    for (user, password) in
        [("anna", ""), ("nobody", "right"), ("expired", "right"), ("file", "right")]
    {
        assert_eq!(server.tries(user, password), rejected, "{user}");
    }
    let (_, log) = server.stop();
    for part in [
        "attempted_user=\"anna\" reason=\"wrong password\"",
        "attempted_user=\"nobody\" reason=\"unknown account\"",
        "attempted_user=\"expired\" reason=\"rejected by the login service (403)\"",
    ] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    assert!(!log.contains("auth-backend-unavailable") && !log.contains("\"right\""), "{log}");
}

#[test]
fn an_account_in_the_file_has_its_own_rules() {
    let service = Service::start(by_name);
    let place = place(&service, "");
    let users = place.read("users.toml");
    place.write("users.toml", &format!("{users}\n[users.ben]\nhome = \"kept\"\n"));
    place.write("kept/mine", "kept");
    let server = place.serve(&[]);
    let mut client = server.login("ben", "right");
    assert_eq!(client.downloads("RETR mine"), "kept");
    assert!(client.stores("b", "x").starts_with("553 "), "users.toml has read");
    place.run(&["user", "disable", "ben"]).exits(0);
    assert!(client.reply().starts_with("421 "));
    assert!(server.tries("ben", "right").starts_with("530 "));
}

#[test]
fn an_invalid_response_of_the_service_rejects_every_login() {
    let service = Service::start(by_name);
    let place = place(&service, "");
    for (user, why) in [
        ("moved", "unexpected status 302: redirects are not followed"),
        ("garbage", "invalid account in the response: not a JSON object"),
        ("typo", "unknown field `permision`"),
        ("large", "the response has more than 65536 bytes"),
        ("cut", "end of file"),
        ("silent", "connection closed"),
    ] {
        let mut server = place.serve(&[]);
        let reply = server.tries(user, "right");
        assert!(!reply.starts_with('2'), "{user}: {reply}");
        server.waits_for("event=auth-backend-unavailable backend=\"http\"");
        server.login("file", "secret");
        server.login("anna", "right");
        server.waits_for("event=auth-backend-recovered backend=\"http\"");
        let (_, rest) = server.stop();
        let _ = rest;
        let server = place.serve(&[]);
        server.tries(user, "right");
        let (_, log) = server.stop();
        assert!(log.contains(why), "{user}: {why} is not in {log}");
        assert!(!log.contains("right"), "{log}");
    }
}

#[test]
fn an_unavailable_service_is_reported_once_and_the_file_works() {
    let address = ([127, 0, 0, 1], own_port()).into();
    let service = Service { address, requests: Arc::default() };
    let place = place(&service, "");
    let mut server = place.serve(&[]);
    let first = server.tries("anna", "right");
    assert!(!first.starts_with('2'), "{first}");
    assert_eq!(server.tries("nobody", "right"), first);
    server.login("file", "secret");
    server.waits_for("event=auth-backend-unavailable backend=\"http\" reason=\"http://127.0.0.1:");
    assert_eq!(server.tries("anna", "right"), first);
    let listener = TcpListener::bind(address).unwrap();
    let _service = Service::on(listener, by_name, None);
    server.login("anna", "right");
    server.waits_for("event=auth-backend-recovered backend=\"http\"");
}

#[test]
fn a_hanging_login_service_delays_only_its_own_logins() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = Service { address: listener.local_addr().unwrap(), requests: Arc::default() };
    let place = place(&service, "connections = 1");
    let server = place.serve(&["--set", "accounts.http.timeout=1s"]);
    let hanging = TcpStream::connect(server.address).unwrap();
    (&hanging).write_all(b"USER anna\r\nPASS right\r\n").unwrap();
    let _accepted = listener.accept().unwrap();
    server.login("file", "secret");
    let mut lines = BufReader::new(hanging).lines();
    let reply = lines.find(|line| !line.as_ref().unwrap().starts_with(['2', '3'])).unwrap();
    assert!(reply.is_ok());
    let (_, log) = server.stop();
    assert!(log.contains("no response within 1 s"), "{log}");
}

#[test]
fn a_request_has_a_token_and_a_signature_that_are_not_logged() {
    let service = Service::start(by_name);
    let place = place(&service, "token_file = \"token\"\nsecret_file = \"key\"");
    for name in ["token", "key"] {
        place.write(name, &format!("s3cret-{name}\n"));
        private(&place, name);
    }
    let server = place.serve(&["--set", "log.commands=true"]);
    server.login("anna", "right");
    let HttpRequest { head, body } = service.last();
    let header = |name: &str| {
        let line = head.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(": ").unwrap().1.to_owned()
    };
    assert_eq!(header("authorization"), "Bearer s3cret-token");
    let signature = header("wharf-signature");
    let (time, digits) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let key = hmac(b"s3cret-key", format!("{time}.{body}").as_bytes());
    assert_eq!(digits, key);
    let (_, log) = server.stop();
    assert!(!log.contains("s3cret") && !log.contains("right"), "{log}");
}

/// HMAC-SHA-256 as RFC 2104 has it.
fn hmac(key: &[u8], text: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    use std::fmt::Write as _;
    let padded = |mask: u8| {
        let mut block = [mask; 64];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block
    };
    let inner = Sha256::digest([padded(0x36).as_slice(), text].concat());
    let outer = Sha256::digest([padded(0x5c).as_slice(), &inner].concat());
    let mut text = String::new();
    for byte in outer {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(unix)]
fn private(place: &TestFolder, name: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(place.path(name), PermissionsExt::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn private(_: &TestFolder, _: &str) {}

#[test]
fn https_is_trusted_by_its_authority_and_not_without() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = Service::on(listener, by_name, Some(Arc::new(tls)));
    let place = place(&service, "ca_file = \"ca.pem\"");
    place.write("ca.pem", &made.cert.pem());
    let url = format!("accounts.http.url=https://{}/login", service.address);
    place.serve(&["--set", &url]).login("anna", "right");
    place.write("ca.pem", &other.cert.pem());
    let server = place.serve(&["--set", &url]);
    let reply = server.tries("anna", "right");
    assert!(!reply.starts_with('2'), "{reply}");
    let (_, log) = server.stop();
    assert!(log.contains("invalid peer certificate"), "{log}");
}

#[test]
fn a_confined_server_reaches_the_service_and_nothing_else() {
    let service = Service::start(by_name);
    let place = place(&service, "");
    // Without active mode the kernel rejects every connection out but these.
    let server = place.serve(&["--set", "active.enabled=false"]);
    let mut client = server.login("anna", "right");
    assert!(client.stores("a.txt", "x").starts_with("226 "));
}
