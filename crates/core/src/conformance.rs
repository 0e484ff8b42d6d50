//! The suites that every storage and user store must pass.

mod storage;

pub use self::storage::storage;
