//! One connection of the simulated network: two directions, each with a window, a delay, and an
//! end.

mod kernel_copy;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use wharf_core::lock;
use wharf_load::Random;
use wharf_server::net::{KernelCopyLink, Link};

use self::kernel_copy::LinkCopy;
use crate::network_faults::{InjectedFailure, LinkCounter, NetworkFaults};

/// Bytes that may be in transit or unread in one direction; the writer waits when it is full.
const WINDOW_BYTES: usize = 64 * 1024;
/// Maximum size of a segment that arrives at once, with network faults.
const SEGMENT_BYTES_MAX: usize = 16 * 1024;
/// The longest latency of a slow network.
const SLOW_DISTANCE_MS_MAX: u64 = 300;
/// The lowest bandwidth of a slow network.
const SLOW_BYTES_MIN: u64 = 40_000;

/// One end of a connection. Dropping it closes it like a kernel does: with a FIN, or with a RST if
/// received bytes were not read.
pub struct SimLink {
    shared: Arc<Mutex<LinkState>>,
    side: Side,
    local: SocketAddr,
    peer: SocketAddr,
    alarm: Option<Pin<Box<Sleep>>>,
    links: LinkCounter,
    injected_failure: InjectedFailure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Dialer,
    Acceptor,
}

/// The state that both ends share.
pub(crate) struct LinkState {
    to_acceptor: LinkDirection,
    to_dialer: LinkDirection,
    is_reset: bool,
    network_faults: NetworkFaults,
    rng: Random,
    /// The base latency, without random delays.
    distance: Duration,
    /// Bytes per second in each direction, on a slow network.
    bandwidth: Option<u64>,
    /// After this many bytes, in both directions together, the network cuts the connection.
    cut_after: Option<usize>,
}

/// One direction.
#[derive(Default)]
struct LinkDirection {
    segments: VecDeque<Segment>,
    unread_bytes: usize,
    end: Option<DirectionEnd>,
    last_arrival: Option<Instant>,
    /// From then on the writer notices that the reader has closed.
    lost_from: Option<Instant>,
    /// The reader has shut it down.
    is_shut: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Segment {
    arrives: Instant,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct DirectionEnd {
    arrives: Instant,
    is_orderly: bool,
}

/// Creates the two ends of a new connection: that of the dialer and that of the acceptor.
pub(crate) fn connection(
    links: &LinkCounter,
    network_faults: NetworkFaults,
    mut rng: Random,
    dialer: SocketAddr,
    acceptor: SocketAddr,
) -> (SimLink, SimLink) {
    let (distance, bandwidth) = match network_faults {
        NetworkFaults::Off => (0, None),
        NetworkFaults::Slow(_) => (
            rng.below(SLOW_DISTANCE_MS_MAX),
            Some(rng.between(SLOW_BYTES_MIN, 50 * SLOW_BYTES_MIN)),
        ),
        NetworkFaults::Random(_) => (rng.below(60), None),
    };
    let distance = Duration::from_millis(distance);
    let is_doomed = network_faults.is_unreliable() && rng.chance(1, 25);
    let cut_after = is_doomed.then(|| rng.size(1, 200_000));
    let shared = Arc::new(Mutex::new(LinkState {
        to_acceptor: LinkDirection::default(),
        to_dialer: LinkDirection::default(),
        is_reset: false,
        network_faults,
        rng,
        distance,
        bandwidth,
        cut_after,
    }));
    let end = |side, local, peer| {
        links.increment();
        SimLink {
            shared: Arc::clone(&shared),
            side,
            local,
            peer,
            alarm: None,
            links: links.clone(),
            injected_failure: InjectedFailure::default(),
        }
    };
    (end(Side::Dialer, dialer, acceptor), end(Side::Acceptor, acceptor, dialer))
}

impl SimLink {
    /// Resets the connection: bytes in transit are lost, and both ends fail.
    pub fn reset(&self) {
        self.shared().reset();
    }

    /// Sends a FIN, to arrive not before `earliest`, and returns when it will arrive. Reading
    /// continues.
    pub fn finish(&self, earliest: Option<Instant>) -> Instant {
        let arrives = self.shared().finish(self.side, earliest);
        arrives.unwrap_or_else(Instant::now)
    }

    /// The end of the server, whose reads, writes and shutdowns can be made to fail.
    pub(crate) fn with_failure(mut self, injected_failure: InjectedFailure) -> Self {
        self.injected_failure = injected_failure;
        self
    }

    /// Counts a call that has an effect. The failing one resets the connection.
    fn fails_now(&self) -> bool {
        let fails_now = self.injected_failure.fails_now();
        if fails_now {
            self.reset();
        }
        fails_now
    }

    fn shared(&self) -> MutexGuard<'_, LinkState> {
        lock(&self.shared)
    }
}

impl LinkState {
    /// The direction in which this side reads, and the one in which it writes.
    fn pipes(&mut self, side: Side) -> (&mut LinkDirection, &mut LinkDirection) {
        match side {
            Side::Dialer => (&mut self.to_dialer, &mut self.to_acceptor),
            Side::Acceptor => (&mut self.to_acceptor, &mut self.to_dialer),
        }
    }

