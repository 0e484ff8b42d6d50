//! What must not end the server: accept errors, and a session that panics.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use wharf_core::account::Account;
use wharf_core::async_trait;
use wharf_core::permission::{Permissions, Rules};
use wharf_core::users::{Attempt, Denied, Users};
use wharf_proto::time::Timestamp;
use wharf_storage::Memory;

use super::Server;
use crate::net::{Listener, Net, Socket};
use crate::settings::Settings;
use crate::testing::link;

/// The result of each accept.
type AcceptScript = Arc<Mutex<VecDeque<io::Result<Socket>>>>;

#[tokio::test(start_paused = true)]
async fn row_06_listening_continues_after_every_accept_error() {
    // Too many open files, an aborted connection, no buffers: the codes of Linux.
    let errors = [24, 23, 103, 105, 24].map(|code| Err(io::Error::from_raw_os_error(code)));
    let (ours, theirs) = tokio::io::duplex(4096);
    let script = errors.into_iter().chain([Ok(link(theirs))]).collect();
    let served = serve(script, async {
        let mut client = BufReader::new(ours);
        assert_eq!(line(&mut client).await, "220 Service ready.");
    });
    served.await;
}

#[tokio::test(start_paused = true)]
async fn row_47_a_session_that_panics_ends_alone() {
    let (one, first) = tokio::io::duplex(4096);
    let (other, second) = tokio::io::duplex(4096);
    let served = serve([Ok(link(first)), Ok(link(second))].into(), async {
        let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
        assert_eq!(line(&mut other).await, "220 Service ready.");
        assert_eq!(line(&mut one).await, "220 Service ready.");
        one.get_mut().write_all(b"USER boom\r\nPASS x\r\n").await.unwrap();
        assert_eq!(line(&mut one).await, "331 Please specify the password.");
        assert_eq!(line(&mut one).await, "", "the session is gone");
        other.get_mut().write_all(b"USER anna\r\nPASS x\r\nQUIT\r\n").await.unwrap();
        assert_eq!(line(&mut other).await, "331 Please specify the password.");
        assert_eq!(line(&mut other).await, "230 Login successful.");
        assert_eq!(line(&mut other).await, "221 Goodbye.");
    });
    served.await;
}

/// Serves while the clients talk, and then stops.
async fn serve(script: VecDeque<io::Result<Socket>>, clients: impl Future<Output = ()>) {
    let net = Arc::new(Scripted(Arc::new(Mutex::new(script))));
    let server =
        Server::new(Settings::default(), Arc::new(PanickingUsers), Arc::new(Memory::new()));
    let bound = server.net(net).bind().await.unwrap();
    let handle = bound.handle();
    let clients = async {
        clients.await;
        handle.shut_down(Duration::ZERO);
    };
    tokio::join!(bound.serve(), clients);
    assert_eq!(handle.sessions(), 0);
}

/// The next line; empty at the end.
async fn line(client: &mut BufReader<DuplexStream>) -> String {
    let mut line = String::new();
    client.read_line(&mut line).await.unwrap();
    line.trim_end().to_owned()
}

/// Accepts every login, except that one name panics.
struct PanickingUsers;

#[async_trait]
impl Users for PanickingUsers {
    async fn login(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        assert_ne!(attempt.user, "boom", "a fault on purpose");
        Ok(Account::new(attempt.user, "/", Rules::everywhere(Permissions::ALL)))
    }
}

struct Scripted(AcceptScript);

#[async_trait]
impl Net for Scripted {
    async fn listen(&self, at: SocketAddr, _: bool) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(ScriptedListener(at, Arc::clone(&self.0))))
    }

    async fn listen_data(&self, _: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn connect(&self, _: SocketAddr, _: SocketAddr) -> io::Result<Socket> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }

    fn now(&self) -> Timestamp {
        Timestamp::default()
    }
}

struct ScriptedListener(SocketAddr, AcceptScript);

#[async_trait]
impl Listener for ScriptedListener {
    fn local_address(&self) -> SocketAddr {
        self.0
    }

    async fn accept(&self) -> io::Result<Socket> {
        let next = self.1.lock().unwrap().pop_front();
        match next {
            Some(next) => next,
            None => std::future::pending().await,
        }
    }
}
