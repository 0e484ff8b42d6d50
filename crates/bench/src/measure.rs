//! One measurement: a new server, the clients, and the figures.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use wharf_load::{
    LoadCase as Task, Plan, PreparedRun, RunOutcome, RunProgress, TargetServer, TlsOptions,
};

use crate::bench::account::{BenchAccount, CertificateFiles, PASSWORD, USER};
use crate::bench::cases::{BenchCase, CaseWork, CountUnit, FileLocation, TINY_BYTES};
use crate::bench::distance::DistanceProxy;
use crate::bench::group::MemoryUse;
use crate::bench::number::{GIB, MIB, figure, length, ratio};
use crate::bench::paths::remove_folder;
use crate::bench::result::Figure;
use crate::bench::running::{RunningServer, free_port, work_folder};
use crate::bench::sampler::{Peak, watch};
use crate::bench::servers::{BenchServer, Installation, ServerSetup};
use crate::bench::tree::{TestTrees, UPLOADS, file_name};
use crate::bench::{clock, compare, proc};

mod idle;
mod plan;
mod program;

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

impl MeasurementContext {
    /// Starts `server`, does the work of `case`, and stops the server. After a failure there are no
    /// figures, since work that fails is fast work.
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
        let clean = || if case.uploads() { self.tree.clean_uploads(case.place) } else { Ok(()) };
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
        let near = target(running, running.address, case.is_tls);
        match case.work {
            CaseWork::Start => return started(running, &near),
            CaseWork::Idle { sessions, is_used } => {
                let used = is_used.then(|| plan::use_of_session(server));
                return idle::measure(running, &near, sessions, used);
            }
            _ => {}
        }
        let (group, pid) = running.counted();
        log_in_once(running, &near)?;
        if let CaseWork::Store { bytes, count, .. } = case.work {
            self.tree.touch(case.place, self.tree.bytes(bytes).saturating_mul(count))?;
        }
        let round_trip = Duration::from_millis(case.round_trip_ms);
        let proxy = (case.round_trip_ms > 0)
            .then(|| DistanceProxy::start(running.address, round_trip))
            .transpose()?;
        let address = proxy.as_ref().map_or(running.address, |proxy| proxy.address);
        if let CaseWork::ClientProgram { client, job } = case.work {
            return program::measure(self, case.unit, running, address, (client, job));
        }
        let target = target(running, address, case.is_tls);
        let before = group.held(pid);
        let mut parts = Vec::new();
        for plan in self.plans(case, server) {
            let prepared = wharf_load::prepare(&target, &plan);
            parts.push(prepared.map_err(|error| error.to_string())?);
        }
        let (cpu, own, busy) = (group.cpu(pid), clock::own_cpu(), proc::busy());
        let (outcome, peak) = watch(running, || {
            let outcomes = parts.iter_mut().map(|part| part.run(&RunProgress::default()));
            outcomes.reduce(in_turn).unwrap_or_default()
        });
        let (cpu, own) = (group.cpu(pid) - cpu, clock::own_cpu() - own);
        let others = (proc::busy() - busy - cpu - own).max(0.0);
        let connects = matches!(case.work, CaseWork::Connects { .. });
        let verified = if connects { Ok(()) } else { checked(&outcome, case) };
        let ended = parts.into_iter().try_for_each(finished);
        verified.and(ended)?;
        if self.verifies {
            self.compare_uploads(case)?;
        }
        let mut figures = figures(case, &outcome, cpu, own);
        add_peak(&mut figures, &peak, before);
        let processors = outcome.wall.as_secs_f64() * length(wharf_load::machine::cores());
        figures.insert(Figure::OthersCpu, 100.0 * ratio(others, processors));
        Ok(figures)
    }

    fn compare_uploads(&self, case: &BenchCase) -> Result<(), String> {
        let CaseWork::Store { bytes, .. } = case.work else { return Ok(()) };
        let bytes = self.tree.bytes(bytes);
        let source = self.tree.root(FileLocation::Memory).join(file_name(bytes));
        let uploads = self.tree.root(case.place).join(UPLOADS);
        compare::compare_all(&source, &uploads)
    }
}

fn target(running: &RunningServer, address: SocketAddr, is_tls: bool) -> TargetServer {
    let mut target = TargetServer::new(address, USER, PASSWORD);
    target.timeout = TIMEOUT;
    if is_tls {
        let name = ServerName::from(running.address.ip());
        target.tls = Some(TlsOptions::accepting_any_certificate(name));
    }
    target
}

/// Two runs, one after the other, as one. Only their sums are of use.
fn in_turn(first: RunOutcome, second: RunOutcome) -> RunOutcome {
    let errors = [first.error_list, second.error_list].concat();
    RunOutcome {
        wall: first.wall + second.wall,
        bytes: first.bytes + second.bytes,
        errors: first.errors + second.errors,
        error_list: errors,
        ..second
    }
}

fn run_once(target: &TargetServer, plan: &Plan) -> Result<RunOutcome, String> {
    let mut prepared = wharf_load::prepare(target, plan).map_err(|error| error.to_string())?;
    let outcome = prepared.run(&RunProgress::default());
    finished(prepared)?;
    no_error(&outcome)?;
    Ok(outcome)
}

fn no_error(outcome: &RunOutcome) -> Result<(), String> {
    outcome.error_list.first().map_or(Ok(()), |error| Err(error.to_string()))
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
