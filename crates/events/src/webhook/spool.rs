//! Events on disk, in their order, until they are taken.
//!
//! Segments `00000001.events`, `00000002.events` … hold one event a line:
//! `milliseconds id event {"…"}`. `taken` says up to where they were taken: the number of a segment
//! and a place in it. Every start begins a new segment, so a line that a power failure tore is the
//! last one of its segment, and skipped.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Counts;
use crate::clock::now;

/// A segment that has so many bytes is followed by another.
const SEGMENT_BYTES: u64 = 1 << 20;
/// The longest line; events stay far below.
const LINE_BYTES_MAX: u64 = 1 << 18;
const SUFFIX: &str = "events";
const TAKEN: &str = "taken";

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is kept.
    Whole,
    /// It is kept, and before it so many were not.
    After(u64),
    /// It is not; why, for the first in a row.
    Lost(Option<String>),
}

/// An event that is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spooled {
    pub(super) id: String,
    pub(super) event: String,
    pub(super) body: String,
    /// Where the one after it begins.
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
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    writing: File,
    segment: u64,
    segment_bytes: u64,
    /// Whether the segment ends in half a line.
    is_torn: bool,
    reading: Position,
    taken: File,
    lost: u64,
    counts: Counts,
    is_closed: bool,
    is_sending: bool,
}

