//! The answers.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;
use wharf_core::event::Direction;
use wharf_server::live::{Doing, Moving, SessionView};
use wharf_server::settings::ListenTls;
use wharf_server::{BoundListener, EndWhen, Handle};

use crate::model::{
    Kick, Kicked, Listener, NewBan, Passive, Problem, Rates, Session, SessionCounts,
    SessionDetails, State, Status,
};
use crate::operator::Operator;
use crate::view;

/// What a client hears that an operator sends away without a word of his own.
const KICKED: &str = "The operator ended the session.";

/// One running server, as the API sees it. Clones see the same.
#[derive(Clone)]
pub struct Api {
    pub(crate) handle: Handle,
    pub(crate) operator: Arc<dyn Operator>,
    listeners: Arc<[Listener]>,
    started: (SystemTime, Instant),
}

impl Api {
    /// An API for a server that begins to serve now.
    #[expect(clippy::disallowed_methods, reason = "the API has no simulated time")]
    pub fn new(handle: Handle, listeners: &[BoundListener], operator: Arc<dyn Operator>) -> Self {
        let listeners = listeners.iter().map(listener).collect();
        Self { handle, operator, listeners, started: (SystemTime::now(), Instant::now()) }
    }

    pub(crate) fn status(&self, version: &str) -> Status {
        let views = self.handle.views();
        let (started, since) = self.started;
        let is_stopping = self.operator.is_stopping();
        Status {
            version: version.to_owned(),
            pid: std::process::id(),
            state: if is_stopping { State::Draining } else { State::Serving },
            started: view::stamp(started, Duration::ZERO),
            seconds: since.elapsed().as_secs(),
            config: self.operator.config(),
            listeners: self.listeners.to_vec(),
            sessions: self.counts(&views),
            rates: rates(&views),
            totals: self.operator.totals(),
            passive: Passive {
                ports: self.operator.passive_ports(),
                in_use: u64::try_from(self.handle.passive_ports_in_use()).unwrap_or_default(),
                failures: self.operator.passive_failures(),
            },
            bans: u64::try_from(self.operator.bans().len()).unwrap_or_default(),
            certificate: self.operator.certificate(),
            reload: self.operator.last_reload(),
            warnings: self.operator.warnings(),
            home_folders: self.operator.home_folders(),
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
            max: self.operator.sessions_max(),
        }
    }

    pub(crate) fn sessions(&self) -> Vec<Session> {
        let now = SystemTime::now();
        self.handle.views().iter().map(|view| view::session(view, now)).collect()
    }

    pub(crate) fn session(&self, id: u64) -> Result<SessionDetails, Problem> {
        let (session, history) = self.handle.view(id).ok_or_else(|| no_session(id))?;
        let now = SystemTime::now();
        Ok(SessionDetails {
            session: view::session(&session, now),
            history: history.iter().map(|said| view::said(said, now)).collect(),
        })
    }

    /// Ends what was named: everything, or, if a number or a network is wrong, nothing.
    pub(crate) async fn kick(&self, kick: Kick) -> Result<Kicked, Problem> {
        let networks = kick
            .addresses
            .iter()
            .map(|text| network(text).ok_or_else(|| no_network(text)))
            .collect::<Result<Vec<_>, _>>()?;
        let views = self.handle.views();
        let is_here = |id: &u64| views.iter().any(|view| view.number == *id);
        if let Some(id) = kick.sessions.iter().find(|id| !is_here(id)) {
            return Err(no_session(*id));
        }
        let is_meant = |view: &&SessionView| {
            kick.all
                || kick.sessions.contains(&view.number)
                || view.user.as_ref().is_some_and(|user| kick.users.contains(user))
                || networks.iter().any(|network| network.contains(&plain(view.peer.ip())))
        };
        let mut meant: Vec<_> = views.iter().filter(is_meant).collect();
        let reason = kick.reason.as_deref().unwrap_or(KICKED);
        let mut kicked = Kicked::default();
        if let Some(seconds) = kick.ban_seconds {
            self.spare_allowed(&mut meant, &mut kicked);
            let addresses: BTreeSet<IpAddr> =
                meant.iter().map(|view| plain(view.peer.ip())).collect();
            for address in addresses {
                let address = address.to_string();
                let reason = kick.reason.clone();
                let ban = NewBan { address, seconds: Some(seconds), reason, kick: false };
                kicked.banned.push(self.operator.ban(ban).await?.address);
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

    /// Leaves out sessions of addresses that are never banned. Where all are of such, the ban is
    /// refused with the setting that says so.
    fn spare_allowed(&self, meant: &mut Vec<&SessionView>, kicked: &mut Kicked) {
        let is_spared = |view: &&SessionView| self.operator.is_never_banned(plain(view.peer.ip()));
        if meant.iter().all(is_spared) {
            return;
        }
        let addresses = meant.iter().filter(|view| is_spared(view)).map(|view| view.peer.ip());
        let spared: BTreeSet<IpAddr> = addresses.map(plain).collect();
        kicked.spared = spared.iter().map(ToString::to_string).collect();
        meant.retain(|view| !is_spared(view));
    }
}

/// The direction of a file that moves.
fn direction(view: &SessionView) -> Option<Direction> {
    match &view.doing {
        Doing::Transfer(transfer) => match transfer.what {
            Moving::File(direction, _) => Some(direction),
            Moving::Listing => None,
        },
        _ => None,
    }
}

fn rates(views: &[SessionView]) -> Rates {
    let sum = |wanted: Direction| {
        views
            .iter()
            .filter(|view| direction(view) == Some(wanted))
            .filter_map(|view| match &view.doing {
                Doing::Transfer(transfer) => Some(transfer.rate),
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

/// An address alone is a network of one.
fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(|ip| plain(ip).into()))
}

/// IPv4 addresses as such, also where they came in over IPv6.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn no_session(id: u64) -> Problem {
    let error = format!("there is no session {id}");
    Problem { error, hint: Some("which there are:  wharf who".to_owned()) }
}

fn no_network(text: &str) -> Problem {
    let error = format!("`{}` is neither an address nor a network", text.escape_debug());
    Problem { error, hint: Some("such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/64".to_owned()) }
}
