//! How much a store of accounts may take, and what it tells about itself.

#[cfg(not(all(feature = "sqlite", feature = "postgres")))]
use wharf_users::admin::{StoreError, StoreErrorKind};

/// The most connections at once. A login needs one for some milliseconds, before its password is
/// checked and not meanwhile, so a few serve any number of clients.
pub const CONNECTIONS_MAX: usize = 4;
/// How many may wait for a connection; those beyond are told to come again.
pub const WAITING_MAX: usize = 1024;
/// What happened to the store as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It stopped answering; told once, with what it says.
    Lost(String),
    /// It answers again.
    Back,
}

/// Whether a file that is missing is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It is, for its owner alone.
    Wanted,
    /// It is not; who asks is told that there is none.
    No,
}

/// What is said of a database that this program cannot use.
#[cfg(not(all(feature = "sqlite", feature = "postgres")))]
pub(crate) fn missing(shown: &str) -> StoreError {
    let what = format!("{shown}: this wharf was built without that kind of database");
    StoreError::new(StoreErrorKind::Unusable, what)
        .help("get a wharf with it, or build one:  cargo build --features sqlite,postgres")
}
