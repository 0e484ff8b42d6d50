//! The result of a run.

use std::time::Duration;

use crate::error::Error;
use crate::histogram::{Latency, float};

/// The result of a run.
#[derive(Clone, Debug, Default)]
pub struct RunOutcome {
    /// From the start of the first operation to the end of the last one.
    pub wall: Duration,
    /// Bytes of files and listings in both directions, without the overhead of FTP and TLS.
    pub bytes: u64,
    /// Successful operations.
    pub operations: u64,
    /// Entries of listings, without `.` and `..`.
    pub entries: u64,
    /// Failed operations.
    pub errors: u64,
    /// The first errors.
    pub error_list: Vec<Error>,
    /// Latency of operations.
    pub latency: Latency,
    /// From requesting a data connection to its first byte, for downloads and listings.
    pub first_byte: Option<Latency>,
    /// How evenly the sessions were served; only if two or more sessions transfer files. It says
    /// little above 1,024 sessions, which share threads.
    pub fairness: Option<Fairness>,
    /// CPU time of this process; `None` if the system does not report it.
    pub cpu: Option<Duration>,
    /// Negotiated TLS parameters.
    pub tls: Option<TlsFacts>,
    /// Latency of NOOP in a session that does nothing else.
    pub bystander: Option<Latency>,
}

impl RunOutcome {
    /// Bytes per second, over all sessions.
    pub fn bytes_per_second(&self) -> f64 {
        rate(self.bytes, self.wall)
    }

    /// Operations per second, over all sessions.
    pub fn operations_per_second(&self) -> f64 {
        rate(self.operations, self.wall)
    }
}

/// `amount` per second; 0 if no time passed.
pub(crate) fn rate(amount: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { float(amount) / time.as_secs_f64() }
}

/// The bytes per second of the slowest and of the fastest session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fairness {
    /// Bytes per second of the slowest session that transferred any.
    pub slowest: f64,
    /// Bytes per second of the fastest session.
    pub fastest: f64,
}

impl Fairness {
    /// 1 if all sessions were equally fast, less if not.
    pub fn ratio(&self) -> f64 {
        if self.fastest > 0.0 { self.slowest / self.fastest } else { 1.0 }
    }
}

/// What was negotiated with a TLS server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// As in `TLSv1.3`.
    pub version: String,
    /// As in `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// Data connections that resumed a session.
    pub resumed: u64,
    /// Data connections with a full handshake.
    pub full: u64,
}
