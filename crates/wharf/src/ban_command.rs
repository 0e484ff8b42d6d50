//! `wharf ban`: lists and changes bans, with or without a running server.

mod running_server;

use std::io::IsTerminal;

use ipnet::IpNet;
use jiff::Timestamp;
use wharf_admin::client::AdminClient;
use wharf_config::outcome::{Exit, Failure, print, print_error};
use wharf_config::table::table;
use wharf_config::units::{parse_duration, show_duration};
use wharf_runtime::ban_file::{BanFile, BanFileContent};
use wharf_runtime::ban_rules::{
    holds, model, model_of_lock, network, not_banned, not_locked, reject_allowed, reject_long,
    shown,
};
use wharf_server::auth_throttle::{BANS_MAX, Ban as Banned, ThrottleSnapshot};

use crate::cli::GlobalArgs;
use crate::cli::ban::{BanArgs, BanCommand};
use crate::cli::mistake::reason;
use crate::json::json_line;
use crate::prompt::confirm;
use crate::setup::{config_file, inputs, load};

/// Runs the command through the API of the running server, or without one on the file of bans.
pub(crate) fn ban(global: &GlobalArgs, what: &BanArgs) -> Result<Exit, Failure> {
    let path = config_file(global);
    let inputs = inputs(global, path.clone(), Vec::new());
    let config = load(&inputs, global.color.is_on())?.config;
    let now = Timestamp::now().as_second();
    let store = match running_server::server(global, what.socket.as_deref(), path.as_deref())? {
        Some(server) => BanStore::Server(server),
        None => BanStore::File(BanFile::of(&config)),
    };
    match &what.act {
        BanCommand::List { json } => list(&store.read()?, *json, now)?,
        BanCommand::Add { addresses, time, reason } => {
            let networks = addresses.iter().map(|address| network(address));
            let networks = networks.collect::<Result<Vec<_>, _>>()?;
            let until = time.as_deref().map(|time| until(time, now)).transpose()?;
            let reason = reason.as_deref().unwrap_or_default();
            reject_long(reason)?;
            match &store {
                BanStore::Server(server) => {
                    running_server::add(server, &networks, until, reason, now)?;
                }
                BanStore::File(file) => {
                    reject_allowed(&networks, &config.ban.allow.0)?;
                    add(file, &networks, until, reason, now)?;
                }
            }
            let time = until.map_or_else(
                || "until it is removed".to_owned(),
                |at| format!("for {}", left(at, now)),
            );
            for network in networks {
                print_error(&format!("banned {} {time}\n", shown(network)));
            }
        }
        BanCommand::Del { addresses, users } => del(&store, addresses, users, now)?,
        BanCommand::Clear { yes } => clear(&store, *yes, now)?,
    }
    Ok(Exit::Done)
}

/// Where bans are stored.
enum BanStore {
    /// In a running server.
    Server(AdminClient),
    /// In the file, while no server is running.
    File(BanFile),
}

impl BanStore {
    fn read(&self) -> Result<ThrottleSnapshot, Failure> {
        match self {
            Self::Server(server) => running_server::read(server),
            Self::File(file) => Ok(read(file)?.memory),
        }
    }
}

fn list(memory: &ThrottleSnapshot, is_json: bool, now: i64) -> Result<(), Failure> {
    let bans: Vec<_> = memory.bans.iter().filter(|ban| holds(ban, now)).collect();
    let locks: Vec<_> = memory.locks.iter().filter(|lock| now < lock.until).collect();
    if is_json {
        let bans = bans.iter().map(|ban| json_line(&model(ban)));
        let locks = locks.iter().map(|lock| json_line(&model_of_lock(lock)));
        return print(&bans.chain(locks).collect::<String>());
    }
    if bans.is_empty() && locks.is_empty() {
        print_error("no bans\n");
        return Ok(());
    }
    let mut rows = vec![["NETWORK", "LEFT", "BY", "REASON"].map(str::to_owned)];
    rows.extend(bans.iter().map(|ban| {
        let left = ban.until.map_or_else(|| "unlimited".to_owned(), |until| left(until, now));
        let reason = match ban.times {
            0 | 1 => ban.reason.clone(),
            times => format!("{} ({times} bans in a row)", ban.reason),
        };
        [shown(ban.network), left, by(ban).to_owned(), reason]
    }));
    rows.extend(locks.iter().map(|lock| {
        let account = format!("account {}", lock.user);
        let reason = "too many failed logins from unknown addresses".to_owned();
        [account, left(lock.until, now), "logins".to_owned(), reason]
    }));
    print(&table(&rows))
}

fn add(
    file: &BanFile,
    networks: &[IpNet],
    until: Option<i64>,
    reason: &str,
    now: i64,
) -> Result<(), Failure> {
    edit(file, |found| {
        let bans = &mut found.memory.bans;
        bans.retain(|ban| !networks.contains(&ban.network));
        if bans.len() + networks.len() > BANS_MAX {
            return Err(Failure::new(format!(
                "cannot add a ban: the maximum of {BANS_MAX} is reached"
            ))
            .hint("ban a network instead of single addresses, such as 203.0.113.0/24"));
        }
        bans.extend(networks.iter().map(|&network| Banned {
            network,
            since: now,
            until,
            times: 1,
            is_manual: true,
            reason: reason.to_owned(),
        }));
        Ok(())
    })
}

