//! Which program is started next: a machine without clock and processes.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Counts, Limits};
use crate::Notice;
use crate::worker::{End, Outcome};

/// Events that wait at most, those that wait for another try among them.
const WAITING_MAX: usize = 1000;
/// Questions that wait at most.
const QUESTIONS_MAX: usize = 1000;
/// The longest pause before another try.
const PAUSE_MAX: Duration = Duration::from_mins(10);

/// What is to be started.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) id: u64,
    pub(super) program: usize,
    pub(super) notice: Notice,
}

/// What the one who sends should do next.
#[derive(Debug)]
pub(super) enum Wants {
    /// Start this.
    Run(Order),
    /// End this one.
    Stop(u64),
    /// Report that so many events were dropped.
    Tell(u64),
    /// Wait for a change, or for so long.
    Rest(Option<Duration>),
    /// End.
    End,
}

/// An order that is over.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) program: usize,
    pub(super) notice: Notice,
    pub(super) outcome: Outcome,
    /// Whether that was the last try.
    pub(super) is_final: bool,
}

#[derive(Debug)]
struct Event {
    program: usize,
    notice: Notice,
    failures: u32,
}

#[derive(Debug)]
struct Question {
    id: u64,
    program: usize,
    notice: Notice,
    answer: oneshot::Sender<Outcome>,
}

#[derive(Debug)]
enum Running {
    Event(Event),
    /// None: nobody waits for the answer any more.
    Question(Option<oneshot::Sender<Outcome>>),
}

