//! `haproxy` in front, which forwards the client address: for control and for data.

use std::net::{SocketAddr, TcpStream};
use std::process::Child;

use crate::support::program::Program;
use crate::support::server::{PASSWORD, Server, Setup, USER};

/// Where the proxy listens. It connects from 127.0.0.1.
const FRONT: &str = "127.0.0.2";
/// Where the client connects from.
const CLIENT: &str = "127.0.0.5";

/// A proxy that runs. Dropping it ends the process.
struct Proxy {
    child: Child,
    port: u16,
}

impl Proxy {
    /// Starts it before a server, with this word for its headers.
    fn start(server: &Server, header: &str) -> Self {
        let (ports, port) = (server.ports().passive(), server.ports().spare());
        let (first, last, control) = (ports.start(), ports.end(), server.port());
        let config = format!(
            "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 60s\n  \
             timeout server 60s\n\
             listen control\n  bind {FRONT}:{port}\n  server s 127.0.0.1:{control} {header}\n\
             listen data\n  bind {FRONT}:{first}-{last}\n  server s 127.0.0.1 {header}\n"
        );
        let path = server.client_dir("haproxy").join("haproxy.cfg");
        std::fs::write(&path, config).expect("it can be written");
        let (child, _) = Program::new("haproxy").arg("-db").arg("-f").arg(&path).start();
        let mut proxy = Self { child, port };
        let address: SocketAddr = format!("{FRONT}:{port}").parse().expect("it is one");
        while TcpStream::connect(address).is_err() {
            let ended = proxy.child.try_wait().expect("the process can be awaited");
            assert!(ended.is_none(), "haproxy ended: {ended:?}");
        }
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn server() -> Server {
    let setup = Setup::new();
    let log = setup.folder().join("log").display().to_string();
    setup
        .set("log", &format!("file = {log:?}"))
        .listeners(|ports| {
            format!(
                "\n[[listen]]\naddress = \"127.0.0.1\"\nport = {}\nproxy = true\n\
                 proxy_from = [\"127.0.0.1\"]\n",
                ports.control()
            )
        })
        .start_quietly()
}

#[test]
fn row_13_a_client_behind_haproxy_is_known_by_its_own_address() {
    for header in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id"] {
        let server = server();
        let proxy = Proxy::start(&server, header);
        let content = b"what goes through a proxy and comes back\n".repeat(10_000);
        std::fs::write(server.client_dir("curl").join("up"), &content).expect("it can be written");
        let curl = |words: &[&str]| {
            Program::new("curl")
                .folder(&server.client_dir("curl"))
                .args(["-sS", "--interface", CLIENT, "-u", &format!("{USER}:{PASSWORD}")])
                .args(words)
                .succeed()
        };
        let url = format!("ftp://{FRONT}:{}/up", proxy.port);
        curl(&["-T", "up", &url]);
        curl(&["-o", "down", &url]);
        let got = std::fs::read(server.client_dir("curl").join("down")).expect("it was downloaded");
        assert!(got == content, "{header}: {} bytes came back", got.len());
        curl(&["-k", "--ssl-reqd", "-o", "tls", &url]);
        let got = std::fs::read(server.client_dir("curl").join("tls")).expect("it was downloaded");
        assert!(got == content, "{header}: {} bytes came back by TLS", got.len());
        let count = |log: &str| log.matches("event=login").count();
        let log = log_when(&server, |log| count(log) >= 3);
        let logins: Vec<_> = log.lines().filter(|line| line.contains("event=login")).collect();
        assert_eq!(logins.len(), 3, "{log}");
        assert!(logins.iter().all(|line| line.contains(CLIENT)), "{logins:?}");
    }
}

#[test]
fn row_13_no_client_bypasses_haproxy() {
    let server = server();
    let outcome = Program::new("curl")
        .args(["-sS", "--interface", CLIENT])
        .arg(format!("ftp://127.0.0.1:{}/", server.port()))
        .run();
    assert_ne!(outcome.code, Some(0), "{}", outcome.shown);
    log_when(&server, |log| log.contains("the peer is not a trusted proxy of this listener"));
}

/// The log once `is_right`: another thread writes it.
fn log_when(server: &Server, is_right: impl Fn(&str) -> bool) -> String {
    loop {
        let log = std::fs::read_to_string(server.folder().join("log")).expect("there is a log");
        if is_right(&log) {
            return log;
        }
        std::thread::yield_now();
    }
}
