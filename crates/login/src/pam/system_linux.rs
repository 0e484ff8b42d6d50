//! PAM asked through the helper.

#[path = "check.rs"]
mod check;
#[path = "helper.rs"]
mod helper;
#[path = "message.rs"]
mod message;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder as Thread;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use tokio::sync::oneshot;
use wharf_core::async_trait;
use wharf_core::users::{Attempt, Denied};
use zeroize::Zeroizing;

pub use helper::helper;

use super::Settings;
use crate::gate::Gate;
use crate::source::{OpenError, Proven, Source, Stopped, Verdict};
use message::{Answer, PACKET_BYTES_MAX, Question, Said};

/// Starts the helper: `program` is this program. Call it before rights are given up.
///
/// # Errors
/// The system starts no program, or gives no socket.
pub fn open(settings: &Settings, program: &Path) -> Result<Arc<dyn Source>, OpenError> {
    Ok(Arc::new(Pam::start(settings, program).map_err(OpenError::Helper)?))
}

/// The system, asked through the helper.
struct Pam {
    link: Arc<Link>,
    gate: Gate,
}

impl Pam {
    fn start(settings: &Settings, program: &Path) -> io::Result<Self> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Command::new(program)
            .args([helper::WORD, helper::SUPERVISOR, &settings.service])
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
        let gate = Gate::new(settings.at_once, settings.time_max);
        Ok(Self { link: Arc::new(Link::over(ours)), gate })
    }

    async fn ask(&self, attempt: &Attempt<'_>) -> Result<Verdict, Stopped> {
        let answer = Arc::clone(&self.link).ask(attempt)?.answer().await;
        match answer {
            Some(Answer { said, text }) => verdict(said, text),
            None => Err(Stopped::Broken(GONE.to_owned())),
        }
    }
}

/// Why there is nobody to ask any more.
const GONE: &str = "the helper that asks PAM is gone; restart wharf";

fn verdict(said: Said, text: String) -> Result<Verdict, Stopped> {
    Ok(match said {
        Said::Right => {
            let system_home = (!text.is_empty()).then(|| PathBuf::from(text));
            Verdict::Proven(Box::new(Proven { system_home, ..Proven::default() }))
        }
        Said::Unknown => Verdict::Unknown,
        Said::Wrong => Verdict::wrong(),
        Said::Expired => Verdict::refused(text),
        Said::Locked => Verdict::Denied(Denied::Disabled),
        Said::Busy => return Err(Stopped::Busy),
        Said::Broken => return Err(Stopped::Broken(text)),
    })
}

#[async_trait]
impl Source for Pam {
    fn name(&self) -> &'static str {
        "pam"
    }

    async fn prove(&self, attempt: &Attempt<'_>) -> Result<Verdict, Stopped> {
        // An empty password opens accounts without one where the rules say `nullok`, and a NUL
        // would hide what follows.
        if attempt.secret.is_empty() || attempt.secret.contains(&0) {
            return Ok(Verdict::wrong());
        }
        self.gate.pass(self.ask(attempt)).await
    }
}

/// The socket to the helper, and who waits for an answer.
struct Link {
    socket: OwnedFd,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<u32, oneshot::Sender<Answer>>,
    last: u32,
    /// Whether somebody reads the answers. That thread is made by the first login, since it must
    /// come after rights were given up: threads inherit those of who makes them.
    is_read: bool,
    is_gone: bool,
}

impl Link {
    fn over(socket: OwnedFd) -> Self {
        Self { socket, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can fall halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks without waiting for the answer.
    fn ask(self: Arc<Self>, attempt: &Attempt<'_>) -> Result<Waiting, Stopped> {
        let (sender, receiver) = oneshot::channel();
        let number = {
            let mut state = self.state();
            if state.is_gone {
                return Err(Stopped::Broken(GONE.to_owned()));
            }
            if !state.is_read {
                let link = Arc::clone(&self);
                let reading = Thread::new().name("pam".to_owned()).spawn(move || link.read());
                reading.map_err(|error| Stopped::Broken(error.to_string()))?;
                state.is_read = true;
            }
            state.last = state.last.wrapping_add(1);
            let number = state.last;
            state.waiting.insert(number, sender);
            number
        };
        let waiting = Waiting { link: self, number, receiver };
        let address = attempt.peer.to_canonical().to_string();
        let question =
            Question { number, user: attempt.user, address: &address, secret: attempt.secret };
        let packet = Zeroizing::new(question.to_bytes());
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::send(&waiting.link.socket, &packet, flags) {
            Ok(_) => Ok(waiting),
            Err(Errno::AGAIN) => Err(Stopped::Broken("PAM does not keep up".to_owned())),
            Err(_) => Err(Stopped::Broken(GONE.to_owned())),
        }
    }

    /// Hands out answers until the helper is gone. Blocks.
    fn read(&self) {
        let mut packet = [0; PACKET_BYTES_MAX];
        loop {
            match rustix::net::recv(&self.socket, packet.as_mut_slice(), RecvFlags::empty()) {
                Ok((0, _)) => break,
                Ok((length, _)) => {
                    let answered = packet.get(..length).and_then(Answer::from_bytes);
                    if let Some((number, answer)) = answered
                        && let Some(waiting) = self.state().waiting.remove(&number)
                    {
                        // Who has stopped waiting does not mind.
                        let _ = waiting.send(answer);
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

/// A question without its answer. Dropped, nobody waits for it any more.
struct Waiting {
    link: Arc<Link>,
    number: u32,
    receiver: oneshot::Receiver<Answer>,
}

impl Waiting {
    async fn answer(mut self) -> Option<Answer> {
        (&mut self.receiver).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.link.state().waiting.remove(&self.number);
    }
}
