//! The files that the rules check.

use std::path::Path;

use super::source::{self, SourceFile};
use crate::checkout;

/// All files that the rules may check.
pub(super) struct SourceTree {
    /// Each text file: its path from the top, with slashes, and its content.
    pub(super) texts: Vec<(String, String)>,
    /// The Rust files among them.
    pub(super) sources: Vec<SourceFile>,
    /// The paths of all files, pictures and the like included.
    paths: Vec<String>,
}

impl SourceTree {
    /// Everything that belongs to the checkout.
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        let tree = Self::new(checkout::texts(root)?);
        Ok(Self { paths: checkout::paths(root)?, ..tree })
    }

    /// From paths and contents.
    pub(super) fn new(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let texts: Vec<(String, String)> = files.into_iter().collect();
        let is_rust = |path: &str| Path::new(path).extension().is_some_and(|ext| ext == "rs");
        let rust = texts.iter().filter(|(path, _)| is_rust(path));
        let mut sources: Vec<_> = rust.map(|(path, text)| SourceFile::new(path, text)).collect();
        source::mark_test_modules(&mut sources);
        let paths = texts.iter().map(|(path, _)| path.clone()).collect();
        Self { texts, sources, paths }
    }

    /// The paths of all files.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// Whether there is such a file or folder.
    pub(super) fn has(&self, path: &str) -> bool {
        let is_it = |known: &String| {
            let rest = known.strip_prefix(path);
            rest.is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with('/'))
        };
        self.paths.iter().any(is_it)
    }

    /// One text, by its path.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.iter().find(|(known, _)| known == path).map(|(_, text)| text.as_str())
    }
}
