//! What all sessions share, behind one `Arc`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use wharf_core::account::Limits as Own;
use wharf_core::event::{AccountFiles, ClientInfo, Direction, Event, Events};
use wharf_core::storage::Stores;
use wharf_core::users::Users;
use wharf_proto::path::escaped;

use crate::admission::{Admission, Neighbour};
use crate::auth_throttle::{AttemptStart, AuthEvent, AuthThrottle, BanDecision};
use crate::doctor::Doctor;
use crate::lanes::Lanes;
use crate::metrics::EngineMetrics;
use crate::names::CharsetMemory;
use crate::net::Net;
use crate::ports::Ports;
use crate::registry::{End, Probe, Registry};
use crate::settings::{Limits, Settings, Tls};
use crate::shape::{self, Buckets, Law, Pace, bucket};
use crate::tls::{Acceptor, Tie};

pub(crate) struct Shared {
    terms: RwLock<Arc<Terms>>,
    /// Held from where terms are read to where what was made of them is put in their place.
    adopting: Mutex<()>,
    pub(crate) net: Arc<dyn Net>,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) ports: Arc<Ports>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) auth_throttle: Arc<AuthThrottle>,
    pub(crate) charset_memory: CharsetMemory,
    pub(crate) lanes: Lanes,
    pub(crate) doctor: Doctor,
    /// What PASV announces to clients that are not near: a name's address changes as we serve.
    public_address: Mutex<Option<Ipv4Addr>>,
    pub(crate) metrics: Arc<EngineMetrics>,
    upload: Speed,
    download: Speed,
}

/// On what terms clients are served. A session keeps those that it met, apart from its login.
pub(crate) struct Terms {
    pub(crate) settings: Arc<Settings>,
    pub(crate) users: Arc<dyn Users>,
    pub(crate) stores: Arc<dyn Stores>,
    pub(crate) tls: Option<Arc<Acceptor>>,
}

/// What somebody hears who is banned.
pub(crate) const BANNED: &str = "Your address is banned; try again later.";

/// The shared limits of one direction.
struct Speed {
    all: Buckets<()>,
    by_address: Buckets<Neighbour>,
    by_user: Buckets<String>,
}

impl Shared {
    pub(crate) fn new(
        settings: Settings,
        net: Arc<dyn Net>,
        users: Arc<dyn Users>,
        stores: Arc<dyn Stores>,
        events: Arc<dyn Events>,
    ) -> Result<Self, rustls::Error> {
        let tls = settings.tls.as_ref().map(Acceptor::new).transpose()?.map(Arc::new);
        let (range, near) = (&settings.passive.ports, &settings.passive.local_networks);
        Ok(Self {
            ports: Ports::new(range.clone(), near.clone(), tls.clone()),
            upload: Speed::new(),
            download: Speed::new(),
            auth_throttle: AuthThrottle::new(&settings.ban),
            charset_memory: CharsetMemory::default(),
            doctor: Doctor::default(),
            public_address: Mutex::new(settings.passive.public_address),
            terms: RwLock::new(Arc::new(Terms {
                settings: Arc::new(settings),
                users,
                stores,
                tls,
            })),
            adopting: Mutex::default(),
            net,
            events,
            admission: Arc::default(),
            registry: Arc::default(),
            lanes: Lanes::new(),
            metrics: Arc::default(),
        })
    }

