//! Configurations and accounts of other servers, read as text.
//!
//! Each server has a module that reads its files into a [`model::ImportResult`]: keys of
//! `wharf.toml`, accounts, and notes. [`resolve`] removes what is invalid on this computer,
//! [`render`] shows the result, [`write`](mod@write) writes it.

pub mod csv;
mod directives;
pub mod facts;
mod hashes;
pub mod model;
pub mod proftpd;
pub mod pureftpd;
pub mod pyftpdlib;
mod python;
pub mod render;
pub mod resolve;
#[cfg(test)]
mod testing;
pub mod text;
pub mod vsftpd;
pub mod write;

/// Maximum number of listeners of an imported configuration.
const LISTENERS_MAX: usize = 1;
