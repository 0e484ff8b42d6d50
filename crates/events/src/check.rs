//! A storage layer that has a program check each upload before it is published.
//!
//! The program runs after the last byte has arrived and before the file gets its final name. The
//! engine still reads the control connection meanwhile, so the client can abort, or ask for the
//! status; there is no 226 before the verdict. A rejected upload is removed or moved to the
//! quarantine folder, and cannot be resumed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;
use wharf_core::account::Account;
use wharf_core::error::{Error, ErrorKind, Result, UploadRejection};
use wharf_core::storage::{
    Capabilities, Change, DetachedFile, Entries, LastLink, ListDetail, Replace, Sink, Source,
    Space, Storage, StoreCopy, Stored, Usage, Write,
};
use wharf_proto::entry::Entry;
use wharf_proto::path::{VPath, escaped};

use crate::Notice;
use crate::programs::Programs;
use crate::worker::{ProgramEnd, ProgramOutcome};

/// Longest part of the program's reason that is sent to the client.
const REASON_CHARS_MAX: usize = 200;
/// Most files in the quarantine folder; uploads rejected beyond that are removed.
const QUARANTINE_FILES_MAX: usize = 1000;

/// An upload that waits for its verdict.
#[derive(Debug)]
pub struct UncheckedUpload<'a> {
    /// The account's name.
    pub user: &'a str,
    /// The target path, as the client names it.
    pub path: &'a VPath,
    /// The target path in the file system, if there is one.
    pub file: Option<&'a Path>,
    /// The current path of the uploaded data.
    pub partial_file: &'a Path,
}

/// What happens to uploads that could not be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchecked {
    /// They are not published; the client can try again.
    Rejected,
    /// They are published.
    Allowed,
}

/// Reports for the administrator.
#[derive(Debug)]
pub enum UploadCheckReport<'a> {
    /// An upload could not be checked.
    Failed {
        /// The upload.
        upload: &'a UncheckedUpload<'a>,
        /// The id of the event that the program got.
        id: &'a str,
        /// The reason.
        reason: &'a str,
        /// Whether it is published nevertheless.
        is_allowed: bool,
    },
    /// An upload was rejected, and moved to the quarantine folder or not.
    Quarantined {
        /// The upload.
        upload: &'a UncheckedUpload<'a>,
        /// The id of the event that the program got.
        id: &'a str,
        /// The path in the quarantine folder, or the error.
        place: std::result::Result<&'a Path, &'a str>,
    },
}

/// Checks uploads by a program.
pub struct Checker {
    /// Starts the program.
    pub programs: Programs,
    /// The index of the program there.
    pub program: usize,
    /// Exit codes that reject an upload; 0 accepts it, any other is a failure.
    pub reject_exit_codes: Vec<i32>,
    /// What a failure means for the upload.
    pub unchecked: Unchecked,
    /// The quarantine folder; without one, rejected uploads are removed.
    pub quarantine: Option<PathBuf>,
    /// Makes the event that the program gets.
    pub notice: Box<dyn Fn(&UncheckedUpload<'_>) -> Notice + Send + Sync>,
    /// Receives reports.
    pub on_report: Box<dyn Fn(&UploadCheckReport<'_>) + Send + Sync>,
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Checker").field("program", &self.program).finish_non_exhaustive()
    }
}

/// The result of a check.
enum CheckVerdict {
    Pass,
    Rejected(String),
    Failed(String),
}

impl Checker {
    /// An account's files, with every upload checked.
    pub fn over(self: &Arc<Self>, store: Arc<dyn Storage>, account: &Account) -> Arc<dyn Storage> {
        Arc::new(CheckedStorage {
            store,
            user: account.name.as_str().into(),
            checker: Arc::clone(self),
        })
    }

    async fn ask(&self, upload: &UncheckedUpload<'_>, notice: &Notice) -> CheckVerdict {
        match self.programs.ask(self.program, notice).await {
            Ok(outcome) => self.verdict(upload, &outcome),
            Err(why) => CheckVerdict::Failed(why.to_owned()),
        }
    }

    fn verdict(&self, upload: &UncheckedUpload<'_>, outcome: &ProgramOutcome) -> CheckVerdict {
        match &outcome.end {
            ProgramEnd::Exited(0) => CheckVerdict::Pass,
            ProgramEnd::Exited(code) if self.reject_exit_codes.contains(code) => {
                CheckVerdict::Rejected(reason(upload, outcome))
            }
            ProgramEnd::Exited(code) => {
                let printed = first_line(&outcome.err).or_else(|| first_line(&outcome.out));
                let printed = printed.map(|printed| format!(": {printed}")).unwrap_or_default();
                CheckVerdict::Failed(format!("the program exited with code {code}{printed}"))
            }
            ProgramEnd::Killed => CheckVerdict::Failed("the program was killed".to_owned()),
            ProgramEnd::TimedOut => CheckVerdict::Failed("the program timed out".to_owned()),
            ProgramEnd::NotStarted(why) => {
                CheckVerdict::Failed(format!("cannot start the program: {why}"))
            }
        }
    }

