//! Log rotation: when a log is rotated, and the names of rotated logs.
//!
//! `wharf.log` becomes `wharf.log.1`, what was `.1` becomes `.2`, and so on; the oldest is deleted.
//! With compression, all but the newest are compressed by a separate thread, one at a time.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::os::{Access, TrustedPath};

/// When logs are rotated, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RotationRules {
    /// Rotate before a log exceeds this size.
    pub(crate) size_max: Option<u64>,
    /// Rotate at the end of each day.
    pub(crate) is_daily: bool,
    /// Number of rotated logs to keep; at least one.
    pub(crate) files_max: u32,
    /// Whether all but the newest are compressed.
    pub(crate) is_compressed: bool,
}

/// The rotation state of one log.
#[derive(Debug)]
pub(super) struct RotationState {
    rules: RotationRules,
    today: fn() -> Date,
    /// The day of the lines in the file.
    day: Date,
    size: u64,
    /// After a failure, the size at which rotation is tried again, unless the day ends before.
    retry_at_bytes: u64,
    is_compressing: Arc<AtomicBool>,
}

impl RotationRules {
    /// Whether logs are rotated at all.
    pub(crate) fn is_on(&self) -> bool {
        self.size_max.is_some() || self.is_daily
    }
}

impl RotationState {
    /// The state for an existing file.
    pub(super) fn new(rules: RotationRules, file: &File) -> Self {
        Self::with_clock(rules, file, || Zoned::now().date())
    }

    pub(super) fn with_clock(rules: RotationRules, file: &File, today: fn() -> Date) -> Self {
        let is_compressing = Arc::default();
        let mut rotation =
            Self { rules, today, day: today(), size: 0, retry_at_bytes: 0, is_compressing };
        rotation.read_state(file);
        rotation
    }

    /// Resets the state for a reopened file.
    pub(super) fn read_state(&mut self, file: &File) {
        let facts = file.metadata().ok();
        self.size = facts.as_ref().map_or(0, fs::Metadata::len);
        self.retry_at_bytes = 0;
        let changed = facts.and_then(|facts| facts.modified().ok());
        let changed = changed.and_then(|time| Timestamp::try_from(time).ok());
        self.day = match changed {
            Some(time) if self.size > 0 => time.to_zoned(TimeZone::system()).date(),
            _ => (self.today)(),
        };
    }

    /// How many bytes of `lines`, in whole lines, fit into the file; 0 if it must be rotated first.
    pub(super) fn share(&self, lines: &[u8]) -> usize {
        if self.size == 0 {
            return self.fitting(lines).max(first_line(lines));
        }
        // While an older log is compressed its name must stay, so this one grows on.
        if self.is_compressing.load(Ordering::Acquire) {
            return lines.len();
        }
        if self.rules.is_daily && (self.today)() != self.day {
            return 0;
        }
        if self.size < self.retry_at_bytes { lines.len() } else { self.fitting(lines) }
    }

    fn fitting(&self, lines: &[u8]) -> usize {
        let Some(most) = self.rules.size_max else { return lines.len() };
        let free_bytes = usize::try_from(most.saturating_sub(self.size)).unwrap_or(usize::MAX);
        if lines.len() <= free_bytes {
            return lines.len();
        }
        let within = lines.get(..free_bytes).unwrap_or(lines);
        within.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
    }

    /// Counts written bytes.
    pub(super) fn wrote(&mut self, bytes: usize) {
        // An empty file created on an earlier day has no lines of that day.
        if self.size == 0 && bytes > 0 {
            self.day = (self.today)();
        }
        self.size = self.size.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Rotates the file at `path`. After an error it keeps its name, and rotation is tried again
    /// after the same number of bytes, or the next day.
    pub(super) fn turn(&mut self, path: &Path) -> io::Result<()> {
        let done = self.shift(path);
        if done.is_err() {
            let step = self.rules.size_max.unwrap_or(u64::MAX);
            self.retry_at_bytes = self.size.saturating_add(step);
            self.day = (self.today)();
        }
        done
    }

    fn shift(&self, path: &Path) -> io::Result<()> {
        let here = TrustedPath::entry(path)?;
        let rotated = |number, suffix| here.beside(&rotated_name(path, number, suffix));
        for suffix in ["", COMPRESSED_SUFFIX] {
            absent_is_fine(rotated(self.rules.files_max, suffix).remove())?;
        }
        for number in (1..self.rules.files_max).rev() {
            for suffix in ["", COMPRESSED_SUFFIX] {
                let (from, to) = (rotated(number, suffix), rotated(number + 1, suffix));
                absent_is_fine(from.rename(&to))?;
            }
        }
        // Another process may have removed it.
        absent_is_fine(here.rename(&rotated(1, "")))?;
        if self.rules.is_compressed && self.rules.files_max > 1 {
            self.begin_compression(path);
        }
        Ok(())
    }

    fn begin_compression(&self, path: &Path) {
        let (plain, compressed) = (rotated(path, 2, ""), rotated(path, 2, COMPRESSED_SUFFIX));
        if !plain.exists() {
            return;
        }
        let is_compressing = Arc::clone(&self.is_compressing);
        is_compressing.store(true, Ordering::Release);
        let done = Arc::clone(&is_compressing);
        let act = move || {
            // A log that cannot be compressed stays uncompressed.
            if compress(&plain, &compressed).is_err() {
                let _ = remove(&compressed);
            }
            done.store(false, Ordering::Release);
        };
        if std::thread::Builder::new().name("log-pack".into()).spawn(act).is_err() {
            is_compressing.store(false, Ordering::Release);
        }
    }
}

fn compress(plain: &Path, compressed: &Path) -> io::Result<()> {
    let mut from = BufReader::new(TrustedPath::find(plain)?.open(Access::Read)?);
    // The compressed file gets the same permission bits.
    let permissions = from.get_ref().metadata()?.permissions();
    let file = TrustedPath::find(compressed)?.open(Access::New(0o600))?;
    file.set_permissions(permissions)?;
    let to = BufWriter::new(file);
    let mut encoder = GzEncoder::new(to, Compression::default());
    io::copy(&mut from, &mut encoder)?;
    encoder.finish()?.flush()?;
    remove(plain)
}

fn remove(path: &Path) -> io::Result<()> {
    TrustedPath::entry(path)?.remove()
}

/// The path of the log that was rotated `number` times.
fn rotated(path: &Path, number: u32, suffix: &str) -> PathBuf {
    path.with_file_name(rotated_name(path, number, suffix))
}

/// Its file name.
fn rotated_name(path: &Path, number: u32, suffix: &str) -> OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{number}{suffix}"));
    name
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn first_line(lines: &[u8]) -> usize {
    lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |at| at + 1)
}

