//! Lines that wait for the writer thread, and when it writes them. No clock, no thread, no file.

use std::time::{Duration, Instant};

/// The most lines that wait or are being written; a slow disk costs lines, not memory.
pub(super) const LINES_MAX: usize = 8192;
/// How long lines are gathered for one write.
pub(super) const GATHER_TIME: Duration = Duration::from_millis(5);
/// After this many intervals without a line the thread sleeps until the next line wakes it.
const EMPTY_INTERVALS_MAX: u32 = 20;
/// The memory of a buffer that is kept after a burst of lines.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// What waits for the thread.
#[derive(Debug)]
pub(super) struct PendingLines {
    /// Lines, by target.
    batches: Vec<Vec<u8>>,
    /// The lengths of the batches when the files were to be reopened: later lines belong to the new
    /// files.
    reopen_at: Option<Vec<usize>>,
    /// The number of lines in the batches.
    waiting: usize,
    /// The number of lines that the thread writes at the moment.
    in_write: usize,
    dropped: u64,
    demand: Demand,
    /// How many lines and requests were added so far, and how many of them the thread has done.
    added: u64,
    done: u64,
    /// Whether the thread sleeps until it is woken.
    is_asleep: bool,
}

/// How urgent the pending lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Demand {
    /// There are none.
    Nothing,
    /// They can be gathered.
    Gather,
    /// They are to be written at once.
    Now,
    /// The log ends.
    End,
}

/// Lines taken from [`PendingLines`].
#[derive(Debug, Default)]
pub(super) struct LineBatches {
    /// Lines, by target.
    pub(super) batches: Vec<Vec<u8>>,
    /// The lengths up to which lines belong to the old files, if the files are to be reopened.
    pub(super) reopen_at: Option<Vec<usize>>,
    /// The number of lines that were lost since the last time.
    pub(super) dropped: u64,
    added: u64,
}

impl PendingLines {
    pub(super) fn new(targets: usize) -> Self {
        Self {
            batches: vec![Vec::new(); targets],
            reopen_at: None,
            waiting: 0,
            in_write: 0,
            dropped: 0,
            demand: Demand::Nothing,
            added: 0,
            done: 0,
            is_asleep: false,
        }
    }

    /// Adds a line, or counts it as lost if too many wait. Returns whether the thread must be
    /// woken.
    pub(super) fn add(&mut self, target: usize, line: &[u8], demand: Demand) -> bool {
        let Some(batch) = self.batches.get_mut(target) else { return false };
        if self.waiting + self.in_write >= LINES_MAX {
            self.dropped += 1;
            // To be reported, also if no other line follows.
            return self.request(Demand::Gather);
        }
        batch.extend_from_slice(line);
        self.waiting += 1;
        self.request(demand)
    }

    /// Requests that the files are reopened after the lines so far. Returns whether the thread must
    /// be woken.
    pub(super) fn reopen(&mut self) -> bool {
        let lengths = || self.batches.iter().map(Vec::len).collect();
        // Two requests in a row find the same files, so the first one counts.
        let reopen_at = self.reopen_at.take().unwrap_or_else(lengths);
        self.reopen_at = Some(reopen_at);
        self.request(Demand::Now)
    }

    /// Requests that everything so far is done. Returns whether the thread must be woken.
    pub(super) fn request(&mut self, demand: Demand) -> bool {
        self.added += 1;
        let is_more_urgent = demand > self.demand;
        self.demand = self.demand.max(demand);
        is_more_urgent && (self.is_asleep || demand >= Demand::Now)
    }

    pub(super) fn demand(&self) -> Demand {
        self.demand
    }

    pub(super) fn set_asleep(&mut self, is_asleep: bool) {
        self.is_asleep = is_asleep;
    }

    /// The number that [`PendingLines::has_done`] accepts: everything added so far.
    pub(super) fn mark(&self) -> u64 {
        self.added
    }

    /// Whether everything up to `mark` is done.
    pub(super) fn has_done(&self, mark: u64) -> bool {
        self.done >= mark
    }

    /// Exchanges the batches for the empty ones of `batches_taken`, with everything else that
    /// waits.
    pub(super) fn take(&mut self, batches_taken: &mut LineBatches) {
        batches_taken.batches.resize_with(self.batches.len(), Vec::new);
        std::mem::swap(&mut self.batches, &mut batches_taken.batches);
        batches_taken.reopen_at = self.reopen_at.take();
        batches_taken.dropped = std::mem::take(&mut self.dropped);
        batches_taken.added = self.added;
        self.in_write = std::mem::take(&mut self.waiting);
        if self.demand != Demand::End {
            self.demand = Demand::Nothing;
        }
    }

