//! Runs the cases in a temporary folder, which is deleted afterwards.

use std::time::Duration;

use wharf_config::outcome::Failure;
use wharf_load::{
    ClientSession, Content, DownloadMode, Error, ErrorKind, Listing, LoadCase, Plan, RunOutcome,
    RunProgress, TargetServer, prepare,
};

use super::bar::{self, CaseProgress};
use super::target::failure;
use crate::cli::bench::{BenchArgs, BenchCases};
use crate::words::fresh;

/// The results of all cases.
#[derive(Debug, Default)]
pub(super) struct Results {
    pub(super) cases: Vec<(BenchCases, CaseResult)>,
    /// Notes, such as files that could not be deleted.
    pub(super) notes: Vec<String>,
    /// Whether files remain on the server.
    pub(super) is_left: bool,
}

/// Result of a case.
#[derive(Debug)]
pub(super) enum CaseResult {
    /// It ran, with or without errors.
    Ran(Box<RunOutcome>),
    /// It could not start.
    Failed(Error),
    /// It was skipped, with the reason.
    Skipped(&'static str),
}

impl Results {
    pub(super) fn has_errors(&self) -> bool {
        let is_bad = |ending: &CaseResult| match ending {
            CaseResult::Ran(outcome) => outcome.errors > 0,
            CaseResult::Failed(_) => true,
            CaseResult::Skipped(_) => false,
        };
        self.is_left || self.cases.iter().any(|(_, ending)| is_bad(ending))
    }
}

/// The state of the suite.
#[derive(Debug)]
pub(super) struct Suite<'a> {
    options: &'a BenchArgs,
    target: &'a TargetServer,
    progress: &'a RunProgress,
    /// The temporary folder; none without write permission.
    folder: Option<String>,
    small: StoredFiles,
    large: StoredFiles,
    results: Results,
}

/// Files on the server, numbered from 0.
#[derive(Clone, Copy, Debug, Default)]
struct StoredFiles {
    /// Number of complete files.
    whole: u64,
    /// Number of files that were started.
    begun: u64,
}

impl<'a> Suite<'a> {
    /// Logs in once to verify the options, and creates the folder.
    pub(super) fn begin(
        options: &'a BenchArgs,
        target: &'a TargetServer,
        progress: &'a RunProgress,
    ) -> Result<Self, Failure> {
        let mut session =
            ClientSession::log_in(target).map_err(|error| failure(&error, options))?;
        let mut suite = Self {
            options,
            target,
            progress,
            folder: None,
            small: StoredFiles::default(),
            large: StoredFiles::default(),
            results: Results::default(),
        };
        if suite.wants_folder() {
            let end = fresh()?;
            let folder = match options.dir.as_deref().map(|dir| dir.trim_end_matches('/')) {
                Some(dir) => format!("{dir}/wharf-bench-{end}"),
                None => format!("wharf-bench-{end}"),
            };
            match session.succeed(&format!("MKD {folder}")) {
                Ok(_) => suite.folder = Some(folder),
                Err(error) => suite.results.notes.push(format!(
                    "uploads are not permitted here ({error}); use another folder with --dir PATH"
                )),
            }
        }
        // A server may close the connection instead.
        let _ = session.quit();
        Ok(suite)
    }

    /// Runs the selected cases. An error of one case does not stop the next.
    pub(super) fn measure(&mut self) {
        for case in ORDER {
            if !self.is_wanted(*case) || self.progress.is_stopped() {
                continue;
            }
            let ending = self.one(*case);
            self.results.cases.push((*case, ending));
        }
    }

    /// Deletes the files that were stored.
    pub(super) fn finish(mut self) -> Results {
        let Some(folder) = self.folder.take() else { return self.results };
        let mut removed = self.remove(&folder);
        // An interrupted upload can appear shortly after its connection is closed.
        for _ in 1..REMOVALS_MAX {
            if !matches!(&removed, Err(error) if is_rejected(error)) {
                break;
            }
            std::thread::sleep(REMOVAL_PAUSE);
            removed = self.remove(&folder);
        }
        if let Err(error) = removed {
            self.results.is_left = true;
            self.results.notes.push(format!("{folder} is still on the server: {error}"));
        }
        self.results
    }

