//! The FTP and FTPS engine of wharf, to embed: give a [`Server`] its settings, its accounts and
//! its files, and serve.
//!
//! To follow a client, read [`server`] (listening, seats, the end), then `conversation` (the loop
//! of one client), `gate` (may it run now), a family in `command`, and `files` (the only door to a
//! store). To follow a file, read `transfer` (from 150 to 226), `data` (one data connection) and
//! `pump` (the bytes). Modules import only downward: server, conversation, transfer and gate,
//! command, session, control and data and shared, files and pump and tls, settings and net.

mod admission;
pub mod certificate;
mod command;
mod control;
mod conversation;
mod data;
mod exit;
mod files;
mod gate;
mod lines;
mod names;
pub mod net;
mod next;
mod ports;
mod pump;
mod refusal;
mod registry;
pub mod server;
mod session;
pub mod settings;
mod shape;
mod shared;
#[cfg(test)]
mod testing;
mod tls;
mod transfer;

pub use server::{BindError, Bound, BoundListener, Handle, Server};
