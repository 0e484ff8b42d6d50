//! Places to keep accounts.

pub mod hasher;
pub mod name;
pub mod nearest;
pub mod password;
pub mod units;
