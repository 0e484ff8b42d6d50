//! Reading directories on Unix.

use std::io;

use rustix::io::Errno;
use wharf_core::error::Result;
use wharf_core::storage::ListDetail;
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::path::VPath;

use super::facts_unix;
use super::fault::fault;
use super::server_files::system::DeniedNames;
use super::system::{Directory, Root};
use super::temporary::is_hidden;

#[cfg(target_os = "linux")]
use super::names_linux::NameReader;
#[cfg(not(target_os = "linux"))]
use super::names_posix::NameReader;

/// The names in a directory.
pub(super) struct DirectoryNames {
    reading: NameReader,
}

/// A name in a directory.
pub(super) struct DirectoryName {
    pub(super) name: Vec<u8>,
    /// Whether it may be a directory. Some file systems do not report it.
    pub(super) may_be_dir: bool,
}

impl DirectoryNames {
    pub(super) fn new(dir: &Directory) -> io::Result<Self> {
        Ok(Self { reading: NameReader::new(dir)? })
    }
}

impl Iterator for DirectoryNames {
    type Item = io::Result<DirectoryName>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (name, may_be_dir) = match self.reading.next() {
                Ok(next) => next?,
                Err(error) => return Some(Err(error.into())),
            };
            let name = name.to_bytes();
            if !matches!(name, b"." | b"..") {
                return Some(Ok(DirectoryName { name: name.to_vec(), may_be_dir }));
            }
        }
    }
}

/// A directory being listed.
pub(super) struct Reader {
    dir: Directory,
    reading: NameReader,
    at: VPath,
    wanted: ListDetail,
    /// Names of server files in this directory; `None` if no name needs to be checked.
    denied: Option<DeniedNames>,
}

impl Reader {
    pub(super) fn new(root: &Root, dir: Directory, at: VPath, wanted: ListDetail) -> Result<Self> {
        let denied = root.denied_names(&dir);
        Ok(Self { reading: NameReader::new(&dir).map_err(fault)?, dir, at, wanted, denied })
    }

    /// The next entry, `None` at the end. Entries that disappear in the meantime are left out.
    pub(super) fn next(&mut self, root: &Root) -> Result<Option<Entry>> {
        loop {
            let Some((name, _)) = self.reading.next().map_err(fault)? else { return Ok(None) };
            let bytes = name.to_bytes();
            if matches!(bytes, b"." | b"..") || is_hidden(bytes) {
                continue;
            }
            let is_denied = self.denied.as_ref().is_some_and(|denied| denied.has_name(bytes));
            if is_denied {
                continue;
            }
            if self.wanted == ListDetail::Names && self.denied.is_none() {
                return Ok(Some(Entry::new(bytes, Kind::File, 0)));
            }
            let entry = match facts_unix::of_name(&self.dir, name) {
                Ok(entry) if root.denies_entry(&entry) => continue,
                Ok(entry) if entry.kind == Kind::Link => {
                    match followed(root, &self.at, bytes, entry) {
                        Some(entry) => entry,
                        None => continue,
                    }
                }
                Ok(entry) => entry,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(fault(error)),
            };
            if self.wanted == ListDetail::Names {
                return Ok(Some(Entry::new(bytes, Kind::File, 0)));
            }
            return Ok(Some(Entry { name: bytes.to_vec(), ..entry }));
        }
    }
}

/// The target of a link, if it may be followed; otherwise the link. `None` if the target is denied.
fn followed(root: &Root, dir: &VPath, name: &[u8], link: Entry) -> Option<Entry> {
    let Ok(at) = dir.join(name) else { return Some(link) };
    match root.stat(&at) {
        Ok(reached) => Some(Entry { via_link: reached.kind != Kind::Link, ..reached }),
        Err(_) => (!root.leads_to_denied(&at)).then_some(link),
    }
}
