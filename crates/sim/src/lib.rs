//! A seeded world in which the whole of wharf runs in memory and must keep its word.
//!
//! There are no sockets, files, threads or clocks here: one tokio runtime with a paused clock runs
//! the server, its clients and the network between them, so the same seed gives the same story.
//!
//! For a test that is a conversation, read [`world`] and the script language in [`dialogue`].

pub mod dialogue;
mod escape;
mod link;
pub mod net;
pub mod rng;
mod stream;
mod talker;
pub mod users;
pub mod world;

pub use dialogue::Outcome;
pub use link::SimLink;
pub use net::{SimNet, Weather};
pub use world::World;
