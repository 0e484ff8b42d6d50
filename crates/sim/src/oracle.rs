//! Invariants that hold under all faults: records what clients sent and what the storage did, and
//! reports violations.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;
use wharf_core::lock;
use wharf_core::storage::Start;
use wharf_storage::Memory;

/// The records of one simulation. Clones share them.
#[derive(Clone)]
pub(crate) struct Oracle(Arc<Mutex<OracleState>>);

struct OracleState {
    begin: Instant,
    log: Vec<String>,
    violations: Vec<String>,
    versions: BTreeMap<String, Vec<FileVersion>>,
    uploads: Vec<SentUpload>,
    /// The stage of each upload, in the same order.
    stages: Vec<UploadStage>,
    done: Vec<CompletedOperation>,
    /// Number of operations so far.
    operations: u64,
    sinks: usize,
    sources: usize,
    /// The number of published files.
    published: usize,
    /// The server is shutting down.
    is_stopping: bool,
    /// Clients do not report their uploads.
    is_without_uploads: bool,
}

/// The content of a file for some time; `None` while it did not exist.
struct FileVersion {
    content: Option<Vec<u8>>,
    from: Instant,
    until: Option<Instant>,
}

/// An upload, from the view of its client.
pub(crate) struct SentUpload {
    pub(crate) account: String,
    /// Unknown before the reply to STOU.
    pub(crate) path: Option<String>,
    pub(crate) start: Start,
    /// All bytes that the client intends to send.
    pub(crate) sent: Vec<u8>,
    /// The expected content if an unfinished upload is resumed, where it can be computed.
    pub(crate) whole: Option<Vec<u8>>,
}

/// The stage of an upload, in the order of its client's operations, not of their arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UploadStage {
    /// No FIN was sent, so nothing may be published.
    Sending,
    /// The FIN was sent after the last byte.
    Whole,
    Published,
    /// Its client received a reply that it failed.
    Rejected,
}

/// An operation that changed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileOperation {
    RemoveFile,
    RemoveDir,
    MakeDir,
    Rename,
}

struct CompletedOperation {
    account: String,
    operation: FileOperation,
    path: String,
    number: u64,
}

/// An upload that the storage published.
pub(crate) struct Published<'a> {
    pub(crate) account: &'a str,
    pub(crate) path: &'a str,
    pub(crate) start: Start,
    pub(crate) was_partial: bool,
    pub(crate) written: &'a [u8],
}

/// A resource that must be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Sink,
    Source,
}

/// Counts as in use until it is dropped.
pub(crate) struct ResourceGuard(Oracle, Resource);

/// Identifies an upload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UploadId(usize);

