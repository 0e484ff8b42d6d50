//! Which control connection a data connection belongs to, by the TLS session that it resumes.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::server::{ProducesTickets, StoresServerSessions};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Bindings that are remembered with their accounts. The oldest is forgotten first; its control
/// connection still recognises its own data connections.
const BINDINGS_MAX: usize = 16_384;
/// How long a data connection waits for the login of another control connection of its address, of
/// which it resumed the session. Checking a password takes a part of this.
const LOGIN_MAX: Duration = Duration::from_secs(10);

/// What binds data connections to a control connection: 16 bytes that cannot be guessed.
///
/// It stands within the encrypted tickets that the control connection gives out, and in the keys
/// of sessions remembered for clients without tickets. A data connection that resumes such a
/// session is proven to be of the same client, in TLS 1.2 and 1.3 alike.
/// (`ServerConnection::received_resumption_data` of rustls would do for TLS 1.3 alone.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tie(pub(crate) [u8; 16]);

impl Tie {
    fn with(self, bytes: &[u8]) -> Vec<u8> {
        [&self.0, bytes].concat()
    }
}

/// Which control connections are of one client, by their bindings.
///
/// A client that opens several control connections keeps one cache of TLS sessions for all of
/// them (Go's `crypto/tls`, so rclone): a data connection then resumes the session of whichever
/// control connection was last. It is as good a proof where one control connection resumed a
/// session of the other, or both are logged in to the same account from the same address.
#[derive(Debug, Default)]
pub(super) struct Owners {
    known: Mutex<Known>,
    /// Told when a handshake or a login is over.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Known {
    owners: HashMap<Tie, Owner>,
    /// In the order in which they came.
    order: VecDeque<Tie>,
}

#[derive(Debug)]
struct Owner {
    is_tls_1_2: bool,
    /// The first control connection of a row of which each resumed a session of one before it.
    first: Tie,
    /// Where its client is, while it has not logged in.
    pending: Option<IpAddr>,
    account: Option<(Arc<str>, IpAddr)>,
}

impl Owners {
    /// A control connection begins its handshake. Its client has a session to resume before the
    /// server has seen the end of that.
    pub(super) fn begun(&self, tie: Tie, peer: IpAddr) {
        let owner = Owner { is_tls_1_2: false, first: tie, pending: Some(peer), account: None };
        self.known().insert(tie, owner);
    }

    /// A control connection has finished its handshake, and may have resumed a session of another.
    pub(super) fn secured(&self, tie: Tie, is_tls_1_2: bool, resumed: Option<Tie>) {
        let mut known = self.known();
        let first = resumed.map_or(tie, |resumed| known.first(resumed));
        let pending = known.owners.get(&tie).and_then(|owner| owner.pending);
        known.insert(tie, Owner { is_tls_1_2, first, pending, account: None });
        drop(known);
        self.changed.notify_waiters();
    }

    /// It has logged in to an account, from this address.
    pub(super) fn logged_in(&self, tie: Tie, account: &str, peer: IpAddr) {
        if let Some(owner) = self.known().owners.get_mut(&tie) {
            owner.account = Some((account.into(), peer));
            owner.pending = None;
        }
        self.changed.notify_waiters();
    }

    /// Whether two control connections prove to be of one client: waits, a while at most, for the
    /// login of the other where that is under way.
    pub(super) async fn prove_same(&self, one: Tie, other: Tie) -> bool {
        let proven = async {
            loop {
                let mut changed = pin!(self.changed.notified());
                changed.as_mut().enable();
                if self.are_same(one, other) {
                    return true;
                }
                if !self.may_prove_same(one, other) {
                    return false;
                }
                changed.await;
            }
        };
        timeout(LOGIN_MAX, proven).await.unwrap_or(false)
    }

