//! Decides which program is started next; a state machine without clock and processes.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{ProgramCounts, ProgramLimits};
use crate::Notice;
use crate::worker::{ProgramEnd, ProgramOutcome};

/// Most events that wait, including those before another attempt.
const WAITING_MAX: usize = 1000;
/// Most requests for verdicts that wait.
const VERDICT_REQUESTS_MAX: usize = 1000;
/// The longest pause before another attempt.
const RETRY_PAUSE_MAX: Duration = Duration::from_mins(10);

/// A program to start.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) id: u64,
    pub(super) program: usize,
    pub(super) notice: Notice,
}

/// What the sending thread should do next.
#[derive(Debug)]
pub(super) enum NextStep {
    /// Start this program.
    Run(Order),
    /// Stop this one.
    Stop(u64),
    /// Report that this many events were dropped.
    ReportFn(u64),
    /// Wait for a change, or for this long.
    Rest(Option<Duration>),
    /// End.
    End,
}

/// A finished order.
#[derive(Debug)]
pub(super) struct FinishedOrder {
    pub(super) program: usize,
    pub(super) notice: Notice,
    pub(super) outcome: ProgramOutcome,
    /// Whether that was the last attempt.
    pub(super) is_final: bool,
}

#[derive(Debug)]
struct QueuedEvent {
    program: usize,
    notice: Notice,
    failures: u32,
}

#[derive(Debug)]
struct VerdictRequest {
    id: u64,
    program: usize,
    notice: Notice,
    answer: oneshot::Sender<ProgramOutcome>,
}

#[derive(Debug)]
enum RunningOrder {
    Event(QueuedEvent),
    /// `None` if the request was withdrawn.
    Verdict(Option<oneshot::Sender<ProgramOutcome>>),
}

/// All that waits and runs.
#[derive(Debug)]
pub(super) struct Queue {
    limits: ProgramLimits,
    waiting: VecDeque<QueuedEvent>,
    later: Vec<(Instant, QueuedEvent)>,
    questions: VecDeque<VerdictRequest>,
    running: HashMap<u64, RunningOrder>,
    to_stop: VecDeque<u64>,
    last_id: u64,
    last_sent: Option<u64>,
    counts: ProgramCounts,
    untold: u64,
    is_closed: bool,
    is_over: bool,
}

impl Queue {
    pub(super) fn new(limits: ProgramLimits) -> Self {
        Self {
            limits,
            waiting: VecDeque::new(),
            later: Vec::new(),
            questions: VecDeque::new(),
            running: HashMap::new(),
            to_stop: VecDeque::new(),
            last_id: 0,
            last_sent: None,
            counts: ProgramCounts::default(),
            untold: 0,
            is_closed: false,
            is_over: false,
        }
    }

    /// Adds an event, if there is room.
    pub(super) fn add(&mut self, program: usize, notice: Notice) {
        let has_space = self.waiting.len() + self.later.len() < WAITING_MAX;
        if self.is_closed || !has_space {
            self.counts.dropped += 1;
            self.untold += 1;
            return;
        }
        self.waiting.push_back(QueuedEvent { program, notice, failures: 0 });
    }

