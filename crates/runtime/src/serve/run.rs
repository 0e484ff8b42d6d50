//! Serving, and graceful stop.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use wharf_admin::listener::{AdminSocket, MetricsListener};
use wharf_admin::{AdminBackend, Api};
use wharf_config::chinese;
use wharf_config::outcome::{Exit, Failure, plain, print_error};
use wharf_config::units::show_duration;
use wharf_server::{Bound, Handle};

use super::admin_backend::AdminService;
use super::bans::BanFileWriter;
use super::gauges::Gauges;
use super::periodic::{measure, send_watchdog};
use super::reload::{self, ActiveConfig, Reloader};
use super::renewal::Renewal;
use super::resolver::Resolver;
use super::stages::{OpenedServer, ServerParts, StartedServer};
use super::sweeping::sweep_homes;
use super::warner::Warner;
use super::watch as accounts_watch;
use super::workers::Workers;
use super::{ReadyCertificate, ReadyServer, ServePlan};
use crate::accounts;
use crate::addresses::{ServerAddress, addresses, own_addresses};
use crate::ban_file::BanFile;
use crate::log::flushing::{FlushOnDrop, log_panics};
use crate::log::record::{Level, LogRecord};
use crate::log::{Log, diagnostics};
use crate::logins;
use crate::os::{
    ServiceState, SignalRequest, Signals, StopReason, announce, inherited, mask_new_files,
    raise_file_limit, report_to_predecessor,
};
use crate::sandbox::{SandboxReport, SandboxStatus};
use crate::wire;

/// Number of yields before the end, in which log followers receive the last lines.
const LAST_TURNS: u32 = 100;

/// Serves until it is stopped.
///
/// In this order: open and read what needs privileges, drop them, start threads. The kernel
/// sandboxes single threads, and later ones inherit it.
pub fn run(plan: &ServePlan) -> Result<Exit, Failure> {
    raise_file_limit();
    mask_new_files();
    let inherited = inherited().map_err(|why| {
        Failure { exit: Exit::ConfigInvalid, ..Failure::new(why) }
            .hint("wharf needs stream sockets:  ListenStream=  in the socket unit")
    })?;
    let mut workers =
        Workers::prepare().map_err(|error| Failure::io("cannot start threads", &error))?;
    let opened = workers.alone(OpenedServer::open(plan, workers.handles(), inherited))?;
    let confined = opened.confine(plan)?;
    workers.begin().map_err(|error| Failure::io("cannot start threads", &error))?;
    let log = Arc::clone(confined.log());
    log.begin()?;
    log_panics(&log);
    diagnostics::install(&log);
    // Until all threads have ended, also after an error.
    let _flush = FlushOnDrop(log);
    let started = confined.start_delivery()?;
    workers.run(serve(plan, started))
}

