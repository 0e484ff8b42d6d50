//! Limits and events of a database store.

use wharf_users::admin::{StoreError, StoreErrorKind};

/// The most concurrent connections. A login needs one for some milliseconds before its password is
/// verified, so a few serve any number of clients.
pub const CONNECTIONS_MAX: usize = 4;
/// How many requests may wait for a connection; more are rejected.
pub const WAITING_MAX: usize = 1024;
/// A change in the availability of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// It became unavailable; reported once, with the reason.
    Lost(String),
    /// It is available again.
    Back,
}

/// Whether a missing file is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It is, for its owner alone.
    Wanted,
    /// It is not; the error reports that the file is missing.
    No,
}

/// The error for a database without a compiled-in driver.
pub(crate) fn missing(shown: &str) -> StoreError {
    let what = format!("{shown}: this wharf was built without that kind of database");
    StoreError::new(StoreErrorKind::Unusable, what)
        .hint("use a build with it:  cargo build --features sqlite,postgres")
}
