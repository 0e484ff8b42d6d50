//! Who listens on a port, from `/proc`.

use std::fs;

/// Processes that are looked at; more would make an error message slow.
const PROCESSES_MAX: usize = 20_000;

/// The process that listens on `port`, if we may see it.
pub(super) fn port_owner(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| listening_inode(&table, port))?;
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.take(PROCESSES_MAX).filter_map(Result::ok) {
        let pid = process.file_name().into_string().ok().filter(|name| name.parse::<u32>().is_ok());
        let (Some(pid), Ok(files)) = (pid, fs::read_dir(process.path().join("fd"))) else {
            continue;
        };
        let has_it = files.filter_map(Result::ok).any(|file| {
            fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str())
        });
        if has_it {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("pid {pid} ({})", name.trim()));
        }
    }
    None
}

/// The socket that listens on a port, in a table whose lines read
/// `0: 0100007F:0849 00000000:0000 0A …`: number, local address, remote address, state, and the
/// inode in the tenth column.
fn listening_inode(table: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, hex) = columns.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(hex, 16) == Ok(port) && columns.get(3) == Some(&LISTEN);
        is_it.then(|| columns.get(9).map(|inode| (*inode).to_owned()))?
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
    fn only_listening_sockets_count() {
        let table = "  sl  local_address rem_address   st\n   \
            0: 0100007F:0849 00000000:0000 01 0:0 0:0 0 0 0 11 1\n   \
            1: 0100007F:0849 00000000:0000 0A 0:0 0:0 0 0 0 22 1\n";
        assert_eq!(listening_inode(table, 0x849).as_deref(), Some("22"));
        assert_eq!(listening_inode(table, 0x850), None);
    }
}
