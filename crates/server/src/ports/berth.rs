//! One listening data port, and the sessions that wait there.
//!
//! Sessions of different addresses are told apart by the address from which a connection comes,
//! sessions of one address by the TLS session that it resumes. No task belongs to a port: of those
//! who wait, one listens for all and hands over what is not its own. When it leaves, the next one
//! takes its place.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use ipnet::IpNet;
use tokio_rustls::server::TlsStream;

use super::Reserved;
use crate::net::{Listener, Socket, introduced};
use crate::tls::{Acceptor, Tie};

/// Sessions on one port at a time. Each may have connections that wait for it.
const GUESTS_MAX: usize = 256;
/// Connections that wait for one session: it needs one, and a client may have tried before.
const ARRIVED_MAX: usize = 4;
/// Connections of which it is not known yet whose they are. More are closed.
const UNSORTED_MAX: usize = 64;
/// What waits to be accepted when somebody joins, at most.
const STALE_MAX: usize = 256;

/// Whose data connection is waited for, and how it is told from others.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// The session's number.
    pub(crate) session: u64,
    /// The client's address.
    pub(crate) peer: IpAddr,
    /// With PROT P: what TLS sessions of this client carry.
    pub(crate) tie: Option<Tie>,
    /// Whether its data connections have resumed its TLS session, as far as any came.
    pub(crate) resumes: Option<bool>,
    /// The proxies through which its control connection may have come; none if it came itself.
    pub(crate) proxies: Arc<[IpNet]>,
}

/// How sessions on one port are told apart, from the best way to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sharing {
    /// All have different addresses.
    Addresses,
    /// Some have the same, and their clients are known to resume.
    ProvenTls,
    /// Some have the same, and it is not known yet whether their clients resume.
    UnprovenTls,
}

/// A data connection that came for a session.
pub(crate) enum Arrived {
    /// As it came.
    Plain(Socket),
    /// TLS has shown whose it is, and is done.
    Own(Box<TlsStream<Socket>>),
}

/// What came to a port.
pub(crate) enum Came {
    /// For the session that waited.
    Mine(Arrived),
    /// From an address for which nobody waits. It is closed.
    Stranger(IpAddr),
}

/// A listening port. It closes when the last of its sessions leaves.
pub(super) struct Berth {
    listener: Box<dyn Listener>,
    tls: Option<Arc<Acceptor>>,
    here: Mutex<Here>,
    /// Last, so that the port is free again only when the listener is closed.
    pub(super) reserved: Reserved,
}

#[derive(Default)]
struct Here {
    guests: Vec<Guest>,
    /// Whether one of them listens for all.
    has_leader: bool,
    /// Kept for the one session that is here, which does not know its port yet.
    is_kept: bool,
    unsorted: Vec<Unsorted>,
    /// Addresses whose sessions left since all that waited was last handed over: a connection that
    /// still waits may be for one of them.
    left: Vec<IpAddr>,
}

struct Guest {
    claim: Claim,
    /// Others of the same address are here or were: its connections must resume its own TLS
    /// session.
    must_resume: bool,
    arrived: VecDeque<Arrived>,
    /// Connections of its address that might have been its own and did not resume any session.
    unproven: usize,
    /// Set while it waits and somebody else listens.
    waker: Option<Waker>,
}

/// Finds out whose a connection is; nothing if it breaks meanwhile.
type Unsorted = Pin<Box<dyn Future<Output = Option<Sorted>> + Send>>;

enum Sorted {
    /// A proxy said for whom it comes: the socket has that address.
    Introduced(Socket),
    /// TLS is done; it resumed a session of one of ours, or not.
    Secured { stream: Box<TlsStream<Socket>>, tie: Option<Tie>, from: IpAddr },
}

/// What whoever listens for all has heard.
enum Heard {
    Connection(Socket),
    Sorted(Sorted),
}

enum Turn {
    Take(Arrived),
    Lead,
}

