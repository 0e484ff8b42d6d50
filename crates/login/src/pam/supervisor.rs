//! The helper: a supervisor and a worker process that calls PAM.
//!
//! PAM runs third-party modules, which may hang or crash. Each check is a thread. If all of them
//! hang, the worker exits, and the supervisor starts another one on the same socket.

use std::ffi::OsString;
use std::io::stdin;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{Builder as Thread, sleep};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::time::Instant;
use wharf_core::account::is_name;
use wharf_core::lock;
use zeroize::Zeroizing;

use super::check::check;
use super::message::{PACKET_BYTES_MAX, PamRequest, PamResponse, PamStatus};

/// The first word of the program's arguments when it is to be the helper.
pub(super) const HELPER_ARGUMENT: &str = "wharf-pam-helper";
/// The second argument: the supervisor, which restarts the worker, or the worker itself.
pub(super) const SUPERVISOR: &str = "supervisor";
const WORKER: &str = "worker";

/// Concurrent checks, including those that hang.
const CHECKS_MAX: usize = 32;
/// A check that takes longer than any server waits for hangs.
const HUNG_AFTER: Duration = Duration::from_mins(2);
/// The delay before the worker is started again.
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// The worker's number at its end when it is hung up.
const EXIT_HUNG: u8 = 3;

/// Runs the helper, if these arguments (without the program's name) request it. Returns the exit
/// code, when the server is gone.
pub fn helper(words: &[OsString]) -> Option<u8> {
    let [word, role, service] = words else { return None };
    if word != HELPER_ARGUMENT {
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
            .args([HELPER_ARGUMENT, WORKER, service])
            .stdin(Stdio::inherit())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        // It ends well only when the server is gone.
        if worker.is_ok_and(|status| status.success()) {
            return 0;
        }
        sleep(RESTART_DELAY);
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
        let Some(request) = PamRequest::from_bytes(&packet) else { continue };
        let number = request.number;
        if !is_name(request.user) {
            reply(number, PamStatus::Unknown);
            continue;
        }
        let began = Instant::now();
        {
            let mut running = lock(&running);
            if running.len() >= CHECKS_MAX {
                let oldest = running.iter().min().map(Instant::elapsed);
                if oldest.is_some_and(|age| age > HUNG_AFTER) {
                    return EXIT_HUNG;
                }
                reply(number, PamStatus::Busy);
                continue;
            }
            running.push(began);
        }
        let (service, mine) = (Arc::clone(&service), Arc::clone(&running));
        let act = move || {
            let request = PamRequest::from_bytes(&packet);
            if let Some(request) = request {
                response(request.number, &check(&service, &request));
            }
            finish(&mine, began);
        };
        if Thread::new().name("check".to_owned()).spawn(act).is_err() {
            finish(&running, began);
            reply(number, PamStatus::Busy);
        }
    }
}

fn finish(running: &Mutex<Vec<Instant>>, began: Instant) {
    let mut running = lock(running);
    if let Some(mine) = running.iter().position(|other| *other == began) {
        running.swap_remove(mine);
    }
}

fn reply(number: u32, status: PamStatus) {
    response(number, &PamResponse { status, text: String::new() });
}

fn response(number: u32, response: &PamResponse) {
    // If the server is gone, the next `recv` detects it.
    let _ = send(stdin(), &response.to_bytes(number), SendFlags::NOSIGNAL);
}