    /// The terms of now.
    pub(crate) fn terms(&self) -> Arc<Terms> {
        Arc::clone(&self.terms.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves on other terms from now on. What TLS sessions resume by stays.
    pub(crate) fn adopt(
        &self,
        settings: Settings,
        users: Arc<dyn Users>,
        stores: Arc<dyn Stores>,
    ) -> Result<(), rustls::Error> {
        let _turn = self.adopting();
        self.replace_terms(settings, users, stores)
    }

    /// One change at a time: of two, the second is made of what the first left.
    fn adopting(&self) -> MutexGuard<'_, ()> {
        self.adopting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace_terms(
        &self,
        settings: Settings,
        users: Arc<dyn Users>,
        stores: Arc<dyn Stores>,
    ) -> Result<(), rustls::Error> {
        let before = self.terms();
        let acceptor = |tls: &Tls| match &before.tls {
            Some(before) => before.renewed(tls),
            None => Acceptor::new(tls),
        };
        let tls = settings.tls.as_ref().map(acceptor).transpose()?.map(Arc::new);
        self.ports.adopt(settings.passive.local_networks.clone(), tls.clone());
        self.auth_throttle.reconfigure(&settings.ban);
        self.set_public_address(settings.passive.public_address);
        let terms = Terms { settings: Arc::new(settings), users, stores, tls };
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(terms);
        self.registry.renew();
        Ok(())
    }

    /// What PASV announces to clients that are not near.
    pub(crate) fn public_address(&self) -> Option<Ipv4Addr> {
        *self.public_address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, from now on, for sessions that are here too.
    pub(crate) fn set_public_address(&self, address: Option<Ipv4Addr>) {
        *self.public_address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Begins TLS with this from now on; everything else stays.
    pub(crate) fn adopt_tls(&self, tls: Tls) -> Result<(), rustls::Error> {
        let _turn = self.adopting();
        let terms = self.terms();
        let mut settings = Settings { tls: Some(tls), ..(*terms.settings).clone() };
        // A name may have been looked up again since.
        settings.passive.public_address = self.public_address();
        self.replace_terms(settings, Arc::clone(&terms.users), Arc::clone(&terms.stores))
    }

    /// Takes other limits for the accounts that are logged in, where `of` knows any.
    pub(crate) fn renew_limits(&self, of: impl Fn(&str) -> Option<Own>) {
        let mut differ = false;
        for probe in self.registry.each() {
            differ |= probe.live.take_limits(&of);
        }
        if differ {
            self.registry.renew();
        }
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.net.now().seconds
    }

    /// Whether `peer` may come in at all; the reason if not. Tells of it once a minute at most.
    pub(crate) fn door(&self, peer: SocketAddr, local: SocketAddr) -> Result<(), &'static str> {
        let told = match self.auth_throttle.ban_decision(peer.ip(), self.now()) {
            BanDecision::Allowed => return Ok(()),
            BanDecision::Banned => None,
            BanDecision::BannedAndReported(count) => Some(count),
        };
        if let Some(count) = told {
            let reason = format!("{BANNED} Times since this was last told: {count}.");
            self.emit_at_the_door(peer, local, &Event::Rejected { reason: &reason });
        }
        Err(BANNED)
    }

    /// Begins an attempt to log in.
    pub(crate) fn begin_attempt(&self, peer: IpAddr, user: &str) -> AttemptStart {
        let start = self.auth_throttle.begin(peer, user, self.now());
        self.report_auth_events();
        start
    }

    /// Tells of bans, and ends the sessions of those who are banned. A ban by tries leaves those
    /// alone who are logged in: somebody else behind the same address may have tried.
    pub(crate) fn report_auth_events(&self) {
        self.tell_news_and(true);
    }

    /// The same; `ends`: whether sessions of those who are banned by hand end.
    pub(crate) fn tell_news_and(&self, ends: bool) {
        for event in self.auth_throttle.take_events() {
            match event {
                AuthEvent::Banned(ban) => {
                    let time = ban.until.map(|until| until.saturating_sub(ban.since));
                    let time = time.map(|time| Duration::from_secs(time.try_into().unwrap_or(0)));
                    let event = Event::Banned {
                        network: &ban.network.to_string(),
                        reason: &ban.reason,
                        time,
                        is_manual: ban.is_manual,
                    };
                    self.emit_of(ban.network.network(), &event);
                    for probe in self.registry.each() {
                        let ip = probe.peer.ip().to_canonical();
                        if !ban.network.contains(&ip)
                            || !self.auth_throttle.is_banned(ip, self.now())
                        {
                            continue;
                        }
                        if ban.is_manual && !ends && probe.live.has_user() {
                            continue;
                        }
                        if ban.is_manual {
                            probe.end(End::Now, BANNED);
                        } else if !probe.live.has_user() {
                            probe.end(End::AfterTransfer, BANNED);
                        }
                    }
                }
                AuthEvent::Lifted { network, reason } => {
                    let event = Event::BanLifted { network: &network.to_string(), reason };
                    self.emit_of(network.network(), &event);
                }
                AuthEvent::Locked { user, seconds } => {
                    let time = Duration::from_secs(seconds.try_into().unwrap_or(0));
                    let user = escaped(user.as_bytes());
                    let nobody = IpAddr::from([0, 0, 0, 0]);
                    self.emit_of(nobody, &Event::AccountLocked { user: &user, time });
                }
            }
        }
    }

    /// Tells of somebody who has no session.
    pub(crate) fn emit_at_the_door(&self, peer: SocketAddr, local: SocketAddr, event: &Event<'_>) {
        let who = ClientInfo {
            session: 0,
            peer,
            local,
            user: None,
            is_tls: false,
            client: None,
            tree: AccountFiles::default(),
        };
        self.events.emit(&who, event);
    }

    fn emit_of(&self, address: IpAddr, event: &Event<'_>) {
        let peer = SocketAddr::new(address, 0);
        self.emit_at_the_door(peer, SocketAddr::from(([0, 0, 0, 0], 0)), event);
    }

    /// What nobody can guess, to tie data connections to a session.
    pub(crate) fn new_tie(&self) -> Tie {
        let mut bytes = [0; 16];
        self.net.random(&mut bytes);
        Tie(bytes)
    }
}

impl Law for Shared {
    fn limits(&self, session: &Probe, direction: Option<Direction>) -> shape::Limits {
        let terms = self.terms();
        let limits = &terms.settings.limits;
        let mut law =
            shape::Limits { buckets: Vec::new(), stall_max: limits.stall_timeout, pace: None };
        let Some(direction) = direction else { return law };
        let Some((user, own)) = session.live.account() else { return law };
        let (speed, in_all, of_address, of_user, of_transfer) = match direction {
            Direction::Upload => (
                &self.upload,
                limits.upload,
                limits.address_upload,
                own.upload.unwrap_or(limits.user_upload),
                own.transfer_upload.unwrap_or(limits.transfer_upload),
            ),
            Direction::Download => (
                &self.download,
                limits.download,
                limits.address_download,
                own.download.unwrap_or(limits.user_download),
                own.transfer_download.unwrap_or(limits.transfer_download),
            ),
        };
        law.buckets.extend(bucket(of_transfer));
        law.buckets.extend(speed.by_user.of(user, of_user));
        law.buckets.extend(speed.by_address.of(session.peer.ip().into(), of_address));
        law.buckets.extend(speed.all.of((), in_all));
        // Where limits of ours may be what is slow, nothing need move.
        law.pace = pace(limits).filter(|_| law.buckets.is_empty());
        law
    }
}

fn pace(limits: &Limits) -> Option<Pace> {
    let rate = limits.transfer_min.bytes_per_second()?;
    let period = limits.transfer_min_period;
    let bytes = u128::from(rate) * period.as_millis() / 1000;
    Some(Pace { bytes: u64::try_from(bytes).unwrap_or(u64::MAX), period })
}

impl Speed {
    fn new() -> Self {
        Self { all: Buckets::new(), by_address: Buckets::new(), by_user: Buckets::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestSession;
    use crate::tls::tests::any_settings;

    /// A certificate that is renewed in the middle of a reload brings no old settings back.
    #[tokio::test]
    async fn a_renewed_certificate_undoes_no_settings_that_come_at_the_same_time() {
        let settings = Settings { tls: Some(any_settings()), ..Settings::default() };
        let shared = Arc::clone(&TestSession::with(settings.clone()).session.shared);
        for round in 0..200 {
            let greeting = round.to_string();
            std::thread::scope(|scope| {
                scope.spawn(|| shared.adopt_tls(any_settings()).unwrap());
                let terms = shared.terms();
                let next = Settings { greeting: greeting.clone(), ..settings.clone() };
                shared.adopt(next, Arc::clone(&terms.users), Arc::clone(&terms.stores)).unwrap();
            });
            assert_eq!(shared.terms().settings.greeting, greeting);
            assert!(shared.terms().tls.is_some());
        }
    }
}
