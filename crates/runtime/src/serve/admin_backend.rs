//! The JSON API: configuration, bans, log, and control of the server.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::Builder as Thread;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use wharf_admin::model::{
    Ban, Certificate, LastReload, Lock, NewBan, PassiveFailure, Problem, Reloaded, Totals, Upgraded,
};
use wharf_admin::{AdminBackend, LogLines};
use wharf_config::outcome::{Failure, counted, plain};
use wharf_core::async_trait;
use wharf_core::lock;
use wharf_server::Handle;
use wharf_server::auth_throttle::{Ban as Banned, Lock as Locked};
use wharf_server::diagnostics::{DataConnFailure, DiagnosticsReport};
use wharf_server::session_status::{Activity, SessionView};

use super::ServePlan;
use super::bans::BanFileHandle;
use super::counters::{Counters, EventSinks};
use super::gauges::Gauges;
use super::metrics::{MetricsSnapshot, page};
use super::reload::{ActiveConfig, Reloader};
use super::warner::Warner;
use crate::ban_rules::{
    holds, model, network, not_banned, not_locked, reject_allowed, reject_long, shown,
};
use crate::certificate::CertificateSummary;
use crate::log::Log;
use crate::log::record::{Level, LogRecord};
use crate::os::{ProcessUsage, SuccessorStarter};

/// Certificates that expire sooner cause a warning.
const DAYS_LEFT_FEW: i64 = 14;

/// Maximum number of passive-mode failures shown, the most frequent first.
const SHOWN_MAX: usize = 100;

/// The state that the API reads and controls.
pub(super) struct AdminService {
    pub(super) handle: Handle,
    pub(super) log: Arc<Log>,
    pub(super) counters: Arc<Counters>,
    pub(super) sinks: Arc<EventSinks>,
    pub(super) warner: Arc<Warner>,
    pub(super) ban_file: Mutex<BanFileHandle>,
    pub(super) reloader: Arc<Reloader>,
    /// The grace period for transfers, once a stop was requested.
    pub(super) stop: watch::Sender<Option<Duration>>,
    pub(super) is_stopping: AtomicBool,
    /// The process that can start the program again, or why there is none.
    pub(super) starter: Arc<Mutex<Result<SuccessorStarter, String>>>,
    /// The process ID of the successor, once there is one.
    pub(super) successor: watch::Sender<Option<u32>>,
    pub(super) started: Instant,
    pub(super) footprint: ProcessUsage,
    pub(super) gauges: Gauges,
}

impl AdminService {
    /// Waits for a stop request, and returns the grace period for transfers. Cancel safe.
    pub(super) async fn stop_requested(&self) -> Duration {
        let mut stop = self.stop.subscribe();
        let grace = stop.wait_for(Option::is_some).await;
        grace.ok().and_then(|grace| *grace).unwrap_or_default()
    }

    /// Waits until a successor serves, and returns its process ID. Cancel safe.
    pub(super) async fn succeeded(&self) -> u32 {
        let mut successor = self.successor.subscribe();
        let number = successor.wait_for(Option::is_some).await.ok().and_then(|number| *number);
        match number {
            Some(number) => number,
            None => std::future::pending().await,
        }
    }

    /// Starts a successor. Since that takes as long as a start, it uses a separate thread.
    async fn succeed(&self) -> Result<u32, Failure> {
        if self.is_stopping() || self.successor.borrow().is_some() {
            return Err(Failure::new("the server is stopping or has already been replaced"));
        }
        let sockets = self.handle.duplicates().map_err(|error| {
            Failure::io("cannot pass the listening sockets to the new process", &error)
        })?;
        let (done, outcome) = oneshot::channel();
        let (starter, log) = (Arc::clone(&self.starter), Arc::clone(&self.log));
        let start = move || {
            // Lines of the successor follow those of this process.
            log.flush();
            let mut starter = lock(&starter);
            let _ = done.send(match &mut *starter {
                Ok(starter) => starter.start(&sockets),
                Err(why) => Err(why.clone()),
            });
        };
        // Without a thread `done` is dropped, which `outcome` reports.
        let _ = Thread::new().name("hand-over".to_owned()).spawn(start);
        let number = outcome.await.unwrap_or_else(|_| Err("cannot start a thread".into()));
        number.map_err(|why| {
            Failure::new(format!("the new program failed to start: {why}"))
                .hint("the old server continues; fix the problem, then:  wharf reload --binary")
        })
    }

