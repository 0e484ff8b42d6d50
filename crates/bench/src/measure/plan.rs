//! What the load generator does in a case.

use std::path::{Path, PathBuf};

use wharf_load::{
    Content, Dialogue, DialogueStep, DownloadMode, Listing, LoadCase as Task, Mix, Plan,
};

use super::MeasurementContext;
use crate::bench::account::{PASSWORD, USER};
use crate::bench::cases::{
    BenchCase, CaseWork, FileLocation, ListingCommand, MIXED_BYTES, SMALL_BYTES, SMALL_COUNT,
    TINY_BYTES,
};
use crate::bench::number::size;
use crate::bench::servers::BenchServer;
use crate::bench::tree::{SMALL, TREE, TREE_FLAT_COUNT, UPLOADS, file_name, folder_name};

/// The interval of NOOPs in the extra session.
const BYSTANDER_PAUSE: std::time::Duration = std::time::Duration::from_millis(5);
/// Decides the order of mixed work.
const SEED: u64 = 11;
/// FileZilla's "maximum simultaneous transfers".
const FILEZILLA_TRANSFERS: u64 = 2;

impl MeasurementContext {
    /// The plans of a case, which are run one after the other.
    pub(super) fn plans(&self, case: &BenchCase, server: &BenchServer) -> Vec<Plan> {
        if case.work == CaseWork::FileZilla {
            let plan =
                |dialogue, sessions, count| self.plan(Task::Dialogue(dialogue), sessions, count);
            let browse = plan(browse(listing(server)), 1, 1);
            return vec![browse, plan(download(), FILEZILLA_TRANSFERS, TREE_FLAT_COUNT)];
        }
        let plan = self.only_plan(case, server);
        vec![Plan { bystander: case.has_bystander.then_some(BYSTANDER_PAUSE), ..plan }]
    }

    fn plan(&self, task: Task, sessions: u64, count: u64) -> Plan {
        let time = Some(self.time_max);
        Plan { sessions: size(sessions), count, time, ..Plan::new(task) }
    }

    fn only_plan(&self, case: &BenchCase, server: &BenchServer) -> Plan {
        let root = self.tree.root(FileLocation::Memory);
        let retrieve = |path: String, bytes: u64, local: &Path| Task::Retrieve {
            reading: self.reading(local.join(&path)),
            path,
            length: Some(bytes),
        };
        match case.work {
            CaseWork::Retrieve { bytes, count, sessions } => {
                let bytes = self.tree.bytes(bytes);
                self.plan(retrieve(file_name(bytes), bytes, &root), sessions, count)
            }
            CaseWork::RetrieveCold { bytes } => {
                let bytes = self.tree.bytes(bytes);
                let task = retrieve(file_name(bytes), bytes, &self.tree.root(case.place));
                self.plan(task, 1, 1)
            }
            CaseWork::RetrieveSmall { count, sessions } => {
                let local = root.join(file_name(SMALL_BYTES));
                let (path, length) = (small_path(), Some(SMALL_BYTES));
                let reading = self.reading(local);
                self.plan(Task::Retrieve { path, length, reading }, sessions, count)
            }
            CaseWork::Store { bytes, count, sessions } => {
                let length = self.tree.bytes(bytes);
                let content = Content::File(root.join(file_name(length)));
                let path = format!("{UPLOADS}/u{{i}}");
                self.plan(Task::Store { path, length, content, is_deleted: false }, sessions, count)
            }
            CaseWork::Mixed { count, sessions } => {
                let content = Content::File(root.join(file_name(MIXED_BYTES)));
                self.plan(Task::Mixed(mix(content, listing(server))), sessions, count)
            }
            CaseWork::Login { count, sessions } => self.plan(Task::Login, sessions, count),
            CaseWork::Command { line, count, sessions } => {
                self.plan(Task::Command { line: line.into() }, sessions, count)
            }
            CaseWork::List { verb, entries, count } => {
                let verb = match verb {
                    ListingCommand::Mlsd => listing(server),
                    ListingCommand::List => Listing::List,
                    ListingCommand::Nlst => Listing::Nlst,
                };
                let path = folder_name(entries);
                self.plan(Task::List { verb, path, entries: Some(entries) }, 1, count)
            }
            CaseWork::Session { count } => {
                let task = Task::Session { path: file_name(TINY_BYTES), length: Some(TINY_BYTES) };
                self.plan(task, 1, count)
            }
            CaseWork::Connects { count } => self.plan(Task::Connects, 1, count),
            CaseWork::Logins { count } => self.plan(Task::Logins, 1, count),
            CaseWork::Idle { .. }
            | CaseWork::ClientProgram { .. }
            | CaseWork::FileZilla
            | CaseWork::Start
            | CaseWork::Size => Plan::new(Task::Login),
        }
    }

    /// How downloads are read: at the least cost, unless every byte is compared.
    fn reading(&self, local: PathBuf) -> DownloadMode {
        if self.verifies {
            DownloadMode::Compare(Content::File(local))
        } else {
            DownloadMode::Drain
        }
    }
}

/// MLSD, where it exists.
fn listing(server: &BenchServer) -> Listing {
    if server.has_mlsd { Listing::Mlsd } else { Listing::List }
}

fn small_path() -> String {
    format!("{SMALL}/f{{i}}")
}

fn mix(content: Content, verb: Listing) -> Mix {
    Mix {
        seed: SEED,
        download: small_path(),
        downloads: SMALL_COUNT,
        download_length: SMALL_BYTES,
        folder: UPLOADS.into(),
        content,
        listed: TREE.into(),
        verb,
    }
}

/// What each session does before it is idle, so that everything that a session may keep exists.
pub(super) fn use_of_session(server: &BenchServer) -> Vec<DialogueStep> {
    let mut steps = ["SYST", "FEAT", "PWD", "NOOP"].map(ask).to_vec();
    steps.extend([
        command(&format!("CWD {TREE}")),
        DialogueStep::List(listing(server), String::new()),
    ]);
    steps.extend([DialogueStep::Retrieve("f0".into()), command("CWD /"), command("NOOP")]);
    steps
}

/// FileZilla's first connection: it lists the folder. It tries TLS, which a server without a
/// certificate rejects.
fn browse(verb: Listing) -> Dialogue {
    let mut opening = log_in();
    opening.extend(["SYST", "FEAT", "OPTS UTF8 ON"].map(ask));
    opening.extend([command(&format!("CWD /{TREE}")), ask("PWD"), command("TYPE I")]);
    Dialogue { is_extended: false, opening, each: vec![DialogueStep::List(verb, String::new())] }
}

/// FileZilla's connections for transfers. What the server supports is known from the first one.
fn download() -> Dialogue {
    let mut opening = log_in();
    opening.push(ask("OPTS UTF8 ON"));
    opening.extend([command(&format!("CWD /{TREE}")), ask("PWD"), command("TYPE I")]);
    Dialogue { is_extended: false, opening, each: vec![DialogueStep::Retrieve("f{i}".into())] }
}

fn log_in() -> Vec<DialogueStep> {
    let (user, password) = (format!("USER {USER}"), format!("PASS {PASSWORD}"));
    vec![ask("AUTH TLS"), ask("AUTH SSL"), command(&user), command(&password)]
}

fn ask(line: &str) -> DialogueStep {
    DialogueStep::Ask(line.into())
}

fn command(line: &str) -> DialogueStep {
    DialogueStep::Command(line.into())
}
