//! What a run found.

use std::time::Duration;

use crate::error::Error;
use crate::histogram::{Latency, float};

/// What a run found.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// From the start of the first operation to the end of the last one.
    pub wall: Duration,
    /// Bytes of files and listings that went either way, without FTP and TLS around them.
    pub bytes: u64,
    /// Operations that went well.
    pub operations: u64,
    /// Entries that listings held, `.` and `..` apart.
    pub entries: u64,
    /// How many operations failed.
    pub errors: u64,
    /// The first few of the errors.
    pub error_list: Vec<Error>,
    /// How long an operation took.
    pub latency: Latency,
    /// From asking for a data connection to its first byte, for downloads and listings.
    pub first_byte: Option<Latency>,
    /// How evenly the sessions were served; only where files move in two or more sessions. With
    /// more than 1,024 of them it says little: they share threads then.
    pub fairness: Option<Fairness>,
    /// What this process itself used in the meantime; `None` where the system does not tell.
    pub cpu: Option<Duration>,
    /// What was agreed on, where there is TLS.
    pub tls: Option<TlsFacts>,
    /// What a session waited that only sent NOOP.
    pub bystander: Option<Latency>,
}

impl Outcome {
    /// Bytes in a second, over all sessions.
    pub fn bytes_per_second(&self) -> f64 {
        rate(self.bytes, self.wall)
    }

    /// Operations in a second, over all sessions.
    pub fn operations_per_second(&self) -> f64 {
        rate(self.operations, self.wall)
    }
}

/// `amount` in a second; 0 if no time passed.
pub(crate) fn rate(amount: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { float(amount) / time.as_secs_f64() }
}

/// The bytes per second of the slowest and of the fastest session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fairness {
    /// Bytes per second of the slowest session that moved any.
    pub slowest: f64,
    /// Bytes per second of the fastest session.
    pub fastest: f64,
}

impl Fairness {
    /// 1 if all were served alike, less if not.
    pub fn ratio(&self) -> f64 {
        if self.fastest > 0.0 { self.slowest / self.fastest } else { 1.0 }
    }
}

/// What was agreed on with a TLS server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// Such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// Data connections that resumed a session.
    pub resumed: u64,
    /// Data connections with a full handshake.
    pub full: u64,
}
