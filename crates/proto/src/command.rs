//! One line to a verb and its argument (RFC 959 §5.3.1).

use std::fmt;

/// The longest verb in bytes. FTP's own have three or four; extensions have had up to ten.
pub const VERB_BYTES_MAX: usize = 12;

/// The name of a command: 1 to 12 ASCII letters or digits, the first a letter, in upper case.
// Filled up with zeros, so the order of the arrays is the order of the words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Verb([u8; VERB_BYTES_MAX]);

impl Verb {
    /// Reads a verb in upper or lower case.
    pub fn parse(word: &[u8]) -> Option<Self> {
        if !word.first()?.is_ascii_alphabetic() || !word.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let mut letters = [0; VERB_BYTES_MAX];
        letters.get_mut(..word.len())?.copy_from_slice(word);
        letters.make_ascii_uppercase();
        Some(Self(letters))
    }

    /// The verb in upper case.
    pub fn as_str(&self) -> &str {
        let bytes = self.0.split(|&byte| byte == 0).next().unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl fmt::Debug for Verb {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// One command as it came: what to do, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// What to do.
    pub verb: Verb,
    /// Everything behind exactly one space, empty if there is none. Further spaces, in front or at
    /// the end, belong to it: names and passwords may begin and end with spaces.
    pub arg: &'a [u8],
}

/// Why a line is not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The line is empty or has only spaces.
    Empty,
    /// The text before the first space is not a [`Verb`].
    NotAVerb,
}

impl<'a> Command<'a> {
    /// Reads one line without its CR LF. Spaces before the verb are skipped.
    pub fn parse(line: &'a [u8]) -> Result<Self, CommandError> {
        let start = line.iter().position(|&byte| byte != b' ').ok_or(CommandError::Empty)?;
        let line = line.get(start..).unwrap_or_default();
        let mut halves = line.splitn(2, |&byte| byte == b' ');
        let word = halves.next().unwrap_or_default();
        let verb = Verb::parse(word).ok_or(CommandError::NotAVerb)?;
        Ok(Self { verb, arg: halves.next().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(line: &str) -> (String, String) {
        let command = Command::parse(line.as_bytes()).unwrap();
        (command.verb.to_string(), String::from_utf8(command.arg.to_vec()).unwrap())
    }

    fn pair(verb: &str, arg: &str) -> (String, String) {
        (verb.to_owned(), arg.to_owned())
    }

    #[test]
    fn the_verb_is_upper_case_and_one_space_ends_it() {
        assert_eq!(parsed("noop"), pair("NOOP", ""));
        assert_eq!(parsed("LIST "), pair("LIST", ""));
        assert_eq!(parsed("  Retr a b"), pair("RETR", "a b"));
        assert_eq!(parsed("MKD  lead and trail "), pair("MKD", " lead and trail "));
        assert_eq!(parsed("sitehelp"), pair("SITEHELP", ""));
    }

    #[test]
    fn invalid_verbs_are_rejected() {
        assert_eq!(Command::parse(b""), Err(CommandError::Empty));
        assert_eq!(Command::parse(b"   "), Err(CommandError::Empty));
        let long = "ABCDEFGHIJKLM";
        for line in ["1ST", "NO-OP", "NOOP\t", "/ HTTP/1.1", "\u{16}\u{3}\u{1}", long, "É"] {
            let result = Command::parse(line.as_bytes());
            assert_eq!(result, Err(CommandError::NotAVerb), "{line:?}");
        }
        assert_eq!(Verb::parse(b""), None);
        assert_eq!(Verb::parse(&long.as_bytes()[..12]).unwrap().as_str(), "ABCDEFGHIJKL");
    }

    #[test]
    fn verbs_are_ordered_as_words() {
        let verb = |word: &str| Verb::parse(word.as_bytes()).unwrap();
        assert!(verb("MKD") < verb("MKDX") && verb("MKDX") < verb("ML"));
        assert_eq!(verb("list"), verb("LIST"));
        assert_eq!(format!("{:<6}|", verb("abor")), "ABOR  |");
    }

    proptest! {
        #[test]
        fn a_command_that_is_written_reads_back(verb in "[A-Z][A-Z0-9]{0,11}", arg: Vec<u8>) {
            let line = [verb.as_bytes(), b" ", &arg].concat();
            let command = Command::parse(&line).unwrap();
            prop_assert_eq!(command.verb.as_str(), verb);
            prop_assert_eq!(command.arg, arg);
        }

        #[test]
        fn no_line_makes_parsing_panic(line: Vec<u8>) {
            if let Ok(command) = Command::parse(&line) {
                prop_assert!(line.ends_with(command.arg));
            }
        }
    }
}
