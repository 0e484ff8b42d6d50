//! The status of a session for the administrator: account, activity and command log.

mod command_log;

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;
use wharf_core::account::AccountLimits;
use wharf_core::event::Direction;
use wharf_core::lock;
use wharf_proto::path::VPath;
use wharf_proto::reply::Code;

use self::command_log::{CommandLog, LoggedCommand};

/// A snapshot of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Its number, unique within the process, starting at 1.
    pub number: u64,
    /// The client's end of the control connection.
    pub peer: SocketAddr,
    /// The server's end of it.
    pub local: SocketAddr,
    /// The account, once logged in.
    pub user: Option<String>,
    /// The version of TLS on the control connection, as in `TLSv1.3`.
    pub tls: Option<&'static str>,
    /// The client name (CLNT), with control characters escaped.
    pub client: Option<String>,
    /// The character set in which names are sent, as in `UTF-8` or `GBK`.
    pub charset: &'static str,
    /// Time since the client connected.
    pub duration: Duration,
    /// Time since the last command.
    pub idle: Duration,
    /// Its activity.
    pub activity: Activity,
}

/// The activity of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Not logged in yet.
    LoggingIn,
    /// Nothing.
    Idle,
    /// A command runs, without a data connection.
    Command(&'static str),
    /// A transfer, from 150 to its last reply.
    Transfer(TransferView),
}

/// A snapshot of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferView {
    /// The command, as in `RETR`.
    pub verb: &'static str,
    /// The data that is transferred.
    pub what: Payload,
    /// Bytes moved, before TLS.
    pub moved: u64,
    /// Total bytes, if known.
    pub size: Option<u64>,
    /// Time since it began.
    pub duration: Duration,
    /// Bytes per second, over about the last second.
    pub rate: u64,
}

/// What moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A file.
    File(Direction, VPath),
    /// A listing.
    Listing,
}

/// A command and its reply code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLogEntry {
    /// Time since then.
    pub ago: Duration,
    /// The first bytes of the line; of a command with a secret, only the verb.
    pub line: Vec<u8>,
    /// The reply code.
    pub code: Code,
}

/// The shared status of a session.
#[derive(Debug)]
pub(crate) struct SessionStatus(Mutex<StatusFields>);

#[derive(Debug)]
struct StatusFields {
    local: SocketAddr,
    user: Option<String>,
    /// The limits of the account, while logged in; `None` if it has none of its own. Boxed: most
    /// accounts have none.
    limits: Option<Box<AccountLimits>>,
    tls: Option<&'static str>,
    client: Option<String>,
    charset: &'static str,
    since: Instant,
    last_command_at: Instant,
    verb: Option<&'static str>,
    /// Boxed: idle sessions have none.
    transfer: Option<Box<CurrentTransfer>>,
    command_log: CommandLog,
}

#[derive(Debug)]
struct CurrentTransfer {
    what: Payload,
    size: Option<u64>,
    since: Instant,
    /// When the rate was last measured, and how much had moved then.
    measured: (Instant, u64),
    rate: u64,
}

/// Limits to store: none if the account has none of its own.
fn own(limits: AccountLimits) -> Option<Box<AccountLimits>> {
    (limits != AccountLimits::default()).then(|| Box::new(limits))
}

impl SessionStatus {
    pub(crate) fn new(local: SocketAddr) -> Self {
        let now = Instant::now();
        Self(Mutex::new(StatusFields {
            local,
            user: None,
            limits: None,
            tls: None,
            client: None,
            charset: "UTF-8",
            since: now,
            last_command_at: now,
            verb: None,
            transfer: None,
            command_log: CommandLog::default(),
        }))
    }

    pub(crate) fn logged_in(&self, user: &str, limits: AccountLimits) {
        let mut facts = self.lock();
        facts.user = Some(user.to_owned());
        facts.limits = own(limits);
    }

    /// The account and its limits, if logged in.
    pub(crate) fn account(&self) -> Option<(String, AccountLimits)> {
        let facts = self.lock();
        let limits = || facts.limits.as_deref().cloned().unwrap_or_default();
        facts.user.clone().map(|user| (user, limits()))
    }

    /// Replaces the limits of the logged-in account, if `of` returns some. Returns whether they
    /// differ.
    pub(crate) fn update_limits(&self, of: impl Fn(&str) -> Option<AccountLimits>) -> bool {
        let mut facts = self.lock();
        let Some(limits) = facts.user.as_deref().and_then(of) else { return false };
        let limits = own(limits);
        let differ = facts.limits != limits;
        facts.limits = limits;
        differ
    }

    /// The account has logged out.
    pub(crate) fn logged_out(&self) {
        self.lock().user = None;
    }

    pub(crate) fn is_account(&self, user: &str) -> bool {
        self.lock().user.as_deref() == Some(user)
    }

    pub(crate) fn has_user(&self) -> bool {
        self.lock().user.is_some()
    }

    pub(crate) fn secured(&self, version: &'static str) {
        let mut facts = self.lock();
        // A login from before TLS began does not count (RFC 4217 §4).
        facts.user = None;
        facts.tls = Some(version);
    }

    pub(crate) fn set_client(&self, name: &str) {
        self.lock().client = Some(name.to_owned());
    }