    /// Moves a rejected upload to the quarantine folder, if there is one.
    async fn quarantine_upload(&self, upload: &UncheckedUpload<'_>, id: &str) {
        let Some(folder) = self.quarantine.clone() else { return };
        let (partial_file, name) = (upload.partial_file.to_owned(), quarantine_name(id, upload));
        let (answer, answered) = oneshot::channel();
        let act = move || {
            // The client may have disconnected.
            let _ = answer.send(move_to_quarantine(&partial_file, &folder, &name));
        };
        let begun = std::thread::Builder::new().name("quarantine".to_owned()).spawn(act);
        let kept = match begun {
            Ok(_) => answered.await.unwrap_or_else(|_| Err("the thread panicked".to_owned())),
            Err(error) => Err(error.to_string()),
        };
        let place = kept.as_deref().map_err(String::as_str);
        (self.on_report)(&UploadCheckReport::Quarantined { upload, id, place });
    }
}

/// The reason for the client: the program's first line of output, without the path of the uploaded
/// data.
fn reason(upload: &UncheckedUpload<'_>, outcome: &ProgramOutcome) -> String {
    let printed = first_line(&outcome.out).or_else(|| first_line(&outcome.err));
    let Some(printed) = printed else { return "The file was rejected.".to_owned() };
    let name = upload.path.name().map(escaped).unwrap_or_default();
    let printed = printed.replace(&*upload.partial_file.to_string_lossy(), &name);
    let folder = upload.partial_file.parent().map(Path::to_string_lossy).unwrap_or_default();
    let printed = if folder.len() > 1 { printed.replace(&*folder, "") } else { printed };
    let printed: String = printed.chars().take(REASON_CHARS_MAX).collect();
    format!("Rejected: {printed}")
}

fn first_line(printed: &[u8]) -> Option<String> {
    let line = printed.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let line = line.into_iter().find(|line| !line.is_empty())?;
    Some(String::from_utf8_lossy(line).into_owned())
}

/// A unique name from which the original one can be recognised.
fn quarantine_name(id: &str, upload: &UncheckedUpload<'_>) -> String {
    let name = upload.path.name().unwrap_or_default();
    let name: String = String::from_utf8_lossy(name)
        .chars()
        .map(|letter| if letter.is_alphanumeric() || ".-_".contains(letter) { letter } else { '_' })
        .take(60)
        .collect();
    format!("{id}-{name}")
}

fn move_to_quarantine(
    partial_file: &Path,
    folder: &Path,
    name: &str,
) -> std::result::Result<PathBuf, String> {
    let plain = |error: std::io::Error| error.to_string();
    let kept = std::fs::read_dir(folder).map_err(plain)?.take(QUARANTINE_FILES_MAX).count();
    if kept >= QUARANTINE_FILES_MAX {
        return Err(format!("the folder holds {QUARANTINE_FILES_MAX} files already"));
    }
    let place = folder.join(name);
    // The store removes its own name of the file; on another file system this makes a copy.
    std::fs::hard_link(partial_file, &place)
        .or_else(|_| std::fs::copy(partial_file, &place).map(drop))
        .map_err(plain)?;
    Ok(place)
}

/// A store with checked uploads.
struct CheckedStorage {
    store: Arc<dyn Storage>,
    user: Arc<str>,
    checker: Arc<Checker>,
}

#[async_trait]
impl Storage for CheckedStorage {
    fn caps(&self) -> Capabilities {
        self.store.caps()
    }

    async fn stat(&self, at: &VPath) -> Result<Entry> {
        self.store.stat(at).await
    }

    async fn list(&self, at: &VPath, wanted: ListDetail) -> Result<Entries> {
        self.store.list(at, wanted).await
    }

    async fn read(&self, at: &VPath, from: u64) -> Result<Source> {
        self.store.read(at, from).await
    }

    async fn write(&self, at: &VPath, how: Write) -> Result<Box<dyn Sink>> {
        let sink = self.store.write(at, how).await?;
        Ok(Box::new(CheckedSink {
            sink,
            at: at.clone(),
            file: self.store.real_path(at),
            user: Arc::clone(&self.user),
            checker: Arc::clone(&self.checker),
            state: CheckState::Open,
        }))
    }

    async fn partial(&self, at: &VPath) -> Result<Option<u64>> {
        self.store.partial(at).await
    }

    async fn has_unfinished(&self, at: &VPath) -> Result<bool> {
        self.store.has_unfinished(at).await
    }

    fn real_path(&self, at: &VPath) -> Option<PathBuf> {
        self.store.real_path(at)
    }

    fn usage(&self, at: &VPath) -> Option<Usage> {
        self.store.usage(at)
    }

