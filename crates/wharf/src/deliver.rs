//! Events told to programs and web servers, and the program that is asked before uploads are
//! published: what the configuration says of them, joined with `wharf-events`.
//!
//! [`Prepared`] is what a start needs before the process is confined; [`Delivery`] is what takes
//! events afterwards. [`message`] makes of an event what is told, [`report`] lines of the log of
//! what became of it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wharf_core::event::{ClientInfo, Event, Events};
use wharf_core::trusted_file;
use wharf_events::check::{self, Checker, Upload};
use wharf_events::programs::{self, Limits, Program, Programs, Started};
use wharf_events::webhook::{self, Webhook};

use crate::config::choice::OnFailure;
use crate::config::{Config, keys};
use crate::log::Log;
use crate::log::catalog::kind;
use crate::log::record::{Field, Record};
use crate::os::Signals;
use crate::outcome::{Exit, Failure, plain};
use crate::protection::reach::state_folder;
use message::Maker;

mod message;
mod report;

/// How long events that wait are told after the last session.
const LAST_EVENTS_MAX: Duration = Duration::from_secs(5);
/// A secret that is shorter can be guessed.
const SECRET_BYTES_MIN: usize = 16;
/// Neither secrets nor certificates of authorities are larger.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// When a program is told.
struct Hook {
    /// The events; none: every one.
    events: &'static [&'static str],
    when: When,
    /// Its number among the programs.
    program: usize,
}

/// Which events of its kind it is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Any,
    /// Only what was completed.
    Complete,
    /// Only what was not.
    Cut,
    /// Only where somebody had logged in.
    OfUser,
}

/// All that is read before the process is confined.
pub(crate) struct Prepared {
    programs: Vec<Program>,
    limits: Limits,
    hooks: Vec<Hook>,
    check: Option<Check>,
    webhooks: Vec<(webhook::Prepared, String, Vec<String>)>,
    maker: Arc<Maker>,
    log: Arc<Log>,
}

/// The program that is asked about uploads.
struct Check {
    program: usize,
    config: keys::EventHooks,
}

/// The events that wait for web servers, open.
pub(crate) struct Spools(Vec<(Webhook, Vec<String>)>);

/// The process that starts programs, if there are any.
pub(crate) struct Worker(Option<Started>);

impl Prepared {
    /// What the configuration wants; none if it wants nothing.
    ///
    /// # Errors
    /// What cannot be read or opened.
    pub(crate) fn of(config: &Config, log: &Arc<Log>) -> Result<Option<Self>, Failure> {
        let mut programs = Vec::new();
        let hooks = hooks(&config.events, &mut programs);
        let check = check_of(&config.events, &mut programs);
        let mut webhooks = Vec::new();
        for webhook in &config.webhooks {
            if let Some((prepared, shown)) = prepare(webhook, config, log)? {
                webhooks.push((prepared, shown, webhook.events.0.clone()));
            }
        }
        if programs.is_empty() && webhooks.is_empty() {
            return Ok(None);
        }
        let limits = Limits {
            runs_max: usize_of(config.events.workers.0),
            checks_max: usize_of(config.events.check_workers.0),
            retries_max: config.events.retries.0,
            pause: config.events.retry_pause.0,
        };
        let maker = Arc::new(Maker::new()?);
        let log = Arc::clone(log);
        Ok(Some(Self { programs, limits, hooks, check, webhooks, maker, log }))
    }

    /// Opens the spools of web servers. It must happen after this process became the user that
    /// serves, which opens their files again and again: those of root would be closed to it.
    ///
    /// # Errors
    /// One of them cannot be opened.
    pub(crate) fn open_spools(&mut self) -> Result<Spools, Failure> {
        let opened =
            std::mem::take(&mut self.webhooks).into_iter().map(|(prepared, url, names)| {
                let opened = prepared.open().map_err(|why| {
                    let failure = Failure::new(format!("cannot send events to {url}: {why}"));
                    failure.help("the user that serves needs to write to server.state_dir")
                });
                opened.map(|webhook| (webhook, names))
            });
        opened.collect::<Result<_, _>>().map(Spools)
    }

    /// Starts the process that starts programs. It must happen before this one is confined, and
    /// after it became somebody else: the programs are that somebody's.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start_worker(&self) -> Result<Worker, Failure> {
        if self.programs.is_empty() {
            return Ok(Worker(None));
        }
        let started = crate::place::own_program().and_then(|own| {
            let mut command = std::process::Command::new(own);
            command.arg(WORKER_COMMAND).env_clear().current_dir("/");
            Started::start(&mut command, self.programs.clone())
        });
        let started = started.map_err(|error| {
            Failure::io("the process that starts programs cannot be started", &error)
        })?;
        Ok(Worker(Some(started)))
    }

    /// Starts the threads. From here on events are told.
    ///
    /// # Errors
    /// The system gives no threads.
    pub(crate) fn begin(
        self,
        worker: Worker,
        Spools(webhooks): Spools,
    ) -> Result<Delivery, Failure> {
        let no_threads = |error| Failure::io("the system gives no threads", &error);
        let log = Arc::clone(&self.log);
        let tell = Box::new(move |told: &programs::Report<'_>| log.note(&report::of_program(told)));
        let begin = |started: Started| started.begin(self.limits, tell);
        let programs = worker.0.map(begin).transpose().map_err(no_threads)?;
        for (webhook, _) in &webhooks {
            webhook.begin().map_err(no_threads)?;
        }
        let checker = self.check.zip(programs.clone()).map(|(check, programs)| {
            Arc::new(checker(&check, programs, Arc::clone(&self.maker), Arc::clone(&self.log)))
        });
        Ok(Delivery { programs, hooks: self.hooks, webhooks, maker: self.maker, checker })
    }
}