    /// Logs a status summary.
    pub(super) fn summary(&self) -> LogRecord {
        let views = self.handle.views();
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let moving = |view: &&SessionView| matches!(view.activity, Activity::Transfer(_));
        let totals = self.totals();
        let record = LogRecord::new(Level::Info, "status")
            .number("uptime_seconds", self.started.elapsed().as_secs())
            .number("sessions", number(views.len()))
            .number("logged_in", number(views.iter().filter(|view| view.user.is_some()).count()))
            .number("transferring", number(views.iter().filter(moving).count()))
            .number("logins", totals.logins)
            .number("failed_logins", totals.failed_logins)
            .number("uploads", totals.uploads)
            .number("downloads", totals.downloads)
            .number("failed_transfers", totals.failed_transfers)
            .number("uploaded_bytes", totals.uploaded_bytes)
            .number("downloaded_bytes", totals.downloaded_bytes)
            .number("bans", number(self.holding().len()))
            .number("warnings", number(self.warnings().len()));
        match self.footprint.resident_bytes() {
            Some(bytes) => record.number("memory_bytes", bytes),
            None => record,
        }
    }

    fn in_force(&self) -> MutexGuard<'_, ActiveConfig> {
        self.reloader.in_force()
    }

    fn holding(&self) -> Vec<Banned> {
        let now = Timestamp::now().as_second();
        let (_, memory) = self.handle.throttle_snapshot();
        let mut bans = memory.bans;
        bans.retain(|ban| holds(ban, now));
        bans.sort_by_key(|ban| ban.network);
        bans
    }

    fn locked(&self) -> Vec<Locked> {
        let now = Timestamp::now().as_second();
        let (_, memory) = self.handle.throttle_snapshot();
        let mut locks = memory.locks;
        locks.retain(|lock| now < lock.until);
        locks.sort_by(|one, other| one.user.cmp(&other.user));
        locks
    }

    fn write_bans(&self) {
        lock(&self.ban_file).write();
    }

    fn add_ban(&self, new: NewBan) -> Result<Ban, Failure> {
        let network = network(&new.network)?;
        reject_allowed(&[network], &self.in_force().config.ban.allow.0)?;
        let reason = new.reason.unwrap_or_default();
        reject_long(&reason)?;
        let now = Timestamp::now().as_second();
        let ban = Banned {
            network,
            since: now,
            until: new.duration_seconds.map(|seconds| until(seconds, now)).transpose()?,
            times: 1,
            is_manual: true,
            reason,
        };
        let added = if new.kick {
            self.handle.ban(ban.clone())
        } else {
            self.handle.ban_unauthenticated(ban.clone())
        };
        added.map_err(|full| Failure::new(full.to_string()))?;
        self.write_bans();
        Ok(model(&ban))
    }

    fn lift(&self, addresses: Option<Vec<String>>) -> Result<Vec<String>, Failure> {
        let bans = self.holding();
        let networks: Vec<IpNet> = match addresses {
            None => bans.iter().map(|ban| ban.network).collect(),
            Some(addresses) => {
                let networks = addresses.iter().map(|address| network(address));
                let networks = networks.collect::<Result<Vec<_>, _>>()?;
                let is_there = |network: &IpNet| bans.iter().any(|ban| ban.network == *network);
                if let Some(missing) = networks.iter().find(|network| !is_there(network)) {
                    return Err(not_banned(*missing, &bans, Timestamp::now().as_second()));
                }
                networks
            }
        };
        for network in &networks {
            self.handle.lift_ban(*network);
        }
        self.write_bans();
        Ok(networks.into_iter().map(shown).collect())
    }
}

