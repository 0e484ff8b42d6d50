//! Set-up, tests, generated documents and the tidy rules of wharf.
//!
//! To follow `cargo xtask test`, read [`steps`], then [`setup`]; for the project rules, read
//! [`tidy`]. Standard library only, so that it builds in a second on a new machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod bench;
mod book;
mod checkout;
mod coverage;
mod docs;
mod fuzz;
mod markdown;
mod outcome;
mod package;
mod paths;
mod picture;
mod process;
mod prove;
mod setup;
mod simulation;
mod steps;
mod tidy;
mod translations;
mod trust;
mod vocabulary;

const HELP: &str = "\
Set-up, tests and generated documents of wharf.

Usage: cargo xtask <COMMAND>

  test [--keep-going] [STEP]...
           Install what the tests need, then run every step, or only those named.
           Stops at the first failed step, unless --keep-going is given.
  setup    Only install what the tests need
  tidy     Check the project rules that the compiler does not check
  docs     Write the generated documents again
  book     Build the documentation site in target/book, in English and Chinese
  translations [--accept FILE...]
           List Chinese documents with an English original that has changed, or mark the
           named files as up to date
  deb [--binary FILE]
           Build the Debian package target/deb/wharf.deb, with the release profile or of a
           program that is built already
  bench    Measure wharf and other servers; see `cargo xtask bench --help`
  prove    Test wharf destructively; see `cargo xtask prove --help`
  prove fuzz [--runs N] [TARGET]...
           A long fuzzing run: 100,000,000 executions of each parser, 1,000,000 sessions
  prove sim [--seeds A..B]
           A long run of the simulation: 100,000 seeds
  coverage Which lines the tests run: 90 of 100 at least in the crates that serve
  trust    Write docs/reference/trust.md: risks, tests and proofs
  trust record [PROOF]...
           Record the results of proofs from target/prove in docs/proofs.toml, then the same
  picture  Draw docs/picture/panel.svg from docs/picture/panel.txt
  help     Show this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), String> {
    let root = root()?;
    match words {
        ["test", rest @ ..] => steps::run(&root, rest),
        ["setup"] => setup::run(&root),
        ["tidy"] => tidy::run(&root),
        ["docs"] => docs::run(&root),
        ["book"] => book::run(&root),
        ["translations", rest @ ..] => translations::run(&root, rest),
        ["bench", rest @ ..] => bench::run(&root, rest),
        ["deb", rest @ ..] => package::build(&root, rest),
        ["prove", "fuzz", rest @ ..] => fuzz::long(&root, rest),
        ["prove", "sim", rest @ ..] => simulation::run(&root, rest),
        ["prove", rest @ ..] => prove::run(&root, rest),
        ["coverage"] => coverage::run(&root),
        ["trust"] => trust::run(&root),
        ["trust", "record", rest @ ..] => {
            trust::record(&root, rest)?;
            trust::run(&root)
        }
        ["picture"] => picture::run(&root),
        [] | ["help" | "--help" | "-h"] => {
            eprint!("{HELP}{}", steps::help());
            Ok(())
        }
        _ => Err(format!("unknown command \"{}\"\nhint: cargo xtask help", words.join(" "))),
    }
}

/// The top of the checkout: the folder above this package.
fn root() -> Result<PathBuf, String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().map(Path::to_path_buf).ok_or_else(|| "xtask has no parent folder".to_owned())
}
