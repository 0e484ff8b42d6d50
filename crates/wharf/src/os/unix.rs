//! Unix: signals, the number of open files, and permission bits.

use std::fs::{self, DirBuilder, File};
use std::io::{self, IsTerminal};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Resource, Signal as ProcessSignal, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::trusted_path::{OpenFolder, refused};
use super::{ServiceState, SignalRequest, Stop};

/// What makes the system give a port that it does not permit.
pub(crate) const PORT_REMEDY: &str =
    "permit it once:  sudo setcap cap_net_bind_service=+ep $(command -v wharf)";

/// The signals that a server listens for. What is done about them is done outside of any handler.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    reopen: Signal,
    summary: Signal,
    hang_up: Signal,
    quit: Signal,
    /// Held so that they are caught, and not looked at: see `MEANINGLESS`.
    _meaningless: Vec<Signal>,
    /// Whether somebody sits in front of it: then a hang-up means that they left.
    has_terminal: bool,
}

/// Signals that end a process unless it catches them, and mean nothing to a server: timers and
/// descriptors that it did not ask to be told of, and a broken pipe. One that goes astray, or is
/// sent by mistake, must not end every transfer. Those that report a fault of the process itself,
/// or that it has used up its share of the processor, keep their meaning.
const MEANINGLESS: &[fn() -> SignalKind] = &[
    SignalKind::alarm,
    SignalKind::pipe,
    SignalKind::io,
    || SignalKind::from_raw(ProcessSignal::VTALARM.as_raw()),
    || SignalKind::from_raw(ProcessSignal::PROF.as_raw()),
    // A file that passes the limit of the system is an error of writing it.
    || SignalKind::from_raw(ProcessSignal::XFSZ.as_raw()),
];

impl Signals {
    /// Listens for signals from now on.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            reopen: signal(SignalKind::user_defined1())?,
            summary: signal(SignalKind::user_defined2())?,
            hang_up: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            // A system that does not let one be caught keeps to its own default.
            _meaningless: MEANINGLESS.iter().filter_map(|kind| signal(kind()).ok()).collect(),
            has_terminal: io::stdin().is_terminal()
                || io::stdout().is_terminal()
                || io::stderr().is_terminal(),
        })
    }

    /// Waits for the next one. Cancel safe: a signal that nobody waits for is kept.
    pub(crate) async fn next(&mut self) -> SignalRequest {
        tokio::select! {
            // Whoever presses a key sits in front of it; a service manager can wait.
            biased;
            _ = self.interrupt.recv() => SignalRequest::Stop(Stop::Interrupt),
            _ = self.terminate.recv() => SignalRequest::Stop(Stop::Terminate),
            // Ctrl+\, and the orderly end of other servers.
            _ = self.quit.recv() => SignalRequest::Stop(Stop::Terminate),
            _ = self.hang_up.recv() => if self.has_terminal {
                SignalRequest::Stop(Stop::Terminate)
            } else {
                SignalRequest::Reload
            },
            _ = self.reopen.recv() => SignalRequest::Reopen,
            _ = self.summary.recv() => SignalRequest::Summary,
        }
    }
}

/// Allows as many open files as the system lets us have: each session takes a few.
pub(crate) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is forbidden we serve fewer.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// How many more files this process may open; nothing if there is no limit.
pub(crate) fn free_files() -> Option<u64> {
    let most = getrlimit(Resource::Nofile).current?;
    // One entry is the folder itself, while it is read.
    let open = fs::read_dir("/dev/fd").map_or(OPEN_FILES_GUESSED, Iterator::count);
    Some(most.saturating_sub(u64::try_from(open).unwrap_or(u64::MAX)))
}

/// Where the system does not say: what a start leaves open, and a few more.
const OPEN_FILES_GUESSED: usize = 64;

/// Takes from new files what their makers did not think to take: nothing of ours is for everybody,
/// and what accounts upload has bits of its own.
pub(crate) fn mask_new_files() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
}

/// Makes a folder that only its owner may enter, with all that are missing above it. Root makes
/// none below a link of another user.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    if is_administrator() {
        return OpenFolder::of(path).map(drop);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The folder of a socket.
#[derive(Debug)]
pub(crate) struct SocketFolder {
    made: Option<PathBuf>,
    /// Root holds it open.
    open: Option<OpenFolder>,
}

impl SocketFolder {
    /// Makes it, for its owner alone, if it is missing.
    ///
    /// # Errors
    /// What the system says. Root takes none that another user may change, or that a link of
    /// another user leads to: that user could have commands of root's answered.
    pub(crate) fn of(socket: &Path) -> io::Result<Self> {
        let folder = match socket.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if is_administrator() {
            let open = OpenFolder::of(folder)?;
            if !open.is_exclusive() {
                return Err(refused("another user than root may change it"));
            }
            let way = open.way().unwrap_or_else(|| folder.to_owned());
            return Ok(Self { made: open.was_made().then_some(way), open: Some(open) });
        }
        let is_there = folder.exists();
        if !is_there {
            private_folder(folder)?;
        }
        Ok(Self { made: (!is_there).then(|| folder.to_owned()), open: None })
    }

