//! What the tests of several crates share.

pub mod reports;

use std::path::Path;

/// Compares output that users see with the file `name` below the repository's root, so that a
/// change is reviewed. With `WHARF_BLESS=1` in the environment the file is written instead.
///
/// # Panics
/// The text differs, or the file cannot be written.
pub fn assert_same(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    if std::env::var_os("WHARF_BLESS").is_some() {
        let folder = path.parent().unwrap_or(&path);
        std::fs::create_dir_all(folder).expect("the folder of the snapshot can be created");
        std::fs::write(&path, text).expect("the snapshot can be written");
        return;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "{name} is stale; review the new text below and accept it with \
         WHARF_BLESS=1 cargo nextest run\n\n{text}"
    );
}
