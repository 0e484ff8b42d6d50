//! Which names an account may have.

use std::fmt;

/// The longest name in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Why a text is not a valid account name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameProblem {
    /// It is empty.
    Empty,
    /// It has more than [`NAME_BYTES_MAX`] bytes.
    TooLong,
    /// It contains a control character.
    Control,
    /// It contains `/`, `\` or `:`.
    Holds(char),
    /// It starts with `.` or `-`.
    Begins(char),
    /// It ends with `.` or a space.
    Ends(char),
}

impl fmt::Display for NameProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => out.write_str("a name must not be empty"),
            Self::TooLong => write!(out, "a name has at most {NAME_BYTES_MAX} bytes"),
            Self::Control => out.write_str("a name must not contain control characters"),
            Self::Holds(letter) => write!(out, "a name must not contain `{letter}`"),
            Self::Begins(letter) => write!(out, "a name must not start with `{letter}`"),
            Self::Ends(' ') => out.write_str("a name must not end with a space"),
            Self::Ends(letter) => write!(out, "a name must not end with `{letter}`"),
        }
    }
}

impl std::error::Error for NameProblem {}

/// Whether an account may have this name: 1 to [`NAME_BYTES_MAX`] bytes that are a single path
/// component on every system, cannot forge a log line or a field of a password file, and cannot be
/// taken for a command-line option.
///
/// # Errors
/// The first problem.
pub fn check_name(name: &str) -> Result<(), NameProblem> {
    if name.is_empty() {
        return Err(NameProblem::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(NameProblem::TooLong);
    }
    if name.chars().any(char::is_control) {
        return Err(NameProblem::Control);
    }
    if let Some(letter) = name.chars().find(|letter| matches!(letter, '/' | '\\' | ':')) {
        return Err(NameProblem::Holds(letter));
    }
    if let Some(letter) = name.chars().next().filter(|letter| matches!(letter, '.' | '-')) {
        return Err(NameProblem::Begins(letter));
    }
    if let Some(letter) = name.chars().next_back().filter(|letter| matches!(letter, '.' | ' ')) {
        return Err(NameProblem::Ends(letter));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn usual_names_are_accepted() {
        for name in ["anna", "a", "Zoë", "王小明", "anna.m", "anna-2", "a b", "x@example.com", "_"]
        {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        assert_eq!(check_name(&"x".repeat(64)), Ok(()));
    }

    #[test]
    fn row_21_22_an_invalid_name_is_rejected_with_the_reason() {
        for (name, problem) in [
            ("", NameProblem::Empty),
            ("a\nb", NameProblem::Control),
            ("a\0", NameProblem::Control),
            ("a\u{85}", NameProblem::Control),
            ("a/b", NameProblem::Holds('/')),
            ("a\\b", NameProblem::Holds('\\')),
            ("C:", NameProblem::Holds(':')),
            (".", NameProblem::Begins('.')),
            ("..", NameProblem::Begins('.')),
            (".ssh", NameProblem::Begins('.')),
            ("-rf", NameProblem::Begins('-')),
            ("a.", NameProblem::Ends('.')),
            ("a ", NameProblem::Ends(' ')),
        ] {
            assert_eq!(check_name(name), Err(problem), "{name:?}");
        }
        assert_eq!(check_name(&"é".repeat(33)), Err(NameProblem::TooLong));
    }

    proptest! {
        #[test]
        fn row_22_every_name_is_one_plain_component(name in "\\PC{0,12}|[./\\\\: a-]{0,6}") {
            if check_name(&name).is_ok() {
                let below = Path::new("/srv").join(&name);
                let parts: Vec<_> = below.components().skip(2).collect();
                prop_assert_eq!(parts, vec![Component::Normal(name.as_ref())]);
                prop_assert!(wharf_core::account::is_name(&name));
            }
        }
    }
}