impl Berth {
    pub(super) fn new(
        listener: Box<dyn Listener>,
        tls: Option<Arc<Acceptor>>,
        reserved: Reserved,
        claim: Claim,
    ) -> Self {
        let here = Here { guests: vec![Guest::new(claim)], ..Here::default() };
        Self { listener, tls, here: Mutex::new(here), reserved }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.reserved.address
    }

    /// How a newcomer would be told from those who are here, and how many they are; nothing if it
    /// could not be.
    pub(super) fn sharing(&self, claim: &Claim) -> Option<(Sharing, usize)> {
        self.here().sharing(claim)
    }

    /// Lets a newcomer in if it can be told from the others.
    pub(super) fn join(&self, claim: &Claim) -> bool {
        // What came for one who has left must not be taken for the newcomer's.
        let is_clear = self.clear();
        let mut here = self.here();
        if !is_clear && here.left.contains(&claim.peer) {
            return false;
        }
        let Some((sharing, _)) = here.sharing(claim) else { return false };
        let mut guest = Guest::new(claim.clone());
        if sharing != Sharing::Addresses {
            guest.must_resume = true;
            here.of(claim.peer).for_each(|other| other.must_resume = true);
        }
        here.guests.push(guest);
        true
    }

    /// Hands over what waits to be accepted, and closes what is nobody's. Says whether nothing
    /// waits any more: not where somebody listens who has not had its turn, nor where the system
    /// does not let us accept.
    fn clear(&self) -> bool {
        let mut here = self.here();
        if std::mem::replace(&mut here.has_leader, true) {
            return false;
        }
        drop(here);
        let waiting = Waiting { berth: self, session: None, is_leader: true };
        let mut is_clear = false;
        for _ in 0..STALE_MAX {
            match self.poll_listener() {
                Poll::Ready(Ok(socket)) => drop(self.sort(Heard::Connection(socket), None)),
                Poll::Ready(Err(_)) => {}
                Poll::Pending => {
                    is_clear = true;
                    break;
                }
            }
        }
        if is_clear {
            self.here().left.clear();
        }
        drop(waiting);
        is_clear
    }

