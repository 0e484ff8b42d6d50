//! Unix: signals, the limit of open files, and permission bits.

use std::fs::{self, DirBuilder, File};
use std::io::{self, IsTerminal};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::{Resource, Signal as ProcessSignal, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::trusted_path::{OpenFolder, rejected};
use super::{ServiceState, SignalRequest, StopReason};

/// How to allow a privileged port.
pub const PORT_REMEDY: &str =
    "allow it once:  sudo setcap cap_net_bind_service=+ep $(command -v wharf)";

/// The signals that a server handles, outside of signal handlers.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    reopen: Signal,
    summary: Signal,
    hang_up: Signal,
    quit: Signal,
    /// Whether it runs in a terminal: then SIGHUP means that the terminal was closed.
    has_terminal: bool,
    /// What arrived before these handlers were installed.
    early: [bool; HANDLED_LATER.len()],
}

/// Signals that end a process by default, and that a server handles once it has started.
const HANDLED_LATER: [ProcessSignal; 3] =
    [ProcessSignal::HUP, ProcessSignal::USR1, ProcessSignal::USR2];

/// The signals that arrived before a server has installed its handlers, in the order of
/// [`HANDLED_LATER`].
static EARLY: OnceLock<Vec<Arc<AtomicBool>>> = OnceLock::new();

/// Signals that are only noted, until it is known whether the process is a server.
#[derive(Debug)]
pub struct HeldSignals {
    /// Set for a process that is not a server: it has the default actions.
    is_default: Arc<AtomicBool>,
    /// The number of each signal, and whether it has arrived.
    noted: Vec<(i32, Arc<AtomicBool>)>,
}

/// Notes signals that would end the process. To be called first: a service manager or a script may
/// send one as soon as the process exists.
pub fn hold_signals() -> HeldSignals {
    let is_default = Arc::new(AtomicBool::new(false));
    // Rust ignores SIGPIPE before `main`.
    let unrelated = UNRELATED.iter().filter(|signal| **signal != ProcessSignal::PIPE);
    let mut noted = Vec::new();
    let named = HANDLED_LATER.iter().chain(unrelated).map(|signal| signal.as_raw());
    for number in named.chain(REAL_TIME) {
        let flag = Arc::new(AtomicBool::new(false));
        let (is_default, own) = (Arc::clone(&is_default), Arc::clone(&flag));
        // The default action comes first, once it applies. If a signal cannot be caught, its
        // default action stays.
        let caught = signal_hook::flag::register_conditional_default(number, is_default)
            .and_then(|_| signal_hook::flag::register(number, own));
        if caught.is_ok() {
            noted.push((number, flag));
        }
    }
    HeldSignals { is_default, noted }
}

impl HeldSignals {
    /// Restores the default actions, and runs those of signals that arrived meanwhile.
    pub fn restore_defaults(self) {
        self.is_default.store(true, Ordering::SeqCst);
        for (number, flag) in self.noted {
            if flag.load(Ordering::SeqCst) {
                let _ = signal_hook::low_level::emulate_default_handler(number);
            }
        }
    }

    /// Leaves the signals that arrived to the server, which handles them when it has started.
    pub fn leave_to_server(self) {
        let flag = |wanted: &ProcessSignal| {
            let noted = self.noted.iter().find(|(number, _)| *number == wanted.as_raw());
            noted.map(|(_, flag)| Arc::clone(flag)).unwrap_or_default()
        };
        // It is set once.
        let _ = EARLY.set(HANDLED_LATER.iter().map(flag).collect());
        catch_unrelated_signals();
    }
}

/// Signals that end or stop a process by default and mean nothing to a server: timers and
/// descriptor notifications that it did not request, a power failure, and a broken pipe. One sent
/// by mistake must not end all transfers. Signals that report a fault of the process itself, or an
/// exceeded CPU limit, keep their default action.
const UNRELATED: &[ProcessSignal] = &[
    ProcessSignal::ALARM,
    ProcessSignal::PIPE,
    ProcessSignal::IO,
    ProcessSignal::VTALARM,
    ProcessSignal::PROF,
    // Exceeding the file size limit is reported as a write error.
    ProcessSignal::XFSZ,
    #[cfg(target_os = "linux")]
    ProcessSignal::POWER,
    #[cfg(target_os = "linux")]
    ProcessSignal::STKFLT,
];

/// The real-time signals that C libraries leave to programs; each ends a process by default.
#[cfg(target_os = "linux")]
const REAL_TIME: std::ops::RangeInclusive<i32> = 35..=64;
#[cfg(not(target_os = "linux"))]
const REAL_TIME: [i32; 0] = [];