fn del(store: &BanStore, addresses: &[String], users: &[String], now: i64) -> Result<(), Failure> {
    let networks = addresses.iter().map(|address| network(address));
    let networks = networks.collect::<Result<Vec<_>, _>>()?;
    // All or nothing: missing bans are reported before anything changes.
    let reject_missing = |memory: &ThrottleSnapshot| {
        for network in &networks {
            let is_it = |ban: &Banned| ban.network == *network && holds(ban, now);
            if !memory.bans.iter().any(is_it) {
                return Err(not_banned(*network, &memory.bans, now));
            }
        }
        for user in users {
            if !memory.locks.iter().any(|lock| lock.user == *user && now < lock.until) {
                return Err(not_locked(user));
            }
        }
        Ok(())
    };
    match store {
        BanStore::Server(server) => {
            reject_missing(&running_server::read(server)?)?;
            running_server::lift(server, &networks, users)?;
        }
        BanStore::File(file) => edit(file, |found| {
            let memory = &mut found.memory;
            reject_missing(memory)?;
            memory.bans.retain(|ban| !networks.contains(&ban.network));
            memory.locks.retain(|lock| !users.contains(&lock.user));
            Ok(())
        })?,
    }
    for network in networks {
        print_error(&format!("removed the ban of {}\n", shown(network)));
    }
    for user in users {
        print_error(&format!("unlocked {user}\n"));
    }
    Ok(())
}

fn clear(store: &BanStore, has_yes: bool, now: i64) -> Result<(), Failure> {
    let memory = store.read()?;
    let bans = memory.bans.iter().filter(|ban| holds(ban, now)).count();
    let locks = memory.locks.iter().filter(|lock| now < lock.until).count();
    let what = format!("all bans ({bans}) and all account locks ({locks})");
    if !has_yes {
        if !std::io::stdin().is_terminal() {
            let failure = Failure::usage(format!("cannot ask for confirmation to remove {what}"));
            return Err(failure.hint("without a terminal, add --yes"));
        }
        if !confirm(&format!("Remove {what}?"))? {
            return Err(Failure::new("cancelled: no bans were removed"));
        }
    }
    match store {
        BanStore::Server(server) => running_server::clear(server)?,
        BanStore::File(file) => edit(file, |found| {
            found.memory.bans.clear();
            found.memory.locks.clear();
            Ok(())
        })?,
    }
    print_error(&format!("removed {what}\n"));
    Ok(())
}

fn read(file: &BanFile) -> Result<BanFileContent, Failure> {
    let found = file
        .read()
        .map_err(|error| Failure::io(format!("cannot read {}", file.path().display()), &error))?;
    if found.bad_lines > 0 {
        let path = file.path().display();
        let count = found.bad_lines;
        print_error(&format!("warning: {path}: invalid lines were ignored: {count}\n"));
    }
    Ok(found)
}

fn edit(
    file: &BanFile,
    change: impl FnOnce(&mut BanFileContent) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error| Failure::io(format!("cannot change {}", file.path().display()), &error);
    let locked = file.lock().map_err(failed)?;
    let mut found = read(file)?;
    change(&mut found)?;
    locked.write(&found.memory).map_err(failed)
}

fn until(time: &str, now: i64) -> Result<i64, Failure> {
    let hint = "write a time such as 30m, 12h or 7d";
    let wrong =
        |why: &str| Failure::usage(format!("invalid --for `{}`: {why}", time.escape_debug()));
    let duration = parse_duration(time).map_err(|why| wrong(&reason(&why, time)).hint(hint))?;
    if duration.as_secs() == 0 {
        return Err(wrong("must be at least 1s").hint(hint));
    }
    let seconds = i64::try_from(duration.as_secs()).ok();
    let until = seconds.and_then(|seconds| now.checked_add(seconds));
    let until = until.filter(|until| Timestamp::from_second(*until).is_ok());
    until.ok_or_else(|| {
        wrong("out of range").hint("without --for, a ban applies until it is removed")
    })
}

fn left(until: i64, now: i64) -> String {
    let seconds = u64::try_from(until.saturating_sub(now)).unwrap_or_default();
    // Seconds are omitted if hours are left.
    let step = if seconds >= 3600 { 60 } else { 1 };
    show_duration(std::time::Duration::from_secs(seconds / step * step))
}

fn by(ban: &Banned) -> &'static str {
    if ban.is_manual { "manual" } else { "logins" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_without_sense_are_rejected() {
        assert_eq!(until("1h", 5), Ok(3605));
        for text in ["", "0s", "5", "100ms", "99999999999d", "soon"] {
            assert!(until(text, 0).is_err(), "{text}");
        }
    }
}
