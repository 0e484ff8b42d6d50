//! Configurations and accounts of other servers, read as text.
//!
//! Each server has a module that reads its files into a [`model::ImportResult`]: keys of
//! `wharf.toml`, accounts, and notes. [`resolve`] removes what is invalid on this computer,
//! [`render`] shows the result, [`write`](mod@write) writes it. `import_command` connects them.

pub(crate) mod csv;
mod directives;
pub(crate) mod facts;
mod hashes;
pub(crate) mod model;
pub(crate) mod proftpd;
pub(crate) mod pureftpd;
pub(crate) mod pyftpdlib;
mod python;
pub(crate) mod render;
pub(crate) mod resolve;
pub(crate) mod text;
pub(crate) mod vsftpd;
pub(crate) mod write;

/// Maximum number of listeners of an imported configuration.
const LISTENERS_MAX: usize = 1;
