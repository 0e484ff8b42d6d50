//! Assigns inherited sockets to configured listeners.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};

use wharf_config::outcome::{Exit, Failure};
use wharf_server::settings::Listen;

use crate::os::Inherited;

/// Sockets by the index of their listener in the configuration.
#[derive(Debug, Default)]
pub(super) struct Assigned {
    pub(super) sockets: BTreeMap<usize, TcpListener>,
    /// Notes, such as listeners without socket.
    pub(super) notes: Vec<String>,
}

/// How a socket without listener is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnmatchedSocket {
    /// The start fails: the service manager keeps the socket open, so connections to it would hang.
    Rejected,
    /// It is closed: this process has the last copy.
    Closed,
}

/// Assigns each socket to the listener with its name (`listen.0`, `listen.1`), else to that with
/// its address.
pub(super) fn assign(
    sockets: Vec<Inherited>,
    listeners: &[Listen],
    surplus: UnmatchedSocket,
) -> Result<Assigned, Failure> {
    let mut assigned = Assigned::default();
    if sockets.is_empty() {
        return Ok(assigned);
    }
    for socket in sockets {
        let taken: BTreeSet<usize> = assigned.sockets.keys().copied().collect();
        match (place_of(&socket, listeners, &taken), surplus) {
            (Some(index), _) => drop(assigned.sockets.insert(index, socket.listener)),
            (None, UnmatchedSocket::Rejected) => return Err(no_listener(&socket, listeners)),
            (None, UnmatchedSocket::Closed) => assigned
                .notes
                .push(format!("no configured listener uses {} any more", socket.address)),
        }
    }
    for (index, listener) in listeners.iter().enumerate() {
        if !assigned.sockets.contains_key(&index) {
            assigned.notes.push(format!(
                "listen.{index} ({}) has no inherited socket, so wharf opened it",
                described(listener)
            ));
        }
    }
    Ok(assigned)
}

/// The first unassigned listener that matches by name, else by address.
fn place_of(socket: &Inherited, listeners: &[Listen], taken: &BTreeSet<usize>) -> Option<usize> {
    let named = socket.name.strip_prefix("listen.").and_then(|number| number.parse().ok());
    if let Some(index) = named {
        return (index < listeners.len() && !taken.contains(&index)).then_some(index);
    }
    let free = listeners.iter().enumerate().filter(|(index, _)| !taken.contains(index));
    let fitting = free.filter(|(_, listener)| fits(socket.address, listener));
    // An exact port takes precedence over one chosen by the system.
    fitting.min_by_key(|(_, listener)| listener.ports.contains(&0)).map(|(index, _)| index)
}

fn fits(address: SocketAddr, listener: &Listen) -> bool {
    let has_port = listener.ports.iter().any(|port| *port == 0 || *port == address.port());
    has_port && listener.address.to_canonical() == address.ip().to_canonical()
}

fn no_listener(socket: &Inherited, listeners: &[Listen]) -> Failure {
    let all: Vec<_> = listeners.iter().map(described).collect();
    let name = match socket.name.as_str() {
        "" => String::new(),
        name => format!(" (`{name}`)"),
    };
    let (address, port) = (socket.address.ip(), socket.address.port());
    Failure {
        exit: Exit::ConfigInvalid,
        ..Failure::new(format!(
            "the inherited socket {}{name} matches no configured listener; they \
             are at {}",
            socket.address,
            all.join(", ")
        ))
    }
    .hint(format!(
        "add it to the config:  [[listen]]  address = \"{address}\"  port = {port}   or generate \
         the socket unit again:  wharf service unit --kind socket"
    ))
}

fn described(listener: &Listen) -> String {
    let port = match listener.ports.as_slice() {
        [0] | [] => "any port".to_owned(),
        ports => ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
    };
    format!("{} port {port}", listener.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: &str, ports: &[u16]) -> Listen {
        Listen { address: address.parse().unwrap(), ports: ports.into(), ..Listen::default() }
    }

    fn socket(name: &str) -> Inherited {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Inherited { name: name.into(), address, listener }
    }

    fn places(assigned: &Assigned) -> Vec<usize> {
        assigned.sockets.keys().copied().collect()
    }

    #[test]
    fn a_socket_is_assigned_by_address() {
        let socket = socket("wharf.socket");
        let port = socket.address.port();
        let listeners =
            [listener("127.0.0.1", &[0]), listener("::", &[port]), listener("127.0.0.1", &[port])];
        let assigned = assign(vec![socket], &listeners, UnmatchedSocket::Rejected).unwrap();
        assert_eq!(places(&assigned), [2]);
        assert_eq!(assigned.notes.len(), 2);
        assert!(
            assigned.notes[0].starts_with("listen.0 (127.0.0.1 port any port) has no inherited")
        );
    }

    #[test]
    fn a_socket_name_takes_precedence_over_its_address() {
        let listeners = [listener("::", &[21]), listener("::", &[990])];
        let both = vec![socket("listen.1"), socket("listen.0")];
        let assigned = assign(both, &listeners, UnmatchedSocket::Rejected).unwrap();
        assert_eq!(places(&assigned), [0, 1]);
        assert!(assigned.notes.is_empty());
    }

    #[test]
    fn an_unmatched_socket_fails_the_start_and_lists_both_sides() {
        let failure =
            assign(vec![socket("")], &[listener("::", &[21, 2121])], UnmatchedSocket::Rejected);
        let failure = failure.unwrap_err();
        assert_eq!(failure.exit, Exit::ConfigInvalid);
        assert!(failure.message.contains("they are at :: port 21 or 2121"), "{}", failure.message);
        assert!(failure.hint.unwrap().contains("address = \"127.0.0.1\""));
        for names in [["listen.0", "listen.0"], ["listen.0", "listen.7"]] {
            let sockets = names.map(socket).into();
            assert!(assign(sockets, &[listener("::", &[21])], UnmatchedSocket::Rejected).is_err());
        }
    }

    #[test]
    fn an_unmatched_socket_without_other_owner_is_closed() {
        let assigned =
            assign(vec![socket("")], &[listener("::", &[21])], UnmatchedSocket::Closed).unwrap();
        assert!(assigned.sockets.is_empty());
        assert!(assigned.notes[0].starts_with("no configured listener uses 127.0.0.1:"));
    }

    #[test]
    fn without_sockets_there_are_no_notes() {
        let assigned =
            assign(Vec::new(), &[listener("::", &[21])], UnmatchedSocket::Rejected).unwrap();
        assert!(assigned.sockets.is_empty() && assigned.notes.is_empty());
    }
}
