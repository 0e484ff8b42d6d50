//! A seeded world in which the whole of wharf runs in memory and must keep its word.
//!
//! There are no sockets, files, threads or clocks here: one tokio runtime with a paused clock runs
//! the server, its clients and the network between them, so the same seed gives the same story.
//!
//! For a test that is a conversation, read [`world`] and the script language in [`dialogue`]. For
//! the simulation, read [`mod@run`] (one world), `acts` and `transfers` (what clients do), `faults`
//! (a store that fails) and `oracle` (what must be true).

mod acts;
mod client;
mod codes;
pub mod dialogue;
mod escape;
mod faults;
mod link;
pub mod net;
mod oracle;
pub mod rng;
pub mod run;
pub mod stranger;
mod stream;
mod talker;
mod transfers;
pub mod users;
mod weather;
pub mod world;

pub use dialogue::Outcome;
pub use link::SimLink;
pub use net::SimNet;
pub use run::{Failing, Story, run, run_failing};
pub use stranger::Stranger;
pub use weather::Weather;
pub use world::World;
