//! Set-ups of other servers, read as text.
//!
//! Each server has a module that reads its files into a [`model::Found`]: keys of `wharf.toml`,
//! accounts, and what is to be told. [`settle`] makes it sound on this computer, [`render`] shows
//! it, [`write`](mod@write) writes it. `import_command` puts them together.

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
pub(crate) mod settle;
pub(crate) mod text;
pub(crate) mod vsftpd;
pub(crate) mod write;

/// The most listeners that a set-up is given.
const LISTENERS_MAX: usize = 1;
