//! Windows: Ctrl+C; open sockets have no limit to raise.

use std::io;

use super::Stop;

/// The signals that stop a server.
#[derive(Debug)]
pub(crate) struct Signals;

impl Signals {
    /// Listens for signals from now on.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Stop {
        if tokio::signal::ctrl_c().await.is_err() {
            // No console: nobody can press anything.
            std::future::pending::<()>().await;
        }
        Stop::Interrupt
    }
}

/// Nothing to do here.
pub(crate) fn raise_file_limit() {}
