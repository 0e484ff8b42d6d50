//! Storage in directories of the operating system.

mod append;
mod count;
mod detached;
mod fault;
mod interrupted;
mod journal;
mod latency;
mod listing;
mod partial_upload;
mod path_rules;
mod prefix_copy;
mod quota_file;
mod quotas;
mod server_files;
mod space;
mod sweep;
mod temporary;
mod tree;
mod upload;

#[cfg(target_os = "linux")]
mod beneath_linux;
#[cfg(unix)]
mod beneath_walk;
#[cfg_attr(target_os = "linux", path = "disk/boot_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "disk/boot_other.rs")]
mod boot;
#[cfg(unix)]
mod directory_unix;
#[cfg(unix)]
mod facts_unix;
#[cfg(target_os = "linux")]
mod names_linux;
#[cfg(all(unix, not(target_os = "linux")))]
mod names_posix;
#[cfg(unix)]
mod reader_unix;
#[cfg(unix)]
#[path = "disk/unix.rs"]
mod system;
#[cfg(windows)]
#[path = "disk/windows.rs"]
mod system;
#[cfg(any(windows, test))]
mod windows_name;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::spawn_blocking;
use wharf_core::account::{Account, Count};
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::lock;
use wharf_core::permission::Permissions;
use wharf_core::storage::{
    Capabilities, Change, Entries, LastLink, ListDetail, Replace, Sink, Source, Space, Storage,
    Stores, Usage, Write,
};
use wharf_proto::entry::Entry;
use wharf_proto::path::VPath;

use self::append::Append;
use self::interrupted::InterruptedUploads;
use self::listing::DirectoryListing;
use self::partial_upload::{PartialUpload, StartedWrite};
use self::path_rules::PathRules;
use self::tree::Tree;
use self::upload::DiskUpload;

use crate::mounts::Mounts;
use crate::name::upload_owner;
use crate::quota::Quota;

pub use self::quotas::Quotas;
pub use self::server_files::{Extent, ServerFiles};
pub use self::space::Reserve;
pub use self::sweep::{SweepReport, sweep};
pub use self::temporary::TEMP_PREFIX;

/// How a [`Disk`] behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// What a completed operation guarantees after a power failure.
    pub durability: Durability,
    /// Which symbolic links are followed.
    pub follow_symlinks: FollowSymlinks,
    /// The permission bits removed from new files (`0o666`) and directories (`0o777`). The umask of
    /// the process is ignored. Uploads of anonymous accounts without read permission are readable
    /// by the owner only, where [`Disks`] opens the home.
    pub umask: u32,
    /// How long an unfinished upload can be resumed. Zero: unfinished uploads are never kept.
    /// [`Disks`] keeps none for anonymous accounts, because all anonymous users share one name.
    pub partial_upload_retention: Duration,
    /// The free space on the file system that uploads must leave. Windows does not report the free
    /// space, so the setting has no effect there.
    pub min_free_space: Reserve,
}

/// Full durability, links within the root, umask 022, unfinished uploads for one day, and a reserve
/// of one percent of the disk.
impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            follow_symlinks: FollowSymlinks::Inside,
            umask: 0o022,
            partial_upload_retention: Duration::from_hours(24),
            min_free_space: Reserve::Auto,
        }
    }
}

/// What a completed operation guarantees after a power failure. In both cases a name never refers
/// to partially written content while the system runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// It persists: content and directories are synced before an operation succeeds.
    Full,
    /// It may be undone, and a new file may exist with some of its bytes missing or zero: file
    /// systems write names before contents. Nothing is synced.
    Fast,
}

/// Which symbolic links are followed when a path is opened. Removing and renaming never follow the
/// last link of a path, and an upload replaces a link to a file, not the target of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FollowSymlinks {
    /// Links that stay below the root. An absolute link never does.
    Inside,
    /// None.
    Never,
    /// All links, including those that lead out of the root: any process that can create a link on
    /// this machine then decides what is served.
    Always,
}

