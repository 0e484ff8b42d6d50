//! What differs between operating systems: signals, limits, who has a port, files for one's eyes.

use std::net::{SocketAddr, TcpListener};

#[cfg(target_os = "linux")]
#[path = "os/footprint_linux.rs"]
mod footprint;
#[cfg(not(target_os = "linux"))]
#[path = "os/footprint_other.rs"]
mod footprint;
#[cfg(unix)]
mod inherited;
#[cfg(target_os = "linux")]
mod ports_linux;
#[cfg(windows)]
#[path = "os/service_windows.rs"]
mod service;
#[cfg(unix)]
mod succession;
#[cfg(windows)]
#[path = "os/succession_windows.rs"]
mod succession;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use inherited::inherited;
#[cfg(windows)]
pub(crate) use service::{SERVICE, announce, become_service};
pub(crate) use succession::{Starter, be_starter, be_successor, is_successor, tell_predecessor};
#[cfg(unix)]
pub(crate) use unix::{
    PORT_REMEDY, Signals, announce, appended, appended_privately, can_change, disk_of, free_files,
    give_to, hold_window, is_administrator, is_journal, is_owner, mask_new_files, may_write,
    mode_if_open, open_to_group, private_file, private_folder, proof_of_life_every,
    raise_file_limit, real_folder, socket_folder, sync_folder,
};
#[cfg(windows)]
pub(crate) use windows::{
    PORT_REMEDY, Signals, appended, appended_privately, can_change, disk_of, free_files,
    hold_window, inherited, is_journal, is_owner, mask_new_files, mode_if_open, open_to_group,
    private_file, private_folder, proof_of_life_every, raise_file_limit, real_folder,
    socket_folder, sync_folder,
};

pub(crate) use footprint::Footprint;

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
pub(crate) enum Asked {
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

/// Who listens on a port, such as `pid 812 (vsftpd)`, where that can be found out.
pub(crate) fn port_owner(port: u16) -> Option<String> {
    #[cfg(target_os = "linux")]
    return ports_linux::port_owner(port);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = port;
        None
    }
}

/// What a manager of services is told, where there is one that wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announced {
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
