//! What the tests share.

pub(crate) mod ports;
pub(crate) mod program;
pub(crate) mod server;
pub(crate) mod tree;
pub(crate) mod wire;
