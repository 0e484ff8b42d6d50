//! The subject `net`: how clients find their way here, and what stands in between.

use std::net::{IpAddr, Ipv4Addr};

use wharf_admin::model::PassiveFailure;
use wharf_server::diagnostics::is_private;
use wharf_server::settings;

use super::Subjects;
use super::page::Page;
use super::ports::shown;
use crate::config::Config;
use crate::config::value::PublicAddress;
use crate::os::{Firewall, cloud, container, firewall};
use crate::outcome::Failure;
use crate::panel::own_addresses;
use crate::wire;

/// A container's proxy takes memory for each port that is published.
const PORTS_PUBLISHED_MANY: usize = 200;
/// Of so many data connections that came to be, one that did not is no reason to warn.
const FEW: u64 = 20;

#[expect(clippy::unnecessary_wraps, reason = "other subjects can fail")]
pub(super) fn look(subjects: &Subjects<'_>, page: &mut Page) -> Result<(), Failure> {
    let config = subjects.config;
    let listeners: Vec<_> = config.listen.iter().map(wire::listen).collect();
    let own: Vec<IpAddr> = own_addresses().into_iter().filter(|ip| !ip.is_loopback()).collect();
    let mut shown_own = own.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if own.is_empty() {
        "loopback alone".clone_into(&mut shown_own);
    }
    page.row("addresses", &shown_own);
    let announced = wire::public_address(&config.passive.public_address);
    if let Err(failure) = &announced {
        page.warn(
            format!(
                "{}; clients from outside are told another address until it can be",
                failure.message
            ),
            "is the name in passive.public_address right, and does this computer's name server \
             answer? wharf serves meanwhile, and looks it up again and again",
        );
    }
    if listeners.iter().all(|listen| listen.address.is_loopback()) {
        page.row("reach", "clients of this computer alone (listen.address)");
    } else {
        if let Ok(announced) = announced {
            look_at_public(config, announced, &own, page);
        }
        look_at_firewall(config, &listeners, page);
    }
    look_at_range(config, page);
    look_at_server(subjects, page);
    Ok(())
}

/// What clients outside are told.
fn look_at_public(config: &Config, announced: Option<Ipv4Addr>, own: &[IpAddr], page: &mut Page) {
    let ports = &config.passive.ports.0;
    if let Some(container) = container() {
        let count = ports.clone().count();
        let range = shown(ports);
        if announced.is_none() {
            page.warn(
                format!(
                    "this is a container ({container}), and clients outside of it are told its own \
                     address, which they cannot reach"
                ),
                format!(
                    "publish the ports (-p 21:21 -p {range}:{range}) and set \
                     passive.public_address to the address of the computer that it runs on"
                ),
            );
        }
        if count > PORTS_PUBLISHED_MANY {
            page.note(
                format!("this is a container ({container}), and there are {count} passive ports"),
                "each that is published costs memory and time: ten are enough for many clients, \
                 such as passive.ports = \"30000-30009\"; or use the network of the computer",
            );
        }
    }
    match announced {
        Some(address) => look_at_announced(address, config, page),
        None => look_at_own(own, page),
    }
}

fn look_at_announced(address: Ipv4Addr, config: &Config, page: &mut Page) {
    let name = match &config.passive.public_address {
        PublicAddress::Name(name) => format!(" ({name}, looked up again and again)"),
        PublicAddress::None | PublicAddress::Address(_) => String::new(),
    };
    page.row("announces", &format!("{address} to clients outside{name}"));
    if is_private(address.into()) {
        page.warn(
            format!("passive.public_address is {address}, which nobody outside can reach"),
            "set it to the address of the router, as clients see it",
        );
    }
    let near = &config.passive.local_networks.0;
    if near.iter().any(|network| network.prefix_len() == 0) {
        page.warn(
            "passive.local_networks takes everybody for near, so nobody is told \
             passive.public_address",
            "name the networks behind the router alone",
        );
    }
}

