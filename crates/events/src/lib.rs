//! Delivers events of the server to local programs (hooks) and to web servers (webhooks).
//!
//! A [`Notice`] is one event, ready to be delivered. [`programs::Programs`] passes it to programs,
//! which are started by a separate process ([`worker`]), since a sandboxed server cannot start any.
//! [`webhook::Webhook`] keeps it on disk until a web server has accepted it. Neither blocks a
//! session. [`check`] does, on purpose: it is a layer over a store that runs a program for each
//! upload before the upload is published.
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