    /// Records that a command starts. Returns the time.
    pub(crate) fn command_started(&self, verb: &'static str) -> Instant {
        let mut facts = self.lock();
        facts.verb = Some(verb);
        facts.last_command_at = Instant::now();
        facts.last_command_at
    }

    /// Records an answered command. `line` must not contain a secret. Returns the time.
    pub(crate) fn command_answered(
        &self,
        line: &[u8],
        code: Code,
        charset: &'static str,
    ) -> Instant {
        let mut facts = self.lock();
        let at = Instant::now();
        if facts.transfer.is_none() {
            facts.verb = None;
        }
        facts.charset = charset;
        facts.last_command_at = at;
        let since = at.duration_since(facts.since);
        facts.command_log.push(since, line, code);
        at
    }

    /// Records that a transfer begins; `size` is the total in bytes, if known.
    pub(crate) fn transfer_started(&self, what: Payload, size: Option<u64>) {
        let since = Instant::now();
        let transfer = CurrentTransfer { what, size, since, measured: (since, 0), rate: 0 };
        self.lock().transfer = Some(Box::new(transfer));
    }

    /// Records that the transfer has ended.
    pub(crate) fn transfer_ended(&self) {
        let mut facts = self.lock();
        facts.transfer = None;
        facts.verb = None;
    }

    /// Measures the rate of the running transfer by the bytes moved so far.
    pub(crate) fn measure(&self, moved: u64) {
        if let Some(transfer) = &mut self.lock().transfer {
            let now = Instant::now();
            let (then, before) = transfer.measured;
            transfer.rate = per_second(moved.saturating_sub(before), now.duration_since(then));
            transfer.measured = (now, moved);
        }
    }

    pub(crate) fn view(&self, number: u64, peer: SocketAddr, moved: u64) -> SessionView {
        let facts = self.lock();
        let now = Instant::now();
        let activity = match (&facts.transfer, facts.verb) {
            (Some(transfer), verb) => Activity::Transfer(TransferView {
                verb: verb.unwrap_or_default(),
                what: transfer.what.clone(),
                moved,
                size: transfer.size,
                duration: now.duration_since(transfer.since),
                rate: transfer.rate_or_average(now, moved),
            }),
            (None, Some(verb)) if facts.user.is_some() => Activity::Command(verb),
            (None, _) if facts.user.is_none() => Activity::LoggingIn,
            (None, _) => Activity::Idle,
        };
        SessionView {
            number,
            peer,
            local: facts.local,
            user: facts.user.clone(),
            tls: facts.tls,
            client: facts.client.clone(),
            charset: facts.charset,
            duration: now.duration_since(facts.since),
            idle: now.duration_since(facts.last_command_at),
            activity,
        }
    }

    /// The command log, the oldest entry first.
    pub(crate) fn history(&self) -> Vec<CommandLogEntry> {
        let facts = self.lock();
        let passed = facts.since.elapsed();
        let view = |entry: LoggedCommand| CommandLogEntry {
            ago: passed.saturating_sub(entry.at),
            line: entry.line,
            code: entry.code,
        };
        facts.command_log.entries().into_iter().map(view).collect()
    }

    fn lock(&self) -> MutexGuard<'_, StatusFields> {
        lock(&self.0)
    }
}

impl CurrentTransfer {
    /// The average, if the rate was not measured yet.
    fn rate_or_average(&self, now: Instant, moved: u64) -> u64 {
        if self.measured.0 == self.since {
            per_second(moved, now.duration_since(self.since))
        } else {
            self.rate
        }
    }
}

fn per_second(bytes: u64, time: Duration) -> u64 {
    let millis = time.as_millis().max(1);
    u64::try_from(u128::from(bytes) * 1000 / millis).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> SessionStatus {
        SessionStatus::new("192.0.2.1:21".parse().unwrap())
    }

    fn view(status: &SessionStatus, moved: u64) -> SessionView {
        status.view(1, "192.0.2.2:5000".parse().unwrap(), moved)
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_session_does_is_seen_as_it_changes() {
        let status = status();
        assert_eq!(view(&status, 0).activity, Activity::LoggingIn);
        status.logged_in("anna", AccountLimits::default());
        assert_eq!(view(&status, 0).activity, Activity::Idle);
        status.command_started("DELE");
        assert_eq!(view(&status, 0).activity, Activity::Command("DELE"));
        status.command_answered(b"DELE a", Code::FILE_DONE, "GBK");
        assert_eq!((view(&status, 0).activity, view(&status, 0).charset), (Activity::Idle, "GBK"));
        status.command_started("LIST");
        status.transfer_started(Payload::Listing, None);
        status.command_answered(b"NOOP", Code::OK, "GBK");
        let Activity::Transfer(transfer) = view(&status, 7).activity else { panic!("it lists") };
        assert_eq!((transfer.verb, transfer.moved), ("LIST", 7));
        status.transfer_ended();
        assert_eq!(view(&status, 7).activity, Activity::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_that_of_the_last_second() {
        let status = status();
        status.transfer_started(Payload::Listing, Some(10_000));
        let rate = |moved| match view(&status, moved).activity {
            Activity::Transfer(transfer) => transfer.rate,
            other => panic!("{other:?}"),
        };
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(rate(1000), 500);
        status.measure(1000);
        tokio::time::advance(Duration::from_secs(1)).await;
        status.measure(5000);
        assert_eq!(rate(5000), 4000);
    }
}