/// A directory of the operating system, for one account.
///
/// No path and no link leads out of it (unless [`FollowSymlinks::Always`] is set), even while other
/// processes rename directories and links concurrently: every access starts at the open root. On
/// Linux the kernel confines it (`openat2`), elsewhere each directory is opened without following
/// links.
///
/// Uploads are written to a hidden temporary file in the same directory (see [`TEMP_PREFIX`]) and
/// renamed when complete, so they need the space of the old and the new content at once. What was
/// written before an upload ended early is kept for [`DiskOptions::partial_upload_retention`], for
/// that account only, while the file to be replaced stays unchanged, and on Linux until the next
/// boot: content that was not synced before a power failure may read as zeros. When the disk is
/// full, the temporary file is removed, or truncated to the length at which it was resumed.
///
/// Bytes to append to a file are staged in a temporary file as well and then written to the file
/// itself, with its old length in a journal, so that a crash leaves the old content. If the path
/// leads through a link, the file is copied instead and the copy replaces the link.
///
/// Calls to the operating system run in tokio's pool of blocking threads, so every method must be
/// called within a tokio runtime; those of a listing run where its entries are taken. Dropping a
/// future does not stop a call that has started: it runs to completion in the background. Two kinds
/// of calls run directly on the calling task, because the hand-over would cost many times as much:
/// reads of data that is cached in memory (Linux can tell), and, with [`Durability::Fast`], small
/// changes on a local disk while such calls stay fast.
#[derive(Clone)]
pub struct Disk {
    tree: Arc<Tree>,
    /// Umask of this session only: other sessions share the same tree.
    umask: Arc<AtomicU32>,
    /// Bits that new files never get, whatever umask a session sets.
    forced_umask: u32,
}

impl Disk {
    /// Opens a directory for an account. Blocks for a few system calls.
    ///
    /// # Errors
    /// If `root` is missing, is not a directory, or cannot be read; the message contains the path.
    pub fn open(root: impl AsRef<Path>, account: &str, options: &DiskOptions) -> io::Result<Self> {
        Ok(Self::from_tree(Arc::new(Tree::open(root.as_ref(), account, options)?), 0))
    }

    /// Like [`Disk::open`], without the kernel's `openat2`. For tests and for sandboxes that block
    /// the call with an unusual error; where the call is missing, `open` detects that itself.
    ///
    /// # Errors
    /// As for [`Disk::open`].
    pub fn open_walking(
        root: impl AsRef<Path>,
        account: &str,
        options: &DiskOptions,
    ) -> io::Result<Self> {
        let mut tree = Tree::open(root.as_ref(), account, options)?;
        tree.walk();
        Ok(Self::from_tree(Arc::new(tree), 0))
    }

    fn from_tree(tree: Arc<Tree>, forced_umask: u32) -> Self {
        let umask = Arc::new(AtomicU32::new(tree.options.umask));
        Self { tree, umask, forced_umask }
    }

    fn umask_now(&self) -> u32 {
        self.umask.load(Ordering::Relaxed)
    }

    /// Waits until the usage is counted, where a quota applies.
    async fn counted(&self) -> Result<()> {
        match &self.tree.limited {
            Some(limited) => limited.ready().await,
            None => Ok(()),
        }
    }

    /// Runs an operation that changes the usage.
    async fn change(&self, act: impl FnOnce(&Tree) -> Result<()> + Send + 'static) -> Result<()> {
        self.counted().await?;
        self.act(act).await
    }

    /// Runs an operation on the tree on a blocking thread.
    async fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Tree) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let tree = Arc::clone(&self.tree);
        join_result(spawn_blocking(move || act(&tree)).await)
    }
}

/// The result of a blocking operation; `Broken` if the runtime shut down first.
fn join_result<T>(ended: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    ended.unwrap_or_else(|error| Err(Error::new(ErrorKind::Broken, error)))
}

impl fmt::Debug for Disk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Disk").field("account", &self.tree.account).finish_non_exhaustive()
    }
}

#[async_trait]
impl Storage for Disk {
    fn caps(&self) -> Capabilities {
        Capabilities {
            resumes: true,
            appends: true,
            sets_times: true,
            sets_mode: system::HAS_MODES,
            ignores_case: self.tree.ignores_case,
        }
    }

    async fn stat(&self, at: &VPath) -> Result<Entry> {
        if let Some(entry) = self.tree.stat_at_once(at) {
            return Ok(entry);
        }
        let at = at.clone();
        self.act(move |tree| tree.stat(&at)).await
    }

    async fn list(&self, at: &VPath, wanted: ListDetail) -> Result<Entries> {
        let at = at.clone();
        let reader = self.act(move |tree| tree.list(&at, wanted)).await?;
        Ok(Entries::Blocking(Box::new(DirectoryListing::new(Arc::clone(&self.tree), reader))))
    }

    async fn read(&self, at: &VPath, from: u64) -> Result<Source> {
        if let Some(source) = self.tree.read_at_once(at, from) {
            return Ok(source);
        }
        let at = at.clone();
        self.act(move |tree| tree.read(&at, from)).await
    }

