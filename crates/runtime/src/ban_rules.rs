//! Which bans are valid, and how they are shown.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use wharf_admin::model;
use wharf_config::outcome::{Exit, Failure};
use wharf_server::auth_throttle::{Ban as Banned, Lock};
use wharf_users::file::network_fault;

use crate::ban_file::REASON_BYTES_MAX;

/// A reason is part of one line of the file.
pub fn reject_long(reason: &str) -> Result<(), Failure> {
    if reason.len() > REASON_BYTES_MAX || reason.chars().any(char::is_control) {
        let what = format!("invalid --reason: more than one line or {REASON_BYTES_MAX} bytes");
        return Err(Failure::usage(what).hint("use a shorter text without line breaks"));
    }
    Ok(())
}

/// Parses a network. An IPv6 address stands for its /64, which is usually one customer.
pub fn network(text: &str) -> Result<IpNet, Failure> {
    let hint = "write an address such as 203.0.113.9 or 2001:db8:1:2::7, or a network such as \
                203.0.113.0/24";
    let wrong = || {
        Failure::usage(format!(
            "invalid address `{}`: {}",
            text.escape_debug(),
            network_fault(text)
        ))
        .hint(hint)
    };
    let network = match text.trim().parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(address @ IpAddr::V4(_)) => IpNet::from(address),
        Ok(address @ IpAddr::V6(_)) => IpNet::new(address, 64).map_err(|_| wrong())?,
        Err(_) => text.trim().parse().map_err(|_| wrong())?,
    };
    if network.prefix_len() == 0 {
        let what = format!("invalid network `{}`: it contains all addresses", network.trunc());
        return Err(Failure::usage(what).hint("to reject all clients, stop the server"));
    }
    Ok(network.trunc())
}

/// Addresses in `ban.allow` cannot be banned.
pub fn reject_allowed(networks: &[IpNet], allowed: &[IpNet]) -> Result<(), Failure> {
    let found = networks.iter().find_map(|network| {
        let allowed = allowed.iter().find(|allowed| allowed.contains(network))?;
        Some((network, allowed))
    });
    let Some((network, allowed)) = found else { return Ok(()) };
    let what = format!("cannot ban {}: {allowed} is in ban.allow", shown(*network));
    Err(Failure::new(what).hint("remove it from ban.allow in the configuration first"))
}

/// The error if an account is not locked.
pub fn not_locked(user: &str) -> Failure {
    let what = format!("account `{}` is not locked", user.escape_debug());
    missing(what).hint("list locked accounts:  wharf ban list")
}

/// The error for a ban or a lock that does not exist.
fn missing(what: String) -> Failure {
    Failure { exit: Exit::NotFound, ..Failure::new(what) }
}

/// The error if a network is not banned.
pub fn not_banned(network: IpNet, bans: &[Banned], now: i64) -> Failure {
    let failure = missing(format!("{} is not banned", shown(network)));
    let around = bans.iter().find(|ban| ban.network.contains(&network) && holds(ban, now));
    match around {
        Some(ban) => {
            let around = shown(ban.network);
            failure.hint(format!("it is part of {around}:  wharf ban del {around}"))
        }
        None => failure.hint("list bans:  wharf ban list"),
    }
}

/// Whether it has not expired.
pub fn holds(ban: &Banned, now: i64) -> bool {
    ban.until.is_none_or(|until| now < until)
}

/// A network as text; a single IPv4 address without its prefix length.
pub fn shown(network: IpNet) -> String {
    match network {
        IpNet::V4(network) if network.prefix_len() == 32 => network.addr().to_string(),
        network => network.to_string(),
    }
}

/// A ban as in the API and in `--json`.
pub fn model(ban: &Banned) -> model::Ban {
    model::Ban {
        network: shown(ban.network),
        reason: ban.reason.clone(),
        since: moment(ban.since).unwrap_or_default(),
        until: ban.until.and_then(moment),
        consecutive_bans: ban.times,
        manual: ban.is_manual,
    }
}

/// A locked account as in the API and in `--json`.
pub fn model_of_lock(lock: &Lock) -> model::Lock {
    model::Lock { user: lock.user.clone(), until: moment(lock.until).unwrap_or_default() }
}

/// As in `2026-11-22T12:00:00Z`.
fn moment(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks_are_parsed() {
        for (text, meant) in [
            ("203.0.113.9", "203.0.113.9/32"),
            (" 203.0.113.9/24 ", "203.0.113.0/24"),
            ("::ffff:203.0.113.9", "203.0.113.9/32"),
            ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::7/128", "2001:db8:1:2::7/128"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), meant, "{text}");
        }
        for text in ["", "anna", "203.0.113", "203.0.113.9/33", "0.0.0.0/0", "::/0"] {
            let failure = network(text).unwrap_err();
            assert!(failure.exit == Exit::Usage && failure.hint.is_some(), "{text}");
        }
    }
}
