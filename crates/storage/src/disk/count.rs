//! Counting the content of a directory tree.

use std::io::{self, ErrorKind};
use std::path::Path;

use wharf_core::storage::UsedSpace;
use wharf_proto::entry::Kind;

use super::FollowSymlinks;
use super::system::{Directory, DirectoryNames, Root};
use super::temporary::{TemporaryKind, temporary_kind};

/// Maximum depth. Each level keeps a file open while it is being read.
const DEPTH_MAX: usize = 200;

/// Counts the regular files beneath `root` with their bytes, including temporary files of the
/// server, and the directories. Follows no links. Directories that the server may not read are
/// skipped: it cannot have stored anything there. Blocks until the whole tree is read.
///
/// # Errors
/// If something cannot be read, or is nested too deeply.
pub(super) fn count(root: &Path) -> io::Result<UsedSpace> {
    let top = Root::open(root, FollowSymlinks::Never)?.top()?;
    let mut used = UsedSpace::default();
    let mut open = vec![(top.names()?, top)];
    while let Some((names, dir)) = open.last_mut() {
        let Some(entry) = names.next() else {
            open.pop();
            continue;
        };
        let name = entry?.name;
        if matches!(
            temporary_kind(&name),
            Some(TemporaryKind::Base | TemporaryKind::Undo | TemporaryKind::AbsentMark)
        ) {
            // A few bytes beside an upload, which is counted itself.
            continue;
        }
        match dir.measure(&name).map_err(io::Error::other)? {
            Some((Kind::File, bytes)) => {
                used.files = used.files.saturating_add(1);
                used.bytes = used.bytes.saturating_add(bytes);
            }
            Some((Kind::Dir, _)) => {
                used.files = used.files.saturating_add(1);
                let below = below(dir, &name)?;
                if open.len() >= DEPTH_MAX && below.is_some() {
                    return Err(io::Error::other("directories are nested too deeply"));
                }
                open.extend(below);
            }
            // It disappeared in the meantime, or occupies no space of its own.
            None | Some((Kind::Link | Kind::Other, _)) => {}
        }
    }
    Ok(used)
}

/// A directory to read; `None` if it disappeared or access is denied.
fn below(dir: &Directory, name: &[u8]) -> io::Result<Option<(DirectoryNames, Directory)>> {
    let opened = dir.subdirectory(name).and_then(|below| Ok((below.names()?, below)));
    match opened {
        Ok(below) => Ok(Some(below)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
