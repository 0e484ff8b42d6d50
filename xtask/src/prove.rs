//! `cargo xtask prove`: builds the server and the program that tests it destructively, then runs
//! it.

use std::path::Path;
use std::process::Command;

use crate::process::{cargo, succeeds};

/// Passes `words` on to `wharf-prove`, which explains them with `--help`.
///
/// `--debug` is handled here: it uses the binaries built by the tests instead of a release build.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<(), String> {
    let (ours, words): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| **word == "--debug");
    let (profile, folder) = if ours.is_empty() { (RELEASE, "release") } else { (DEBUG, "debug") };
    let mut build = cargo(root);
    build.args(["build", "--quiet", "--bins"]).args(profile);
    if !succeeds(&mut build)? {
        return Err("cannot build the server or the proofs, see above".to_owned());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| root.join("target"), |target| root.join(target));
    let mut command = Command::new(target.join(folder).join("wharf-prove"));
    command.current_dir(root).args(words);
    // The program has printed the failures itself.
    if succeeds(&mut command)? { Ok(()) } else { Err("some proofs failed".to_owned()) }
}

/// The server as users get it, and the program that runs the proofs.
const RELEASE: &[&str] = &["--release", "--package", "wharf", "--package", "wharf-prove"];
/// With the features of the other steps, so that nothing is built twice.
const DEBUG: &[&str] = &["--workspace", "--all-features"];
