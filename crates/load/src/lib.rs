//! Measures any FTP or FTPS server as its clients see it: rates, latencies, errors.
//!
//! Set where ([`TargetServer`]) and what ([`Plan`], [`LoadCase`]); [`prepare`] connects and logs
//! in, [`PreparedRun::run`] does the timed part and returns a [`RunOutcome`]. Counters of the
//! server are read between the two, so that logins are not included.
//!
//! ```no_run
//! use wharf_load::{LoadCase, Plan, RunProgress, TargetServer, prepare};
//!
//! let target = TargetServer::new("127.0.0.1:2121".parse()?, "anna", "secret");
//! let noop = LoadCase::Command { line: "NOOP".into() };
//! let plan = Plan { sessions: 8, count: 10_000, ..Plan::new(noop) };
//! let mut prepared = prepare(&target, &plan)?;
//! let outcome = prepared.run(&RunProgress::default());
//! println!("{:.0} a second, p99 {:?}", outcome.operations_per_second(), outcome.latency.p99);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! To follow a measurement, read `run` (threads and clock), `worker` (the operations of one
//! thread), then `session` (one client), `transfer` (one data connection) and `net` (sockets).

mod barrier;
mod bystander;
pub mod clock;
mod content;
mod control;
mod control_client;
mod error;
mod histogram;
mod listing;
mod lock;
pub mod machine;
mod mix;
mod net;
mod outcome;
mod pattern;
mod plan;
#[cfg_attr(unix, path = "process_unix.rs")]
#[cfg_attr(not(unix), path = "process_other.rs")]
mod process;
mod progress;
mod random;
mod run;
mod session;
#[cfg_attr(target_os = "linux", path = "system_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "system_other.rs")]
mod system;
mod target;
mod tls;
mod transfer;
mod worker;

pub use control_client::{ControlClient, ListingResult, TlsInfo};
pub use error::{Error, ErrorKind, last_line};
pub use histogram::Latency;
pub use lock::lock;
pub use net::{Transport, dial};
pub use outcome::{Fairness, RunOutcome, TlsFacts};
pub use pattern::Pattern;
pub use plan::{Content, Dialogue, DialogueStep, DownloadMode, Listing, LoadCase, Mix, Plan};
pub use process::raise_file_limit;
pub use progress::RunProgress;
pub use random::Random;
pub use run::{PreparedRun, prepare};
pub use session::ClientSession;
pub use target::{TargetServer, TlsMode, TlsOptions, Trust};
pub use tls::{TlsStream, client_config};
