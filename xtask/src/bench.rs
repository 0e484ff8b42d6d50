//! `cargo xtask bench`: builds the server and the benchmark, then runs it.

use std::path::Path;

use crate::process::{cargo, succeeds};

/// The server as users get it, and the program that measures it.
const PACKAGES: [&str; 2] = ["wharf", "wharf-bench"];

/// Passes `words` on to `wharf-bench`, which explains them with `--help`.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<(), String> {
    for package in PACKAGES {
        let mut command = cargo(root);
        command.args(["build", "--quiet", "--release", "--package", package]);
        if !succeeds(&mut command)? {
            return Err(format!("cannot build {package}, see above"));
        }
    }
    let mut command = cargo(root);
    command.args(["run", "--quiet", "--release", "--package", "wharf-bench", "--"]).args(words);
    // The program has printed the error itself.
    if succeeds(&mut command)? { Ok(()) } else { Err("the benchmark failed".to_owned()) }
}
