//! Real clients on real sockets: each test starts the built program and transfers files with a
//! common client, or with the recorded dialogue of one.
//!
//! To follow a test, read `support::server` (how the program is started), `support::program` (how a
//! client is run) and `support::tree` (the files and how they are compared).
#![cfg(unix)]

#[cfg(test)]
mod aria2;
#[cfg(test)]
mod curl;
#[cfg(all(test, target_os = "linux"))]
mod haproxy;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod large;
#[cfg(test)]
mod lftp;
#[cfg(test)]
mod listings;
#[cfg(test)]
mod migrating_guide;
#[cfg(test)]
mod names;
#[cfg(test)]
mod ncftp;
#[cfg(test)]
mod node;
#[cfg(test)]
mod php;
#[cfg(test)]
mod python;
#[cfg(test)]
mod rclone;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tnftp;
#[cfg(test)]
mod wget;
#[cfg(test)]
mod windows;
