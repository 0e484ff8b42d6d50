//! The files of the checkout, read once.

use std::path::Path;
use std::process::Command;

use super::source::{self, Source};

/// Everything the rules may look at.
pub(super) struct Tree {
    /// Each text file: its path from the top, with slashes, and its content.
    pub(super) texts: Vec<(String, String)>,
    /// The Rust files among them.
    pub(super) sources: Vec<Source>,
}

impl Tree {
    /// The files that git tracks, and new ones that it does not ignore.
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        let mut command = Command::new("git");
        command.current_dir(root);
        command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let output = command.output().map_err(|error| format!("cannot start git: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "tidy asks git which files there are, and git says: {}\n\
                 help: run it in a git checkout",
                said.trim()
            ));
        }
        let names = String::from_utf8_lossy(&output.stdout);
        let mut paths: Vec<&str> = names.split('\0').filter(|name| !name.is_empty()).collect();
        paths.sort_unstable();
        paths.dedup();
        // A file that is gone but still tracked, and one that is no text, hold nothing to check.
        let read = |path: &&str| {
            let text = std::fs::read_to_string(root.join(path)).ok()?;
            Some(((*path).to_owned(), text))
        };
        Ok(Self::new(paths.iter().filter_map(read)))
    }

    /// From paths and contents.
    pub(super) fn new(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let texts: Vec<(String, String)> = files.into_iter().collect();
        let is_rust = |path: &str| Path::new(path).extension().is_some_and(|ext| ext == "rs");
        let rust = texts.iter().filter(|(path, _)| is_rust(path));
        let mut sources: Vec<_> = rust.map(|(path, text)| Source::new(path, text)).collect();
        source::mark_test_modules(&mut sources);
        Self { texts, sources }
    }

    /// One text, by its path.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.iter().find(|(known, _)| known == path).map(|(_, text)| text.as_str())
    }
}
