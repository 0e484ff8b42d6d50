//! State shared by all sessions, behind one `Arc`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use wharf_core::account::AccountLimits;
use wharf_core::event::{AccountFiles, ClientInfo, Direction, Event, Events};
use wharf_core::lock;
use wharf_core::storage::Stores;
use wharf_core::users::Users;
use wharf_proto::path::escaped;

use crate::admission::{Admission, ClientPrefix};
use crate::auth_throttle::{AttemptStart, AuthEvent, AuthThrottle, BanDecision};
use crate::blocking_pool::BlockingPool;
use crate::diagnostics::DataConnDiagnostics;
use crate::metrics::EngineMetrics;
use crate::names::CharsetMemory;
use crate::net::Net;
use crate::ports::Ports;
use crate::rate_limit::{self, Buckets, LimitSource, MinRate, bucket};
use crate::registry::{End, Registry, SessionHandle};
use crate::settings::{Limits, Settings, Tls};
use crate::tls::{Acceptor, BindingId};

pub(crate) struct Shared {
    config: RwLock<Arc<ConfigSnapshot>>,
    /// Held while a new configuration is derived from the current one and stored.
    config_lock: Mutex<()>,
    pub(crate) net: Arc<dyn Net>,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) ports: Arc<Ports>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) auth_throttle: Arc<AuthThrottle>,
    pub(crate) charset_memory: CharsetMemory,
    pub(crate) blocking_pool: BlockingPool,
    pub(crate) diagnostics: DataConnDiagnostics,
    /// The address that PASV announces to clients outside local networks. It can change while
    /// serving if it is given as a host name.
    public_address: Mutex<Option<Ipv4Addr>>,
    pub(crate) metrics: Arc<EngineMetrics>,
    upload: DirectionBuckets,
    download: DirectionBuckets,
}

/// The configuration in force. A session keeps the one from its start, except for logins.
pub(crate) struct ConfigSnapshot {
    pub(crate) settings: Arc<Settings>,
    pub(crate) users: Arc<dyn Users>,
    pub(crate) stores: Arc<dyn Stores>,
    pub(crate) tls: Option<Arc<Acceptor>>,
}

/// Reply to banned clients.
pub(crate) const BANNED: &str = "Your address is banned; try again later.";

