//! Hints for the administrator: how to fix each cause.

use std::net::Ipv4Addr;

use super::{Cause, is_private};
use crate::settings::PassiveSettings;

/// Facts that select the hint for a cause.
pub(super) struct HintFacts<'a> {
    pub(super) announced: Option<Ipv4Addr>,
    /// Whether the client is in `passive.local_networks`.
    pub(super) is_local: bool,
    /// Whether most data connections of the network succeed.
    pub(super) mostly_succeeds: bool,
    pub(super) passive: &'a PassiveSettings,
}

pub(super) fn hint(cause: Cause, facts: &HintFacts<'_>) -> String {
    let ports = format!("{}-{}", facts.passive.ports.start(), facts.passive.ports.end());
    match cause {
        Cause::NoConnection => no_connection_hint(facts, &ports),
        Cause::AnnouncedPrivate => {
            let announced = facts.announced.map_or_else(String::new, |ip| format!(" {ip}"));
            format!(
                "the private address{announced} cannot be reached from the Internet: set \
                 passive.public_address to the public address or host name of this server, and \
                 forward TCP {ports} to it"
            )
        }
        Cause::OtherAddress => {
            "the client's provider, VPN or proxy uses several source addresses, \
                                and data connections from another address are rejected (port \
                                theft); use one address for FTP, or a proxy that sends PROXY \
                                headers (listen.proxy)"
                .to_owned()
        }
        Cause::OtherPort => format!(
            "a router between client and server changes the announced ports, such as one with an \
             FTP helper (ALG), or one that forwards {ports} to other numbers: disable the helper, \
             and forward each port to the same number; TLS hides the replies from it"
        ),
        Cause::TlsFailed => "check the error that the client reports: it may not trust the \
                             certificate, require a newer or older TLS version (tls.min_version), \
                             or be behind a firewall that inspects connections"
            .to_owned(),
        Cause::NotResumed => "tls.session_reuse = \"require\" rejects this client; \"prefer\" \
                              accepts it from its own address"
            .to_owned(),
        Cause::AmbiguousSession => format!(
            "all of {ports} were in use, so clients of one address shared a port, and this one \
             does not resume TLS sessions: widen passive.ports"
        ),
        Cause::NoPort => format!(
            "all of {ports} were in use by sessions that cannot share one, or by other programs \
             (wharf check ports): widen passive.ports, and open the new ones in the firewall too"
        ),
        Cause::System => "the operating system rejected a connection: check the limit of open \
                          files and the system log (wharf check fs)"
            .to_owned(),
        Cause::NotReached => "a firewall or NAT of the client blocks incoming connections: use \
                              passive mode in the client; the firewall of this server must allow \
                              outgoing connections"
            .to_owned(),
        Cause::NamedPrivate => "the client is behind NAT, where active mode cannot work: use \
                                passive mode in the client"
            .to_owned(),
    }
}

fn no_connection_hint(facts: &HintFacts<'_>, ports: &str) -> String {
    if facts.mostly_succeeds {
        return format!(
            "most data connections of this network succeed: a firewall may block some of TCP \
             {ports}, or a client disconnected before it opened one"
        );
    }
    match (facts.is_local, facts.announced) {
        (true, _) => format!(
            "a firewall blocks TCP {ports} on this computer or in the network (in a container: \
             they are not published); if these clients are not really in the local network, since \
             a proxy or Docker replaces their address with its own, remove that address from \
             passive.local_networks"
        ),
        (false, Some(announced)) if is_private(announced.into()) => format!(
            "open TCP {ports} in the firewall, and check that the client can reach {announced}, \
             a private address; passive.public_address sets another"
        ),
        (false, Some(announced)) => format!(
            "open TCP {ports} in the firewall and forward them on the router to this computer, \
             each to the same number; check that the client can reach {announced} \
             (passive.public_address)"
        ),
        (false, None) => format!(
            "open TCP {ports} in the firewall, and forward them on the router to this computer, \
             each to the same number"
        ),
    }
}
