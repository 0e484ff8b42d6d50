//! The configuration: typed keys read from layers, with all problems.
//!
//! [`keys`] defines all keys; [`layers`] merges file, environment and flags; [`value`] and the
//! modules beside it parse values; [`check`] finds conflicts between keys; [`problem`] renders
//! problems; [`show`] prints the default file, the reference and the effective values.

pub(crate) mod check;
pub(crate) mod check_logins;
pub(crate) mod choice;
pub(crate) mod counts;
pub(crate) mod file;
pub(crate) mod gather;
pub(crate) mod hook;
pub(crate) mod keys;
pub(crate) mod layers;
pub(crate) mod login_sources;
pub(crate) mod migration;
pub(crate) mod problem;
pub(crate) mod raw;
pub(crate) mod renamed;
pub(crate) mod show;
pub(crate) mod store;
pub(crate) mod value;
pub(crate) mod wait;

use std::path::PathBuf;

use crate::standard_paths;
use gather::{Inputs, gather};
use layers::{ConfigReader, Layers};
use problem::{ConfigProblem, Severity};
use value::Version;

/// The whole configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) server: keys::Server,
    pub(crate) listen: Vec<keys::Listen>,
    pub(crate) passive: keys::Passive,
    pub(crate) active: keys::Active,
    pub(crate) tls: keys::Tls,
    pub(crate) login: keys::Login,
    pub(crate) accounts: keys::Accounts,
    pub(crate) pam: keys::PamLogin,
    pub(crate) ldap: keys::LdapLogin,
    pub(crate) http: keys::HttpLogin,
    pub(crate) ban: keys::Banning,
    pub(crate) limits: keys::Limits,
    pub(crate) files: keys::Files,
    pub(crate) names: keys::Names,
    pub(crate) compat: keys::Compat,
    pub(crate) control: keys::Control,
    /// `[metrics]`
    pub(crate) metrics: keys::Metrics,
    pub(crate) log: keys::Logging,
    pub(crate) events: keys::EventHooks,
    pub(crate) webhooks: Vec<keys::Webhook>,
}

/// The result of loading a configuration.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The merged layers.
    pub(crate) layers: Layers,
    /// The typed values; invalid ones are replaced by their default.
    pub(crate) config: Config,
    /// All problems.
    pub(crate) problems: Vec<ConfigProblem>,
}

impl Loaded {
    /// Reads all layers and checks them.
    pub(crate) fn load(inputs: &Inputs) -> Self {
        let (layers, problems) = gather(inputs);
        Self::understood(layers, problems)
    }

    /// Reads and checks the keys of layers; `problems` are those found while merging.
    pub(crate) fn understood(layers: Layers, mut problems: Vec<ConfigProblem>) -> Self {
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
    pub(crate) fn is_valid(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity == Severity::Warning)
    }
}

impl Config {
    /// The folder for certificates and other state.
    pub(crate) fn state_folder(&self) -> PathBuf {
        self.server.state_dir.0.clone().unwrap_or_else(standard_paths::state_folder)
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