    fn is_wanted(&self, case: BenchCases) -> bool {
        self.options.only.is_empty() || self.options.only.contains(&case)
    }

    /// Whether a selected case needs test files.
    fn wants_folder(&self) -> bool {
        ORDER.iter().any(|case| {
            let needs = match case {
                BenchCases::Login | BenchCases::Noop | BenchCases::List => false,
                BenchCases::LargeDown => self.options.file.is_none(),
                _ => true,
            };
            needs && self.is_wanted(*case)
        })
    }

    fn one(&mut self, case: BenchCases) -> CaseResult {
        let count = u64::from(self.options.count);
        match case {
            BenchCases::Login => self.run(case, LoadCase::Login, count),
            BenchCases::Noop => {
                self.run(case, LoadCase::Command { line: "NOOP".to_owned() }, count)
            }
            BenchCases::List => self.list(count.div_ceil(OPERATIONS_PER_LISTING)),
            BenchCases::SmallUp => self.store(case, count),
            BenchCases::LargeUp => self.store(case, u64::from(self.options.sessions)),
            BenchCases::SmallDown => self.download_small(count),
            BenchCases::LargeDown => self.download_large(),
        }
    }

    fn run(&self, measured: BenchCases, case: LoadCase, count: u64) -> CaseResult {
        let BenchArgs { sessions, time, size, .. } = *self.options;
        let bytes = match &case {
            LoadCase::Store { length, .. } => Some(length * count),
            LoadCase::Retrieve { length, .. } => Some(length.unwrap_or(size) * count),
            _ => None,
        };
        let plan = Plan { sessions: sessions.into(), count, time: Some(time), ..Plan::new(case) };
        match prepare(self.target, &plan) {
            Err(error) => CaseResult::Failed(error),
            Ok(mut prepared) => {
                let work = CaseProgress { name: measured.name(), operations: count, bytes };
                let outcome = bar::run(&mut prepared, self.progress, work);
                // Nothing is deleted here, and an error of QUIT is harmless.
                let _ = prepared.finish();
                CaseResult::Ran(Box::new(outcome))
            }
        }
    }

    /// Lists the folder with the small files, or the current one; with MLSD if supported.
    fn list(&mut self, count: u64) -> CaseResult {
        let path = self.folder.clone().or_else(|| self.options.dir.clone()).unwrap_or_default();
        let listing = |verb| LoadCase::List { verb, path: path.clone(), entries: None };
        let ending = self.run(BenchCases::List, listing(Listing::Mlsd), count);
        let is_unknown = matches!(&ending, CaseResult::Ran(outcome) if outcome.operations == 0
            && outcome.error_list.first().is_some_and(|error|
                matches!(error.kind, ErrorKind::Rejected { code: 500..=504, .. })));
        if !is_unknown {
            return ending;
        }
        self.results.notes.push("the server does not support MLSD; LIST was used".into());
        self.run(BenchCases::List, listing(Listing::List), count)
    }

    fn store(&mut self, measured: BenchCases, count: u64) -> CaseResult {
        let Some(folder) = &self.folder else { return CaseResult::Skipped(NO_FOLDER) };
        let (prefix, length) = match measured {
            BenchCases::SmallUp => (SMALL_PREFIX, SMALL),
            _ => (LARGE_PREFIX, self.options.size),
        };
        let path = format!("{folder}/{prefix}{{i}}");
        let content = Content::Pattern;
        // The suite deletes all files itself, including those of failed uploads.
        let ending =
            self.run(measured, LoadCase::Store { path, length, content, is_deleted: false }, count);
        if let CaseResult::Ran(outcome) = &ending {
            let whole = if outcome.errors == 0 { outcome.operations } else { 0 };
            let begun = outcome.operations + outcome.errors + u64::from(self.options.sessions);
            let stored =
                if measured == BenchCases::SmallUp { &mut self.small } else { &mut self.large };
            *stored = StoredFiles { whole, begun: stored.begun.max(begun.min(count)) };
        }
        ending
    }

