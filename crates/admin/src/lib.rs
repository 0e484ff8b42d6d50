//! The JSON API of a running wharf, to monitor and control it.
//!
//! It serves HTTP/1.1 on a local socket that only its owner and a group can open. [`model`] has the
//! types and [`routes`] the paths; a test describes both in `docs/reference/openapi.json`. [`Api`]
//! answers from the engine's [`Handle`](wharf_server::Handle) and from an [`AdminBackend`], which
//! the program implements; [`client`] sends requests.

mod api;
mod backend;
pub mod client;
pub mod listener;
pub mod model;
#[cfg(all(test, feature = "openapi"))]
mod openapi;
pub mod routes;
mod view;

pub use api::Api;
pub use backend::{AdminBackend, LogLines};