/// All that waits and runs.
#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    waiting: VecDeque<Event>,
    later: Vec<(Instant, Event)>,
    questions: VecDeque<Question>,
    running: HashMap<u64, Running>,
    to_stop: VecDeque<u64>,
    last_id: u64,
    last_sent: Option<u64>,
    counts: Counts,
    untold: u64,
    is_closed: bool,
    is_over: bool,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: VecDeque::new(),
            later: Vec::new(),
            questions: VecDeque::new(),
            running: HashMap::new(),
            to_stop: VecDeque::new(),
            last_id: 0,
            last_sent: None,
            counts: Counts::default(),
            untold: 0,
            is_closed: false,
            is_over: false,
        }
    }

    /// Takes an event, if there is room.
    pub(super) fn add(&mut self, program: usize, notice: Notice) {
        let has_room = self.waiting.len() + self.later.len() < WAITING_MAX;
        if self.is_closed || !has_room {
            self.counts.dropped += 1;
            self.untold += 1;
            return;
        }
        self.waiting.push_back(Event { program, notice, failures: 0 });
    }

    /// Takes a question, and gives it a number.
    pub(super) fn ask(
        &mut self,
        program: usize,
        notice: Notice,
        answer: oneshot::Sender<Outcome>,
    ) -> Result<u64, &'static str> {
        if self.is_over {
            return Err("the process that starts programs is gone");
        }
        if self.questions.len() >= QUESTIONS_MAX {
            return Err("too many wait for a verdict already");
        }
        self.counts.asked += 1;
        let id = self.number();
        self.questions.push_back(Question { id, program, notice, answer });
        Ok(id)
    }

    /// Nobody waits for the answer to a question any more.
    pub(super) fn withdraw(&mut self, id: u64) {
        self.questions.retain(|question| question.id != id);
        if let Some(Running::Question(answer)) = self.running.get_mut(&id)
            && answer.take().is_some()
        {
            self.to_stop.push_back(id);
        }
    }

    /// What to do now.
    pub(super) fn next(&mut self, now: Instant) -> Wants {
        if self.is_over {
            return Wants::End;
        }
        if let Some(id) = self.to_stop.pop_front() {
            return Wants::Stop(id);
        }
        let of_events = |running: &&Running| matches!(running, Running::Event(_));
        let events = self.running.values().filter(of_events).count();
        let questions = self.running.len() - events;
        if questions < self.limits.checks_max
            && let Some(Question { id, program, notice, answer }) = self.questions.pop_front()
        {
            self.running.insert(id, Running::Question(Some(answer)));
            self.last_sent = Some(id);
            return Wants::Run(Order { id, program, notice });
        }
        self.wake(now);
        if events < self.limits.runs_max
            && let Some(event) = self.waiting.pop_front()
        {
            let id = self.number();
            let order = Order { id, program: event.program, notice: event.notice.clone() };
            self.running.insert(id, Running::Event(event));
            self.last_sent = Some(id);
            return Wants::Run(order);
        }
        if self.untold > 0 && self.waiting.len() < WAITING_MAX / 2 {
            return Wants::Tell(std::mem::take(&mut self.untold));
        }
        let next = self.later.iter().map(|(time, _)| *time).min();
        Wants::Rest(next.map(|time| time.saturating_duration_since(now)))
    }

    /// Brings back what has paused long enough.
    fn wake(&mut self, now: Instant) {
        for (_, event) in self.later.extract_if(.., |(time, _)| *time <= now || self.is_closed) {
            self.waiting.push_back(event);
        }
    }

    /// The order that was given out last.
    pub(super) fn last_sent(&self) -> Option<u64> {
        self.last_sent
    }

    /// Takes note of how an order ended; says so if somebody should hear of it.
    pub(super) fn settle(&mut self, id: u64, outcome: Outcome, now: Instant) -> Option<Settled> {
        match self.running.remove(&id)? {
            Running::Question(answer) => {
                if let Some(answer) = answer {
                    // Where nobody waits, nobody minds.
                    let _ = answer.send(outcome);
                }
                None
            }
            Running::Event(event) => {
                let (program, notice) = (event.program, event.notice.clone());
                let is_done = outcome.end == End::Exited(0);
                let is_final =
                    is_done || event.failures >= self.limits.retries_max || self.is_closed;
                match (is_done, is_final) {
                    (true, _) => self.counts.done += 1,
                    (false, true) => self.counts.failed += 1,
                    (false, false) => self.again(event, now),
                }
                Some(Settled { program, notice, outcome, is_final })
            }
        }
    }

    fn again(&mut self, event: Event, now: Instant) {
        self.counts.retried += 1;
        let factor = 2_u32.saturating_pow(event.failures.min(20));
        let pause = self.limits.pause.saturating_mul(factor).min(PAUSE_MAX);
        let failures = event.failures + 1;
        self.later.push((now + pause, Event { failures, ..event }));
    }

    /// Takes no events any more; those that pause have their last try now.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Whether no event waits or runs.
    pub(super) fn is_idle(&self) -> bool {
        self.is_over || self.waiting.is_empty() && self.later.is_empty() && self.running.is_empty()
    }

    /// Starts nothing any more.
    pub(super) fn end(&mut self) {
        self.is_over = true;
        // Whoever waits for an answer hears that there is none.
        self.questions.clear();
    }

    /// The other end is gone; whether that was asked for.
    pub(super) fn lose(&mut self) -> bool {
        let was_ended = self.is_over;
        self.end();
        self.running.clear();
        was_ended
    }

    pub(super) fn counts(&self) -> Counts {
        let waiting = self.waiting.len() + self.later.len() + self.running.len();
        Counts { waiting: u64::try_from(waiting).unwrap_or(u64::MAX), ..self.counts }
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

    const LIMITS: Limits =
        Limits { runs_max: 2, checks_max: 1, retries_max: 2, pause: Duration::from_secs(10) };

    fn notice(id: &str) -> Notice {
        Notice::new(id.to_owned(), "upload", "{}".to_owned(), Vec::new())
    }

    fn ended(end: End) -> Outcome {
        Outcome { end, out: Vec::new(), err: Vec::new() }
    }

    fn run(queue: &mut Queue, now: Instant) -> Option<Order> {
        match queue.next(now) {
            Wants::Run(order) => Some(order),
            _ => None,
        }
    }

    #[test]
    fn no_more_run_at_a_time_than_may_and_all_in_order() {
        let (mut queue, now) = (Queue::new(LIMITS), now());
        for id in ["a", "b", "c"] {
            queue.add(0, notice(id));
        }
        let first = run(&mut queue, now).unwrap();
        assert_eq!(run(&mut queue, now).unwrap().notice.id(), "b");
        assert!(run(&mut queue, now).is_none());
        queue.settle(first.id, ended(End::Exited(0)), now).unwrap();
        assert_eq!(run(&mut queue, now).unwrap().notice.id(), "c");
        // A verdict does not wait for events.
        let (answer, mut answered) = oneshot::channel();
        queue.ask(1, notice("q"), answer).unwrap();
        let question = run(&mut queue, now).unwrap();
        assert!(queue.settle(question.id, ended(End::Exited(1)), now).is_none());
        assert_eq!(answered.try_recv().unwrap().end, End::Exited(1));
    }

    #[test]
    fn what_fails_is_tried_again_after_pauses_that_double_and_then_given_up() {
        let (mut queue, mut now) = (Queue::new(LIMITS), now());
        queue.add(0, notice("a"));
        for (pause, is_final) in [(10, false), (20, false), (0, true)] {
            let order = run(&mut queue, now).unwrap();
            let settled = queue.settle(order.id, ended(End::Exited(2)), now).unwrap();
            assert_eq!(settled.is_final, is_final);
            if !is_final {
                let pause = Duration::from_secs(pause);
                assert!(matches!(queue.next(now), Wants::Rest(Some(rest)) if rest == pause));
                now += pause;
            }
        }
        assert!(queue.is_idle());
        let counts = queue.counts();
        assert_eq!((counts.retried, counts.failed, counts.done), (2, 1, 0));
    }

    #[test]
    fn events_without_room_are_counted_and_told_once_there_is_room() {
        let (mut queue, now) = (Queue::new(LIMITS), now());
        for _ in 0..WAITING_MAX + 7 {
            queue.add(0, notice("a"));
        }
        assert_eq!(queue.counts().dropped, 7);
        let mut told = 0;
        loop {
            match queue.next(now) {
                Wants::Run(order) => {
                    queue.settle(order.id, ended(End::Exited(0)), now).unwrap();
                }
                Wants::Tell(dropped) => told += dropped,
                Wants::Rest(None) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((told, queue.counts().done), (7, 1000));
    }

    #[test]
    fn a_question_that_nobody_waits_for_is_stopped_and_its_place_is_free() {
        let (mut queue, now) = (Queue::new(LIMITS), now());
        let ask = |queue: &mut Queue| queue.ask(0, notice("q"), oneshot::channel().0).unwrap();
        let (first, second) = (ask(&mut queue), ask(&mut queue));
        assert_eq!(run(&mut queue, now).unwrap().id, first);
        queue.withdraw(second);
        queue.withdraw(first);
        assert!(matches!(queue.next(now), Wants::Stop(id) if id == first));
        assert!(matches!(queue.next(now), Wants::Rest(None)));
        queue.settle(first, ended(End::Killed), now);
        assert!(queue.is_idle());
    }

    #[test]
    fn at_the_end_pauses_are_over_and_nobody_waits_in_vain() {
        let (mut queue, now) = (Queue::new(LIMITS), now());
        queue.add(0, notice("a"));
        let order = run(&mut queue, now).unwrap();
        queue.settle(order.id, ended(End::TimedOut), now).unwrap();
        queue.close();
        queue.add(0, notice("late"));
        assert_eq!(queue.counts().dropped, 1);
        let order = run(&mut queue, now).unwrap();
        assert!(queue.settle(order.id, ended(End::TimedOut), now).unwrap().is_final);
        let (answer, mut answered) = oneshot::channel();
        queue.ask(0, notice("q"), answer).unwrap();
        assert!(!queue.lose());
        assert!(answered.try_recv().is_err());
        assert!(queue.ask(0, notice("q"), oneshot::channel().0).is_err());
    }
}
