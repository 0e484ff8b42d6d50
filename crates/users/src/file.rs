//! Accounts in `users.toml`: read at each login, edited by an administrator or by a program.
//!
//! ```toml
//! [users.anna]
//! password = "$argon2id$…"     # a hash: `wharf hash` or `wharf user passwd` makes one
//! no_password = false          # true: none is needed, from allowed_addresses alone
//! home = "/srv/ftp/anna"       # or relative to this file's folder
//! permissions = "read-write"   # read | read-write | upload | dropbox | full | none, or names
//! enabled = true
//! upload_rate = "2MiB/s"       # all uploads of the account share it; 0 or "unlimited": none
//! download_rate = 0
//! transfer_upload_rate = 0     # for one upload
//! transfer_download_rate = 0   # for one download
//! sessions = 5                 # 0 or "unlimited": any number
//! quota = "20GiB"              # bytes that it may store; 0 or "unlimited": any number
//! quota_files = 0              # files and folders
//! require_tls = false
//! allowed_addresses = ["10.0.0.0/8"]   # it may log in only from these
//! hours = ["mon-fri 08:00-18:00"]      # and only then; a time zone may follow
//! expires = "2027-01-31"       # the last day; or a moment
//! comment = "tests"
//! groups = ["staff"]           # what is not set here is inherited from these
//!
//! [users.anna.paths]           # permissions below these paths; the longest path counts
//! "/incoming" = "upload"
//!
//! [users.anna.folders]         # folders outside of the home
//! "/music" = "/srv/music"
//! "/scans" = { target = "/srv/scans", permissions = "read-write", quota = "5GiB" }
//!
//! [groups.staff]               # all settings but a password and groups
//! home = "/srv/ftp/%u"         # %u is the account's name
//! ```
//!
//! To follow it: `keys` has a row for each key, `record` what they mean for a login, `read` parses
//! the file, `edit` and `editor` change it, `disk` has the system calls, and [`FileUsers`] answers
//! logins.

mod change;
mod disk;
mod edit;
mod editor;
mod entry;
mod key_value;
mod keys;
mod location;
mod masked;
mod origin;
mod problem;
mod read;
mod record;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use disk::folder;

pub use change::{Cleared, Holder, StoreChange};
pub use disk::{
    FILE_BYTES_MAX, LockWait, Stamp, create_private, lock, lock_file, open_to_others, replace,
    replace_stamped, stamp, stamp_of,
};
pub use edit::UserFile;
pub use editor::Editor;
pub use key_value::{AccountValue, ValueKind};
pub use keys::{
    ACCOUNT_KEYS, AccountKey, KEYS, KEYS_OF_ACCOUNTS, KeyScope, Setting, UserRecord, account_key,
};
pub use origin::SettingOrigin;
pub use problem::{EditError, Fault, FileProblems, UsersFileError, UsersFileProblem};
pub use read::{GROUPS_MAX, PROBLEMS_MAX, RecordCheck};
pub use record::{NAME_MARK, PERMISSIONS_DEFAULT};
pub use values::{FolderRecord, StoredHash, network_fault, parse_network, shown_network};

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use tokio::task::spawn_blocking;
use wharf_core::account::{Account, AccountLimits};
use wharf_core::async_trait;
use wharf_core::users::{AccountStatus, Attempt, Denied, Users};
use zeroize::Zeroizing;

use crate::hasher::{HashPermit, Hasher};
use crate::password::{Verified, hash_new, is_cheap, verify};

/// The accounts of a file. Each login checks whether the file has changed, and reads it again.
///
/// If the file becomes invalid, the accounts as last read stay in use, and the error is reported
/// once, by [`FileUsers::refresh`] or [`FileUsers::take_problem`].
#[derive(Clone, Debug)]
pub struct FileUsers {
    inner: Arc<Inner>,
    hasher: Arc<Hasher>,
}