/// The hidden command that is the process which starts programs.
pub(crate) const WORKER_COMMAND: &str = "start-programs";

/// Is that process, to its end.
///
/// # Errors
/// Somebody else than wharf called.
pub(crate) fn work() -> Result<Exit, Failure> {
    // Ctrl+C and a service manager mean the server. It says when this ends, by the end of the
    // input, and may have uploads looked at until then.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let signals = runtime.and_then(|runtime| {
        let signals = runtime.block_on(async { Signals::new() });
        signals.map(|signals| (runtime, signals))
    });
    let served = wharf_events::worker::serve(std::io::stdin(), std::io::stdout());
    drop(signals);
    served.map(|()| Exit::Done).map_err(|error| Failure::new(plain(&error)))
}

/// Who hands events on.
pub(crate) struct Delivery {
    programs: Option<Programs>,
    hooks: Vec<Hook>,
    webhooks: Vec<(Webhook, Vec<String>)>,
    maker: Arc<Maker>,
    checker: Option<Arc<Checker>>,
}

/// Counts since the start, of all programs and of all web servers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Of programs.
    pub(crate) programs: programs::Counts,
    /// Of web servers.
    pub(crate) webhooks: webhook::Counts,
}

impl Delivery {
    /// Who has uploads looked at, if anybody does.
    pub(crate) fn checker(&self) -> Option<&Arc<Checker>> {
        self.checker.as_ref()
    }

    /// Counts since the start.
    pub(crate) fn counts(&self) -> Counts {
        let programs = self.programs.as_ref().map(Programs::counts).unwrap_or_default();
        let each = self.webhooks.iter().map(|(webhook, _)| webhook.counts());
        let webhooks = each.fold(webhook::Counts::default(), |sum, one| webhook::Counts {
            delivered: sum.delivered + one.delivered,
            retried: sum.retried + one.retried,
            given_up: sum.given_up + one.given_up,
            dropped: sum.dropped + one.dropped,
            read_errors: sum.read_errors + one.read_errors,
            damaged: sum.damaged + one.damaged,
            spooled_bytes: sum.spooled_bytes + one.spooled_bytes,
        });
        Counts { programs, webhooks }
    }

    /// Tells what waits, for a moment, and then nothing more. What web servers have not taken is
    /// kept on disk.
    pub(crate) fn close(&self) {
        if let Some(programs) = &self.programs {
            programs.close(LAST_EVENTS_MAX);
        }
        for (webhook, _) in &self.webhooks {
            webhook.close(LAST_EVENTS_MAX);
        }
    }
}

impl Events for Delivery {
    fn emit(&self, who: &ClientInfo, event: &Event<'_>) {
        let Some(record) = Record::of(who, event) else { return };
        if !kind(record.event).is_some_and(|kind| kind.is_told) {
            return;
        }
        let hooks = self.hooks.iter().filter(|hook| hook.is_about(&record));
        let hooks: Vec<_> = hooks.map(|hook| hook.program).collect();
        let wants =
            |names: &[String]| names.is_empty() || names.iter().any(|name| name == record.event);
        let webhooks = self.webhooks.iter().filter(|(_, names)| wants(names));
        let webhooks: Vec<_> = webhooks.map(|(webhook, _)| webhook).collect();
        if hooks.is_empty() && webhooks.is_empty() {
            return;
        }
        let notice = self.maker.of_event(who, &record);
        for webhook in webhooks {
            webhook.keep(&notice);
        }
        if let Some(programs) = &self.programs {
            for program in hooks {
                programs.run(program, &notice);
            }
        }
    }
}

impl Hook {
    fn is_about(&self, record: &Record) -> bool {
        let is_complete = || record.field("complete") == Some(&Field::Boolean(true));
        (self.events.is_empty() || self.events.contains(&record.event))
            && match self.when {
                When::Any => true,
                When::Complete => is_complete(),
                When::Cut => !is_complete(),
                When::OfUser => record.session.as_ref().is_some_and(|s| s.user.is_some()),
            }
    }
}

