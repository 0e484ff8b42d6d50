//! The traits that connect backends to the engine of wharf, and their data types.
//!
//! A storage backend implements [`storage::Storage`] and [`storage::Stores`], an account backend
//! [`users::Users`], and a consumer of events [`event::Events`]. None of them depends on the
//! engine. [`account`] and [`permission`] describe accounts and their permissions, [`error`] the
//! errors of stores.

pub mod account;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
pub mod event;
mod hex;
pub mod io_error_text;
mod lock;
pub mod permission;
pub mod storage;
pub mod trusted_file;
pub mod users;

pub use async_trait::async_trait;
pub use bytes::{Bytes, BytesMut};
pub use futures_core::Stream;
pub use hex::hex;
pub use lock::lock;
