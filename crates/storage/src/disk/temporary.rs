//! Names of temporary files, the file that each belongs to, and locks on them.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind as Io, Read, Write as _};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use wharf_proto::path::VPath;

use super::boot;
use super::fault::fault;
use super::system::{Directory, OpenedTemporary};

/// Prefix of the names of temporary files. Clients neither see nor reach such names, regardless of
/// letter case and of what created the file.
///
/// `.wharf-` + 32 hex digits + `.part` is the upload of one account to one name; it can be resumed,
/// also after a crash. The same name with `.base` records the identity of the file that existed
/// under that name when the upload began, or refers to the mark that none did, which is stored in a
/// `.none`. `.wharf-` + 32 hex digits + `.tmp` is a second upload to that name, or bytes to append
/// to a file, and `.undo` records how long a file was before bytes were appended.
pub const TEMP_PREFIX: &str = ".wharf-";

const PARTIAL_SUFFIX: &[u8] = b".part";
const TEMPORARY_SUFFIX: &[u8] = b".tmp";
const BASE_SUFFIX: &[u8] = b".base";
const UNDO_SUFFIX: &[u8] = b".undo";
const ABSENCE_SUFFIX: &[u8] = b".none";
/// How often creating a mark is retried that other sessions remove concurrently.
const TRIES_MAX: usize = 10;
/// Maximum length of an identity that is read.
const BASE_BYTES_MAX: u64 = 512;
/// Number of random bytes in a name, so that names can be neither guessed nor collide.
const TAG_BYTES: usize = 16;

/// Whether a name is hidden from clients.
pub(super) fn is_hidden(name: &[u8]) -> bool {
    // In any letter case, for case-insensitive file systems.
    let start = name.get(..TEMP_PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(TEMP_PREFIX.as_bytes()))
}

/// Whether some name of the path is hidden.
pub(super) fn leads_to_hidden(at: &VPath) -> bool {
    at.names().any(is_hidden)
}

/// The purpose of a temporary file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TemporaryKind {
    /// Contains bytes of an upload.
    Upload,
    /// Contains the identity of the file that an upload replaces.
    Base,
    /// Contains the old length of a file that is being appended to.
    Undo,
    /// Marks a name without a file.
    AbsentMark,
}

/// The kind of a temporary file, if the name has exactly the format of the server.
pub(super) fn temporary_kind(name: &[u8]) -> Option<TemporaryKind> {
    let rest = name.strip_prefix(TEMP_PREFIX.as_bytes())?;
    let (tag, suffix) = rest.split_at_checked(2 * TAG_BYTES)?;
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if !tag.iter().all(is_hex) {
        return None;
    }
    match suffix {
        PARTIAL_SUFFIX | TEMPORARY_SUFFIX => Some(TemporaryKind::Upload),
        BASE_SUFFIX => Some(TemporaryKind::Base),
        UNDO_SUFFIX => Some(TemporaryKind::Undo),
        ABSENCE_SUFFIX => Some(TemporaryKind::AbsentMark),
        _ => None,
    }
}

/// Whether the name has exactly the format of the server.
#[cfg(test)]
fn is_temporary(name: &[u8]) -> bool {
    temporary_kind(name).is_some()
}

/// The name of the temporary file for an account's upload to `target`, in the same directory.
///
/// The name changes with each boot. An upload in progress is not synced, so after a power failure
/// its length can be stored without its bytes: resuming it would publish a file with zeros in it
/// and reply 226.
pub(super) fn partial_name(account: &str, target: &[u8]) -> Vec<u8> {
    partial_name_of(boot::identity(), account, target)
}

fn partial_name_of(boot: &[u8], account: &str, target: &[u8]) -> Vec<u8> {
    // None of the three contains NUL, so different triples never have the same text.
    let digest = Sha256::new().chain_update(account).chain_update([0]).chain_update(target);
    let digest = digest.chain_update([0]).chain_update(boot);
    named(digest.finalize().as_slice(), PARTIAL_SUFFIX)
}