impl Spool {
    /// Opens a folder, which is made if it is missing.
    pub(super) fn open(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        make_folder(folder)?;
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
        let first =
            Position { segment: segments.first().map_or(1, |(first, _)| *first), offset: 0 };
        let reading = kept.filter(|kept| kept.segment >= first.segment).unwrap_or(first);
        let waiting = segments
            .iter()
            .filter(|(number, _)| *number >= reading.segment)
            .fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes))
            .saturating_sub(reading.offset);
        let last = segments.last().map_or(0, |(last, _)| *last).max(reading.segment);
        let segment = last + 1;
        let state = State {
            writing: begin(folder, segment)?,
            segment,
            segment_bytes: 0,
            is_torn: false,
            reading,
            taken: private().write(true).create(true).truncate(false).open(taken_path)?,
            lost: 0,
            counts: Counts { spooled_bytes: waiting, ..Counts::default() },
            is_closed: false,
            is_sending: false,
        };
        let spool = Self {
            folder: folder.to_owned(),
            bytes_max,
            state: Mutex::new(state),
            changed: Condvar::new(),
        };
        spool.forget_before(first.segment, reading.segment);
        Ok(spool)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line at the end, now.
    pub(super) fn append(&self, line: &[u8]) -> Kept {
        let mut state = self.state();
        let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let written = if bytes > LINE_BYTES_MAX {
            Err(io::Error::other("the event is too large"))
        } else if state.counts.spooled_bytes.saturating_add(bytes) > self.bytes_max {
            Err(io::Error::other("as much waits as may (spool_size)"))
        } else {
            self.write(&mut state, line)
        };
        if let Err(error) = written {
            state.lost += 1;
            state.counts.dropped += 1;
            return Kept::Lost((state.lost == 1).then(|| error.to_string()));
        }
        state.segment_bytes += bytes;
        state.counts.spooled_bytes += bytes;
        self.changed.notify_all();
        match std::mem::take(&mut state.lost) {
            0 => Kept::Whole,
            lost => Kept::After(lost),
        }
    }

    fn write(&self, state: &mut State, line: &[u8]) -> io::Result<()> {
        if state.is_torn || state.segment_bytes >= SEGMENT_BYTES {
            state.writing = begin(&self.folder, state.segment + 1)?;
            state.segment += 1;
            state.segment_bytes = 0;
            state.is_torn = false;
        }
        // One call: what a crash leaves is whole.
        let written = state.writing.write(line)?;
        if written < line.len() {
            state.is_torn = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Waits for the next event; none once it is closed. It comes again until it is done.
    pub(super) fn next(&self) -> Option<Spooled> {
        let mut state = self.state();
        state.is_sending = false;
        self.changed.notify_all();
        loop {
            if state.is_closed {
                return None;
            }
            let at = state.reading;
            let is_last = at.segment >= state.segment;
            if is_last && at.offset >= state.segment_bytes {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            match read_line(&self.folder, at) {
                Ok(Line::Event(spooled)) => {
                    state.is_sending = true;
                    return Some(spooled);
                }
                Ok(Line::Rubbish(behind)) => state.reading = behind,
                Ok(Line::End) | Err(_) if !is_last => self.leave_segment(&mut state),
                // Nobody but us writes there, so somebody took it away.
                Ok(Line::End) | Err(_) => state.reading.offset = state.segment_bytes,
            }
        }
    }

    /// Goes on with the next segment.
    fn leave_segment(&self, state: &mut State) {
        let segment = state.reading.segment;
        state.reading = Position { segment: segment + 1, offset: 0 };
        keep_position(&mut state.taken, state.reading);
        let _ = fs::remove_file(segment_path(&self.folder, segment));
        if state.reading.segment == state.segment {
            // All that is left is what this run wrote there.
            state.counts.spooled_bytes = state.segment_bytes;
        }
    }

    /// The event was taken, or given up.
    pub(super) fn done(&self, spooled: &Spooled) {
        let mut state = self.state();
        state.reading = spooled.end;
        state.counts.spooled_bytes = state.counts.spooled_bytes.saturating_sub(spooled.bytes);
        let reading = state.reading;
        keep_position(&mut state.taken, reading);
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.state().counts);
    }

    pub(super) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Waits so long; whether it is still open then.
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

    /// Gives what waits a moment to be sent, then sends nothing more.
    pub(super) fn close(&self, within: Duration) {
        let until = now() + within;
        let mut state = self.state();
        while state.counts.spooled_bytes > 0 {
            let left = until.saturating_duration_since(now());
            // Who pauses after a failure is not waited for.
            if left.is_zero() || !state.is_sending {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_closed = true;
        self.changed.notify_all();
    }

    fn forget_before(&self, first: u64, reading: u64) {
        for number in first..reading {
            let _ = fs::remove_file(segment_path(&self.folder, number));
        }
    }
}

fn keep_position(taken: &mut File, at: Position) {
    // Of one length, so that the new one covers the old one. Where this fails an event comes twice.
    let text = format!("{:020} {:020}\n", at.segment, at.offset);
    let _ = taken.seek(SeekFrom::Start(0)).and_then(|_| taken.write_all(text.as_bytes()));
}

fn parse_position(text: &str) -> Option<Position> {
    let (segment, offset) = text.strip_suffix('\n')?.split_once(' ')?;
    Some(Position { segment: segment.parse().ok()?, offset: offset.parse().ok()? })
}

/// What stands at a position.
enum Line {
    Event(Spooled),
    /// Something else, up to here.
    Rubbish(Position),
    /// Nothing more, or half a line.
    End,
}

fn read_line(folder: &Path, at: Position) -> io::Result<Line> {
    let mut file = File::open(segment_path(folder, at.segment))?;
    file.seek(SeekFrom::Start(at.offset))?;
    let mut line = Vec::new();
    let count = BufReader::new(file.take(LINE_BYTES_MAX)).read_until(b'\n', &mut line)?;
    let bytes = u64::try_from(count).unwrap_or(u64::MAX);
    let end = Position { segment: at.segment, offset: at.offset.saturating_add(bytes) };
    Ok(match parse(&line) {
        Some((id, event, body)) => Line::Event(Spooled { id, event, body, end, bytes }),
        None if line.ends_with(b"\n") => Line::Rubbish(end),
        None => Line::End,
    })
}

fn parse(line: &[u8]) -> Option<(String, String, String)> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let mut parts = line.splitn(4, ' ');
    parts.next()?.parse::<u64>().ok()?;
    Some((parts.next()?.to_owned(), parts.next()?.to_owned(), parts.next()?.to_owned()))
}

fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.{SUFFIX}"))
}

fn number_of(path: &Path) -> Option<u64> {
    (path.extension()? == SUFFIX).then_some(())?;
    path.file_stem()?.to_str()?.parse().ok()
}

fn begin(folder: &Path, segment: u64) -> io::Result<File> {
    private().append(true).create(true).open(segment_path(folder, segment))
}

#[cfg_attr(unix, path = "private_unix.rs")]
#[cfg_attr(not(unix), path = "private_other.rs")]
mod private_files;
use private_files::{make_folder, private};

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u32) -> String {
        format!("1700000000000 id-{number} upload {{\"number\":{number}}}\n")
    }

    fn fill(spool: &Spool, numbers: std::ops::Range<u32>) {
        for number in numbers {
            assert_eq!(spool.append(line(number).as_bytes()), Kept::Whole);
        }
    }

    fn takes(spool: &Spool, number: u32) {
        let spooled = spool.next().unwrap();
        assert_eq!(spooled.id, format!("id-{number}"));
        assert_eq!(spooled.body, format!("{{\"number\":{number}}}"));
        spool.done(&spooled);
    }

    #[test]
    fn events_come_out_in_order_also_after_starts() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 10_000).unwrap();
        fill(&spool, 0..3);
        takes(&spool, 0);
        // It was sent, but nobody was told: it comes again.
        assert_eq!(spool.next().unwrap().id, "id-1");
        drop(spool);
        let spool = Spool::open(folder.path(), 10_000).unwrap();
        let waiting = u64::try_from(2 * line(1).len()).unwrap();
        assert_eq!(spool.counts().spooled_bytes, waiting);
        fill(&spool, 3..4);
        for number in 1..4 {
            takes(&spool, number);
        }
        assert_eq!(spool.counts().spooled_bytes, 0);
        let segments = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(segments, 2, "the segment that is written, and the place");
    }

    #[test]
    fn what_finds_no_room_is_counted_and_told_twice() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 100).unwrap();
        fill(&spool, 0..1);
        let Kept::Lost(Some(why)) = spool.append(&[b'x'; 99]) else { panic!("it has no room") };
        assert!(why.contains("spool_size"));
        assert_eq!(spool.append(&[b'x'; 99]), Kept::Lost(None));
        takes(&spool, 0);
        assert_eq!(spool.append(line(1).as_bytes()), Kept::After(2));
        assert_eq!(spool.counts().dropped, 2);
        takes(&spool, 1);
    }

    #[test]
    fn a_torn_line_and_rubbish_are_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 10_000).unwrap();
        fill(&spool, 0..1);
        drop(spool);
        let mut file =
            fs::OpenOptions::new().append(true).open(segment_path(folder.path(), 2)).unwrap();
        file.write_all(b"1700000000000 id-1 upload {\"num").unwrap();
        fs::write(folder.path().join(TAKEN), "rubbish").unwrap();
        fs::write(segment_path(folder.path(), 1), b"\xff\xff\n").unwrap();
        let spool = Spool::open(folder.path(), 10_000).unwrap();
        fill(&spool, 7..8);
        takes(&spool, 0);
        takes(&spool, 7);
        assert_eq!(spool.counts().spooled_bytes, 0);
    }

    #[test]
    fn large_spools_are_kept_in_segments_that_go_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1 << 30).unwrap();
        let body = "x".repeat(200_000);
        for number in 0..20 {
            spool.append(format!("1 id-{number} upload {body}\n").as_bytes());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
        for number in 0..20 {
            let spooled = spool.next().unwrap();
            assert_eq!(spooled.id, format!("id-{number}"));
            spool.done(&spooled);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(spool.counts().spooled_bytes, 0);
    }

    #[test]
    fn the_end_wakes_who_waits() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 100).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| spool.next());
            spool.close(Duration::from_secs(1));
            assert_eq!(waiting.join().unwrap(), None);
        });
        assert!(!spool.rest(Duration::from_secs(1000)));
    }
}
