//! Accounts in a database: SQLite in a local file, or PostgreSQL.
//!
//! [`SqlUsers`] authenticates logins, and lets an administrator change accounts. To follow a login,
//! read `users`, then `store` (the queries), `rows` (the meaning of columns), `pool` (the
//! connection pool) and `connection` (one connection). `schema` creates the tables. Without both
//! database features, only addresses can be parsed.

mod address;
mod bounds;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod connection;
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
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod value;

pub use address::{DatabaseAddress, InvalidDatabaseAddress, Postgres, without_password};
pub use bounds::{CONNECTIONS_MAX, Creation, StoreEvent, WAITING_MAX};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use schema::VERSION;
pub use users::SqlUsers;
