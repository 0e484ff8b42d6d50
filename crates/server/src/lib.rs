//! The FTP and FTPS engine of wharf, to embed.

pub mod settings;
pub mod tls;
