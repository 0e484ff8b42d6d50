//! The language of FTP: bytes to values and back.
//!
//! Nothing here has a clock, a socket or a file, so everything can be fuzzed and read beside the
//! RFCs. To follow a command in, read [`line`], then [`command`], then [`args`] and [`address`];
//! to follow an answer out, read [`reply`] and, for directory listings, [`entry`] and [`listing`].

pub mod entry;
pub mod path;
pub mod reply;
pub mod time;
