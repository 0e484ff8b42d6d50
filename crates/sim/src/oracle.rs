//! What must be true, whatever happens: the books of what clients sent and what the store did,
//! and the complaints where they do not agree.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use wharf_core::storage::Start;
use wharf_storage::Memory;

/// Keeps the books of one world. Clones share them.
#[derive(Clone)]
pub(crate) struct Oracle(Arc<Mutex<Books>>);

struct Books {
    begin: Instant,
    story: Vec<String>,
    complaints: Vec<String>,
    versions: BTreeMap<String, Vec<Version>>,
    uploads: Vec<Upload>,
    /// Of each upload, in the same order.
    stages: Vec<Stage>,
    done: Vec<Done>,
    /// How many acts there were.
    acts: u64,
    sinks: usize,
    sources: usize,
}

/// What a file held for a while; nothing while it did not exist.
struct Version {
    content: Option<Vec<u8>>,
    from: Instant,
    until: Option<Instant>,
}

/// An upload, as its client sees it.
pub(crate) struct Upload {
    pub(crate) account: String,
    /// Not known before the reply to STOU.
    pub(crate) path: Option<String>,
    pub(crate) start: Start,
    /// All that the client means to send.
    pub(crate) sent: Vec<u8>,
    /// What the file must be if an unfinished upload is resumed, where the client can know.
    pub(crate) whole: Option<Vec<u8>>,
}

/// Where an upload stands. The order of its client's acts, not of their arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No FIN was sent, so nothing may be published.
    Sending,
    /// The FIN was sent behind the last byte.
    Whole,
    Published,
    /// Its client was told that it failed.
    Refused,
}

/// An act on files that changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    RemoveFile,
    RemoveDir,
    MakeDir,
    Rename,
}

struct Done {
    account: String,
    act: Act,
    path: String,
    number: u64,
}

/// What the store published.
pub(crate) struct Published<'a> {
    pub(crate) account: &'a str,
    pub(crate) path: &'a str,
    pub(crate) start: Start,
    pub(crate) was_partial: bool,
    pub(crate) written: &'a [u8],
}

/// Something that must be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Sink,
    Source,
}

/// Counts as held until it is dropped.
pub(crate) struct Holding(Oracle, Held);

/// Names an upload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UploadId(usize);

