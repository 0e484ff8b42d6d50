//! Unix: SIGINT and SIGTERM, and the number of open files.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Stop;

/// The signals that stop a server.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Listens for signals from now on.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one. Cancel safe: a signal that nobody waits for is kept.
    pub(crate) async fn next(&mut self) -> Stop {
        tokio::select! {
            // Whoever presses a key sits in front of it; a service manager can wait.
            biased;
            _ = self.interrupt.recv() => Stop::Interrupt,
            _ = self.terminate.recv() => Stop::Terminate,
        }
    }
}

/// Allows as many open files as the system lets us have: each session takes a few.
pub(crate) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is forbidden we serve fewer; the accept loop copes.
    let _ = setrlimit(Resource::Nofile, limit);
}
