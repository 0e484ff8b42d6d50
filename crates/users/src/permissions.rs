//! Parses permissions, with suggestions for misspelt ones.

use std::fmt;

use wharf_core::permission::{PRESETS, Permissions};

use crate::nearest::nearest;

/// A text that names no permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPermissions {
    /// The invalid word.
    pub word: String,
    /// The permission or preset that was probably meant.
    pub meant: Option<&'static str>,
}

impl InvalidPermissions {
    /// The error message.
    pub fn message(&self) -> String {
        format!("invalid permission `{}`: neither a preset, a name nor letters", self.word)
    }

    /// What would help.
    pub fn hint(&self) -> String {
        self.meant.map_or_else(
            || {
                format!(
                    "use read, read-write, upload, dropbox, full or none, names with commas such \
                     as list,read,mkdir, or the letters {LETTERS}"
                )
            },
            |meant| format!("did you mean `{meant}`?"),
        )
    }
}

impl fmt::Display for InvalidPermissions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.message(), self.hint())
    }
}

impl std::error::Error for InvalidPermissions {}

/// Parses what [`Permissions::parse`] accepts, and `none`.
///
/// It is stricter in one point: letters that look like a misspelt word are rejected. `raed` would
/// otherwise be four letters, and grant the permission to delete where `read` was meant. Letters in
/// their usual order, `elradfmwMTC`, are always accepted.
///
/// # Errors
/// The invalid word, and the one that was probably meant.
pub fn parse_permissions(text: &str) -> Result<Permissions, InvalidPermissions> {
    let text = text.trim();
    if text == "none" {
        return Ok(Permissions::NONE);
    }
    let parsed = Permissions::parse(text);
    let is_list = text.contains(',');
    let is_word = is_list || known().any(|name| name == text);
    let meant = (!is_word).then(|| nearest(text, known())).flatten();
    match parsed {
        Ok(permissions) if is_word || is_in_order(text) => Ok(permissions),
        Ok(permissions) if meant.is_none() && !repeats(text) => Ok(permissions),
        Ok(_) => Err(InvalidPermissions { word: text.to_owned(), meant }),
        Err(unknown) => {
            let meant = meant.or_else(|| nearest(&unknown.0, known()));
            // A misspelt word is reported as a word, though its letters were parsed one by one.
            let word = if is_list { unknown.0 } else { text.to_owned() };
            Err(InvalidPermissions { word, meant })
        }
    }
}

/// Formats permissions so that [`parse_permissions`] reads the same: a preset, names, or letters.
///
/// The names `read` and `upload` are also presets, which grant more than the single permission; a
/// set of only that permission is written in another form.
pub fn format_permissions(permissions: Permissions) -> String {
    let letters = |letter: &char| {
        let sets = Permissions::EACH.iter().filter(|(_, known, _)| known == letter);
        sets.fold(Permissions::NONE, |sum, (set, _, _)| sum.union(*set))
    };
    let named = permissions.to_string();
    let lettered: String =
        LETTERS.chars().filter(|letter| permissions.contains(letters(letter))).collect();
    let twice = format!("{named},{named}");
    let is_same = |text: &String| parse_permissions(text) == Ok(permissions);
    [&named, &lettered, &twice].into_iter().find(|text| is_same(text)).unwrap_or(&named).clone()
}

/// The letters of `pyftpdlib` in their usual order, then those that wharf adds.
const LETTERS: &str = "elradfmwMTC";

fn is_in_order(letters: &str) -> bool {
    letters.chars().map(|letter| LETTERS.find(letter)).is_sorted_by(|one, next| one < next)
}

/// Whether a letter occurs twice: a list of letters never repeats one, but the word `all` does.
fn repeats(letters: &str) -> bool {
    letters
        .chars()
        .enumerate()
        .any(|(at, letter)| letters.chars().skip(at + 1).any(|c| c == letter))
}

fn known() -> impl Iterator<Item = &'static str> {
    let names = Permissions::EACH.iter().map(|(_, _, name)| *name);
    PRESETS.iter().map(|(name, _)| *name).chain(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn presets_names_and_letters_are_read() {
        for text in ["read", "full", "none", "list,read", " upload ", "mkdir", "elr", "elradfmwMT"]
        {
            assert!(parse_permissions(text).is_ok(), "{text}");
        }
        assert_eq!(parse_permissions("none"), Ok(Permissions::NONE));
        // Letters in their order are letters, whatever word they resemble.
        for letters in ["e", "rad", "ead", "rd", "MT", "lmwM"] {
            assert_eq!(
                parse_permissions(letters).ok(),
                Permissions::parse(letters).ok(),
                "{letters}"
            );
        }
        assert_eq!(parse_permissions("wle").ok(), Permissions::parse("elw").ok());
    }

    #[test]
    fn a_misspelt_word_is_not_taken_for_letters() {
        for (text, word, meant) in [
            ("raed", "raed", Some("read")),
            ("reed", "reed", Some("read")),
            ("dread", "dread", Some("read")),
            ("Read", "Read", Some("read")),
            ("readwrite", "readwrite", Some("read-write")),
            ("uplaod", "uplaod", Some("upload")),
            ("list,raed", "raed", Some("read")),
            ("list,everything", "everything", None),
            ("", "", None),
            ("elz", "elz", None),
            ("all", "all", None),
        ] {
            assert_eq!(
                parse_permissions(text),
                Err(InvalidPermissions { word: word.into(), meant }),
                "{text}"
            );
        }
    }

    #[test]
    fn one_permission_is_not_written_as_a_preset_that_gives_more() {
        assert_eq!(format_permissions(Permissions::READ), "read,read");
        assert_eq!(format_permissions(Permissions::READ.union(Permissions::HASH)), "read,hash");
        assert_eq!(
            parse_permissions(&format_permissions(Permissions::UPLOAD)),
            Ok(Permissions::UPLOAD)
        );
        assert_eq!(format_permissions(Permissions::NONE), "none");
        assert_eq!(format_permissions(Permissions::parse("full").unwrap()), "full");
        assert_eq!(parse_permissions(&format_permissions(Permissions::ALL)), Ok(Permissions::ALL));
    }

    proptest! {
        #[test]
        fn a_formatted_value_is_parsed_as_the_same(
            names in prop::collection::vec(0..14_usize, 0..14),
            letters in "e?l?r?a?d?f?m?w?M?T?C?",
        ) {
            let names: Vec<_> = names.iter().map(|at| Permissions::EACH[*at].2).collect();
            for text in [names.join(","), letters] {
                if let Ok(set) = parse_permissions(&text) {
                    let again = parse_permissions(&format_permissions(set));
                    prop_assert_eq!(again, Ok(set), "{}", text);
                }
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,20}|[elradfmwMT,]{0,8}") {
            let _ = parse_permissions(&text);
        }
    }
}