async fn serve(plan: &ServePlan, started: StartedServer) -> Result<Exit, Failure> {
    let StartedServer { parts, footprint, starter, sandbox } = started;
    let config = &plan.loaded.config;
    let has_panel = plan.has_panel;
    let log = Arc::clone(&parts.log);
    let warner = Arc::new(Warner::new(Arc::clone(&log), has_panel));
    parts.warn(&warner);
    let server = ready_server(&parts);
    let urls: Vec<_> = addresses(&server.listeners, &server.own_addresses)
        .iter()
        .map(ServerAddress::url)
        .collect();
    (plan.on_ready)(plan, &server);
    warner.of_sandbox(&sandbox);
    let ban_file_writer =
        BanFileWriter::start(BanFile::of(config), parts.bound.handle(), Arc::clone(&log));
    let reloader = Arc::new(reloader(plan, &parts, &sandbox, &warner));
    let admin = Arc::new(AdminService {
        handle: parts.bound.handle(),
        log: Arc::clone(&log),
        counters: Arc::clone(&parts.counters),
        sinks: Arc::clone(&parts.sinks),
        warner,
        ban_file: Mutex::new(ban_file_writer.ban_file()),
        gauges: Gauges::start(Arc::clone(&reloader)),
        reloader,
        stop: watch::Sender::new(None),
        is_stopping: AtomicBool::new(false),
        starter: Arc::new(Mutex::new(starter)),
        successor: watch::Sender::new(None),
        started: Instant::now(),
        footprint,
    });
    let renewal = Renewal::start(Arc::clone(&admin.reloader));
    let ServerParts { accounts, sources, sinks, bound, mut signals, quotas, control, .. } = parts;
    log.note(&LogRecord::new(Level::Info, "ready").text("addresses", urls.join(" ")));
    announce(ServiceState::Ready);
    report_to_predecessor(Ok(()));
    let mut homes = accounts.homes;
    if sources.is_some() {
        homes.extend(
            logins::templated_homes(config)
                .into_iter()
                .map(|home| (accounts::FolderUse::Home(String::new()), home)),
        );
    }
    sweep_homes(homes, wire::disk(config), quotas.clone(), Arc::clone(&log));
    let graceful_stop = GracefulStop { admin: &admin, has_panel };
    let metrics = control.metrics.ok().flatten();
    if let Some(address) = metrics.as_ref().and_then(|listener| listener.address().ok()) {
        log.note(&LogRecord::new(Level::Info, "metrics-listening").text("address", address));
    }
    let control_listeners = (control.admin_socket.ok(), metrics);
    let watched = (accounts.watched, sources);
    let exit = until_stopped(
        bound, control_listeners, &mut signals, &graceful_stop, watched, plan.stop_after,
    )
    .await;
    drop((ban_file_writer, renewal));
    sinks.close();
    if let Some(Err(error)) = quotas.map(|quotas| quotas.close()) {
        let record = LogRecord::new(Level::Warn, "quotas-not-saved");
        log.note(&record.text("reason", plain(&error)));
    }
    log.note(&LogRecord::new(Level::Info, "stopped"));
    end_followers(&log).await;
    Ok(exit)
}

/// Log followers see the last lines, if they read them.
async fn end_followers(log: &Log) {
    log.tail().close();
    for _ in 0..LAST_TURNS {
        yield_now().await;
    }
}

/// What applies a new configuration.
fn reloader(
    plan: &ServePlan,
    parts: &ServerParts,
    sandbox: &SandboxReport,
    warner: &Arc<Warner>,
) -> Reloader {
    let in_force = ActiveConfig {
        config: plan.loaded.config.clone(),
        layers: plan.loaded.layers.clone(),
        certificate: parts.encryption.as_ref().map(|encryption| encryption.facts.clone()),
        sessions: parts.sessions,
        last_reload: None,
    };
    Reloader {
        inputs: plan.inputs.clone(),
        handle: parts.bound.handle(),
        log: Arc::clone(&parts.log),
        warner: Arc::clone(warner),
        accounts: match &plan.share {
            Some(share) => {
                let users = Arc::clone(&parts.accounts.users);
                reload::ReloadAccounts::Fixed(users, share.folder.clone())
            }
            None => reload::ReloadAccounts::Configured(
                parts.accounts.watched.clone(),
                parts.sources.clone(),
            ),
        },
        quotas: parts.quotas.clone(),
        descriptors: parts.descriptors,
        reach: Arc::clone(&parts.reach),
        own_files: plan.own_files.clone(),
        server_files: parts.server_files.clone(),
        checker: Arc::clone(&parts.checker),
        is_confined: matches!(sandbox.files, SandboxStatus::On(_)),
        in_force: Mutex::new(in_force),
        turn: Mutex::new(()),
    }
}

/// Why a server that was started with `--for` ends.
const TIME_ELAPSED: &str = "the time of --for has elapsed";

