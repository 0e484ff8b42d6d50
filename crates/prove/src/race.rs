//! A local user replaces folders and files by links that lead out of the root, over and over, while
//! clients of the real server read, list, write, rename and remove there.
//!
//! Nothing outside may be read, listed, changed or created: every content and length inside differs
//! from those outside, and files outside are checked by inode.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{RenameFlags, renameat_with};
use wharf_load::{ClientSession, Error, Random, clock};
use wharf_proto::reply::Code;

use crate::prove::folder;
use crate::prove::proofs::{Proof, ProofExtent};
use crate::prove::report::ProofReport;
use crate::prove::run::ProofRun;
use crate::prove::server::ProofServer;

pub(crate) static PROOF: Proof = Proof {
    name: "race",
    about: "folders and files swapped for links that lead out: nothing outside is touched",
    unit: "swaps",
    short: ProofExtent::count(20_000),
    long: ProofExtent::count(1_000_000),
    mounts: false,
    run,
};

const CLIENTS: u64 = 4;
/// Swaps between two checks of the files outside.
const BATCH: u64 = 5_000;
/// Swaps per operation of a client at most; otherwise nothing would be tested.
const SWAPS_FOR_AN_ACT: u64 = 10;
/// The content of files outside. No file inside has this length.
const OUTSIDE: &[u8] = b"this is outside, and must never be readable by FTP";
const INSIDE: &[u8] = b"inside";
/// The proof stops after this many failures.
const FAILURES_MAX: u64 = 20;

/// The files outside, each with inode, mode, length and time.
type OutsideFiles = BTreeMap<PathBuf, (u64, u32, u64, i64)>;

fn run(run: &ProofRun, report: &ProofReport) -> Result<(), String> {
    let mut server = ProofServer::new(run)?;
    let modes = ["inside", "never"];
    for (turn, mode) in (1_u64..).zip(modes) {
        server.set("files", &format!("follow_symlinks = {mode:?}"));
        server.set("files", "durability = \"fast\"");
        server.start()?;
        let outside = prepared(&server.home())?;
        let before = facts(&outside)?;
        let share = run.plan.count * turn / u64::try_from(modes.len()).unwrap_or(1);
        let is_last = usize::try_from(turn).is_ok_and(|turn| turn == modes.len());
        let has_next_round = || {
            let (passed, failed) = report.counts();
            let is_within = is_last || passed + failed < share;
            report.has_next_round() && is_within && failed < FAILURES_MAX
        };
        let (is_over, acts) = (AtomicBool::new(false), AtomicU64::new(0));
        let swapped = std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let world = SharedState { server: &server, report, is_over: &is_over, acts: &acts };
                scope.spawn(move || world.client(run.seed_of(number)));
            }
            let swapped = swap(&server.home(), &outside, &before, report, &acts, has_next_round);
            is_over.store(true, Ordering::SeqCst);
            swapped
        });
        swapped?;
        if facts(&outside)? != before {
            report.failed(run.seed, format!("with links {mode:?} something outside has changed"));
        }
        server.stop()?;
    }
    Ok(())
}

/// Makes the swapped files: `d` and `f` inside, links to a folder and to a file outside.
fn prepared(home: &Path) -> Result<PathBuf, String> {
    let describe = |error: std::io::Error| format!("cannot prepare {}: {error}", home.display());
    let outside = home.with_extension("outside");
    folder::make(&outside)?;
    folder::empty(&outside)?;
    folder::empty(home)?;
    for name in ["secret", "new", "other", "only-outside"] {
        folder::write(&outside.join(name), OUTSIDE)?;
    }
    folder::make(&outside.join("folder"))?;
    folder::make(&home.join("d"))?;
    folder::write(&home.join("f"), INSIDE)?;
    let name = outside.file_name().unwrap_or_default();
    symlink(Path::new("..").join(name), home.join("l")).map_err(describe)?;
    symlink(outside.join("secret"), home.join("g")).map_err(describe)?;
    Ok(outside)
}

fn facts(outside: &Path) -> Result<OutsideFiles, String> {
    let describe = |error: std::io::Error| format!("cannot read {}: {error}", outside.display());
    let mut facts = OutsideFiles::new();
    let mut add = |path: PathBuf| {
        let found = fs::symlink_metadata(&path).map_err(describe)?;
        let fact = (found.ino(), found.mode(), found.len(), found.mtime_nsec());
        facts.insert(path, fact);
        Ok::<(), String>(())
    };
    add(outside.to_owned())?;
    for entry in fs::read_dir(outside).map_err(describe)? {
        add(entry.map_err(describe)?.path())?;
    }
    Ok(facts)
}