impl Oracle {
    /// Empty books that begin now.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Books {
            begin: Instant::now(),
            story: Vec::new(),
            complaints: Vec::new(),
            versions: BTreeMap::new(),
            uploads: Vec::new(),
            stages: Vec::new(),
            done: Vec::new(),
            acts: 0,
            sinks: 0,
            sources: 0,
        })))
    }

    /// Adds a line to the story.
    pub(crate) fn tell(&self, who: &str, what: &str) {
        self.books().tell(who, what);
    }

    /// Notes that something must not have happened.
    pub(crate) fn blame(&self, what: String) {
        self.books().blame(what);
    }

    /// The story and the complaints.
    pub(crate) fn told(&self) -> (Vec<String>, Vec<String>) {
        let books = self.books();
        (books.story.clone(), books.complaints.clone())
    }

    /// Counts something as open until the result is dropped.
    pub(crate) fn hold(&self, what: Held) -> Holding {
        *self.books().count(what) += 1;
        Holding(self.clone(), what)
    }

    /// How many sinks and sources are open.
    pub(crate) fn open(&self) -> (usize, usize) {
        let books = self.books();
        (books.sinks, books.sources)
    }

    /// A file that is there from the start.
    pub(crate) fn knows(&self, path: &str, memory: &Memory) {
        self.books().update(path, memory);
    }

    /// The store changed something.
    pub(crate) fn did(&self, account: &str, act: Act, path: &str, memory: &Memory) {
        let mut books = self.books();
        books.tell("store", &format!("{act:?} {path} by {account}"));
        let (account, path) = (account.to_owned(), path.to_owned());
        if act == Act::Rename {
            let mut paths: Vec<_> = books.versions.keys().cloned().collect();
            paths.extend(memory.paths());
            for path in &paths {
                books.update(path, memory);
            }
        } else {
            books.update(&path, memory);
        }
        books.acts += 1;
        let number = books.acts;
        books.done.push(Done { account, act, path, number });
    }

    /// The number of the last act.
    pub(crate) fn moment(&self) -> u64 {
        self.books().acts
    }

    /// A client was told whether its act was done, so the store must have done it, or not.
    /// `is_sole` says that nobody else acts for this account.
    pub(crate) fn was_told(&self, claim: &Claim<'_>, is_done: bool) {
        let mut books = self.books();
        let at = books.done.iter().position(|done| {
            done.account == claim.account
                && done.act == claim.act
                && done.path == claim.path
                && done.number > claim.since
        });
        match (at, is_done) {
            (Some(at), true) => {
                books.done.remove(at);
            }
            (None, true) => books.blame(format!("{:?} {}: told, not done", claim.act, claim.path)),
            (Some(_), false) if claim.is_sole => {
                books.blame(format!("{:?} {}: done, but refused", claim.act, claim.path));
            }
            (_, false) => {}
        }
    }

    /// A client means to upload this.
    pub(crate) fn uploads(&self, upload: Upload) -> UploadId {
        let mut books = self.books();
        books.uploads.push(upload);
        books.stages.push(Stage::Sending);
        UploadId(books.uploads.len() - 1)
    }

    /// A client has read the name that STOU gave.
    pub(crate) fn is_named(&self, id: UploadId, path: String) {
        if let Some(upload) = self.books().uploads.get_mut(id.0) {
            upload.path = Some(path);
        }
    }

    /// A client is about to send the FIN behind its last byte.
    pub(crate) fn is_whole(&self, id: UploadId) {
        if let Some(stage) = self.books().stages.get_mut(id.0) {
            *stage = Stage::Whole;
        }
    }

    /// A client was told how its upload ended.
    pub(crate) fn upload_told(&self, id: UploadId, is_done: bool) {
        let mut books = self.books();
        let is_published = books.stages.get(id.0) == Some(&Stage::Published);
        let path = books.uploads.get(id.0).and_then(|upload| upload.path.clone());
        match (is_done, is_published) {
            (true, false) => books.blame(format!("{path:?}: 226, but nothing was published")),
            (false, true) => books.blame(format!("{path:?}: published, but not 226")),
            (false, false) => {
                if let Some(stage) = books.stages.get_mut(id.0) {
                    *stage = Stage::Refused;
                }
            }
            (true, true) => {}
        }
    }

    /// The store published a file: somebody must have sent exactly that, to its end.
    pub(crate) fn published(&self, news: &Published<'_>, memory: &Memory) {
        let mut books = self.books();
        let Published { account, path, start, was_partial, written } = *news;
        let size = written.len();
        books.tell("store", &format!("publish {path} by {account}: {size} bytes from {start:?}"));
        books.update(path, memory);
        let content = memory.content(path).unwrap_or_default();
        let kept = match start {
            Start::Fresh => Some(0),
            Start::At(at) => usize::try_from(at).ok(),
            Start::End => content.len().checked_sub(size),
        };
        if kept.and_then(|kept| content.get(kept..)) != Some(written) {
            books.blame(format!("{path}: the file is not what was written"));
        }
        let at = books.uploads.iter().zip(&books.stages).rposition(|(upload, stage)| {
            *stage == Stage::Whole
                && upload.account == account
                && upload.path.as_deref() == Some(path)
                && upload.start == start
                && upload.sent == written
        });
        let Some(at) = at else {
            return books.blame(format!("{path}: published {size} bytes that nobody sent whole"));
        };
        if let Some(stage) = books.stages.get_mut(at) {
            *stage = Stage::Published;
        }
        let whole = books.uploads.get(at).and_then(|upload| upload.whole.as_ref());
        if was_partial && whole.is_some_and(|whole| *whole != content) {
            let whole = whole.cloned().unwrap_or_default();
            let same = content.iter().zip(&whole).take_while(|(one, other)| one == other).count();
            let (sent, size) = (whole.len(), content.len());
            books.blame(format!(
                "{path}: a resumed upload of {size} bytes is not the {sent} that were sent in all; \
                 the first {same} are"
            ));
        }
    }

    /// How many uploads were published.
    pub(crate) fn published_in_all(&self) -> usize {
        self.books().stages.iter().filter(|stage| **stage == Stage::Published).count()
    }

    /// A client fetched this between two moments, whole if it was told 226, else a beginning.
    pub(crate) fn fetched(&self, fetch: &Fetch<'_>) {
        let mut books = self.books();
        let is_fine = books.versions.get(fetch.path).is_some_and(|versions| {
            versions.iter().any(|version| {
                let overlaps = version.from <= fetch.opened
                    && version.until.is_none_or(|until| until >= fetch.asked);
                let content = version.content.as_deref().unwrap_or_default();
                let rest = content
                    .get(fetch.from..)
                    .map(|rest| if fetch.is_ascii { to_network(rest) } else { rest.to_vec() });
                overlaps
                    && rest.is_some_and(|rest| {
                        rest.starts_with(fetch.bytes)
                            && (!fetch.is_whole || rest.len() == fetch.bytes.len())
                    })
            })
        });
        if !is_fine {
            let how = if fetch.is_whole { "no version" } else { "no beginning of a version" };
            let size = fetch.bytes.len();
            books.blame(format!("{}: fetched {size} bytes that are {how}", fetch.path));
        }
    }

    /// A client listed the names in the root between two moments: the files that were there all the
    /// time must be among them, and none that never was.
    pub(crate) fn listed(&self, names: &[String], asked: Instant, ended: Instant) {
        let mut books = self.books();
        let mut wrong = Vec::new();
        for (path, versions) in &books.versions {
            let Some(name) = path.strip_prefix('/').filter(|name| !name.contains('/')) else {
                continue;
            };
            let is_there = |version: &&Version| {
                version.content.is_some()
                    && version.from <= ended
                    && version.until.is_none_or(|until| until >= asked)
            };
            if versions.iter().all(|version| version.content.is_none()) {
                continue; // A directory.
            }
            let is_listed = names.iter().any(|listed| listed == name);
            let there = versions.iter().filter(is_there).count();
            let always = versions.iter().filter(|version| {
                is_there(version)
                    && version.from < asked
                    && version.until.is_none_or(|until| until > ended)
            });
            if is_listed && there == 0 || !is_listed && always.count() > 0 {
                wrong.push(name.to_owned());
            }
        }
        for name in wrong {
            books.blame(format!("a listing is wrong about {name}"));
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client asked of the store.
pub(crate) struct Claim<'a> {
    pub(crate) account: &'a str,
    pub(crate) act: Act,
    pub(crate) path: &'a str,
    /// What [`Oracle::moment`] said before the client asked.
    pub(crate) since: u64,
    pub(crate) is_sole: bool,
}

/// What a client fetched.
pub(crate) struct Fetch<'a> {
    pub(crate) path: &'a str,
    pub(crate) from: usize,
    /// With LF as CR LF.
    pub(crate) is_ascii: bool,
    pub(crate) bytes: &'a [u8],
    pub(crate) asked: Instant,
    pub(crate) opened: Instant,
    pub(crate) is_whole: bool,
}

/// What text is on the network: LF is CR LF, unless it is already.
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

impl Books {
    fn tell(&mut self, who: &str, what: &str) {
        let passed = self.begin.elapsed();
        self.story.push(format!(
            "{:>6}.{:03} {who:<6} {what}",
            passed.as_secs(),
            passed.subsec_millis()
        ));
    }

    fn blame(&mut self, what: String) {
        self.tell("ORACLE", &what);
        self.complaints.push(what);
    }

    fn count(&mut self, what: Held) -> &mut usize {
        match what {
            Held::Sink => &mut self.sinks,
            Held::Source => &mut self.sources,
        }
    }

    /// Notes what a path holds from now on.
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
        versions.push(Version { content, from: now, until: None });
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let count = &mut self.0.books();
        let count = count.count(self.1);
        *count = count.saturating_sub(1);
    }
}
