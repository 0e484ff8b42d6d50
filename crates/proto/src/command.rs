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
    /// Nothing stands in the line, or only spaces.
    Empty,
    /// What stands before the first space is not a [`Verb`].
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