/// Sent by the system to a background process that uses its terminal, which must then stop:
/// otherwise it would repeat the access for ever. Without a terminal only another process sends
/// them.
const TERMINAL_ACCESS: &[ProcessSignal] = &[ProcessSignal::TTIN, ProcessSignal::TTOU];

/// Catches the signals that mean nothing to a server, for the rest of the process. Programs that
/// it starts have the default actions.
fn catch_unrelated_signals() {
    // The flag is never read: a signal that is caught has no other effect.
    let flag = Arc::new(AtomicBool::new(false));
    let access = if has_terminal() { &[] } else { TERMINAL_ACCESS };
    let unrelated = UNRELATED.iter().chain(access).map(|signal| signal.as_raw());
    for number in unrelated.chain(REAL_TIME) {
        // If a signal cannot be caught, its default action stays.
        let _ = signal_hook::flag::register(number, Arc::clone(&flag));
    }
}

fn has_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

impl Signals {
    /// Installs the signal handlers.
    pub fn new() -> io::Result<Self> {
        let mut signals = Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            reopen: signal(SignalKind::user_defined1())?,
            summary: signal(SignalKind::user_defined2())?,
            hang_up: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            has_terminal: has_terminal(),
            early: [false; HANDLED_LATER.len()],
        };
        // From here on, the handlers above receive them.
        for (is_early, flag) in signals.early.iter_mut().zip(EARLY.get().into_iter().flatten()) {
            *is_early = flag.swap(false, Ordering::SeqCst);
        }
        Ok(signals)
    }

    /// A signal that arrived before the handlers were installed.
    fn take_early(&mut self) -> Option<SignalRequest> {
        let at = self.early.iter_mut().position(std::mem::take)?;
        Some(match *HANDLED_LATER.get(at)? {
            ProcessSignal::HUP => self.hung_up(),
            ProcessSignal::USR1 => SignalRequest::Reopen,
            _ => SignalRequest::Summary,
        })
    }

    fn hung_up(&self) -> SignalRequest {
        if self.has_terminal {
            SignalRequest::Stop(StopReason::Terminate)
        } else {
            SignalRequest::Reload
        }
    }

    /// Waits for the next signal. Cancel safe: signals are remembered.
    pub async fn next(&mut self) -> SignalRequest {
        if let Some(early) = self.take_early() {
            return early;
        }
        tokio::select! {
            // Keys pressed in a terminal come first; a service manager can wait.
            biased;
            _ = self.interrupt.recv() => SignalRequest::Stop(StopReason::Interrupt),
            _ = self.terminate.recv() => SignalRequest::Stop(StopReason::Terminate),
            // Ctrl+\, and the graceful stop of other servers.
            _ = self.quit.recv() => SignalRequest::Stop(StopReason::Terminate),
            _ = self.hang_up.recv() => self.hung_up(),
            _ = self.reopen.recv() => SignalRequest::Reopen,
            _ = self.summary.recv() => SignalRequest::Summary,
        }
    }
}

/// Raises the limit of open files to the hard limit: each session needs a few.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If that fails, fewer sessions are served.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// How many more files this process may open; `None` if unlimited.
pub(crate) fn free_files() -> Option<u64> {
    let most = getrlimit(Resource::Nofile).current?;
    // One entry is the folder itself, which is open while it is read.
    let open = fs::read_dir("/dev/fd").map_or(OPEN_FILES_GUESSED, Iterator::count);
    Some(most.saturating_sub(u64::try_from(open).unwrap_or(u64::MAX)))
}

/// Fallback: the files that are open after a start, and a few more.
const OPEN_FILES_GUESSED: usize = 64;

/// Sets the umask: no file of wharf is accessible to other users, and uploads have explicit
/// permission bits.
pub(crate) fn mask_new_files() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
}

