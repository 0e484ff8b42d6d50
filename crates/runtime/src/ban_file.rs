//! The file of bans, written by the server and by `wharf ban`.
//!
//! Each line is one entry. Writers hold a lock and replace the whole file. The last line marks it
//! as complete and has the revision of the server that it is based on, since an editor may save an
//! old file over a newer one.
//!
//! ```text
//! wharf-bans 1
//! ban 203.0.113.9/32 since 1795348800 until 1795349400 times 1 by logins too many failed logins
//! ban 2001:db8::/32 since 1795348800 until - times 1 by hand scanner
//! lock 1795349400 anna
//! usual 192.0.2.7/32 1795348800 anna
//! # end of revision 7
//! ```

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use wharf_config::Config;
use wharf_server::auth_throttle::{Ban, Lock, ThrottleSnapshot, UsualAddress};
use wharf_users::file::{LockWait, Stamp, lock, replace, replace_stamped, stamp, stamp_of};

use crate::os::private_folder;

/// Name of the file in the state folder.
const NAME: &str = "bans";
/// New name of an invalid file.
const REJECTED: &str = "bans.rejected";
/// Prefix of the last line.
const END: &str = "# end of revision ";
/// The first line.
const TITLE: &str = "wharf-bans 1";
/// Maximum size of the file, above what the engine can store.
const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Maximum length of a reason in bytes.
pub(crate) const REASON_BYTES_MAX: usize = 200;

/// The file of bans.
#[derive(Clone, Debug)]
pub struct BanFile {
    path: PathBuf,
}

/// The content of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BanFileContent {
    /// Sorted.
    pub memory: ThrottleSnapshot,
    /// Number of invalid lines, which are ignored.
    pub bad_lines: usize,
    /// The revision of the server that it is based on, if present.
    pub(crate) revision: Option<u64>,
    /// Whether the file exists, begins with the title, and ends with a complete line.
    pub(crate) is_whole: bool,
}

/// The lock for changes to the file, released on drop.
#[derive(Debug)]
pub struct Locked<'a> {
    file: &'a BanFile,
    _lock: File,
}

impl BanFile {
    /// The file of this configuration.
    pub fn of(config: &Config) -> Self {
        let folder = config.state_folder();
        Self { path: folder.join(NAME) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A stamp that changes with the file; none while it is missing.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        stamp(&self.path).ok()
    }

    /// The content; empty if it is missing.
    pub fn read(&self) -> io::Result<BanFileContent> {
        self.read_stamped().map(|(found, _)| found)
    }

    /// The same, with a stamp taken before reading, so that a concurrent change is noticed next
    /// time.
    pub(crate) fn read_stamped(&self) -> io::Result<(BanFileContent, Option<Stamp>)> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((BanFileContent::default(), None));
            }
            Err(error) => return Err(error),
        };
        let stamp = stamp_of(&file)?;
        let mut text = String::new();
        file.take(BYTES_MAX).read_to_string(&mut text)?;
        Ok((parse(&text), Some(stamp)))
    }

    /// Waits at most ten seconds for another process to release the lock.
    pub fn lock(&self) -> io::Result<Locked<'_>> {
        if let Some(folder) = self.path.parent() {
            private_folder(folder)?;
        }
        let held = lock(&self.path, LockWait::Bounded)?;
        let lock = held.ok_or_else(|| io::Error::other("another process holds its lock"))?;
        Ok(Locked { file: self, _lock: lock })
    }
}