    pub(crate) fn reset(&mut self) {
        let now = Instant::now();
        self.is_reset = true;
        for pipe in [&mut self.to_acceptor, &mut self.to_dialer] {
            pipe.segments.retain(|segment| segment.arrives <= now);
            pipe.unread_bytes = pipe.segments.iter().map(|segment| segment.bytes.len()).sum();
            pipe.end = pipe.end.filter(|end| end.arrives <= now);
            pipe.wake();
        }
    }

    /// The latency of the next segment.
    fn delay(&mut self) -> Duration {
        if self.network_faults == NetworkFaults::Off {
            return Duration::ZERO;
        }
        let stalls = self.network_faults.is_unreliable() && self.rng.chance(1, 400);
        let stall = if stalls { self.rng.between(500, 20_000) } else { 0 };
        self.distance + Duration::from_millis(self.rng.below(20) + stall)
    }

    /// When data sent now arrives: never before data that was sent earlier.
    fn arrival(&mut self, side: Side, bytes: usize) -> Instant {
        let soonest = Instant::now() + self.delay();
        let millis = |rate| u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1000) / rate;
        let takes = Duration::from_millis(self.bandwidth.map_or(0, millis));
        let (_, outward) = self.pipes(side);
        let begins = outward.last_arrival.map_or(soonest, |last| last.max(soonest));
        let arrives = begins + takes;
        outward.last_arrival = Some(arrives);
        arrives
    }

    fn finish(&mut self, side: Side, earliest: Option<Instant>) -> Option<Instant> {
        if self.is_reset {
            return None;
        }
        if let Some(end) = self.pipes(side).1.end {
            return Some(end.arrives);
        }
        let mut arrives = self.arrival(side, 0);
        arrives = earliest.map_or(arrives, |earliest| earliest.max(arrives));
        let (_, outward) = self.pipes(side);
        outward.end = Some(DirectionEnd { arrives, is_orderly: true });
        outward.wake();
        Some(arrives)
    }

    /// Adds bytes to the direction, split into segments at random.
    fn send(&mut self, side: Side, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let most = if self.network_faults == NetworkFaults::Off {
                rest.len()
            } else if rest.len() > 64 || self.rng.chance(1, 4) {
                self.rng.size(1, rest.len().min(SEGMENT_BYTES_MAX))
            } else {
                rest.len()
            };
            let (segment, later) = rest.split_at(most);
            rest = later;
            let arrives = self.arrival(side, segment.len());
            let (_, outward) = self.pipes(side);
            outward.unread_bytes += segment.len();
            outward.segments.push_back(Segment { arrives, bytes: segment.to_vec() });
            outward.wake();
        }
        if let Some(left) = &mut self.cut_after {
            *left = left.saturating_sub(bytes.len());
            if *left == 0 {
                self.cut_after = None;
                self.reset();
            }
        }
    }

    /// Reads what has arrived. Reading into an empty buffer shows whether there is data.
    pub(crate) fn read(
        &mut self,
        side: Side,
        buffer: &mut ReadBuf<'_>,
    ) -> Result<ReadState, io::Error> {
        let is_reset = self.is_reset;
        let (inward, _) = self.pipes(side);
        match inward.read(buffer)? {
            ReadState::Done => Ok(ReadState::Done),
            _ if is_reset => Err(io::ErrorKind::ConnectionReset.into()),
            ReadState::Nothing if inward.is_shut => Ok(ReadState::Done),
            later => Ok(later),
        }
    }

    /// Writes what fits; `None` if nothing does.
    pub(crate) fn write(&mut self, side: Side, bytes: &[u8]) -> Result<Option<usize>, io::Error> {
        let is_reset = self.is_reset;
        let (_, outward) = self.pipes(side);
        if is_reset || outward.end.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if let Some(from) = outward.lost_from {
            let is_known = from <= Instant::now();
            return if is_known {
                Err(io::ErrorKind::BrokenPipe.into())
            } else {
                Ok(Some(bytes.len()))
            };
        }
        let free_bytes = WINDOW_BYTES.saturating_sub(outward.unread_bytes).min(bytes.len());
        if free_bytes == 0 && !bytes.is_empty() {
            return Ok(None);
        }
        let (taken, _) = bytes.split_at(free_bytes);
        self.send(side, taken);
        Ok(Some(free_bytes))
    }

    /// Whether a write would do anything, or fail.
    pub(crate) fn is_writable(&mut self, side: Side) -> bool {
        let is_reset = self.is_reset;
        let (_, outward) = self.pipes(side);
        let is_over = is_reset || outward.end.is_some() || outward.lost_from.is_some();
        is_over || outward.unread_bytes < WINDOW_BYTES
    }

    pub(crate) fn wake_reader(&mut self, side: Side, waker: &Waker) {
        self.pipes(side).0.reader = Some(waker.clone());
    }

    pub(crate) fn wake_writer(&mut self, side: Side, waker: &Waker) {
        self.pipes(side).1.writer = Some(waker.clone());
    }

    /// Ends both directions for this side.
    pub(crate) fn shut_down(&mut self, side: Side) {
        self.finish(side, None);
        let (inward, outward) = self.pipes(side);
        inward.is_shut = true;
        inward.wake();
        outward.wake();
    }

    fn close(&mut self, side: Side) {
        if self.is_reset {
            return;
        }
        let now = Instant::now();
        let (inward, _) = self.pipes(side);
        let has_unread = inward.segments.front().is_some_and(|segment| segment.arrives <= now);
        let arrives = self.finish(side, None).unwrap_or(now);
        let (inward, outward) = self.pipes(side);
        if has_unread {
            outward.end = Some(DirectionEnd { arrives, is_orderly: false });
        }
        inward.lost_from = Some(arrives);
        inward.segments.clear();
        inward.unread_bytes = 0;
        inward.wake();
        outward.wake();
    }
}

