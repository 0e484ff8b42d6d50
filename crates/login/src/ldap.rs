//! A directory: `slapd`, Active Directory, or what else speaks LDAP version 3.
//!
//! Either the entry of the name is searched for and its own DN bound to with the password
//! ([`Finding::Search`]), or the DN is made of the name ([`Finding::Template`]). One connection
//! serves one login: nothing of one can be left for the next.

mod ask;
mod words;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ldap3::LdapConnSettings;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout};
use wharf_core::async_trait;
use wharf_core::users::Attempt;
use zeroize::Zeroizing;

use crate::endpoint::{Endpoint, Scheme};
use crate::gate::Gate;
use crate::source::{Source, Stopped, Verdict};
use crate::tls::{self, RootsError};

pub use words::{DN_MARK, USER_MARK};

/// How long a server that did not answer is asked after the others only.
const AVOIDED: Duration = Duration::from_secs(30);

/// Everything about a directory.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its servers; the next one is asked when one does not answer. Not empty.
    pub servers: Vec<Endpoint>,
    /// Whether `ldap://` becomes TLS before anything is said (`StartTLS`, RFC 4511 §4.14).
    pub starts_tls: bool,
    /// The authorities to trust, as PEM; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// How the entry of a name is found.
    pub finding: Finding,
    /// The DN of a group that one must be in: named by `member`, `uniqueMember` or `memberUid`.
    pub group: Option<String>,
    /// The attribute with the name as the directory spells it.
    pub name_attribute: String,
    /// Attributes that say more of an account; empty: none does.
    pub attributes: Attributes,
    /// Logins at once, each with a connection.
    pub connections: NonZeroUsize,
    /// How long one login may take.
    pub time_max: Duration,
}

/// How the entry of a name is found.
#[derive(Clone, Debug)]
pub enum Finding {
    /// By a search.
    Search {
        /// Who searches: a DN and its password; none: anybody may.
        binder: Option<(String, Password)>,
        /// Below which entry.
        base: String,
        /// With [`USER_MARK`] for the name.
        filter: String,
    },
    /// By a DN with [`USER_MARK`] for the name.
    Template(String),
}

/// Attributes that say more of an account, by name.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    /// Its home.
    pub home: String,
    /// Its rights, as in a file of accounts.
    pub permissions: String,
    /// Its quota, as in a file of accounts.
    pub quota: String,
}

/// A password. `Debug` does not show it.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// From its text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Password(…)")
    }
}

/// A directory that proves passwords.
pub struct Ldap {
    settings: Settings,
    tls: Option<Arc<ClientConfig>>,
    gate: Gate,
    began: Instant,
    /// For each server, until when it comes last: milliseconds since `began`.
    avoided_until: Vec<AtomicU64>,
}

/// What came of asking one server.
enum Asked {
    Done(Verdict),
    /// It did not answer; another may.
    NoAnswer(String),
    /// It answered what no other would better: a mistake in what it is asked.
    Wrong(String),
}

impl Ldap {
    /// Reads the certificates to trust. Connects to nobody yet. Blocks.
    ///
    /// # Errors
    /// There is nobody to trust.
    pub fn new(settings: Settings) -> Result<Self, RootsError> {
        let is_tls = |server: &Endpoint| server.scheme == Scheme::Ldaps || settings.starts_tls;
        let has_tls = settings.servers.iter().any(is_tls);
        let tls = has_tls.then(|| tls::client(settings.ca_file.as_deref())).transpose()?;
        Ok(Self {
            gate: Gate::new(settings.connections, settings.time_max),
            avoided_until: settings.servers.iter().map(|_| AtomicU64::new(0)).collect(),
            began: Instant::now(),
            settings,
            tls,
        })
    }

    /// Asks one server after the other. Those that did not answer lately come last.
    async fn ask(&self, attempt: &Attempt<'_>, secret: &str) -> Result<Verdict, Stopped> {
        let now = self.millis();
        let servers = || self.settings.servers.iter().zip(&self.avoided_until);
        let is_avoided = |until: &AtomicU64| until.load(Ordering::Relaxed) > now;
        let first = servers().filter(|(_, until)| !is_avoided(until));
        let last = servers().filter(|(_, until)| is_avoided(until));
        let count = u32::try_from(self.settings.servers.len()).unwrap_or(u32::MAX).max(1);
        let share = self.gate.time_max() / count;
        let mut failures = Vec::new();
        for (server, until) in first.chain(last) {
            let asked = timeout(share, self.ask_one(server, attempt, secret)).await;
            let asked = asked.unwrap_or_else(|_| {
                Asked::NoAnswer(format!("no answer within {} s", share.as_secs_f32()))
            });
            match asked {
                Asked::Done(verdict) => {
                    until.store(0, Ordering::Relaxed);
                    return Ok(verdict);
                }
                Asked::Wrong(why) => return Err(Stopped::Broken(format!("{server}: {why}"))),
                Asked::NoAnswer(why) => {
                    let avoided = u64::try_from(AVOIDED.as_millis()).unwrap_or(u64::MAX);
                    until.store(self.millis().saturating_add(avoided), Ordering::Relaxed);
                    failures.push(format!("{server}: {why}"));
                }
            }
        }
        Err(Stopped::Broken(failures.join("; ")))
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn connection(&self, server: &Endpoint) -> LdapConnSettings {
        let is_plain = server.scheme == Scheme::Ldap;
        let settings = LdapConnSettings::new()
            .set_conn_timeout(self.gate.time_max())
            .set_starttls(is_plain && self.settings.starts_tls);
        match &self.tls {
            Some(tls) => settings.set_config(Arc::clone(tls)),
            None => settings,
        }
    }
}

#[async_trait]
impl Source for Ldap {
    fn name(&self) -> &'static str {
        "ldap"
    }

    async fn prove(&self, attempt: &Attempt<'_>) -> Result<Verdict, Stopped> {
        // A NUL ends the password in some directories, and what follows would not be checked.
        let secret = match std::str::from_utf8(attempt.secret) {
            Ok(text) if !text.contains('\0') => Zeroizing::new(text.to_owned()),
            _ => Zeroizing::default(),
        };
        self.gate.pass(Box::pin(self.ask(attempt, &secret))).await
    }
}
