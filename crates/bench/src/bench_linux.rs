//! Overview of the modules.
//!
//! To follow a measurement, read [`runner`] (cases, rounds, servers in turn), [`measure`] (one new
//! server, its clients, the figures), then what these use:
//!
//! - what is measured: [`cases`], and the targets of wharf: [`targets`];
//! - the servers: [`servers`], one file each, and [`bare`], the program that shows the upper
//!   limit; their [`account`], files ([`tree`]) and folders ([`paths`]);
//! - running processes: [`running`], counted by [`group`] and [`proc`], sampled by [`sampler`];
//! - the results: [`result`] as measured, [`summary`] in rows by [`statistics`], and [`report`] as
//!   a table, as JSON and as a page.
//!
//! The clients are those of `wharf-load`, in this process, or programs: [`clients`]. A server may
//! be made as far away as users are: [`distance`].

use std::process::ExitCode;

mod account;
mod bare;
mod cases;
mod clients;
mod clock;
mod compare;
#[expect(clippy::disallowed_methods, reason = "a proxy in front of other servers")]
mod distance;
mod group;
mod machine;
mod measure;
mod number;
mod options;
mod paths;
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