    /// Whether the other control connection is of the same address and may still log in.
    fn may_prove_same(&self, one: Tie, other: Tie) -> bool {
        let known = self.known();
        let peer =
            |owner: &Owner| owner.pending.or_else(|| owner.account.as_ref().map(|(_, peer)| *peer));
        let own = known.owners.get(&one).and_then(peer);
        own.is_some() && known.owners.get(&other).and_then(|owner| owner.pending) == own
    }

    /// Whether two control connections are of one client.
    fn are_same(&self, one: Tie, other: Tie) -> bool {
        let known = self.known();
        if known.first(one) == known.first(other) {
            return true;
        }
        let account = |tie| known.owners.get(&tie).and_then(|owner| owner.account.as_ref());
        account(one).is_some_and(|one| Some(one) == account(other))
    }

    fn is_tls_1_2(&self, tie: Tie) -> bool {
        self.known().owners.get(&tie).is_some_and(|owner| owner.is_tls_1_2)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn insert(&mut self, tie: Tie, owner: Owner) {
        if self.owners.insert(tie, owner).is_none() {
            self.order.push_back(tie);
        }
        if self.order.len() > BINDINGS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.owners.remove(&oldest);
        }
    }

    fn first(&self, tie: Tie) -> Tie {
        self.owners.get(&tie).map_or(tie, |owner| owner.first)
    }
}

/// Which sessions a connection may resume, and what it gives out itself.
#[derive(Clone, Debug)]
pub(super) enum Binding {
    /// A control connection: it may resume any session of this server.
    Control(Tie, Arc<Found>),
    /// A data connection of a known control connection.
    Data(Tie, Arc<Found>),
    /// A data connection of one of several.
    OneOf(Vec<Tie>, Arc<Found>),
}

/// The control connection of the session that was found last. rustls tries one after the other
/// and ends with the one that it resumes.
#[derive(Debug, Default)]
pub(super) struct Found(Mutex<Option<Tie>>);

impl Found {
    pub(super) fn tie(&self) -> Option<Tie> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, tie: Tie) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tie);
    }
}

impl Binding {
    /// What goes into tickets; nothing as long as that is not known.
    fn given_out(&self) -> Option<Tie> {
        match self {
            Self::Control(tie, _) | Self::Data(tie, _) => Some(*tie),
            Self::OneOf(_, found) => found.tie(),
        }
    }

    fn admits(&self, tie: Tie, owners: &Owners) -> bool {
        let (is_admitted, found) = match self {
            Self::Control(_, found) => (true, found),
            Self::Data(own, found) => {
                let may_be_own = owners.are_same(*own, tie) || owners.may_prove_same(*own, tie);
                (tie == *own || may_be_own, found)
            }
            Self::OneOf(ties, found) => (ties.contains(&tie), found),
        };
        if is_admitted {
            found.note(tie);
        }
        is_admitted
    }

    /// What `look` finds under a key, for each control connection that may be meant.
    fn find(&self, key: &[u8], look: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let (ties, found) = match self {
            Self::Control(tie, found) | Self::Data(tie, found) => {
                (std::slice::from_ref(tie), found)
            }
            Self::OneOf(ties, found) => (&ties[..], found),
        };
        ties.iter().find_map(|tie| {
            let value = look(&tie.with(key))?;
            found.note(*tie);
            Some(value)
        })
    }
}

/// Tickets with a binding within.
#[derive(Debug)]
pub(super) struct Tickets {
    inner: Arc<dyn ProducesTickets>,
    binding: Binding,
    owners: Arc<Owners>,
    /// Set once a data connection of TLS 1.2 resumes. It gives out no ticket in the place of the
    /// one it used: OpenSSL then never uses that again (`SSL_CTX_remove_session`), and PHP, which
    /// keeps the control connection's session only, has none left.
    is_used: AtomicBool,
}

impl Tickets {
    pub(super) fn new(
        inner: &Arc<dyn ProducesTickets>,
        binding: &Binding,
        owners: &Arc<Owners>,
    ) -> Self {
        Self {
            inner: Arc::clone(inner),
            binding: binding.clone(),
            owners: Arc::clone(owners),
            is_used: AtomicBool::new(false),
        }
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.inner.enabled() && !self.is_used.load(Ordering::Relaxed)
    }

