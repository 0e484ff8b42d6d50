//! The floor plan.
//!
//! To follow a proof read its row in [`proofs`], then its own module: its function is called once
//! with a [`run::Run`] (how often, which seed, which server) and tells a [`report::Report`] how
//! each round ended. What the proofs share:
//!
//! - a server that can be killed and started again: [`server`], on [`ports`] of its own;
//! - clients that can end in any way: [`client`], over a [`stream`] with or without TLS;
//! - clients at work until the end comes, and what must hold then: [`story`];
//! - a disk that fails and loses its power: [`drive`];
//! - contents that can be told apart: [`content`], and chance that can be repeated: [`random`];
//! - what the system knows: [`machine`], [`watch`], [`clock`], [`folder`], [`namespace`].

use std::process::ExitCode;

mod client;
mod clock;
mod content;
mod drive;
mod folder;
mod machine;
mod namespace;
mod options;
mod ports;
mod proofs;
mod random;
mod report;
mod run;

mod server;
mod story;
mod stream;
mod watch;

mod cut;
mod full;
mod kill;
mod leak;
mod logins;
mod power;
mod race;
mod soak;
mod timing;
mod torture;

pub(crate) fn main() -> ExitCode {
    match options::run() {
        Ok(true) => ExitCode::SUCCESS,
        // What failed has been told.
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
