//! Compares uploads with what was sent.

use std::fs::File;
use std::io::Read;
use std::path::Path;

const BLOCK_BYTES: usize = 1 << 20;

/// Compares every file in `folder` with `source`, byte for byte.
///
/// # Errors
/// The first file that differs, or cannot be read.
pub(crate) fn compare_all(source: &Path, folder: &Path) -> Result<(), String> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let is_alike = are_equal(source, &path)
            .map_err(|error| format!("cannot compare {}: {error}", path.display()))?;
        if !is_alike {
            return Err(format!("{} differs from what was sent", path.display()));
        }
    }
    Ok(())
}

fn are_equal(one: &Path, other: &Path) -> std::io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    loop {
        let got = one.read(&mut left)?;
        if got == 0 {
            return Ok(true);
        }
        let right = right.get_mut(..got).unwrap_or_default();
        other.read_exact(right)?;
        if left.get(..got) != Some(&*right) {
            return Ok(false);
        }
    }
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
