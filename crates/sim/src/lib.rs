//! Deterministic simulation: the complete server runs in memory and is checked for correctness.
//!
//! There are no sockets, files, threads or clocks here: one tokio runtime with a paused clock runs
//! the server, its clients and the network between them, so the same seed gives the same log.
//!
//! For a test in the form of a dialogue, read [`world`] and the script language in [`dialogue`].
//! For the simulation, read [`mod@run`] (one seed), `actions` and `transfers` (what clients do),
//! `faults` (a storage that fails) and `oracle` (the invariants).

mod actions;
mod administrator;
pub mod arbitrary_client;
mod client;
mod codes;
mod data_conn;
pub mod dialogue;
mod escape;
mod faults;
mod link;
pub mod net;
mod network_faults;
mod oracle;
mod report;
pub mod run;
mod scenario;
mod script_client;
mod stream;
mod timed_client;
mod transfers;
pub mod users;
pub mod world;

pub use arbitrary_client::ArbitraryClient;
pub use dialogue::DialogueOutcome;
pub use link::SimLink;
pub use net::SimNet;
pub use network_faults::NetworkFaults;
pub use report::RunReport;
pub use run::{InjectedFault, run, run_copying_first, run_failing, run_kind};
pub use scenario::WorldKind;
pub use world::World;