const COMPRESSED_SUFFIX: &str = ".gz";

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    const RULES: RotationRules =
        RotationRules { size_max: Some(10), is_daily: false, files_max: 3, is_compressed: false };

    fn day_one() -> Date {
        Date::constant(2026, 11, 22)
    }

    fn day_two() -> Date {
        Date::constant(2026, 11, 23)
    }

    fn empty(
        rules: RotationRules,
        today: fn() -> Date,
    ) -> (tempfile::TempDir, PathBuf, RotationState) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wharf.log");
        let file = File::create(&path).unwrap();
        let rotation = RotationState::with_clock(rules, &file, today);
        (folder, path, rotation)
    }

    #[test]
    fn whole_lines_are_written_until_the_size_limit() {
        let (_folder, _, mut rotation) = empty(RULES, day_one);
        assert_eq!(rotation.share(b"abcd\nefgh\nij\n"), 10);
        rotation.wrote(10);
        assert_eq!(rotation.share(b"ij\n"), 0);
        // A line longer than the maximum size gets a file of its own.
        let (_folder, _, rotation) = empty(RULES, day_one);
        assert_eq!(rotation.share(b"a very long line\nb\n"), 17);
    }

    #[test]
    fn each_day_has_its_file_and_an_empty_one_is_not_rotated() {
        let rules = RotationRules { size_max: None, is_daily: true, ..RULES };
        let (_folder, _, mut rotation) = empty(rules, day_one);
        rotation.wrote(5);
        assert_eq!(rotation.share(b"a\n"), 2);
        rotation.today = day_two;
        assert_eq!(rotation.share(b"a\n"), 0);
        rotation.size = 0;
        assert_eq!(rotation.share(b"a\n"), 2);
        // It was empty at the end of the day, so its first line belongs to the new day.
        rotation.wrote(2);
        assert_eq!(rotation.share(b"b\n"), 2);
        rotation.today = day_one;
        assert_eq!(rotation.share(b"b\n"), 0);
    }

    #[test]
    fn the_oldest_is_deleted_and_the_others_are_renamed() {
        let (folder, path, mut rotation) = empty(RULES, day_one);
        for round in 0..5 {
            fs::write(&path, format!("{round}")).unwrap();
            rotation.turn(&path).unwrap();
        }
        let read = |number| fs::read_to_string(rotated(&path, number, "")).unwrap();
        assert_eq!([read(1), read(2), read(3)], ["4", "3", "2"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_failure_is_reported_once_and_retried_later() {
        let (folder, path, mut rotation) = empty(RULES, day_one);
        // A folder that is not empty cannot be replaced by a file.
        fs::create_dir_all(folder.path().join("wharf.log.3/x")).unwrap();
        rotation.wrote(10);
        assert!(rotation.turn(&path).is_err() && path.exists());
        assert_eq!(rotation.share(b"abc\n"), 4);
        rotation.wrote(10);
        assert_eq!(rotation.share(b"abc\n"), 0);
    }

    #[test]
    fn all_but_the_newest_are_compressed() {
        let rules = RotationRules { is_compressed: true, ..RULES };
        let (_folder, path, mut rotation) = empty(rules, day_one);
        for text in ["first", "second"] {
            fs::write(&path, text).unwrap();
            rotation.turn(&path).unwrap();
        }
        rotation.wrote(10);
        while rotation.is_compressing.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        assert_eq!(rotation.share(b"abc\n"), 0);
        rotation.is_compressing.store(true, Ordering::Release);
        assert_eq!(rotation.share(b"abc\n"), 4);
        let mut text = String::new();
        let compressed = File::open(rotated(&path, 2, COMPRESSED_SUFFIX)).unwrap();
        GzDecoder::new(compressed).read_to_string(&mut text).unwrap();
        assert_eq!(text, "first");
        assert!(!rotated(&path, 2, "").exists());
        assert_eq!(fs::read_to_string(rotated(&path, 1, "")).unwrap(), "second");
    }
}
