//! The files of the checkout.

use std::path::Path;
use std::process::Command;

/// The path from the top, with slashes, and the content of every text that git tracks, and of new
/// ones that it does not ignore; in the order of the paths.
pub(crate) fn texts(root: &Path) -> Result<Vec<(String, String)>, String> {
    let paths = paths(root)?;
    // A deleted file that is still tracked, and one that is not a text, have nothing to check.
    let read = |path: String| {
        let text = std::fs::read_to_string(root.join(&path)).ok()?;
        Some((path, text))
    };
    Ok(paths.into_iter().filter_map(read).collect())
}

/// The paths from the top of all files that git tracks and of new ones that it does not ignore.
pub(crate) fn paths(root: &Path) -> Result<Vec<String>, String> {
    let mut command = Command::new("git");
    command.current_dir(root);
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = command.output().map_err(|error| format!("cannot start git: {error}"))?;
    if !output.status.success() {
        let printed = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "cannot list the files of the checkout: {}\n\
             hint: run it in a git checkout",
            printed.trim()
        ));
    }
    let names = String::from_utf8_lossy(&output.stdout);
    let mut paths: Vec<String> =
        names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.retain(|path| root.join(path).exists());
    Ok(paths)
}
