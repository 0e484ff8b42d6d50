//! The PAM backend: a client of the helper.

#[path = "check.rs"]
mod check;
#[path = "message.rs"]
mod message;
#[path = "supervisor.rs"]
mod supervisor;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::Builder as Thread;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use tokio::sync::oneshot;
use wharf_core::async_trait;
use wharf_core::lock;
use wharf_core::users::{Attempt, Denied};
use zeroize::Zeroizing;

pub use supervisor::helper;

use super::PamSettings;
use crate::limit::ConcurrencyLimit;
use crate::source::{AuthBackend, AuthOutcome, AuthUnavailable, ExternalAccount, SourceOpenError};
use message::{PACKET_BYTES_MAX, PamRequest, PamResponse, PamStatus};

/// Starts the helper: `program` is this executable. Call it before privileges are dropped.
///
/// # Errors
/// The process or its socket cannot be created.
pub fn open(
    settings: &PamSettings,
    program: &Path,
) -> Result<Arc<dyn AuthBackend>, SourceOpenError> {
    Ok(Arc::new(Pam::start(settings, program).map_err(SourceOpenError::Helper)?))
}

/// The PAM backend.
struct Pam {
    socket: Arc<HelperSocket>,
    limit: ConcurrencyLimit,
}

impl Pam {
    fn start(settings: &PamSettings, program: &Path) -> io::Result<Self> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Command::new(program)
            .args([supervisor::HELPER_ARGUMENT, supervisor::SUPERVISOR, &settings.service])
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            // Ctrl+C is for the server, which lets transfers finish and may need the helper yet.
            .process_group(0)
            // What a service manager gave, it gave to the server.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_FDNAMES")
            .spawn()?;
        let limit = ConcurrencyLimit::new(settings.at_once, settings.time_max);
        Ok(Self { socket: Arc::new(HelperSocket::new(ours)), limit })
    }

    async fn request(&self, attempt: &Attempt<'_>) -> Result<AuthOutcome, AuthUnavailable> {
        let response = Arc::clone(&self.socket).request(attempt)?.response().await;
        match response {
            Some(PamResponse { status, text }) => verdict(status, text),
            None => Err(AuthUnavailable::Broken(HELPER_GONE.to_owned())),
        }
    }
}

/// The reason after the helper has exited.
const HELPER_GONE: &str = "the PAM helper has exited; restart wharf";

fn verdict(status: PamStatus, text: String) -> Result<AuthOutcome, AuthUnavailable> {
    Ok(match status {
        PamStatus::Right => {
            let system_home = (!text.is_empty()).then(|| PathBuf::from(text));
            AuthOutcome::Authenticated(Box::new(ExternalAccount {
                system_home,
                ..ExternalAccount::default()
            }))
        }
        PamStatus::Unknown => AuthOutcome::Unknown,
        PamStatus::Wrong => AuthOutcome::wrong(),
        PamStatus::Expired => AuthOutcome::rejected(text),
        PamStatus::Locked => AuthOutcome::Denied(Denied::Disabled),
        PamStatus::Busy => return Err(AuthUnavailable::Busy),
        PamStatus::Broken => return Err(AuthUnavailable::Broken(text)),
    })
}

#[async_trait]
impl AuthBackend for Pam {
    fn name(&self) -> &'static str {
        "pam"
    }

    async fn authenticate(&self, attempt: &Attempt<'_>) -> Result<AuthOutcome, AuthUnavailable> {
        // An empty password opens accounts without one if the rules contain `nullok`, and PAM
        // ignores everything after a NUL.
        if attempt.secret.is_empty() || attempt.secret.contains(&0) {
            return Ok(AuthOutcome::wrong());
        }
        self.limit.run(self.request(attempt)).await
    }
}

/// The socket to the helper, and the pending requests.
struct HelperSocket {
    socket: OwnedFd,
    state: Mutex<HelperState>,
}

#[derive(Default)]
struct HelperState {
    waiting: HashMap<u32, oneshot::Sender<PamResponse>>,
    last: u32,
    /// Whether a thread reads the responses. It is started by the first login, after privileges
    /// were dropped: threads inherit the privileges of their creator.
    is_read: bool,
    is_gone: bool,
}

impl HelperSocket {
    fn new(socket: OwnedFd) -> Self {
        Self { socket, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, HelperState> {
        // No code under this lock panics halfway.
        lock(&self.state)
    }

    /// Sends a request without waiting for the response.
    fn request(self: Arc<Self>, attempt: &Attempt<'_>) -> Result<PendingRequest, AuthUnavailable> {
        let (sender, receiver) = oneshot::channel();
        let number = {
            let mut state = self.state();
            if state.is_gone {
                return Err(AuthUnavailable::Broken(HELPER_GONE.to_owned()));
            }
            if !state.is_read {
                let socket = Arc::clone(&self);
                let reading = Thread::new().name("pam".to_owned()).spawn(move || socket.read());
                reading.map_err(|error| AuthUnavailable::Broken(error.to_string()))?;
                state.is_read = true;
            }
            state.last = state.last.wrapping_add(1);
            let number = state.last;
            state.waiting.insert(number, sender);
            number
        };
        let waiting = PendingRequest { socket: self, number, receiver };
        let address = attempt.peer.to_canonical().to_string();
        let request =
            PamRequest { number, user: attempt.user, address: &address, secret: attempt.secret };
        let packet = Zeroizing::new(request.to_bytes());
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::send(&waiting.socket.socket, &packet, flags) {
            Ok(_) => Ok(waiting),
            Err(Errno::AGAIN) => {
                Err(AuthUnavailable::Broken("the PAM helper is overloaded".to_owned()))
            }
            Err(_) => Err(AuthUnavailable::Broken(HELPER_GONE.to_owned())),
        }
    }

    /// Dispatches responses until the helper is gone. Blocks.
    fn read(&self) {
        let mut packet = [0; PACKET_BYTES_MAX];
        loop {
            match rustix::net::recv(&self.socket, packet.as_mut_slice(), RecvFlags::empty()) {
                Ok((0, _)) => break,
                Ok((length, _)) => {
                    let received = packet.get(..length).and_then(PamResponse::from_bytes);
                    if let Some((number, response)) = received
                        && let Some(waiting) = self.state().waiting.remove(&number)
                    {
                        // The request was cancelled.
                        let _ = waiting.send(response);
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        let mut state = self.state();
        state.is_gone = true;
        state.waiting.clear();
    }
}

/// A request without its response. Dropping it cancels it.
struct PendingRequest {
    socket: Arc<HelperSocket>,
    number: u32,
    receiver: oneshot::Receiver<PamResponse>,
}

impl PendingRequest {
    async fn response(mut self) -> Option<PamResponse> {
        (&mut self.receiver).await.ok()
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.socket.state().waiting.remove(&self.number);
    }
}