    async fn resolve(&self, at: &VPath, last: LastLink) -> Result<VPath> {
        self.store.resolve(at, last).await
    }

    fn mount_at_or_below(&self, at: &VPath) -> Option<VPath> {
        self.store.mount_at_or_below(at)
    }

    async fn space(&self, at: &VPath) -> Result<Option<Space>> {
        self.store.space(at).await
    }

    fn umask(&self) -> Option<u32> {
        self.store.umask()
    }

    fn set_umask(&self, umask: u32) {
        self.store.set_umask(umask);
    }

    async fn remove_file(&self, at: &VPath) -> Result<()> {
        self.store.remove_file(at).await
    }

    async fn remove_dir(&self, at: &VPath) -> Result<()> {
        self.store.remove_dir(at).await
    }

    async fn make_dir(&self, at: &VPath) -> Result<()> {
        self.store.make_dir(at).await
    }

    async fn rename(&self, from: &VPath, to: &VPath, replace: Replace) -> Result<()> {
        self.store.rename(from, to, replace).await
    }

    async fn set(&self, at: &VPath, change: Change) -> Result<()> {
        self.store.set(at, change).await
    }
}

struct CheckedSink {
    sink: Box<dyn Sink>,
    at: VPath,
    file: Option<PathBuf>,
    user: Arc<str>,
    checker: Arc<Checker>,
    state: CheckState,
}

/// The state of an upload's check.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CheckState {
    /// Its current content has not been checked.
    Open,
    Passed,
    Rejected,
}

impl CheckedSink {
    /// Runs the check.
    async fn check(&mut self) -> Result<()> {
        let checker = Arc::clone(&self.checker);
        let Some(partial_file) = self.sink.partial_file().await? else {
            // A store without files on disk has nothing that a program could open.
            let why = "this store has no files on disk to check";
            return Err(Error::new(ErrorKind::Unchecked, why));
        };
        let (user, file) = (Arc::clone(&self.user), self.file.clone());
        let at = self.at.clone();
        let upload = UncheckedUpload {
            user: &user,
            path: &at,
            file: file.as_deref(),
            partial_file: &partial_file,
        };
        // One id for the program, the log and the file in quarantine.
        let notice = (checker.notice)(&upload);
        let id = notice.id();
        match checker.ask(&upload, &notice).await {
            CheckVerdict::Pass => {}
            CheckVerdict::Rejected(reason) => {
                self.state = CheckState::Rejected;
                checker.quarantine_upload(&upload, id).await;
                let refusal = UploadRejection { reason, id: id.to_owned() };
                return Err(Error::new(ErrorKind::Rejected, refusal));
            }
            CheckVerdict::Failed(reason) => {
                let is_allowed = checker.unchecked == Unchecked::Allowed;
                let report =
                    UploadCheckReport::Failed { upload: &upload, id, reason: &reason, is_allowed };
                (checker.on_report)(&report);
                if !is_allowed {
                    return Err(Error::new(ErrorKind::Unchecked, reason));
                }
            }
        }
        self.state = CheckState::Passed;
        Ok(())
    }
}

#[async_trait]
impl Sink for CheckedSink {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.state = CheckState::Open;
        self.sink.write(chunk).await
    }

    async fn detach_file(&mut self) -> Result<Option<DetachedFile>> {
        self.state = CheckState::Open;
        self.sink.detach_file().await
    }

    fn reattach_file(&mut self, failed: bool) {
        self.sink.reattach_file(failed);
    }

    async fn copy_step(&mut self, part: StoreCopy, bytes_max: u64) -> Result<u64> {
        // An append reaches its file by these steps, so the check comes first.
        if part == StoreCopy::Added && self.state == CheckState::Open {
            let copied = self.sink.copy_step(StoreCopy::Preview, bytes_max).await?;
            if copied > 0 {
                return Ok(copied);
            }
            self.check().await?;
        }
        self.sink.copy_step(part, bytes_max).await
    }

    async fn sync(&mut self) -> Result<()> {
        // An append reaches its file by `sync`, so the check comes first.
        if self.state == CheckState::Open {
            self.check().await?;
        }
        self.sink.sync().await
    }

    async fn partial_file(&mut self) -> Result<Option<PathBuf>> {
        self.sink.partial_file().await
    }

    async fn commit(mut self: Box<Self>) -> Result<Stored> {
        if self.state == CheckState::Open
            && let Err(error) = self.check().await
        {
            self.abort().await;
            return Err(error);
        }
        self.sink.commit().await
    }

    async fn abort(self: Box<Self>) {
        match self.state {
            // It cannot be resumed.
            CheckState::Rejected => self.sink.discard().await,
            CheckState::Open | CheckState::Passed => self.sink.abort().await,
        }
    }

    async fn discard(self: Box<Self>) {
        self.sink.discard().await;
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
