//! Accounts in a database: SQLite in a local file, or PostgreSQL.
//!
//! [`SqlUsers`] authenticates logins, and lets an administrator change accounts. To follow a login,
//! read `users`, then `store` (the queries), `rows` (the meaning of columns), `pool` (the
//! connection pool) and `connection` (one connection). `schema` creates the tables. A database
//! whose driver is not built in is rejected with its address.

#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(dead_code, reason = "used by the drivers")
)]

mod address;
mod bounds;
mod connection;
mod pool;
#[cfg_attr(not(feature = "postgres"), path = "postgres_without.rs")]
mod postgres;
mod rows;
mod schema;
#[cfg_attr(not(feature = "sqlite"), path = "sqlite_without.rs")]
mod sqlite;
mod store;
mod users;
mod value;

pub use address::{DatabaseAddress, InvalidDatabaseAddress, Postgres, without_password};
pub use bounds::{CONNECTIONS_MAX, Creation, StoreEvent, WAITING_MAX};
pub use schema::VERSION;
pub use users::SqlUsers;
