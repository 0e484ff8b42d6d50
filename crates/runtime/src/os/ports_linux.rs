//! Finds the process that uses a port, from `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;

use super::PortOwner;

/// Maximum number of processes examined, so that error messages stay fast.
const PROCESSES_MAX: usize = 20_000;

/// The process that listens on `port`, if it is visible to us.
pub(super) fn port_owner(port: u16) -> Option<String> {
    port_owners(&BTreeSet::from([port])).remove(&port).map(|owner| owner.to_string())
}

/// The processes that use these ports, as far as they are visible: listeners, or else those with a
/// connection from the port.
pub(super) fn port_owners(ports: &BTreeSet<u16>) -> BTreeMap<u16, PortOwner> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables: Vec<_> = tables.iter().filter_map(|table| fs::read_to_string(table).ok()).collect();
    let mut ports_of: BTreeMap<String, u16> = BTreeMap::new();
    for port in ports {
        let tables = || tables.iter().map(String::as_str);
        let listening = || tables().find_map(|table| inode(table, *port, Some(LISTEN)));
        let connected = || tables().find_map(|table| inode(table, *port, None));
        if let Some(inode) = listening().or_else(connected) {
            ports_of.insert(format!("socket:[{inode}]"), *port);
        }
    }
    let mut owners = BTreeMap::new();
    let Ok(processes) = fs::read_dir("/proc") else { return owners };
    for process in processes.take(PROCESSES_MAX).filter_map(Result::ok) {
        if owners.len() == ports_of.len() {
            break;
        }
        let pid = process.file_name().into_string().ok().and_then(|name| name.parse().ok());
        let (Some(pid), Ok(files)) = (pid, fs::read_dir(process.path().join("fd"))) else {
            continue;
        };
        for file in files.filter_map(Result::ok) {
            let target = fs::read_link(file.path()).ok();
            let port = target.and_then(|target| ports_of.get(target.to_str()?));
            if let Some(port) = port {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                let owner = || PortOwner { pid, name: name.trim().to_owned() };
                owners.entry(*port).or_insert_with(owner);
            }
        }
    }
    owners
}

/// The ephemeral port range.
pub(super) fn ephemeral_ports() -> Option<RangeInclusive<u16>> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut words = text.split_whitespace();
    Some(words.next()?.parse().ok()?..=words.next()?.parse().ok()?)
}

/// Ports reserved in the ephemeral range.
pub(super) fn reserved_ports() -> Vec<RangeInclusive<u16>> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports");
    text.map(|text| ranges(text.trim())).unwrap_or_default()
}

/// None on Linux.
pub(super) fn rejected_ports() -> Vec<RangeInclusive<u16>> {
    Vec::new()
}

/// Parses lists such as `30000-30999,40000`.
fn ranges(text: &str) -> Vec<RangeInclusive<u16>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.split(',').filter_map(range).collect()
}

/// The state code of a listening socket.
const LISTEN: &str = "0A";

/// The socket on a port, in a table whose lines read
/// `0: 0100007F:0849 00000000:0000 0A …`: number, local address, remote address, state, and the
/// inode in the tenth column.
fn inode(table: &str, port: u16, state: Option<&str>) -> Option<String> {
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, hex) = columns.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(hex, 16) == Ok(port)
            && state.is_none_or(|state| columns.get(3) == Some(&state));
        // A connection in TIME_WAIT has no inode.
        let inode = columns.get(9).filter(|inode| **inode != "0");
        is_it.then(|| inode.map(|inode| (*inode).to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let owner = port_owner(listener.local_addr().unwrap().port()).unwrap();
        assert!(owner.starts_with(&format!("pid {} (", std::process::id())), "{owner}");
    }

    #[test]
    fn listening_sockets_count_first() {
        let table = "  sl  local_address rem_address   st\n   \
            0: 0100007F:0849 00000000:0000 01 0:0 0:0 0 0 0 11 1\n   \
            1: 0100007F:0849 00000000:0000 0A 0:0 0:0 0 0 0 22 1\n   \
            2: 0100007F:0850 00000000:0000 06 0:0 0:0 0 0 0 0 1\n";
        assert_eq!(inode(table, 0x849, Some(LISTEN)).as_deref(), Some("22"));
        assert_eq!(inode(table, 0x849, None).as_deref(), Some("11"));
        assert_eq!(inode(table, 0x850, None), None);
    }

    #[test]
    fn reserved_ports_are_read_as_the_kernel_writes_them() {
        assert_eq!(ranges("30000-30999,40000"), [30_000..=30_999, 40_000..=40_000]);
        assert_eq!(ranges(""), []);
    }
}
