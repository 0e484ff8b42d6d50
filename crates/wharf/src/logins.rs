//! Who proves passwords beside the file of accounts: made of the configuration while the process
//! still has the rights that it was started with.

mod http;
mod ldap;
mod pam;
mod secret;

use std::net::ToSocketAddrs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wharf_core::async_trait;
use wharf_core::users::{Attempt, Users};
use wharf_login::endpoint::Endpoint;
use wharf_login::logins::{LoginChain, LoginStep};
use wharf_login::outage::{OutageEvent, Outages};
use wharf_login::source::{AuthBackend, AuthOutcome, AuthUnavailable, OpenError};
use wharf_login::template::Template;

use crate::config::Config;
use crate::config::login_sources::LoginSource;
use crate::log::record::{Level, Record};
use crate::outcome::{Exit, Failure};
use crate::protection::reach::{Reach, Usage};

pub(crate) use wharf_login::pam::helper;

/// The port of name servers, for answers that are too long for a datagram.
const NAME_SERVER_PORT: u16 = 53;
/// Homes that are looked into for uploads that nobody came back for.
const HOMES_MAX: usize = 10_000;

/// Those who prove passwords, beside a file of accounts or in its place.
pub(crate) struct Sources {
    steps: Vec<LoginStep>,
    template: Template,
    outages: Arc<Outages>,
}

impl Sources {
    /// Those of the configuration; none where the file is asked alone. Starts what needs the rights
    /// of the start.
    ///
    /// # Errors
    /// A file cannot be read, or a helper not started.
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
        let template = Template {
            home: accounts.home.0.clone(),
            creates_home: accounts.create_home,
            permissions: accounts.permissions.0,
        };
        Ok(Some(Self { steps: steps?, template, outages: Arc::default() }))
    }

    /// The accounts of `store`, with passwords that these prove.
    pub(crate) fn before(&self, store: Arc<dyn Users>) -> Arc<dyn Users> {
        let outages = Arc::clone(&self.outages);
        Arc::new(LoginChain::new(store, self.steps.clone(), self.template.clone(), outages))
    }

    /// What the log should know since this was last asked.
    pub(crate) fn records(&self) -> Vec<Record> {
        let record = |notice| match notice {
            OutageEvent::Down { source, reason } => Record::new(Level::Error, "login-source-down")
                .text("source", source)
                .text("reason", reason),
            OutageEvent::Back { source } => {
                Record::new(Level::Info, "login-source-back").text("source", source)
            }
        };
        self.outages.take().into_iter().map(record).collect()
    }
}

/// Whether all could be opened, without starting anything.
///
/// # Errors
/// What [`Sources::open`] would say.
pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    Sources::of(config, |_| Ok(Arc::new(Nobody))).map(drop)
}

/// In place of a source that is not started.
struct Nobody;

#[async_trait]
impl AuthBackend for Nobody {
    fn name(&self) -> &'static str {
        "nobody"
    }

    async fn authenticate(&self, _: &Attempt<'_>) -> Result<AuthOutcome, AuthUnavailable> {
        Ok(AuthOutcome::Unknown)
    }
}

/// Files that hold passwords and keys of ours.
pub(crate) fn secret_files(config: &Config) -> impl Iterator<Item = &Path> {
    let (ldap, http) = (&config.ldap, &config.http);
    let files = [&ldap.bind_password_file, &http.token_file, &http.secret_file];
    files.into_iter().filter_map(|file| file.0.as_deref())
}

/// The reach of a server that asks these: homes by the template, and connections out.
pub(crate) fn extend(reach: Reach, config: &Config) -> Reach {
    if !config.accounts.auth_backends.has_others() {
        return reach;
    }
    let reach = match &config.accounts.home.0 {
        Some(home) => reach.and(&home.folder(), Usage::Change),
        None => reach,
    };
    let endpoints = endpoints(config);
    let has_names = endpoints.iter().any(|endpoint| endpoint.has_name());
    let ports = endpoints.iter().map(|endpoint| endpoint.port);
    reach.and_services(ports.chain(has_names.then_some(NAME_SERVER_PORT)), has_names)
}

/// Looks every name up once. What the system loads for that, a confined process could not load
/// later; and who cannot be found should be told now. One line for each.
pub(crate) fn missing_hosts(config: &Config) -> Vec<String> {
    let named = endpoints(config).into_iter().filter(|endpoint| endpoint.has_name());
    let missing = named.filter_map(|endpoint| {
        let error = (endpoint.host.as_str(), endpoint.port).to_socket_addrs().err()?;
        Some(format!("{endpoint} proves passwords, and its name cannot be looked up: {error}"))
    });
    missing.collect()
}

/// The homes that the template has made so far.
pub(crate) fn templated_homes(config: &Config) -> Vec<PathBuf> {
    let template = config.accounts.home.0.as_ref();
    let Some(template) = template.filter(|_| config.accounts.auth_backends.has_others()) else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(template.folder()).into_iter().flatten().take(HOMES_MAX);
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let homes = names.map(|name| template.home(&name)).filter(|home| home.is_dir());
    homes.collect()
}

/// The home that the template makes for somebody.
pub(crate) fn example_home(config: &Config) -> Option<PathBuf> {
    let template = config.accounts.home.0.as_ref();
    Some(template.filter(|_| config.accounts.auth_backends.has_others())?.home("somebody"))
}

fn endpoints(config: &Config) -> Vec<&Endpoint> {
    let login = &config.accounts.auth_backends;
    let ldap = config.ldap.urls.0.iter().filter(|_| login.has(LoginSource::Ldap));
    let http = config.http.url.0.iter().filter(|_| login.has(LoginSource::Http));
    ldap.chain(http).collect()
}

/// A mistake in what the configuration names.
fn invalid(message: String) -> Failure {
    Failure { exit: Exit::ConfigInvalid, ..Failure::new(message) }
}

/// A source that `key` is about cannot be opened.
fn not_opened(key: &str, error: &OpenError) -> Failure {
    let failure = invalid(format!("{key}: {error}"));
    match error {
        OpenError::Roots { .. } | OpenError::NoRoots { .. } => failure
            .help("a PEM file with the certificate of the authority that signed the server's"),
        _ => failure,
    }
}

fn at_once(number: u32) -> NonZeroUsize {
    usize::try_from(number).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN)
}