impl Oracle {
    /// Empty records that begin now.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(OracleState {
            begin: Instant::now(),
            log: Vec::new(),
            violations: Vec::new(),
            versions: BTreeMap::new(),
            uploads: Vec::new(),
            stages: Vec::new(),
            done: Vec::new(),
            operations: 0,
            sinks: 0,
            sources: 0,
            published: 0,
            is_stopping: false,
            is_without_uploads: false,
        })))
    }

    /// Clients do not report their uploads, so what is published cannot be compared.
    pub(crate) fn ignore_uploads(&self) {
        self.state().is_without_uploads = true;
    }

    /// A shutdown begins.
    pub(crate) fn stop(&self) {
        self.state().is_stopping = true;
    }

    /// Whether it was.
    pub(crate) fn is_stopping(&self) -> bool {
        self.state().is_stopping
    }

    /// Adds a line to the log.
    pub(crate) fn log_line(&self, source: &str, what: &str) {
        self.state().log_line(source, what);
    }

    /// Reports a violation.
    pub(crate) fn report_violation(&self, what: String) {
        self.state().report_violation(what);
    }

    /// The log and the violations.
    pub(crate) fn log_and_violations(&self) -> (Vec<String>, Vec<String>) {
        let state = self.state();
        (state.log.clone(), state.violations.clone())
    }

    /// Counts a resource as open until the result is dropped.
    pub(crate) fn track(&self, what: Resource) -> ResourceGuard {
        *self.state().count(what) += 1;
        ResourceGuard(self.clone(), what)
    }

    /// The number of open sinks and sources.
    pub(crate) fn open(&self) -> (usize, usize) {
        let state = self.state();
        (state.sinks, state.sources)
    }

    /// Records a file that exists from the start.
    pub(crate) fn add_existing(&self, path: &str, memory: &Memory) {
        self.state().update(path, memory);
    }

    /// Records a change of the storage.
    pub(crate) fn record(
        &self,
        account: &str,
        operation: FileOperation,
        path: &str,
        memory: &Memory,
    ) {
        let mut state = self.state();
        state.log_line("store", &format!("{operation:?} {path} by {account}"));
        let (account, path) = (account.to_owned(), path.to_owned());
        if operation == FileOperation::Rename {
            let mut paths: Vec<_> = state.versions.keys().cloned().collect();
            paths.extend(memory.paths());
            for path in &paths {
                state.update(path, memory);
            }
        } else {
            state.update(&path, memory);
        }
        state.operations += 1;
        let number = state.operations;
        state.done.push(CompletedOperation { account, operation, path, number });
    }

    /// The number of the last operation.
    pub(crate) fn moment(&self) -> u64 {
        self.state().operations
    }

    /// A client received the result of its operation, so the storage must have performed it, or
    /// not. `is_sole` means that no other client uses this account.
    pub(crate) fn check_result(&self, reported: &ReportedResult<'_>, is_done: bool) {
        let mut state = self.state();
        let at = state.done.iter().position(|done| {
            done.account == reported.account
                && done.operation == reported.operation
                && done.path == reported.path
                && done.number > reported.since
        });
        match (at, is_done) {
            (Some(at), true) => {
                state.done.remove(at);
            }
            (None, true) => state.report_violation(format!(
                "{:?} {}: acknowledged, but not done",
                reported.operation, reported.path
            )),
            (Some(_), false) if reported.is_sole => {
                state.report_violation(format!(
                    "{:?} {}: done, but rejected",
                    reported.operation, reported.path
                ));
            }
            (_, false) => {}
        }
    }

    /// A client starts this upload.
    pub(crate) fn begin_upload(&self, upload: SentUpload) -> UploadId {
        let mut state = self.state();
        state.uploads.push(upload);
        state.stages.push(UploadStage::Sending);
        UploadId(state.uploads.len() - 1)
    }

    /// A client has read the name in the reply to STOU.
    pub(crate) fn set_name(&self, id: UploadId, path: String) {
        if let Some(upload) = self.state().uploads.get_mut(id.0) {
            upload.path = Some(path);
        }
    }

    /// A client is about to send the FIN after its last byte.
    pub(crate) fn is_whole(&self, id: UploadId) {
        if let Some(stage) = self.state().stages.get_mut(id.0) {
            *stage = UploadStage::Whole;
        }
    }

    /// A client received the final reply for its upload.
    pub(crate) fn end_upload(&self, id: UploadId, is_done: bool) {
        let mut state = self.state();
        let is_published = state.stages.get(id.0) == Some(&UploadStage::Published);
        let path = state.uploads.get(id.0).and_then(|upload| upload.path.clone());
        match (is_done, is_published) {
            (true, false) => {
                state.report_violation(format!("{path:?}: 226, but nothing was published"));
            }
            (false, true) => state.report_violation(format!("{path:?}: published, but not 226")),
            (false, false) => {
                if let Some(stage) = state.stages.get_mut(id.0) {
                    *stage = UploadStage::Rejected;
                }
            }
            (true, true) => {}
        }
    }

    /// The storage published a file: a client must have sent exactly that content, completely.
    pub(crate) fn published(&self, published: &Published<'_>, memory: &Memory) {
        let mut state = self.state();
        let Published { account, path, start, was_partial, written } = *published;
        let size = written.len();
        state.log_line(
            "store",
            &format!("publish {path} by {account}: {size} bytes from {start:?}"),
        );
        state.update(path, memory);
        state.published += 1;
        if state.is_without_uploads {
            return;
        }
        let content = memory.content(path).unwrap_or_default();
        let prefix = match start {
            Start::Fresh => Some(0),
            Start::At(at) => usize::try_from(at).ok(),
            Start::End => content.len().checked_sub(size),
        };
        if prefix.and_then(|prefix| content.get(prefix..)) != Some(written) {
            state.report_violation(format!("{path}: the file is not what was written"));
        }
        let at = state.uploads.iter().zip(&state.stages).rposition(|(upload, stage)| {
            *stage == UploadStage::Whole
                && upload.account == account
                && upload.path.as_deref() == Some(path)
                && upload.start == start
                && upload.sent == written
        });
        let Some(at) = at else {
            return state.report_violation(format!(
                "{path}: published {size} bytes that no client sent completely"
            ));
        };
        if let Some(stage) = state.stages.get_mut(at) {
            *stage = UploadStage::Published;
        }
        let whole = state.uploads.get(at).and_then(|upload| upload.whole.as_ref());
        if was_partial && whole.is_some_and(|whole| *whole != content) {
            let whole = whole.cloned().unwrap_or_default();
            let same = content.iter().zip(&whole).take_while(|(one, other)| one == other).count();
            let (sent, size) = (whole.len(), content.len());
            state.report_violation(format!(
                "{path}: a resumed upload of {size} bytes differs from the {sent} bytes sent \
                 in total; the first {same} are equal"
            ));
        }
    }

    /// The number of published uploads.
    pub(crate) fn published_count(&self) -> usize {
        self.state().published
    }

    /// A client downloaded this between two times: completely if the reply was 226, otherwise a
    /// prefix.
    pub(crate) fn check_download(&self, download: &Download<'_>) {
        let mut state = self.state();
        let is_fine = state.versions.get(download.path).is_some_and(|versions| {
            versions.iter().any(|version| {
                let overlaps = version.from <= download.opened
                    && version.until.is_none_or(|until| until >= download.requested_at);
                let content = version.content.as_deref().unwrap_or_default();
                let rest = content
                    .get(download.from..)
                    .map(|rest| if download.is_ascii { to_network(rest) } else { rest.to_vec() });
                overlaps
                    && rest.is_some_and(|rest| {
                        rest.starts_with(download.bytes)
                            && (!download.is_whole || rest.len() == download.bytes.len())
                    })
            })
        });
        if !is_fine {
            let how = if download.is_whole { "no version" } else { "no prefix of a version" };
            let size = download.bytes.len();
            state.report_violation(format!(
                "{}: downloaded {size} bytes that are {how}",
                download.path
            ));
        }
    }

    /// A client listed the names in the root between two times: files that existed all the time
    /// must be listed, and names that never existed must not.
    pub(crate) fn listed(&self, names: &[String], requested_at: Instant, ended: Instant) {
        let mut state = self.state();
        let mut wrong = Vec::new();
        for (path, versions) in &state.versions {
            let Some(name) = path.strip_prefix('/').filter(|name| !name.contains('/')) else {
                continue;
            };
            let is_there = |version: &&FileVersion| {
                version.content.is_some()
                    && version.from <= ended
                    && version.until.is_none_or(|until| until >= requested_at)
            };
            if versions.iter().all(|version| version.content.is_none()) {
                continue; // A directory.
            }
            let is_listed = names.iter().any(|listed| listed == name);
            let there = versions.iter().filter(is_there).count();
            let always = versions.iter().filter(|version| {
                is_there(version)
                    && version.from < requested_at
                    && version.until.is_none_or(|until| until > ended)
            });
            if is_listed && there == 0 || !is_listed && always.count() > 0 {
                wrong.push(name.to_owned());
            }
        }
        for name in wrong {
            state.report_violation(format!("a listing is wrong about {name}"));
        }
    }

    fn state(&self) -> MutexGuard<'_, OracleState> {
        lock(&self.0)
    }
}