/// The shared rate limits of one direction.
struct DirectionBuckets {
    all: Buckets<()>,
    ip_rates: Buckets<ClientPrefix>,
    user_rates: Buckets<String>,
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
            upload: DirectionBuckets::new(),
            download: DirectionBuckets::new(),
            auth_throttle: AuthThrottle::new(&settings.ban),
            charset_memory: CharsetMemory::default(),
            diagnostics: DataConnDiagnostics::default(),
            public_address: Mutex::new(settings.passive.public_address),
            config: RwLock::new(Arc::new(ConfigSnapshot {
                settings: Arc::new(settings),
                users,
                stores,
                tls,
            })),
            config_lock: Mutex::default(),
            blocking_pool: BlockingPool::new(Arc::clone(&net)),
            net,
            events,
            admission: Arc::default(),
            registry: Arc::default(),
            metrics: Arc::default(),
        })
    }

    /// The current configuration.
    pub(crate) fn config(&self) -> Arc<ConfigSnapshot> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the configuration. TLS sessions can still be resumed.
    pub(crate) fn adopt(
        &self,
        settings: Settings,
        users: Arc<dyn Users>,
        stores: Arc<dyn Stores>,
    ) -> Result<(), rustls::Error> {
        let _turn = self.config_lock();
        self.replace_config(settings, users, stores)
    }

    /// Serialises changes: a change starts from the result of the previous one.
    fn config_lock(&self) -> MutexGuard<'_, ()> {
        lock(&self.config_lock)
    }

    fn replace_config(
        &self,
        settings: Settings,
        users: Arc<dyn Users>,
        stores: Arc<dyn Stores>,
    ) -> Result<(), rustls::Error> {
        let before = self.config();
        let acceptor = |tls: &Tls| match &before.tls {
            Some(before) => before.with_settings(tls),
            None => Acceptor::new(tls),
        };
        let tls = settings.tls.as_ref().map(acceptor).transpose()?.map(Arc::new);
        self.ports.adopt(settings.passive.local_networks.clone(), tls.clone());
        self.auth_throttle.reconfigure(&settings.ban);
        self.set_public_address(settings.passive.public_address);
        let config = ConfigSnapshot { settings: Arc::new(settings), users, stores, tls };
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        self.registry.notify_config_change();
        Ok(())
    }

    /// The address that PASV announces to clients outside local networks.
    pub(crate) fn public_address(&self) -> Option<Ipv4Addr> {
        *lock(&self.public_address)
    }

    /// Sets it, for present sessions too.
    pub(crate) fn set_public_address(&self, address: Option<Ipv4Addr>) {
        *lock(&self.public_address) = address;
    }

    /// Replaces the TLS settings only.
    pub(crate) fn adopt_tls(&self, tls: Tls) -> Result<(), rustls::Error> {
        let _turn = self.config_lock();
        let config = self.config();
        let mut settings = Settings { tls: Some(tls), ..(*config.settings).clone() };
        // The host name may have been resolved again since.
        settings.passive.public_address = self.public_address();
        self.replace_config(settings, Arc::clone(&config.users), Arc::clone(&config.stores))
    }

    /// Replaces the limits of logged-in accounts for which `of` returns some.
    pub(crate) fn renew_limits(&self, of: impl Fn(&str) -> Option<AccountLimits>) {
        let mut is_changed = false;
        for handle in self.registry.sessions() {
            is_changed |= handle.status.update_limits(&of);
        }
        if is_changed {
            self.registry.notify_config_change();
        }
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.net.now().seconds
    }

    /// Rejects `peer` if it is banned, with the reply. Emits an event at most once a minute.
    pub(crate) fn check_ban(
        &self,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Result<(), &'static str> {
        let repeat_count = match self.auth_throttle.ban_decision(peer.ip(), self.now()) {
            BanDecision::Allowed => return Ok(()),
            BanDecision::Banned => None,
            BanDecision::BannedAndReported(count) => Some(count),
        };
        if let Some(count) = repeat_count {
            let reason = format!("{BANNED} Rejected connections since the last report: {count}.");
            self.emit_without_session(peer, local, &Event::ConnectionRejected { reason: &reason });
        }
        Err(BANNED)
    }

    /// Starts a login attempt.
    pub(crate) fn begin_attempt(&self, peer: IpAddr, user: &str) -> AttemptStart {
        let start = self.auth_throttle.begin(peer, user, self.now());
        self.report_auth_events();
        start
    }

    /// Emits events of bans and locked accounts, and ends sessions of banned clients. An automatic
    /// ban does not end logged-in sessions: another client behind the same address may have caused
    /// it.
    pub(crate) fn report_auth_events(&self) {
        self.report_auth_events_ending(true);
    }

    /// The same; `ends`: whether a manual ban also ends logged-in sessions.
    pub(crate) fn report_auth_events_ending(&self, ends: bool) {
        for event in self.auth_throttle.take_events() {
            match event {
                AuthEvent::Banned(ban) => {
                    let time = ban.until.map(|until| until.saturating_sub(ban.since));
                    let time = time.map(|time| Duration::from_secs(time.try_into().unwrap_or(0)));
                    let event = Event::BanAdded {
                        network: &ban.network.to_string(),
                        reason: &ban.reason,
                        time,
                        is_manual: ban.is_manual,
                    };
                    self.emit_of(ban.network.network(), &event);
                    for handle in self.registry.sessions() {
                        let ip = handle.peer.ip().to_canonical();
                        if !ban.network.contains(&ip)
                            || !self.auth_throttle.is_banned(ip, self.now())
                        {
                            continue;
                        }
                        if ban.is_manual && !ends && handle.status.has_user() {
                            continue;
                        }
                        if ban.is_manual {
                            handle.end(End::Now, BANNED);
                        } else if !handle.status.has_user() {
                            handle.end(End::AfterTransfer, BANNED);
                        }
                    }
                }
                AuthEvent::Lifted { network, reason } => {
                    let event = Event::BanRemoved { network: &network.to_string(), reason };
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

    /// Emits an event about a client without a session.
    pub(crate) fn emit_without_session(
        &self,
        peer: SocketAddr,
        local: SocketAddr,
        event: &Event<'_>,
    ) {
        let client = ClientInfo {
            session: 0,
            peer,
            local,
            user: None,
            is_tls: false,
            client: None,
            tree: AccountFiles::default(),
        };
        self.events.emit(&client, event);
    }

    fn emit_of(&self, address: IpAddr, event: &Event<'_>) {
        let peer = SocketAddr::new(address, 0);
        self.emit_without_session(peer, SocketAddr::from(([0, 0, 0, 0], 0)), event);
    }

    /// A random identifier that binds data connections to a session.
    pub(crate) fn new_binding_id(&self) -> BindingId {
        let mut bytes = [0; 16];
        self.net.random(&mut bytes);
        BindingId(bytes)
    }
}

impl LimitSource for Shared {
    fn limits(
        &self,
        session: &SessionHandle,
        direction: Option<Direction>,
    ) -> rate_limit::TransferLimits {
        let config = self.config();
        let limits = &config.settings.limits;
        let mut transfer_limits = rate_limit::TransferLimits {
            buckets: Vec::new(),
            transfer_stall_timeout: limits.transfer_stall_timeout,
            min_rate: None,
        };
        let Some(direction) = direction else { return transfer_limits };
        let Some((user, own)) = session.status.account() else { return transfer_limits };
        let (speed, total, per_address, per_account, per_transfer) = match direction {
            Direction::Upload => (
                &self.upload,
                limits.upload_rate,
                limits.ip_upload_rate,
                own.upload_rate.unwrap_or(limits.user_upload_rate),
                own.transfer_upload_rate.unwrap_or(limits.transfer_upload_rate),
            ),
            Direction::Download => (
                &self.download,
                limits.download_rate,
                limits.ip_download_rate,
                own.download_rate.unwrap_or(limits.user_download_rate),
                own.transfer_download_rate.unwrap_or(limits.transfer_download_rate),
            ),
        };
        transfer_limits.buckets.extend(bucket(per_transfer));
        transfer_limits.buckets.extend(speed.user_rates.of(user, per_account));
        transfer_limits.buckets.extend(speed.ip_rates.of(session.peer.ip().into(), per_address));
        transfer_limits.buckets.extend(speed.all.of((), total));
        // No minimum rate applies where a rate limit may be the reason that it is slow.
        transfer_limits.min_rate = min_rate(limits).filter(|_| transfer_limits.buckets.is_empty());
        transfer_limits
    }
}

fn min_rate(limits: &Limits) -> Option<MinRate> {
    let rate = limits.transfer_min_rate.bytes_per_second()?;
    let period = limits.transfer_min_rate_period;
    let bytes = u128::from(rate) * period.as_millis() / 1000;
    Some(MinRate { bytes: u64::try_from(bytes).unwrap_or(u64::MAX), period })
}

impl DirectionBuckets {
    fn new() -> Self {
        Self { all: Buckets::new(), ip_rates: Buckets::new(), user_rates: Buckets::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestSession;
    use crate::tls::tests::any_settings;

    /// A certificate renewed during a reload must not restore old settings.
    #[tokio::test]
    async fn a_certificate_renewal_keeps_concurrent_settings() {
        let settings = Settings { tls: Some(any_settings()), ..Settings::default() };
        let shared = Arc::clone(&TestSession::with(settings.clone()).session.shared);
        for round in 0..200 {
            let greeting = round.to_string();
            std::thread::scope(|scope| {
                scope.spawn(|| shared.adopt_tls(any_settings()).unwrap());
                let config = shared.config();
                let next = Settings { greeting: greeting.clone(), ..settings.clone() };
                shared.adopt(next, Arc::clone(&config.users), Arc::clone(&config.stores)).unwrap();
            });
            assert_eq!(shared.config().settings.greeting, greeting);
            assert!(shared.config().tls.is_some());
        }
    }
}
