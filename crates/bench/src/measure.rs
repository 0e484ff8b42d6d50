//! One measurement: a new server, the clients, and the figures.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use wharf_load::{
    Case as Task, Content, DownloadMode, Listing, Plan, PreparedRun, RunOutcome, RunProgress,
    TargetServer, TlsOptions,
};

use crate::bench::account::{BenchAccount, CertificateFiles, PASSWORD, USER};
use crate::bench::cases::{
    BenchCase, CaseWork, CountUnit, FileLocation, ListingCommand, SMALL_BYTES, TINY_BYTES,
};
use crate::bench::group::MemoryUse;
use crate::bench::number::{GIB, KIB, MIB, figure, length, ratio, size};
use crate::bench::places::remove_folder;
use crate::bench::result::Figure;
use crate::bench::running::{RunningServer, free_port, work_folder};
use crate::bench::sampler::{Peak, watch};
use crate::bench::servers::{BenchServer, Installation, ServerSetup};
use crate::bench::tree::{TestTrees, UPLOADS, file_name, folder_name};
use crate::bench::{clock, compare, machine, proc};

/// What all measurements share.
#[derive(Debug)]
pub(crate) struct MeasurementContext {
    pub(crate) tree: TestTrees,
    pub(crate) account: BenchAccount,
    pub(crate) certificate: CertificateFiles,
    /// Compare every byte, which takes longer than moving it.
    pub(crate) verifies: bool,
    /// No operation starts after this time.
    pub(crate) time_max: Duration,
}

/// The results of a measurement.
pub(crate) type Figures = BTreeMap<Figure, f64>;

/// The longest wait for one reply or one block of data.
const TIMEOUT: Duration = Duration::from_mins(1);
/// A server that uses less CPU time than this in a pause is idle.
const QUIET_CPU_S: f64 = 0.001;
const QUIET_PAUSE: Duration = Duration::from_millis(40);
const QUIET_MAX: Duration = Duration::from_secs(2);
/// The interval of NOOPs in the extra session.
const BYSTANDER_PAUSE: Duration = Duration::from_millis(5);
/// How long idle sessions are observed, after the logins.
const IDLE_WATCH: Duration = Duration::from_secs(2);
const IDLE_SETTLE: Duration = Duration::from_millis(500);

impl MeasurementContext {
    /// Starts `server`, does the work of `case`, and stops the server.
    ///
    /// # Errors
    /// The reason of a failure: there are no figures then, since work that fails is fast work.
    pub(crate) fn measure(
        &self,
        case: &BenchCase,
        server: &BenchServer,
        found: &Installation,
    ) -> Result<Figures, String> {
        if case.work == CaseWork::Size {
            return size_of(&found.program);
        }
        // Only uploads are cleaned up: other measurements may use the tree.
        let uploads = matches!(case.work, CaseWork::Store { .. });
        let clean = || if uploads { self.tree.clean_uploads(case.place) } else { Ok(()) };
        clean()?;
        if let CaseWork::RetrieveCold { bytes } = case.work {
            self.tree.forget(case.place, &file_name(self.tree.bytes(bytes)))?;
        }
        let running = Arc::new(self.start(case, server, found)?);
        let result = self.work(case, server, &running);
        let log = running.log();
        drop(running);
        let cleaned = clean();
        let figures = result.map_err(|why| {
            if log.is_empty() { why } else { format!("{why} [end of its log: {log}]") }
        })?;
        cleaned.map(|()| figures)
    }

    fn start(
        &self,
        case: &BenchCase,
        server: &BenchServer,
        found: &Installation,
    ) -> Result<RunningServer, String> {
        let (work, port) = (work_folder()?, free_port()?);
        let setting = ServerSetup {
            port,
            root: &self.tree.root(case.place),
            account: &self.account,
            certificate: case.is_tls.then_some(&self.certificate),
            work: &work,
            variant: case.variant,
            span: case.limit_span.unwrap_or(MIB),
        };
        let start = (server.start)(found, &setting);
        let start = start.inspect_err(|_| remove_folder(&work))?;
        RunningServer::start(server.name, &start, port, work, &self.account)
    }

