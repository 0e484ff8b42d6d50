//! The helper: a supervisor, and under it a worker that asks PAM.
//!
//! PAM runs modules that are nobody's of ours: they may hang or fall. Each check is a thread. Where
//! all of them hang, the worker gives up, and the supervisor starts another over the same socket.

use std::ffi::OsString;
use std::io::stdin;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder as Thread, sleep};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::time::Instant;
use wharf_core::account::is_name;
use zeroize::Zeroizing;

use super::check::check;
use super::message::{Answer, PACKET_BYTES_MAX, Question, Said};

/// The first word of the program's arguments when it is to be the helper.
pub(super) const WORD: &str = "wharf-pam-helper";
/// The second: who keeps the worker going, and the worker itself.
pub(super) const SUPERVISOR: &str = "supervisor";
const WORKER: &str = "worker";

/// Checks at once, those that hang included.
const CHECKS_MAX: usize = 32;
/// A check that takes longer than any server waits for hangs.
const HANGS_AFTER: Duration = Duration::from_mins(2);
/// Between the end of one worker and the beginning of the next.
const REST: Duration = Duration::from_secs(1);
/// The worker's number at its end when it is hung up.
const HUNG: u8 = 3;

/// Is the helper, if these arguments (without the program's name) say so. Returns the number to
/// end with, when the server is gone.
pub fn helper(words: &[OsString]) -> Option<u8> {
    let [word, role, service] = words else { return None };
    if word != WORD {
        return None;
    }
    let service = service.to_str()?;
    if role == SUPERVISOR {
        Some(supervise(service))
    } else if role == WORKER {
        Some(work(service))
    } else {
        None
    }
}

fn supervise(service: &str) -> u8 {
    let Ok(program) = std::env::current_exe() else { return 1 };
    loop {
        let worker = Command::new(&program)
            .args([WORD, WORKER, service])
            .stdin(Stdio::inherit())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        // It ends well only when the server is gone.
        if worker.is_ok_and(|status| status.success()) {
            return 0;
        }
        sleep(REST);
    }
}

fn work(service: &str) -> u8 {
    let running: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let service: Arc<str> = service.into();
    loop {
        let mut packet = Zeroizing::new(vec![0; PACKET_BYTES_MAX]);
        let length = match recv(stdin(), packet.as_mut_slice(), RecvFlags::empty()) {
            Ok((0, _)) => return 0,
            Ok((length, _)) => length,
            Err(Errno::INTR) => continue,
            Err(_) => return 0,
        };
        packet.truncate(length);
        let Some(question) = Question::from_bytes(&packet) else { continue };
        let number = question.number;
        if !is_name(question.user) {
            reply(number, Said::Unknown);
            continue;
        }
        let began = Instant::now();
        {
            let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
            if running.len() >= CHECKS_MAX {
                let oldest = running.iter().min().map(Instant::elapsed);
                if oldest.is_some_and(|age| age > HANGS_AFTER) {
                    return HUNG;
                }
                reply(number, Said::Busy);
                continue;
            }
            running.push(began);
        }
        let (service, mine) = (Arc::clone(&service), Arc::clone(&running));
        let act = move || {
            let question = Question::from_bytes(&packet);
            if let Some(question) = question {
                answer(question.number, &check(&service, &question));
            }
            leave(&mine, began);
        };
        if Thread::new().name("check".to_owned()).spawn(act).is_err() {
            leave(&running, began);
            reply(number, Said::Busy);
        }
    }
}

fn leave(running: &Mutex<Vec<Instant>>, began: Instant) {
    let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(mine) = running.iter().position(|other| *other == began) {
        running.swap_remove(mine);
    }
}

fn reply(number: u32, said: Said) {
    answer(number, &Answer { said, text: String::new() });
}

fn answer(number: u32, answer: &Answer) {
    // Who does not read any more is gone, which the next question tells.
    let _ = send(stdin(), &answer.to_bytes(number), SendFlags::NOSIGNAL);
}
