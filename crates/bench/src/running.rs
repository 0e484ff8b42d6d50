//! A running server: started in its own control group, and ended by the ids of its processes.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use wharf_load::lock;

use crate::bench::account::BenchAccount;
use crate::bench::group::UsageCounter;
use crate::bench::paths::{make_folder, remove_folder};
use crate::bench::servers::StartCommand;
use crate::bench::{clock, proc};

/// A server and its processes. Dropping it ends all of them.
#[derive(Debug)]
pub(crate) struct RunningServer {
    pub(crate) address: SocketAddr,
    /// The start time.
    pub(crate) began: Instant,
    process: Arc<ServerProcess>,
}

/// What must be ended, also on Ctrl-C.
#[derive(Debug)]
struct ServerProcess {
    child: Mutex<Child>,
    pid: u32,
    group: UsageCounter,
    work: PathBuf,
}

/// All running servers; normally one.
static ALL: Mutex<Vec<Arc<ServerProcess>>> = Mutex::new(Vec::new());

/// The first port for control connections; the following ones are tried, too.
const PORT_FIRST: u16 = 9_100;
const PORTS: u16 = 800;
/// From the start until the server accepts connections.
const START_MAX: Duration = Duration::from_secs(20);
const START_PAUSE: Duration = Duration::from_millis(1);
/// Time for a clean exit, before the server is killed.
const END_MAX: Duration = Duration::from_secs(3);
const END_PAUSE: Duration = Duration::from_millis(5);
/// The part of a server's log that is shown.
const LOG_BYTES_MAX: usize = 600;

/// Joins the groups (the words before `--`) and executes the program.
const ENTER: &str = "while [ \"$1\" != -- ]; do echo $$ > \"$1\" || exit 1; shift; done; shift; \
                     exec \"$@\"";

/// A folder for one server, writable by the account.
pub(crate) fn work_folder() -> Result<PathBuf, String> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("wharf-bench-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    make_folder(&folder)?;
    Ok(folder)
}

/// A free port.
pub(crate) fn free_port() -> Result<u16, String> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..PORTS {
        let port = PORT_FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(format!("no free port from {PORT_FIRST} on"))
}

impl RunningServer {
    /// Starts a server and waits until it accepts connections.
    pub(crate) fn start(
        name: &str,
        start: &StartCommand,
        port: u16,
        work: PathBuf,
        account: &BenchAccount,
    ) -> Result<Self, String> {
        let folder = work.file_name().map(|name| name.to_string_lossy().into_owned());
        let group = UsageCounter::new(&folder.unwrap_or_else(|| name.to_owned()));
        group.limit_memory(memory_max());
        let child = match spawn(start, &group, &work, account) {
            Ok(child) => child,
            Err(message) => {
                group.remove();
                remove_folder(&work);
                return Err(format!("{name} does not start: {message}"));
            }
        };
        let began = clock::now();
        let pid = child.id();
        let process = Arc::new(ServerProcess { child: Mutex::new(child), pid, group, work });
        lock(&ALL).push(Arc::clone(&process));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let running = Self { address, began, process };
        running.wait().map_err(|why| format!("{name} does not start: {why}"))?;
        Ok(running)
    }

    /// The control group and the first process in it.
    pub(crate) fn counted(&self) -> (&UsageCounter, u32) {
        (&self.process.group, self.process.pid)
    }

    /// The end of the server's log, for messages.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    fn wait(&self) -> Result<(), String> {
        while self.began.elapsed() < START_MAX {
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            if self.process.has_ended() {
                return Err(format!("it has exited: {}", self.log()));
            }
            clock::pause(START_PAUSE);
        }
        Err(format!("cannot connect to {}: {}", self.address, self.log()))
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.process.end();
        lock(&ALL).retain(|other| !Arc::ptr_eq(other, &self.process));
    }
}

/// Ends all running servers, on Ctrl-C.
pub(crate) fn end_all() {
    let running = std::mem::take(&mut *lock(&ALL));
    for process in running {
        process.end();
    }
}

/// The memory limit of a server: the rest is for clients and other programs.
fn memory_max() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    proc::parse_meminfo(&text, "MemAvailable").unwrap_or(u64::MAX) / 4 * 3
}

fn spawn(
    start: &StartCommand,
    group: &UsageCounter,
    work: &Path,
    account: &BenchAccount,
) -> Result<Child, String> {
    let log = File::create(work.join("log"))
        .map_err(|error| format!("cannot create the log: {error}"))?;
    let other = log.try_clone().map_err(|error| format!("cannot create the log: {error}"))?;
    let mut words: Vec<OsString> = vec!["-c".into(), ENTER.into(), "sh".into()];
    words.extend(group.join_files().into_iter().map(PathBuf::into_os_string));
    words.push("--".into());
    if account.is_root && !start.is_root {
        let (user, group) = (account.uid, account.gid);
        words.push("setpriv".into());
        words.push(format!("--reuid={user}").into());
        words.push(format!("--regid={group}").into());
        words.push("--clear-groups".into());
    }
    words.extend(start.words.iter().cloned());
    let environment = start.environment.iter().map(|(name, value)| (name, value));
    // In its own process group, so that Ctrl-C reaches only this program, which ends it cleanly.
    let mut command = Command::new("sh");
    command.args(words).envs(environment).process_group(0).current_dir(work);
    command.stdin(Stdio::null()).stdout(log).stderr(other);
    command.spawn().map_err(|error| error.to_string())
}

impl ServerProcess {
    fn has_ended(&self) -> bool {
        matches!(lock(&self.child).try_wait(), Ok(Some(_)) | Err(_))
    }

    fn log(&self) -> String {
        let text = std::fs::read(self.work.join("log")).unwrap_or_default();
        let start = text.len().saturating_sub(LOG_BYTES_MAX);
        String::from_utf8_lossy(text.get(start..).unwrap_or_default()).trim().to_owned()
    }

    /// Ends every process of the group, by id, and removes its files.
    fn end(&self) {
        for signal in [Signal::TERM, Signal::KILL, Signal::KILL] {
            let left = self.left();
            for pid in &left {
                let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw);
                // A process that has just exited is not an error.
                let _ = pid.map(|pid| kill_process(pid, signal));
            }
            let since = clock::now();
            while !self.left().is_empty() && since.elapsed() < END_MAX {
                clock::pause(END_PAUSE);
            }
            if self.left().is_empty() {
                break;
            }
        }
        self.group.remove();
        remove_folder(&self.work);
    }

    /// The remaining processes. The process waits for the first one, or it would stay as a zombie.
    fn left(&self) -> Vec<u32> {
        let has_ended = self.has_ended();
        if has_ended && self.group.join_files().is_empty() {
            return Vec::new();
        }
        self.group.pids(self.pid)
    }
}
