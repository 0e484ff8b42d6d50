//! Operating-system specific code: signals, limits, port owners, private files.

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
pub(crate) use service::announce;
#[cfg(windows)]
pub use service::{SERVICE, become_service};
pub(crate) use succession::SuccessorStarter;
pub use succession::{be_starter, be_successor, is_successor, report_to_predecessor};
#[cfg(unix)]
pub use unix::{
    HeldSignals, PORT_REMEDY, Signals, can_change, change_owner, hold_signals, hold_window,
    is_administrator, is_journal, is_owner, may_write, private_folder, raise_file_limit,
    real_folder,
};
#[cfg(unix)]
pub(crate) use unix::{
    SocketFolder, announce, disk_of, free_files, is_executable, mask_new_files, mode_if_open,
    open_to_group, sync_folder, watchdog_interval,
};
#[cfg(windows)]
pub use windows::{
    HeldSignals, PORT_REMEDY, Signals, appended, can_change, hold_signals, hold_window, is_journal,
    is_owner, private_folder, raise_file_limit, real_folder,
};
#[cfg(windows)]
pub(crate) use windows::{
    SocketFolder, disk_of, free_files, inherited, is_executable, mask_new_files, mode_if_open,
    open_to_group, sync_folder, watchdog_interval,
};

pub(crate) use footprint::ProcessUsage;
pub(crate) use trusted_path::{Access, TrustedPath};
pub use trusted_path::{only_root_changes, open_trusted};

/// A listening socket inherited at the start.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// Its name from the process that opened it; may be empty.
    pub(crate) name: String,
    /// Its listen address.
    pub(crate) address: SocketAddr,
    pub(crate) listener: TcpListener,
}

/// A request by signal to a running server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalRequest {
    /// Stop.
    Stop(StopReason),
    /// Reopen the logs (SIGUSR1).
    Reopen,
    /// Log a status summary (SIGUSR2).
    Summary,
    /// Reload the configuration (SIGHUP).
    Reload,
}

/// Why the server is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Ctrl+C.
    Interrupt,
    /// SIGTERM of a service manager or `kill`.
    Terminate,
}

/// The process that uses a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortOwner {
    /// The process ID.
    pub pid: u32,
    /// The program's name, as truncated by the system.
    pub(crate) name: String,
}

impl fmt::Display for PortOwner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "pid {} ({})", self.pid, self.name)
    }
}

/// The process that listens on a port, such as `pid 812 (vsftpd)`, if it can be determined.
pub(crate) fn port_owner(port: u16) -> Option<String> {
    ports::port_owner(port)
}

/// The processes that use these ports, if they can be determined.
pub fn port_owners(ports: &BTreeSet<u16>) -> BTreeMap<u16, PortOwner> {
    ports::port_owners(ports)
}

/// The ephemeral port range of the system, if known.
pub fn ephemeral_ports() -> Option<RangeInclusive<u16>> {
    ports::ephemeral_ports()
}

/// Ports that the system excludes from the ephemeral range.
pub fn reserved_ports() -> Vec<RangeInclusive<u16>> {
    ports::reserved_ports()
}

/// Ports that no process can use, as those reserved by Windows for Hyper-V.
pub fn rejected_ports() -> Vec<RangeInclusive<u16>> {
    ports::rejected_ports()
}

/// Parses the output of `netsh interface ipv4 show excludedportrange`: lines with two numbers, and
/// a star after those added by an administrator.
#[cfg_attr(not(any(windows, test)), expect(dead_code, reason = "Windows has netsh"))]
fn excluded_ranges(text: &str) -> Vec<RangeInclusive<u16>> {
    let range = |line: &str| {
        let mut words = line.split_whitespace();
        Some(words.next()?.parse().ok()?..=words.next()?.parse().ok()?)
    };
    text.lines().filter_map(range).collect()
}

/// A firewall program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// Of Ubuntu and Debian.
    Ufw,
    /// Of Fedora and SUSE.
    Firewalld,
    /// Of Windows.
    Windows,
}

/// The kind of container that this process runs in, if it can be detected.
pub fn container() -> Option<&'static str> {
    network::container()
}

/// The cloud provider of this machine, if it can be detected.
pub fn cloud() -> Option<&'static str> {
    network::cloud()
}

/// The active firewall program, if one is detected.
pub fn firewall() -> Option<Firewall> {
    network::firewall()
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its device number.
    pub device: u64,
    /// Its kind, such as `ext4` or `nfs4`, if it is known.
    pub kind: Option<String>,
    /// Bytes available to unprivileged users.
    pub free: u64,
    /// Total bytes.
    pub total: u64,
    /// Free and total inodes, if it counts them.
    pub inodes: Option<(u64, u64)>,
    /// Whether it is mounted read-only.
    pub is_read_only: bool,
}

/// The file system of a folder, if known.
pub fn file_system(folder: &Path) -> Option<FileSystem> {
    disk::file_system(folder)
}

/// A kind of access to a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderAccess {
    /// Access to its entries (search permission).
    Enter,
    /// Listing.
    Read,
    /// Creating and removing files in it.
    Write,
}

/// Whether a system user, given by UID and GID, has this access to a folder; `None` is this
/// process.
pub fn may(path: &Path, identity: Option<(u32, u32)>, wish: FolderAccess) -> bool {
    disk::may(path, identity, wish)
}

/// A state that is reported to the service manager (`sd_notify`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceState {
    /// Serving clients.
    Ready,
    /// No new clients are accepted; transfers finish.
    Stopping,
    /// The configuration is being reloaded.
    Reloading,
    /// A successor process serves; its process ID.
    Successor(u32),
    /// Watchdog keep-alive.
    Alive,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ranges_of_windows_are_parsed_in_any_language() {
        let text = "\r\nProtocol tcp Port Exclusion Ranges\r\n\r\nStart Port    End Port\r\n\
                    ----------    --------\r\n      5357        5357\r\n     50000       50059     \
                    *\r\n\r\n* - Administered port exclusions.\r\n";
        assert_eq!(excluded_ranges(text), [5357..=5357, 50_000..=50_059]);
    }
}
