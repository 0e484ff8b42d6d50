//! Other systems: not supported.

use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    eprintln!("error: the proofs kill processes, mount disks and read /proc, so they need Linux");
    ExitCode::FAILURE
}
