//! The API on a real socket, in front of a real engine.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]
#![expect(clippy::disallowed_methods, reason = "a client needs a socket")]

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::slice;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixListener};
use wharf_admin::client::{AdminClient, RequestError};
use wharf_admin::listener::AdminSocket;
use wharf_admin::model::{
    Ban, Certificate, EmptyResponse, Kick, Kicked, LastReload, Lock, NewBan, PassiveFailure,
    Problem, Reloaded, Session, SessionDetails, SessionState, State, Status, Stop, Totals, Unlock,
    Upgraded,
};
use wharf_admin::routes::ROUTES;
use wharf_admin::{AdminBackend, Api, LogLines};
use wharf_core::account::Account;
use wharf_core::permission::{Permissions, Rules};
use wharf_server::settings::{Listen, Settings};
use wharf_server::{Handle, Server};
use wharf_storage::Memory;
use wharf_users::single::Single;

/// A backend that records its calls.
#[derive(Default)]
struct RecordingBackend {
    bans: Mutex<Vec<Ban>>,
    log_request: Mutex<Vec<String>>,
    stopped: Mutex<Vec<Option<Duration>>>,
}

struct Lines(Vec<String>);

impl Stream for Lines {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<String>> {
        Poll::Ready(self.0.pop())
    }
}

#[async_trait]
impl AdminBackend for RecordingBackend {
    fn config(&self) -> Option<String> {
        Some("/etc/wharf/wharf.toml".into())
    }
    fn totals(&self) -> Totals {
        Totals { logins: 7, ..Totals::default() }
    }
    fn connections_max(&self) -> Option<u64> {
        Some(512)
    }
    fn passive_ports(&self) -> String {
        "30000-30999".into()
    }
    fn passive_failures(&self) -> Vec<PassiveFailure> {
        Vec::new()
    }
    fn certificate(&self) -> Option<Certificate> {
        None
    }
    fn last_reload(&self) -> Option<LastReload> {
        None
    }
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
    fn metrics(&self) -> String {
        "wharf_up 1\n".into()
    }
    fn bans(&self) -> Vec<Ban> {
        self.bans.lock().unwrap().clone()
    }
    async fn ban(&self, ban: NewBan) -> Result<Ban, Problem> {
        let NewBan { network, reason, .. } = ban;
        let reason = reason.unwrap_or_default();
        let since = "2026-01-01T00:00:00Z".into();
        let ban = Ban { network, reason, since, until: None, consecutive_bans: 1, manual: true };
        self.bans.lock().unwrap().push(ban.clone());
        Ok(ban)
    }
    fn locks(&self) -> Vec<Lock> {
        vec![Lock { user: "anna".into(), until: "2026-01-01T00:00:00Z".into() }]
    }
    async fn unlock(&self, users: Option<Vec<String>>) -> Result<Vec<String>, Problem> {
        Ok(users.unwrap_or_else(|| vec!["anna".into()]))
    }
    async fn unban(&self, addresses: Option<Vec<String>>) -> Result<Vec<String>, Problem> {
        let mut bans = self.bans.lock().unwrap();
        let is_meant = |ban: &Ban| addresses.as_ref().is_none_or(|all| all.contains(&ban.network));
        let lifted = bans.iter().filter(|ban| is_meant(ban)).map(|ban| ban.network.clone());
        let lifted = lifted.collect();
        bans.retain(|ban| !is_meant(ban));
        Ok(lifted)
    }
    async fn reload(&self) -> Result<Reloaded, Problem> {
        Err(Problem { error: "invalid configuration in wharf.toml: 1 error".into(), hint: None })
    }
    async fn upgrade(&self) -> Result<Upgraded, Problem> {
        Ok(Upgraded { pid: 2, old_pid: 1, sessions: 3 })
    }
    fn stop(&self, grace: Option<Duration>) {
        self.stopped.lock().unwrap().push(grace);
    }
    fn log_request(&self, peer: &str, method: &str, path: &str) {
        assert!(peer.starts_with("uid="), "{peer}");
        self.log_request.lock().unwrap().push(format!("{method} {path}"));
    }
    fn is_stopping(&self) -> bool {
        !self.stopped.lock().unwrap().is_empty()
    }
    fn log(&self, count: usize, session: Option<u64>, follow: bool) -> LogLines {
        assert!(!follow);
        Box::pin(Lines(vec![format!("{count} {session:?}\n")]))
    }
}

/// A server with one account, and the socket of its API.
struct Running {
    socket: PathBuf,
    address: std::net::SocketAddr,
    handle: Handle,
    backend: Arc<RecordingBackend>,
}

