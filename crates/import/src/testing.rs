//! What the tests of all imports need.

use crate::model::{ImportNote, ImportResult};
use crate::text::SourceText;

/// A file with this name and content.
pub(crate) fn text(name: &str, content: &str) -> SourceText {
    SourceText { path: name.into(), shown: name.into(), content: content.into() }
}

/// The imported value of a key as TOML, or `-`.
pub(crate) fn value(found: &ImportResult, path: &str) -> String {
    found.imported_settings.get(path).map_or_else(|| "-".into(), |imported| imported.raw.to_toml())
}

/// Each note on one line.
pub(crate) fn lines(found: &ImportResult) -> String {
    let line = |note: &ImportNote| {
        let location = note.location.as_ref().map(|at| format!("{at} ")).unwrap_or_default();
        format!("{:?} {location}{} | {}\n", note.kind, note.what, note.hint)
    };
    found.notes.iter().map(line).collect()
}
