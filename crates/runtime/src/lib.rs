//! A running server, from a plan to its end; and what a command needs to know of it.
//!
//! To follow the start, read [`wire`] (how the configuration becomes the engine's settings), then
//! [`serve`].

pub mod accounts;
pub mod addresses;
pub mod ban_file;
pub mod ban_rules;
pub mod certificate;
pub mod deliver;
mod log;
pub mod logins;
pub mod os;
pub mod sandbox;
pub mod serve;
pub mod share;
pub mod wire;
