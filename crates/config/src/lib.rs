//! The configuration: typed keys read from layers, with all problems.
//!
//! [`keys`] defines all keys; [`layers`] merges file, environment and flags; [`value`] and the
//! modules beside it parse values; `check` finds conflicts between keys; [`problem`] renders
//! problems; [`show`] prints the default file, the reference and the effective values.
//!
//! Beside it is what every part of the program needs to report: [`outcome`] (errors, exit codes,
//! output), [`account_error`], [`hint`], [`units`], [`table`], [`password`], [`chinese`] and
//! [`standard_paths`].

pub mod account_error;
mod check;
mod check_logins;
pub mod chinese;
pub mod choice;
pub mod counts;
pub mod file;
pub mod gather;
pub mod hint;
pub mod hook;
pub mod keys;
pub mod layers;
pub mod log_levels;
pub mod login_sources;
pub mod migration;
pub mod outcome;
pub mod password;
pub mod problem;
pub mod raw;
mod renamed;
pub mod show;
pub mod standard_paths;
pub mod store;
pub mod table;
pub mod units;
pub mod value;
pub mod wait;

use std::path::{Path, PathBuf};

use gather::{Inputs, gather};
use layers::{ConfigReader, Layers};
use problem::{ConfigProblem, Severity};
use value::Version;

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: keys::Server,
    /// `[[listen]]`
    pub listen: Vec<keys::Listen>,
    /// `[passive]`
    pub passive: keys::Passive,
    /// `[active]`
    pub active: keys::Active,
    /// `[tls]`
    pub tls: keys::Tls,
    /// `[login]`
    pub login: keys::Login,
    /// `[accounts]`
    pub accounts: keys::Accounts,
    /// `[accounts.pam]`
    pub pam: keys::PamLogin,
    /// `[accounts.ldap]`
    pub ldap: keys::LdapLogin,
    /// `[accounts.http]`
    pub http: keys::HttpLogin,
    /// `[ban]`
    pub ban: keys::Banning,
    /// `[limits]`
    pub limits: keys::Limits,
    /// `[files]`
    pub files: keys::Files,
    /// `[names]`
    pub names: keys::Names,
    /// `[compat]`
    pub compat: keys::Compat,
    /// `[control]`
    pub control: keys::Control,
    /// `[metrics]`
    pub metrics: keys::Metrics,
    /// `[log]`
    pub log: keys::Logging,
    /// `[events]`
    pub events: keys::EventHooks,
    /// `[[webhook]]`
    pub webhooks: Vec<keys::Webhook>,
}

/// The result of loading a configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The merged layers.
    pub layers: Layers,
    /// The typed values; invalid ones are replaced by their default.
    pub config: Config,
    /// All problems.
    pub problems: Vec<ConfigProblem>,
}

impl Loaded {
    /// Reads all layers and checks them.
    pub fn load(inputs: &Inputs) -> Self {
        let (layers, problems) = gather(inputs);
        Self::understood(layers, problems)
    }

    /// Reads and checks the keys of layers; `problems` are those found while merging.
    pub fn understood(layers: Layers, mut problems: Vec<ConfigProblem>) -> Self {
        let mut reader = ConfigReader { layers: &layers, problems: Vec::new(), wrong: Vec::new() };
        let config = Config::read(&mut reader);
        let ConfigReader { problems: unreadable, wrong, .. } = reader;
        problems.extend(unreadable);
        if !layers.is_broken {
            problems.extend(check::check(&config, &layers, &wrong));
        }
        Self { layers, config, problems }
    }

    /// Whether the server can start with it.
    pub fn is_valid(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity == Severity::Warning)
    }
}

impl Config {
    /// The folder for certificates and other state.
    pub fn state_folder(&self) -> PathBuf {
        self.server.state_dir.0.clone().unwrap_or_else(standard_paths::state_folder)
    }

    /// The files with wharf's own passwords and keys for external authentication.
    pub fn login_secret_files(&self) -> impl Iterator<Item = &Path> {
        let (ldap, http) = (&self.ldap, &self.http);
        let files = [&ldap.bind_password_file, &http.token_file, &http.secret_file];
        files.into_iter().filter_map(|file| file.0.as_deref())
    }

    fn read(reader: &mut ConfigReader<'_>) -> Self {
        let keys::Preamble { config_version: Version } = keys::Preamble::read(reader, "");
        let listeners = reader.layers.tables("listen").max(1);
        let mut webhooks: Vec<_> = (0..reader.layers.tables("webhook"))
            .map(|index| keys::Webhook::read(reader, &format!("webhook.{index}")))
            .collect();
        // A webhook without a URL, as in the default file, is ignored.
        while webhooks.last().is_some_and(|webhook| webhook.url.0.is_none()) {
            webhooks.pop();
        }
        Self {
            server: keys::Server::read(reader, "server"),
            listen: (0..listeners)
                .map(|index| keys::Listen::read(reader, &format!("listen.{index}")))
                .collect(),
            passive: keys::Passive::read(reader, "passive"),
            active: keys::Active::read(reader, "active"),
            tls: keys::Tls::read(reader, "tls"),
            login: keys::Login::read(reader, "login"),
            accounts: keys::Accounts::read(reader, "accounts"),
            pam: keys::PamLogin::read(reader, "accounts.pam"),
            ldap: keys::LdapLogin::read(reader, "accounts.ldap"),
            http: keys::HttpLogin::read(reader, "accounts.http"),
            ban: keys::Banning::read(reader, "ban"),
            limits: keys::Limits::read(reader, "limits"),
            files: keys::Files::read(reader, "files"),
            names: keys::Names::read(reader, "names"),
            compat: keys::Compat::read(reader, "compat"),
            control: keys::Control::read(reader, "control"),
            metrics: keys::Metrics::read(reader, "metrics"),
            log: keys::Logging::read(reader, "log"),
            events: keys::EventHooks::read(reader, "events"),
            webhooks,
        }
    }
}

#[cfg(test)]
mod tests;
