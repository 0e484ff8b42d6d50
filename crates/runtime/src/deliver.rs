//! Hooks, webhooks and the upload check: connects their configuration with `wharf-events`.
//!
//! `PreparedDelivery` holds what is opened before the process is sandboxed; `Delivery` receives
//! events afterwards. `message` builds the message of an event, `report` the log lines about
//! its delivery.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wharf_config::choice::OnFailure;
use wharf_config::outcome::{Exit, Failure, plain};
use wharf_config::{Config, keys};
use wharf_core::event::catalog::kind;
use wharf_core::event::{ClientInfo, Event, Events};
use wharf_core::trusted_file;
use wharf_events::check::{self, Checker, UncheckedUpload};
use wharf_events::programs::{self, Program, ProgramLimits, Programs, WorkerProcess};
use wharf_events::webhook::{self, Webhook};

use crate::log::Log;
use crate::log::record::LogRecord;
use crate::os::Signals;
use message::MessageFactory;

mod message;
mod report;

/// How long queued events are still delivered after the last session.
const LAST_EVENTS_MAX: Duration = Duration::from_secs(5);
/// Shorter secrets can be guessed.
const SECRET_BYTES_MIN: usize = 16;
/// Maximum size of secret files and CA certificate files.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A program and the events that start it.
struct Hook {
    /// The event names; empty: all events.
    events: &'static [&'static str],
    when: HookCondition,
    /// Its index in the list of programs.
    program: usize,
}

/// Which of the events start the program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HookCondition {
    Any,
    /// Sessions with a logged-in user only.
    OfUser,
}

/// Everything that is read before the process is sandboxed.
pub(crate) struct PreparedDelivery {
    programs: Vec<Program>,
    limits: ProgramLimits,
    hooks: Vec<Hook>,
    check: Option<UploadCheck>,
    webhooks: Vec<(webhook::PreparedWebhook, String, Vec<String>)>,
    messages: Arc<MessageFactory>,
    log: Arc<Log>,
}

/// The program that checks uploads before they are published.
struct UploadCheck {
    program: usize,
    config: keys::EventHooks,
}

/// The open spools of events for webhooks.
pub(crate) struct WebhookSpools(Vec<(Webhook, Vec<String>)>);

/// The process that starts programs, if any are configured.
pub(crate) struct HookWorker(Option<WorkerProcess>);

impl PreparedDelivery {
    /// Reads what the configuration names; `None` if it has no hooks, webhooks or check.
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
        let limits = ProgramLimits {
            runs_max: usize_of(config.events.workers.0),
            checks_max: usize_of(config.events.check_workers.0),
            retries_max: config.events.retries.0,
            pause: config.events.retry_pause.0,
        };
        let messages = Arc::new(MessageFactory::new()?);
        let log = Arc::clone(log);
        Ok(Some(Self { programs, limits, hooks, check, webhooks, messages, log }))
    }

    /// Opens the spools of webhooks. Call it after changing to the server's user, which reopens
    /// these files later and could not open files of root.
    pub(crate) fn open_spools(&mut self) -> Result<WebhookSpools, Failure> {
        let opened =
            std::mem::take(&mut self.webhooks).into_iter().map(|(prepared, url, names)| {
                let opened = prepared.open().map_err(|why| {
                    let failure = Failure::new(format!("cannot send events to {url}: {why}"));
                    failure.hint(
                        "the user that runs wharf needs write permission for server.state_dir",
                    )
                });
                opened.map(|webhook| (webhook, names))
            });
        opened.collect::<Result<_, _>>().map(WebhookSpools)
    }

    /// Starts the process that starts programs. Call it before the sandbox is entered and after
    /// changing to the server's user, with whose permissions the programs run.
    pub(crate) fn start_worker(&self) -> Result<HookWorker, Failure> {
        if self.programs.is_empty() {
            return Ok(HookWorker(None));
        }
        let started = wharf_config::standard_paths::own_program().and_then(|own| {
            let mut command = std::process::Command::new(own);
            command.arg(WORKER_COMMAND).env_clear().current_dir("/");
            WorkerProcess::start(&mut command, self.programs.clone())
        });
        let started = started.map_err(|error| {
            Failure::io("cannot start the process that starts programs", &error)
        })?;
        Ok(HookWorker(Some(started)))
    }

    /// Starts the threads that deliver events.
    pub(crate) fn begin(
        self,
        worker: HookWorker,
        WebhookSpools(webhooks): WebhookSpools,
    ) -> Result<Delivery, Failure> {
        let no_threads = |error| Failure::io("cannot start threads", &error);
        let log = Arc::clone(&self.log);
        let report = Box::new(move |config: &programs::ProgramReport<'_>| {
            log.note(&report::of_program(config));
        });
        let begin = |started: WorkerProcess| started.begin(self.limits, report);
        let programs = worker.0.map(begin).transpose().map_err(no_threads)?;
        for (webhook, _) in &webhooks {
            webhook.begin().map_err(no_threads)?;
        }
        let checker = self.check.zip(programs.clone()).map(|(check, programs)| {
            Arc::new(checker(&check, programs, Arc::clone(&self.messages), Arc::clone(&self.log)))
        });
        Ok(Delivery { programs, hooks: self.hooks, webhooks, messages: self.messages, checker })
    }
}