    async fn write(&self, at: &VPath, how: Write) -> Result<Box<dyn Sink>> {
        self.counted().await?;
        let begun = if let Some(begun) = PartialUpload::begin_at_once(&self.tree, at, how) {
            StartedWrite::Upload(begun?)
        } else {
            let at = at.clone();
            self.act(move |tree| PartialUpload::begin(tree, &at, how)).await?
        };
        let tree = Arc::clone(&self.tree);
        Ok(match begun {
            StartedWrite::Upload(mut partial_upload) => {
                partial_upload.set_umask(self.umask_now());
                Box::new(DiskUpload::new(tree, partial_upload))
            }
            StartedWrite::Append(partial_upload, dir, name) => {
                Box::new(Append::new(tree, partial_upload, dir, name))
            }
        })
    }

    async fn partial(&self, at: &VPath) -> Result<Option<u64>> {
        let at = at.clone();
        self.act(move |tree| tree.partial(&at)).await
    }

    async fn has_unfinished(&self, at: &VPath) -> Result<bool> {
        let at = at.clone();
        self.act(move |tree| tree.has_unfinished(&at)).await
    }

    fn usage(&self, _: &VPath) -> Option<Usage> {
        let limited = self.tree.limited.as_ref()?;
        limited.quota.is_limited().then(|| limited.usage())
    }

    fn real_path(&self, at: &VPath) -> Option<PathBuf> {
        Some(self.tree.real_path(at))
    }

    async fn resolve(&self, at: &VPath, last: LastLink) -> Result<VPath> {
        if let Some(path) = self.tree.resolve_at_once(at, last) {
            return Ok(path);
        }
        let at = at.clone();
        self.act(move |tree| tree.resolve(&at, last)).await
    }

    async fn space(&self, _: &VPath) -> Result<Option<Space>> {
        self.act(Tree::space).await
    }

    fn umask(&self) -> Option<u32> {
        system::HAS_MODES.then(|| self.umask_now())
    }

    fn set_umask(&self, umask: u32) {
        self.umask.store(umask | self.forced_umask, Ordering::Relaxed);
    }

    async fn remove_file(&self, at: &VPath) -> Result<()> {
        let at = at.clone();
        self.change(move |tree| tree.remove_file(&at)).await
    }

    async fn remove_dir(&self, at: &VPath) -> Result<()> {
        let at = at.clone();
        self.change(move |tree| tree.remove_dir(&at)).await
    }

    async fn make_dir(&self, at: &VPath) -> Result<()> {
        let (at, umask) = (at.clone(), self.umask_now());
        self.change(move |tree| tree.make_dir(&at, umask)).await
    }

    async fn rename(&self, from: &VPath, to: &VPath, replace: Replace) -> Result<()> {
        let (from, to) = (from.clone(), to.clone());
        self.change(move |tree| tree.rename(&from, &to, replace)).await
    }

    async fn set(&self, at: &VPath, change: Change) -> Result<()> {
        let at = at.clone();
        self.act(move |tree| tree.set(&at, change)).await
    }
}

/// Opens each account's home as a [`Disk`]. All sessions of an account share one open directory,
/// which saves a descriptor per session.
#[derive(Clone, Default)]
pub struct Disks {
    options: DiskOptions,
    quotas: Option<Quotas>,
    server_files: ServerFiles,
    interrupted: Arc<InterruptedUploads>,
    open: Arc<Mutex<HashMap<TreeKey, Weak<Tree>>>>,
}

/// Key of an open tree: the account, the directory, its quota, the policy for new files and
/// unfinished uploads, and the rules that apply to the targets of links.
type TreeKey = (String, PathBuf, Quota, UploadPolicy, Option<PathRules>);

/// The permission bits that new files never get, and how long unfinished uploads are kept.
type UploadPolicy = (u32, Duration);

/// No access for anyone but the owner of the process.
const UMASK_OF_DROPBOXES: u32 = 0o077;

impl Disks {
    /// Uses these options for every account.
    pub fn new(options: DiskOptions) -> Self {
        // Read it now: a sandbox may forbid it later.
        boot::identity();
        let server_files = ServerFiles::default();
        let (interrupted, open) = (Arc::default(), Arc::default());
        Self { options, quotas: None, server_files, interrupted, open }
    }

    /// Counts the usage of accounts with a quota and enforces it. Without this, quotas have no
    /// effect.
    #[must_use]
    pub fn with_quotas(self, quotas: Quotas) -> Self {
        Self { quotas: Some(quotas), ..self }
    }

