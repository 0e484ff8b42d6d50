//! Accounts in a database: SQLite in a file beside the server, or PostgreSQL.
//!
//! [`SqlUsers`] answers logins and lets an administrator change accounts. To follow a login, read
//! `users`, then `store` (what is asked), `rows` (what the columns mean), `pool` (how many
//! connections) and `link` (one of them). `schema` makes the tables.

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!("choose a database: the feature `sqlite`, `postgres` or both");

mod address;
mod link;
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
mod rows;
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
mod users;

pub use address::{Address, BadAddress, Postgres, without_password};
pub use pool::{CONNECTIONS_MAX, News, WAITING_MAX};
pub use schema::VERSION;
pub use users::{Creation, SqlUsers};
