//! What is in a directory of Unix.

use std::io;

use rustix::io::Errno;
use wharf_core::error::Result;
use wharf_core::storage::Wanted;
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::path::VPath;

use super::facts_unix;
use super::fault::fault;
use super::leftover::is_hidden;
use super::system::{Directory, Root};

#[cfg(target_os = "linux")]
use super::names_linux::Reading;
#[cfg(not(target_os = "linux"))]
use super::names_posix::Reading;

/// The names in a directory.
pub(super) struct Names {
    reading: Reading,
}

/// A name in a directory.
pub(super) struct Named {
    pub(super) name: Vec<u8>,
    /// Whether it can be a directory. Some file systems do not say.
    pub(super) may_be_dir: bool,
}

impl Names {
    pub(super) fn new(dir: &Directory) -> io::Result<Self> {
        Ok(Self { reading: Reading::new(dir)? })
    }
}

impl Iterator for Names {
    type Item = io::Result<Named>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (name, may_be_dir) = match self.reading.next() {
                Ok(next) => next?,
                Err(error) => return Some(Err(error.into())),
            };
            let name = name.to_bytes();
            if !matches!(name, b"." | b"..") {
                return Some(Ok(Named { name: name.to_vec(), may_be_dir }));
            }
        }
    }
}

/// A directory that is being listed.
pub(super) struct Reader {
    dir: Directory,
    reading: Reading,
    at: VPath,
    wanted: Wanted,
}

impl Reader {
    pub(super) fn new(dir: Directory, at: VPath, wanted: Wanted) -> Result<Self> {
        Ok(Self { reading: Reading::new(&dir).map_err(fault)?, dir, at, wanted })
    }

    /// The next entry, none at the end. What vanishes meanwhile is left out.
    pub(super) fn next(&mut self, root: &Root) -> Result<Option<Entry>> {
        loop {
            let Some((name, _)) = self.reading.next().map_err(fault)? else { return Ok(None) };
            let bytes = name.to_bytes();
            if matches!(bytes, b"." | b"..") || is_hidden(bytes) {
                continue;
            }
            if self.wanted == Wanted::Names {
                return Ok(Some(Entry::new(bytes, Kind::File, 0)));
            }
            let entry = match facts_unix::of_name(&self.dir, name) {
                Ok(entry) if entry.kind == Kind::Link => followed(root, &self.at, bytes, entry),
                Ok(entry) => entry,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(fault(error)),
            };
            return Ok(Some(Entry { name: bytes.to_vec(), ..entry }));
        }
    }
}

/// What a link leads to, if it may be followed; else the link.
fn followed(root: &Root, dir: &VPath, name: &[u8], link: Entry) -> Entry {
    let reached = dir.join(name).ok().and_then(|at| root.stat(&at).ok());
    reached.map_or(link, |entry| Entry { via_link: true, ..entry })
}
