//! A session that does what is needed around a measurement: make a folder, remove files.

use crate::error::Error;
use crate::session::{Client, Session};
use crate::target::Target;

/// One session that says what it is told to.
#[derive(Debug)]
pub struct Errand(Session);

impl Errand {
    /// Connects and logs in.
    ///
    /// # Errors
    /// At which step that failed, and why.
    pub fn log_in(target: &Target) -> Result<Self, Error> {
        Client::new(target)?.ready(0).map(Self)
    }

    /// Says a line; a reply of 200 to 299 is success.
    ///
    /// # Errors
    /// What the server says instead, or why it says nothing.
    pub fn say(&mut self, line: &str) -> Result<(), Error> {
        self.0.succeed(line).map(|_| ())
    }

    /// How long a file is (SIZE, RFC 3659 §4).
    ///
    /// # Errors
    /// Such as that of a file that is not there.
    pub fn size(&mut self, path: &str) -> Result<u64, Error> {
        self.0.size(path)
    }

    /// Says goodbye.
    pub fn end(mut self) {
        // A server that hangs up instead does no harm.
        let _ = self.0.quit();
    }
}
