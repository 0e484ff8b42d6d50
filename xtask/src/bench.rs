//! `cargo xtask bench`: builds what is measured and what measures, then runs it.

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
            return Err(format!("{package} does not build, see above"));
        }
    }
    let mut command = cargo(root);
    command.args(["run", "--quiet", "--release", "--package", "wharf-bench", "--"]).args(words);
    // What went wrong has been told by the program itself.
    if succeeds(&mut command)? { Ok(()) } else { Err("the benchmark ended early".to_owned()) }
}
