//! Reloads the configuration while clients are served: all of it takes effect, or nothing.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::Builder as Thread;

use jiff::Timestamp;
use tokio::sync::oneshot;
use wharf_admin::model::{LastReload, Reloaded};
use wharf_config::gather::{Inputs, gather};
use wharf_config::keys::{ConfigKey, key_at};
use wharf_config::layers::Layers;
use wharf_config::outcome::{Exit, Failure};
use wharf_config::problem::{ConfigProblem, Severity, count, render};
use wharf_config::show::value_text;
use wharf_config::{Config, Loaded};
use wharf_core::account::{Account, Count};
use wharf_core::lock;
use wharf_core::users::Users;
use wharf_events::check::Checker;
use wharf_server::Handle;
use wharf_storage::{Quotas, ServerFiles};

use super::capacity::DescriptorBudget;
use super::outputs;
use super::warner::Warner;
use crate::accounts::WatchedStore;
use crate::certificate::{CERTIFICATE_WARNING, CertificateSummary};
use crate::log::Log;
use crate::log::record::{Level, LogRecord};
use crate::logins::{self, Sources};
use crate::os::{ServiceState, announce};
use crate::sandbox::own_files::server_files;
use crate::sandbox::permissions;
use crate::sandbox::reach::AccessPolicy;
use crate::wire;

/// The active configuration.
pub(super) struct ActiveConfig {
    pub(super) config: Config,
    pub(super) layers: Layers,
    pub(super) certificate: Option<CertificateSummary>,
    /// The maximum number of sessions.
    pub(super) sessions: Count,
    pub(super) last_reload: Option<LastReload>,
}

/// The accounts, and whether a reload can change them.
pub(super) enum ReloadAccounts {
    /// The fixed account of a share, and its folder.
    Fixed(Arc<dyn Users>, PathBuf),
    /// The configured accounts; without a store only anonymous users can log in.
    Configured(Option<WatchedStore>, Option<Arc<Sources>>),
}

impl ReloadAccounts {
    /// The accounts of the file, as last read. A database is not queried for all accounts.
    pub(super) fn all(&self) -> Vec<Account> {
        match self {
            Self::Configured(Some(WatchedStore::File(file)), _) => file.accounts(),
            Self::Configured(Some(WatchedStore::Database(_)) | None, _) | Self::Fixed(..) => {
                Vec::new()
            }
        }
    }

    /// Served folders in addition to those of the store.
    fn other_homes(&self, config: &Config) -> Vec<PathBuf> {
        match self {
            Self::Fixed(_, folder) => vec![folder.clone()],
            Self::Configured(..) => logins::templated_homes(config),
        }
    }
}

/// The state needed for a reload.
pub(super) struct Reloader {
    pub(super) inputs: Inputs,
    pub(super) handle: Handle,
    pub(super) log: Arc<Log>,
    pub(super) warner: Arc<Warner>,
    pub(super) accounts: ReloadAccounts,
    pub(super) quotas: Option<Quotas>,
    pub(super) descriptors: DescriptorBudget,
    pub(super) reach: Arc<AccessPolicy>,
    /// The upload check, if one is configured.
    pub(super) checker: Arc<OnceLock<Arc<Checker>>>,
    /// The server's own files named on the command line.
    pub(super) own_files: Vec<PathBuf>,
    /// All of them, as sessions have them.
    pub(super) server_files: ServerFiles,
    /// Whether the kernel denies access outside of the policy.
    pub(super) is_confined: bool,
    pub(super) in_force: Mutex<ActiveConfig>,
    /// Serialises reloads.
    pub(super) turn: Mutex<()>,
}

/// The result of reloading the certificate.
pub(super) enum CertificateReload {
    /// It is already in use.
    Nothing,
    /// It is new, and used from now on.
    Served(CertificateSummary),
}

impl Reloader {
    /// The configuration file, if there is one.
    pub(super) fn file(&self) -> Option<&Path> {
        self.inputs.file.as_deref()
    }

