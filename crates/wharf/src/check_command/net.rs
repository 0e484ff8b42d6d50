//! The subject `net`: addresses, NAT and firewalls between clients and the server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use wharf_admin::model::{Listener, PassiveFailure};
use wharf_config::Config;
use wharf_config::outcome::Failure;
use wharf_config::value::PublicAddress;
use wharf_runtime::addresses::own_addresses;
use wharf_runtime::os::{Firewall, cloud, container, firewall};
use wharf_runtime::wire;
use wharf_server::diagnostics::is_private;

use super::Subjects;
use super::page::CheckPage;
use super::ports::{permitted_port, shown};

/// The proxy of a container needs memory for each published port.
const PORTS_PUBLISHED_MANY: usize = 200;
/// One failure of so many data connections is not a reason to warn.
const FEW: u64 = 20;

#[expect(clippy::unnecessary_wraps, reason = "other subjects can fail")]
pub(super) fn inspect(subjects: &Subjects<'_>, page: &mut CheckPage) -> Result<(), Failure> {
    let config = subjects.config;
    let listeners: Vec<_> = config.listen.iter().map(wire::listen).collect();
    let own: Vec<IpAddr> = own_addresses().into_iter().filter(|ip| !ip.is_loopback()).collect();
    let mut shown_own = own.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if own.is_empty() {
        "only loopback".clone_into(&mut shown_own);
    }
    page.row("addresses", &shown_own);
    let announced = wire::public_address(&config.passive.public_address);
    if let Err(failure) = &announced {
        page.warn(
            format!(
                "{}; PASV announces another address to outside clients until it is resolved",
                failure.message
            ),
            "check the host name in passive.public_address and the DNS server of this computer; \
             wharf continues and resolves the name again periodically",
        );
    }
    if listeners.iter().all(|listen| listen.address.is_loopback()) {
        page.row("reach", "only clients on this computer (listen.address)");
    } else {
        if let Ok(announced) = announced {
            inspect_public(config, announced, &own, page);
        }
        let ports = match subjects.server() {
            Some(server) => server.listeners.iter().filter_map(port_of).collect(),
            None => listeners.iter().filter_map(permitted_port).collect(),
        };
        inspect_firewall(config, ports, page);
    }
    inspect_range(config, page);
    inspect_server(subjects, page);
    Ok(())
}

/// The address announced to outside clients.
fn inspect_public(
    config: &Config,
    announced: Option<Ipv4Addr>,
    own: &[IpAddr],
    page: &mut CheckPage,
) {
    let ports = &config.passive.ports.0;
    if let Some(container) = container() {
        let count = ports.clone().count();
        let range = shown(ports);
        if announced.is_none() {
            page.warn(
                format!(
                    "wharf runs in a container ({container}), and PASV announces its internal \
                     address, which outside clients cannot reach"
                ),
                format!(
                    "publish the ports (-p 21:21 -p {range}:{range}) and set \
                     passive.public_address to the address of the host"
                ),
            );
        }
        if count > PORTS_PUBLISHED_MANY {
            page.note(
                format!("wharf runs in a container ({container}) with {count} passive ports"),
                "each published port needs memory and time: ten suffice for many clients, \
                 such as passive.ports = \"30000-30009\"; or use the network of the host",
            );
        }
    }
    match announced {
        Some(address) => inspect_announced(address, config, page),
        None => inspect_own(own, page),
    }
}

fn inspect_announced(address: Ipv4Addr, config: &Config, page: &mut CheckPage) {
    let name = match &config.passive.public_address {
        PublicAddress::Name(name) => format!(" ({name}, resolved periodically)"),
        PublicAddress::None | PublicAddress::Address(_) => String::new(),
    };
    page.row("announces", &format!("{address} to clients outside{name}"));
    if is_private(address.into()) {
        page.warn(
            format!("passive.public_address {address} is not reachable from outside"),
            "set it to the public address of the router",
        );
    }
    let near = &config.passive.local_networks.0;
    if near.iter().any(|network| network.prefix_len() == 0) {
        page.warn(
            "passive.public_address has no effect: passive.local_networks contains all \
             addresses",
            "set it to the networks behind the router",
        );
    }
}

