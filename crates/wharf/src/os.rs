//! What differs between operating systems: signals, limits, who has a port, files for one's eyes.

#[cfg_attr(unix, path = "os/disk_unix.rs")]
#[cfg_attr(not(unix), path = "os/disk_other.rs")]
mod disk;
#[cfg(target_os = "linux")]
#[path = "os/footprint_linux.rs"]
mod footprint;
#[cfg(not(target_os = "linux"))]
#[path = "os/footprint_other.rs"]
mod footprint;
#[cfg(unix)]
mod inherited;
#[cfg_attr(target_os = "linux", path = "os/network_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "os/network_other.rs")]
mod network;
#[cfg_attr(target_os = "linux", path = "os/ports_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "os/ports_other.rs")]
mod ports;
#[cfg(windows)]
#[path = "os/service_windows.rs"]
mod service;
#[cfg(unix)]
mod succession;
#[cfg(windows)]
#[path = "os/succession_windows.rs"]
mod succession;
#[cfg_attr(unix, path = "os/trusted_path_unix.rs")]
#[cfg_attr(not(unix), path = "os/trusted_path_other.rs")]
mod trusted_path;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::path::Path;

#[cfg(unix)]
pub(crate) use inherited::inherited;
#[cfg(windows)]
pub(crate) use service::{SERVICE, announce, become_service};
pub(crate) use succession::{
    SuccessorStarter, be_starter, be_successor, is_successor, report_to_predecessor,
};
#[cfg(unix)]
pub(crate) use unix::{
    PORT_REMEDY, Signals, SocketFolder, announce, can_change, disk_of, free_files, give_to,
    hold_window, is_administrator, is_executable, is_journal, is_owner, mask_new_files, may_write,
    mode_if_open, open_to_group, private_folder, raise_file_limit, real_folder, sync_folder,
    watchdog_interval,
};
#[cfg(windows)]
pub(crate) use windows::{
    PORT_REMEDY, Signals, SocketFolder, appended, can_change, disk_of, free_files, hold_window,
    inherited, is_journal, is_owner, mask_new_files, mode_if_open, open_to_group, private_folder,
    raise_file_limit, real_folder, sync_folder, watchdog_interval,
};

pub(crate) use footprint::Footprint;
pub(crate) use trusted_path::{Access, TrustedPath, only_root_changes, open_trusted};

/// A listening socket that was open before we started.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// What the one who opened it calls it; may be empty.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    pub(crate) listener: TcpListener,
}

/// What somebody asks of a running server by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignalRequest {
    /// To stop.
    Stop(Stop),
    /// To open its logs anew (SIGUSR1).
    Reopen,
    /// To write how it is into its log (SIGUSR2).
    Summary,
    /// To take note of a new configuration (SIGHUP).
    Reload,
}

/// Why somebody wants the server to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Ctrl+C.
    Interrupt,
    /// A service manager, or `kill`.
    Terminate,
}

/// Who has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PortOwner {
    /// The number of the process.
    pub(crate) pid: u32,
    /// The program's name, as short as the system keeps it.
    pub(crate) name: String,
}

impl fmt::Display for PortOwner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "pid {} ({})", self.pid, self.name)
    }
}

/// Who listens on a port, such as `pid 812 (vsftpd)`, where that can be found out.
pub(crate) fn port_owner(port: u16) -> Option<String> {
    ports::port_owner(port)
}

/// Who has these ports, where that can be found out.
pub(crate) fn port_owners(ports: &BTreeSet<u16>) -> BTreeMap<u16, PortOwner> {
    ports::port_owners(ports)
}

/// The ports from which the system makes connections, where it says so.
pub(crate) fn ephemeral_ports() -> Option<RangeInclusive<u16>> {
    ports::ephemeral_ports()
}

/// Ports that the system does not take for its own connections.
pub(crate) fn reserved_ports() -> Vec<RangeInclusive<u16>> {
    ports::reserved_ports()
}

/// Ports that the system gives to nobody, as Windows does for Hyper-V and others.
pub(crate) fn refused_ports() -> Vec<RangeInclusive<u16>> {
    ports::refused_ports()
}

/// The ranges in what `netsh interface ipv4 show excludedportrange` prints: lines with two numbers,
/// and a star behind those that somebody asked for by hand.
#[cfg_attr(not(any(windows, test)), expect(dead_code, reason = "Windows has netsh"))]
fn excluded_ranges(text: &str) -> Vec<RangeInclusive<u16>> {
    let range = |line: &str| {
        let mut words = line.split_whitespace();
        Some(words.next()?.parse().ok()?..=words.next()?.parse().ok()?)
    };
    text.lines().filter_map(range).collect()
}

/// A program that keeps a firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Firewall {
    /// Of Ubuntu and Debian.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "Linux has it"))]
    Ufw,
    /// Of Fedora and SUSE.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "Linux has it"))]
    Firewalld,
    /// Of Windows.
    #[cfg_attr(target_os = "linux", expect(dead_code, reason = "Windows has it"))]
    Windows,
}

/// The kind of container that this process runs in, if it can be told.
pub(crate) fn container() -> Option<&'static str> {
    network::container()
}

/// The cloud that this machine is of, if it can be told.
pub(crate) fn cloud() -> Option<&'static str> {
    network::cloud()
}

/// The program that keeps this system's firewall, if one is known to be switched on.
pub(crate) fn firewall() -> Option<Firewall> {
    network::firewall()
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileSystem {
    /// Its number.
    pub(crate) device: u64,
    /// Its kind, such as `ext4` or `nfs4`, if it is known.
    pub(crate) kind: Option<String>,
    /// Bytes that are free for everybody.
    pub(crate) free: u64,
    /// Bytes in all.
    pub(crate) total: u64,
    /// How many more files it takes, and how many in all, if it counts them.
    pub(crate) inodes: Option<(u64, u64)>,
    /// Whether nothing can be written there.
    pub(crate) is_read_only: bool,
}

/// The file system of a folder, where the system tells it.
pub(crate) fn file_system(folder: &Path) -> Option<FileSystem> {
    disk::file_system(folder)
}

/// What somebody wants to do with a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FolderAccess {
    /// To reach what is in it.
    Enter,
    /// To list it.
    Read,
    /// To make and remove files in it.
    Write,
}

/// Whether an account, by its number and that of its group, may do something with a folder;
/// without any, whether we may.
pub(crate) fn may(path: &Path, who: Option<(u32, u32)>, wish: FolderAccess) -> bool {
    disk::may(path, who, wish)
}

/// What a manager of services is told, where there is one that wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceState {
    /// Clients are served.
    Ready,
    /// No more clients are taken; transfers finish.
    Stopping,
    /// The configuration is read anew.
    Reloading,
    /// Another process serves in our place; its number.
    Successor(u32),
    /// Nothing hangs.
    Alive,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_that_windows_keeps_are_read_in_any_language() {
        let text = "\r\nProtocol tcp Port Exclusion Ranges\r\n\r\nStart Port    End Port\r\n\
                    ----------    --------\r\n      5357        5357\r\n     50000       50059     \
                    *\r\n\r\n* - Administered port exclusions.\r\n";
        assert_eq!(excluded_ranges(text), [5357..=5357, 50_000..=50_059]);
    }
}