/// The process that can start this program again after privileges are dropped, or why there is
/// none.
pub(super) fn starter(plan: &ServePlan) -> Result<SuccessorStarter, String> {
    if plan.share.is_some() {
        return Err("a share cannot be upgraded, since its password is temporary; start a new one"
            .to_owned());
    }
    SuccessorStarter::begin().map_err(|error| {
        format!("preparing upgrades failed at the start of this server: {}", plain(&error))
    })
}

#[async_trait]
impl AdminBackend for AdminService {
    fn config(&self) -> Option<String> {
        let file = self.reloader.file()?;
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        Some(file.display().to_string())
    }

    fn totals(&self) -> Totals {
        self.counters.totals()
    }

    fn is_never_banned(&self, address: IpAddr) -> bool {
        self.in_force().config.ban.allow.0.iter().any(|allowed| allowed.contains(&address))
    }

    fn connections_max(&self) -> Option<u64> {
        self.in_force().sessions.number().map(u64::from)
    }

    fn passive_ports(&self) -> String {
        let ports = self.in_force().config.passive.ports.0.clone();
        format!("{}-{}", ports.start(), ports.end())
    }

    fn passive_failures(&self) -> Vec<PassiveFailure> {
        self.handle.diagnosis().failures.iter().take(SHOWN_MAX).map(passive_failure).collect()
    }

    fn certificate(&self) -> Option<Certificate> {
        self.in_force().certificate.as_ref().map(shown_certificate)
    }

    fn last_reload(&self) -> Option<LastReload> {
        self.in_force().last_reload.clone()
    }

    fn sandbox_folders(&self) -> Option<Vec<String>> {
        let folders = self.reloader.is_confined.then(|| self.reloader.reach.sandbox_folders());
        let shown = |folder: &PathBuf| folder.display().to_string();
        folders.flatten().map(|folders| folders.iter().map(shown).collect())
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warner.warnings();
        let certificate = self.certificate();
        let days = certificate.and_then(|certificate| certificate.days_left);
        if let Some(days) = days.filter(|days| (0..DAYS_LEFT_FEW).contains(days)) {
            warnings.push(format!(
                "the certificate expires in {}; replace the file, and the new one is used",
                counted(days, "day")
            ));
        }
        warnings
    }

    fn metrics(&self) -> String {
        let ports = self.in_force().config.passive.ports.0.clone();
        let diagnosis = self.handle.diagnosis();
        // A guard of the configuration in the expression below would last until its end.
        let certificate_expiry = self.in_force().certificate.as_ref().and_then(expiry);
        page(&MetricsSnapshot {
            views: &self.handle.views(),
            totals: self.counters.totals(),
            incomplete: self.counters.incomplete(),
            diagnosis: &diagnosis,
            metrics: &self.handle.metrics(),
            found: &self.gauges.found(),
            connections_max: self.connections_max(),
            bans: self.holding().len(),
            passive_in_use: self.handle.passive_ports_in_use(),
            passive_ports: ports.count(),
            certificate_expiry,
            uptime: self.started.elapsed(),
            is_stopping: self.is_stopping(),
            failing_networks: failing_networks(&diagnosis),
            has_reload_failed: self.last_reload().is_some_and(|last| !last.is_in_force),
            warnings: self.warnings().len(),
            panics: self.log.panics(),
            memory: self.footprint.resident_bytes(),
            open_files: self.footprint.open_files(),
            open_files_max: ProcessUsage::open_files_max(),
            delivery: self.sinks.delivery(),
        })
    }

    fn bans(&self) -> Vec<Ban> {
        self.holding().iter().map(model).collect()
    }

    async fn ban(&self, ban: NewBan) -> Result<Ban, Problem> {
        self.add_ban(ban).map_err(problem)
    }

    async fn unban(&self, addresses: Option<Vec<String>>) -> Result<Vec<String>, Problem> {
        self.lift(addresses).map_err(problem)
    }

