//! `wharf why`: whether an action of an account is allowed, and which rule decides it.
//!
//! The checks run in the order of the server: [`login`], then [`files`] for the action itself. The
//! first denial decides; if there is none, the permission that allows it. Files are accessed as the
//! user of the server, and nothing is changed.

mod act;
mod files;
mod login;
mod render;
mod subject;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use wharf_accounts_sql::Creation;
use wharf_config::chinese;
use wharf_config::layers::Layers;
use wharf_config::outcome::{Exit, Failure, print};
use wharf_config::show::origin_of;
use wharf_config::{Config, Loaded};
use wharf_proto::path::VPath;
use wharf_runtime::accounts::file;
use wharf_runtime::logins::templated_homes;
use wharf_runtime::sandbox::identity::{SystemUser, current_name};
use wharf_runtime::wire::accounts;

use crate::cli::GlobalArgs;
use crate::cli::why::WhyArgs;
use crate::running_server::client;
use crate::setup::{config_file, inputs, load};
use act::Action;
use subject::AccountSubject;

/// The question.
pub(crate) struct Query<'a> {
    config: &'a Config,
    layers: &'a Layers,
    user: &'a str,
    at: VPath,
    act: Action,
    /// Client address, if given.
    ip: Option<IpAddr>,
    /// Whether the client uses TLS.
    is_tls: bool,
    /// Seconds since 1970.
    now: i64,
    /// The configuration file, as in the status of a running server.
    file: Option<String>,
    /// Whether the socket of the server was given.
    is_named: bool,
    /// All homes and virtual folders.
    homes: Vec<PathBuf>,
}

/// The fact that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DecidingFact {
    kind: FactKind,
    /// The rule or the fact, as in `permissions = "read"`.
    what: String,
    /// Where it is set, as in `/etc/wharf/users.toml:12`.
    origin: Option<String>,
    /// How to change the result.
    hint: Option<String>,
}

/// The kind of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FactKind {
    /// The account: it is disabled, it has no password.
    Account,
    /// A ban of an address, or the lock of an account.
    Ban,
    /// A limit of sessions.
    Limit,
    /// Required TLS.
    Tls,
    /// A setting of the server.
    Setting,
    /// A permission of the account.
    Permission,
    /// A quota.
    Quota,
    /// The file system.
    File,
}

impl DecidingFact {
    fn new(kind: FactKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), origin: None, hint: None }
    }

    fn origin(self, place: impl Into<String>) -> Self {
        Self { origin: Some(place.into()), ..self }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl Query<'_> {
    /// Where a key of the configuration is set, as in `/etc/wharf/wharf.toml:7`.
    fn place(&self, key: &str) -> String {
        origin_of(self.layers, key)
    }

    /// A fact about a key: its value, and where it is set.
    fn setting(&self, kind: FactKind, key: &str, value: impl std::fmt::Display) -> DecidingFact {
        DecidingFact::new(kind, format!("{key} = {value}")).origin(self.place(key))
    }
}

/// All homes and virtual folders, as far as accounts can be read.
fn every_home(config: &Config, is_coloured: bool) -> Vec<PathBuf> {
    let is_there = file(config).is_none_or(Path::exists);
    let known = is_there.then(|| accounts(config, is_coloured, Creation::No));
    let known = known.and_then(Result::ok).into_iter().flat_map(|known| known.homes);
    known.map(|(_, home)| home).chain(templated_homes(config)).collect()
}

/// Prints allow or deny with the reason; exit code 0 for allow, 1 for deny.
pub(crate) fn why(global: &GlobalArgs, options: &WhyArgs) -> Result<Exit, Failure> {
    let is_chinese = !options.json && chinese::is_session_chinese();
    if is_chinese {
        chinese::activate();
    }
    answer(global, options, is_chinese).map_err(|failure| {
        if is_chinese { chinese::report(&failure, global.color.is_on()) } else { failure }
    })
}

fn answer(global: &GlobalArgs, options: &WhyArgs, is_chinese: bool) -> Result<Exit, Failure> {
    let act = Action::read(&options.action).map_err(|hint| {
        Failure::usage(format!("unknown action `{}`", options.action)).hint(hint)
    })?;
    let inputs = inputs(global, config_file(global), Vec::new());
    let is_coloured = global.color.is_on();
    let Loaded { config, layers, .. } = load(&inputs, is_coloured)?;
    let mut case = Query {
        config: &config,
        layers: &layers,
        user: &options.user,
        at: virtual_path(&options.path)?,
        act,
        ip: options.ip.map(|ip| ip.to_canonical()),
        is_tls: !options.plain,
        now: Timestamp::now().as_second(),
        file: inputs.file.as_ref().map(|file| {
            std::path::absolute(file).unwrap_or_else(|_| file.clone()).display().to_string()
        }),
        is_named: options.reach.socket.is_some(),
        homes: Vec::new(),
    };
    let mut notes = Vec::new();
    let client = client(global, &options.reach);
    // Fails if the accounts cannot be read, after printing why.
    let subject = AccountSubject::find(&case, is_coloured)?;
    case.homes = every_home(&config, is_coloured);
    let before = login::before(&case, &subject)?;
    become_server(&config, &mut notes)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("cannot create an event loop", &error))?;
    let decided = runtime.block_on(async {
        if let Err(fact) = before {
            return Err(fact);
        }
        let storage = login::enter(&case, &subject, &client, &mut notes).await?;
        files::decide(&case, &subject, &*storage).await
    });
    print(&if options.json {
        render::json(&case, &decided, &notes)
    } else {
        render::text(&case, &decided, &notes, is_chinese)
    })?;
    Ok(if decided.is_ok() { Exit::Done } else { Exit::Failed })
}

/// Switches to the user of the server for file access.
fn become_server(config: &Config, notes: &mut Vec<String>) -> Result<(), Failure> {
    match SystemUser::wanted(&config.server) {
        Ok(Some(identity)) => identity.assume()?,
        Ok(None) => {}
        Err(_) => notes.push(format!(
            "files were accessed as {}, but the server runs as {}; run as root to check as it",
            current_name(),
            config.server.user
        )),
    }
    Ok(())
}

/// A path as clients write it; relative paths are below the home of the account.
fn virtual_path(text: &str) -> Result<VPath, Failure> {
    VPath::root().resolve(text.as_bytes()).map_err(|_| {
        Failure::usage(format!("invalid path {}", text.escape_debug()))
            .hint("write it as clients do: / is the home of the account")
    })
}

/// The path of a file in the file system.
fn real_path(subject: &AccountSubject, at: &VPath) -> PathBuf {
    let names = at.names().map(|name| String::from_utf8_lossy(name).into_owned());
    names.fold(subject.account.home.clone(), |path, name| path.join(name))
}