/// Without a public address, clients are told the one at which they came.
fn look_at_own(own: &[IpAddr], page: &mut Page) {
    page.row("announces", "the address at which each client reached this server");
    let mut ipv4 = own.iter().filter(|ip| ip.is_ipv4()).peekable();
    let is_behind_nat = ipv4.peek().is_some() && ipv4.all(|ip| is_private(*ip));
    if is_behind_nat && container().is_none() {
        let place = cloud().map_or_else(
            || "this computer has private addresses alone".to_owned(),
            |cloud| format!("this is a machine of {cloud} with a private address"),
        );
        page.note(
            format!("{place}: PASV tells them to clients from outside as well"),
            "if there are such clients, set passive.public_address to the address or name by \
             which they reach it; without, only those that use EPSV get data",
        );
    }
}

/// What to open, and how.
fn look_at_firewall(config: &Config, listeners: &[settings::Listen], page: &mut Page) {
    let mut doors: Vec<u16> =
        listeners.iter().filter_map(|one| one.ports.first().copied()).collect();
    doors.retain(|port| *port > 0);
    doors.sort_unstable();
    doors.dedup();
    let doors: Vec<_> = doors.iter().map(ToString::to_string).collect();
    let (doors, range) = (doors.join(","), config.passive.ports.0.clone());
    let (first, last) = (range.start(), range.end());
    page.row("to open", &format!("TCP {doors} and {first}-{last}, in every firewall on the way"));
    let command = match firewall() {
        Some(Firewall::Ufw) => format!("sudo ufw allow {doors},{first}:{last}/tcp"),
        Some(Firewall::Firewalld) => {
            let ports = doors.split(',').map(|port| format!("--add-port={port}/tcp "));
            let ports: String = ports.collect();
            format!(
                "sudo firewall-cmd --permanent {ports}--add-port={first}-{last}/tcp && sudo \
                     firewall-cmd --reload"
            )
        }
        Some(Firewall::Windows) => format!(
            "netsh advfirewall firewall add rule name=wharf dir=in action=allow protocol=TCP \
             localport={doors},{first}-{last}"
        ),
        None => String::new(),
    };
    if !command.is_empty() {
        page.row("firewall", &command);
    }
    if let Some(cloud) = cloud() {
        page.note(
            format!("this is a machine of {cloud}, which has a firewall of its own outside of it"),
            format!(
                "let TCP {doors} and {first}-{last} in there too (security group, network \
                     rules)"
            ),
        );
    }
}

fn look_at_range(config: &Config, page: &mut Page) {
    let range = &config.passive.ports.0;
    let count = u32::try_from(range.clone().count()).unwrap_or(u32::MAX);
    page.row("data ports", &format!("{}, {count} of them", shown(range)));
    let of_address = config.limits.connections_per_ip.number();
    if of_address.is_none_or(|most| most > count) {
        let most = of_address.map_or_else(|| "any number of".to_owned(), |most| most.to_string());
        page.note(
            format!(
                "one address may have {most} sessions, but there are {count} passive ports: \
                 without TLS each transfer of one address needs a port of its own"
            ),
            "widen passive.ports, or lower limits.connections_per_ip",
        );
    }
}

/// What the running server has seen of its clients.
fn look_at_server(subjects: &Subjects<'_>, page: &mut Page) {
    let Some(server) = subjects.server() else {
        page.row("clients", "no server is running that could tell how they fare");
        return;
    };
    let failures = &server.passive.failures;
    if failures.is_empty() {
        page.row("clients", "the running server has seen no data connection fail");
        return;
    }
    for failure in failures {
        let PassiveFailure { failed, arrived, network, seen, detail, .. } = failure;
        let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
        let what = format!(
            "{failed} of {} data connections of {network} failed: {seen}{detail}",
            failed + arrived
        );
        if failed.saturating_mul(FEW) >= *arrived {
            page.warn(what, failure.remedy.clone());
        } else {
            page.note(what, failure.remedy.clone());
        }
    }
}