/// A result that a client received for an operation.
pub(crate) struct ReportedResult<'a> {
    pub(crate) account: &'a str,
    pub(crate) operation: FileOperation,
    pub(crate) path: &'a str,
    /// The value of [`Oracle::moment`] before the client sent the command.
    pub(crate) since: u64,
    pub(crate) is_sole: bool,
}

/// A download of a client.
pub(crate) struct Download<'a> {
    pub(crate) path: &'a str,
    pub(crate) from: usize,
    /// With LF as CR LF.
    pub(crate) is_ascii: bool,
    pub(crate) bytes: &'a [u8],
    pub(crate) requested_at: Instant,
    pub(crate) opened: Instant,
    pub(crate) is_whole: bool,
}

/// Text as sent on the network: LF becomes CR LF, unless it already is.
fn to_network(content: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(content.len());
    for &byte in content {
        if byte == b'\n' && sent.last() != Some(&b'\r') {
            sent.push(b'\r');
        }
        sent.push(byte);
    }
    sent
}

impl OracleState {
    fn log_line(&mut self, source: &str, what: &str) {
        let passed = self.begin.elapsed();
        self.log.push(format!(
            "{:>6}.{:03} {source:<6} {what}",
            passed.as_secs(),
            passed.subsec_millis()
        ));
    }

    fn report_violation(&mut self, what: String) {
        self.log_line("ORACLE", &what);
        self.violations.push(what);
    }

    fn count(&mut self, what: Resource) -> &mut usize {
        match what {
            Resource::Sink => &mut self.sinks,
            Resource::Source => &mut self.sources,
        }
    }

    /// Records the content of a path from now on.
    fn update(&mut self, path: &str, memory: &Memory) {
        let now = Instant::now();
        let content = memory.content(path);
        let versions = self.versions.entry(path.to_owned()).or_default();
        if let Some(last) = versions.last_mut() {
            if last.content == content {
                return;
            }
            last.until = Some(now);
        }
        versions.push(FileVersion { content, from: now, until: None });
    }
}

impl Drop for ResourceGuard {
    fn drop(&mut self) {
        let count = &mut self.0.state();
        let count = count.count(self.1);
        *count = count.saturating_sub(1);
    }
}
