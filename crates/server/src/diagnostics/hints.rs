//! Hints for the administrator: how to fix each cause.

use std::net::Ipv4Addr;

use super::{Cause, is_private};
use crate::settings::Passive;

/// Facts that select the hint for a cause.
pub(super) struct HintFacts<'a> {
    pub(super) announced: Option<Ipv4Addr>,
    /// Whether the client is in `passive.local_networks`.
    pub(super) is_local: bool,
    /// Whether most data connections of the network succeed.
    pub(super) mostly_succeeds: bool,
    pub(super) passive: &'a Passive,
}

pub(super) fn hint(cause: Cause, facts: &HintFacts<'_>) -> String {
    let ports = format!("{}-{}", facts.passive.ports.start(), facts.passive.ports.end());
    match cause {
        Cause::NoConnection => no_connection_hint(facts, &ports),
        Cause::AnnouncedPrivate => {
            let announced = facts.announced.map_or_else(String::new, |ip| format!(" {ip}"));
            format!(
                "no_connection_hint outside can reach{announced}: set passive.public_address to the address \
                 or name by which they reach this server, and forward TCP {ports} to it"
            )
        }
        Cause::OtherAddress => "the client's provider, VPN or proxy sends each of its connections \
                                from another address, which looks like theft of its data and is \
                                refused; have it use one address for FTP, or put a proxy that \
                                names its clients in front (listen.proxy)"
            .to_owned(),
        Cause::OtherPort => format!(
            "something on the way gives the client other ports than PASV reported_at, such as a router \
             with an FTP helper (ALG) or one that forwards {ports} to other numbers: switch the \
             helper off, and forward each port to the same number; TLS hides the replies from it"
        ),
        Cause::TlsFailed => "see what the client says: it may not trust the certificate on the \
                             data connection, want a newer or older TLS (tls.min_version), or \
                             have been cut by a firewall that looks into connections"
            .to_owned(),
        Cause::NotResumed => "tls.session_reuse = \"require\" shuts this client out; \"prefer\" \
                              lets it in from its own address"
            .to_owned(),
        Cause::AmbiguousSession => format!(
            "all of {ports} were in use, so clients of one address shared a port, and this one \
             does not resume TLS sessions: widen passive.ports"
        ),
        Cause::NoPort => format!(
            "all of {ports} were in use by sessions that cannot share one, or taken by other \
             programs (wharf check ports): widen passive.ports, and open the new ones in the \
             firewall too"
        ),
        Cause::System => "the system gave no connection: look at the limit of open files and at \
                          its own log (wharf check fs)"
            .to_owned(),
        Cause::NotReached => "a firewall or NAT before the client lets no connection in: have it \
                              use passive mode; this server's firewall must let it connect out"
            .to_owned(),
        Cause::NamedPrivate => "the client is behind NAT, where active mode cannot work: have it \
                                use passive mode"
            .to_owned(),
    }
}

fn no_connection_hint(facts: &HintFacts<'_>, ports: &str) -> String {
    if facts.mostly_succeeds {
        return format!(
            "most data connections from there do come: some of TCP {ports} may be closed on the \
             way, or a client gave up before it connected"
        );
    }
    match (facts.is_local, facts.announced) {
        (true, _) => format!(
            "a firewall blocks TCP {ports} on this computer or on the way (in a container: they \
             are not published); if these clients are not really in the local network, since a \
             proxy or Docker put its own address in place of theirs, take it out of \
             passive.local_networks"
        ),
        (false, Some(announced)) if is_private(announced.into()) => format!(
            "open TCP {ports} in the firewall, and see that the client has a way to {announced}, \
             a private address; passive.public_address names another"
        ),
        (false, Some(announced)) => format!(
            "open TCP {ports} in the firewall and forward them on the router to this computer, \
             each to the same number; and see that {announced} is the address from which the \
             client can reach it (passive.public_address)"
        ),
        (false, None) => format!(
            "open TCP {ports} in the firewall, and forward them on the router to this computer, \
             each to the same number"
        ),
    }
}