    /// Adds a request for a verdict, and returns its id.
    pub(super) fn ask(
        &mut self,
        program: usize,
        notice: Notice,
        answer: oneshot::Sender<ProgramOutcome>,
    ) -> Result<u64, &'static str> {
        if self.is_over {
            return Err("the process that starts programs has ended");
        }
        if self.questions.len() >= VERDICT_REQUESTS_MAX {
            return Err("too many uploads wait for a verdict");
        }
        self.counts.checks += 1;
        let id = self.number();
        self.questions.push_back(VerdictRequest { id, program, notice, answer });
        Ok(id)
    }

    /// Withdraws a request for a verdict.
    pub(super) fn withdraw(&mut self, id: u64) {
        self.questions.retain(|verdict_request| verdict_request.id != id);
        if let Some(RunningOrder::Verdict(answer)) = self.running.get_mut(&id)
            && answer.take().is_some()
        {
            self.to_stop.push_back(id);
        }
    }

    /// What to do now.
    pub(super) fn next(&mut self, now: Instant) -> NextStep {
        if self.is_over {
            return NextStep::End;
        }
        if let Some(id) = self.to_stop.pop_front() {
            return NextStep::Stop(id);
        }
        let of_events = |running: &&RunningOrder| matches!(running, RunningOrder::Event(_));
        let events = self.running.values().filter(of_events).count();
        let questions = self.running.len() - events;
        if questions < self.limits.checks_max
            && let Some(VerdictRequest { id, program, notice, answer }) = self.questions.pop_front()
        {
            self.running.insert(id, RunningOrder::Verdict(Some(answer)));
            self.last_sent = Some(id);
            return NextStep::Run(Order { id, program, notice });
        }
        self.wake(now);
        if events < self.limits.runs_max
            && let Some(event) = self.waiting.pop_front()
        {
            let id = self.number();
            let order = Order { id, program: event.program, notice: event.notice.clone() };
            self.running.insert(id, RunningOrder::Event(event));
            self.last_sent = Some(id);
            return NextStep::Run(order);
        }
        if self.untold > 0 && self.waiting.len() < WAITING_MAX / 2 {
            return NextStep::ReportFn(std::mem::take(&mut self.untold));
        }
        let next = self.later.iter().map(|(time, _)| *time).min();
        NextStep::Rest(next.map(|time| time.saturating_duration_since(now)))
    }

    /// Moves events back into the queue after their pause.
    fn wake(&mut self, now: Instant) {
        for (_, event) in self.later.extract_if(.., |(time, _)| *time <= now || self.is_closed) {
            self.waiting.push_back(event);
        }
    }

    /// The id of the order sent last.
    pub(super) fn last_sent(&self) -> Option<u64> {
        self.last_sent
    }

    /// Records how an order ended; returns it if it should be reported.
    pub(super) fn settle(
        &mut self,
        id: u64,
        outcome: ProgramOutcome,
        now: Instant,
    ) -> Option<FinishedOrder> {
        match self.running.remove(&id)? {
            RunningOrder::Verdict(answer) => {
                if let Some(answer) = answer {
                    // The result of a withdrawn request is ignored.
                    let _ = answer.send(outcome);
                }
                None
            }
            RunningOrder::Event(event) => {
                let (program, notice) = (event.program, event.notice.clone());
                let is_done = outcome.end == ProgramEnd::Exited(0);
                let is_final =
                    is_done || event.failures >= self.limits.retries_max || self.is_closed;
                match (is_done, is_final) {
                    (true, _) => self.counts.done += 1,
                    (false, true) => self.counts.failed += 1,
                    (false, false) => self.again(event, now),
                }
                Some(FinishedOrder { program, notice, outcome, is_final })
            }
        }
    }

    fn again(&mut self, event: QueuedEvent, now: Instant) {
        self.counts.retried += 1;
        let factor = 2_u32.saturating_pow(event.failures.min(20));
        let pause = self.limits.pause.saturating_mul(factor).min(RETRY_PAUSE_MAX);
        let failures = event.failures + 1;
        self.later.push((now + pause, QueuedEvent { failures, ..event }));
    }

    /// Accepts no more events; paused ones get their last attempt now.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Whether no event waits or runs.
    pub(super) fn is_idle(&self) -> bool {
        self.is_over || self.waiting.is_empty() && self.later.is_empty() && self.running.is_empty()
    }

    /// Starts nothing more.
    pub(super) fn end(&mut self) {
        self.is_over = true;
        // Pending requests get an error.
        self.questions.clear();
    }

    /// The process has ended; returns whether that was requested.
    pub(super) fn connection_lost(&mut self) -> bool {
        let was_ended = self.is_over;
        self.end();
        self.running.clear();
        was_ended
    }

    pub(super) fn counts(&self) -> ProgramCounts {
        let waiting = self.waiting.len() + self.later.len() + self.running.len();
        ProgramCounts { waiting: u64::try_from(waiting).unwrap_or(u64::MAX), ..self.counts }
    }

    fn number(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now;

    const LIMITS: ProgramLimits = ProgramLimits {
        runs_max: 2,
        checks_max: 1,
        retries_max: 2,
        pause: Duration::from_secs(10),
    };

    fn notice(id: &str) -> Notice {
        Notice::new(id.to_owned(), "upload", "{}".to_owned(), Vec::new())
    }

    fn ended(end: ProgramEnd) -> ProgramOutcome {
        ProgramOutcome { end, out: Vec::new(), err: Vec::new() }
    }

    fn run(queue: &mut Queue, now: Instant) -> Option<Order> {
        match queue.next(now) {
            NextStep::Run(order) => Some(order),
            _ => None,
        }
    }

    #[test]
    fn runs_are_limited_and_in_order() {
        let (mut queue, now) = (Queue::new(LIMITS), now());
        for id in ["a", "b", "c"] {
            queue.add(0, notice(id));
        }
        let first = run(&mut queue, now).unwrap();
        assert_eq!(run(&mut queue, now).unwrap().notice.id(), "b");
        assert!(run(&mut queue, now).is_none());
        queue.settle(first.id, ended(ProgramEnd::Exited(0)), now).unwrap();
        assert_eq!(run(&mut queue, now).unwrap().notice.id(), "c");
        // A verdict does not wait for events.
        let (answer, mut answered) = oneshot::channel();
        queue.ask(1, notice("q"), answer).unwrap();
        let verdict_request = run(&mut queue, now).unwrap();
        assert!(queue.settle(verdict_request.id, ended(ProgramEnd::Exited(1)), now).is_none());
        assert_eq!(answered.try_recv().unwrap().end, ProgramEnd::Exited(1));
    }

    #[test]
    fn failed_runs_are_retried_with_doubling_pauses_and_then_given_up() {
        let (mut queue, mut now) = (Queue::new(LIMITS), now());
        queue.add(0, notice("a"));
        for (pause, is_final) in [(10, false), (20, false), (0, true)] {
            let order = run(&mut queue, now).unwrap();
            let settled = queue.settle(order.id, ended(ProgramEnd::Exited(2)), now).unwrap();
            assert_eq!(settled.is_final, is_final);
            if !is_final {
                let pause = Duration::from_secs(pause);
                assert!(matches!(queue.next(now), NextStep::Rest(Some(rest)) if rest == pause));
                now += pause;
            }
        }
        assert!(queue.is_idle());
        let counts = queue.counts();
        assert_eq!((counts.retried, counts.failed, counts.done), (2, 1, 0));
    }

    #[test]
    fn dropped_events_are_counted_and_reported_once_there_is_space() {
        let (mut queue, now) = (Queue::new(LIMITS), now());
        for _ in 0..WAITING_MAX + 7 {
            queue.add(0, notice("a"));
        }
        assert_eq!(queue.counts().dropped, 7);
        let mut reported = 0;
        loop {
            match queue.next(now) {
                NextStep::Run(order) => {
                    queue.settle(order.id, ended(ProgramEnd::Exited(0)), now).unwrap();
                }
                NextStep::ReportFn(dropped) => reported += dropped,
                NextStep::Rest(None) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((reported, queue.counts().done), (7, 1000));
    }

    #[test]
    fn a_withdrawn_request_is_stopped_and_its_slot_is_free() {
        let (mut queue, now) = (Queue::new(LIMITS), now());
        let ask = |queue: &mut Queue| queue.ask(0, notice("q"), oneshot::channel().0).unwrap();
        let (first, second) = (ask(&mut queue), ask(&mut queue));
        assert_eq!(run(&mut queue, now).unwrap().id, first);
        queue.withdraw(second);
        queue.withdraw(first);
        assert!(matches!(queue.next(now), NextStep::Stop(id) if id == first));
        assert!(matches!(queue.next(now), NextStep::Rest(None)));
        queue.settle(first, ended(ProgramEnd::Killed), now);
        assert!(queue.is_idle());
    }

    #[test]
    fn close_ends_pauses_and_fails_pending_requests() {
        let (mut queue, now) = (Queue::new(LIMITS), now());
        queue.add(0, notice("a"));
        let order = run(&mut queue, now).unwrap();
        queue.settle(order.id, ended(ProgramEnd::TimedOut), now).unwrap();
        queue.close();
        queue.add(0, notice("late"));
        assert_eq!(queue.counts().dropped, 1);
        let order = run(&mut queue, now).unwrap();
        assert!(queue.settle(order.id, ended(ProgramEnd::TimedOut), now).unwrap().is_final);
        let (answer, mut answered) = oneshot::channel();
        queue.ask(0, notice("q"), answer).unwrap();
        assert!(!queue.connection_lost());
        assert!(answered.try_recv().is_err());
        assert!(queue.ask(0, notice("q"), oneshot::channel().0).is_err());
    }
}
