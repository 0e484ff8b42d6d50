//! Other systems: not supported.

use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    eprintln!("error: the benchmark reads /proc and makes cgroups, so it runs on Linux only");
    ExitCode::FAILURE
}
