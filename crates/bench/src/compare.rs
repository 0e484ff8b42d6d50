//! Compares uploads with what was sent.

use std::path::Path;
use std::process::Command;

/// Compares every file in `folder` with `source`, byte for byte.
pub(crate) fn compare_all(source: &Path, folder: &Path) -> Result<(), String> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let compared = Command::new("cmp").arg("--silent").arg(source).arg(&path).status();
        if !compared.map_err(|error| format!("cannot start cmp: {error}"))?.success() {
            return Err(format!("{} differs from what was sent", path.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_byte_and_one_missing_byte_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let (source, uploads) = (folder.path().join("source"), folder.path().join("up"));
        std::fs::create_dir(&uploads).unwrap();
        std::fs::write(&source, b"abcdef").unwrap();
        std::fs::write(uploads.join("u0"), b"abcdef").unwrap();
        assert_eq!(compare_all(&source, &uploads), Ok(()));
        for wrong in [&b"abcdeX"[..], b"abcde"] {
            std::fs::write(uploads.join("u1"), wrong).unwrap();
            assert!(compare_all(&source, &uploads).unwrap_err().contains("u1"));
        }
    }
}
