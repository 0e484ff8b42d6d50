//! Selection of sessions, and the table of sessions.

use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;
use wharf_admin::model::{Kicked, Session, SessionState};
use wharf_config::outcome::Failure;
use wharf_config::table::columns;

use super::text::{clock, progress, shortened, speed};
use crate::cli::running_server::{SessionFilterArgs, StateName};

/// Width of a path, so that most lines fit into 80 columns.
const PATH_LETTERS_MAX: usize = 24;

/// A filter of sessions.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionFilter {
    user: Option<String>,
    network: Option<IpNet>,
    state: Option<SessionState>,
}

impl SessionFilter {
    /// The filter given by the options.
    pub(crate) fn of(filter: &SessionFilterArgs) -> Result<Self, Failure> {
        let network = |text: &String| {
            let one = || text.parse::<IpAddr>().ok().map(|ip| IpNet::from(ip.to_canonical()));
            text.parse().ok().or_else(one).ok_or_else(|| {
                Failure::usage(format!("invalid --ip `{text}`: expected an address or a network"))
                    .hint("such as 192.0.2.7 or 192.0.2.0/24")
            })
        };
        Ok(Self {
            user: filter.user.clone(),
            network: filter.ip.as_ref().map(network).transpose()?,
            state: filter.state.map(state),
        })
    }

    /// Whether a session matches.
    pub(crate) fn fits(&self, session: &Session) -> bool {
        let is_near = |network: &IpNet| {
            session.ip.parse::<IpAddr>().is_ok_and(|address| network.contains(&address))
        };
        self.user.as_ref().is_none_or(|user| session.user.as_ref() == Some(user))
            && self.network.as_ref().is_none_or(is_near)
            && self.state.is_none_or(|state| session.state == state)
    }
}

fn state(name: StateName) -> SessionState {
    match name {
        StateName::Auth => SessionState::Auth,
        StateName::Idle => SessionState::Idle,
        StateName::Command => SessionState::Command,
        StateName::List => SessionState::List,
        StateName::Upload => SessionState::Upload,
        StateName::Download => SessionState::Download,
    }
}

/// The state of a session in tables.
pub(crate) fn word(session: &Session) -> &str {
    match session.state {
        SessionState::Auth => "auth",
        SessionState::Idle => "idle",
        SessionState::Command => session.command.as_deref().unwrap_or("command"),
        SessionState::List => "list",
        SessionState::Upload => "upload",
        SessionState::Download => "download",
    }
}

/// Sessions as a table.
pub(crate) fn table(sessions: &[&Session], is_wide: bool) -> String {
    if sessions.is_empty() {
        return "no sessions\n".to_owned();
    }
    let mut head = vec!["ID", "USER", "ADDRESS", "TLS", "STATE", "DONE", "SPEED", "FOR", "PATH"];
    if is_wide {
        head.extend(["AVERAGE", "SINCE", "CHARSET", "CLIENT"]);
    }
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    rows.extend(sessions.iter().map(|session| row(session, is_wide)));
    columns(&rows, &[true, false, false, false, false, true, true, true, false, true])
}

fn row(session: &Session, is_wide: bool) -> Vec<String> {
    let path = session.path.as_deref().unwrap_or_default();
    let mut row = vec![
        session.session_id.to_string(),
        session.user.clone().unwrap_or_else(|| "-".to_owned()),
        session.ip.clone(),
        tls(session).to_owned(),
        word(session).to_owned(),
        session.bytes.map(|bytes| progress(bytes, session.size)).unwrap_or_default(),
        session.rate.map(speed).unwrap_or_default(),
        clock(session.transfer_duration_seconds.unwrap_or(session.idle_seconds)),
        if is_wide { path.to_owned() } else { shortened(path, PATH_LETTERS_MAX) },
    ];
    if is_wide {
        row.push(session.average_rate.map(speed).unwrap_or_default());
        row.push(session.since.clone());
        row.push(session.charset.clone());
        row.push(session.client.clone().unwrap_or_default());
    }
    row
}

