//! Overview of the modules.
//!
//! To follow a proof, read its row in [`proofs`], then its own module: its function is called once
//! with a [`run::ProofRun`] (count, seed, server) and adds the result of each round to a
//! [`report::ProofReport`]. What the proofs share:
//!
//! - a server that can be killed and started again: [`server`], on [`ports`] of its own;
//! - clients that can end in any way: [`wharf_load::ClientSession`];
//! - clients that work until the end, and what must hold then: [`workload`];

use std::process::ExitCode;

mod content;
mod drive;
mod folder;
mod machine;
mod namespace;
mod options;
mod ports;
mod proofs;
mod report;
mod run;

mod server;
mod watch;
mod workload;

mod cut;
mod flood;
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
        // Failures have been printed already.
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
