//! External authentication (PAM, LDAP, HTTP) as configured, opened while the process still has its
//! initial privileges.

mod http;
mod ldap;
mod pam;
mod secret;

use std::net::ToSocketAddrs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use wharf_core::async_trait;
use wharf_core::users::{Attempt, Users};
use wharf_login::endpoint::Endpoint;
use wharf_login::logins::{LoginChain, LoginStep};
use wharf_login::outage::{OutageEvent, Outages};
use wharf_login::source::{AuthBackend, AuthOutcome, AuthUnavailable, SourceOpenError};
use wharf_login::template::AccountTemplate;

use crate::log::record::{Level, LogRecord};
use crate::sandbox::reach::{AccessPolicy, PathAccess};

use wharf_config::Config;
use wharf_config::login_sources::LoginSource;
use wharf_config::outcome::{Exit, Failure};
pub use wharf_login::pam::helper;

/// The DNS port for TCP, for answers that are too long for a datagram.
const NAME_SERVER_PORT: u16 = 53;
/// Maximum number of homes that are searched for abandoned partial uploads.
const HOMES_MAX: usize = 10_000;

/// The authentication sources, in addition to the account store or instead of it.
pub(crate) struct Sources {
    steps: Vec<LoginStep>,
    template: AccountTemplate,
    outages: Arc<Outages>,
}

impl Sources {
    /// Opens the configured sources; `None` if only the account store is used. Starts helpers that
    /// need the initial privileges.
    pub(crate) fn open(config: &Config) -> Result<Option<Self>, Failure> {
        Self::of(config, pam::start)
    }

    fn of(
        config: &Config,
        pam: impl Fn(&Config) -> Result<Arc<dyn AuthBackend>, Failure>,
    ) -> Result<Option<Self>, Failure> {
        let accounts = &config.accounts;
        if !accounts.auth_backends.has_others() {
            return Ok(None);
        }
        let step = |source: &LoginSource| {
            Ok(LoginStep::External(match source {
                LoginSource::File => return Ok(LoginStep::Store),
                LoginSource::Pam => pam(config)?,
                LoginSource::Ldap => ldap::source(config)?,
                LoginSource::Http => http::source(config)?,
            }))
        };
        let steps: Result<Vec<_>, Failure> = accounts.auth_backends.0.iter().map(step).collect();
        let template = AccountTemplate {
            home: accounts.home.0.clone(),
            creates_home: accounts.create_home,
            permissions: accounts.permissions.0,
        };
        Ok(Some(Self { steps: steps?, template, outages: Arc::default() }))
    }

    /// Combines the accounts of `store` with passwords that these sources verify.
    pub(crate) fn before(&self, store: Arc<dyn Users>) -> Arc<dyn Users> {
        let outages = Arc::clone(&self.outages);
        Arc::new(LoginChain::new(store, self.steps.clone(), self.template.clone(), outages))
    }

    /// Outages and recoveries since the last call, for the log.
    pub(crate) fn records(&self) -> Vec<LogRecord> {
        let record = |notice| match notice {
            OutageEvent::Down { source, reason } => {
                LogRecord::new(Level::Error, "auth-backend-unavailable")
                    .text("backend", source)
                    .text("reason", reason)
            }
            OutageEvent::Back { source } => {
                LogRecord::new(Level::Info, "auth-backend-recovered").text("backend", source)
            }
        };
        self.outages.take().into_iter().map(record).collect()
    }
}

/// Checks that all sources can be opened, without starting helpers.
pub fn check(config: &Config) -> Result<(), Failure> {
    Sources::of(config, |_| Ok(Arc::new(UnstartedSource))).map(drop)
}

/// Placeholder for a source that is not started.
struct UnstartedSource;

#[async_trait]
impl AuthBackend for UnstartedSource {
    fn name(&self) -> &'static str {
        "none"
    }

    async fn authenticate(&self, _: &Attempt<'_>) -> Result<AuthOutcome, AuthUnavailable> {
        Ok(AuthOutcome::Unknown)
    }
}

/// Extends the access policy for these sources: homes of the template, and outgoing connections.
pub fn extend(reach: AccessPolicy, config: &Config) -> AccessPolicy {
    if !config.accounts.auth_backends.has_others() {
        return reach;
    }
    let reach = match &config.accounts.home.0 {
        Some(home) => reach.and(&home.folder(), PathAccess::Change),
        None => reach,
    };
    let endpoints = endpoints(config);
    let has_names = endpoints.iter().any(|endpoint| endpoint.has_name());
    let ports = endpoints.iter().map(|endpoint| endpoint.port);
    reach.and_services(ports.chain(has_names.then_some(NAME_SERVER_PORT)), has_names)
}

/// Resolves every host name once. The resolver loads libraries that a sandboxed process could not
/// load later, and names that cannot be resolved are reported now, one line each.
pub(crate) fn missing_hosts(config: &Config) -> Vec<String> {
    let named = endpoints(config).into_iter().filter(|endpoint| endpoint.has_name());
    let missing = named.filter_map(|endpoint| {
        let error = (endpoint.host.as_str(), endpoint.port).to_socket_addrs().err()?;
        Some(format!("cannot resolve the authentication server {endpoint}: {error}"))
    });
    missing.collect()
}

/// The homes that the template has created so far.
pub fn templated_homes(config: &Config) -> Vec<PathBuf> {
    let template = config.accounts.home.0.as_ref();
    let Some(template) = template.filter(|_| config.accounts.auth_backends.has_others()) else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(template.folder()).into_iter().flatten().take(HOMES_MAX);
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let homes = names.map(|name| template.home(&name)).filter(|home| home.is_dir());
    homes.collect()
}

/// The home that the template creates for a user.
pub fn example_home(config: &Config) -> Option<PathBuf> {
    let template = config.accounts.home.0.as_ref();
    Some(template.filter(|_| config.accounts.auth_backends.has_others())?.home("user"))
}

fn endpoints(config: &Config) -> Vec<&Endpoint> {
    let login = &config.accounts.auth_backends;
    let ldap = config.ldap.urls.0.iter().filter(|_| login.has(LoginSource::Ldap));
    let http = config.http.url.0.iter().filter(|_| login.has(LoginSource::Http));
    ldap.chain(http).collect()
}

/// The failure for an invalid file or setting.
fn invalid(message: String) -> Failure {
    Failure { exit: Exit::ConfigInvalid, ..Failure::new(message) }
}

/// The failure for a source that cannot be opened; `key` is its setting.
fn not_opened(key: &str, error: &SourceOpenError) -> Failure {
    let failure = invalid(format!("{key}: {error}"));
    match error {
        SourceOpenError::Roots { .. } | SourceOpenError::NoRoots { .. } => failure
            .hint("a PEM file with the certificate of the CA that issued the server's certificate"),
        _ => failure,
    }
}

fn at_once(number: u32) -> NonZeroUsize {
    usize::try_from(number).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN)
}
