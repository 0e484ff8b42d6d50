//! A queue of events on disk.
//!
//! Segments `00000001.events`, `00000002.events` … have one event per line: `milliseconds id event
//! {"…"}`. The file `taken` has the position up to which events are done: the number of a segment
//! and an offset. Each start begins a new segment, so a line torn by a power failure is the last
//! one of its segment.
//!
//! The file `lock` is locked by the process that uses the spool: after a change of the binary two
//! processes serve for a while, and each would remove what the other writes.
//!
//! No event is lost without a report: a segment that cannot be read now is kept and read again
//! later, and a damaged or missing one is returned as [`SpoolHead::Damaged`].

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wharf_core::lock;

use super::WebhookCounts;
use crate::clock::now;

/// The size after which a new segment is started.
const SEGMENT_BYTES: u64 = 1 << 20;
/// The longest line; events are far shorter.
const LINE_BYTES_MAX: u64 = 1 << 18;
const SUFFIX: &str = "events";
const TAKEN: &str = "taken";
const LOCK: &str = "lock";

/// The result of appending an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Appended {
    /// The event is kept.
    Whole,
    /// The event is kept; this many before it were dropped.
    After(u64),
    /// The event was dropped; the reason, for the first of consecutive ones.
    Lost(Option<String>),
}

/// What is read from the spool.
#[derive(Debug)]
pub(super) enum SpoolHead {
    /// The oldest event; it is returned again until it is done.
    Event(Spooled),
    /// The oldest segment cannot be read now. Nothing is skipped: try again later.
    Unreadable(String),
    /// Invalid or missing bytes were skipped; they may have contained an event.
    Damaged(String),
    /// The spool is closed.
    Closed,
}

/// An event to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spooled {
    /// The time of the event, in milliseconds since 1970.
    pub(super) millis: u64,
    pub(super) id: String,
    pub(super) event: String,
    pub(super) body: String,
    /// The position of the next event.
    end: Position,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    segment: u64,
    offset: u64,
}

/// The events of one web server.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    bytes_max: u64,
    /// What to do after the last event.
    at_end: AtEnd,
    state: Mutex<SpoolState>,
    changed: Condvar,
    /// Locked while this process uses the spool.
    _lock: File,
}

/// What the reader does after the last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtEnd {
    /// Wait for more.
    Wait,
    /// End: nothing is appended to the spool of another process.
    Close,
}

#[derive(Debug)]
struct SpoolState {
    writing: File,
    segment: u64,
    segment_bytes: u64,
    /// Whether nothing more may be appended to the segment: it ends in an incomplete line, or was
    /// removed.
    is_torn: bool,
    reading: Position,
    /// The segment being read, kept open: no further descriptor is needed.
    reader: Option<(u64, File)>,
    taken: File,
    lost: u64,
    counts: WebhookCounts,
    is_closed: bool,
    is_sending: bool,
}