    /// What was taken is written.
    pub(super) fn finish(&mut self, batches_taken: &mut LineBatches) {
        self.in_write = 0;
        self.done = batches_taken.added;
        for batch in &mut batches_taken.batches {
            batch.clear();
            batch.shrink_to(KEPT_BYTES_MAX);
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0 && self.reopen_at.is_none() && self.dropped == 0
    }
}

/// When the thread writes.
///
/// It is woken by the first line only: then it writes once per interval, until a number of
/// intervals had no line. So sessions make no system call for a line, and a thread that they would
/// have to wake does not take their processor.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// The end of the interval; none while the thread sleeps.
    due: Option<Instant>,
    empty_intervals: u32,
}

/// What the thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriterStep {
    /// Sleep until it is woken.
    Sleep,
    /// Wait for this time, or until it is woken.
    Wait(Duration),
    /// Write what waits.
    Write,
    /// Nothing waits, and nothing can be added any more.
    End,
}

impl Schedule {
    /// What to do at the time `now`.
    pub(super) fn step(&mut self, pending: &PendingLines, now: Instant) -> WriterStep {
        match pending.demand() {
            Demand::End if pending.is_empty() => return WriterStep::End,
            Demand::Now | Demand::End => {
                self.begin_interval(now);
                return WriterStep::Write;
            }
            Demand::Nothing | Demand::Gather => {}
        }
        let has_lines = pending.demand() == Demand::Gather;
        match self.due {
            None if !has_lines => return WriterStep::Sleep,
            None => self.begin_interval(now),
            Some(due) if now < due => return WriterStep::Wait(due.duration_since(now)),
            Some(_) if has_lines => {
                self.begin_interval(now);
                return WriterStep::Write;
            }
            Some(_) if self.empty_intervals >= EMPTY_INTERVALS_MAX => {
                *self = Self::default();
                return WriterStep::Sleep;
            }
            Some(_) => {
                self.empty_intervals += 1;
                self.due = Some(now + GATHER_TIME);
            }
        }
        WriterStep::Wait(GATHER_TIME)
    }

