//! Binding, serving, and graceful stop.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use wharf_accounts_sql::Creation;
use wharf_admin::listener::{AdminSocket, MetricsListener};
use wharf_admin::{AdminBackend, Api};
use wharf_config::chinese;
use wharf_config::outcome::{Exit, Failure, plain, print_error};
use wharf_config::units::show_duration;
use wharf_core::account::Count;
use wharf_core::event::Events;
use wharf_events::check::Checker;
use wharf_server::{Bound, Handle, Server};
use wharf_storage::{Quotas, ServerFiles};

use super::admin_backend::{AdminService, starter};
use super::bans::BanFileWriter;
use super::binding::bind_failure;
use super::capacity::DescriptorBudget;
use super::control::ControlSockets;
use super::counters::{Counters, EventSinks};
use super::gauges::Gauges;
use super::inherited::{UnmatchedSocket, assign};
use super::periodic::{measure, send_watchdog};
use super::reload::{self, ActiveConfig, Reloader};
use super::renewal::Renewal;
use super::resolver::Resolver;
use super::startup::{make_state_folder, own_files, reach as reach_of};
use super::sweeping::sweep_homes;
use super::warner::Warner;
use super::watch as accounts_watch;
use super::workers::Workers;
use super::{ReadyCertificate, ReadyServer, ServePlan, outputs};
use crate::accounts;
use crate::addresses::{ServerAddress, addresses, own_addresses};
use crate::ban_file::BanFile;
use crate::deliver;
use crate::log::flushing::{FlushOnDrop, log_panics};
use crate::log::record::{Level, LogRecord};
use crate::log::{Log, diagnostics};
use crate::logins::{self, Sources};
use crate::os::{
    Inherited, ProcessUsage, ServiceState, SignalRequest, Signals, StopReason, announce, inherited,
    mask_new_files, raise_file_limit,
};
use crate::os::{SuccessorStarter, is_successor, report_to_predecessor};
use crate::sandbox::identity::{SystemUser, drop_capabilities, remember_name};
use crate::sandbox::reach::AccessPolicy;
use crate::sandbox::{SandboxReport, SandboxStatus, confine, permissions};
use crate::wire::{self, Accounts};

/// Number of yields before the end, in which log followers receive the last lines.
const LAST_TURNS: u32 = 100;
/// Ports below this are privileged.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

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
    let runtimes = workers.handles();
    let mut ready = workers.alone(prepare(plan, runtimes, inherited))?;
    ready.starter = starter(plan);
    let (report, delivery) = drop_privileges(plan, &mut ready)?;
    ready.report = Some(report);
    workers.begin().map_err(|error| Failure::io("cannot start threads", &error))?;
    ready.log.begin()?;
    log_panics(&ready.log);
    diagnostics::install(&ready.log);
    // Until all threads have ended, also after an error.
    let _flush = FlushOnDrop(Arc::clone(&ready.log));
    ready.start_delivery(delivery)?;
    workers.run(serve(plan, ready))
}

/// Everything that is opened and read before clients are served.
struct Ready {
    accounts: Accounts,
    sources: Option<Arc<Sources>>,
    encryption: Option<wire::Encryption>,
    log: Arc<Log>,
    bound: Bound,
    signals: Signals,
    identity: Option<SystemUser>,
    reach: Arc<AccessPolicy>,
    quotas: Option<Quotas>,
    report: Option<SandboxReport>,
    descriptors: DescriptorBudget,
    sessions: Count,
    /// A warning if fewer sessions are possible than configured.
    descriptor_warning: Option<String>,
    counters: Arc<Counters>,
    control: ControlSockets,
    /// Delivery of events, until it is started.
    prepared_delivery: Option<deliver::PreparedDelivery>,
    sinks: Arc<EventSinks>,
    checker: Arc<OnceLock<Arc<Checker>>>,
    server_files: ServerFiles,
    /// Notes about inherited sockets.
    notes: Vec<String>,
    starter: Result<SuccessorStarter, String>,
    footprint: ProcessUsage,
    /// Warnings about unresolvable names of authentication servers.
    missing_hosts: Vec<String>,
}

impl Ready {
    /// Logs and prints warnings for the administrator.
    fn warn(&self, warner: &Warner) {
        for warning in self.encryption.iter().flat_map(|encryption| &encryption.warnings) {
            warner.warn(warning);
        }
        for warning in &self.accounts.warnings {
            warner.warn(warning);
        }
        warner.of_homes(&self.accounts.homes);
        if self.accounts.homes.is_empty()
            && self.accounts.warnings.is_empty()
            && self.sources.is_none()
        {
            warner.no_accounts();
        }
        for why in &self.missing_hosts {
            warner.warn(why);
        }
        let closed =
            [self.control.admin_socket.as_ref().err(), self.control.metrics.as_ref().err()];
        for why in closed.into_iter().flatten().chain(&self.descriptor_warning) {
            warner.warn_for_good(why);
        }
    }

