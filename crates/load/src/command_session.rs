//! A session for commands around a measurement: create a folder, remove files.

use crate::error::Error;
use crate::session::{ClientContext, ClientSession};
use crate::target::TargetServer;

/// A session that sends single commands.
#[derive(Debug)]
pub struct CommandSession(ClientSession);

impl CommandSession {
    /// Connects and logs in.
    ///
    /// # Errors
    /// At which step that failed, and why.
    pub fn log_in(target: &TargetServer) -> Result<Self, Error> {
        ClientContext::new(target)?.ready(0).map(Self)
    }

    /// Sends a command; a reply of 200 to 299 is success.
    ///
    /// # Errors
    /// The reply of the server, or why there is none.
    pub fn command(&mut self, line: &str) -> Result<(), Error> {
        self.0.succeed(line).map(|_| ())
    }

    /// The size of a file (SIZE, RFC 3659 §4).
    ///
    /// # Errors
    /// Such as that of a file that is not there.
    pub fn size(&mut self, path: &str) -> Result<u64, Error> {
        self.0.size(path)
    }

    /// Sends QUIT.
    pub fn end(mut self) {
        // A server may close the connection instead.
        let _ = self.0.quit();
    }
}