    /// One connection that waits already.
    fn poll_listener(&self) -> Poll<io::Result<Socket>> {
        pin!(self.listener.accept()).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Whether nobody has connected that was not accepted yet. For a port with one session alone.
    pub(super) fn is_untouched(&self) -> bool {
        self.poll_listener().is_pending()
    }

    /// Whether a connection has come that is, or may be, a session's, and was not taken.
    pub(super) fn has_come(&self, session: u64) -> bool {
        self.clear();
        let mut here = self.here();
        let may_be = !here.unsorted.is_empty();
        let guest = here.guest(session);
        guest.is_some_and(|guest| may_be || guest.unproven > 0 || !guest.arrived.is_empty())
    }

    /// Takes the port out of everybody's sight for the one session that is here; not if others are.
    pub(super) fn keep(&self) -> bool {
        let mut here = self.here();
        here.is_kept = here.guests.len() == 1;
        here.is_kept
    }

    /// Gives a port that was kept to its session again.
    pub(super) fn take_again(&self, claim: Claim) {
        let mut here = self.here();
        here.is_kept = false;
        here.guests = vec![Guest::new(claim)];
    }

    pub(super) fn leave(&self, session: u64) {
        let mut here = self.here();
        let at = here.guests.iter().position(|guest| guest.claim.session == session);
        let guest = at.map(|at| here.guests.swap_remove(at));
        if let Some(guest) = &guest
            && !here.guests.is_empty()
            && !here.left.contains(&guest.claim.peer)
        {
            here.left.push(guest.claim.peer);
        }
        // What waited for it is closed where nothing is locked.
        drop(here);
        drop(guest);
    }

    /// How many sessions are here.
    pub(super) fn guests(&self) -> usize {
        self.here().guests.len()
    }

    /// How many connections of the session's address resumed no TLS session where they had to.
    pub(super) fn unproven(&self, session: u64) -> usize {
        self.here().guest(session).map_or(0, |guest| guest.unproven)
    }

    /// The next connection for a session, or of a stranger. Cancel safe.
    pub(super) async fn next(&self, session: u64) -> io::Result<Came> {
        let mut waiting = Waiting { berth: self, session: Some(session), is_leader: false };
        loop {
            match poll_fn(|context| self.poll_turn(&mut waiting, session, context)).await? {
                Turn::Take(arrived) => return Ok(Came::Mine(arrived)),
                Turn::Lead => {
                    let heard = self.listen().await?;
                    if let Some(came) = self.sort(heard, Some(session)) {
                        return Ok(came);
                    }
                }
            }
        }
    }

    /// What was handed over comes first. Then one listens, and the others wait.
    fn poll_turn(
        &self,
        waiting: &mut Waiting<'_>,
        session: u64,
        context: &Context<'_>,
    ) -> Poll<io::Result<Turn>> {
        let mut here = self.here();
        let is_free = waiting.is_leader || !here.has_leader;
        let Some(guest) = here.guest(session) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if let Some(arrived) = guest.arrived.pop_front() {
            return Poll::Ready(Ok(Turn::Take(arrived)));
        }
        if is_free {
            here.has_leader = true;
            waiting.is_leader = true;
            return Poll::Ready(Ok(Turn::Lead));
        }
        guest.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Waits for a connection, or until it is known whose an earlier one is. Cancel safe.
    async fn listen(&self) -> io::Result<Heard> {
        let mut accepting = pin!(self.listener.accept());
        poll_fn(|context| {
            if let Poll::Ready(done) = accepting.as_mut().poll(context) {
                return Poll::Ready(done.map(Heard::Connection));
            }
            self.here().left.clear();
            match self.poll_unsorted(context) {
                Some(sorted) => Poll::Ready(Ok(Heard::Sorted(sorted))),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn poll_unsorted(&self, context: &mut Context<'_>) -> Option<Sorted> {
        let mut unsorted = std::mem::take(&mut self.here().unsorted);
        let mut found = None;
        unsorted.retain_mut(|one| {
            if found.is_some() {
                return true;
            }
            match one.as_mut().poll(context) {
                Poll::Ready(done) => {
                    found = done;
                    false
                }
                Poll::Pending => true,
            }
        });
        if !unsorted.is_empty() {
            self.here().unsorted.append(&mut unsorted);
        }
        found
    }

    /// Gives what was heard to whom it is for. What is for `listener` itself, and strangers, come
    /// back.
    fn sort(&self, heard: Heard, listener: Option<u64>) -> Option<Came> {
        let (socket, is_introduced) = match heard {
            Heard::Connection(socket) => (socket, false),
            Heard::Sorted(Sorted::Introduced(socket)) => (socket, true),
            Heard::Sorted(Sorted::Secured { stream, tie, from }) => {
                return self.hand_over_secured(stream, tie, from, listener);
            }
        };
        let from = socket.peer_address().ok()?.ip();
        let mut here = self.here();
        if !is_introduced && here.is_proxy(from) {
            here.find_out(Box::pin(async move {
                introduced(socket).await.ok().map(Sorted::Introduced)
            }));
            return None;
        }
        let mut ties = Vec::new();
        let mut only = None;
        for guest in here.of(from) {
            ties.extend(guest.claim.tie.filter(|_| guest.must_resume));
            only = Some(guest);
        }
        if let (Some(tls), false) = (&self.tls, ties.is_empty()) {
            let handshake = tls.data_of_one(socket, ties);
            here.find_out(Box::pin(async move {
                let (stream, tie) = handshake.await.ok()?;
                Some(Sorted::Secured { stream: Box::new(stream), tie, from })
            }));
            return None;
        }
        match only {
            Some(guest) => guest.hand_over(Arrived::Plain(socket), listener),
            None => Some(Came::Stranger(from)),
        }
    }

    fn hand_over_secured(
        &self,
        stream: Box<TlsStream<Socket>>,
        tie: Option<Tie>,
        from: IpAddr,
        listener: Option<u64>,
    ) -> Option<Came> {
        let mut here = self.here();
        let Some(tie) = tie else {
            // It may be of any of them, so it is of none.
            here.of(from).for_each(|guest| guest.unproven += 1);
            return None;
        };
        let own = here.of(from).find(|guest| guest.claim.tie == Some(tie))?;
        own.hand_over(Arrived::Own(stream), listener)
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Here {
    fn guest(&mut self, session: u64) -> Option<&mut Guest> {
        self.guests.iter_mut().find(|guest| guest.claim.session == session)
    }

    fn of(&mut self, peer: IpAddr) -> impl Iterator<Item = &mut Guest> {
        self.guests.iter_mut().filter(move |guest| guest.claim.peer == peer)
    }

    fn is_proxy(&self, peer: IpAddr) -> bool {
        // All who are here came through the same proxies.
        let proxies = self.guests.first().map(|guest| &guest.claim.proxies);
        proxies.is_some_and(|proxies| proxies.iter().any(|network| network.contains(&peer)))
    }

    fn sharing(&self, claim: &Claim) -> Option<(Sharing, usize)> {
        let count = self.guests.len();
        let fits = |guest: &Guest| guest.claim.proxies == claim.proxies;
        if self.is_kept || count >= GUESTS_MAX || !self.guests.iter().all(fits) {
            return None;
        }
        let alike = || self.guests.iter().map(|guest| &guest.claim).chain([claim]);
        let alike = || alike().filter(|other| other.peer == claim.peer);
        if alike().count() == 1 {
            return Some((Sharing::Addresses, count));
        }
        if alike().any(|other| other.tie.is_none() || other.resumes == Some(false)) {
            return None;
        }
        let are_proven = alike().all(|other| other.resumes == Some(true));
        Some((if are_proven { Sharing::ProvenTls } else { Sharing::UnprovenTls }, count))
    }

    fn find_out(&mut self, unsorted: Unsorted) {
        if self.unsorted.len() < UNSORTED_MAX {
            self.unsorted.push(unsorted);
        }
    }
}

impl Guest {
    fn new(claim: Claim) -> Self {
        let arrived = VecDeque::new();
        Self { claim, must_resume: false, arrived, unproven: 0, waker: None }
    }

    /// Gives a connection to this session: at once if it is the one that listens, else into its
    /// own hands.
    fn hand_over(&mut self, arrived: Arrived, listener: Option<u64>) -> Option<Came> {
        if listener == Some(self.claim.session) && self.arrived.is_empty() {
            return Some(Came::Mine(arrived));
        }
        if self.arrived.len() < ARRIVED_MAX {
            self.arrived.extend(arrived.unwatched());
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        None
    }
}

impl Arrived {
    /// For another task, whose own reactor is to watch it. With TLS it stays where it is.
    fn unwatched(self) -> Option<Self> {
        match self {
            Self::Plain(socket) => socket.unwatch().ok().map(Self::Plain),
            own @ Self::Own(_) => Some(own),
        }
    }
}

/// Somebody who waits. Dropping it lets the next one listen for all.
struct Waiting<'a> {
    berth: &'a Berth,
    session: Option<u64>,
    is_leader: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut here = self.berth.here();
        if self.is_leader {
            here.has_leader = false;
        }
        if let Some(guest) = self.session.and_then(|session| here.guest(session)) {
            guest.waker = None;
        }
        // Also where it did not listen: it may have been woken to do so, and is leaving instead.
        let next = if here.has_leader {
            None
        } else {
            here.guests.iter_mut().find_map(|guest| guest.waker.take())
        };
        drop(here);
        if let Some(next) = next {
            next.wake();
        }
    }
}