    fn locks(&self) -> Vec<Lock> {
        let locks = self.locked().into_iter();
        let listed = locks.map(|lock| Some(Lock { until: moment(lock.until)?, user: lock.user }));
        listed.flatten().collect()
    }

    async fn unlock(&self, users: Option<Vec<String>>) -> Result<Vec<String>, Problem> {
        let locked: Vec<_> = self.locked().into_iter().map(|lock| lock.user).collect();
        let users = users.unwrap_or_else(|| locked.clone());
        if let Some(user) = users.iter().find(|user| !locked.contains(user)) {
            return Err(problem(not_locked(user)));
        }
        for user in &users {
            self.handle.unlock_account(user);
        }
        self.write_bans();
        Ok(users)
    }

    async fn reload(&self) -> Result<Reloaded, Problem> {
        Arc::clone(&self.reloader).reload().await.map_err(problem)
    }

    async fn upgrade(&self) -> Result<Upgraded, Problem> {
        let pid = self.succeed().await.map_err(|failure| {
            let record = LogRecord::new(Level::Error, "upgrade-failed");
            self.log.note(&record.text("reason", &failure.message));
            problem(failure)
        })?;
        self.successor.send_replace(Some(pid));
        let sessions = u64::try_from(self.handle.sessions()).unwrap_or_default();
        Ok(Upgraded { pid, old_pid: std::process::id(), sessions })
    }

    fn stop(&self, grace: Option<Duration>) {
        let usual = self.in_force().config.server.shutdown_grace.0;
        self.stop.send_if_modified(|stop| {
            let is_first = stop.is_none();
            stop.get_or_insert(grace.unwrap_or(usual));
            is_first
        });
    }

    fn log_request(&self, peer: &str, method: &str, path: &str) {
        let record = LogRecord::new(Level::Info, "control").text("peer", peer);
        self.log.note(&record.text("method", method).text("path", path));
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    fn log(&self, count: usize, session: Option<u64>, follow: bool) -> LogLines {
        Box::pin(self.log.tail().lines(count, session, follow))
    }
}

fn failing_networks(diagnosis: &DiagnosticsReport) -> usize {
    let networks: BTreeSet<_> = diagnosis.failures.iter().map(|one| one.network).collect();
    networks.len()
}

fn passive_failure(failure: &DataConnFailure) -> PassiveFailure {
    PassiveFailure {
        network: failure.network.to_string(),
        cause: failure.cause.name().to_owned(),
        observation: failure.cause.words().to_owned(),
        failed: failure.failed,
        established: failure.arrived,
        last_failure: moment(failure.last).unwrap_or_default(),
        detail: failure.detail.clone(),
        hint: failure.hint.clone(),
    }
}

fn until(seconds: u64, now: i64) -> Result<i64, Failure> {
    let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
    let until = seconds.and_then(|seconds| now.checked_add(seconds));
    until.filter(|until| Timestamp::from_second(*until).is_ok()).ok_or_else(|| {
        Failure::usage(
            "invalid ban duration: it must be at least one second and at most some thousand years",
        )
        .hint("without a duration the ban is permanent")
    })
}

fn moment(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|at| at.to_string())
}

/// When the certificate expires, in seconds since 1970-01-01.
fn expiry(certificate: &CertificateSummary) -> Option<i64> {
    certificate.not_after.map(Timestamp::as_second)
}

fn shown_certificate(facts: &CertificateSummary) -> Certificate {
    const DAY: i64 = 24 * 60 * 60;
    let left = |end: Timestamp| (end.as_second() - Timestamp::now().as_second()).div_euclid(DAY);
    Certificate {
        fingerprint: facts.shown_fingerprint(),
        names: facts.names.clone(),
        not_after: facts.not_after.map(|end| end.to_string()),
        days_left: facts.not_after.map(left),
        is_self_signed: facts.is_self_signed,
    }
}

fn problem(failure: Failure) -> Problem {
    Problem { error: failure.message, hint: failure.hint }
}
