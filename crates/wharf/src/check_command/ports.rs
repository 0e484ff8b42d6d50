//! The subject `ports`: whether listeners and passive ports are available, and what uses them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use wharf_config::outcome::{Exit, Failure, plain};
use wharf_runtime::addresses::own_addresses;
use wharf_runtime::os::{
    PORT_REMEDY, PortOwner, ephemeral_ports, port_owners, rejected_ports, reserved_ports,
};
use wharf_runtime::wire;
use wharf_server::net::try_address;
use wharf_server::settings;

use super::Subjects;
use super::page::CheckPage;

/// Maximum number of ports whose owners are determined; each needs a search of system tables.
const OWNERS_MAX: usize = 64;

#[expect(clippy::unnecessary_wraps, reason = "other subjects can fail as a whole")]
pub(super) fn inspect(subjects: &Subjects<'_>, page: &mut CheckPage) -> Result<(), Failure> {
    let listeners: Vec<_> = subjects.config.listen.iter().map(wire::listen).collect();
    let own = subjects.server().map(|server| server.pid);
    for listen in &listeners {
        inspect_listener(listen, &listeners, own, page);
    }
    let addresses: BTreeSet<IpAddr> = listeners.iter().map(|listen| listen.address).collect();
    let range = subjects.config.passive.ports.0.clone();
    for address in addresses {
        inspect_range(address, &range, own, page);
    }
    for listen in &listeners {
        if let Some(port) = listen.ports.iter().find(|port| range.contains(port)) {
            page.warn(
                format!("listening port {port} is in the passive port range {}", shown(&range)),
                "set passive.ports to a range without it",
            );
        }
    }
    inspect_system_ranges(&range, page);
    Ok(())
}

/// The port that a start would use: the first one that this system user may use.
pub(super) fn permitted_port(listen: &settings::Listen) -> Option<u16> {
    let is_permitted = |port: &u16| match try_either(SocketAddr::new(listen.address, *port), false)
    {
        Ok(_) => true,
        Err((_, error)) => error.kind() != io::ErrorKind::PermissionDenied,
    };
    listen.ports.iter().copied().find(is_permitted).or_else(|| listen.ports.first().copied())
}

/// Tries the ports of a listener as at start: the next one if permission is denied.
fn inspect_listener(
    listen: &settings::Listen,
    all: &[settings::Listen],
    own: Option<u32>,
    page: &mut CheckPage,
) {
    let has_own_ipv4 = all.iter().any(|other| {
        other.address.is_ipv4() && other.ports.iter().any(|port| listen.ports.contains(port))
    });
    let mut last: Option<(SocketAddr, io::Error)> = None;
    for &port in &listen.ports {
        let at = SocketAddr::new(listen.address, port);
        match try_either(at, !has_own_ipv4) {
            Ok(at) => {
                let at = if port == 0 { at.ip().to_string() } else { at.to_string() };
                let before = last.as_ref().map(|(before, _)| before.port());
                let instead = before.map_or_else(String::new, |before| {
                    format!("; port {before} is not permitted for this system user")
                });
                page.row(&at, &format!("available{instead}"));
                return;
            }
            Err((at, error)) => {
                let is_forbidden = error.kind() == io::ErrorKind::PermissionDenied;
                last = Some((at, error));
                if !is_forbidden {
                    break;
                }
            }
        }
    }
    if let Some((at, error)) = last {
        report_listener(at, &error, own, page);
    }
}

/// Without IPv6, IPv4 still works.
fn try_either(at: SocketAddr, takes_ipv4: bool) -> Result<SocketAddr, (SocketAddr, io::Error)> {
    let lacks_ipv6 = |error: &io::Error| {
        at.is_ipv6()
            && at.ip().is_unspecified()
            && matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
    };
    match try_address(at, takes_ipv4) {
        Ok(()) => Ok(at),
        Err(error) if lacks_ipv6(&error) => {
            let at = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), at.port());
            try_address(at, false).map(|()| at).map_err(|error| (at, error))
        }
        Err(error) => Err((at, error)),
    }
}

fn report_listener(at: SocketAddr, error: &io::Error, own: Option<u32>, page: &mut CheckPage) {
    let port = at.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => match port_owners(&BTreeSet::from([port])).remove(&port) {
            Some(owner) if own == Some(owner.pid) => {
                page.row(&at.to_string(), &format!("in use by the running server, {owner}"));
            }
            owner => {
                let holder = owner.map_or_else(|| UNKNOWN.to_owned(), |owner| owner.to_string());
                page.fail(
                    format!("port {port} is in use by {holder}"),
                    "stop that program, or use another port: listen.port, or -p",
                );
            }
        },
        io::ErrorKind::PermissionDenied => {
            let what = format!("permission denied for port {port}");
            page.failed(
                Failure { exit: Exit::Forbidden, ..Failure::new(what) }
                    .hint(format!("use another (listen.port), or {PORT_REMEDY}")),
            );
        }
        io::ErrorKind::AddrNotAvailable => {
            let own: Vec<_> = own_addresses().iter().map(ToString::to_string).collect();
            page.fail(
                format!("cannot listen on {}: not an address of this computer", at.ip()),
                format!("its addresses are {}; use one of them, or `::` for all", own.join(", ")),
            );
        }
        _ => page.fail(format!("cannot listen on {at}: {}", plain(error)), "see the system log"),
    }
}