/// The hidden command of the process that starts programs.
pub const WORKER_COMMAND: &str = "start-programs";

/// Runs that process until its input ends.
pub fn work() -> Result<Exit, Failure> {
    // Ctrl+C and signals of a service manager are for the server. It ends this process by closing
    // its input, and may have uploads checked until then.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let signals = runtime.and_then(|runtime| {
        let signals = runtime.block_on(async { Signals::new() });
        signals.map(|signals| (runtime, signals))
    });
    let served = wharf_events::worker::serve(std::io::stdin(), std::io::stdout());
    drop(signals);
    served.map(|()| Exit::Done).map_err(|error| Failure::new(plain(&error)))
}

/// Delivers events to programs and webhooks.
pub(crate) struct Delivery {
    programs: Option<Programs>,
    hooks: Vec<Hook>,
    webhooks: Vec<(Webhook, Vec<String>)>,
    messages: Arc<MessageFactory>,
    checker: Option<Arc<Checker>>,
}

/// Counters since the start, for all programs and all webhooks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeliveryCounts {
    /// Of programs.
    pub(crate) programs: programs::ProgramCounts,
    /// Of web servers.
    pub(crate) webhooks: webhook::WebhookCounts,
}

impl Delivery {
    /// The upload check, if one is configured.
    pub(crate) fn checker(&self) -> Option<&Arc<Checker>> {
        self.checker.as_ref()
    }

    /// Counts since the start.
    pub(crate) fn counts(&self) -> DeliveryCounts {
        let programs = self.programs.as_ref().map(Programs::counts).unwrap_or_default();
        let each = self.webhooks.iter().map(|(webhook, _)| webhook.counts());
        let webhooks =
            each.fold(webhook::WebhookCounts::default(), |sum, one| webhook::WebhookCounts {
                delivered: sum.delivered + one.delivered,
                retried: sum.retried + one.retried,
                given_up: sum.given_up + one.given_up,
                dropped: sum.dropped + one.dropped,
                read_errors: sum.read_errors + one.read_errors,
                damaged: sum.damaged + one.damaged,
                spooled_bytes: sum.spooled_bytes + one.spooled_bytes,
            });
        DeliveryCounts { programs, webhooks }
    }

