//! A session without sockets, for the tests of commands and of `gate`.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use wharf_core::account::Account;
use wharf_core::async_trait;
use wharf_core::event::NoEvents;
use wharf_core::permission::{Permissions, Rules};
use wharf_core::storage::Storage;
use wharf_core::users::{Attempt, Denied, Users};
use wharf_proto::command::Command;
use wharf_proto::reply::{Code, Reply};
use wharf_proto::time::Timestamp;
use wharf_storage::Memory;

use crate::command;
use crate::files::SessionFiles;
use crate::gate;
use crate::net::{Link, Listener, Net, Socket};
use crate::next::{Job, Next, ServerSideJob, Transfer};
use crate::pump::{Copying, Digesting, Mover};
use crate::refusal::Refusal;
use crate::session::{LoggedIn, LoginState, Session};
use crate::settings::{ListenTls, Settings};
use crate::shared::Shared;

/// 2026-11-22 12:00:00 UTC.
pub(crate) const NOW: Timestamp = Timestamp { seconds: 1_795_348_800, nanos: 0 };

/// A session, and the files behind it.
pub(crate) struct TestSession {
    pub(crate) session: Session,
    pub(crate) memory: Memory,
}

impl TestSession {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let memory = Memory::with_clock(|| NOW);
        let stores = Arc::new(memory.clone());
        let shared = Shared::new(
            settings,
            Arc::new(TestNet),
            Arc::new(TestUsers),
            stores,
            Arc::new(NoEvents),
        );
        let shared = Arc::new(shared.expect("there is no TLS to set up"));
        let peer: SocketAddr = "192.0.2.7:40000".parse().unwrap();
        let local = "192.0.2.1:21".parse().unwrap();
        let handle = Arc::clone(&shared.registry.register(peer, local).handle);
        let session = Session::new(&shared, handle, local, ListenTls::Explicit);
        Self { session, memory }
    }

    /// Logged in with these permissions everywhere.
    pub(crate) fn logged_in(self, permissions: Permissions) -> Self {
        self.logged_in_with_rules(Rules::everywhere(permissions))
    }

    pub(crate) fn logged_in_with_rules(self, rules: Rules) -> Self {
        let store = Arc::new(self.memory.for_account("anna"));
        self.logged_in_to_store(store, rules)
    }

    /// Logged in to the given store.
    pub(crate) fn logged_in_to_store(mut self, store: Arc<dyn Storage>, rules: Rules) -> Self {
        let account = Account::new("anna", "/", rules.clone());
        let files = SessionFiles::new(store, rules, &self.session.settings.files);
        let admission = &self.session.shared.admission;
        let connection_guard =
            admission.account_guard("anna", wharf_core::account::Count::Unlimited);
        let connection_guard = connection_guard.expect("there is no limit");
        self.session.login = LoginState::LoggedIn(Box::new(LoggedIn {
            account,
            files,
            _connection_guard: connection_guard,
        }));
        self
    }

    pub(crate) fn with_file(self, path: &str, content: &[u8]) -> Self {
        self.memory.put(path, content);
        self
    }

    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.memory.content(path).is_some()
    }

    /// With a data address, as after PORT.
    pub(crate) fn ready(mut self) -> Self {
        let to = SocketAddr::new(self.session.handle.peer.ip(), 40_001);
        self.session.data = Some(Box::new(crate::data::DataPort::Active(to)));
        self
    }

    /// What a listing command sends as data, its lines joined by ` / `; its reply if it sends none.
    pub(crate) async fn list(&mut self, line: &str) -> String {
        let mut lines = match self.run(line).await {
            Ok(Next::Transfer(Transfer { job: Job::List { lines }, .. })) => lines,
            Ok(Next::Reply(reply)) | Err(reply) => return format!("{} only", reply.code),
            Ok(_) => return "no listing".to_owned(),
        };
        let mut all = Vec::new();
        while let Some(piece) = poll_fn(|context| lines.as_mut().poll_next(context)).await {
            match piece {
                Ok(piece) => all.extend_from_slice(&piece),
                Err(error) => {
                    let reply = Refusal::from(error).reply(Code::LOCAL_ERROR);
                    all.extend_from_slice(format!("{} at the end", reply.code).as_bytes());
                }
            }
        }
        String::from_utf8_lossy(&all).trim_end().replace("\r\n", " / ")
    }

    /// Checks and runs a command, and returns what follows it.
    pub(crate) async fn run(&mut self, line: &str) -> Result<Next, Reply> {
        self.run_bytes(line.as_bytes()).await
    }

    async fn run_bytes(&mut self, line: &[u8]) -> Result<Next, Reply> {
        let command = Command::parse(line).expect("a test sends commands");
        let (spec, arg) = command::find(&command).expect("a test sends commands that exist");
        let next = match gate::admit(spec, &self.session, arg) {
            Ok(()) => spec.run(&mut self.session, arg).await,
            Err(refusal) => Err(refusal),
        };
        next.map_err(|refusal| refusal.reply(spec.unavailable))
    }

    /// Sends a command and returns the reply as on the wire, its lines joined by ` / `; `150 …` for
    /// a transfer.
    pub(crate) async fn send(&mut self, line: &str) -> String {
        self.send_bytes(line.as_bytes()).await
    }

    /// The same for bytes that need not be UTF-8.
    pub(crate) async fn send_bytes(&mut self, line: &[u8]) -> String {
        let reply = match self.run_bytes(line).await {
            Ok(Next::Reply(reply) | Next::Close(reply) | Next::Secure(reply)) | Err(reply) => reply,
            Ok(Next::Transfer(transfer)) => return format!("150 {}", transfer.opening),
            Ok(Next::ServerSideJob(job)) => self.run_job(job).await,
        };
        let mut out = Vec::new();
        reply.write(&mut out);
        String::from_utf8_lossy(&out).trim_end().replace("\r\n", " / ")
    }
}