/// The name of the journal for appends to `target`, in the same directory. It is the same for every
/// account and does not change with a reboot.
pub(super) fn undo_name(target: &[u8]) -> Vec<u8> {
    let digest = Sha256::new().chain_update(b"append").chain_update([0]).chain_update(target);
    named(digest.finalize().as_slice(), UNDO_SUFFIX)
}

/// The name of the file that records the identity to which the upload `partial` is bound.
fn base_name(partial: &[u8]) -> Vec<u8> {
    let mut name = partial.strip_suffix(PARTIAL_SUFFIX).unwrap_or(partial).to_vec();
    name.extend_from_slice(BASE_SUFFIX);
    name
}

/// Records which file the upload `partial` replaces. The caller holds its lock.
pub(super) fn write_base(dir: &Directory, partial: &[u8], base: &str) -> io::Result<()> {
    let name = base_name(partial);
    let mut file = match dir.create(&name) {
        Err(error) if error.kind() == Io::AlreadyExists => match dir.open_own(&name)? {
            OpenedTemporary::Found(file) => file,
            OpenedTemporary::Foreign | OpenedTemporary::Missing => return Err(error),
        },
        made => made?,
    };
    file.set_len(0)?;
    file.write_all(base.as_bytes())
}

/// The recorded identity of the file that the upload `partial` replaces; `None` if there is none.
pub(super) fn read_base(dir: &Directory, partial: &[u8]) -> io::Result<Option<String>> {
    let OpenedTemporary::Found(file) = dir.open_own(&base_name(partial))? else { return Ok(None) };
    let mut base = Vec::new();
    file.take(BASE_BYTES_MAX).read_to_end(&mut base)?;
    // Incomplete text never equals an identity.
    Ok(Some(String::from_utf8_lossy(&base).into_owned()))
}

/// Removes the record of an upload that no longer exists. Call it after removing the upload: a
/// record without upload is harmless.
pub(super) fn remove_base(dir: &Directory, partial: &[u8]) {
    if partial.ends_with(PARTIAL_SUFFIX) {
        // If this fails, the next sweep removes it.
        let _ = dir.unlink(&base_name(partial));
    }
}

/// Whether a record belongs to no upload.
pub(super) fn is_orphan(dir: &Directory, base: &[u8]) -> bool {
    let mut partial = base.strip_suffix(BASE_SUFFIX).unwrap_or(base).to_vec();
    partial.extend_from_slice(PARTIAL_SUFFIX);
    matches!(dir.kind_of(&partial), Ok(None))
}

/// What is known about the file that an upload was to replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BaseMatch {
    /// The record names the file that exists now, or that none does.
    Recorded,
    /// There is no record, since the server was killed before it was written. The file that exists
    /// now has not changed since the upload began.
    Unrecorded,
    /// It was another file, or that is not known.
    Unknown,
}

/// Whether the upload `partial` was made for the file that exists at `target` now: for the file
/// with the identity `base`, or for an unused name.
pub(super) fn match_base(
    dir: &Directory,
    (partial, file): (&[u8], &File),
    target: &[u8],
    base: Option<&str>,
) -> wharf_core::error::Result<BaseMatch> {
    let is_recorded = match (read_base(dir, partial).map_err(fault)?, base) {
        (Some(noted), Some(base)) => noted == base,
        (Some(noted), None) => {
            absent_mark(dir, target).map_err(fault)?.is_some_and(|mark| mark == noted)
        }
        (None, Some(_)) if dir.precedes(target, file)? => return Ok(BaseMatch::Unrecorded),
        (None, _) => false,
    };
    Ok(if is_recorded { BaseMatch::Recorded } else { BaseMatch::Unknown })
}

/// Whether two identities may belong to one file with one content, of which only the permissions,
/// the links or the times were changed.
pub(super) fn may_be_same(one: &str, other: &str) -> bool {
    let parts = |text: &str| {
        let (file, behind) = text.split_once(' ').unwrap_or((text, ""));
        let first: Vec<_> = file.split(':').take(2).map(str::to_owned).collect();
        (first, behind.to_owned())
    };
    parts(one) == parts(other)
}

/// The name of the mark that no file exists at `target`, for every account.
fn absent_mark_name(target: &[u8]) -> Vec<u8> {
    let digest = Sha256::new().chain_update(b"absence").chain_update([0]).chain_update(target);
    named(digest.finalize().as_slice(), ABSENCE_SUFFIX)
}

