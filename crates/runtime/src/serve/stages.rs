//! The stages of a start. The type of each one specifies what exists then.
//!
//! [`OpenedServer`] has what needs the initial privileges; [`ConfinedServer`] has dropped them;
//! [`StartedServer`] delivers events, and may serve.

use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle as Runtime;
use wharf_accounts_sql::Creation;
use wharf_config::outcome::Failure;
use wharf_core::account::Count;
use wharf_core::event::Events;
use wharf_events::check::Checker;
use wharf_server::{Bound, Server};
use wharf_storage::{Quotas, ServerFiles};

use super::admin_backend::starter;
use super::binding::bind_failure;
use super::capacity::DescriptorBudget;
use super::control::ControlSockets;
use super::counters::{Counters, EventSinks};
use super::inherited::{UnmatchedSocket, assign};
use super::startup::{make_state_folder, own_files, reach as reach_of};
use super::warner::Warner;
use super::{ServePlan, outputs};
use crate::deliver::{self, HookWorker, PreparedDelivery, WebhookSpools};
use crate::log::Log;
use crate::log::record::{Level, LogRecord};
use crate::logins::{self, Sources};
use crate::os::{Inherited, ProcessUsage, Signals, SuccessorStarter, is_successor};
use crate::sandbox::identity::{SystemUser, drop_capabilities, remember_name};
use crate::sandbox::reach::AccessPolicy;
use crate::sandbox::{SandboxReport, confine, permissions};
use crate::wire::{self, Accounts};

/// Ports below this are privileged.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

const NO_HANDLERS: &str = "cannot install signal handlers";

/// What exists in all stages.
pub(super) struct ServerParts {
    pub(super) accounts: Accounts,
    pub(super) sources: Option<Arc<Sources>>,
    pub(super) encryption: Option<wire::Encryption>,
    pub(super) log: Arc<Log>,
    pub(super) bound: Bound,
    pub(super) signals: Signals,
    pub(super) reach: Arc<AccessPolicy>,
    pub(super) quotas: Option<Quotas>,
    pub(super) descriptors: DescriptorBudget,
    pub(super) sessions: Count,
    /// A warning if fewer sessions are possible than configured.
    descriptor_warning: Option<String>,
    pub(super) counters: Arc<Counters>,
    pub(super) control: ControlSockets,
    pub(super) sinks: Arc<EventSinks>,
    pub(super) checker: Arc<OnceLock<Arc<Checker>>>,
    pub(super) server_files: ServerFiles,
    /// Notes about inherited sockets.
    notes: Vec<String>,
    /// Warnings about unresolvable names of authentication servers.
    missing_hosts: Vec<String>,
}

/// Everything that needs the initial privileges is opened and read.
pub(super) struct OpenedServer {
    parts: ServerParts,
    footprint: ProcessUsage,
    /// The user to change to.
    identity: Option<SystemUser>,
    /// Hooks and webhooks, if any are configured.
    delivery: Option<PreparedDelivery>,
}

/// The process runs as the server's user, in the sandbox.
pub(super) struct ConfinedServer {
    parts: ServerParts,
    footprint: ProcessUsage,
    starter: Result<SuccessorStarter, String>,
    sandbox: SandboxReport,
    /// Delivery of events, with what was opened or started as the server's user.
    delivery: Option<(PreparedDelivery, HookWorker, WebhookSpools)>,
}

/// Events are delivered; clients may be served.
pub(super) struct StartedServer {
    pub(super) parts: ServerParts,
    pub(super) footprint: ProcessUsage,
    /// The process that can start a successor, or why there is none.
    pub(super) starter: Result<SuccessorStarter, String>,
    pub(super) sandbox: SandboxReport,
}

impl ServerParts {
    /// Logs and prints warnings for the administrator, and logs notes.
    pub(super) fn warn(&self, warner: &Warner) {
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
        for note in &self.notes {
            let record = LogRecord::new(Level::Info, "inherited-sockets");
            self.log.note(&record.text("note", note));
        }
    }
}