impl Running {
    /// Runs `test` beside the server and its API.
    fn with<F: Future<Output = ()>>(test: impl FnOnce(Self, AdminClient) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let anna = Account::new("anna", "/", Rules::everywhere(Permissions::ALL));
            let users = Arc::new(Single::new(anna, b"secret"));
            let address = "127.0.0.1".parse().unwrap();
            let listen = Listen { address, ports: vec![0], ..Listen::default() };
            let settings = Settings { listen: vec![listen], ..Settings::default() };
            let server = Server::new(settings, users, Arc::new(Memory::new()));
            let bound = server.bind().await.unwrap();
            let backend = Arc::new(RecordingBackend::default());
            let socket = folder.path().join("control");
            let listener = AdminSocket::open(&socket, &socket, None).unwrap();
            let handle = bound.handle();
            let api = Api::new(handle.clone(), bound.listeners(), backend.clone());
            let address = bound.listeners()[0].address;
            let client = AdminClient::new(&socket);
            let running = Self { socket, address, handle, backend };
            tokio::select! {
                biased;
                () = test(running, client) => {}
                () = bound.serve() => panic!("it serves until the test is over"),
                () = listener.serve(api) => panic!("it answers until the test is over"),
            }
        });
    }

    async fn login(&self) -> BufReader<TcpStream> {
        let mut client = BufReader::new(TcpStream::connect(self.address).await.unwrap());
        assert!(reply(&mut client).await.starts_with("220"));
        for (line, code) in [("USER anna", "331"), ("PASS secret", "230"), ("TYPE I", "200")] {
            client.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
            let received = reply(&mut client).await;
            assert!(received.starts_with(code), "{received}");
        }
        client
    }
}

async fn reply(client: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    client.read_line(&mut line).await.unwrap();
    line
}

#[test]
fn sessions_are_listed_and_ended() {
    Running::with(|running, client| async move {
        let mut anna = running.login().await;
        let sessions: Vec<Session> = client.get("/v1/sessions").await.unwrap();
        let [session] = &sessions[..] else { panic!("{sessions:?}") };
        assert_eq!((session.user.as_deref(), session.state), (Some("anna"), SessionState::Idle));
        assert_eq!(session.ip, "127.0.0.1");
        let details: SessionDetails =
            client.get(&format!("/v1/sessions/{}", session.session_id)).await.unwrap();
        let lines: Vec<_> =
            details.history.iter().map(|entry| (&*entry.line, entry.code)).collect();
        assert_eq!(lines, [("USER anna", 331), ("PASS", 230), ("TYPE I", 200)]);

        let kick = Kick { sessions: vec![session.session_id, 999], ..Kick::default() };
        let rejected = client.post::<Kicked>("/v1/kick", &kick).await.unwrap_err();
        assert!(matches!(&rejected, RequestError::Rejected { status: 404, .. }), "{rejected:?}");
        assert_eq!(running.handle.sessions(), 1, "nothing was done by half");

        let reason = Some("Come back tomorrow.".to_owned());
        let kick =
            Kick { users: vec!["anna".into()], reason, ban_seconds: Some(60), ..Kick::default() };
        let kicked: Kicked = client.post("/v1/kick", &kick).await.unwrap();
        assert_eq!(
            (kicked.sessions, kicked.banned),
            (vec![session.session_id], vec!["127.0.0.1".into()])
        );
        assert_eq!(reply(&mut anna).await, "421 Come back tomorrow.\r\n");
        assert_eq!(reply(&mut anna).await, "");
        assert_eq!(
            *running.backend.log_request.lock().unwrap(),
            ["POST /v1/kick", "POST /v1/kick"]
        );
    });
}