    fn download_small(&mut self, count: u64) -> CaseResult {
        if self.folder.is_some() && self.small.whole == 0 {
            self.store(BenchCases::SmallUp, count);
        }
        let Some(folder) = self.folder.as_ref() else { return CaseResult::Skipped(NO_FOLDER) };
        if self.small.whole == 0 {
            return CaseResult::Skipped(NO_FILES);
        }
        let path = format!("{folder}/{SMALL_PREFIX}{{i}}");
        let (length, reading) = (Some(SMALL), self.reading());
        self.run(
            BenchCases::SmallDown,
            LoadCase::Retrieve { path, length, reading },
            self.small.whole,
        )
    }

    fn download_large(&mut self) -> CaseResult {
        let count = u64::from(self.options.sessions);
        if let Some(path) = self.options.file.clone() {
            // Its content is unknown, so it cannot be verified.
            let case = LoadCase::Retrieve { path, length: None, reading: DownloadMode::Decrypt };
            return self.run(BenchCases::LargeDown, case, count);
        }
        if self.folder.is_some() && self.large.whole == 0 {
            self.store(BenchCases::LargeUp, 1);
        }
        let Some(folder) = self.folder.as_ref() else { return CaseResult::Skipped(NO_FOLDER) };
        if self.large.whole == 0 {
            return CaseResult::Skipped(NO_FILES);
        }
        let path = format!("{folder}/{LARGE_PREFIX}0");
        let (length, reading) = (Some(self.options.size), self.reading());
        self.run(BenchCases::LargeDown, LoadCase::Retrieve { path, length, reading }, count)
    }

    fn reading(&self) -> DownloadMode {
        if self.options.verify {
            DownloadMode::Compare(Content::Pattern)
        } else {
            DownloadMode::Decrypt
        }
    }

    fn remove(&self, folder: &str) -> Result<(), Error> {
        let mut session = ClientSession::log_in(self.target)?;
        for (prefix, stored) in [(SMALL_PREFIX, self.small), (LARGE_PREFIX, self.large)] {
            for number in 0..stored.begun {
                // An error for a file that was never stored is ignored; RMD fails if files remain.
                let removed = session.succeed(&format!("DELE {folder}/{prefix}{number}"));
                removed
                    .map(drop)
                    .or_else(|error| if is_rejected(&error) { Ok(()) } else { Err(error) })?;
            }
        }
        session.succeed(&format!("RMD {folder}"))?;
        // A server may close the connection instead.
        let _ = session.quit();
        Ok(())
    }
}

fn is_rejected(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Rejected { .. })
}

const REMOVALS_MAX: usize = 5;
const REMOVAL_PAUSE: Duration = Duration::from_millis(200);

/// Small files before the listing, so that the listing has entries.
const ORDER: &[BenchCases] = &[
    BenchCases::Login,
    BenchCases::Noop,
    BenchCases::SmallUp,
    BenchCases::SmallDown,
    BenchCases::List,
    BenchCases::LargeUp,
    BenchCases::LargeDown,
];
const SMALL: u64 = 4096;
const SMALL_PREFIX: &str = "small-";
const LARGE_PREFIX: &str = "large-";
/// A listing is as much work as several files.
const OPERATIONS_PER_LISTING: u64 = 10;
const NO_FOLDER: &str = "no write permission";
const NO_FILES: &str = "its files could not be stored";

impl BenchCases {
    /// As on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Noop => "noop",
            Self::SmallUp => "small-up",
            Self::SmallDown => "small-down",
            Self::List => "list",
            Self::LargeUp => "large-up",
            Self::LargeDown => "large-down",
        }
    }
}