/// What [`FileUsers::refresh`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Whether the file was read again since the last check.
    pub is_reread: bool,
    /// Accounts removed or disabled since the last check: their sessions must end.
    pub ended: BTreeSet<String>,
    /// Accounts outside their hours, or expired: their sessions must end when no transfer runs.
    pub over: BTreeSet<String>,
}

impl FileUsers {
    /// Reads the accounts of `path`. Blocks; `hasher` is shared with the other stores.
    ///
    /// # Errors
    /// [`UsersFileError`]: the file is missing, accessible to other users, or invalid (with all
    /// problems).
    pub fn open(path: impl AsRef<Path>, hasher: Arc<Hasher>) -> Result<Self, UsersFileError> {
        let path = path.as_ref();
        let whole = std::path::absolute(path)
            .map_err(|source| UsersFileError::Unreadable { path: path.to_owned(), source })?;
        let (records, stamp) = read_all(&whole)?;
        let (enabled, open) = (enabled(&records), open(&records));
        let state = FileState { records, enabled, open, ..FileState::new(stamp) };
        let inner = Inner { path: whole, read_lock: Mutex::default(), state: Mutex::new(state) };
        Ok(Self { inner: Arc::new(inner), hasher })
    }

    /// Checks whether the file has changed, and returns the accounts whose sessions must end.
    ///
    /// Call it about once a second. If the file was changed in place, not replaced, an account that
    /// is missing from it is reported only by the second check: an editor truncates the file before
    /// it writes, and no session must end because of that.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// The file has become invalid. Reported once for each change of the file; the accounts stay in
    /// use.
    pub async fn refresh(&self) -> Result<Changes, UsersFileError> {
        let inner = Arc::clone(&self.inner);
        // Fails only when the runtime shuts down.
        let _ = spawn_blocking(move || inner.reload_if_changed()).await;
        self.inner.changes()
    }

    /// All accounts, as the file was last read.
    pub fn accounts(&self) -> Vec<Account> {
        let folder = folder(&self.inner.path);
        self.inner
            .state()
            .records
            .values()
            .map(|record| record.account(folder, Timestamp::now()))
            .collect()
    }

    /// The limits of an account's own, as the file was last read.
    pub fn limits(&self, name: &str) -> Option<AccountLimits> {
        let record = self.inner.state().records.get(name).cloned()?;
        Some(record.account(folder(&self.inner.path), Timestamp::now()).limits)
    }

    /// The error that makes the file unusable, or that kept a hash from being renewed, unless it
    /// was returned before.
    pub fn take_problem(&self) -> Option<EditError> {
        let mut state = self.inner.state();
        state.problem.take().map(EditError::Open).or_else(|| state.renewal_problem.take())
    }

    /// Reads the file again if it has changed. A thread is used only if it has, or if the system
    /// would have to wait for the answer: waking one takes longer than the rest of a login.
    async fn reload(&self) -> Result<(), Denied> {
        if self.inner.is_current_at_once() {
            return Ok(());
        }
        let inner = Arc::clone(&self.inner);
        let reloaded = spawn_blocking(move || inner.reload_if_changed()).await;
        reloaded.map_err(|error| Denied::Broken(error.into()))
    }

    /// Replaces a weak hash in the background. Skipped, until a later login, when the server is
    /// busy or another program changes the file.
    fn renew(&self, record: &UserRecord, secret: &[u8]) {
        if !self.inner.state().is_renewing {
            return;
        }
        let Some(permit) = self.hasher.try_permit() else { return };
        let inner = Arc::clone(&self.inner);
        let (name, old) = (record.name.clone(), record.password.clone());
        let secret = Zeroizing::new(secret.to_vec());
        // The task runs to its end, also if the login is cancelled: the file is replaced
        // atomically.
        drop(spawn_blocking(move || inner.renew(&name, old.as_ref(), &secret, &permit)));
    }
}

