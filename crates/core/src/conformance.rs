//! Conformance tests for implementations of `Storage` and `Users`.

mod storage;
pub mod users;

pub use self::storage::storage;
pub use self::users::users;