impl LinkDirection {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    /// Reads what has arrived; if nothing has, returns when to try again.
    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> Result<ReadState, io::Error> {
        let now = Instant::now();
        let Some(segment) = self.segments.front_mut() else {
            return match self.end {
                Some(end) if end.arrives > now => Ok(ReadState::NotBefore(end.arrives)),
                Some(end) if end.is_orderly => Ok(ReadState::Done),
                Some(_) => Err(io::ErrorKind::ConnectionReset.into()),
                None => Ok(ReadState::Nothing),
            };
        };
        if segment.arrives > now {
            return Ok(ReadState::NotBefore(segment.arrives));
        }
        let most = segment.bytes.len().min(buffer.remaining());
        if most == segment.bytes.len() {
            buffer.put_slice(&segment.bytes);
            self.segments.pop_front();
        } else {
            let rest = segment.bytes.split_off(most);
            buffer.put_slice(&std::mem::replace(&mut segment.bytes, rest));
        }
        self.unread_bytes = self.unread_bytes.saturating_sub(most);
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
        Ok(ReadState::Done)
    }
}

/// The result of an attempt to read.
pub(crate) enum ReadState {
    Done,
    NotBefore(Instant),
    Nothing,
}

impl Link for SimLink {
    fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    fn local_address(&self) -> SocketAddr {
        self.local
    }

    fn for_kernel_copy(&self) -> Option<Arc<dyn KernelCopyLink>> {
        let (shared, failure) = (Arc::clone(&self.shared), self.injected_failure.clone());
        Some(Arc::new(LinkCopy::new(shared, self.side, failure)))
    }
}

impl AsyncRead for SimLink {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let at = {
                let mut shared = lock(&this.shared);
                let reading = shared.read(this.side, buffer)?;
                if let ReadState::Done = reading {
                    drop(shared);
                    // Data that was read is lost with the connection.
                    return Poll::Ready(if this.fails_now() {
                        Err(io::ErrorKind::ConnectionReset.into())
                    } else {
                        Ok(())
                    });
                }
                shared.wake_reader(this.side, context.waker());
                match reading {
                    ReadState::NotBefore(at) => at,
                    ReadState::Done | ReadState::Nothing => return Poll::Pending,
                }
            };
            let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if alarm.deadline() != at {
                alarm.as_mut().reset(at);
            }
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            this.alarm = None;
        }
    }
}

impl AsyncWrite for SimLink {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.fails_now() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let mut shared = self.shared();
        if let Some(written) = shared.write(self.side, bytes)? {
            return Poll::Ready(Ok(written));
        }
        shared.wake_writer(self.side, context.waker());
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.fails_now() {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        let mut shared = self.shared();
        match shared.finish(self.side, None) {
            Some(_) => Poll::Ready(Ok(())),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl Drop for SimLink {
    fn drop(&mut self) {
        self.shared().close(self.side);
        self.links.decrement();
    }
}
