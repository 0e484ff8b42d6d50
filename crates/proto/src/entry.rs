//! What FTP can report of one file: the facts of RFC 3659 §7.5 are our metadata.

use crate::time::Timestamp;

/// One file, directory or other thing as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name alone, without its directory, as bytes on disk. Never empty, never with a slash.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Bytes of content for a file; for others whatever the store finds useful, often 0.
    pub size: u64,
    /// When its content last changed.
    pub modified: Timestamp,
    /// When it was made, where the store has it.
    pub created: Option<Timestamp>,
    /// Permission bits of Unix, `0o7777` at most.
    pub mode: u32,
    /// How many names it has (hard links); 1 where the store has no such thing.
    pub links: u64,
    /// Says for two entries whether they are the same thing (RFC 3659 §7.5.2): device and inode.
    pub unique: Option<(u64, u64)>,
    /// Whether a symbolic link was followed to it. Known in listings; what is looked up by its path
    /// does not say.
    pub via_link: bool,
    /// What the asking account may do with it (RFC 3659 §7.5.5). The store leaves it empty; the
    /// engine fills it in.
    pub perm: Perm,
}

/// What an entry is (RFC 3659 §7.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link that is not followed: it is broken or leads out of the account's root.
    Link,
    /// A pipe, socket or device. It is listed, but never opened.
    Other,
}

/// The letters of the `perm` fact (RFC 3659 §7.5.5), as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Perm(u16);

impl Perm {
    /// The letters in the order in which they are written.
    pub const LETTERS: &'static [u8; 10] = b"acdeflmprw";

    /// The set with `letter` added. A letter outside [`Perm::LETTERS`] changes nothing.
    #[must_use]
    pub fn with(self, letter: u8) -> Self {
        Self::LETTERS
            .iter()
            .position(|&known| known == letter)
            .map_or(self, |bit| Self(self.0 | (1 << bit)))
    }

    /// Whether the set has `letter`.
    pub fn has(self, letter: u8) -> bool {
        self.letters().any(|known| known == letter)
    }

    /// Appends the letters of the set, in the order in which they are written.
    pub fn write(self, out: &mut Vec<u8>) {
        let mut rest = self.0;
        for &letter in Self::LETTERS {
            if rest & 1 != 0 {
                out.push(letter);
            }
            rest >>= 1;
        }
    }

    /// The letters of the set, in the order in which they are written.
    pub fn letters(self) -> impl Iterator<Item = u8> {
        Self::LETTERS
            .iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, &letter)| letter)
    }
}

impl Entry {
    /// A file or directory with nothing known but its name, kind and size: a start for stores.
    pub fn new(name: impl Into<Vec<u8>>, kind: Kind, size: u64) -> Self {
        Self {
            name: name.into(),
            kind,
            size,
            modified: Timestamp::default(),
            created: None,
            mode: if kind == Kind::Dir { 0o755 } else { 0o644 },
            links: 1,
            unique: None,
            via_link: false,
            perm: Perm::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perm_letters_are_in_rfc_order() {
        let perm = Perm::default().with(b'w').with(b'a').with(b'?').with(b'r');
        assert_eq!(perm.letters().collect::<Vec<_>>(), b"arw");
        let mut written = Vec::new();
        perm.write(&mut written);
        assert_eq!(written, b"arw");
        assert!(perm.has(b'r'));
        assert!(!perm.has(b'd'));
    }
}