    /// Starts delivery of events to hooks and webhooks.
    fn start_delivery(&mut self, parts: Option<DeliveryParts>) -> Result<(), Failure> {
        let Some((prepared_delivery, (worker, spools))) = self.prepared_delivery.take().zip(parts)
        else {
            return Ok(());
        };
        let delivery = prepared_delivery.begin(worker, spools)?;
        if let Some(checker) = delivery.checker() {
            let _ = self.checker.set(Arc::clone(checker));
        }
        self.sinks.add(delivery);
        Ok(())
    }
}

/// The parts of event delivery that are opened or started as the server's user.
type DeliveryParts = (deliver::HookWorker, deliver::WebhookSpools);

const NO_HANDLERS: &str = "cannot install signal handlers";

async fn prepare(
    plan: &ServePlan,
    runtimes: Vec<Runtime>,
    inherited: Vec<Inherited>,
) -> Result<Ready, Failure> {
    let config = &plan.loaded.config;
    permissions::reject_insecure(config, plan.file.as_deref())?;
    let identity = SystemUser::wanted(&config.server)?;
    make_state_folder(config)?;
    let encryption = wire::encryption(config)?;
    let mut accounts = match &plan.share {
        Some(share) => wire::shared(share),
        None => wire::accounts(config, plan.is_coloured, Creation::Wanted)?,
    };
    // A share has only the account that it was started with.
    let sources = if plan.share.is_none() { Sources::open(config)?.map(Arc::new) } else { None };
    if let Some(sources) = &sources {
        accounts.users = wire::users(config, accounts.watched.as_ref(), Some(sources));
    }
    let tls = encryption.as_ref().map(|encryption| encryption.tls.clone());
    // A name that cannot be resolved now affects external clients only; the resolver warns, and
    // retries.
    let public_address = wire::public_address(&config.passive.public_address).ok().flatten();
    let mut settings = wire::settings(config, tls, public_address)?;
    let surplus = if is_successor() { UnmatchedSocket::Closed } else { UnmatchedSocket::Rejected };
    let assigned = assign(inherited, &settings.listen, surplus)?;
    let descriptors = DescriptorBudget::beside(settings.listen.len());
    let (sessions, descriptor_warning) = descriptors.of(settings.limits.connections);
    settings.limits.connections = sessions;
    let log = Arc::new(outputs::log(&config.log, plan.has_panel, identity.as_ref())?);
    // Before the first client, so that a stop during the start is graceful too.
    let signals = Signals::new().map_err(|error| Failure::io(NO_HANDLERS, &error))?;
    let control = ControlSockets::open(config, identity.as_ref());
    let reach = Arc::new(reach_of(plan, &accounts, &control, sources.is_some()));
    let own = own_files(plan, &mut accounts)?;
    let missing_hosts = if sources.is_some() { logins::missing_hosts(config) } else { Vec::new() };
    // A share stores nothing in the state folder.
    let quotas = plan.share.is_none().then(|| wire::quotas(config));
    let checker = Arc::default();
    let stores =
        Arc::new(wire::stores(config, quotas.as_ref(), &reach, own.clone()).checked(&checker));
    let server = Server::new(settings, Arc::clone(&accounts.users), stores).runtimes(runtimes);
    let counters = Arc::<Counters>::default();
    let prepared_delivery = deliver::PreparedDelivery::of(config, &log)?;
    let sinks = Arc::new(EventSinks::new(Arc::clone(&log), Arc::clone(&counters)));
    let events: Arc<dyn Events> = sinks.clone();
    let server = server.events(events);
    let sockets = assigned.sockets.into_iter();
    let server = sockets.fold(server, |server, (index, socket)| server.opened(index, socket));
    let bound = server.bind().await.map_err(bind_failure)?;
    Ok(Ready {
        accounts,
        sources,
        encryption,
        log,
        bound,
        signals,
        identity,
        reach,
        quotas,
        report: None,
        descriptors,
        sessions,
        descriptor_warning,
        counters,
        control,
        prepared_delivery,
        sinks,
        checker,
        server_files: own,
        notes: assigned.notes,
        starter: Err(String::new()),
        // While system files can still be opened.
        footprint: ProcessUsage::open(),
        missing_hosts,
    })
}