    fn lifetime(&self) -> u32 {
        self.inner.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.inner.encrypt(&self.binding.given_out()?.with(plain))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let plain = self.inner.decrypt(cipher)?;
        let (tie, rest) = plain.split_first_chunk()?;
        let tie = Tie(*tie);
        if !self.binding.admits(tie, &self.owners) {
            return None;
        }
        if !matches!(self.binding, Binding::Control(..)) && self.owners.is_tls_1_2(tie) {
            self.is_used.store(true, Ordering::Relaxed);
        }
        Some(rest.to_vec())
    }
}

/// Sessions remembered under keys with a binding within, for clients without tickets. Only the
/// data connections of their own control connection find them.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) inner: Arc<dyn StoresServerSessions>,
    pub(super) binding: Binding,
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.binding.given_out().is_some_and(|tie| self.inner.put(tie.with(&key), value))
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.binding.find(key, |key| self.inner.get(key))
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.binding.find(key, |key| self.inner.take(key))
    }

    fn can_cache(&self) -> bool {
        self.inner.can_cache()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_bindings_are_forgotten_and_the_newest_are_not() {
        let owners = Owners::default();
        let tie = |number: usize| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            Tie(bytes)
        };
        for number in 0..=BINDINGS_MAX {
            owners.secured(tie(number), true, None);
        }
        assert!(!owners.is_tls_1_2(tie(0)) && owners.is_tls_1_2(tie(1)));
        assert!(owners.is_tls_1_2(tie(BINDINGS_MAX)));
        assert_eq!(owners.known().owners.len(), BINDINGS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn row_09_a_session_of_a_login_that_is_under_way_proves_what_that_comes_to() {
        let near = IpAddr::from([192, 0, 2, 1]);
        let far = IpAddr::from([192, 0, 2, 2]);
        let (own, other) = (Tie([1; 16]), Tie([2; 16]));
        for (peer, account, is_same) in [
            (near, Some("anna"), true),
            (near, Some("ben"), false),
            (near, None, false),
            (far, Some("anna"), false),
        ] {
            let owners = Owners::default();
            owners.begun(own, near);
            owners.secured(own, true, None);
            owners.logged_in(own, "anna", near);
            owners.begun(other, peer);
            let login = async {
                tokio::task::yield_now().await;
                owners.secured(other, true, None);
                tokio::task::yield_now().await;
                if let Some(account) = account {
                    owners.logged_in(other, account, peer);
                }
            };
            let (proven, ()) = tokio::join!(owners.prove_same(own, other), login);
            assert_eq!(proven, is_same, "{peer} {account:?}");
        }
    }

    /// PHP keeps the session of its control connection only, and OpenSSL drops a session for which
    /// it was given another.
    #[test]
    fn row_09_a_data_connection_of_tls_1_2_that_resumes_gives_out_no_other_ticket() {
        let inner = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
        let (own, found) = (Tie([1; 16]), Arc::<Found>::default());
        for (is_tls_1_2, binding, is_enabled) in [
            (true, Binding::Data(own, Arc::clone(&found)), false),
            (true, Binding::OneOf(vec![own], Arc::clone(&found)), false),
            (true, Binding::Control(own, Arc::clone(&found)), true),
            (false, Binding::Data(own, Arc::clone(&found)), true),
        ] {
            let owners = Arc::<Owners>::default();
            owners.secured(own, is_tls_1_2, None);
            let control = Binding::Control(own, Arc::default());
            let ticket = Tickets::new(&inner, &control, &owners).encrypt(b"session").unwrap();
            let tickets = Tickets::new(&inner, &binding, &owners);
            assert!(tickets.enabled());
            assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
            assert_eq!(tickets.enabled(), is_enabled, "{binding:?}");
        }
    }
}
