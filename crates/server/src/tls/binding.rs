//! Which control connection a data connection belongs to, by the TLS session that it resumes.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustls::server::{ProducesTickets, StoresServerSessions};
use tokio::sync::Notify;
use tokio::time::timeout;

use wharf_core::lock;

use super::signing::HasSigned;
use crate::net::WithholdFlag;

/// Bindings that are stored with their accounts. The oldest is dropped first; its control
/// connection still recognises its own data connections.
const BINDINGS_MAX: usize = 16_384;
/// How long a data connection waits for the login of another control connection of its address if
/// it resumed the session of that. Checking a password takes a part of this.
const LOGIN_MAX: Duration = Duration::from_secs(10);

/// Identifies the control connection to which TLS sessions are bound: 16 random bytes.
///
/// It is part of the encrypted tickets sent on the control connection, and of the cache keys for
/// clients without tickets. A data connection that resumes such a session is from the same client,
/// in TLS 1.2 and 1.3 alike. (`ServerConnection::received_resumption_data` of rustls would do for
/// TLS 1.3 alone.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct BindingId(pub(crate) [u8; 16]);

impl BindingId {
    fn with(self, bytes: &[u8]) -> Vec<u8> {
        [&self.0, bytes].concat()
    }

    /// The binding of sessions issued on data connections that did not resume any. They may be
    /// those of another client, so they can be resumed, but prove nothing.
    fn unproven(self) -> Self {
        Self(self.0.map(|byte| !byte))
    }
}

/// Which control connections belong to one client, by their bindings.
///
/// A client that opens several control connections keeps one cache of TLS sessions for all of them
/// (Go's `crypto/tls`, so rclone): a data connection then resumes the session of whichever control
/// connection was last. This is accepted if one control connection resumed a session of the other,
/// or both are logged in to the same account from the same address.
#[derive(Debug, Default)]
pub(super) struct BindingOwners {
    known: Mutex<OwnerTable>,
    /// Notified when a handshake or a login completes.
    changed: Notify,
}

#[derive(Debug, Default)]
struct OwnerTable {
    owners: HashMap<BindingId, BindingOwner>,
    /// In order of arrival.
    order: VecDeque<BindingId>,
}

#[derive(Debug)]
struct BindingOwner {
    is_tls_1_2: bool,
    /// The first control connection of a chain of which each resumed a session of an earlier one.
    first: BindingId,
    /// The client address, before login.
    pending: Option<IpAddr>,
    account: Option<(Arc<str>, IpAddr)>,
    /// Whether it reads a data connection before it closes it.
    reads_before_close: bool,
}

impl BindingOwners {
    /// Records that a control connection starts its handshake. Its client has a session to resume
    /// before the server has completed that handshake.
    pub(super) fn handshake_started(
        &self,
        binding_id: BindingId,
        peer: IpAddr,
        reads_before_close: bool,
    ) {
        let owner = BindingOwner {
            reads_before_close,
            is_tls_1_2: false,
            first: binding_id,
            pending: Some(peer),
            account: None,
        };
        self.known().insert(binding_id, owner);
    }

    /// Records a completed handshake, which may have resumed a session of another control
    /// connection.
    pub(super) fn handshake_finished(
        &self,
        binding_id: BindingId,
        is_tls_1_2: bool,
        resumed: Option<BindingId>,
    ) {
        let mut known = self.known();
        let first = resumed.map_or(binding_id, |resumed| known.first(resumed));
        let before = known.owners.get(&binding_id);
        let pending = before.and_then(|owner| owner.pending);
        let reads_before_close = before.is_some_and(|owner| owner.reads_before_close);
        let owner = BindingOwner { is_tls_1_2, first, pending, account: None, reads_before_close };
        known.insert(binding_id, owner);
        drop(known);
        self.changed.notify_waiters();
    }

    /// Records a login to an account from this address.
    pub(super) fn logged_in(&self, binding_id: BindingId, account: &str, peer: IpAddr) {
        if let Some(owner) = self.known().owners.get_mut(&binding_id) {
            owner.account = Some((account.into(), peer));
            owner.pending = None;
        }
        self.changed.notify_waiters();
    }

    /// Whether two control connections belong to one client. Waits up to `LOGIN_MAX` for the login
    /// of the other.
    pub(super) async fn wait_same_client(&self, one: BindingId, other: BindingId) -> bool {
        let proven = async {
            loop {
                let mut changed = pin!(self.changed.notified());
                changed.as_mut().enable();
                if self.are_same_client(one, other) {
                    return true;
                }
                if !self.may_be_same_client(one, other) {
                    return false;
                }
                changed.await;
            }
        };
        timeout(LOGIN_MAX, proven).await.unwrap_or(false)
    }

    /// Whether the other control connection has the same address and may still log in.
    fn may_be_same_client(&self, one: BindingId, other: BindingId) -> bool {
        let known = self.known();
        let peer = |owner: &BindingOwner| {
            owner.pending.or_else(|| owner.account.as_ref().map(|(_, peer)| *peer))
        };
        let own = known.owners.get(&one).and_then(peer);
        own.is_some() && known.owners.get(&other).and_then(|owner| owner.pending) == own
    }

