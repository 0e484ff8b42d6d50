//! Windows: Ctrl+C and its kin; open sockets have no limit to raise, and files inherit who may
//! read them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};

use super::service::asked_by_windows;
use super::{Inherited, SignalRequest, Stop};
use crate::outcome::tell;

/// What helps with a port that the system does not give: another program has it for itself
/// alone, or Windows keeps it, as Hyper-V has it do.
pub(crate) const PORT_REMEDY: &str = "see which ports Windows keeps for itself:  netsh interface \
     ipv4 show excludedportrange protocol=tcp";

/// The signals that stop a server.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: CtrlC,
    pause: CtrlBreak,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl Signals {
    /// Listens for signals from now on.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: ctrl_c()?,
            pause: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// Waits for the next one. Cancel safe: a signal that nobody waits for is kept.
    ///
    /// After the window is closed or the computer shuts down, Windows gives us a few seconds.
    pub(crate) async fn next(&mut self) -> SignalRequest {
        tokio::select! {
            // Whoever presses a key sits in front of it; the others can wait.
            biased;
            _ = self.interrupt.recv() => SignalRequest::Stop(Stop::Interrupt),
            _ = self.pause.recv() => SignalRequest::Stop(Stop::Interrupt),
            _ = self.close.recv() => SignalRequest::Stop(Stop::Terminate),
            _ = self.shutdown.recv() => SignalRequest::Stop(Stop::Terminate),
            asked = asked_by_windows() => asked,
        }
    }
}

/// Nobody hands sockets over here.
#[expect(clippy::unnecessary_wraps, reason = "other systems hand sockets over, and some are wrong")]
pub(crate) fn inherited() -> Result<Vec<Inherited>, String> {
    Ok(Vec::new())
}

/// Nothing to do here.
pub(crate) fn raise_file_limit() {}

/// There is no limit that matters.
pub(crate) fn free_files() -> Option<u64> {
    None
}

/// Whether a file is a program, by its name.
pub(crate) fn is_executable(path: &Path) -> bool {
    let suffix = path.extension().unwrap_or_default().to_ascii_lowercase();
    ["exe", "bat", "cmd", "com", "ps1"].iter().any(|known| suffix == *known)
}

/// How to write to the end of a file.
pub(crate) fn appended() -> OpenOptions {
    let mut options = File::options();
    options.append(true).create(true);
    options
}

/// Nothing to do here: new files have the rights of their folder.
pub(crate) fn mask_new_files() {}

/// Makes a folder, with all that are missing above it.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// None: a pipe lies in no folder.
#[derive(Debug)]
pub(crate) struct SocketFolder;

impl SocketFolder {
    /// Nothing to do.
    #[expect(clippy::unnecessary_wraps, reason = "other systems make folders")]
    pub(crate) fn of(_socket: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    /// None was made.
    #[expect(clippy::unused_self, reason = "other systems make folders")]
    pub(crate) fn made(&self) -> Option<&Path> {
        None
    }

    /// The path itself.
    #[expect(clippy::unused_self, reason = "other systems hold a folder open")]
    pub(crate) fn way_to(&self, socket: &Path) -> PathBuf {
        socket.to_owned()
    }
}

/// Nothing to do here: a pipe lies in no folder.
pub(crate) fn open_to_group(_folder: &Path, _group: u32) -> io::Result<()> {
    Ok(())
}

/// Permission bits are no notion here.
pub(crate) fn mode_if_open(_: &std::fs::File) -> Option<u32> {
    None
}

/// The path of a folder that is there, from the top. Links stay in it: the path without them is
/// one that people cannot read (`\\?\E:\work`).
pub(crate) fn real_folder(path: &Path) -> io::Result<PathBuf> {
    fs::metadata(path)?;
    std::path::absolute(path)
}

/// What its list of rights says is only known once it is tried.
pub(crate) fn can_change(folder: &Path) -> io::Result<()> {
    std::fs::metadata(folder).map(drop)
}

/// Here too.
pub(crate) fn is_owner(_path: &Path) -> bool {
    true
}

/// The disk that a folder is on; not told here.
pub(crate) fn disk_of(_folder: &Path) -> Option<(u64, u64, u64)> {
    None
}

/// Folders cannot be synced here; NTFS keeps a journal of names.
pub(crate) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Waits for Enter after an error, so that whoever started us by double click can read it: the
/// window goes with us. Such a start has no options, and no `PROMPT` as `cmd.exe` gives it.
pub(crate) fn hold_window() {
    let is_alone = std::env::args_os().len() == 1 && std::env::var_os("PROMPT").is_none();
    if is_alone && io::stdin().is_terminal() && io::stderr().is_terminal() {
        tell("\nPress Enter to close.\n");
        // Whatever comes, even nothing, ends the waiting.
        let _ = io::stdin().read_line(&mut String::new());
    }
}

/// There is no journal here.
pub(crate) fn is_journal() -> bool {
    false
}

/// Windows does not ask.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    None
}
