//! Passwords and keys in files that the configuration names.

use std::io::Read;
use std::path::Path;

use wharf_config::outcome::Failure;
use wharf_core::trusted_file;
use zeroize::Zeroizing;

use super::invalid;

/// Maximum length of the first line.
const SECRET_BYTES_MAX: usize = 4096;

/// Reads the first line of a file; `key` is the setting that names the file.
pub(super) fn read(key: &str, path: &Path) -> Result<Zeroizing<String>, Failure> {
    let shown = path.display();
    let failed = |error: &std::io::Error| {
        let failure = Failure::io(format!("{key}: cannot read {shown}"), error);
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                invalid(failure.message).hint("create the file with the secret in its first line")
            }
            _ => failure,
        }
    };
    let file = trusted_file::open(path).map_err(|error| failed(&error))?;
    let mut bytes = Zeroizing::new(Vec::new());
    let limit = u64::try_from(SECRET_BYTES_MAX + 1).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > SECRET_BYTES_MAX {
        return Err(invalid(format!("{key}: the first line of {shown} is too long for a secret")));
    }
    match std::str::from_utf8(line) {
        Ok("") => Err(invalid(format!("{key}: the first line of {shown} is empty"))
            .hint("write the secret into the first line")),
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(invalid(format!("{key}: {shown} is not text"))),
    }
}

/// Like [`read`] for a setting that may be empty.
pub(super) fn read_optional(
    key: &str,
    path: Option<&Path>,
) -> Result<Option<Zeroizing<String>>, Failure> {
    path.map(|path| read(key, path)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_first_line_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let read = || read("accounts.ldap.bind_password_file", &path);
        assert!(read().unwrap_err().message.contains("cannot read"));
        for (text, found) in [("s3cret\n", "s3cret"), ("s3cret\r\nx", "s3cret"), (" a ", " a ")] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read().unwrap().as_str(), found);
        }
        for text in ["", "\nx"] {
            std::fs::write(&path, text).unwrap();
            assert!(read().unwrap_err().message.contains("is empty"));
        }
        std::fs::write(&path, "x".repeat(SECRET_BYTES_MAX + 1)).unwrap();
        assert!(read().unwrap_err().message.contains("too long"));
    }
}