impl Spool {
    /// Opens a spool; the folder is made if it does not exist.
    ///
    /// # Errors
    /// `WouldBlock` if another process uses it.
    pub(super) fn open(folder: &Path, bytes_max: u64, at_end: AtEnd) -> io::Result<Self> {
        make_folder(folder)?;
        let lock = open_or_make(&folder.join(LOCK))?;
        lock.try_lock()?;
        let mut segments: Vec<(u64, u64)> = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if let Some(number) = number_of(&entry.path()) {
                segments.push((number, entry.metadata()?.len()));
            }
        }
        segments.sort_unstable();
        let taken_path = folder.join(TAKEN);
        let kept = fs::read_to_string(&taken_path).ok().and_then(|text| parse_position(&text));
        let first = segments.first().map_or(1, |(first, _)| *first);
        let kept = kept.filter(|kept| kept.segment >= first);
        let last = segments.last().map_or(0, |(last, _)| *last);
        let segment = last.max(kept.map_or(0, |kept| kept.segment)) + 1;
        let kept = kept.unwrap_or(Position { segment: first, offset: 0 });
        let reading = match segments.iter().find(|(number, _)| *number >= kept.segment) {
            Some((number, _)) if *number == kept.segment => kept,
            Some((number, _)) => Position { segment: *number, offset: 0 },
            None => Position { segment, offset: 0 },
        };
        let waiting = segments
            .iter()
            .filter(|(number, _)| *number >= reading.segment)
            .fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes))
            .saturating_sub(reading.offset);
        let state = SpoolState {
            writing: begin(folder, segment)?,
            segment,
            segment_bytes: 0,
            is_torn: false,
            reading,
            reader: None,
            taken: open_or_make(&taken_path)?,
            lost: 0,
            counts: WebhookCounts { spooled_bytes: waiting, ..WebhookCounts::default() },
            is_closed: false,
            is_sending: false,
        };
        let spool = Self {
            folder: folder.to_owned(),
            bytes_max,
            at_end,
            state: Mutex::new(state),
            changed: Condvar::new(),
            _lock: lock,
        };
        spool.forget_before(first, reading.segment);
        Ok(spool)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn state(&self) -> MutexGuard<'_, SpoolState> {
        lock(&self.state)
    }

    /// Appends a line immediately.
    pub(super) fn append(&self, line: &[u8]) -> Appended {
        let mut state = self.state();
        let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let written = if bytes > LINE_BYTES_MAX {
            Err(io::Error::other("the event is too large"))
        } else if state.counts.spooled_bytes.saturating_add(bytes) > self.bytes_max {
            Err(io::Error::other("the queue is full (spool_size)"))
        } else {
            self.write(&mut state, line)
        };
        if let Err(error) = written {
            state.lost += 1;
            state.counts.dropped += 1;
            return Appended::Lost((state.lost == 1).then(|| error.to_string()));
        }
        state.segment_bytes += bytes;
        state.counts.spooled_bytes += bytes;
        self.changed.notify_all();
        match std::mem::take(&mut state.lost) {
            0 => Appended::Whole,
            lost => Appended::After(lost),
        }
    }

    fn write(&self, state: &mut SpoolState, line: &[u8]) -> io::Result<()> {
        if state.is_torn || state.segment_bytes >= SEGMENT_BYTES {
            match begin(&self.folder, state.segment + 1) {
                Ok(file) => {
                    state.writing = file;
                    state.segment += 1;
                    state.segment_bytes = 0;
                    state.is_torn = false;
                }
                // Without a free descriptor a longer segment is better than a lost event.
                Err(error) if state.is_torn => return Err(error),
                Err(_) => {}
            }
        }
        // One call, so that a crash does not leave half a line.
        let written = state.writing.write(line)?;
        if written < line.len() {
            state.is_torn = state.writing.set_len(state.segment_bytes).is_err();
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Waits for the next event.
    pub(super) fn next(&self) -> SpoolHead {
        let mut state = self.state();
        state.is_sending = false;
        self.changed.notify_all();
        loop {
            if state.is_closed {
                return SpoolHead::Closed;
            }
            let at = state.reading;
            let is_last = at.segment >= state.segment;
            if is_last && at.offset >= state.segment_bytes {
                if self.at_end == AtEnd::Close {
                    return SpoolHead::Closed;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            match self.read_line(&mut state) {
                Ok(LineAt::Event(spooled)) => {
                    state.is_sending = true;
                    return SpoolHead::Event(spooled);
                }
                Ok(LineAt::Rubbish(behind)) => {
                    let bytes = behind.offset.saturating_sub(at.offset);
                    state.reading = behind;
                    store_position(&mut state.taken, behind);
                    state.counts.spooled_bytes = state.counts.spooled_bytes.saturating_sub(bytes);
                    return SpoolHead::Damaged(format!(
                        "{bytes} bytes of segment {} are not a valid event",
                        at.segment
                    ));
                }
                Ok(LineAt::End { left }) => {
                    if let Some(damage) = self.end_segment(&mut state, is_last, left) {
                        return SpoolHead::Damaged(damage);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.end_segment(&mut state, is_last, 0);
                    return SpoolHead::Damaged(format!("segment {} was removed", at.segment));
                }
                Err(error) => {
                    state.reader = None;
                    return SpoolHead::Unreadable(format!("segment {}: {error}", at.segment));
                }
            }
        }
    }

    /// Handles the end of the segment being read, with `left` bytes of an incomplete line. Returns
    /// what was lost.
    fn end_segment(&self, state: &mut SpoolState, is_last: bool, left: u64) -> Option<String> {
        let segment = state.reading.segment;
        if is_last {
            // Only this process writes there, so the file was truncated by another one.
            let bytes = state.segment_bytes.saturating_sub(state.reading.offset);
            state.counts.spooled_bytes = state.counts.spooled_bytes.saturating_sub(bytes);
            state.reading.offset = state.segment_bytes;
            state.is_torn = true;
            state.reader = None;
            return Some(format!("{bytes} bytes of segment {segment} are missing"));
        }
        self.leave_segment(state);
        (left > 0)
            .then(|| format!("segment {segment} ends with {left} bytes of an incomplete event"))
    }

    fn read_line(&self, state: &mut SpoolState) -> io::Result<LineAt> {
        let at = state.reading;
        if state.reader.as_ref().is_none_or(|(segment, _)| *segment != at.segment) {
            state.reader = Some((at.segment, File::open(segment_path(&self.folder, at.segment))?));
        }
        match &state.reader {
            Some((_, file)) => read_line(file, at),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Continues with the next segment.
    fn leave_segment(&self, state: &mut SpoolState) {
        let segment = state.reading.segment;
        state.reading = Position { segment: segment + 1, offset: 0 };
        state.reader = None;
        store_position(&mut state.taken, state.reading);
        let _ = fs::remove_file(segment_path(&self.folder, segment));
        if state.reading.segment == state.segment {
            // Only what this run has written remains.
            state.counts.spooled_bytes = state.segment_bytes;
        }
    }

    /// Marks an event as done: accepted or given up.
    pub(super) fn done(&self, spooled: &Spooled) {
        let mut state = self.state();
        state.reading = spooled.end;
        state.counts.spooled_bytes = state.counts.spooled_bytes.saturating_sub(spooled.bytes);
        let reading = state.reading;
        store_position(&mut state.taken, reading);
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut WebhookCounts)) {
        change(&mut self.state().counts);
    }

    pub(super) fn counts(&self) -> WebhookCounts {
        self.state().counts
    }

    /// Waits for this time; returns whether the spool is still open.
    pub(super) fn rest(&self, time: Duration) -> bool {
        let until = now() + time;
        let mut state = self.state();
        state.is_sending = false;
        self.changed.notify_all();
        loop {
            let left = until.saturating_duration_since(now());
            if state.is_closed || left.is_zero() {
                state.is_sending = true;
                return !state.is_closed;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for this time, or until the spool is closed; returns whether it is still open.
    pub(super) fn stays_open(&self, time: Duration) -> bool {
        let until = now() + time;
        let mut state = self.state();
        loop {
            let left = until.saturating_duration_since(now());
            if state.is_closed || left.is_zero() {
                return !state.is_closed;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives waiting events a moment to be sent, then stops sending. Returns how many events were
    /// dropped since the last one kept.
    pub(super) fn close(&self, within: Duration) -> u64 {
        let until = now() + within;
        let mut state = self.state();
        while state.counts.spooled_bytes > 0 {
            let left = until.saturating_duration_since(now());
            // It does not wait for the pause after a failure.
            if left.is_zero() || !state.is_sending {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_closed = true;
        self.changed.notify_all();
        std::mem::take(&mut state.lost)
    }

    fn forget_before(&self, first: u64, reading: u64) {
        for number in first..reading {
            let _ = fs::remove_file(segment_path(&self.folder, number));
        }
    }
}

/// Whether a folder has unsent events, as far as its files show.
pub(super) fn has_events(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut segments = entries.filter(|entry| number_of(&entry.path()).is_some());
    segments.any(|entry| entry.metadata().is_ok_and(|facts| facts.len() > 0))
}

fn store_position(taken: &mut File, at: Position) {
    // Of fixed length, so that the new position overwrites the old one. If this fails an event is
    // sent twice.
    let text = format!("{:020} {:020}\n", at.segment, at.offset);
    let _ = taken.seek(SeekFrom::Start(0)).and_then(|_| taken.write_all(text.as_bytes()));
}

fn parse_position(text: &str) -> Option<Position> {
    let (segment, offset) = text.strip_suffix('\n')?.split_once(' ')?;
    Some(Position { segment: segment.parse().ok()?, offset: offset.parse().ok()? })
}

/// What is at a position.
enum LineAt {
    Event(Spooled),
    /// Something else, up to here.
    Rubbish(Position),
    /// Only this many bytes of an incomplete line.
    End {
        left: u64,
    },
}

fn read_line(mut file: &File, at: Position) -> io::Result<LineAt> {
    file.seek(SeekFrom::Start(at.offset))?;
    let mut line = Vec::new();
    let count = BufReader::new(file.take(LINE_BYTES_MAX)).read_until(b'\n', &mut line)?;
    let bytes = u64::try_from(count).unwrap_or(u64::MAX);
    let end = Position { segment: at.segment, offset: at.offset.saturating_add(bytes) };
    Ok(match parse(&line) {
        Some((millis, id, event, body)) => {
            LineAt::Event(Spooled { millis, id, event, body, end, bytes })
        }
        None if line.ends_with(b"\n") || bytes >= LINE_BYTES_MAX => LineAt::Rubbish(end),
        None => LineAt::End { left: bytes },
    })
}

fn parse(line: &[u8]) -> Option<(u64, String, String, String)> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let mut parts = line.splitn(4, ' ');
    let millis = parts.next()?.parse().ok()?;
    let mut text = || parts.next().map(str::to_owned);
    Some((millis, text()?, text()?, text()?))
}

fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.{SUFFIX}"))
}

fn number_of(path: &Path) -> Option<u64> {
    (path.extension()? == SUFFIX).then_some(())?;
    path.file_stem()?.to_str()?.parse().ok()
}

fn begin(folder: &Path, segment: u64) -> io::Result<File> {
    make_private(private().append(true), &segment_path(folder, segment))
}

#[cfg_attr(unix, path = "private_unix.rs")]
#[cfg_attr(not(unix), path = "private_other.rs")]
mod private_files;
use private_files::{make_folder, make_private, private};

fn open_or_make(path: &Path) -> io::Result<File> {
    make_private(private().write(true), path)
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