impl TestSession {
    /// Runs a job to its end.
    async fn run_job(&self, job: ServerSideJob) -> Reply {
        let (rate_limiter, shared) = (self.session.rate_limiter(None), &self.session.shared);
        let mover = Mover::new(&rate_limiter, &self.session.handle, &shared.blocking_pool);
        match job {
            ServerSideJob::Digest { source, bytes, of, to_reply } => {
                let mut digesting = Digesting::new(source, bytes, of, &mover);
                to_reply(mover.run(&mut digesting).await.expect("memory does not fail"))
            }
            ServerSideJob::RemoveTree { at } => {
                let files = self.session.files().expect("the session is logged in").clone();
                let pool = shared.blocking_pool.clone();
                match crate::server_side_job::remove_tree(files, &at, &mut Vec::new(), pool).await {
                    Ok(()) => Reply::new(Code::FILE_DONE, "Removed."),
                    Err(refusal) => refusal.reply(Code::FILE_UNAVAILABLE),
                }
            }
            ServerSideJob::Copy { source, mut sink, .. } => {
                let mut copying = Copying::new(source, &mut *sink, &mover);
                mover.run(&mut copying).await.expect("memory does not fail");
                sink.commit().await.expect("memory does not fail");
                Reply::new(Code::FILE_DONE, "Copied.")
            }
        }
    }
}

struct TestUsers;

#[async_trait]
impl Users for TestUsers {
    async fn login(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        match (attempt.user, attempt.secret) {
            // As in a directory: three spellings, one account.
            ("anna" | "ANNA" | "anna@example.com", b"secret") => {
                Ok(Account::new("anna", "/", Rules::everywhere(Permissions::ALL)))
            }
            ("张三" | "Jörg", secret)
                if secret == "密码123".as_bytes() || secret == "süß".as_bytes() =>
            {
                Ok(Account::new(attempt.user, "/", Rules::everywhere(Permissions::ALL)))
            }
            // A hash of what an old server got in its old character set.
            ("old", b"s\xfc\xdf") => {
                Ok(Account::new("old", "/", Rules::everywhere(Permissions::ALL)))
            }
            ("anna@example.com", _) => Err(Denied::WrongPasswordOf("anna".to_owned())),
            ("far", b"secret") => Err(Denied::ByRule("from 10.0.0.0/8 only".to_owned())),
            ("anna" | "ANNA" | "far" | "张三" | "Jörg" | "old", _) => Err(Denied::WrongPassword),
            _ => Err(Denied::UnknownUser),
        }
    }

    fn is_anonymous(&self, user: &str) -> bool {
        user == "anonymous"
    }
}

/// Listens for data on every port but odd ones, and connects to nothing.
struct TestNet;

#[async_trait]
impl Net for TestNet {
    async fn listen(&self, _at: SocketAddr, _takes_ipv4: bool) -> io::Result<Box<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn listen_data(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>> {
        if at.port() % 2 == 1 {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(Box::new(SilentListener(at)))
    }

    async fn connect(&self, _from: SocketAddr, _to: SocketAddr) -> io::Result<Socket> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }

    fn now(&self) -> Timestamp {
        NOW
    }
}

struct SilentListener(SocketAddr);

#[async_trait]
impl Listener for SilentListener {
    fn local_address(&self) -> SocketAddr {
        self.0
    }

    async fn accept(&self) -> io::Result<Socket> {
        std::future::pending().await
    }
}

/// One end of a connection in memory, as a socket.
pub(crate) fn link(end: DuplexStream) -> Socket {
    Socket::Link(Box::new(LinkEnd(end)))
}

struct LinkEnd(DuplexStream);

impl Link for LinkEnd {
    fn peer_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 40_000))
    }

    fn local_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 21))
    }
}

impl AsyncRead for LinkEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for LinkEnd {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