    /// Delivers queued events for a limited time, then stops. Undelivered events of webhooks stay
    /// on disk.
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
    fn emit(&self, client: &ClientInfo, event: &Event<'_>) {
        let Some(record) = LogRecord::of(client, event) else { return };
        if !kind(record.event).is_some_and(|kind| kind.is_delivered) {
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
        let notice = self.messages.of_event(client, &record);
        for webhook in webhooks {
            webhook.store(&notice);
        }
        if let Some(programs) = &self.programs {
            for program in hooks {
                programs.run(program, &notice);
            }
        }
    }
}

impl Hook {
    fn is_about(&self, record: &LogRecord) -> bool {
        (self.events.is_empty() || self.events.contains(&record.event))
            && match self.when {
                HookCondition::Any => true,
                HookCondition::OfUser => record.session.as_ref().is_some_and(|s| s.user.is_some()),
            }
    }
}

fn hooks(config: &keys::EventHooks, programs: &mut Vec<Program>) -> Vec<Hook> {
    let rows = [
        ("on_login", &config.on_login, &["login"][..], HookCondition::Any),
        ("on_login_failed", &config.on_login_failed, &["login-failed"], HookCondition::Any),
        ("on_logout", &config.on_logout, &["session-ended"], HookCondition::OfUser),
        ("on_upload", &config.on_upload, &["upload"], HookCondition::Any),
        (
            "on_upload_failed",
            &config.on_upload_failed,
            &["upload-failed", "upload-check-rejected"],
            HookCondition::Any,
        ),
        ("on_download", &config.on_download, &["download"], HookCondition::Any),
        (
            "on_download_failed",
            &config.on_download_failed,
            &["download-failed"],
            HookCondition::Any,
        ),
        ("on_delete", &config.on_delete, &["delete"], HookCondition::Any),
        ("on_rename", &config.on_rename, &["rename"], HookCondition::Any),
        ("on_mkdir", &config.on_mkdir, &["mkdir"], HookCondition::Any),
        ("on_rmdir", &config.on_rmdir, &["rmdir"], HookCondition::Any),
        ("on_ban", &config.on_ban, &["ban-added"], HookCondition::Any),
        ("on_event", &config.on_event, &[], HookCondition::Any),
    ];
    let mut hooks = Vec::new();
    for (name, line, events, when) in rows {
        if line.0.is_empty() {
            continue;
        }
        hooks.push(Hook { events, when, program: programs.len() });
        let (name, arguments) = (name.to_owned(), line.0.clone());
        programs.push(Program { name, arguments, time_max: config.timeout.0 });
    }
    hooks
}

fn check_of(config: &keys::EventHooks, programs: &mut Vec<Program>) -> Option<UploadCheck> {
    if config.check_upload.0.is_empty() {
        return None;
    }
    let (name, arguments) = ("check_upload".to_owned(), config.check_upload.0.clone());
    programs.push(Program { name, arguments, time_max: config.check_timeout.0 });
    Some(UploadCheck { program: programs.len() - 1, config: config.clone() })
}

fn checker(
    check: &UploadCheck,
    programs: Programs,
    messages: Arc<MessageFactory>,
    log: Arc<Log>,
) -> Checker {
    let UploadCheck { program, config } = check;
    Checker {
        programs,
        program: *program,
        reject_exit_codes: config.check_reject_exit_codes.0.clone(),
        unchecked: match config.check_on_error {
            OnFailure::Reject => check::Unchecked::Rejected,
            OnFailure::Allow => check::Unchecked::Allowed,
        },
        quarantine: config.quarantine.0.clone(),
        notice: Box::new(move |upload: &UncheckedUpload<'_>| messages.of_upload(upload)),
        on_report: Box::new(move |found: &check::UploadCheckReport<'_>| {
            log.note(&report::of_check(found));
        }),
    }
}

/// The folder with the spools of webhooks.
pub(crate) fn spool_folder(config: &Config) -> std::path::PathBuf {
    config.state_folder().join("webhooks")
}

/// Reads the secret and certificates of a webhook; `None` if it has no URL.
fn prepare(
    webhook: &keys::Webhook,
    config: &Config,
    log: &Arc<Log>,
) -> Result<Option<(webhook::PreparedWebhook, String)>, Failure> {
    let Some(address) = &webhook.url.0 else { return Ok(None) };
    let secret = match &webhook.secret_file.0 {
        None => Vec::new(),
        Some(path) => secret(path)?,
    };
    let authorities = webhook.ca_file.0.as_deref().map(|path| {
        let key = "webhook.ca_file";
        read(key, path, open(key, path)?)
    });
    let settings = webhook::WebhookSettings {
        url: address.whole.clone(),
        secret,
        authorities: authorities.transpose()?,
        time_max: webhook.timeout.0,
        pause: webhook.retry_pause.0,
        give_up_after: webhook.give_up_after.0,
        spool_bytes_max: webhook.spool_size.bytes().unwrap_or(u64::MAX),
        folder: spool_folder(config),
        agent: concat!("wharf/", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let (log, shown) = (Arc::clone(log), address.server.to_string());
    let report: webhook::WebhookReportFn =
        Arc::new(move |found| log.note(&report::of_webhook(&shown, found)));
    match webhook::PreparedWebhook::new(settings, report) {
        Ok(prepared) => Ok(Some((prepared, address.server.to_string()))),
        Err(why) => Err(Failure::new(format!("cannot send events to {}: {why}", address.server))),
    }
}

fn secret(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let wrong = |what: String| Failure { exit: Exit::ConfigInvalid, ..Failure::new(what) };
    let file = open("webhook.secret_file", path).map_err(|failure| {
        failure.hint(format!("to generate one:  umask 077; openssl rand -hex 32 > '{shown}'"))
    })?;
    if let Some(mode) = crate::os::mode_if_open(&file) {
        let what = format!("the secret in {shown} is readable by other users (mode {mode:04o})");
        return Err(wrong(what).hint(format!("chmod 600 '{shown}'")));
    }
    let secret = read("webhook.secret_file", path, file)?.trim_ascii().to_vec();
    if secret.len() < SECRET_BYTES_MIN {
        let what = format!("the secret in {shown} is shorter than {SECRET_BYTES_MIN} bytes");
        return Err(wrong(what).hint(format!("generate one:  openssl rand -hex 32 > '{shown}'")));
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
    Failure::io(format!("{key}: cannot read {}", path.display()), error)
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use wharf_config::Loaded;
    use wharf_config::gather::Inputs;
    use wharf_config::hook::ProgramLine;
    use wharf_core::event::{Direction, Transferred};
    use wharf_proto::path::VPath;

    use super::*;

    #[test]
    fn each_outcome_of_a_transfer_starts_its_own_hook_only() {
        let mut config = Loaded::load(&Inputs::default()).config.events;
        for line in [
            &mut config.on_upload, &mut config.on_upload_failed, &mut config.on_download,
            &mut config.on_download_failed,
        ] {
            *line = ProgramLine(vec!["/opt/hook".into()]);
        }
        let mut programs = Vec::new();
        let hooks = hooks(&config, &mut programs);
        for (direction, is_complete, name) in [
            (Direction::Upload, true, "on_upload"),
            (Direction::Upload, false, "on_upload_failed"),
            (Direction::Download, true, "on_download"),
            (Direction::Download, false, "on_download_failed"),
        ] {
            let transfer = Transferred {
                direction,
                path: &VPath::root(),
                bytes: 1,
                took: Duration::from_secs(1),
                is_complete,
                is_ascii: false,
                is_tls: true,
                reason: if is_complete { "" } else { "aborted by the client" },
                note: "",
            };
            let client = crate::log::tests::client(Some("anna"));
            let record = LogRecord::of(&client, &Event::Transferred(&transfer)).unwrap();
            let started = hooks.iter().filter(|hook| hook.is_about(&record));
            let started: Vec<_> =
                started.map(|hook| programs[hook.program].name.as_str()).collect();
            assert_eq!(started, [name]);
        }
    }
}
