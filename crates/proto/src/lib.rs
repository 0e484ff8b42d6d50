//! The language of FTP: bytes to values and back.
//!
//! Nothing here has a clock, a socket or a file, so everything can be fuzzed and read beside the
//! RFCs. Nothing a peer sends can make this crate panic or keep more than a bounded buffer.
//!
//! - To follow a command in, read [`line`](mod@line) (bytes to lines), then [`command`] (line to
//!   verb and argument), then [`args`], [`address`], [`path`] and [`glob`] (argument to value).
//! - To follow an answer out, read [`reply`].
//! - To follow a directory listing, read [`entry`], [`facts`], [`time`] and then [`listing`].
//! - To follow a transfer of `TYPE A`, read [`ascii`].
//! - To follow a client through a proxy, read [`proxy`].

pub mod address;
pub mod args;
pub mod ascii;
pub mod command;
mod digits;
pub mod entry;
pub mod facts;
pub mod glob;
pub mod line;
pub mod listing;
pub mod path;
pub mod proxy;
pub mod reply;
pub mod site;
pub mod time;