/// Serves; a first signal lets transfers finish, a second one ends everything immediately.
async fn until_stopped(
    bound: Bound,
    (admin_socket, metrics): (Option<AdminSocket>, Option<MetricsListener>),
    signals: &mut Signals,
    graceful_stop: &GracefulStop<'_>,
    watched: accounts_watch::Watching,
    stop_after: Option<Duration>,
) -> Exit {
    let handle = bound.handle();
    let admin = graceful_stop.admin;
    let admin_backend: Arc<dyn AdminBackend> = admin.clone();
    let api = Api::new(handle.clone(), bound.listeners(), admin_backend);
    let mut telling = Box::pin(async {
        match metrics {
            Some(listener) => listener.serve(admin.clone()).await,
            None => pending().await,
        }
    });
    let mut answering = Box::pin(async {
        match admin_socket {
            Some(admin_socket) => admin_socket.serve(api).await,
            None => pending().await,
        }
    });
    let mut serving = Box::pin(bound.serve());
    let mut watching = Box::pin(accounts_watch::watch(watched, &handle, &admin.log));
    let mut measuring = Box::pin(measure(&handle));
    let mut time = Box::pin(async {
        match stop_after {
            Some(time) => sleep(time).await,
            None => pending().await,
        }
    });
    let mut living = Box::pin(send_watchdog());
    let mut resolving = Box::pin(Resolver::of(admin).resolve_periodically());
    let (mut is_stopping, mut has_left) = (false, false);
    loop {
        let (grace, reason) = tokio::select! {
            // Signals come first: a second one must work even under load.
            biased;
            signal = signals.next() => match signal {
                SignalRequest::Stop(StopReason::Interrupt) if is_stopping => {
                    return Exit::Interrupted;
                }
                SignalRequest::Stop(StopReason::Terminate) if is_stopping => return Exit::Done,
                SignalRequest::Stop(_) => (graceful_stop.grace(), "signal"),
                SignalRequest::Reopen => {
                    admin.log.reopen();
                    continue;
                }
                SignalRequest::Summary => {
                    admin.log.note(&admin.summary());
                    continue;
                }
                SignalRequest::Reload => {
                    Arc::clone(&admin.reloader).begin(drop);
                    continue;
                }
            },
            () = &mut serving => return Exit::Done,
            () = &mut time, if !is_stopping => (graceful_stop.grace(), TIME_ELAPSED),
            number = admin.succeeded(), if !has_left => {
                has_left = true;
                graceful_stop.leave(&handle, number);
                continue;
            }
            grace = admin.stop_requested(), if !is_stopping => (grace, "wharf stop"),
            () = &mut watching => continue,
            () = &mut measuring => continue,
            () = &mut answering => continue,
            () = &mut telling => continue,
            () = &mut living => continue,
            () = &mut resolving => continue,
        };
        is_stopping = true;
        graceful_stop.stop(&handle, grace, reason);
    }
}

/// The state needed for a graceful stop.
struct GracefulStop<'a> {
    admin: &'a Arc<AdminService>,
    has_panel: bool,
}

impl GracefulStop<'_> {
    /// The default grace period for transfers.
    fn grace(&self) -> Duration {
        self.admin.reloader.in_force().config.server.shutdown_grace.0
    }

    /// Stops accepting clients, since a successor does, and lets sessions end normally.
    fn leave(&self, handle: &Handle, successor: u32) {
        announce(ServiceState::Successor(successor));
        let sessions = u64::try_from(handle.sessions()).unwrap_or_default();
        let record =
            LogRecord::new(Level::Info, "upgrade-completed").number("pid", successor.into());
        self.admin.log.note(&record.number("sessions", sessions));
        handle.leave();
    }

    /// Stops accepting clients, lets transfers finish, and reports it.
    fn stop(&self, handle: &Handle, grace: Duration, reason: &str) {
        announce(ServiceState::Stopping);
        self.admin.is_stopping.store(true, Ordering::Relaxed);
        let sessions = u64::try_from(handle.sessions()).unwrap_or_default();
        let record = LogRecord::new(Level::Info, "stopping").text("reason", reason);
        self.admin.log.note(&record.number("sessions", sessions));
        if self.has_panel {
            let text = if sessions == 0 {
                "Stopped.".to_owned()
            } else {
                let grace = show_duration(grace);
                format!(
                    "Stopping. Transfers in progress may finish within {grace}; \
                     Ctrl+C ends them now."
                )
            };
            let is_chinese = chinese::is_session_chinese();
            let text = if is_chinese { chinese::message(&text) } else { text };
            print_error(&format!("\n  {text}\n"));
        }
        handle.shut_down(grace);
    }
}

fn ready_server(parts: &ServerParts) -> ReadyServer {
    let listeners = parts.bound.listeners();
    ReadyServer {
        listeners: listeners.iter().map(|listener| (listener.address, listener.tls)).collect(),
        own_addresses: own_addresses(),
        accounts: parts.accounts.count,
        certificate: parts.encryption.as_ref().map(|encryption| ReadyCertificate {
            fingerprint: encryption.tls.certificate.fingerprint(),
            is_self_signed: encryption.facts.is_self_signed,
        }),
    }
}
