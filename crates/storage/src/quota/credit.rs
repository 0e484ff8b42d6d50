//! What uploads under way will free when they take the place of files.
//!
//! The size of a file is credited to one upload at a time, and to none once the file has another
//! name: else several uploads to one name could each be as large as the file on top of a quota.

use std::collections::HashMap;

use wharf_core::storage::Kept;

/// A file whose size may be credited: device and inode, or whatever tells files of a store apart.
pub(crate) type FileId = (u64, u64);

/// A file that an upload is to take the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) file: FileId,
    pub(crate) bytes: u64,
}

/// All that is credited, at most once for each file.
#[derive(Default)]
pub(crate) struct Credits {
    by_file: HashMap<FileId, Credit>,
    /// The sum of all.
    sum: Kept,
    last: u64,
}

struct Credit {
    token: u64,
    /// The part that its upload has made use of so far.
    used: Kept,
}

/// The right of one upload to the credit for a file, until the file is moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CreditToken {
    file: FileId,
    number: u64,
}

impl CreditToken {
    /// The file that is to be replaced.
    pub(crate) fn file(self) -> FileId {
        self.file
    }
}

impl Credits {
    /// Whether an upload has the credit for a file.
    pub(crate) fn has(&self, file: FileId) -> bool {
        self.by_file.contains_key(&file)
    }

    /// The credit for a file that no upload has.
    pub(crate) fn take(&mut self, file: FileId) -> CreditToken {
        self.revoke(file);
        self.last = self.last.wrapping_add(1);
        self.by_file.insert(file, Credit { token: self.last, used: Kept::default() });
        CreditToken { file, number: self.last }
    }

    /// Whether the file still stands where it did.
    pub(crate) fn holds(&self, token: CreditToken) -> bool {
        self.by_file.get(&token.file).is_some_and(|credit| credit.token == token.number)
    }

    /// How much of a credit is made use of; nothing happens if it is gone.
    pub(crate) fn set(&mut self, token: CreditToken, used: Kept) {
        let Some(credit) = self.by_file.get_mut(&token.file) else { return };
        if credit.token == token.number {
            let before = std::mem::replace(&mut credit.used, used);
            self.sum = plus(minus(self.sum, before), used);
        }
    }

    /// Gives a credit back.
    pub(crate) fn end(&mut self, token: CreditToken) {
        if self.holds(token) {
            self.revoke(token.file);
        }
    }

    /// Ends the credit for a file, whichever upload has it.
    pub(crate) fn revoke(&mut self, file: FileId) {
        if let Some(credit) = self.by_file.remove(&file) {
            self.sum = minus(self.sum, credit.used);
        }
    }

    /// What counts against a limit of what is kept.
    pub(crate) fn without(&self, kept: Kept) -> Kept {
        minus(kept, self.sum)
    }

    /// The same with `replaced` gone, and the credit for it.
    pub(crate) fn without_replaced(&self, kept: Kept, replaced: Option<Replaced>) -> Kept {
        let Some(replaced) = replaced else { return self.without(kept) };
        let credited = self.by_file.get(&replaced.file).map_or_else(Kept::default, |it| it.used);
        let gone = Kept { bytes: replaced.bytes, files: 1 };
        minus(minus(kept, minus(self.sum, credited)), gone)
    }
}

fn plus(one: Kept, other: Kept) -> Kept {
    Kept {
        bytes: one.bytes.saturating_add(other.bytes),
        files: one.files.saturating_add(other.files),
    }
}

fn minus(one: Kept, other: Kept) -> Kept {
    Kept {
        bytes: one.bytes.saturating_sub(other.bytes),
        files: one.files.saturating_sub(other.files),
    }
}
