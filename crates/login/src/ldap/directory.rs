//! The LDAP client: tries one server after the other.

mod escape;
mod query;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ldap3::LdapConnSettings;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout};
use wharf_core::async_trait;
use wharf_core::users::Attempt;
use zeroize::Zeroizing;

use super::LdapSettings;
use crate::endpoint::{Endpoint, Scheme};
use crate::limit::ConcurrencyLimit;
use crate::source::{AuthBackend, AuthOutcome, AuthUnavailable, SourceOpenError};
use crate::tls;

/// How long a server that did not respond is tried only after the others.
const AVOID_TIME: Duration = Duration::from_secs(30);

/// Reads the trusted certificates. Does not connect yet. Blocks.
///
/// # Errors
/// There are no trusted certificates.
pub fn open(settings: LdapSettings) -> Result<Arc<dyn AuthBackend>, SourceOpenError> {
    Ok(Arc::new(Ldap::new(settings)?))
}

/// A directory that authenticates users.
struct Ldap {
    settings: LdapSettings,
    tls: Option<Arc<ClientConfig>>,
    limit: ConcurrencyLimit,
    began: Instant,
    /// For each server, until when it is tried last: milliseconds since `began`.
    avoided_until: Vec<AtomicU64>,
}

/// The result of one server.
enum ServerReply {
    Outcome(AuthOutcome),
    /// It did not respond; another server may.
    NoAnswer(String),
    /// A failure that other servers would repeat, such as a wrong setting.
    Error(String),
}

impl Ldap {
    fn new(settings: LdapSettings) -> Result<Self, SourceOpenError> {
        let is_tls = |server: &Endpoint| server.scheme == Scheme::Ldaps || settings.starts_tls;
        let has_tls = settings.servers.iter().any(is_tls);
        let tls = has_tls.then(|| tls::client(settings.ca_file.as_deref())).transpose()?;
        Ok(Self {
            limit: ConcurrencyLimit::new(settings.connections, settings.time_max),
            avoided_until: settings.servers.iter().map(|_| AtomicU64::new(0)).collect(),
            began: Instant::now(),
            settings,
            tls,
        })
    }

    /// Tries one server after the other. Those that did not respond recently are tried last.
    async fn query(
        &self,
        attempt: &Attempt<'_>,
        secret: &str,
    ) -> Result<AuthOutcome, AuthUnavailable> {
        let now = self.millis();
        let servers = || self.settings.servers.iter().zip(&self.avoided_until);
        let is_avoided = |until: &AtomicU64| until.load(Ordering::Relaxed) > now;
        let first = servers().filter(|(_, until)| !is_avoided(until));
        let last = servers().filter(|(_, until)| is_avoided(until));
        let count = u32::try_from(self.settings.servers.len()).unwrap_or(u32::MAX).max(1);
        let share = self.limit.time_max() / count;
        let mut failures = Vec::new();
        for (server, until) in first.chain(last) {
            let result = timeout(share, self.try_server(server, attempt, secret)).await;
            let result = result.unwrap_or_else(|_| {
                ServerReply::NoAnswer(format!("no response within {} s", share.as_secs_f32()))
            });
            match result {
                ServerReply::Outcome(outcome) => {
                    until.store(0, Ordering::Relaxed);
                    return Ok(outcome);
                }
                ServerReply::Error(why) => {
                    return Err(AuthUnavailable::Broken(format!("{server}: {why}")));
                }
                ServerReply::NoAnswer(why) => {
                    let avoided = u64::try_from(AVOID_TIME.as_millis()).unwrap_or(u64::MAX);
                    until.store(self.millis().saturating_add(avoided), Ordering::Relaxed);
                    failures.push(format!("{server}: {why}"));
                }
            }
        }
        Err(AuthUnavailable::Broken(failures.join("; ")))
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn connection(&self, server: &Endpoint) -> LdapConnSettings {
        let is_plain = server.scheme == Scheme::Ldap;
        let settings = LdapConnSettings::new()
            .set_conn_timeout(self.limit.time_max())
            .set_starttls(is_plain && self.settings.starts_tls);
        match &self.tls {
            Some(tls) => settings.set_config(Arc::clone(tls)),
            None => settings,
        }
    }
}

#[async_trait]
impl AuthBackend for Ldap {
    fn name(&self) -> &'static str {
        "ldap"
    }

    async fn authenticate(&self, attempt: &Attempt<'_>) -> Result<AuthOutcome, AuthUnavailable> {
        // A NUL ends the password in some directories, and what follows would not be checked.
        let secret = match std::str::from_utf8(attempt.secret) {
            Ok(text) if !text.contains('\0') => Zeroizing::new(text.to_owned()),
            _ => Zeroizing::default(),
        };
        self.limit.run(Box::pin(self.query(attempt, &secret))).await
    }
}