    fn work(
        &self,
        case: &BenchCase,
        server: &BenchServer,
        running: &Arc<RunningServer>,
    ) -> Result<Figures, String> {
        let target = target(running, case.is_tls);
        let plan = self.plan(case, server);
        match case.work {
            CaseWork::Start => return started(running, &target),
            CaseWork::Idle { sessions } => return idle(running, &target, &plan, sessions),
            _ => {}
        }
        let (group, pid) = running.counted();
        log_in_once(running, &target)?;
        if let CaseWork::Store { bytes, count, .. } = case.work {
            self.tree.touch(case.place, self.tree.bytes(bytes).saturating_mul(count))?;
        }
        let before = group.held(pid);
        let mut prepared =
            wharf_load::prepare(&target, &plan).map_err(|error| error.to_string())?;
        let (cpu, own, busy) = (group.cpu(pid), clock::own_cpu(), proc::busy());
        let (outcome, peak) = watch(running, || prepared.run(&RunProgress::default()));
        let (cpu, own) = (group.cpu(pid) - cpu, clock::own_cpu() - own);
        let others = (proc::busy() - busy - cpu - own).max(0.0);
        let connects = matches!(case.work, CaseWork::Connects { .. });
        let verified = if connects { Ok(()) } else { checked(&outcome, case) };
        let ended = finished(prepared);
        verified.and(ended)?;
        if self.verifies {
            self.compare_uploads(case)?;
        }
        let mut figures = figures(case, &outcome, cpu, own);
        add_peak(&mut figures, &peak, before);
        let processors = outcome.wall.as_secs_f64() * length(machine::cores());
        figures.insert(Figure::OthersCpu, 100.0 * ratio(others, processors));
        Ok(figures)
    }

    fn plan(&self, case: &BenchCase, server: &BenchServer) -> Plan {
        let root = self.tree.root(FileLocation::Memory);
        let plan = |task: Task, sessions: u64, count: u64| Plan {
            sessions: size(sessions),
            count,
            time: Some(self.time_max),
            ..Plan::new(task)
        };
        let retrieve = |path: String, bytes: u64, local: &Path| Task::Retrieve {
            reading: self.reading(local.join(&path)),
            path,
            length: Some(bytes),
        };
        match case.work {
            CaseWork::Retrieve { bytes, count, sessions } => {
                let bytes = self.tree.bytes(bytes);
                plan(retrieve(file_name(bytes), bytes, &root), sessions, count)
            }
            CaseWork::RetrieveCold { bytes } => {
                let bytes = self.tree.bytes(bytes);
                let task = retrieve(file_name(bytes), bytes, &self.tree.root(case.place));
                Plan { bystander: Some(BYSTANDER_PAUSE), ..plan(task, 1, 1) }
            }
            CaseWork::RetrieveSmall { count, sessions } => {
                let local = root.join(file_name(SMALL_BYTES));
                let (path, length) = ("small/f{i}".to_owned(), Some(SMALL_BYTES));
                let reading = self.reading(local);
                plan(Task::Retrieve { path, length, reading }, sessions, count)
            }
            CaseWork::Store { bytes, count, sessions } => {
                let length = self.tree.bytes(bytes);
                let content = Content::File(root.join(file_name(length)));
                let path = format!("{UPLOADS}/u{{i}}");
                plan(Task::Store { path, length, content, is_deleted: false }, sessions, count)
            }
            CaseWork::Login { count, sessions } => plan(Task::Login, sessions, count),
            CaseWork::Command { line, count } => {
                plan(Task::Command { line: line.into() }, 1, count)
            }
            CaseWork::List { verb, entries, count } => {
                let has_verb = verb == ListingCommand::Mlsd && server.has_mlsd;
                let verb = if has_verb { Listing::Mlsd } else { Listing::List };
                let path = folder_name(entries);
                plan(Task::List { verb, path, entries: Some(entries) }, 1, count)
            }
            CaseWork::Idle { sessions } => plan(Task::Idle, sessions, sessions),
            CaseWork::Session { count } => {
                let task = Task::Session { path: file_name(TINY_BYTES), length: Some(TINY_BYTES) };
                plan(task, 1, count)
            }
            CaseWork::Connects { count } => plan(Task::Connects, 1, count),
            CaseWork::Start | CaseWork::Size => Plan::new(Task::Login),
        }
    }

