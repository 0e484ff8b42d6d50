//! Real clients on real sockets: each test starts the built program and lets a client that people
//! use, or a dialogue that one is known to speak, move files through it.
//!
//! To follow a test, read `support::server` (how the program is started), `support::program` (how
//! a client is run) and `support::tree` (the files and how they are compared).
#![cfg(unix)]

mod curl;
mod kill;
mod lftp;
mod names;
mod ncftp;
mod python;
mod rclone;
mod rows_of_the_old_setup;
mod support;
mod tnftp;
mod wget;
mod windows;