#[async_trait]
impl Users for FileUsers {
    async fn login(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        self.reload().await?;
        let record = self.inner.state().records.get(attempt.user).cloned();
        let known = record.as_deref().and_then(|record| verify_cheap_hash(record, attempt.secret));
        let stored = record.as_deref().and_then(|record| record.password.as_ref());
        let now = Timestamp::now();
        let opens = |record: &UserRecord| record.is_open() && record.admits(attempt, now).is_ok();
        // Before any result is returned: an unknown name must take as long as a wrong password.
        let verified = match known {
            Some(right) => right,
            None if record.as_deref().is_some_and(opens) => Verified::Right,
            None => self.hasher.verify(stored.map(StoredHash::as_str), attempt.secret).await?,
        };
        let checked = record.as_ref().ok_or(Denied::UnknownUser)?;
        // Waiting for a permit may have taken seconds. An account that was disabled meanwhile had
        // no session to end, so the login must fail here.
        let record = self.inner.state().records.get(attempt.user).cloned();
        let record = record.ok_or(Denied::UnknownUser)?;
        let now = Timestamp::now();
        if !record.is_enabled() {
            return Err(Denied::Disabled);
        }
        match verified {
            Verified::Right => {}
            Verified::RightButOld => self.renew(checked, attempt.secret),
            Verified::Wrong => return Err(Denied::WrongPassword),
            Verified::Unreadable if record.is_open() => {}
            Verified::Unreadable => return Err(Denied::NoPassword),
        }
        record.admits(attempt, now)?;
        Ok(record.account(folder(&self.inner.path), now))
    }

    async fn account_status(&self, attempt: &Attempt<'_>) -> Result<AccountStatus, Denied> {
        self.reload().await?;
        let Some(record) = self.inner.state().records.get(attempt.user).cloned() else {
            return Ok(AccountStatus::Unknown);
        };
        if !record.is_enabled() {
            return Err(Denied::Disabled);
        }
        let now = Timestamp::now();
        record.admits(attempt, now)?;
        let has_password = record.password.is_some() || record.no_password == Some(true);
        let account = Box::new(record.account(folder(&self.inner.path), now));
        Ok(AccountStatus::Known { account, has_password })
    }
}

/// The result for a right password whose hash is cheap to verify. A wrong one takes the normal
/// path.
fn verify_cheap_hash(record: &UserRecord, secret: &[u8]) -> Option<Verified> {
    let stored = record.password.as_ref().map(StoredHash::as_str);
    let verified = verify(stored.filter(|stored| is_cheap(stored))?, secret);
    matches!(verified, Verified::Right | Verified::RightButOld).then_some(verified)
}

type UserRecords = HashMap<String, Arc<UserRecord>>;

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Held by blocking threads while the file is read, so that an older reading never takes the
    /// place of a newer one; others only try to lock it.
    read_lock: Mutex<()>,
    /// Held for a few lines.
    state: Mutex<FileState>,
}

#[derive(Debug)]
struct FileState {
    records: UserRecords,
    /// Of the file as last read, usable or not.
    stamp: Option<Stamp>,
    /// The accounts that could log in when `refresh` last looked.
    enabled: BTreeSet<String>,
    /// The accounts that were within their hours at that time.
    open: BTreeSet<String>,
    /// Accounts in `enabled` that were missing at the last check, in a file changed in place.
    maybe_removed: BTreeSet<String>,
    is_reread: bool,
    is_in_place: bool,
    problem: Option<UsersFileError>,
    renewal_problem: Option<EditError>,
    /// After a failure nothing is renewed until the file changes: each login would fail again.
    is_renewing: bool,
}

