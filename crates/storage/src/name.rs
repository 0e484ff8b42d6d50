//! Checks of new names.

use wharf_core::error::{Error, ErrorKind, Result};
use wharf_proto::path::escaped;

/// Rejects a new name with control bytes (C0, DEL, C1) or outside of UTF-8: it could forge a line
/// of a listing or a log. Existing files with such names stay accessible.
pub(crate) fn check_new(name: &[u8]) -> Result<()> {
    let fault = match std::str::from_utf8(name) {
        Ok(text) if text.chars().any(char::is_control) => "contains a control byte",
        Ok(_) => return Ok(()),
        Err(_) => "is not UTF-8",
    };
    let message =
        format!("invalid new name `{}`: {fault}; use printable characters", escaped(name));
    Err(Error::new(ErrorKind::BadName, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_forge_a_line_are_rejected() {
        for bad in [b"a\nb".as_slice(), b"\x1b[2J", b"\x7f", b"\xc2\x85", b"\xff", b"\t"] {
            assert_eq!(check_new(bad).unwrap_err().kind, ErrorKind::BadName, "{bad:?}");
        }
        for good in ["a", "ä", "a b", "...", "\u{a0}", "日本"] {
            assert!(check_new(good.as_bytes()).is_ok(), "{good}");
        }
    }
}