/// Swaps until it is done. Swaps after which nothing outside has changed count as passed.
fn swap(
    home: &Path,
    outside: &Path,
    before: &OutsideFiles,
    report: &ProofReport,
    acts: &AtomicU64,
    has_next_round: impl Fn() -> bool,
) -> Result<(), String> {
    let describe = |error: std::io::Error| format!("cannot swap in {}: {error}", home.display());
    let root = File::open(home).map_err(describe)?;
    let mut swaps = 0;
    while has_next_round() {
        for swap in 0..BATCH {
            let (one, other) = if swap % 2 == 0 { ("d", "l") } else { ("f", "g") };
            // `f` is missing for a moment when a client renames it.
            let swapped = renameat_with(&root, one, &root, other, RenameFlags::EXCHANGE);
            match swapped {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(describe(error.into())),
            }
        }
        swaps += BATCH;
        // Waits for the clients, or there would be swaps without operations.
        while acts.load(Ordering::Relaxed) * SWAPS_FOR_AN_ACT < swaps && has_next_round() {
            let _ = renameat_with(&root, "d", &root, "l", RenameFlags::EXCHANGE);
            clock::pause(std::time::Duration::from_micros(50));
        }
        if facts(outside)? != *before {
            report.failed(0, "something outside has changed");
            return Ok(());
        }
        report.passed_many(BATCH);
    }
    Ok(())
}

/// What the clients share.
struct SharedState<'a> {
    server: &'a ProofServer,
    report: &'a ProofReport,
    is_over: &'a AtomicBool,
    acts: &'a AtomicU64,
}

impl SharedState<'_> {
    fn client(&self, seed: u64) {
        let mut random = Random::new(seed);
        while !self.is_over.load(Ordering::Relaxed) {
            let worked = self.session(&mut random);
            if let Err(what) = worked {
                self.report.failed(seed, what);
                if self.report.counts().1 >= FAILURES_MAX {
                    return;
                }
            }
        }
    }

    fn session(&self, random: &mut Random) -> Result<(), String> {
        let mut client = self.server.client(false)?;
        for _ in 0..200 {
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
            let seen = act(&mut client, random)?;
            self.report.add("operations", 1.0);
            self.report.add("allowed operations", f64::from(u8::from(seen)));
            self.acts.fetch_add(1, Ordering::Relaxed);
        }
        Ok(client.quit()?)
    }
}

/// One operation on the swapped files; returns whether the server allowed it. All may be rejected.
fn act(client: &mut ClientSession, random: &mut Random) -> Result<bool, String> {
    const PATHS: [&str; 5] = ["d/secret", "d/new", "f", "l/secret", "g"];
    let path = *random.pick(&PATHS);
    Ok(match random.index(14) {
        0 | 1 => match got(client.download(&format!("RETR {path}")))? {
            Some(bytes) if bytes == OUTSIDE => return Err(format!("RETR {path} read outside")),
            found => found.is_some(),
        },
        2 => listed(client, "MLSD d")?,
        3 => listed(client, "LIST d")?,
        4 => {
            let size = client.existing_size(path)?;
            if size == Some(OUTSIDE.len()) {
                return Err(format!("SIZE {path} read outside"));
            }
            size.is_some()
        }
        5 | 6 => got(client.store(&format!("STOR {path}"), INSIDE))?.is_some(),
        7 => got(client.store(&format!("APPE {path}"), b"+"))?.is_some(),
        8 => is_accepted(client, "MKD d/made")? | is_accepted(client, "RMD d/made")?,
        9 => is_accepted(client, "RNFR d/secret")? && is_accepted(client, "RNTO d/other")?,
        10 => {
            is_accepted(client, &format!("DELE {path}-not"))? | is_accepted(client, "DELE d/other")?
        }
        11 => is_accepted(client, "SITE CHMOD 600 d/secret")?,
        12 => is_accepted(client, "MFMT 20010101000000 d/secret")?,
        _ => {
            let entered = is_accepted(client, "CWD d")?;
            let bytes = got(client.download("RETR secret"))?;
            client.expect("CWD /", Code::FILE_DONE)?;
            if bytes.is_some_and(|bytes| bytes == OUTSIDE) {
                return Err("RETR in a directory read outside".to_owned());
            }
            entered
        }
    })
}

/// The result; `None` if the server rejected.
fn got<T>(result: Result<T, Error>) -> Result<Option<T>, String> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(fault) if fault.code().is_some() => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

fn is_accepted(client: &mut ClientSession, line: &str) -> Result<bool, String> {
    Ok(!client.call(line)?.code.is_failure())
}

fn listed(client: &mut ClientSession, line: &str) -> Result<bool, String> {
    let bytes = got(client.download(line))?;
    let text = String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
    if text.contains("only-outside") {
        return Err(format!("{line} listed outside"));
    }
    Ok(bytes.is_some())
}