    /// How downloads are read: at the least cost, unless every byte is compared.
    fn reading(&self, local: std::path::PathBuf) -> DownloadMode {
        if self.verifies {
            DownloadMode::Compare(Content::File(local))
        } else {
            DownloadMode::Drain
        }
    }

    fn compare_uploads(&self, case: &BenchCase) -> Result<(), String> {
        let CaseWork::Store { bytes, .. } = case.work else { return Ok(()) };
        let bytes = self.tree.bytes(bytes);
        let source = self.tree.root(FileLocation::Memory).join(file_name(bytes));
        let uploads = self.tree.root(case.place).join(UPLOADS);
        compare::compare_all(&source, &uploads)
    }
}

fn target(running: &RunningServer, is_tls: bool) -> TargetServer {
    let mut target = TargetServer::new(running.address, USER, PASSWORD);
    target.timeout = TIMEOUT;
    if is_tls {
        let name = ServerName::from(running.address.ip());
        target.tls = Some(TlsOptions::accepting_any_certificate(name));
    }
    target
}

fn run_once(target: &TargetServer, plan: &Plan) -> Result<RunOutcome, String> {
    let mut prepared = wharf_load::prepare(target, plan).map_err(|error| error.to_string())?;
    let outcome = prepared.run(&RunProgress::default());
    finished(prepared)?;
    match outcome.error_list.first() {
        Some(error) => Err(error.to_string()),
        None => Ok(outcome),
    }
}

fn finished(prepared: PreparedRun) -> Result<(), String> {
    prepared.finish().map_err(|error| error.to_string())
}

/// A measurement counts only if there were no errors.
fn checked(outcome: &RunOutcome, case: &BenchCase) -> Result<(), String> {
    if outcome.errors > 0 {
        let first = outcome.error_list.first().map(ToString::to_string).unwrap_or_default();
        return Err(format!("{} errors, the first: {first}", outcome.errors));
    }
    if outcome.operations == 0 {
        return Err(format!("nothing was done in {}", case.name));
    }
    Ok(())
}

fn figures(case: &BenchCase, outcome: &RunOutcome, cpu: f64, own: f64) -> Figures {
    let wall = outcome.wall.as_secs_f64();
    let (units, cpu_scale) = match case.unit {
        CountUnit::Gib => (figure(outcome.bytes) / figure(GIB), 1.0),
        CountUnit::Operation => (figure(outcome.operations), 1e6),
        CountUnit::Entry => (figure(outcome.entries), 1e6),
    };
    let mut figures = Figures::from([
        (Figure::Rate, ratio(units, wall)),
        (Figure::Cpu, ratio(cpu * cpu_scale, units)),
        (Figure::WallS, wall),
        (Figure::Bytes, figure(outcome.bytes)),
        (Figure::Operations, figure(outcome.operations)),
        (Figure::Entries, figure(outcome.entries)),
        (Figure::ServerCpuS, cpu),
        (Figure::GeneratorCpuS, own),
        (Figure::P50Us, micro(outcome.latency.p50)),
        (Figure::P99Us, micro(outcome.latency.p99)),
    ]);
    let mut add = |figure: Figure, value: Option<f64>| {
        figures.extend(value.map(|value| (figure, value)));
    };
    add(Figure::FirstByteMs, outcome.first_byte.as_ref().map(|one| micro(one.p99) / 1e3));
    add(Figure::Fairness, outcome.fairness.map(|fairness| fairness.ratio()));
    add(Figure::BystanderP99Ms, outcome.bystander.as_ref().map(|one| micro(one.p99) / 1e3));
    if let Some(tls) = &outcome.tls {
        let data = figure(tls.resumed + tls.full);
        add(Figure::Resumed, (data > 0.0).then(|| 100.0 * figure(tls.resumed) / data));
    }
    if let CaseWork::Connects { count } = case.work {
        add(Figure::Answered, Some(100.0 * figure(outcome.operations) / figure(count)));
    }
    if let Some(rate) = case.variant.rate {
        let reached = ratio(figure(outcome.bytes), wall);
        add(Figure::RateErrorPercent, Some(100.0 * (reached / figure(rate) - 1.0).abs()));
    }
    figures
}