/// The mark that no file exists at `target`; `None` if it is missing or incomplete.
fn absent_mark(dir: &Directory, target: &[u8]) -> io::Result<Option<String>> {
    let OpenedTemporary::Found(file) = dir.open_own(&absent_mark_name(target))? else {
        return Ok(None);
    };
    let mut mark = Vec::new();
    file.take(BASE_BYTES_MAX).read_to_end(&mut mark)?;
    let is_whole = temporary_kind(&mark) == Some(TemporaryKind::Upload);
    Ok(is_whole.then(|| String::from_utf8_lossy(&mark).into_owned()))
}

/// Marks that no file exists at `target`. Returns the mark, and whether it is new.
pub(super) fn mark_absent(dir: &Directory, target: &[u8]) -> io::Result<(String, bool)> {
    let name = absent_mark_name(target);
    for _ in 0..TRIES_MAX {
        if let Some(mark) = absent_mark(dir, target)? {
            return Ok((mark, false));
        }
        match dir.create(&name) {
            Ok(mut file) => {
                let mark = temporary_name()?;
                file.write_all(&mark)?;
                return Ok((String::from_utf8_lossy(&mark).into_owned(), true));
            }
            // An incomplete mark. If another upload is just writing it, that upload cannot be
            // resumed.
            Err(error) if error.kind() == Io::AlreadyExists => match dir.unlink(&name) {
                Err(error) if error.kind() != Io::NotFound => return Err(error),
                _ => {}
            },
            Err(error) => return Err(error),
        }
    }
    Err(Io::ResourceBusy.into())
}

/// Removes the mark once a file exists at `target`, or did until now: unfinished uploads of any
/// account for the unused name are then void. Call it after the change.
pub(super) fn clear_absent_mark(dir: &Directory, target: &[u8]) {
    // Most names have none. A failure only affects unfinished uploads.
    let _ = dir.unlink(&absent_mark_name(target));
}

/// A random, unused name.
pub(super) fn temporary_name() -> io::Result<Vec<u8>> {
    let mut tag = [0; TAG_BYTES];
    getrandom::fill(&mut tag).map_err(io::Error::other)?;
    Ok(named(&tag, TEMPORARY_SUFFIX))
}

