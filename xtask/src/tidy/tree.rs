//! What the rules look at.

use std::path::Path;

use super::source::{self, Source};
use crate::checkout;

/// Everything the rules may look at.
pub(super) struct Tree {
    /// Each text file: its path from the top, with slashes, and its content.
    pub(super) texts: Vec<(String, String)>,
    /// The Rust files among them.
    pub(super) sources: Vec<Source>,
}

impl Tree {
    /// Everything that belongs to the checkout.
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        Ok(Self::new(checkout::texts(root)?))
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
