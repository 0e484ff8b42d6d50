//! The directory asked: one server after the other.

mod ask;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ldap3::LdapConnSettings;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout};
use wharf_core::async_trait;
use wharf_core::users::Attempt;
use zeroize::Zeroizing;

use super::Settings;
use crate::endpoint::{Endpoint, Scheme};
use crate::gate::Gate;
use crate::source::{OpenError, Source, Stopped, Verdict};
use crate::tls;

/// How long a server that did not answer is asked after the others only.
const AVOIDED: Duration = Duration::from_secs(30);

/// Reads the certificates to trust. Connects to nobody yet. Blocks.
///
/// # Errors
/// There is nobody to trust.
pub fn open(settings: Settings) -> Result<Arc<dyn Source>, OpenError> {
    Ok(Arc::new(Ldap::new(settings)?))
}

/// A directory that proves passwords.
struct Ldap {
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
    fn new(settings: Settings) -> Result<Self, OpenError> {
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
