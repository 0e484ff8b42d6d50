//! Space that uploads in progress will free by replacing files.
//!
//! The size of a file is credited to one upload at a time, and to none once the file is renamed:
//! otherwise several uploads to one name could each exceed the quota by the size of the file.

use std::collections::HashMap;

use wharf_core::storage::UsedSpace;

/// Identifies a file whose size may be credited: device and inode, or an equivalent of the storage.
pub(crate) type FileId = (u64, u64);

/// A file that an upload replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) file: FileId,
    pub(crate) bytes: u64,
}

/// All credits, at most one per file.
#[derive(Default)]
pub(crate) struct Credits {
    by_file: HashMap<FileId, Credit>,
    /// The sum of all used credits.
    sum: UsedSpace,
    last: u64,
}

struct Credit {
    token: u64,
    /// The part used by its upload so far.
    used: UsedSpace,
}

/// One upload's right to the credit for a file, until the file is renamed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CreditToken {
    file: FileId,
    number: u64,
}

impl CreditToken {
    /// The file to be replaced.
    pub(crate) fn file(self) -> FileId {
        self.file
    }
}

impl Credits {
    /// Whether an upload has the credit for a file.
    pub(crate) fn has(&self, file: FileId) -> bool {
        self.by_file.contains_key(&file)
    }

    /// Takes the credit for a file that no other upload has.
    pub(crate) fn take(&mut self, file: FileId) -> CreditToken {
        self.revoke(file);
        self.last = self.last.wrapping_add(1);
        self.by_file.insert(file, Credit { token: self.last, used: UsedSpace::default() });
        CreditToken { file, number: self.last }
    }

    /// Whether the credit is still valid.
    pub(crate) fn holds(&self, token: CreditToken) -> bool {
        self.by_file.get(&token.file).is_some_and(|credit| credit.token == token.number)
    }

    /// Sets how much of a credit is used; no effect if it is no longer valid.
    pub(crate) fn set(&mut self, token: CreditToken, used: UsedSpace) {
        let Some(credit) = self.by_file.get_mut(&token.file) else { return };
        if credit.token == token.number {
            let before = std::mem::replace(&mut credit.used, used);
            self.sum = plus(minus(self.sum, before), used);
        }
    }

    /// Returns a credit.
    pub(crate) fn end(&mut self, token: CreditToken) {
        if self.holds(token) {
            self.revoke(token.file);
        }
    }

    /// Revokes the credit for a file, whichever upload has it.
    pub(crate) fn revoke(&mut self, file: FileId) {
        if let Some(credit) = self.by_file.remove(&file) {
            self.sum = minus(self.sum, credit.used);
        }
    }

    /// The part of the usage that counts against a limit.
    pub(crate) fn without(&self, used: UsedSpace) -> UsedSpace {
        minus(used, self.sum)
    }

    /// The same without `replaced`, and without the credit for it.
    pub(crate) fn without_replaced(
        &self,
        used: UsedSpace,
        replaced: Option<Replaced>,
    ) -> UsedSpace {
        let Some(replaced) = replaced else { return self.without(used) };
        let credited =
            self.by_file.get(&replaced.file).map_or_else(UsedSpace::default, |it| it.used);
        let gone = UsedSpace { bytes: replaced.bytes, files: 1 };
        minus(minus(used, minus(self.sum, credited)), gone)
    }
}

fn plus(one: UsedSpace, other: UsedSpace) -> UsedSpace {
    UsedSpace {
        bytes: one.bytes.saturating_add(other.bytes),
        files: one.files.saturating_add(other.files),
    }
}

fn minus(one: UsedSpace, other: UsedSpace) -> UsedSpace {
    UsedSpace {
        bytes: one.bytes.saturating_sub(other.bytes),
        files: one.files.saturating_sub(other.files),
    }
}
