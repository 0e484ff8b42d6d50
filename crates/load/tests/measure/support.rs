//! A wharf with files in memory, and a server with scripted replies.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls_pki_types::ServerName;
use wharf_core::account::{Account, Count};
use wharf_core::permission::{Permissions, Rules};
use wharf_core::storage::SharedStore;
use wharf_load::{
    LoadCase, Pattern, Plan, RunOutcome, RunProgress, TargetServer, TlsMode, TlsOptions, prepare,
};
use wharf_server::certificate::Certificate;
use wharf_server::settings::{Listen, ListenTls, SessionReuse, Settings, TlsRequire, TlsVersion};
use wharf_server::{Handle, Server};
use wharf_storage::Memory;
use wharf_users::single::Single;

/// A server, and access to its files.
pub(crate) struct TestServer {
    pub(crate) files: Memory,
    address: SocketAddr,
    certificate: Vec<u8>,
    mode: Option<TlsMode>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    pub(crate) fn plain() -> Self {
        Self::new(None)
    }

    pub(crate) fn new(mode: Option<TlsMode>) -> Self {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let der = key.cert.der().clone();
        let private = rustls_pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
        let certificate = Certificate::from_der(vec![der.clone()], private.into()).unwrap();
        let tls = match mode {
            Some(TlsMode::Implicit) => ListenTls::Implicit,
            _ => ListenTls::Explicit,
        };
        let listen =
            Listen { address: [127, 0, 0, 1].into(), ports: vec![0], tls, ..Listen::default() };
        let mut settings = Settings { listen: vec![listen], ..Settings::default() };
        settings.limits.connections_per_ip = Count::from_number(0);
        settings.limits.sessions_per_user = Count::from_number(0);
        settings.login.failure_delay = Duration::ZERO;
        settings.passive.ports = 49_300..=49_999;
        settings.tls = Some(wharf_server::settings::Tls {
            certificate,
            require: if mode.is_some() { TlsRequire::All } else { TlsRequire::Off },
            min_version: TlsVersion::V1_2,
            session_reuse: SessionReuse::Prefer,
            require_close_notify: true,
            server_names: Vec::new(),
        });
        let rules = Rules::everywhere(Permissions::ALL);
        let users = Arc::new(Single::new(Account::new("anna", "/", rules), b"secret"));
        let files = Memory::new();
        let stores = Arc::new(SharedStore(Arc::new(files.clone())));
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let bound = Server::new(settings, users, stores).bind().await.unwrap();
                sender.send((bound.listeners()[0].address, bound.handle())).unwrap();
                bound.serve().await;
            });
        });
        let (address, handle) = receiver.recv().unwrap();
        let certificate = der.to_vec();
        Self { files, address, certificate, mode, handle, thread: Some(thread) }
    }

    pub(crate) fn target(&self) -> TargetServer {
        let mut target = TargetServer::new(self.address, "anna", "secret");
        let name = ServerName::try_from("localhost").unwrap();
        target.tls = self
            .mode
            .map(|mode| TlsOptions { mode, ..TlsOptions::accepting_any_certificate(name) });
        target
    }

    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Stores a file with the pattern.
    pub(crate) fn put_pattern(&self, path: &str, length: u64) {
        let mut bytes = Vec::new();
        Pattern::new().write(&mut bytes, length).unwrap();
        self.files.put(path, bytes);
    }

    pub(crate) fn measure(&self, plan: &Plan) -> RunOutcome {
        measure(&self.target(), plan)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.handle.shut_down(Duration::ZERO);
        let _ = self.thread.take().unwrap().join();
    }
}

pub(crate) fn measure(target: &TargetServer, plan: &Plan) -> RunOutcome {
    let mut prepared = prepare(target, plan).unwrap();
    let outcome = prepared.run(&RunProgress::default());
    prepared.finish().unwrap();
    outcome
}

pub(crate) fn plan(case: LoadCase, sessions: usize, count: u64) -> Plan {
    Plan { sessions, count, ..Plan::new(case) }
}

/// Asserts that there were no errors, and the number of operations.
#[track_caller]
pub(crate) fn went_well(outcome: &RunOutcome, operations: u64) {
    assert_eq!(outcome.error_list, []);
    assert_eq!((outcome.operations, outcome.errors), (operations, 0));
    assert_eq!(outcome.latency.samples, operations);
    assert!(outcome.latency.p50 <= outcome.latency.p99 && !outcome.wall.is_zero());
}

/// A server that answers one client by the verb of each command: the reply, and what is sent over
/// the data connection before. Other verbs are answered with 200.
pub(crate) fn scripted(
    answers: &'static [(&'static str, &'static str)],
    data: &[u8],
) -> TargetServer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let data = data.to_vec();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // An error only means that the client has disconnected.
            let _ = converse(client, answers, &data);
        }
    });
    TargetServer::new(address, "anna", "secret")
}

fn converse(mut client: TcpStream, answers: &[(&str, &str)], data: &[u8]) -> std::io::Result<()> {
    let passive = TcpListener::bind("127.0.0.1:0")?;
    let port = passive.local_addr()?.port();
    client.write_all(b"220-hello\r\n220 there\r\n")?;
    for line in BufReader::new(client.try_clone()?).lines() {
        let line = line?;
        let verb = line.split(' ').next().unwrap_or_default();
        let answer = answers.iter().find(|(known, _)| *known == verb).map(|(_, answer)| *answer);
        let answer = answer.map_or_else(
            || match verb {
                "USER" => "331 who?".into(),
                "PASS" => "230 in".into(),
                "QUIT" => "221 bye".into(),
                "PASV" => format!("227 at 192,0,2,1,{},{}", port / 256, port % 256),
                "EPSV" => format!("229 at (|||{port}|)"),
                _ => "200 fine".into(),
            },
            str::to_owned,
        );
        client.write_all(format!("{answer}\r\n").as_bytes())?;
        if answer.starts_with("150") {
            passive.accept()?.0.write_all(data)?;
            client.write_all(b"226 done\r\n")?;
        }
    }
    Ok(())
}