/// Without a public address, PASV announces the address that the client connected to.
fn inspect_own(own: &[IpAddr], page: &mut CheckPage) {
    page.row("announces", "the address that each client connected to");
    let mut ipv4 = own.iter().filter(|ip| ip.is_ipv4()).peekable();
    let is_behind_nat = ipv4.peek().is_some() && ipv4.all(|ip| is_private(*ip));
    if is_behind_nat && container().is_none() {
        let place = cloud().map_or_else(
            || "this computer has only private addresses".to_owned(),
            |cloud| format!("this is a virtual machine of {cloud} with a private address"),
        );
        page.note(
            format!("{place}: PASV announces them to outside clients, too"),
            "if there are such clients, set passive.public_address to the public address or host \
             name; otherwise only clients that use EPSV can transfer files",
        );
    }
}

/// The port of a listener of the running server.
fn port_of(listener: &Listener) -> Option<u16> {
    Some(listener.address.parse::<SocketAddr>().ok()?.port())
}

/// Ports to open in firewalls, with the command.
fn inspect_firewall(config: &Config, mut ports: Vec<u16>, page: &mut CheckPage) {
    ports.retain(|port| *port > 0);
    ports.sort_unstable();
    ports.dedup();
    let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
    let (ports, range) = (ports.join(","), config.passive.ports.0.clone());
    let (first, last) = (range.start(), range.end());
    page.row(
        "to open",
        &format!("TCP {ports} and {first}-{last}, in every firewall before the server"),
    );
    let command = match firewall() {
        Some(Firewall::Ufw) => format!("sudo ufw allow {ports},{first}:{last}/tcp"),
        Some(Firewall::Firewalld) => {
            let options = ports.split(',').map(|port| format!("--add-port={port}/tcp "));
            let options: String = options.collect();
            format!(
                "sudo firewall-cmd --permanent {options}--add-port={first}-{last}/tcp && sudo \
                     firewall-cmd --reload"
            )
        }
        Some(Firewall::Windows) => format!(
            "netsh advfirewall firewall add rule name=wharf dir=in action=allow protocol=TCP \
             localport={ports},{first}-{last}"
        ),
        None => String::new(),
    };
    if !command.is_empty() {
        page.row("firewall", &command);
    }
    if let Some(cloud) = cloud() {
        page.note(
            format!("this is a virtual machine of {cloud}, which has its own firewall"),
            format!(
                "allow TCP {ports} and {first}-{last} there, too (security group, network \
                     rules)"
            ),
        );
    }
}

fn inspect_range(config: &Config, page: &mut CheckPage) {
    let range = &config.passive.ports.0;
    let count = u32::try_from(range.clone().count()).unwrap_or(u32::MAX);
    page.row("data ports", &format!("{}, {count} of them", shown(range)));
    let of_address = config.limits.connections_per_ip.number();
    if of_address.is_none_or(|most| most > count) {
        let most = of_address.map_or_else(|| "any number of".to_owned(), |most| most.to_string());
        page.note(
            format!(
                "one address may have {most} sessions, but there are only {count} passive ports: \
                 without TLS, each transfer of an address needs a separate port"
            ),
            "widen passive.ports, or lower limits.connections_per_ip",
        );
    }
}

/// Observations of the running server.
fn inspect_server(subjects: &Subjects<'_>, page: &mut CheckPage) {
    let Some(server) = subjects.server() else {
        page.row("clients", "unknown: no server is running");
        return;
    };
    let failures = &server.passive.failures;
    if failures.is_empty() {
        page.row("clients", "no failed data connections since the start of the server");
        return;
    }
    for failure in failures {
        let PassiveFailure { failed, established, network, observation, detail, .. } = failure;
        let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
        let what = format!(
            "{failed} of {} data connections of {network} failed: {observation}{detail}",
            failed + established
        );
        if failed.saturating_mul(FEW) >= *established {
            page.warn(what, failure.hint.clone());
        } else {
            page.note(what, failure.hint.clone());
        }
    }
}
