//! The names of our own temporaries, and who may take one.

use std::fs::{File, TryLockError};
use std::io;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use wharf_proto::path::VPath;

use super::boot;
use super::system::{Directory, Own};

/// How the names of temporaries begin. No client sees or reaches such a name, in any case of
/// letters, whether we made the thing or not.
///
/// `.wharf-` + 32 hex digits + `.part` is what one account uploads to one name; it can be resumed,
/// also after a crash. `.wharf-` + 32 hex digits + `.tmp` serves a second upload to that name.
pub const TEMP_PREFIX: &str = ".wharf-";

const PARTIAL_SUFFIX: &[u8] = b".part";
const THROWAWAY_SUFFIX: &[u8] = b".tmp";
/// Bytes in a name, so that nobody guesses it and none meets another.
const TAG_BYTES: usize = 16;

/// Whether a client may know of this name.
pub(super) fn is_hidden(name: &[u8]) -> bool {
    // In any case of letters, for file systems that take them as the same.
    let start = name.get(..TEMP_PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(TEMP_PREFIX.as_bytes()))
}

/// Whether some name of the path is hidden.
pub(super) fn leads_to_hidden(at: &VPath) -> bool {
    at.names().any(is_hidden)
}

/// Whether the name is just as we make them.
pub(super) fn is_ours(name: &[u8]) -> bool {
    let tag = name.strip_prefix(TEMP_PREFIX.as_bytes()).and_then(|rest| {
        rest.strip_suffix(PARTIAL_SUFFIX).or_else(|| rest.strip_suffix(THROWAWAY_SUFFIX))
    });
    tag.is_some_and(|tag| {
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        tag.len() == 2 * TAG_BYTES && tag.iter().all(is_hex)
    })
}

/// The name under which an account's upload to `target` waits, in the same directory.
///
/// It is another one each time the system is started. Nobody syncs an upload that is under way, so
/// after a power failure its length can be there and its bytes not: whoever went on with it would
/// get a file with zeros in it, and a 226.
pub(super) fn partial_name(account: &str, target: &[u8]) -> Vec<u8> {
    partial_name_of(boot::identity(), account, target)
}

fn partial_name_of(boot: &[u8], account: &str, target: &[u8]) -> Vec<u8> {
    // Nothing here has a NUL in it, so no two such three are the same text.
    let digest = Sha256::new().chain_update(account).chain_update([0]).chain_update(target);
    let digest = digest.chain_update([0]).chain_update(boot);
    named(digest.finalize().as_slice(), PARTIAL_SUFFIX)
}

/// A name that nothing else has.
pub(super) fn throwaway_name() -> io::Result<Vec<u8>> {
    let mut tag = [0; TAG_BYTES];
    getrandom::fill(&mut tag).map_err(io::Error::other)?;
    Ok(named(&tag, THROWAWAY_SUFFIX))
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

/// What happened when a temporary was to be locked.
pub(super) enum Claim {
    /// It is ours alone until the file is closed, and so long.
    Held(u64),
    /// Another upload uses it, or it went away meanwhile.
    Taken,
    /// This file system knows no locks.
    Impossible,
}

/// Locks a temporary and makes sure that the name still means it.
pub(super) fn claim(dir: &Directory, name: &[u8], file: &File) -> Claim {
    match file.try_lock() {
        Ok(()) => dir.length_if_same(name, file).map_or(Claim::Taken, Claim::Held),
        Err(TryLockError::WouldBlock) => Claim::Taken,
        Err(TryLockError::Error(_)) => Claim::Impossible,
    }
}

/// How many bytes a temporary has to resume; none if it is empty or too old.
pub(super) fn resumable(file: &File, keep: Duration) -> io::Result<Option<u64>> {
    let facts = file.metadata()?;
    Ok(Some(facts.len()).filter(|length| *length > 0 && !is_older(facts.modified().ok(), keep)))
}

/// Whether something changed longer ago than `keep`. A time in the future is not long ago.
pub(super) fn is_older(modified: Option<SystemTime>, keep: Duration) -> bool {
    let age = modified.and_then(|moment| SystemTime::now().duration_since(moment).ok());
    keep.is_zero() || age.is_some_and(|age| age > keep)
}

/// Removes a temporary that nobody uses, if it is one of ours and older than `keep`. Gives its
/// length, or none if it was left.
pub(super) fn remove_if_unused(
    dir: &Directory,
    name: &[u8],
    keep: Duration,
) -> io::Result<Option<u64>> {
    let Own::Found(file) = dir.open_own(name)? else { return Ok(None) };
    // Its facts count only once it is ours: an upload that is just ending may still add to it.
    let Claim::Held(length) = claim(dir, name, &file) else { return Ok(None) };
    if !is_older(file.metadata()?.modified().ok(), keep) {
        return Ok(None);
    }
    dir.unlink(name)?;
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_has_one_name_for_its_account_and_target() {
        let name = partial_name("anna", b"a.txt");
        assert!(is_ours(&name), "{}", String::from_utf8_lossy(&name));
        assert_eq!(name, partial_name("anna", b"a.txt"));
        assert_ne!(name, partial_name("bert", b"a.txt"));
        assert_ne!(partial_name("a", b"bc"), partial_name("ab", b"c"));
        assert_ne!(throwaway_name().unwrap(), throwaway_name().unwrap());
        assert!(is_ours(&throwaway_name().unwrap()));
    }

    #[test]
    fn row_33_34_an_unfinished_upload_from_before_a_power_failure_is_not_found() {
        let (one, other) = (b"boot 1".as_slice(), b"boot 2".as_slice());
        assert_ne!(partial_name_of(one, "anna", b"a"), partial_name_of(other, "anna", b"a"));
        assert_eq!(partial_name_of(one, "anna", b"a"), partial_name_of(one, "anna", b"a"));
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_means_another_file_by_now_is_not_claimed() {
        use super::super::FollowSymlinks;
        use super::super::system::Root;
        let folder = tempfile::tempdir().unwrap();
        let dir = Root::open(folder.path(), FollowSymlinks::Never).unwrap().top().unwrap();
        let (name, file) = (throwaway_name().unwrap(), |name: &[u8]| dir.create(name).unwrap());
        let first = file(&name);
        dir.unlink(&name).unwrap();
        assert!(matches!(claim(&dir, &name, &first), Claim::Taken));
        let second = file(&name);
        assert!(matches!(claim(&dir, &name, &first), Claim::Taken));
        assert!(matches!(claim(&dir, &name, &second), Claim::Held(0)));
    }

    #[test]
    fn what_only_looks_like_a_temporary_is_hidden_but_not_ours() {
        for name in [".wharf-", ".wharf-x", ".WHARF-0", ".wharf-0123456789abcdef.part"] {
            assert!(is_hidden(name.as_bytes()), "{name}");
            assert!(!is_ours(name.as_bytes()), "{name}");
        }
        assert!(!is_hidden(b".wharf"));
        assert!(!is_hidden(b"a.wharf-"));
    }
}