    pub(super) fn in_force(&self) -> MutexGuard<'_, ActiveConfig> {
        lock(&self.in_force)
    }

    /// Reads everything again, on a separate thread: disks and DNS servers may be slow.
    ///
    /// # Errors
    /// The error of the new configuration. The old one stays active.
    pub(super) async fn reload(self: Arc<Self>) -> Result<Reloaded, Failure> {
        let (answer, answered) = oneshot::channel();
        self.begin(move |done| {
            let _ = answer.send(done);
        });
        answered.await.unwrap_or_else(|_| Err(Failure::new("cannot start a thread")))
    }

    /// The same, without waiting.
    pub(super) fn begin(
        self: Arc<Self>,
        then: impl FnOnce(Result<Reloaded, Failure>) + Send + 'static,
    ) {
        let act = move || then(self.reload_now());
        // Without a thread `then` is dropped, which the caller detects.
        let _ = Thread::new().name("reload".to_owned()).spawn(act);
    }

    fn reload_now(&self) -> Result<Reloaded, Failure> {
        let _turn = lock(&self.turn);
        announce(ServiceState::Reloading);
        self.log.reopen();
        let (layers, problems) = gather(&self.inputs);
        let done = self.take_over(layers, problems);
        self.log_result(&done);
        announce(ServiceState::Ready);
        done
    }

    /// Uses the current certificate and key files, if they match. Blocks.
    ///
    /// # Errors
    /// Why it cannot be used. The previous one stays active.
    pub(super) fn renew_certificate(&self) -> Result<CertificateReload, Failure> {
        let _turn = lock(&self.turn);
        let (config, before) = {
            let in_force = self.in_force();
            (in_force.config.clone(), in_force.certificate.clone())
        };
        let Some(next) = wire::encryption(&config).map_err(beyond_reach)? else {
            return Ok(CertificateReload::Nothing);
        };
        self.handle.adopt_tls(next.tls).map_err(|error| rejected(&error))?;
        if before.as_ref() == Some(&next.facts) {
            return Ok(CertificateReload::Nothing);
        }
        self.in_force().certificate = Some(next.facts.clone());
        self.warner.remove_if(|warning| warning.starts_with(CERTIFICATE_WARNING));
        for warning in &next.warnings {
            self.warner.warn(warning);
        }
        Ok(CertificateReload::Served(next.facts))
    }

    fn log_result(&self, done: &Result<Reloaded, Failure>) {
        // The rest of the message shows the lines in the file.
        let problem = done
            .as_ref()
            .err()
            .map(|failure| failure.message.lines().next().unwrap_or_default().to_owned());
        let record = match done {
            Ok(reloaded) => LogRecord::new(Level::Info, "reloaded")
                .text("changed", reloaded.changed.join(" "))
                .text("needs_restart", reloaded.needs_restart.join(" ")),
            Err(_) => LogRecord::new(Level::Error, "reload-failed")
                .text("reason", problem.as_deref().unwrap_or_default()),
        };
        self.log.note(&record);
        self.in_force().last_reload =
            Some(LastReload { time: now(), is_in_force: done.is_ok(), error: problem });
    }

    /// Applies a configuration, or returns the error.
    fn take_over(&self, layers: Layers, problems: Vec<ConfigProblem>) -> Result<Reloaded, Failure> {
        let loaded = self.understood(layers, problems)?;
        permissions::reject_insecure(&loaded.config, self.file())?;
        let before = self.in_force().layers.clone();
        let (mut changed, needs_restart) = differences(&before, &loaded.layers);
        // Keys that cannot change keep their values, and the others are validated together with
        // them.
        let mut layers = loaded.layers.clone();
        layers.hold(&before, |path| key_at(path).is_some_and(|key| key.needs_restart));
        let next = self.understood(layers, Vec::new())?;
        let config = next.config;
        let encryption = wire::encryption(&config).map_err(beyond_reach)?;
        let tls = encryption.as_ref().map(|encryption| encryption.tls.clone());
        let public_address = self.public_address(&config)?;
        let mut settings = wire::settings(&config, tls, public_address)?;
        let (sessions, descriptor_warning) = self.descriptors.of(settings.limits.connections);
        settings.limits.connections = sessions;
        let (users, homes) = match &self.accounts {
            ReloadAccounts::Fixed(users, _) => (Arc::clone(users), Vec::new()),
            ReloadAccounts::Configured(store, sources) => {
                let homes = wire::homes(&config, store.as_ref(), false)?;
                (wire::users(&config, store.as_ref(), sources.as_deref()), homes)
            }
        };
        let homes_of_all = homes.iter().map(|(_, home)| home.clone());
        let served: Vec<_> = homes_of_all.chain(self.accounts.other_homes(&config)).collect();
        let own = server_files(&config, self.file(), &self.own_files, &served);
        let denied = self.server_files.clone();
        let stores = wire::stores(&config, self.quotas.as_ref(), &self.reach, denied);
        let stores = Arc::new(stores.checked(&self.checker));
        self.handle.adopt(settings, users, stores).map_err(|error| rejected(&error))?;
        // No step fails from here on. Sessions that began before get the new list as well.
        self.server_files.replace_with(&own);
        if let Some(quotas) = &self.quotas {
            quotas.set_default_quota(wire::user_quota(&config));
        }
        self.log.want(outputs::wanted(&config.log));
        let is_warning = |problem: &&ConfigProblem| problem.severity == Severity::Warning;
        let mut warnings: Vec<_> =
            loaded.problems.iter().filter(is_warning).map(|one| one.title.clone()).collect();
        self.warner.forget();
        let facts = encryption.map(|encryption| {
            warnings.extend(encryption.warnings);
            encryption.facts
        });
        let is_far = |home: &Path| self.is_confined && !self.reach.covers(home);
        warnings.extend(descriptor_warning);
        warnings.extend(homes.iter().filter(|(_, home)| is_far(home)).map(|(used, home)| {
            let (lost, home) = (used.lost(), home.display());
            format!("{lost} before a restart: the sandbox does not include {home}")
        }));
        for warning in &warnings {
            self.warner.warn(warning);
        }
        self.warner.of_homes(&homes);
        if homes.is_empty() && matches!(self.accounts, ReloadAccounts::Configured(_, None)) {
            self.warner.no_accounts();
        }
        let mut in_force = self.in_force();
        let is_renewed = in_force.certificate != facts;
        if is_renewed && !changed.iter().any(|key| key.starts_with("tls.certificate")) {
            changed.push("tls.certificate".to_owned());
        }
        in_force.config = config;
        in_force.layers = next.layers;
        in_force.certificate = facts;
        in_force.sessions = sessions;
        Ok(Reloaded { changed, needs_restart, warnings })
    }

    /// The address to announce. If the DNS server does not answer, an unchanged name keeps its
    /// address; a new name must be resolved.
    fn public_address(&self, config: &Config) -> Result<Option<Ipv4Addr>, Failure> {
        let wanted = &config.passive.public_address;
        wire::public_address(wanted).or_else(|failure| {
            let is_in_force = self.in_force().config.passive.public_address == *wanted;
            if is_in_force { Ok(self.handle.public_address()) } else { Err(failure) }
        })
    }

    fn understood(&self, layers: Layers, problems: Vec<ConfigProblem>) -> Result<Loaded, Failure> {
        let loaded = Loaded::understood(layers, problems);
        if loaded.is_valid() {
            return Ok(loaded);
        }
        let place = match self.file() {
            Some(file) => format!(" in {}", file.display()),
            None => String::new(),
        };
        let shown = render(&loaded.problems, loaded.layers.source.as_ref(), false);
        let count = count(&loaded.problems);
        Err(Failure {
            exit: Exit::ConfigInvalid,
            ..Failure::new(format!("invalid configuration{place}: {count}\n\n{}", shown.trim_end()))
                .hint("the old configuration stays active; fix the file, then:  wharf reload")
        })
    }
}

