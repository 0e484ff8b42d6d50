//! The addresses of this computer, and those at which clients reach the server.

use std::net::{IpAddr, SocketAddr};

use wharf_server::settings::ListenTls;

/// An address for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    at: SocketAddr,
    is_implicit: bool,
}

impl ServerAddress {
    /// As a URL. The default ports, 21 and 990 for ftps, are omitted.
    pub fn url(&self) -> String {
        let (scheme, usual) = if self.is_implicit { ("ftps", 990) } else { ("ftp", 21) };
        let host = match self.at.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        if self.at.port() == usual {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.at.port())
        }
    }

    /// Whether it is reachable on this computer only.
    pub fn is_local(&self) -> bool {
        self.at.ip().is_loopback()
    }
}

/// The addresses of the listeners; an unspecified one stands for all addresses of this computer.
pub fn addresses(listeners: &[(SocketAddr, ListenTls)], own: &[IpAddr]) -> Vec<ServerAddress> {
    let mut found: Vec<ServerAddress> = Vec::new();
    for (at, tls) in listeners {
        let ips: Vec<IpAddr> = match at.ip() {
            // `::` includes IPv4, and IPv4 addresses are easier to type.
            IpAddr::V6(ip) if ip.is_unspecified() => own.to_vec(),
            IpAddr::V4(ip) if ip.is_unspecified() => {
                own.iter().copied().filter(IpAddr::is_ipv4).collect()
            }
            ip => vec![ip.to_canonical()],
        };
        for ip in ips {
            let at = SocketAddr::new(ip, at.port());
            let address = ServerAddress { at, is_implicit: *tls == ListenTls::Implicit };
            if !found.contains(&address) {
                found.push(address);
            }
        }
    }
    found
}

/// The addresses of this computer, loopback first, then IPv4, without those that need a zone.
pub fn own_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<IpAddr> = interfaces
        .iter()
        .filter(|interface| !interface.addr.is_link_local())
        .map(|interface| interface.addr.ip())
        .collect();
    if addresses.is_empty() {
        addresses.push(IpAddr::from([127, 0, 0, 1]));
    }
    addresses.sort_by_key(|ip| (!ip.is_loopback(), ip.is_ipv6(), *ip));
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_ports_are_omitted_and_ipv6_is_in_brackets() {
        let urls = |listeners: &[(&str, ListenTls)]| {
            let listeners: Vec<_> =
                listeners.iter().map(|(at, tls)| (at.parse().unwrap(), *tls)).collect();
            let own: Vec<IpAddr> =
                ["127.0.0.1", "192.0.2.7", "2001:db8::7"].map(|ip| ip.parse().unwrap()).to_vec();
            addresses(&listeners, &own).iter().map(ServerAddress::url).collect::<Vec<_>>()
        };
        assert_eq!(
            urls(&[("[::]:21", ListenTls::Explicit)]),
            ["ftp://127.0.0.1", "ftp://192.0.2.7", "ftp://[2001:db8::7]"]
        );
        assert_eq!(
            urls(&[("0.0.0.0:2121", ListenTls::Off), ("[::1]:990", ListenTls::Implicit)]),
            ["ftp://127.0.0.1:2121", "ftp://192.0.2.7:2121", "ftps://[::1]"]
        );
    }
}
