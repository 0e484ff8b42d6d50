//! Accounts in a database: SQLite in a file beside the server, or PostgreSQL.
//!
//! [`SqlUsers`] answers logins and lets an administrator change accounts. To follow a login, read
//! `users`, then `store` (what is asked), `rows` (what the columns mean), `pool` (how many
//! connections) and `link` (one of them). `schema` makes the tables. Built with neither database,
//! only addresses are read.

mod address;
mod bounds;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod link;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod rows;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod store;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod users;
#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
#[path = "users_without.rs"]
mod users;

pub use address::{Address, BadAddress, Postgres, without_password};
pub use bounds::{CONNECTIONS_MAX, Creation, News, WAITING_MAX};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use schema::VERSION;
pub use users::SqlUsers;