/// Changes to the unprivileged user, and enters the sandbox.
fn drop_privileges(
    plan: &ServePlan,
    ready: &mut Ready,
) -> Result<(SandboxReport, Option<DeliveryParts>), Failure> {
    let config = &plan.loaded.config;
    ready.control.take_place();
    if let Some(identity) = &ready.identity {
        identity.change_state_owner(&config.state_folder());
        identity.change_spool_owner(&deliver::spool_folder(config));
        identity.assume()?;
        if let Some(file) = &ready.accounts.reached.file {
            permissions::readable_by(identity.name(), file)?;
        }
    }
    drop_capabilities(*config.passive.ports.0.start() < FIRST_UNPRIVILEGED_PORT);
    // Hook programs run as the same user, outside of the sandbox.
    let parts = match &mut ready.prepared_delivery {
        Some(prepared_delivery) => {
            Some((prepared_delivery.start_worker()?, prepared_delivery.open_spools()?))
        }
        None => None,
    };
    remember_name();
    Ok((confine(config.server.sandbox, &ready.reach)?, parts))
}

async fn serve(plan: &ServePlan, mut ready: Ready) -> Result<Exit, Failure> {
    let config = &plan.loaded.config;
    let has_panel = plan.has_panel;
    let log = Arc::clone(&ready.log);
    let warner = Arc::new(Warner::new(Arc::clone(&log), has_panel));
    ready.warn(&warner);
    for note in &ready.notes {
        log.note(&LogRecord::new(Level::Info, "inherited-sockets").text("note", note));
    }
    let server = ready_server(&ready);
    let urls: Vec<_> = addresses(&server.listeners, &server.own_addresses)
        .iter()
        .map(ServerAddress::url)
        .collect();
    (plan.on_ready)(plan, &server);
    if let Some(report) = &ready.report {
        warner.of_sandbox(report);
    }
    let ban_file_writer =
        BanFileWriter::start(BanFile::of(config), ready.bound.handle(), Arc::clone(&log));
    let admin = Arc::new(admin(plan, &mut ready, &warner, &ban_file_writer));
    let renewal = Renewal::start(Arc::clone(&admin.reloader));
    let sinks = Arc::clone(&admin.sinks);
    let Ready { accounts, sources, bound, mut signals, quotas, control, .. } = ready;
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

/// The state for the JSON API.
fn admin(
    plan: &ServePlan,
    ready: &mut Ready,
    warner: &Arc<Warner>,
    ban_file_writer: &BanFileWriter,
) -> AdminService {
    let footprint = std::mem::take(&mut ready.footprint);
    let starter = std::mem::replace(&mut ready.starter, Err(String::new()));
    let handle = ready.bound.handle();
    let log = Arc::clone(&ready.log);
    let in_force = ActiveConfig {
        config: plan.loaded.config.clone(),
        layers: plan.loaded.layers.clone(),
        certificate: ready.encryption.as_ref().map(|encryption| encryption.facts.clone()),
        sessions: ready.sessions,
        last_reload: None,
    };
    let report = ready.report.as_ref();
    let reloader = Reloader {
        inputs: plan.inputs.clone(),
        handle: handle.clone(),
        log: Arc::clone(&log),
        warner: Arc::clone(warner),
        accounts: match &plan.share {
            Some(share) => {
                let users = Arc::clone(&ready.accounts.users);
                reload::ReloadAccounts::Fixed(users, share.folder.clone())
            }
            None => reload::ReloadAccounts::Configured(
                ready.accounts.watched.clone(),
                ready.sources.clone(),
            ),
        },
        quotas: ready.quotas.clone(),
        descriptors: ready.descriptors,
        reach: Arc::clone(&ready.reach),
        own_files: plan.own_files.clone(),
        server_files: ready.server_files.clone(),
        checker: Arc::clone(&ready.checker),
        is_confined: report.is_some_and(|report| matches!(report.files, SandboxStatus::On(_))),
        in_force: Mutex::new(in_force),
        turn: Mutex::new(()),
    };
    let reloader = Arc::new(reloader);
    let gauges = Gauges::start(Arc::clone(&reloader));
    AdminService {
        handle,
        log,
        counters: Arc::clone(&ready.counters),
        sinks: Arc::clone(&ready.sinks),
        warner: Arc::clone(warner),
        ban_file: Mutex::new(ban_file_writer.ban_file()),
        reloader,
        stop: watch::Sender::new(None),
        is_stopping: AtomicBool::new(false),
        starter: Arc::new(Mutex::new(starter)),
        successor: watch::Sender::new(None),
        started: Instant::now(),
        footprint,
        gauges,
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

fn ready_server(ready: &Ready) -> ReadyServer {
    let listeners = ready.bound.listeners();
    ReadyServer {
        listeners: listeners.iter().map(|listener| (listener.address, listener.tls)).collect(),
        own_addresses: own_addresses(),
        accounts: ready.accounts.count,
        certificate: ready.encryption.as_ref().map(|encryption| ReadyCertificate {
            fingerprint: encryption.tls.certificate.fingerprint(),
            is_self_signed: encryption.facts.is_self_signed,
        }),
    }
}
