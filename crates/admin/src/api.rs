//! Answers the requests of the API.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;
use wharf_core::event::Direction;
use wharf_server::session_status::{Activity, Payload, SessionView};
use wharf_server::settings::ListenTls;
use wharf_server::{BoundListener, EndWhen, Handle};

use crate::backend::AdminBackend;
use crate::model::{
    Kick, Kicked, Listener, NewBan, Passive, Problem, Rates, Session, SessionCounts,
    SessionDetails, State, Status,
};
use crate::view;

/// Default reason in the 421 reply when an administrator ends a session.
const KICK_REASON_DEFAULT: &str = "Disconnected by the administrator.";

/// One running server, as the API sees it. Clones share it.
#[derive(Clone)]
pub struct Api {
    pub(crate) handle: Handle,
    pub(crate) backend: Arc<dyn AdminBackend>,
    listeners: Arc<[Listener]>,
    started: (SystemTime, Instant),
}

impl Api {
    /// An API for a server that starts to serve now.
    #[expect(clippy::disallowed_methods, reason = "the API has no simulated time")]
    pub fn new(
        handle: Handle,
        listeners: &[BoundListener],
        backend: Arc<dyn AdminBackend>,
    ) -> Self {
        let listeners = listeners.iter().map(listener).collect();
        Self { handle, backend, listeners, started: (SystemTime::now(), Instant::now()) }
    }

    pub(crate) fn status(&self, version: &str) -> Status {
        let views = self.handle.views();
        let (started, since) = self.started;
        let is_stopping = self.backend.is_stopping();
        Status {
            version: version.to_owned(),
            pid: std::process::id(),
            state: if is_stopping { State::Stopping } else { State::Serving },
            started: view::timestamp(started, Duration::ZERO),
            uptime_seconds: since.elapsed().as_secs(),
            config: self.backend.config(),
            listeners: self.listeners.to_vec(),
            sessions: self.counts(&views),
            rates: rates(&views),
            totals: self.backend.totals(),
            passive: Passive {
                ports: self.backend.passive_ports(),
                in_use: u64::try_from(self.handle.passive_ports_in_use()).unwrap_or_default(),
                failures: self.backend.passive_failures(),
            },
            bans: u64::try_from(self.backend.bans().len()).unwrap_or_default(),
            certificate: self.backend.certificate(),
            reload: self.backend.last_reload(),
            warnings: self.backend.warnings(),
            sandbox_folders: self.backend.sandbox_folders(),
        }
    }

    fn counts(&self, views: &[SessionView]) -> SessionCounts {
        let count = |is: &dyn Fn(&&SessionView) -> bool| {
            u64::try_from(views.iter().filter(is).count()).unwrap_or_default()
        };
        SessionCounts {
            total: count(&|_| true),
            logged_in: count(&|view| view.user.is_some()),
            transferring: count(&|view| direction(view).is_some()),
            connections_max: self.backend.connections_max(),
        }
    }

    pub(crate) fn sessions(&self) -> Vec<Session> {
        let now = SystemTime::now();
        self.handle.views().iter().map(|view| view::session(view, now)).collect()
    }

    pub(crate) fn session(&self, id: u64) -> Result<SessionDetails, Problem> {
        let (session, history) = self.handle.view(id).ok_or_else(|| unknown_session(id))?;
        let now = SystemTime::now();
        Ok(SessionDetails {
            session: view::session(&session, now),
            history: history.iter().map(|entry| view::command_log_entry(entry, now)).collect(),
        })
    }

    /// Ends the selected sessions. If an id or a network is invalid, no session is ended.
    pub(crate) async fn kick(&self, kick: Kick) -> Result<Kicked, Problem> {
        let networks = kick
            .addresses
            .iter()
            .map(|text| network(text).ok_or_else(|| invalid_network(text)))
            .collect::<Result<Vec<_>, _>>()?;
        let views = self.handle.views();
        let is_here = |id: &u64| views.iter().any(|view| view.number == *id);
        if let Some(id) = kick.sessions.iter().find(|id| !is_here(id)) {
            return Err(unknown_session(*id));
        }
        let is_meant = |view: &&SessionView| {
            kick.all
                || kick.sessions.contains(&view.number)
                || view.user.as_ref().is_some_and(|user| kick.users.contains(user))
                || networks.iter().any(|network| network.contains(&plain(view.peer.ip())))
        };
        let mut meant: Vec<_> = views.iter().filter(is_meant).collect();
        let reason = kick.reason.as_deref().unwrap_or(KICK_REASON_DEFAULT);
        let mut kicked = Kicked::default();
        if let Some(seconds) = kick.ban_seconds {
            self.skip_exempt(&mut meant, &mut kicked);
            let addresses: BTreeSet<IpAddr> =
                meant.iter().map(|view| plain(view.peer.ip())).collect();
            for address in addresses {
                let network = address.to_string();
                let (duration_seconds, reason) = (Some(seconds), kick.reason.clone());
                let ban = NewBan { network, duration_seconds, reason, kick: false };
                kicked.banned.push(self.backend.ban(ban).await?.network);
            }
        }
        let when = if kick.after_transfer { EndWhen::AfterTransfer } else { EndWhen::Now };
        for view in meant {
            if self.handle.end_session(view.number, when, reason) {
                kicked.sessions.push(view.number);
            }
        }
        Ok(kicked)
    }

    /// Leaves out sessions of addresses that are never banned. If that would leave none, the ban is
    /// attempted, and rejected with the setting that exempts them.
    fn skip_exempt(&self, meant: &mut Vec<&SessionView>, kicked: &mut Kicked) {
        let is_exempt = |view: &&SessionView| self.backend.is_never_banned(plain(view.peer.ip()));
        if meant.iter().all(is_exempt) {
            return;
        }
        let addresses = meant.iter().filter(|view| is_exempt(view)).map(|view| view.peer.ip());
        let exempt: BTreeSet<IpAddr> = addresses.map(plain).collect();
        kicked.exempt = exempt.iter().map(ToString::to_string).collect();
        meant.retain(|view| !is_exempt(view));
    }
}

/// The direction of a running file transfer.
fn direction(view: &SessionView) -> Option<Direction> {
    match &view.activity {
        Activity::Transfer(transfer) => match transfer.what {
            Payload::File(direction, _) => Some(direction),
            Payload::Listing => None,
        },
        _ => None,
    }
}

fn rates(views: &[SessionView]) -> Rates {
    let sum = |wanted: Direction| {
        views
            .iter()
            .filter(|view| direction(view) == Some(wanted))
            .filter_map(|view| match &view.activity {
                Activity::Transfer(transfer) => Some(transfer.rate),
                _ => None,
            })
            .sum()
    };
    Rates { upload: sum(Direction::Upload), download: sum(Direction::Download) }
}

fn listener(listener: &BoundListener) -> Listener {
    let tls = match listener.tls {
        ListenTls::Off => "off",
        ListenTls::Explicit => "explicit",
        ListenTls::Implicit => "implicit",
    };
    Listener { address: listener.address.to_string(), tls: tls.to_owned() }
}

/// A single address is a network with one address.
fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(|ip| plain(ip).into()))
}

/// Converts IPv4-mapped IPv6 addresses to IPv4.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn unknown_session(id: u64) -> Problem {
    let error = format!("unknown session {id}");
    Problem { error, hint: Some("list sessions:  wharf who".to_owned()) }
}

fn invalid_network(text: &str) -> Problem {
    let error = format!("invalid address or network `{}`", text.escape_debug());
    Problem { error, hint: Some("examples: 192.0.2.7, 192.0.2.0/24 or 2001:db8::/64".to_owned()) }
}