const UNKNOWN: &str = "an unknown program (run as root to see it)";

fn inspect_range(
    address: IpAddr,
    range: &RangeInclusive<u16>,
    own: Option<u32>,
    page: &mut CheckPage,
) {
    let mut taken = BTreeSet::new();
    let mut others: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for port in range.clone() {
        if let Err((_, error)) = try_either(SocketAddr::new(address, port), true) {
            match error.kind() {
                io::ErrorKind::AddrInUse => drop(taken.insert(port)),
                // Reported once, for the listener.
                io::ErrorKind::AddrNotAvailable => return,
                _ => drop(others.entry(plain(&error)).or_default().insert(port)),
            }
        }
    }
    let owners = port_owners(&taken.iter().copied().take(OWNERS_MAX).collect());
    let is_ours = |owner: &PortOwner| own == Some(owner.pid);
    let ours: BTreeSet<u16> =
        owners.iter().filter_map(|(port, owner)| is_ours(owner).then_some(*port)).collect();
    let count = range.clone().count();
    let lost = taken.len() - ours.len() + others.values().map(BTreeSet::len).sum::<usize>();
    let name = if address.is_unspecified() { String::new() } else { format!(" on {address}") };
    let of_server = match ours.len() {
        0 => String::new(),
        number => format!(", {number} of them in use by the running server"),
    };
    if lost == 0 {
        page.row(
            &shown(range),
            &format!("all {count} passive ports are available{name}{of_server}"),
        );
        return;
    }
    page.row(
        &shown(range),
        &format!("{} of {count} passive ports are available{name}{of_server}", count - lost),
    );
    let mut busy: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for port in taken.difference(&ours) {
        let owner = owners.get(port).map_or_else(|| UNKNOWN.to_owned(), ToString::to_string);
        busy.entry(format!("in use by {owner}")).or_default().insert(*port);
    }
    busy.extend(others);
    for (why, ports) in busy {
        let ports_shown = list(&ports);
        let plural = if ports.len() == 1 { "port" } else { "ports" };
        let what = format!("passive {plural} {ports_shown}{name}: {why}");
        let hint = "wharf skips them; stop that program, or use another range: \
                      passive.ports";
        if lost == count {
            page.fail(what, hint);
        } else {
            page.warn(what, hint);
        }
    }
}

/// Ports of the range that the system reserves or uses itself.
fn inspect_system_ranges(range: &RangeInclusive<u16>, page: &mut CheckPage) {
    for reserved_range in
        rejected_ports().iter().filter(|reserved_range| overlaps(reserved_range, range))
    {
        page.warn(format!("the system reserves the ports {}", shown(reserved_range)), PORT_REMEDY);
    }
    let reserved = reserved_ports();
    let Some(ephemeral) = ephemeral_ports().filter(|ephemeral| overlaps(ephemeral, range)) else {
        return;
    };
    let is_reserved =
        |port: &u16| reserved.iter().any(|reserved_range| reserved_range.contains(port));
    if range.clone().filter(|port| ephemeral.contains(port)).all(|port| is_reserved(&port)) {
        return;
    }
    page.note(
        format!(
            "the ephemeral port range {} of the system overlaps the passive ports {}: some can \
             be in use",
            shown(&ephemeral),
            shown(range)
        ),
        format!(
            "reserve them:  sysctl -w net.ipv4.ip_local_reserved_ports={}   or use lower ports",
            shown(range)
        ),
    );
}

fn overlaps(one: &RangeInclusive<u16>, other: &RangeInclusive<u16>) -> bool {
    one.start() <= other.end() && other.start() <= one.end()
}

pub(super) fn shown(range: &RangeInclusive<u16>) -> String {
    if range.start() == range.end() {
        return range.start().to_string();
    }
    format!("{}-{}", range.start(), range.end())
}

/// As in `30000, 30005-30007`.
fn list(ports: &BTreeSet<u16>) -> String {
    let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
    for &port in ports {
        match ranges.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(port) => *last = *last.start()..=port,
            _ => ranges.push(port..=port),
        }
    }
    ranges.iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_a_row_are_one_range() {
        assert_eq!(list(&BTreeSet::from([7, 5, 6, 9, 65_535])), "5-7, 9, 65535");
        assert_eq!(list(&BTreeSet::new()), "");
    }

    #[test]
    fn ranges_meet_at_their_ends() {
        assert!(overlaps(&(1..=5), &(5..=9)) && overlaps(&(5..=9), &(1..=5)));
        assert!(!overlaps(&(1..=4), &(5..=9)));
    }
}
