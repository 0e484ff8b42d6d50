//! Checks from the connection to the login.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;
use wharf_admin::client::AdminClient;
use wharf_admin::model::{Session, Status};
use wharf_config::choice::{TlsMode, TlsRequire};
use wharf_config::outcome::Failure;
use wharf_core::account::{Count, is_name};
use wharf_core::storage::{Storage, Stores};
use wharf_core::users::Denied;
use wharf_proto::path::VPath;
use wharf_runtime::accounts;
use wharf_runtime::ban_file::BanFile;
use wharf_runtime::ban_rules::{holds, shown};
use wharf_runtime::sandbox::own_files::server_files;
use wharf_runtime::sandbox::reach::{AccessPolicy, StoreAccess};
use wharf_runtime::wire;
use wharf_users::file::UserRecord;

use super::act::Action;
use super::subject::AccountSubject;
use super::{DecidingFact, FactKind, Query};
use crate::running_server::{RESTART, beyond_sandbox, server_of};

/// Number and interval of polls for the count of the account's files: 10 s in total.
const COUNT_POLLS_MAX: u32 = 1000;
const COUNT_PAUSE: Duration = Duration::from_millis(10);

/// Checks before files are opened.
pub(super) fn before(
    case: &Query<'_>,
    subject: &AccountSubject,
) -> Result<Result<(), DecidingFact>, Failure> {
    let bans = BanFile::of(case.config);
    let memory = bans
        .read()
        .map_err(|error| Failure::io(format!("cannot read {}", bans.path().display()), &error))?
        .memory;
    Ok((|| {
        if let Some(ip) = case.ip {
            let ban =
                memory.bans.iter().find(|ban| ban.network.contains(&ip) && holds(ban, case.now));
            if let Some(ban) = ban {
                let network = shown(ban.network);
                let why = if ban.reason.is_empty() { "manual ban" } else { &ban.reason };
                return Err(DecidingFact::new(
                    FactKind::Ban,
                    format!("{network} is banned: {why}"),
                )
                .origin(bans.path().display().to_string())
                .hint(format!("wharf ban del {network}")));
            }
        }
        named(case)?;
        tls(case, subject)?;
        // As in the server: spellings of a name are equivalent.
        let is_same = |user: &str| user.to_lowercase() == case.user.to_lowercase();
        let lock = memory.locks.iter().find(|lock| is_same(&lock.user) && case.now < lock.until);
        let is_usual = case.ip.is_some_and(|ip| {
            memory.usual.iter().any(|usual| is_same(&usual.user) && usual.network.contains(&ip))
        });
        if lock.is_some() && !is_usual {
            let what = "the account is locked for unknown addresses after failed logins";
            return Err(DecidingFact::new(FactKind::Ban, what)
                .origin(bans.path().display().to_string())
                .hint(format!("wharf ban del --user {}", case.user)));
        }
        account(case, subject)
    })())
}

/// Whether the name is valid.
fn named(case: &Query<'_>) -> Result<(), DecidingFact> {
    if is_name(case.user) {
        return Ok(());
    }
    Err(DecidingFact::new(FactKind::Account, "invalid user name"))
}

/// Whether the password may be sent without TLS.
fn tls(case: &Query<'_>, subject: &AccountSubject) -> Result<(), DecidingFact> {
    let config = case.config;
    if case.is_tls || config.listen.iter().all(|listen| listen.tls == TlsMode::Off) {
        return Ok(());
    }
    let is_secret = !subject.is_anonymous;
    let is_near = case.ip.is_none_or(|ip| {
        config.passive.local_networks.0.iter().any(|network| network.contains(&ip))
    });
    let is_rejected = match config.tls.require {
        TlsRequire::Off => false,
        TlsRequire::Public => is_secret && !is_near,
        TlsRequire::Login => is_secret,
        TlsRequire::All => true,
    };
    if is_rejected {
        let value = format!("\"{}\", and the client does not use TLS", config.tls.require);
        return Err(case
            .setting(FactKind::Tls, "tls.require", value)
            .hint("use explicit FTPS (FTP over TLS) in the client"));
    }
    Ok(())
}

/// Settings of the account.
fn account(case: &Query<'_>, subject: &AccountSubject) -> Result<(), DecidingFact> {
    let user = case.user;
    if subject.is_anonymous {
        return Ok(());
    }
    if !subject.is_enabled {
        return Err(DecidingFact::new(FactKind::Account, "enabled = false")
            .origin(subject.place("enabled"))
            .hint(format!("wharf user enable {user}")));
    }
    if !subject.has_password {
        return Err(DecidingFact::new(FactKind::Account, "it has no usable password")
            .origin(subject.place("password"))
            .hint(format!("wharf user passwd {user}")));
    }
    let is_same = |denied: &String| denied.to_lowercase() == user.to_lowercase();
    if case.config.login.deny_users.iter().any(is_same) {
        return Err(case.setting(
            FactKind::Setting,
            "login.deny_users",
            format!("[… \"{user}\" …]"),
        ));
    }
    if subject.account.requires_tls && !case.is_tls {
        return Err(DecidingFact::new(
            FactKind::Tls,
            "require_tls = true, and the client does not use TLS",
        )
        .origin(subject.place("require_tls"))
        .hint("use explicit FTPS (FTP over TLS) in the client"));
    }
    subject.record.as_ref().map_or(Ok(()), |record| from_there_now(case, subject, record))
}