    /// The folder, if it was made now.
    pub(crate) fn made(&self) -> Option<&Path> {
        self.made.as_deref()
    }

    /// A path to the socket that nobody else can make lead elsewhere, while this lives.
    pub(crate) fn way_to(&self, socket: &Path) -> PathBuf {
        let way = self.open.as_ref().and_then(OpenFolder::way).zip(socket.file_name());
        way.map_or_else(|| socket.to_owned(), |(folder, name)| folder.join(name))
    }
}

/// Lets the members of a group, by its number, into a folder of ours.
pub(crate) fn open_to_group(folder: &Path, group: u32) -> io::Result<()> {
    // What was opened is given, not what the path leads to by then.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::DIRECTORY;
    let folder =
        File::options().read(true).custom_flags(flags.bits().cast_signed()).open(folder)?;
    std::os::unix::fs::fchown(&folder, None, Some(group))?;
    folder.set_permissions(fs::Permissions::from_mode(0o750))
}

/// The permission bits of a file that others than its owner may read or write.
pub(crate) fn mode_if_open(file: &File) -> Option<u32> {
    let mode = file.metadata().ok()?.permissions().mode() & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}

/// The path of a folder that is there, from the top and without links.
pub(crate) fn real_folder(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// Gives a file to an account and its group, by their numbers.
pub(crate) fn give_to(path: &Path, (user, group): (u32, u32)) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(user), Some(group))
}

/// Whether we may change the system.
pub(crate) fn is_administrator() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether an account, by its number and that of its group, may make files in a folder. Other
/// groups that it is in, and rights beyond permission bits, are not looked at.
pub(crate) fn may_write(folder: &Path, (user, group): (u32, u32)) -> bool {
    fs::metadata(folder).is_ok_and(|facts| {
        let bits = match () {
            () if facts.uid() == user => facts.mode() >> 6,
            () if facts.gid() == group => facts.mode() >> 3,
            () => facts.mode(),
        };
        bits & 0o3 == 0o3
    })
}

/// The disk that a folder is on: its number, the bytes that are free for us, and all that it has.
pub(crate) fn disk_of(folder: &Path) -> Option<(u64, u64, u64)> {
    let device = fs::metadata(folder).ok()?.dev();
    let room = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
    Some((device, bytes(room.f_bavail), bytes(room.f_blocks)))
}

/// Whether the system lets this process change names in a folder.
pub(crate) fn can_change(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Whether this process may change the facts of a file: it is its owner's, or root's.
pub(crate) fn is_owner(path: &Path) -> bool {
    let who = rustix::process::geteuid();
    who.is_root() || fs::symlink_metadata(path).is_ok_and(|facts| facts.uid() == who.as_raw())
}

/// Whether a file is a program, by its permission bits.
pub(crate) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

/// Makes new names in a folder survive a power failure.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Nothing to do here: a terminal stays when a program in it ends.
pub(crate) fn hold_window() {}

/// Whether systemd's journal reads our standard error: `JOURNAL_STREAM` holds its device and
/// inode. The variable alone says nothing, for terminals of a desktop inherit it.
pub(crate) fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(io::stderr())
        .is_ok_and(|facts| stream == format!("{}:{}", facts.st_dev, facts.st_ino))
}

/// Tells systemd how we are, if it asked to be told (`NOTIFY_SOCKET`). Anybody else misses nothing.
pub(crate) fn announce(what: ServiceState) {
    let state = match what {
        ServiceState::Ready => NotifyState::Ready,
        ServiceState::Stopping => NotifyState::Stopping,
        ServiceState::Reloading => NotifyState::Reloading,
        ServiceState::Alive => NotifyState::Watchdog,
        // It serves already, and is heard only once systemd knows it.
        ServiceState::Successor(number) => {
            let _ = sd_notify::notify(&[NotifyState::MainPid(number), NotifyState::Ready]);
            return;
        }
    };
    // By the time of a reload the manager (Type=notify-reload) tells ours from an earlier one.
    let time = (what == ServiceState::Reloading).then(NotifyState::monotonic_usec_now);
    let states: Vec<_> = std::iter::once(state).chain(time.and_then(Result::ok)).collect();
    // Whether it arrives is the manager's concern: without it we serve all the same.
    let _ = sd_notify::notify(&states);
}

/// How often the manager wants to hear that we live: twice in the time after which it would end us.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / 2).filter(|every| !every.is_zero())
}