fn rejected(error: &rustls::Error) -> Failure {
    Failure::new(format!("invalid TLS settings: {error}"))
}

/// A sandboxed server may be unable to read files that other processes can read.
fn beyond_reach(failure: Failure) -> Failure {
    if failure.exit != Exit::Forbidden || failure.hint.is_some() {
        return failure;
    }
    failure.hint(
        "the sandbox allows only paths that were configured at the start; restart wharf, or \
         replace the old file",
    )
}

/// The keys whose values differ: those that can change, and those that need a restart.
fn differences(before: &Layers, after: &Layers) -> (Vec<String>, Vec<String>) {
    let paths: BTreeSet<&str> = before.paths().chain(after.paths()).collect();
    let known = paths.into_iter().filter_map(|path| Some((path, key_at(path)?)));
    let differing = known.filter(|(path, key)| text(before, path, key) != text(after, path, key));
    let mut applied = Vec::new();
    let mut later = Vec::new();
    for (path, key) in differing {
        if key.needs_restart { &mut later } else { &mut applied }.push(path.to_owned());
    }
    (applied, later)
}

fn text(layers: &Layers, path: &str, key: &ConfigKey) -> String {
    layers.item(path).map_or_else(|| key.default.to_owned(), |item| value_text(key, &item.raw))
}

fn now() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}
