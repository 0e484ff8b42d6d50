//! Snapshots of output that users see: a test fails when one changes, so that the change is
//! reviewed.

use std::path::Path;

/// Compares `text` with the file `name` below the repository's root. With `WHARF_BLESS=1` in the
/// environment the file is written instead.
pub(crate) fn assert_same(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    if std::env::var_os("WHARF_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "{name} is stale; review the new text below and accept it with \
         WHARF_BLESS=1 cargo nextest run -p wharf\n\n{text}"
    );
}