/// As in `1.3`; `-` without.
pub(crate) fn tls(session: &Session) -> &str {
    session.tls.as_deref().map_or("-", |version| version.strip_prefix("TLSv").unwrap_or(version))
}

/// The result of `wharf kick`.
pub(super) fn kicked(kicked: &Kicked, is_after_transfer: bool) -> String {
    let numbers: Vec<_> = kicked.sessions.iter().map(u64::to_string).collect();
    let mut text = match (numbers.len(), is_after_transfer) {
        (0, _) => String::new(),
        (1, false) => format!("disconnected session {}\n", numbers.concat()),
        (_, false) => format!("disconnected sessions {}\n", numbers.join(", ")),
        (1, true) => {
            format!("session {} will be disconnected after its transfer\n", numbers.concat())
        }
        (_, true) => {
            format!("sessions {} will be disconnected after their transfers\n", numbers.join(", "))
        }
    };
    for address in &kicked.banned {
        let _ = writeln!(text, "banned {address}");
    }
    for address in &kicked.exempt {
        let _ = writeln!(text, "did not ban {address}: it is in ban.allow");
    }
    text
}

#[cfg(test)]
mod tests {
    use wharf_testkit::assert_same;

    use super::*;

    pub(crate) fn session(id: u64, state: SessionState) -> Session {
        Session {
            session_id: id,
            user: (state != SessionState::Auth).then(|| "maria".to_owned()),
            ip: "192.168.1.33".into(),
            port: 50_000,
            local: "192.168.1.20:21".into(),
            tls: Some("TLSv1.3".into()),
            client: Some("FileZilla 3.66".into()),
            charset: "UTF-8".into(),
            state,
            command: None,
            path: None,
            bytes: None,
            size: None,
            rate: None,
            average_rate: None,
            transfer_duration_seconds: None,
            since: "2026-11-22T15:07:41Z".into(),
            duration_seconds: 100,
            idle_seconds: 4,
        }
    }

    fn sessions() -> Vec<Session> {
        let down = Session {
            command: Some("RETR".into()),
            path: Some("/video/holiday/a-very-long-name.mkv".into()),
            bytes: Some(1_288_490_188),
            size: Some(2_000_000_000),
            rate: Some(43_000_000),
            average_rate: Some(41_000_000),
            transfer_duration_seconds: Some(31),
            ..session(41, SessionState::Download)
        };
        let up = Session {
            user: Some("cam-07".into()),
            tls: None,
            path: Some("/2026/1507.jpg".into()),
            bytes: Some(317_440),
            rate: Some(943_718),
            transfer_duration_seconds: Some(1),
            ..session(42, SessionState::Upload)
        };
        vec![down, up, session(43, SessionState::Auth), session(7, SessionState::Idle)]
    }

    #[test]
    fn the_tables_are_up_to_date() {
        let all = sessions();
        let all: Vec<_> = all.iter().collect();
        let text = format!("{}\n{}", table(&all, false), table(&all, true));
        assert_same("crates/wharf/snapshots/who.txt", &text);
        assert_eq!(table(&[], false), "no sessions\n");
    }

    #[test]
    fn sessions_are_chosen_by_all_that_is_named() {
        let all = sessions();
        let numbers = |user: Option<&str>, ip: Option<&str>, state: Option<StateName>| {
            let filter = SessionFilterArgs {
                user: user.map(str::to_owned),
                ip: ip.map(str::to_owned),
                state,
            };
            let filter_by = SessionFilter::of(&filter).unwrap();
            all.iter()
                .filter(|one| filter_by.fits(one))
                .map(|one| one.session_id)
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(None, None, None), [41, 42, 43, 7]);
        assert_eq!(numbers(Some("maria"), None, None), [41, 7]);
        assert_eq!(numbers(None, Some("192.168.1.0/24"), Some(StateName::Upload)), [42]);
        assert!(numbers(None, Some("10.0.0.1"), None).is_empty());
        let wrong =
            SessionFilterArgs { ip: Some("192.168".into()), ..SessionFilterArgs::default() };
        assert!(SessionFilter::of(&wrong).unwrap_err().message.contains("expected an address"));
    }
}