/// Creates a folder with mode 0700, and its missing parents. Root creates none below a symbolic
/// link of another user.
pub fn private_folder(path: &Path) -> io::Result<()> {
    if is_administrator() {
        return OpenFolder::of(path).map(drop);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The folder of a socket.
#[derive(Debug)]
pub(crate) struct SocketFolder {
    made: Option<PathBuf>,
    /// Kept open by root.
    open: Option<OpenFolder>,
}

impl SocketFolder {
    /// Creates it with mode 0700, if it is missing.
    ///
    /// # Errors
    /// An I/O error. Root accepts no folder that another user may change, or that a symbolic link
    /// of another user leads to: that user could answer root's commands.
    pub(crate) fn of(socket: &Path) -> io::Result<Self> {
        let folder = match socket.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if is_administrator() {
            let open = OpenFolder::of(folder)?;
            if !open.is_exclusive() {
                return Err(rejected("another user than root may change it"));
            }
            let socket_folder = open.proc_path().unwrap_or_else(|| folder.to_owned());
            return Ok(Self { made: open.was_made().then_some(socket_folder), open: Some(open) });
        }
        let is_there = folder.exists();
        if !is_there {
            private_folder(folder)?;
        }
        Ok(Self { made: (!is_there).then(|| folder.to_owned()), open: None })
    }

    /// The folder, if it was created.
    pub(crate) fn made(&self) -> Option<&Path> {
        self.made.as_deref()
    }

    /// A path to the socket that no other user can redirect, while this value exists.
    pub(crate) fn socket_path(&self, socket: &Path) -> PathBuf {
        let socket_folder =
            self.open.as_ref().and_then(OpenFolder::proc_path).zip(socket.file_name());
        socket_folder.map_or_else(|| socket.to_owned(), |(folder, name)| folder.join(name))
    }
}

/// Gives the members of a group, by GID, access to one of our folders.
pub(crate) fn open_to_group(folder: &Path, group: u32) -> io::Result<()> {
    // The open folder is changed, not what the path leads to by then.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::DIRECTORY;
    let folder =
        File::options().read(true).custom_flags(flags.bits().cast_signed()).open(folder)?;
    std::os::unix::fs::fchown(&folder, None, Some(group))?;
    folder.set_permissions(fs::Permissions::from_mode(0o750))
}

/// The permission bits of a file, if users other than its owner may read or write it.
pub(crate) fn mode_if_open(file: &File) -> Option<u32> {
    let mode = file.metadata().ok()?.permissions().mode() & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}

/// The absolute path of an existing folder, without symbolic links.
pub fn real_folder(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// Changes the owner of a file, by UID and GID.
pub fn change_owner(path: &Path, (user, group): (u32, u32)) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(user), Some(group))
}

/// Whether this process is root.
pub fn is_administrator() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a system user, given by UID and GID, may create files in a folder. Supplementary groups
/// and access control lists are not considered.
pub fn may_write(folder: &Path, (user, group): (u32, u32)) -> bool {
    fs::metadata(folder).is_ok_and(|facts| {
        let bits = match () {
            () if facts.uid() == user => facts.mode() >> 6,
            () if facts.gid() == group => facts.mode() >> 3,
            () => facts.mode(),
        };
        bits & 0o3 == 0o3
    })
}

/// The disk of a folder: its device number, the available bytes, and the total.
pub(crate) fn disk_of(folder: &Path) -> Option<(u64, u64, u64)> {
    let device = fs::metadata(folder).ok()?.dev();
    let file_system = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(file_system.f_frsize);
    Some((device, bytes(file_system.f_bavail), bytes(file_system.f_blocks)))
}

/// Whether this process can create and remove entries of a folder.
pub fn can_change(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Whether this process may change the metadata of a file: it is the owner, or root.
pub fn is_owner(path: &Path) -> bool {
    let uid = rustix::process::geteuid();
    uid.is_root() || fs::symlink_metadata(path).is_ok_and(|facts| facts.uid() == uid.as_raw())
}

/// Whether a file is executable, by its permission bits.
pub(crate) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

/// Syncs a folder, so that new entries survive a power failure.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Does nothing: a terminal stays open when a program in it ends.
pub fn hold_window() {}

/// Whether standard error is connected to systemd's journal: `JOURNAL_STREAM` contains its device
/// and inode. The variable alone is not sufficient, since desktop terminals inherit it.
pub fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(io::stderr())
        .is_ok_and(|facts| stream == format!("{}:{}", facts.st_dev, facts.st_ino))
}

/// Reports a state to systemd, if `NOTIFY_SOCKET` is set.
pub(crate) fn announce(what: ServiceState) {
    let state = match what {
        ServiceState::Ready => NotifyState::Ready,
        ServiceState::Stopping => NotifyState::Stopping,
        ServiceState::Reloading => NotifyState::Reloading,
        ServiceState::Alive => NotifyState::Watchdog,
        // systemd accepts messages of the successor only after this one.
        ServiceState::Successor(number) => {
            let _ = sd_notify::notify(&[NotifyState::MainPid(number), NotifyState::Ready]);
            return;
        }
    };
    // The timestamp distinguishes this reload from an earlier one (Type=notify-reload).
    let time = (what == ServiceState::Reloading).then(NotifyState::monotonic_usec_now);
    let states: Vec<_> = std::iter::once(state).chain(time.and_then(Result::ok)).collect();
    // Errors are ignored: the server works without notification.
    let _ = sd_notify::notify(&states);
}

/// The watchdog interval: half of the timeout of the service manager.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|timeout| timeout / 2).filter(|every| !every.is_zero())
}
