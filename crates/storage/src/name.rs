//! Checks of new names, and the owner of partial uploads.

use wharf_core::account::Account;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::hex;
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

/// The owner of partial uploads: the name of an account, and what distinguishes it from others of
/// that name. Names contain no line ends.
pub(crate) fn upload_owner(account: &Account) -> String {
    let mut owner = account.name.clone();
    if let Some(instance) = &account.instance {
        owner.push('\n');
        owner += &hex(instance);
    }
    owner
}

#[cfg(test)]
mod tests {
    use wharf_core::permission::{Permissions, Rules};

    use super::*;

    #[test]
    fn accounts_of_one_name_are_different_owners() {
        let rules = Rules::everywhere(Permissions::NONE);
        let of = |instance| {
            let account = Account::new("anna", "/", rules.clone());
            upload_owner(&Account { instance, ..account })
        };
        let owners = [of(None), of(Some([0; 16])), of(Some([1; 16]))];
        assert_eq!(owners[0], "anna");
        assert_ne!(owners[1], owners[2]);
        assert_eq!(of(Some([1; 16])), owners[2]);
    }

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