    /// Denies access to these files for every account, in every directory.
    #[must_use]
    pub fn deny(self, server_files: ServerFiles) -> Self {
        Self { server_files, ..self }
    }

    /// The bits that new files of an account never get. Files that anonymous users may upload but
    /// not download are readable only by the owner of this process, so that an administrator can
    /// review them first.
    fn forced_umask_of(account: &Account) -> u32 {
        let is_dropbox =
            account.is_anonymous && !account.rules.anywhere().contains(Permissions::READ);
        if is_dropbox { UMASK_OF_DROPBOXES } else { 0 }
    }

    /// How long unfinished uploads of an account are kept. Anonymous users share one name, so none
    /// of their uploads is kept: another user could resume it.
    fn partial_upload_retention_of(&self, account: &Account) -> Duration {
        if account.is_anonymous { Duration::ZERO } else { self.options.partial_upload_retention }
    }

    /// The tree that another session has open, if the path still leads to it.
    fn shared(&self, home: &TreeKey) -> Option<Arc<Tree>> {
        let tree = self.all().get(home)?.upgrade()?;
        tree.is_still_at(&home.1).then_some(tree)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<TreeKey, Weak<Tree>>> {
        lock(&self.open)
    }
}

impl fmt::Debug for Disks {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Disks").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Disks {
    /// A directory for an account: the tree that other sessions have open, or a new one.
    async fn disk(&self, home: TreeKey) -> Result<Disk> {
        let (forced_umask, partial_upload_retention) = home.3;
        let umask = self.options.umask | forced_umask;
        let options = DiskOptions { umask, partial_upload_retention, ..self.options.clone() };
        if let Some(own) = self.server_files.folder_around(&home.1) {
            let message =
                format!("it is inside {}, a directory of the server itself", own.display());
            return Err(Error::new(ErrorKind::Forbidden, io::Error::other(message)));
        }
        if let Some(tree) = self.shared(&home) {
            if let (Some(quotas), Some(limited)) = (&self.quotas, &tree.limited) {
                quotas.recount_if_due(&limited.counter);
            }
            return Ok(Disk::from_tree(tree, forced_umask));
        }
        let limited = match &self.quotas {
            Some(quotas) => quotas.limited(&home.1, home.2).await?,
            None => None,
        };
        let tree = if let Some(tree) = Tree::open_at_once(&home.1, &home.0, &options) {
            tree
        } else {
            let (name, path, ..) = home.clone();
            join_result(spawn_blocking(move || Ok(Tree::open(&path, &name, &options)?)).await)?
        };
        let mut tree = tree.with_limits(limited);
        tree.interrupted = Arc::clone(&self.interrupted);
        tree.root.deny(&self.server_files);
        if let Some(path_rules) = &home.4 {
            tree.set_path_rules(path_rules.clone());
        }
        let disk = Disk::from_tree(Arc::new(tree), forced_umask);
        let mut all = self.all();
        all.retain(|_, tree| tree.strong_count() > 0);
        all.insert(home, Arc::downgrade(&disk.tree));
        Ok(disk)
    }
}

#[async_trait]
impl Stores for Disks {
    /// A home that cannot be opened is reported to the client as missing; `wharf check` reports the
    /// reason.
    async fn open(&self, account: &Account) -> Result<Arc<dyn Storage>> {
        let quota = self.quotas.as_ref().map_or(Quota::UNLIMITED, |all| all.quota_of(account));
        let upload_options =
            (Self::forced_umask_of(account), self.partial_upload_retention_of(account));
        let owner = upload_owner(account);
        let name = || owner.clone();
        let is_judged = account.rules.differ() || !account.folders.is_empty();
        let path_rules = |at: VPath| is_judged.then(|| PathRules::new(account.rules.clone(), at));
        let home = (name(), account.home.clone(), quota, upload_options, path_rules(VPath::root()));
        let home = self.disk(home).await?;
        if account.folders.is_empty() {
            return Ok(Arc::new(home));
        }
        let mut folders: Vec<(VPath, Arc<dyn Storage>)> = Vec::new();
        for folder in &account.folders {
            let quota = Quota {
                bytes: folder.quota.unwrap_or_default(),
                files: folder.quota_files.unwrap_or(Count::Unlimited),
            };
            let target = folder.target.clone();
            let path_rules = path_rules(folder.at.clone());
            if let Ok(disk) = self.disk((name(), target, quota, upload_options, path_rules)).await {
                folders.push((folder.at.clone(), Arc::new(disk)));
            }
        }
        Ok(Arc::new(Mounts::new(Arc::new(home), folders)))
    }
}
