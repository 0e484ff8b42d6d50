//! Stores of accounts, and password hashes.
//!
//! [`file::FileUsers`] reads accounts from `users.toml`, [`single::Single`] is one account in
//! memory, and [`anonymous::WithAnonymous`] adds anonymous logins to any store. To follow a login,
//! read [`mod@file`], then [`hasher`] (how many hashes run concurrently), then [`password`] (hash
//! formats and their cost). [`admin`] is the administration interface of all stores. [`name`],
//! [`permissions`] and [`units`] parse what users write.

pub mod admin;
pub mod anonymous;
pub mod file;
pub mod hasher;
pub mod hours;
mod md5_crypt;
pub mod name;
pub mod nearest;
pub mod password;
pub mod permissions;
pub mod single;
pub mod units;
