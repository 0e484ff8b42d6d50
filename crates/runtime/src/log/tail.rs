//! The last lines of the log, for `wharf log` and the API.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use wharf_core::lock;

/// Number of lines kept.
const LINES_MAX: usize = 1000;
/// Queue length per follower; slow readers miss lines, which is reported to them.
const WAITING_MAX: usize = 1024;
/// Maximum number of followers.
const FOLLOWERS_MAX: usize = 32;

/// The last lines, and the followers of new ones.
#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<TailState>);

#[derive(Debug, Default)]
struct TailState {
    lines: VecDeque<TailLine>,
    followers: Vec<TailFollower>,
}

#[derive(Clone, Debug)]
struct TailLine {
    session: Option<u64>,
    text: Arc<str>,
}

#[derive(Debug)]
struct TailFollower {
    session: Option<u64>,
    sender: Sender<Arc<str>>,
    missed: u64,
}

/// A stream of past lines, optionally followed by new ones.
#[derive(Debug)]
pub(crate) struct TailStream {
    past: VecDeque<Arc<str>>,
    coming: Option<Receiver<Arc<str>>>,
}

impl Tail {
    /// Adds a line, with its line end.
    pub(crate) fn push(&self, session: Option<u64>, text: &str) {
        let line = TailLine { session, text: text.into() };
        let mut state = self.state();
        state.followers.retain_mut(|follower| follower.send(&line));
        if state.lines.len() >= LINES_MAX {
            state.lines.pop_front();
        }
        state.lines.push_back(line);
    }

    /// The last `count` lines, of one session if given, and, if `follows`, new lines until
    /// [`Tail::close`].
    pub(crate) fn lines(&self, count: usize, session: Option<u64>, follows: bool) -> TailStream {
        let mut state = self.state();
        let fitting = state.lines.iter().rev().filter(|line| line.is_of(session));
        let mut past: VecDeque<_> = fitting.take(count).map(|line| line.text.clone()).collect();
        past.make_contiguous().reverse();
        let mut coming = None;
        if follows {
            state.followers.retain(|follower| !follower.sender.is_closed());
            if state.followers.len() < FOLLOWERS_MAX {
                let (sender, receiver) = channel(WAITING_MAX);
                state.followers.push(TailFollower { session, sender, missed: 0 });
                coming = Some(receiver);
            } else {
                past.push_back("too many log followers\n".into());
            }
        }
        TailStream { past, coming }
    }

    /// Closes the streams: followers end after the remaining lines.
    pub(crate) fn close(&self) {
        self.state().followers.clear();
    }

    fn state(&self) -> MutexGuard<'_, TailState> {
        lock(&self.0)
    }
}

impl TailLine {
    fn is_of(&self, session: Option<u64>) -> bool {
        session.is_none() || self.session == session
    }
}

impl TailFollower {
    /// Sends a line; returns whether the follower is still connected.
    fn send(&mut self, line: &TailLine) -> bool {
        if self.missed > 0 {
            let reported = format!("reader too slow, lines skipped: {}\n", self.missed);
            if self.sender.try_send(reported.into()).is_ok() {
                self.missed = 0;
            }
        }
        if line.is_of(self.session) && self.sender.try_send(line.text.clone()).is_err() {
            self.missed += 1;
        }
        !self.sender.is_closed()
    }
}

impl Stream for TailStream {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<String>> {
        if let Some(line) = self.past.pop_front() {
            return Poll::Ready(Some(line.as_ref().to_owned()));
        }
        match &mut self.coming {
            Some(coming) => {
                coming.poll_recv(context).map(|line| line.map(|line| line.as_ref().to_owned()))
            }
            None => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn next(lines: &mut TailStream) -> Option<String> {
        poll_fn(|context| Pin::new(&mut *lines).poll_next(context)).await
    }

    async fn all(mut lines: TailStream) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(line) = next(&mut lines).await {
            seen.push(line);
        }
        seen
    }

    #[tokio::test]
    async fn only_the_last_lines_are_kept() {
        let tail = Tail::default();
        for number in 0..1500 {
            tail.push(Some(number % 2), &format!("{number}\n"));
        }
        assert_eq!(all(tail.lines(2, None, false)).await, ["1498\n", "1499\n"]);
        assert_eq!(all(tail.lines(2, Some(0), false)).await, ["1496\n", "1498\n"]);
        assert_eq!(all(tail.lines(5000, None, false)).await.len(), LINES_MAX);
    }

    #[tokio::test]
    async fn a_follower_gets_each_line_once_and_the_end() {
        let tail = Tail::default();
        tail.push(None, "a\n");
        let lines = tail.lines(10, None, true);
        let of_seven = tail.lines(0, Some(7), true);
        tail.push(None, "b\n");
        tail.push(Some(7), "c\n");
        tail.close();
        assert_eq!(all(lines).await, ["a\n", "b\n", "c\n"]);
        assert_eq!(all(of_seven).await, ["c\n"]);
    }

    #[tokio::test]
    async fn a_slow_follower_misses_lines_and_is_notified() {
        let tail = Tail::default();
        let mut lines = tail.lines(0, None, true);
        for number in 0..WAITING_MAX + 5 {
            tail.push(None, &format!("{number}\n"));
        }
        assert_eq!(next(&mut lines).await.unwrap(), "0\n");
        assert_eq!(next(&mut lines).await.unwrap(), "1\n");
        tail.push(None, "last\n");
        tail.close();
        let rest = all(lines).await;
        assert!(rest.contains(&"reader too slow, lines skipped: 5\n".to_owned()));
        assert_eq!(rest.last().unwrap(), "last\n");
    }

    #[tokio::test]
    async fn disconnected_followers_free_their_slot() {
        let tail = Tail::default();
        let state: Vec<_> = (0..FOLLOWERS_MAX).map(|_| tail.lines(0, None, true)).collect();
        assert_eq!(all(tail.lines(0, None, true)).await, ["too many log followers\n"]);
        drop(state);
        assert!(tail.lines(0, None, true).coming.is_some());
    }
}