fn add_peak(figures: &mut Figures, peak: &Peak, before: MemoryUse) {
    let mib = |bytes: u64| figure(bytes) / figure(MIB);
    figures.insert(Figure::AnonymousMib, mib(peak.held.anonymous));
    figures.insert(Figure::KernelMib, mib(peak.held.kernel));
    let above = peak.held.anonymous.saturating_sub(before.anonymous);
    figures.insert(Figure::AboveIdleMib, mib(above));
    if peak.threads > 0 {
        figures.insert(Figure::Threads, figure(peak.threads));
    }
}

/// One login, after which the server is left alone until it is idle: what it does for its first
/// client is not part of the cost of later ones.
fn log_in_once(running: &RunningServer, target: &TargetServer) -> Result<(), String> {
    run_once(target, &Plan::new(Task::Login))?;
    let (group, pid) = running.counted();
    let since = clock::now();
    let mut cpu = group.cpu(pid);
    while since.elapsed() < QUIET_MAX {
        clock::pause(QUIET_PAUSE);
        let used = group.cpu(pid) - cpu;
        cpu += used;
        if used < QUIET_CPU_S {
            break;
        }
    }
    Ok(())
}

/// Idle sessions: their memory, and whether they still answer.
fn idle(
    running: &RunningServer,
    target: &TargetServer,
    plan: &Plan,
    sessions: u64,
) -> Result<Figures, String> {
    let (group, pid) = running.counted();
    log_in_once(running, target)?;
    let private = |pids: &[u32]| figure(proc::memory(pids).private);
    let (memory, held) = (private(&group.pids(pid)), group.held(pid));
    let cpu = group.cpu(pid);
    let mut prepared = wharf_load::prepare(target, plan).map_err(|error| error.to_string())?;
    clock::pause(IDLE_SETTLE);
    let login_cpu = group.cpu(pid) - cpu;
    let pids = group.pids(pid);
    let (memory_after, held_after) = (private(&pids), group.held(pid));
    let threads = figure(proc::threads(&pids));
    let (since, cpu) = (clock::now(), group.cpu(pid));
    clock::pause(IDLE_WATCH);
    let idle_cpu = (group.cpu(pid) - cpu) / since.elapsed().as_secs_f64();
    let outcome = prepared.run(&RunProgress::default());
    finished(prepared)?;
    let kib = figure(KIB) * figure(sessions);
    let each = |after: f64, before: f64| (after - before).max(0.0) / kib;
    Ok(Figures::from([
        (Figure::SessionKib, each(memory_after, memory)),
        (Figure::SessionKernelKib, each(figure(held_after.kernel), figure(held.kernel))),
        (Figure::IdleCpu, 100.0 * idle_cpu),
        (Figure::Answered, 100.0 * figure(outcome.operations) / figure(sessions)),
        (Figure::Cpu, login_cpu * 1e6 / figure(sessions)),
        (Figure::AnonymousMib, figure(held_after.anonymous) / figure(MIB)),
        (Figure::KernelMib, figure(held_after.kernel) / figure(MIB)),
        (Figure::Threads, threads),
        (Figure::P99Us, micro(outcome.latency.p99)),
    ]))
}

/// From the start of the program to the last byte of a tiny file.
fn started(running: &RunningServer, target: &TargetServer) -> Result<Figures, String> {
    let task = Task::Session { path: file_name(TINY_BYTES), length: Some(TINY_BYTES) };
    run_once(target, &Plan::new(task))?;
    Ok(Figures::from([(Figure::StartMs, running.began.elapsed().as_secs_f64() * 1e3)]))
}

fn size_of(program: &Path) -> Result<Figures, String> {
    let facts = std::fs::metadata(program)
        .map_err(|error| format!("cannot read {}: {error}", program.display()))?;
    Ok(Figures::from([(Figure::SizeMb, figure(facts.len()) / 1e6)]))
}

fn micro(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
