//! The suites that every storage and user store must pass.

mod storage;
pub mod users;

pub use self::storage::storage;
pub use self::users::users;
