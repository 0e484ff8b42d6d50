//! What happened on the server, told to others: programs on this computer and web servers.
//!
//! A [`Notice`] is one event, ready to be told. [`programs::Programs`] hands it to programs, which
//! a process of its own starts ([`worker`]), since a server that is confined starts none.
//! [`webhook::Webhook`] keeps it on disk until a web server has taken it. Neither ever makes a
//! session wait. [`check`] is the exception that waits by its nature: a layer over a store, which
//! asks a program about each upload before it is published.
//!
//! To follow an event, read `programs.rs`, then `worker.rs`; or `webhook.rs`, then
//! `webhook/spool.rs`.

pub mod check;
mod clock;
mod frame;
mod notice;
pub mod programs;
pub mod webhook;
pub mod worker;

pub use notice::Notice;