    /// Whether two control connections belong to one client.
    fn are_same_client(&self, one: BindingId, other: BindingId) -> bool {
        let known = self.known();
        if known.first(one) == known.first(other) {
            return true;
        }
        let account =
            |binding_id| known.owners.get(&binding_id).and_then(|owner| owner.account.as_ref());
        account(one).is_some_and(|one| Some(one) == account(other))
    }

    fn is_tls_1_2(&self, binding_id: BindingId) -> bool {
        self.known().owners.get(&binding_id).is_some_and(|owner| owner.is_tls_1_2)
    }

    fn reads_before_close(&self, binding_id: BindingId) -> bool {
        self.known().owners.get(&binding_id).is_some_and(|owner| owner.reads_before_close)
    }

    fn known(&self) -> MutexGuard<'_, OwnerTable> {
        lock(&self.known)
    }
}

impl OwnerTable {
    fn insert(&mut self, binding_id: BindingId, owner: BindingOwner) {
        if self.owners.insert(binding_id, owner).is_none() {
            self.order.push_back(binding_id);
        }
        if self.order.len() > BINDINGS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.owners.remove(&oldest);
        }
    }

    fn first(&self, binding_id: BindingId) -> BindingId {
        self.owners.get(&binding_id).map_or(binding_id, |owner| owner.first)
    }
}

/// Which sessions a connection may resume, and which binding its own sessions carry.
#[derive(Clone, Debug)]
pub(super) enum Binding {
    /// A control connection: it may resume any session of this server.
    Control(BindingId, Arc<ResumedBinding>),
    /// A data connection of a known control connection.
    Data(BindingId, Arc<ResumedBinding>),
    /// A data connection of one of several.
    OneOf(Vec<BindingId>, Arc<ResumedBinding>),
}

/// The binding of the session that was found last. rustls tries one after the other and ends with
/// the one that it resumes.
#[derive(Debug, Default)]
pub(super) struct ResumedBinding(Mutex<Option<BindingId>>);

impl ResumedBinding {
    pub(super) fn binding_id(&self) -> Option<BindingId> {
        *lock(&self.0)
    }

    fn note(&self, binding_id: BindingId) {
        *lock(&self.0) = Some(binding_id);
    }
}

impl Binding {
    /// Whether a session of TLS 1.2 on this data connection can be used again.
    fn is_reusable(&self, binding_id: BindingId, owners: &BindingOwners) -> bool {
        match self {
            Self::Control(..) => false,
            Self::Data(own, _) if binding_id == own.unproven() => owners.is_tls_1_2(*own),
            Self::Data(..) | Self::OneOf(..) => owners.is_tls_1_2(binding_id),
        }
    }

    fn admits(&self, binding_id: BindingId, owners: &BindingOwners) -> bool {
        let (is_admitted, found) = match self {
            Self::Control(_, found) => (true, found),
            Self::Data(own, found) => {
                let may_be_own = owners.are_same_client(*own, binding_id)
                    || owners.may_be_same_client(*own, binding_id);
                let is_own = [*own, own.unproven()].contains(&binding_id);
                (is_own || may_be_own, found)
            }
            Self::OneOf(binding_ids, found) => (binding_ids.contains(&binding_id), found),
        };
        if is_admitted {
            found.note(binding_id);
        }
        is_admitted
    }

    /// Looks up a key for each possible control connection.
    fn find(&self, key: &[u8], value_of: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let (binding_ids, found) = match self {
            Self::Control(binding_id, found) => (vec![*binding_id], found),
            Self::Data(own, found) => (vec![*own, own.unproven()], found),
            Self::OneOf(binding_ids, found) => (binding_ids.clone(), found),
        };
        binding_ids.iter().find_map(|binding_id| {
            let value = value_of(&binding_id.with(key))?;
            found.note(*binding_id);
            Some(value)
        })
    }
}

/// What is known when a session of a connection is issued, and what follows.
#[derive(Clone, Debug, Default)]
pub(super) struct Issuing {
    pub(super) has_signed: HasSigned,
    pub(super) withholds: WithholdFlag,
    /// Whether each data connection must resume a session.
    pub(super) must_resume: bool,
}

impl Issuing {
    /// The binding of a new session, which is withheld if the client may not read it before it
    /// closes the connection; `None` if the binding is not known.
    fn issue(&self, binding: &Binding, owners: &BindingOwners) -> Option<BindingId> {
        let binding_id = self.binding_for(binding)?;
        if !(self.must_resume && owners.reads_before_close(binding_id)) {
            self.withholds.set();
        }
        Some(binding_id)
    }