impl OpenedServer {
    /// Opens and reads everything, and binds the listeners.
    pub(super) async fn open(
        plan: &ServePlan,
        runtimes: Vec<Runtime>,
        inherited: Vec<Inherited>,
    ) -> Result<Self, Failure> {
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
        let sources =
            if plan.share.is_none() { Sources::open(config)?.map(Arc::new) } else { None };
        if let Some(sources) = &sources {
            accounts.users = wire::users(config, accounts.watched.as_ref(), Some(sources));
        }
        let tls = encryption.as_ref().map(|encryption| encryption.tls.clone());
        // A name that cannot be resolved now affects external clients only; the resolver warns, and
        // retries.
        let public_address = wire::public_address(&config.passive.public_address).ok().flatten();
        let mut settings = wire::settings(config, tls, public_address)?;
        let surplus =
            if is_successor() { UnmatchedSocket::Closed } else { UnmatchedSocket::Rejected };
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
        let missing_hosts =
            if sources.is_some() { logins::missing_hosts(config) } else { Vec::new() };
        // A share stores nothing in the state folder.
        let quotas = plan.share.is_none().then(|| wire::quotas(config));
        let checker = Arc::default();
        let stores =
            Arc::new(wire::stores(config, quotas.as_ref(), &reach, own.clone()).checked(&checker));
        let server = Server::new(settings, Arc::clone(&accounts.users), stores).runtimes(runtimes);
        let counters = Arc::<Counters>::default();
        let delivery = PreparedDelivery::of(config, &log)?;
        let sinks = Arc::new(EventSinks::new(Arc::clone(&log), Arc::clone(&counters)));
        let events: Arc<dyn Events> = sinks.clone();
        let server = server.events(events);
        let sockets = assigned.sockets.into_iter();
        let server = sockets.fold(server, |server, (index, socket)| server.opened(index, socket));
        let bound = server.bind().await.map_err(bind_failure)?;
        let parts = ServerParts {
            accounts,
            sources,
            encryption,
            log,
            bound,
            signals,
            reach,
            quotas,
            descriptors,
            sessions,
            descriptor_warning,
            counters,
            control,
            sinks,
            checker,
            server_files: own,
            notes: assigned.notes,
            missing_hosts,
        };
        // While system files can still be opened.
        let footprint = ProcessUsage::open();
        Ok(Self { parts, footprint, identity, delivery })
    }

    /// Starts the starter of successors, changes to the unprivileged user, and enters the sandbox.
    pub(super) fn confine(self, plan: &ServePlan) -> Result<ConfinedServer, Failure> {
        let Self { mut parts, footprint, identity, delivery } = self;
        let starter = starter(plan);
        let config = &plan.loaded.config;
        parts.control.take_place();
        if let Some(identity) = &identity {
            identity.change_state_owner(&config.state_folder());
            identity.change_spool_owner(&deliver::spool_folder(config));
            identity.assume()?;
            if let Some(file) = &parts.accounts.reached.file {
                permissions::readable_by(identity.name(), file)?;
            }
        }
        drop_capabilities(*config.passive.ports.0.start() < FIRST_UNPRIVILEGED_PORT);
        // Hook programs run as the same user, outside of the sandbox.
        let delivery = match delivery {
            Some(mut prepared) => {
                let worker = prepared.start_worker()?;
                let spools = prepared.open_spools()?;
                Some((prepared, worker, spools))
            }
            None => None,
        };
        remember_name();
        let sandbox = confine(config.server.sandbox, &parts.reach)?;
        Ok(ConfinedServer { parts, footprint, starter, sandbox, delivery })
    }
}

impl ConfinedServer {
    /// The log.
    pub(super) fn log(&self) -> &Arc<Log> {
        &self.parts.log
    }

    /// Starts delivery of events to hooks and webhooks.
    pub(super) fn start_delivery(self) -> Result<StartedServer, Failure> {
        let Self { parts, footprint, starter, sandbox, delivery } = self;
        if let Some((prepared, worker, spools)) = delivery {
            let delivery = prepared.begin(worker, spools)?;
            if let Some(checker) = delivery.checker() {
                let _ = parts.checker.set(Arc::clone(checker));
            }
            parts.sinks.add(delivery);
        }
        Ok(StartedServer { parts, footprint, starter, sandbox })
    }
}