fn named(tag: &[u8], suffix: &[u8]) -> Vec<u8> {
    let mut name = TEMP_PREFIX.as_bytes().to_vec();
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    for byte in tag.iter().take(TAG_BYTES) {
        name.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    name.extend_from_slice(suffix);
    name
}

/// The result of locking a temporary file.
pub(super) enum LockOutcome {
    /// Locked until the file is closed; its length.
    Locked(u64),
    /// Another upload uses it, or it disappeared.
    InUse,
    /// The file system does not support locks.
    Unsupported,
}

/// Locks a temporary file and verifies that the name still refers to it.
pub(super) fn lock_temporary(dir: &Directory, name: &[u8], file: &File) -> LockOutcome {
    match file.try_lock() {
        Ok(()) => dir.length_if_same(name, file).map_or(LockOutcome::InUse, LockOutcome::Locked),
        Err(TryLockError::WouldBlock) => LockOutcome::InUse,
        Err(TryLockError::Error(_)) => LockOutcome::Unsupported,
    }
}

/// Whether a change is older than `keep`. A time in the future is not old.
pub(super) fn is_older(modified: Option<SystemTime>, keep: Duration) -> bool {
    let age = modified.and_then(|moment| SystemTime::now().duration_since(moment).ok());
    keep.is_zero() || age.is_some_and(|age| age > keep)
}

/// Whether a temporary file is recent enough to be resumed.
pub(super) fn is_in_time(file: &File, keep: Duration) -> io::Result<bool> {
    Ok(!is_older(file.metadata()?.modified().ok(), keep))
}

/// Whether the file at `target` has not changed since this temporary file was last written. For
/// uploads without a record of the file that they were to replace.
pub(super) fn is_unchanged_since(
    dir: &Directory,
    target: &[u8],
    temporary: &File,
) -> wharf_core::error::Result<bool> {
    let made = temporary.metadata().and_then(|facts| facts.modified()).ok();
    let changed = dir.changed(target)?;
    Ok(made.zip(changed).is_some_and(|(made, changed)| changed <= made))
}

/// Removes an unused temporary file of an upload, if it is in the format of the server and older
/// than `keep`. Returns its length, or `None` if it was kept.
pub(super) fn remove_if_unused(
    dir: &Directory,
    name: &[u8],
    keep: Duration,
) -> io::Result<Option<u64>> {
    let OpenedTemporary::Found(file) = dir.open_own(name)? else { return Ok(None) };
    // Its metadata is reliable only once it is locked: an upload that is just ending may still
    // write to it.
    let LockOutcome::Locked(length) = lock_temporary(dir, name, &file) else { return Ok(None) };
    if !is_older(file.metadata()?.modified().ok(), keep) {
        return Ok(None);
    }
    dir.unlink(name)?;
    remove_base(dir, name);
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_and_a_target_determine_the_name_of_the_partial_upload() {
        let name = partial_name("anna", b"a.txt");
        assert!(is_temporary(&name), "{}", String::from_utf8_lossy(&name));
        assert_eq!(name, partial_name("anna", b"a.txt"));
        assert_ne!(name, partial_name("bert", b"a.txt"));
        assert_ne!(partial_name("a", b"bc"), partial_name("ab", b"c"));
        assert_ne!(temporary_name().unwrap(), temporary_name().unwrap());
        assert!(is_temporary(&temporary_name().unwrap()));
    }

    #[test]
    fn row_33_34_an_unfinished_upload_from_before_a_power_failure_is_not_found() {
        let (one, other) = (b"boot 1".as_slice(), b"boot 2".as_slice());
        assert_ne!(partial_name_of(one, "anna", b"a"), partial_name_of(other, "anna", b"a"));
        assert_eq!(partial_name_of(one, "anna", b"a"), partial_name_of(one, "anna", b"a"));
    }

    #[test]
    fn the_name_of_a_temporary_file_determines_its_kind() {
        let partial = partial_name("anna", b"a");
        assert_eq!(temporary_kind(&partial), Some(TemporaryKind::Upload));
        assert_eq!(temporary_kind(&temporary_name().unwrap()), Some(TemporaryKind::Upload));
        assert_eq!(temporary_kind(&base_name(&partial)), Some(TemporaryKind::Base));
        assert_eq!(temporary_kind(&undo_name(b"a")), Some(TemporaryKind::Undo));
        assert_eq!(temporary_kind(&absent_mark_name(b"a")), Some(TemporaryKind::AbsentMark));
        assert_ne!(absent_mark_name(b"a"), absent_mark_name(b"b"));
        assert_eq!(undo_name(b"a"), undo_name(b"a"));
        assert_ne!(undo_name(b"a"), undo_name(b"b"));
        assert_eq!(temporary_kind(b".wharf-0123456789abcdef.base"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_refers_to_another_file_is_not_locked() {
        use super::super::FollowSymlinks;
        use super::super::system::Root;
        let folder = tempfile::tempdir().unwrap();
        let dir = Root::open(folder.path(), FollowSymlinks::Never).unwrap().top().unwrap();
        let (name, file) = (temporary_name().unwrap(), |name: &[u8]| dir.create(name).unwrap());
        let first = file(&name);
        dir.unlink(&name).unwrap();
        assert!(matches!(lock_temporary(&dir, &name, &first), LockOutcome::InUse));
        let second = file(&name);
        assert!(matches!(lock_temporary(&dir, &name, &first), LockOutcome::InUse));
        assert!(matches!(lock_temporary(&dir, &name, &second), LockOutcome::Locked(0)));
    }

    #[test]
    fn a_similar_name_is_hidden_but_not_a_temporary_file() {
        for name in [".wharf-", ".wharf-x", ".WHARF-0", ".wharf-0123456789abcdef.part"] {
            assert!(is_hidden(name.as_bytes()), "{name}");
            assert!(!is_temporary(name.as_bytes()), "{name}");
        }
        assert!(!is_hidden(b".wharf"));
        assert!(!is_hidden(b"a.wharf-"));
    }
}