    /// The binding of a new session; `None` if it is not known.
    fn binding_for(&self, binding: &Binding) -> Option<BindingId> {
        let is_resumed = !self.has_signed.is_set();
        match binding {
            Binding::Control(binding_id, _) => Some(*binding_id),
            Binding::Data(own, _) if !is_resumed => Some(own.unproven()),
            // It proves as much as the session that was resumed.
            Binding::Data(own, found) => Some(found.binding_id().unwrap_or(*own)),
            Binding::OneOf(_, found) => found.binding_id().filter(|_| is_resumed),
        }
    }
}

/// Tickets that contain a binding.
#[derive(Debug)]
pub(super) struct Tickets {
    inner: Arc<dyn ProducesTickets>,
    binding: Binding,
    owners: Arc<BindingOwners>,
    issuing: Issuing,
    /// Set once a TLS 1.2 data connection resumes. Then no replacement ticket is sent: OpenSSL
    /// would drop the used one (`SSL_CTX_remove_session`), and PHP, which stores only the session
    /// of the control connection, would have none left.
    is_used: AtomicBool,
}

impl Tickets {
    pub(super) fn new(
        inner: &Arc<dyn ProducesTickets>,
        binding: &Binding,
        owners: &Arc<BindingOwners>,
        issuing: Issuing,
    ) -> Self {
        Self {
            issuing,
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
        let binding_id = self.issuing.issue(&self.binding, &self.owners)?;
        self.inner.encrypt(&binding_id.with(plain))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let plain = self.inner.decrypt(cipher)?;
        let (binding_id, rest) = plain.split_first_chunk()?;
        let binding_id = BindingId(*binding_id);
        if !self.binding.admits(binding_id, &self.owners) {
            return None;
        }
        if self.binding.is_reusable(binding_id, &self.owners) {
            self.is_used.store(true, Ordering::Relaxed);
        }
        Some(rest.to_vec())
    }
}

/// A session cache with the binding in its keys, for clients without tickets. Only data connections
/// of the same control connection find them.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) inner: Arc<dyn StoresServerSessions>,
    pub(super) binding: Binding,
    pub(super) owners: Arc<BindingOwners>,
    pub(super) issuing: Issuing,
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let issued = self.issuing.issue(&self.binding, &self.owners);
        let Some(binding_id) = issued else { return false };
        self.inner.put(binding_id.with(&key), value)
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
        let owners = BindingOwners::default();
        let binding_id = |number: usize| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            BindingId(bytes)
        };
        for number in 0..=BINDINGS_MAX {
            owners.handshake_finished(binding_id(number), true, None);
        }
        assert!(!owners.is_tls_1_2(binding_id(0)) && owners.is_tls_1_2(binding_id(1)));
        assert!(owners.is_tls_1_2(binding_id(BINDINGS_MAX)));
        assert_eq!(owners.known().owners.len(), BINDINGS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn row_09_a_tls_session_of_a_pending_login_authenticates_its_result() {
        let near = IpAddr::from([192, 0, 2, 1]);
        let far = IpAddr::from([192, 0, 2, 2]);
        let (own, other) = (BindingId([1; 16]), BindingId([2; 16]));
        for (peer, account, is_same) in [
            (near, Some("anna"), true),
            (near, Some("ben"), false),
            (near, None, false),
            (far, Some("anna"), false),
        ] {
            let owners = BindingOwners::default();
            owners.handshake_started(own, near, false);
            owners.handshake_finished(own, true, None);
            owners.logged_in(own, "anna", near);
            owners.handshake_started(other, peer, false);
            let login = async {
                tokio::task::yield_now().await;
                owners.handshake_finished(other, true, None);
                tokio::task::yield_now().await;
                if let Some(account) = account {
                    owners.logged_in(other, account, peer);
                }
            };
            let (proven, ()) = tokio::join!(owners.wait_same_client(own, other), login);
            assert_eq!(proven, is_same, "{peer} {account:?}");
        }
    }

    /// PHP stores only the session of its control connection, and OpenSSL drops a session that is
    /// replaced by another.
    #[test]
    fn row_09_a_data_connection_of_tls_1_2_that_resumes_gives_out_no_other_ticket() {
        let inner = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
        let (own, found) = (BindingId([1; 16]), Arc::<ResumedBinding>::default());
        for (is_tls_1_2, binding, is_enabled) in [
            (true, Binding::Data(own, Arc::clone(&found)), false),
            (true, Binding::OneOf(vec![own], Arc::clone(&found)), false),
            (true, Binding::Control(own, Arc::clone(&found)), true),
            (false, Binding::Data(own, Arc::clone(&found)), true),
        ] {
            let owners = Arc::<BindingOwners>::default();
            owners.handshake_finished(own, is_tls_1_2, None);
            let control = Binding::Control(own, Arc::default());
            let ticket = Tickets::new(&inner, &control, &owners, Issuing::default())
                .encrypt(b"session")
                .unwrap();
            let tickets = Tickets::new(&inner, &binding, &owners, Issuing::default());
            assert!(tickets.enabled());
            assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
            assert_eq!(tickets.enabled(), is_enabled, "{binding:?}");
        }
    }
}
