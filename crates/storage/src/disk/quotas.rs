//! The counted homes, and when they are counted again.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::spawn_blocking;
use wharf_core::account::Account;
use wharf_core::error::Result;
use wharf_core::lock;
use wharf_core::storage::UsedSpace;
use wharf_proto::path::VPath;

use super::count::count;
use super::fault::fault;
use super::quota_file::QuotaFile;
use super::sweep::sweep_counted;
use super::{DiskOptions, SweepReport, join_result};
use crate::quota::{DirtyMark, LimitedHome, Quota, QuotaCounter};

/// Homes counted at a time. More would only cause more seeks on a disk.
const COUNTS_MAX: usize = 2;
/// A count older than this is repeated at the next login: other programs may have changed files.
const COUNT_AGE_MAX: Duration = Duration::from_hours(24);

/// How often, and at what interval, the shutdown checks for uploads that it cut off.
const END_POLLS_MAX: u32 = 200;
const END_PAUSE: Duration = Duration::from_millis(10);

/// Counts the usage of accounts with a quota, by home: accounts with the same home share one count,
/// each with its own limit. Clones are handles of the same state.
///
/// A home is counted at the first login after a start, unless the last run ended cleanly and saved
/// its count. Nothing may change in it before: a change waits for a while, then fails with
/// `Uncounted`. A count older than a day is repeated at a login, in the background; it is discarded
/// if something changed in the meantime, and tried again at the next login.
///
/// If one home lies in another, the outer count sees changes in the inner one at its next count.
/// What the outer account removes or replaces there lowers neither count, since it may be included
/// in either, and what it stores there prevents the inner count from being lowered; both are then
/// counted at their next login. The targets of links are not counted.
#[derive(Clone)]
pub struct Quotas {
    all: Arc<QuotasState>,
}

struct QuotasState {
    default_quota: Mutex<Quota>,
    quota_file: Arc<QuotaFile>,
    homes: Mutex<HomeCounters>,
    queue: Mutex<CountQueue>,
}

/// Counters by home.
#[derive(Default)]
struct HomeCounters {
    counted: HashMap<PathBuf, Arc<QuotaCounter>>,
    /// Homes that are being swept and not counted so far: if counting is requested, the sweep and
    /// the count must share a counter.
    swept: HashMap<PathBuf, Arc<QuotaCounter>>,
}

/// Homes that wait to be counted.
#[derive(Default)]
struct CountQueue {
    waiting: VecDeque<(PathBuf, Arc<QuotaCounter>)>,
    workers: usize,
}

impl Quotas {
    /// Starts with the counts that the last run saved in `state_folder`, if any; `default_quota`
    /// applies to accounts without a quota. Blocks while a small file is read.
    pub fn open(state_folder: impl Into<PathBuf>, default_quota: Quota) -> Self {
        let quota_file = Arc::new(QuotaFile::in_folder(state_folder.into()));
        let dirty_mark: Arc<dyn DirtyMark> = quota_file.clone();
        let new_counter =
            |(used, counted_at)| QuotaCounter::counted(used, counted_at, Some(dirty_mark.clone()));
        let known = quota_file.read().into_iter();
        let counted: HashMap<_, _> =
            known.map(|(home, counted)| (home, Arc::new(new_counter(counted)))).collect();
        link_nested(&counted);
        let homes = Mutex::new(HomeCounters { counted, swept: HashMap::new() });
        Self {
            all: Arc::new(QuotasState {
                default_quota: Mutex::new(default_quota),
                quota_file,
                homes,
                queue: Mutex::default(),
            }),
        }
    }

    /// The account's quota: its own, or the default.
    pub fn quota_of(&self, account: &Account) -> Quota {
        Quota::of(account, *self.default_quota())
    }

    /// Changes the default quota, from each account's next login on.
    pub fn set_default_quota(&self, quota: Quota) {
        *self.default_quota() = quota;
    }

