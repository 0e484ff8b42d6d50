//! Windows: console signals; sockets have no limit to raise, and files inherit their permissions.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};
use wharf_config::outcome::print_error;

use super::service::next_service_control;
use super::{Inherited, SignalRequest, StopReason};

/// How to handle a denied port: another program uses it exclusively, or Windows reserves it, as for
/// Hyper-V.
pub const PORT_REMEDY: &str = "list the ports that Windows reserves:  netsh interface ipv4 \
                                      show excludedportrange protocol=tcp";

/// The signals that stop a server.
#[derive(Debug)]
pub struct Signals {
    interrupt: CtrlC,
    pause: CtrlBreak,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl Signals {
    /// Installs the signal handlers.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: ctrl_c()?,
            pause: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// Waits for the next signal. Cancel safe: signals are remembered.
    ///
    /// After the window is closed or the computer shuts down, Windows terminates the process within
    /// seconds.
    pub async fn next(&mut self) -> SignalRequest {
        tokio::select! {
            // Keys pressed in a terminal come first; the others can wait.
            biased;
            _ = self.interrupt.recv() => SignalRequest::Stop(StopReason::Interrupt),
            _ = self.pause.recv() => SignalRequest::Stop(StopReason::Interrupt),
            _ = self.close.recv() => SignalRequest::Stop(StopReason::Terminate),
            _ = self.shutdown.recv() => SignalRequest::Stop(StopReason::Terminate),
            requested = next_service_control() => requested,
        }
    }
}

/// Socket activation is not supported.
#[expect(
    clippy::unnecessary_wraps,
    reason = "other systems pass sockets, some of which are invalid"
)]
pub(crate) fn inherited() -> Result<Vec<Inherited>, String> {
    Ok(Vec::new())
}

/// Does nothing.
pub fn raise_file_limit() {}

/// There is no relevant limit.
pub(crate) fn free_files() -> Option<u64> {
    None
}

/// Whether a file is executable, by its suffix.
pub(crate) fn is_executable(path: &Path) -> bool {
    let suffix = path.extension().unwrap_or_default().to_ascii_lowercase();
    ["exe", "bat", "cmd", "com", "ps1"].iter().any(|known| suffix == *known)
}

/// Options for appending to a file.
pub fn appended() -> OpenOptions {
    let mut options = File::options();
    options.append(true).create(true);
    options
}

/// Nothing: Windows has no such signals.
#[derive(Debug)]
pub struct HeldSignals;

/// Does nothing.
pub fn hold_signals() -> HeldSignals {
    HeldSignals
}

impl HeldSignals {
    /// Does nothing.
    pub fn restore_defaults(self) {}

    /// Does nothing.
    pub fn leave_to_server(self) {}
}

/// Does nothing: new files inherit the permissions of their folder.
pub(crate) fn mask_new_files() {}

/// Creates a folder and its missing parents.
pub fn private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Not used: a named pipe has no folder.
#[derive(Debug)]
pub(crate) struct SocketFolder;

impl SocketFolder {
    /// Does nothing.
    #[expect(clippy::unnecessary_wraps, reason = "other systems create folders")]
    pub(crate) fn of(_socket: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    /// None was created.
    #[expect(clippy::unused_self, reason = "other systems create folders")]
    pub(crate) fn made(&self) -> Option<&Path> {
        None
    }

    /// The path itself.
    #[expect(clippy::unused_self, reason = "other systems keep a folder open")]
    pub(crate) fn socket_path(&self, socket: &Path) -> PathBuf {
        socket.to_owned()
    }
}

/// Does nothing: a named pipe has no folder.
pub(crate) fn open_to_group(_folder: &Path, _group: u32) -> io::Result<()> {
    Ok(())
}

/// Windows has no permission bits.
pub(crate) fn mode_if_open(_: &File) -> Option<u32> {
    None
}

/// The absolute path of an existing folder. Links are kept: the canonical path is hard to read
/// (`\\?\E:\work`).
pub fn real_folder(path: &Path) -> io::Result<PathBuf> {
    fs::metadata(path)?;
    std::path::absolute(path)
}

/// The effect of access control lists is known only when it is tried.
pub fn can_change(folder: &Path) -> io::Result<()> {
    fs::metadata(folder).map(drop)
}

/// As above.
pub fn is_owner(_path: &Path) -> bool {
    true
}

/// Not available.
pub(crate) fn disk_of(_folder: &Path) -> Option<(u64, u64, u64)> {
    None
}

/// Folders cannot be synced; NTFS journals metadata.
pub(crate) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Waits for Enter after an error, so that it can be read after a start by double click: the window
/// closes with the process. Such a start has no options, and no `PROMPT` variable, which `cmd.exe`
/// sets.
pub fn hold_window() {
    let is_alone = std::env::args_os().len() == 1 && std::env::var_os("PROMPT").is_none();
    if is_alone && io::stdin().is_terminal() && io::stderr().is_terminal() {
        print_error("\nPress Enter to close.\n");
        // Any input, or its end, ends the waiting.
        let _ = io::stdin().read_line(&mut String::new());
    }
}

/// Windows has no journal.
pub fn is_journal() -> bool {
    false
}

/// Windows has no watchdog.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    None
}
