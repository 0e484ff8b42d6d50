//! The contracts of wharf, and the plain data they exchange.
//!
//! Whoever writes a place to keep files implements [`storage::Storage`] and [`storage::Stores`];
//! whoever keeps accounts implements [`users::Users`]; whoever wants to know what happened
//! implements [`event::Events`]. None of them meets the engine. Read [`account`] and
//! [`permission`] for who may do what, [`error`] for how a store says what went wrong.

pub mod account;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
pub mod event;
pub mod permission;
pub mod storage;
pub mod trusted_file;
pub mod users;

pub use async_trait::async_trait;
pub use bytes::Bytes;
pub use futures_core::Stream;