#[test]
fn the_status_counts_and_the_program_is_called() {
    Running::with(|running, client| async move {
        let _anna = running.login().await;
        let status: Status = client.get("/v1/status").await.unwrap();
        assert_eq!((status.sessions.total, status.sessions.logged_in), (1, 1));
        assert_eq!((status.state, status.totals.logins), (State::Serving, 7));
        assert_eq!(status.listeners[0].address, running.address.to_string());

        let network = "192.0.2.0/24".to_owned();
        let ban = NewBan { network, duration_seconds: None, reason: None, kick: false };
        let _: Ban = client.ban(&ban).await.unwrap();
        let bans: Vec<Ban> = client.get("/v1/bans").await.unwrap();
        assert_eq!(bans[0].network, "192.0.2.0/24");
        let locks: Vec<Lock> = client.get("/v1/locks").await.unwrap();
        assert_eq!(locks[0].user, "anna");
        let unlocked: Vec<String> = client.post("/v1/unlock", &Unlock::default()).await.unwrap();
        assert_eq!(unlocked, ["anna"]);
        client.ban(&NewBan { network: "198.51.100.7".into(), ..ban }).await.unwrap();
        let lifted = client.unban(&["192.0.2.0/24".to_owned()]).await.unwrap();
        assert_eq!(lifted, ["192.0.2.0/24"]);
        // The parameter of earlier versions. Without any, all bans would be removed.
        let lifted: Vec<String> = client.delete("/v1/bans?address=192.0.2.1").await.unwrap();
        assert_eq!(lifted, [""; 0]);

        let rejected = client.post::<Reloaded>("/v1/reload", &EmptyResponse {}).await.unwrap_err();
        assert_eq!(rejected.to_string(), "invalid configuration in wharf.toml: 1 error");
        let handed = client.upgrade().await.unwrap();
        assert_eq!((handed.pid, handed.old_pid, handed.sessions), (2, 1, 3));
        let mut log = Vec::new();
        let take = |piece: &[u8]| log.extend_from_slice(piece);
        client.follow("/v1/log?lines=5&session_id=1", take).await.unwrap();
        let take = |piece: &[u8]| log.extend_from_slice(piece);
        client.follow("/v1/log?lines=6&session=2", take).await.unwrap();
        assert_eq!(String::from_utf8(log).unwrap(), "5 Some(1)\n6 Some(2)\n");
        let _: EmptyResponse =
            client.post("/v1/stop", &Stop { grace_seconds: Some(3) }).await.unwrap();
        assert_eq!(*running.backend.stopped.lock().unwrap(), [Some(Duration::from_secs(3))]);
        let status: Status = client.get("/v1/status").await.unwrap();
        assert_eq!(status.state, State::Stopping);
    });
}

#[test]
fn an_invalid_request_is_rejected_and_changes_nothing() {
    Running::with(|running, client| async move {
        let _anna = running.login().await;
        let wrong = serde_json::json!({ "sesions": [1] });
        let rejected = client.post::<Kicked>("/v1/kick", &wrong).await.unwrap_err();
        assert!(rejected.to_string().contains("sesions"), "{rejected}");
        let kick = Kick { addresses: vec!["192.0.2".into()], all: true, ..Kick::default() };
        let rejected = client.post::<Kicked>("/v1/kick", &kick).await.unwrap_err();
        assert!(rejected.to_string().contains("invalid address or network"), "{rejected}");
        let rejected = client.get::<Status>("/v2/status").await.unwrap_err();
        assert!(matches!(&rejected, RequestError::Rejected { status: 404, .. }), "{rejected:?}");
        let rejected = client.get::<Session>("/v1/sessions/one").await.unwrap_err();
        assert!(rejected.to_string().contains("invalid session id"), "{rejected}");
        assert_eq!(running.handle.sessions(), 1);
    });
}

#[test]
fn every_documented_path_exists() {
    Running::with(|_running, client| async move {
        for route in ROUTES {
            let path = route.path.replace("{id}", "1");
            let log_request = match route.method {
                "get" => client.follow(&path, |_| {}).await,
                "post" => {
                    client.post::<serde_json::Value>(&path, &EmptyResponse {}).await.map(|_| ())
                }
                _ => client.delete::<serde_json::Value>(&path).await.map(|_| ()),
            };
            if let Err(RequestError::Rejected { problem, status }) = &log_request {
                assert_ne!(problem.error, "unknown path", "{path}");
                assert_ne!(*status, 405, "{path}");
            }
        }
    });
}

#[test]
fn a_socket_is_for_its_owner_and_one_server() {
    Running::with(|running, client| async move {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&running.socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second =
            AdminSocket::open(&running.socket, &running.socket, None).err().expect("it is taken");
        assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse);
        let _: Status = client.get("/v1/status").await.expect("the first still answers");
        let missing = AdminClient::new(Path::new("/nowhere/control"));
        let rejected = missing.get::<Status>("/v1/status").await.unwrap_err();
        let missing_reason = "no server is running: cannot connect to /nowhere/control: \
                              no such file or directory";
        assert_eq!(rejected.to_string(), missing_reason);
        let file = running.socket.with_file_name("file");
        std::fs::write(&file, "x").unwrap();
        let rejected = AdminClient::new(&file).get::<Status>("/v1/status").await.unwrap_err();
        assert!(matches!(&rejected, RequestError::NotASocket(_)), "{rejected:?}");
        // A socket file left by a killed server.
        let left = running.socket.with_file_name("left");
        drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
        assert!(left.exists());
        let rejected = AdminClient::new(&left).get::<Status>("/v1/status").await.unwrap_err();
        assert!(rejected.to_string().ends_with("left: connection refused"), "{rejected}");
        drop(AdminSocket::open(&left, &left, None).unwrap());
        assert!(!left.exists(), "a listener removes its socket file");
    });
}