    fn begin_interval(&mut self, now: Instant) {
        *self = Self { due: Some(now + GATHER_TIME), empty_intervals: 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn start_time() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// Takes and finishes everything, and returns the lines of the first target.
    fn write(pending: &mut PendingLines, batches_taken: &mut LineBatches) -> String {
        pending.take(batches_taken);
        let lines = String::from_utf8(batches_taken.batches[0].clone()).unwrap();
        pending.finish(batches_taken);
        lines
    }

    #[test]
    fn lines_are_gathered_for_one_write_within_the_interval() {
        let (mut pending, mut schedule, start) =
            (PendingLines::new(1), Schedule::default(), start_time());
        let mut batches_taken = LineBatches::default();
        assert_eq!(schedule.step(&pending, start), WriterStep::Sleep);
        pending.set_asleep(true);
        assert!(pending.add(0, b"a\n", Demand::Gather), "the first line wakes the thread");
        assert!(!pending.add(0, b"b\n", Demand::Gather), "the second one does not");
        pending.set_asleep(false);
        assert_eq!(schedule.step(&pending, start), WriterStep::Wait(GATHER_TIME));
        let early = start + GATHER_TIME.saturating_sub(MILLISECOND);
        assert!(!pending.add(0, b"c\n", Demand::Gather));
        assert_eq!(schedule.step(&pending, early), WriterStep::Wait(MILLISECOND));
        let due = start + GATHER_TIME;
        assert_eq!(schedule.step(&pending, due), WriterStep::Write);
        assert_eq!(write(&mut pending, &mut batches_taken), "a\nb\nc\n");
        // The next interval has begun: its lines wake nothing, and are written at its end.
        assert!(!pending.add(0, b"d\n", Demand::Gather));
        assert_eq!(schedule.step(&pending, due), WriterStep::Wait(GATHER_TIME));
        assert_eq!(schedule.step(&pending, due + GATHER_TIME), WriterStep::Write);
        assert_eq!(write(&mut pending, &mut batches_taken), "d\n");
    }

    #[test]
    fn an_urgent_line_is_written_at_once_with_those_before_it() {
        let (mut pending, mut schedule, start) =
            (PendingLines::new(1), Schedule::default(), start_time());
        pending.add(0, b"a\n", Demand::Gather);
        assert_eq!(schedule.step(&pending, start), WriterStep::Wait(GATHER_TIME));
        assert!(pending.add(0, b"b\n", Demand::Now), "it wakes a thread that gathers");
        assert_eq!(schedule.step(&pending, start), WriterStep::Write);
        assert_eq!(write(&mut pending, &mut LineBatches::default()), "a\nb\n");
        assert_eq!(schedule.step(&pending, start), WriterStep::Wait(GATHER_TIME));
    }

    #[test]
    fn the_thread_sleeps_after_intervals_without_a_line_and_not_before() {
        let (mut pending, mut schedule, start) =
            (PendingLines::new(1), Schedule::default(), start_time());
        pending.add(0, b"a\n", Demand::Gather);
        let mut now = start;
        let mut steps = Vec::new();
        for _ in 0..EMPTY_INTERVALS_MAX + 3 {
            let step = schedule.step(&pending, now);
            if step == WriterStep::Write {
                write(&mut pending, &mut LineBatches::default());
            }
            steps.push(step);
            now += GATHER_TIME;
        }
        assert_eq!(steps[0], WriterStep::Wait(GATHER_TIME));
        assert_eq!(steps[1], WriterStep::Write);
        assert_eq!(steps.pop(), Some(WriterStep::Sleep));
        assert!(steps[2..].iter().all(|step| *step == WriterStep::Wait(GATHER_TIME)), "{steps:?}");
    }

    #[test]
    fn lines_beyond_the_bound_are_counted_also_while_others_are_written() {
        let (mut pending, mut batches_taken) = (PendingLines::new(1), LineBatches::default());
        for _ in 0..LINES_MAX {
            pending.add(0, b"a\n", Demand::Gather);
        }
        pending.take(&mut batches_taken);
        assert_eq!((batches_taken.batches[0].len(), batches_taken.dropped), (2 * LINES_MAX, 0));
        // The disk hangs with a whole queue.
        pending.add(0, b"b\n", Demand::Gather);
        pending.finish(&mut batches_taken);
        pending.add(0, b"c\n", Demand::Gather);
        pending.take(&mut batches_taken);
        assert_eq!((batches_taken.batches[0].as_slice(), batches_taken.dropped), (&b"c\n"[..], 1));
    }

    #[test]
    fn a_lost_line_is_reported_also_if_no_other_follows() {
        let (mut pending, mut batches_taken) = (PendingLines::new(1), LineBatches::default());
        for _ in 0..LINES_MAX {
            pending.add(0, b"a\n", Demand::Gather);
        }
        pending.take(&mut batches_taken);
        assert_eq!(pending.demand(), Demand::Nothing);
        pending.add(0, b"b\n", Demand::Gather);
        assert_eq!(pending.demand(), Demand::Gather);
        pending.finish(&mut batches_taken);
        pending.take(&mut batches_taken);
        assert_eq!((batches_taken.batches[0].len(), batches_taken.dropped), (0, 1));
    }

    #[test]
    fn lines_after_a_request_to_reopen_belong_to_the_new_files() {
        let (mut pending, mut batches_taken) = (PendingLines::new(2), LineBatches::default());
        pending.add(0, b"old\n", Demand::Gather);
        pending.reopen();
        pending.add(0, b"new\n", Demand::Gather);
        pending.add(1, b"other\n", Demand::Gather);
        pending.reopen();
        pending.take(&mut batches_taken);
        assert_eq!(batches_taken.reopen_at, Some(vec![4, 0]));
        pending.finish(&mut batches_taken);
        pending.take(&mut batches_taken);
        assert_eq!(batches_taken.reopen_at, None);
    }

    #[test]
    fn a_mark_completes_after_its_lines_and_before_the_end() {
        let (mut pending, mut schedule, now) =
            (PendingLines::new(1), Schedule::default(), start_time());
        let mut batches_taken = LineBatches::default();
        pending.add(0, b"a\n", Demand::Gather);
        pending.request(Demand::Now);
        let mark = pending.mark();
        pending.take(&mut batches_taken);
        assert!(!pending.has_done(mark));
        pending.add(0, b"b\n", Demand::Gather);
        pending.finish(&mut batches_taken);
        assert!(pending.has_done(mark) && !pending.has_done(pending.mark()));
        pending.request(Demand::End);
        assert_eq!(schedule.step(&pending, now), WriterStep::Write);
        assert_eq!(write(&mut pending, &mut batches_taken), "b\n");
        assert_eq!(schedule.step(&pending, now), WriterStep::End);
    }

    #[test]
    fn a_burst_does_not_keep_its_memory() {
        let (mut pending, mut batches_taken) = (PendingLines::new(1), LineBatches::default());
        pending.add(0, &vec![b'a'; 10 * KEPT_BYTES_MAX], Demand::Gather);
        pending.take(&mut batches_taken);
        pending.finish(&mut batches_taken);
        assert!(batches_taken.batches[0].capacity() <= KEPT_BYTES_MAX);
    }
}
