//! The floor plan.
//!
//! To follow a measurement read [`runner`] (cases, rounds, servers in turn), [`measure`] (one fresh
//! server, its clients, the figures), then what these use:
//!
//! - what is measured: [`cases`], and what wharf must reach: [`targets`];
//! - who is measured: [`servers`], one file each, and [`bare`], the program that shows what is
//!   possible; their [`account`], their files ([`tree`]), their folders ([`places`]);
//! - a process that runs: [`running`], counted by [`group`] and [`proc`], watched by [`sampler`];
//! - what came out: [`result`] as it was, [`summary`] in rows by [`statistics`], and [`report`] as
//!   a table, as JSON, as charts and as a page.
//!
//! The clients are those of `wharf-load`, in this process.

use std::process::ExitCode;

mod account;
mod bare;
mod cases;
mod clock;
mod compare;
mod group;
mod machine;
mod measure;
mod number;
mod options;
mod places;
mod proc;
mod report;
mod result;
mod runner;
mod running;
mod sampler;
mod servers;
mod statistics;
mod summary;
mod targets;
mod text;
mod tree;

#[cfg(test)]
mod tests;

pub(crate) fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.split_first() {
        Some((word, rest)) if word == servers::BARE_WORD => bare::run(rest),
        _ => options::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
