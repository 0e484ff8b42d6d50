//! Places to keep accounts, and their password hashes.
//!
//! [`file::FileUsers`] keeps them in `users.toml`, [`single::Single`] is one account in memory,
//! and [`anonymous::WithAnonymous`] adds logins without a password to any store. To follow a
//! login, read [`mod@file`], then [`hasher`] (how many at once), then [`password`] (which
//! hashes, at what cost). [`name`], [`rights`] and [`units`] are the rules for what people write.

pub mod anonymous;
pub mod file;
pub mod hasher;
pub mod hours;
mod md5_crypt;
pub mod name;
pub mod nearest;
pub mod password;
pub mod rights;
pub mod single;
pub mod units;