impl Locked<'_> {
    /// Replaces the content.
    pub fn write(&self, memory: &ThrottleSnapshot) -> io::Result<()> {
        replace(&self.file.path, &show(memory, None))
    }

    /// The same for the server, with a revision. Returns the stamp of the written file, even if it
    /// has changed since.
    pub(crate) fn write_revision(
        &self,
        memory: &ThrottleSnapshot,
        revision: u64,
    ) -> io::Result<Stamp> {
        replace_stamped(&self.file.path, &show(memory, Some(revision)))
    }

    /// Renames an invalid file, and returns its new path; none if it is missing.
    pub(crate) fn put_rejected_beside(&self) -> io::Result<Option<PathBuf>> {
        let beside = self.file.path.with_file_name(REJECTED);
        match std::fs::rename(&self.file.path, &beside) {
            Ok(()) => Ok(Some(beside)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Sorted, so that the file is stable.
pub(crate) fn sort(memory: &mut ThrottleSnapshot) {
    memory.bans.sort_by_key(|ban| ban.network);
    memory.locks.sort_by(|a, b| a.user.cmp(&b.user));
    memory.usual.sort_by(|a, b| (&a.user, a.network).cmp(&(&b.user, b.network)));
}

fn show(memory: &ThrottleSnapshot, revision: Option<u64>) -> String {
    let mut text = format!("{TITLE}\n");
    for ban in &memory.bans {
        let Ban { network, since, times, .. } = ban;
        let until = ban.until.map_or_else(|| "-".to_owned(), |until| until.to_string());
        let by = if ban.is_manual { "hand" } else { "logins" };
        let reason = &ban.reason;
        let _ = writeln!(
            text,
            "ban {network} since {since} until {until} times {times} by {by} {reason}"
        );
    }
    for Lock { user, until } in &memory.locks {
        let _ = writeln!(text, "lock {until} {user}");
    }
    for UsualAddress { user, network, last } in &memory.usual {
        let _ = writeln!(text, "usual {network} {last} {user}");
    }
    if let Some(revision) = revision {
        let _ = writeln!(text, "{END}{revision}");
    }
    text
}

fn parse(text: &str) -> BanFileContent {
    let is_whole = text.lines().next() == Some(TITLE) && text.ends_with('\n');
    let mut found = BanFileContent { is_whole, ..BanFileContent::default() };
    for line in text.lines().filter(|line| !line.is_empty() && *line != TITLE) {
        if let Some(revision) = line.strip_prefix(END) {
            found.revision = revision.parse().ok();
        } else if line.starts_with('#') {
            // A comment of an administrator.
        } else if fact(line, &mut found.memory).is_none() {
            found.bad_lines += 1;
        }
    }
    sort(&mut found.memory);
    found
}

fn fact(line: &str, memory: &mut ThrottleSnapshot) -> Option<()> {
    let (kind, rest) = line.split_once(' ')?;
    match kind {
        "ban" => {
            let words: Vec<_> = rest.splitn(10, ' ').collect();
            let [network, "since", since, "until", until, "times", times, "by", by, reason] =
                words.as_slice()
            else {
                return None;
            };
            memory.bans.push(Ban {
                network: network.parse().ok()?,
                since: since.parse().ok()?,
                until: if *until == "-" { None } else { Some(until.parse().ok()?) },
                times: times.parse().ok()?,
                is_manual: match *by {
                    "hand" => true,
                    "logins" => false,
                    _ => return None,
                },
                reason: (*reason).to_owned(),
            });
        }
        "lock" => {
            let (until, user) = rest.split_once(' ')?;
            memory.locks.push(Lock { user: user.to_owned(), until: until.parse().ok()? });
        }
        "usual" => {
            let (network, rest) = rest.split_once(' ')?;
            let (last, user) = rest.split_once(' ')?;
            memory.usual.push(UsualAddress {
                user: user.to_owned(),
                network: network.parse().ok()?,
                last: last.parse().ok()?,
            });
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn memory() -> ThrottleSnapshot {
        ThrottleSnapshot {
            bans: vec![
                Ban {
                    network: "203.0.113.9/32".parse().unwrap(),
                    since: 1,
                    until: Some(2),
                    times: 3,
                    is_manual: false,
                    reason: "too many failed logins".into(),
                },
                Ban {
                    network: "2001:db8::/32".parse().unwrap(),
                    since: 1,
                    until: None,
                    times: 1,
                    is_manual: true,
                    reason: String::new(),
                },
            ],
            locks: vec![Lock { user: "anna maria".into(), until: 7 }],
            usual: vec![UsualAddress {
                user: "anna maria".into(),
                network: "192.0.2.7/32".parse().unwrap(),
                last: 9,
            }],
        }
    }

    #[test]
    fn row_17_what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = BanFile { path: folder.path().join("state").join(NAME) };
        assert_eq!(file.read().unwrap(), BanFileContent::default());
        file.lock().unwrap().write(&memory()).unwrap();
        let found = file.read().unwrap();
        assert_eq!((found.memory, found.bad_lines, found.revision), (memory(), 0, None));
        file.lock().unwrap().write_revision(&memory(), 7).unwrap();
        let found = file.read().unwrap();
        assert_eq!((found.memory, found.bad_lines, found.revision), (memory(), 0, Some(7)));
        assert!(found.is_whole);
        assert!(file.stamp().is_some());
    }

    #[test]
    fn row_17_what_is_written_over_the_servers_own_writing_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let file = BanFile { path: folder.path().join(NAME) };
        let written = file.lock().unwrap().write_revision(&memory(), 7).unwrap();
        // Nothing has happened to it.
        assert_eq!(file.stamp(), Some(written));
        assert_eq!(file.read_stamped().unwrap().1, Some(written));
        // An editor was quicker than the look at what was written.
        std::fs::write(file.path(), "wharf-bans 1").unwrap();
        assert_ne!(file.stamp(), Some(written));
        std::fs::remove_file(file.path()).unwrap();
        assert_eq!(file.read_stamped().unwrap(), (BanFileContent::default(), None));
    }

    #[cfg(unix)]
    #[test]
    fn row_45_only_the_owner_may_read_the_file_of_bans() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = BanFile { path: folder.path().join(NAME) };
        file.lock().unwrap().write(&memory()).unwrap();
        let mode = std::fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn lines_that_make_no_sense_are_passed_over_and_counted() {
        let text = show(&memory(), None).replace("until 2 ", "until later ") + "what\nlock anna\n";
        let found = parse(&text);
        assert_eq!((found.memory.bans.len(), found.memory.locks.len()), (1, 1));
        assert_eq!(found.bad_lines, 3);
    }

    #[test]
    fn row_17_an_incomplete_file_is_recognized() {
        let text = show(&memory(), Some(3));
        assert!(parse(&text).is_whole);
        assert!(parse(&format!("{text}# a remark\n")).is_whole);
        for half in ["", "wharf-bans 1", &text[..text.len() - 1], &text["wharf-bans 1\n".len()..]] {
            assert!(!parse(half).is_whole, "{half:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in any::<String>()) {
            parse(&text);
        }
    }
}
