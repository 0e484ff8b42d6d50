//! The JSON API of a running wharf: to look at it, and to steer it.
//!
//! It speaks HTTP/1.1 on a socket of this computer that only its owner and a group may open; there
//! is no other way in. [`model`] has what goes over it, [`routes`] which paths there are, and
//! [`openapi`] makes a document of the two. [`Api`] answers from the engine's
//! [`Handle`](wharf_server::Handle) and an [`Operator`], which is the program's part; [`client`]
//! asks.

mod api;
pub mod client;
pub mod door;
pub mod model;
pub mod openapi;
mod operator;
pub mod routes;
mod view;

pub use api::Api;
pub use operator::{LogLines, Operator};