fn hooks(told: &keys::EventHooks, programs: &mut Vec<Program>) -> Vec<Hook> {
    let rows = [
        ("on_login", &told.on_login, &["login"][..], When::Any),
        ("on_login_failed", &told.on_login_failed, &["login-failed"], When::Any),
        ("on_logout", &told.on_logout, &["session-ended"], When::OfUser),
        ("on_upload", &told.on_upload, &["upload"], When::Complete),
        ("on_upload_failed", &told.on_upload_failed, &["upload", "upload-refused"], When::Cut),
        ("on_download", &told.on_download, &["download"], When::Complete),
        ("on_download_failed", &told.on_download_failed, &["download"], When::Cut),
        ("on_delete", &told.on_delete, &["delete"], When::Any),
        ("on_rename", &told.on_rename, &["rename"], When::Any),
        ("on_mkdir", &told.on_mkdir, &["mkdir"], When::Any),
        ("on_rmdir", &told.on_rmdir, &["rmdir"], When::Any),
        ("on_ban", &told.on_ban, &["ban-added"], When::Any),
        ("on_event", &told.on_event, &[], When::Any),
    ];
    let mut hooks = Vec::new();
    for (name, line, events, when) in rows {
        if line.0.is_empty() {
            continue;
        }
        hooks.push(Hook { events, when, program: programs.len() });
        let (name, arguments) = (name.to_owned(), line.0.clone());
        programs.push(Program { name, arguments, time_max: told.timeout.0 });
    }
    hooks
}

fn check_of(told: &keys::EventHooks, programs: &mut Vec<Program>) -> Option<Check> {
    if told.check_upload.0.is_empty() {
        return None;
    }
    let (name, arguments) = ("check_upload".to_owned(), told.check_upload.0.clone());
    programs.push(Program { name, arguments, time_max: told.check_timeout.0 });
    Some(Check { program: programs.len() - 1, config: told.clone() })
}

fn checker(check: &Check, programs: Programs, maker: Arc<Maker>, log: Arc<Log>) -> Checker {
    let Check { program, config } = check;
    Checker {
        programs,
        program: *program,
        refusing: config.check_reject_exit_codes.0.clone(),
        unchecked: match config.check_on_error {
            OnFailure::Refuse => check::Unchecked::Refused,
            OnFailure::Allow => check::Unchecked::Allowed,
        },
        quarantine: config.quarantine.0.clone(),
        notice: Box::new(move |upload: &Upload<'_>| maker.of_upload(upload)),
        tell: Box::new(move |told: &check::Report<'_>| log.note(&report::of_check(told))),
    }
}

/// Where events wait for web servers.
pub(crate) fn spool_folder(config: &Config) -> std::path::PathBuf {
    state_folder(config).join("webhooks")
}

/// Reads one web server's secret and certificates; none if it has no address.
fn prepare(
    webhook: &keys::Webhook,
    config: &Config,
    log: &Arc<Log>,
) -> Result<Option<(webhook::Prepared, String)>, Failure> {
    let Some(address) = &webhook.url.0 else { return Ok(None) };
    let secret = match &webhook.secret_file.0 {
        None => Vec::new(),
        Some(path) => secret(path)?,
    };
    let authorities = webhook.ca_file.0.as_deref().map(|path| {
        let key = "webhook.ca_file";
        read(key, path, open(key, path)?)
    });
    let settings = webhook::Settings {
        url: address.whole.clone(),
        secret,
        authorities: authorities.transpose()?,
        time_max: webhook.timeout.0,
        pause: webhook.retry_pause.0,
        patience: webhook.give_up_after.0,
        spool_bytes_max: webhook.spool_size.bytes().unwrap_or(u64::MAX),
        folder: spool_folder(config),
        agent: concat!("wharf/", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let (log, shown) = (Arc::clone(log), address.shown());
    let tell: webhook::Tell = Arc::new(move |told| log.note(&report::of_webhook(&shown, told)));
    match webhook::Prepared::new(settings, tell) {
        Ok(prepared) => Ok(Some((prepared, address.shown()))),
        Err(why) => Err(Failure::new(format!("cannot send events to {}: {why}", address.shown()))),
    }
}

fn secret(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let wrong = |what: String| Failure { exit: Exit::ConfigInvalid, ..Failure::new(what) };
    let file = open("webhook.secret_file", path)?;
    if let Some(mode) = crate::os::mode_if_open(&file) {
        let what = format!("others may read the secret in {shown} (mode {mode:04o})");
        return Err(wrong(what).help(format!("chmod 600 '{shown}'")));
    }
    let secret = read("webhook.secret_file", path, file)?.trim_ascii().to_vec();
    if secret.len() < SECRET_BYTES_MIN {
        let what = format!("the secret in {shown} is shorter than {SECRET_BYTES_MIN} bytes");
        return Err(wrong(what).help(format!("make one:  openssl rand -hex 32 > '{shown}'")));
    }
    Ok(secret)
}

fn open(key: &str, path: &Path) -> Result<File, Failure> {
    trusted_file::open(path).map_err(|error| unreadable(key, path, &error))
}

fn read(key: &str, path: &Path, file: File) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX).read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|error| unreadable(key, path, &error))
}

fn unreadable(key: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::io(format!("{key}: {} cannot be read", path.display()), error)
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