    fn default_quota(&self) -> MutexGuard<'_, Quota> {
        lock(&self.all.default_quota)
    }

    fn homes(&self) -> MutexGuard<'_, HomeCounters> {
        lock(&self.all.homes)
    }

    /// A counter for a home that was not counted yet.
    fn uncounted(&self) -> Arc<QuotaCounter> {
        let dirty_mark: Arc<dyn DirtyMark> = self.all.quota_file.clone();
        Arc::new(QuotaCounter::uncounted(Some(dirty_mark)))
    }

    fn queue(&self) -> MutexGuard<'_, CountQueue> {
        lock(&self.all.queue)
    }

    /// The counter of a home, which is counted if necessary. `None` if no quota applies.
    pub(super) async fn limited(&self, home: &Path, quota: Quota) -> Result<Option<LimitedHome>> {
        if !quota.is_limited() && self.homes().counted.is_empty() {
            return Ok(None);
        }
        let home = home.to_owned();
        // All spellings of a path are one home.
        let home = join_result(spawn_blocking(move || home.canonicalize().map_err(fault)).await)?;
        let counter = {
            let mut homes = self.homes();
            match homes.counted.get(&home) {
                Some(counter) => Arc::clone(counter),
                None if !quota.is_limited() => return Ok(None),
                None => {
                    let swept = homes.swept.remove(&home);
                    let counter = swept.unwrap_or_else(|| self.uncounted());
                    for (other, known) in &homes.counted {
                        if let Some(at) = below(other, &home) {
                            known.add_inner(at, &counter);
                        }
                        if let Some(at) = below(&home, other) {
                            counter.add_inner(at, known);
                        }
                    }
                    homes.counted.insert(home.clone(), Arc::clone(&counter));
                    counter
                }
            }
        };
        if counter.wants_count(now(), COUNT_AGE_MAX) {
            self.enqueue(home, &counter);
        }
        Ok(Some(LimitedHome::new(counter, quota)))
    }

    /// Counts a home again if it is due, for a login that shares a directory with other sessions.
    pub(super) fn recount_if_due(&self, counter: &Arc<QuotaCounter>) {
        if !counter.wants_count(now(), COUNT_AGE_MAX) {
            return;
        }
        let homes = self.homes();
        let known = homes.counted.iter().find(|(_, known)| Arc::ptr_eq(known, counter));
        let home = known.map(|(home, _)| home.clone());
        drop(homes);
        if let Some(home) = home {
            self.enqueue(home, counter);
        }
    }

    fn enqueue(&self, home: PathBuf, counter: &Arc<QuotaCounter>) {
        let mut queue = self.queue();
        counter.await_count();
        if queue.waiting.iter().all(|(waiting, _)| *waiting != home) {
            queue.waiting.push_back((home, Arc::clone(counter)));
        }
        if queue.workers < COUNTS_MAX {
            queue.workers += 1;
            let worker = CountWorker { quotas: self.clone(), is_done: false };
            spawn_blocking(move || worker.run());
        }
    }

    /// The usage of a home; `None` if it is not counted or not known. Blocks for a moment.
    pub fn used(&self, home: &Path) -> Option<UsedSpace> {
        let counter = self.homes().counted.get(&home.canonicalize().ok()?).cloned()?;
        counter.used()
    }

    /// Whether homes wait to be counted or are being counted. A login requests its count before it
    /// completes, so once this is false every requested count has ended.
    pub fn is_counting(&self) -> bool {
        let queue = self.queue();
        queue.workers > 0 || !queue.waiting.is_empty()
    }

    /// Removes old temporary files like [`super::sweep()`], and subtracts them from the count.
    ///
    /// # Errors
    /// As for [`super::sweep()`].
    pub fn sweep(&self, root: &Path, options: &DiskOptions) -> io::Result<SweepReport> {
        let Ok(home) = root.canonicalize() else { return sweep_counted(root, options, None) };
        let counter = {
            let mut homes = self.homes();
            let known = homes.counted.get(&home).cloned();
            known.unwrap_or_else(|| {
                let counter = self.uncounted();
                homes.swept.insert(home.clone(), Arc::clone(&counter));
                counter
            })
        };
        let swept = sweep_counted(root, options, Some(&counter));
        self.homes().swept.remove(&home);
        swept
    }

    /// Saves the counts for the next start. Nothing may change afterwards. Uploads that were just
    /// cut off may take a moment to end: this waits for them, for at most two seconds. Homes that
    /// are still changing are left out, and counted again. Blocks.
    ///
    /// # Errors
    /// If the file cannot be written; every home is then counted again.
    pub fn close(&self) -> io::Result<()> {
        // Never waits with the lock held: logins and sweeps in progress need it.
        let counters: HashMap<_, _> = self.homes().counted.clone();
        for _ in 0..END_POLLS_MAX {
            if counters.values().all(|counter| !counter.is_changing()) {
                break;
            }
            std::thread::sleep(END_PAUSE);
        }
        let known =
            counters.iter().filter_map(|(home, counter)| Some((home.clone(), counter.close()?)));
        self.all.quota_file.write(&known.collect::<Vec<_>>())
    }
}

impl fmt::Debug for Quotas {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Quotas")
            .field("otherwise", &self.all.default_quota)
            .finish_non_exhaustive()
    }
}

/// A thread that counts until no home waits. Its slot is released however it ends.
struct CountWorker {
    quotas: Quotas,
    is_done: bool,
}

impl CountWorker {
    fn run(mut self) {
        while let Some((home, counter)) = self.next() {
            counter.count(now(), || count(&home));
        }
    }

    fn next(&mut self) -> Option<(PathBuf, Arc<QuotaCounter>)> {
        let mut queue = self.quotas.queue();
        let next = queue.waiting.pop_front();
        if next.is_none() {
            // Under the same lock, so that the next request starts a new thread.
            queue.workers = queue.workers.saturating_sub(1);
            self.is_done = true;
        }
        next
    }
}

impl Drop for CountWorker {
    fn drop(&mut self) {
        if !self.is_done {
            let mut queue = self.quotas.queue();
            queue.workers = queue.workers.saturating_sub(1);
        }
    }
}

/// Registers with each counter the homes that lie in its own.
fn link_nested(homes: &HashMap<PathBuf, Arc<QuotaCounter>>) {
    for (home, counter) in homes {
        // Walking up costs less than comparing all pairs.
        for outer in home.ancestors().skip(1) {
            if let (Some(known), Some(at)) = (homes.get(outer), below(outer, home)) {
                known.add_inner(at, counter);
            }
        }
    }
}

/// The path of a home within another; `None` if it is not inside.
fn below(outer: &Path, inner: &Path) -> Option<VPath> {
    let mut names = inner.strip_prefix(outer).ok()?.iter().peekable();
    names.peek()?;
    let names = names.map(OsStr::as_encoded_bytes);
    names.map(<[u8]>::to_vec).try_fold(VPath::root(), |path, name| path.join(&name)).ok()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