/// Whether address and time are allowed for the account.
fn from_there_now(
    case: &Query<'_>,
    subject: &AccountSubject,
    record: &UserRecord,
) -> Result<(), DecidingFact> {
    let reported = |denied: Denied, key: &'static str, hint: &str| {
        DecidingFact::new(FactKind::Account, denied.to_string())
            .origin(subject.place(key))
            .hint(format!("wharf user edit {} {hint}", case.user))
    };
    if let Some(ip) = case.ip {
        let from_there = record.admits_address(ip);
        from_there
            .map_err(|denied| reported(denied, "allowed_addresses", "--allowed-address ADDRESS"))?;
    }
    let now = Timestamp::from_second(case.now).unwrap_or(Timestamp::MAX);
    let is_over = record.expires.is_some_and(|expires| expires.end() <= now);
    let (key, hint) =
        if is_over { ("expires", "--expires DAY") } else { ("hours", "--hours WHEN") };
    record.admits_time(now).map_err(|denied| reported(denied, key, hint))
}

/// Opens the account's files as the server does, and counts its sessions where one runs.
pub(super) async fn enter(
    case: &Query<'_>,
    subject: &AccountSubject,
    client: &AdminClient,
    notes: &mut Vec<String>,
) -> Result<Arc<dyn Storage>, DecidingFact> {
    let config = case.config;
    let home = subject.account.home.clone();
    let file = accounts::file(config).map(Path::to_path_buf);
    let store = StoreAccess { file, ports: Vec::new() };
    let reach = Arc::new(AccessPolicy::of(config, std::slice::from_ref(&home), &store));
    let quotas = wire::quotas(config);
    let file = case.file.as_deref().map(Path::new);
    let own = server_files(config, file, &[], &case.homes);
    let stores = wire::stores(config, Some(&quotas), &reach, own);
    let storage = stores.open(&subject.account).await.map_err(|error| {
        DecidingFact::new(
            FactKind::File,
            format!("cannot open the home {}: {error}", home.display()),
        )
        .origin(subject.place("home"))
        .hint(format!("wharf user edit {} --home DIR, or fix the folder", case.user))
    })?;
    if matches!(case.act, Action::Upload | Action::Append | Action::Mkdir)
        && !is_counted(&*storage, &case.at).await
    {
        notes.push(
            "the usage of the account is still being counted: its quota was not checked".to_owned(),
        );
    }
    match server(case, client).await {
        Some((server, sessions)) => {
            let real = storage.real_path(&case.at);
            for folder in [Some(home), real].into_iter().flatten() {
                if let Some(what) = beyond_sandbox(&server, &folder) {
                    let fact =
                        DecidingFact::new(FactKind::Setting, what).origin(subject.place("home"));
                    return Err(fact.hint(RESTART));
                }
            }
            connection_limits(case, subject, &sessions)?;
        }
        None => notes
            .push("no running server was found: limits of sessions were not checked".to_owned()),
    }
    Ok(storage)
}

/// The running server of this configuration and its sessions.
async fn server(case: &Query<'_>, client: &AdminClient) -> Option<(Status, Vec<Session>)> {
    let status = server_of(client, case.file.as_deref(), case.is_named).await?;
    Some((status, client.get("/v1/sessions").await.ok()?))
}

/// Waits for the count of the usage at a path if a quota applies there.
async fn is_counted(storage: &dyn Storage, at: &VPath) -> bool {
    for _ in 0..COUNT_POLLS_MAX {
        if storage.usage(at).is_none_or(|usage| usage.used.is_some()) {
            return true;
        }
        sleep(COUNT_PAUSE).await;
    }
    false
}

/// Whether limits permit one more session.
fn connection_limits(
    case: &Query<'_>,
    subject: &AccountSubject,
    sessions: &[Session],
) -> Result<(), DecidingFact> {
    let limits = &case.config.limits;
    let is_full = |most: Count, count: usize| !most.admits(count);
    if is_full(limits.connections, sessions.len()) {
        let value =
            format!("{}, and {} are in use", shown_count(limits.connections), sessions.len());
        return Err(case.setting(FactKind::Limit, "limits.connections", value));
    }
    let of_user = |session: &&Session| session.user.as_deref() == Some(&subject.account.name);
    let count = sessions.iter().filter(of_user).count();
    let (most, is_own) = match subject.account.limits.sessions {
        Some(own) => (own, true),
        None => (limits.sessions_per_user, false),
    };
    if is_full(most, count) {
        let value = format!("{}, and {count} are in use", shown_count(most));
        let fact = if is_own {
            DecidingFact::new(FactKind::Limit, format!("sessions = {value}"))
                .origin(subject.place("sessions"))
        } else {
            case.setting(FactKind::Limit, "limits.sessions_per_user", value)
        };
        return Err(fact.hint("wharf who --user lists them; wharf kick disconnects them"));
    }
    let Some(ip) = case.ip else { return Ok(()) };
    let near = |session: &&Session| session.ip.parse() == Ok(ip);
    let count = sessions.iter().filter(near).count();
    if is_full(limits.connections_per_ip, count) {
        let value = format!("{}, and {count} are in use", shown_count(limits.connections_per_ip));
        return Err(case.setting(FactKind::Limit, "limits.connections_per_ip", value));
    }
    Ok(())
}

fn shown_count(count: Count) -> String {
    count.number().map_or_else(|| "unlimited".to_owned(), |number| number.to_string())
}