impl FileState {
    fn new(stamp: Option<Stamp>) -> Self {
        Self {
            records: UserRecords::new(),
            stamp,
            enabled: BTreeSet::new(),
            open: BTreeSet::new(),
            maybe_removed: BTreeSet::new(),
            is_reread: false,
            is_in_place: false,
            problem: None,
            renewal_problem: None,
            is_renewing: true,
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, FileState> {
        // No code under this lock panics halfway.
        wharf_core::lock(&self.state)
    }

    /// Whether the file is known to be unchanged, without waiting for anything.
    fn is_current_at_once(&self) -> bool {
        // While it is read again, the result counts.
        let Ok(_locked) = self.read_lock.try_lock() else { return false };
        let before = self.state().stamp;
        before.is_some() && disk::stamp_at_once(&self.path) == before
    }

    /// Reads the file again if it has changed. Blocks.
    fn reload_if_changed(&self) {
        let _locked = wharf_core::lock(&self.read_lock);
        let seen = stamp(&self.path);
        let now = seen.as_ref().ok().copied();
        let before = self.state().stamp;
        // A removed file has no stamp; this is reported once, too.
        if now == before {
            return;
        }
        let result = seen.and_then(|_| read_all(&self.path));
        let mut state = self.state();
        match result {
            Ok((records, stamp)) => {
                let identity = |stamp: Stamp| stamp.identity;
                state.is_in_place = before.map(identity) == stamp.map(identity);
                // An account added since the last `refresh` may have logged in already.
                state.enabled.extend(enabled(&records));
                state.open.extend(open(&records));
                state.records = records;
                state.stamp = stamp;
                state.is_reread = true;
                state.is_renewing = true;
                state.problem = None;
            }
            Err(problem) => {
                state.problem = Some(problem);
                state.stamp = now;
            }
        }
    }

    /// The changes since the last call.
    fn changes(&self) -> Result<Changes, UsersFileError> {
        let mut state = self.state();
        if let Some(problem) = state.problem.take() {
            return Err(problem);
        }
        let now = enabled(&state.records);
        let missing: BTreeSet<String> = state.enabled.difference(&now).cloned().collect();
        let (ended, maybe_removed) = if state.is_in_place {
            let is_sure = |name: &String| {
                state.records.contains_key(name) || state.maybe_removed.contains(name)
            };
            missing.into_iter().partition(is_sure)
        } else {
            (missing, BTreeSet::new())
        };
        state.enabled = now.union(&maybe_removed).cloned().collect();
        state.maybe_removed = maybe_removed;
        let open = open(&state.records);
        let over = state.open.difference(&open).filter(|name| now.contains(*name));
        let over = over.cloned().collect();
        state.open = open;
        Ok(Changes { is_reread: std::mem::take(&mut state.is_reread), ended, over })
    }

    /// Replaces the hash `old`, unless the file has another one by now. Blocks.
    fn renew(&self, name: &str, old: Option<&StoredHash>, secret: &[u8], _permit: &HashPermit) {
        if !self.state().is_renewing {
            return;
        }
        let Ok(new) = hash_new(secret) else { return };
        let result = edit::edit(&self.path, LockWait::None, |editor| {
            let stored = editor.record(name).and_then(|record| record.password.clone());
            if stored.as_ref() != old {
                return Ok(());
            }
            editor.set(name, &Setting::Password(StoredHash::from(new)))
        });
        match result {
            Ok(()) | Err(EditError::Locked(_)) => {}
            Err(error) => {
                let mut state = self.state();
                state.is_renewing = false;
                state.renewal_problem = Some(error);
            }
        }
    }
}

fn read_all(path: &Path) -> Result<(UserRecords, Option<Stamp>), UsersFileError> {
    let (text, stamp) = disk::read(path)?;
    let parsed = read::read(path, &text).map_err(UsersFileError::Problems)?;
    let named = parsed
        .effective_records()
        .into_iter()
        .map(|record| (record.name.clone(), Arc::new(record)));
    Ok((named.collect(), Some(stamp)))
}

fn enabled(records: &UserRecords) -> BTreeSet<String> {
    names(records, UserRecord::is_enabled)
}

fn open(records: &UserRecords) -> BTreeSet<String> {
    let now = Timestamp::now();
    names(records, |record| record.admits_time(now).is_ok())
}

fn names(records: &UserRecords, fits: impl Fn(&UserRecord) -> bool) -> BTreeSet<String> {
    let fitting = records.values().filter(|record| fits(record));
    fitting.map(|record| record.name.clone()).collect()
}