/// Answers requests as a server of the previous version: the status with old names of fields, and
/// the old path of an upgrade. Any other path is unknown to it.
async fn previous_version(listener: UnixListener) {
    let status = r#"{"version":"0.0.9","pid":1,"state":"serving","started":"","seconds":9,
        "config":null,"listeners":[],"sessions":{"total":0,"logged_in":0,"transferring":0,
        "max":512},"rates":{"upload":0,"download":0},"totals":{"connections":0,
        "rejected_connections":0,"logins":0,"failed_logins":0,"uploads":0,"downloads":0,
        "failed_transfers":0,"uploaded_bytes":0,"downloaded_bytes":0},"passive":{"ports":"",
        "in_use":0,"failures":[{"network":"192.0.2.0/24","cause":"no-connection","seen":"x",
        "failed":2,"arrived":3,"last":"l","detail":"","hint":""}]},"bans":0,"certificate":
        {"fingerprint":"","names":[],"not_after":null,"days_left":null,"is_self_made":true},
        "reload":{"at":"t","is_in_force":false,"problem":"p"},"warnings":[],
        "home_folders":["/srv"]}"#;
    let upgraded = r#"{"pid":2,"old_pid":1,"sessions":3}"#;
    let sessions = r#"[{"id":7,"user":null,"ip":"192.0.2.7","port":1,"local":"","tls":null,
        "client":null,"charset":"","state":"up","command":null,"path":null,"bytes":null,
        "size":null,"rate":null,"average":null,"transfer_seconds":5,"since":"","seconds":9,
        "idle_seconds":0}]"#;
    let ban = r#"{"address":"192.0.2.0/24","reason":"","since":"","until":null,"times":1,
        "manual":true}"#;
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let mut length = 0;
        stream.read_line(&mut line).await.unwrap();
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.unwrap();
            if let Some(value) = header.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if header.trim().is_empty() {
                break;
            }
        }
        let mut request = vec![0; length];
        stream.read_exact(&mut request).await.unwrap();
        let request = String::from_utf8(request).unwrap();
        let (status, body) = match line.split(' ').nth(1).unwrap() {
            "/v1/status" => ("200 OK", status),
            "/v1/sessions" => ("200 OK", sessions),
            "/v1/bans" if request.contains("network") => {
                ("400 Bad Request", r#"{"error":"unknown field `network`","hint":null}"#)
            }
            "/v1/bans" if request.contains("\"seconds\":60") => ("200 OK", ban),
            path if path.contains("&address=192.0.2.0/24") => ("200 OK", r#"["192.0.2.0/24"]"#),
            "/v1/hand-over" => ("200 OK", upgraded),
            _ => ("404 Not Found", r#"{"error":"unknown path","hint":null}"#),
        };
        let length = body.len();
        let reply = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(reply.as_bytes()).await.unwrap();
    }
}

#[test]
fn a_server_of_the_previous_version_is_understood_and_can_be_upgraded() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control");
        let old = tokio::spawn(previous_version(UnixListener::bind(&socket).unwrap()));
        let client = AdminClient::new(&socket);
        let status: Status = client.get("/v1/status").await.unwrap();
        assert_eq!((status.uptime_seconds, status.sandbox_folders), (9, Some(vec!["/srv".into()])));
        assert_eq!(status.sessions.connections_max, Some(512));
        let [failure] = &status.passive.failures[..] else { panic!("{:?}", status.passive) };
        assert_eq!((&*failure.observation, failure.established), ("x", 3));
        assert!(status.certificate.unwrap().is_self_signed);
        let reload = status.reload.unwrap();
        assert_eq!((&*reload.time, reload.error.as_deref()), ("t", Some("p")));
        let [session] = &client.get::<Vec<Session>>("/v1/sessions").await.unwrap()[..] else {
            panic!("one session")
        };
        assert_eq!((session.session_id, session.transfer_duration_seconds), (7, Some(5)));
        let network = "192.0.2.0/24".to_owned();
        let new = NewBan { network, duration_seconds: Some(60), reason: None, kick: true };
        assert_eq!(client.ban(&new).await.unwrap().network, new.network);
        assert_eq!(client.unban(slice::from_ref(&new.network)).await.unwrap(), [new.network]);
        assert_eq!(client.upgrade().await.unwrap().pid, 2);
        let unknown = client.get::<Status>("/v1/unknown").await.unwrap_err();
        assert!(matches!(unknown, RequestError::Rejected { status: 404, .. }), "{unknown}");
        old.abort();
    });
}
