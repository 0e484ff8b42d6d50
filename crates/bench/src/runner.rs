//! Runs cases, rounds, and servers in turn.

use std::path::Path;
use std::time::Duration;

use wharf_load::machine::file_system;
use wharf_load::raise_file_limit;

use crate::bench::account::{BenchAccount, CertificateFiles};
use crate::bench::cases::{BenchCase, CaseGroup, CaseWork, FileLocation};
use crate::bench::measure::{Figures, MeasurementContext};
use crate::bench::number::{GIB, MIB, figure};
use crate::bench::paths::BenchPaths;
use crate::bench::report::{self, terminal};
use crate::bench::result::{
    FORMAT, Figure, LIMIT, MeasurementRecord, ServerInfo, ServerRun, WHARF, WHARF_FULL,
    WHARF_NO_LOG, is_rival,
};
use crate::bench::servers::{self, BARE, BenchServer, InstalledServer};
use crate::bench::statistics::sample;
use crate::bench::tree::TestTrees;
use crate::bench::{clock, machine, proc};

/// What to measure.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) cases: Vec<&'static BenchCase>,
    pub(crate) servers: Vec<&'static BenchServer>,
    pub(crate) rounds: u32,
    pub(crate) verifies: bool,
    pub(crate) time_max: Duration,
    /// A server that takes longer for a case is measured once.
    pub(crate) slow_s: f64,
}

/// The clients need a socket per session, and one more for transfers; the servers inherit the
/// limit.
const FILES_MAX: u64 = 65_536;
/// The file system in memory: not a disk.
const TMPFS: &str = "tmpfs";
/// Memory of a process that serves one session, including kernel memory: the most measured for
/// vsftpd, Pure-FTPd and ProFTPD.
const PROCESS_BYTES: u64 = 3 * MIB / 4;
/// The same with TLS.
const TLS_PROCESS_BYTES: u64 = 2 * MIB;

/// Measures all selected cases. The results so far are written to `out` after each case, so that
/// nothing is lost if it is stopped.
///
/// # Errors
/// A server or client program is missing. Failures of servers in a case are in the record.
pub(crate) fn run(
    places: &BenchPaths,
    selection: &Selection,
    out: &Path,
) -> Result<MeasurementRecord, String> {
    let account = BenchAccount::find();
    check(places, selection, &account)?;
    let mut installed = servers::ready(places, &selection.servers)?;
    let servers = installed.iter().map(|(server, found)| ServerInfo {
        name: server.name.into(),
        title: server.title.into(),
        about: server.about.into(),
        version: found.version.clone(),
    });
    let servers = servers.collect();
    installed.extend(servers::ready(places, &[BARE])?);
    // The load generator reports a limit that is too low.
    let _ = raise_file_limit(FILES_MAX);
    report::print_line(&format!("preparing test files for {} cases", selection.cases.len()));
    let tree = TestTrees::prepare(places, &selection.cases, &account)?;
    let certificate = CertificateFiles::make(&places.base(false).join("tls"), &account)?;
    let mut record = MeasurementRecord {
        format: FORMAT,
        date: clock::date(),
        commit: wharf_load::machine::commit(),
        machine: machine::describe(&tree),
        servers,
        notes: Vec::new(),
        runs: Vec::new(),
        summary: Vec::new(),
        verdicts: Vec::new(),
    };
    if tree.divisor > 1 {
        record
            .notes
            .push(format!("Large files were made {} times smaller to save space.", tree.divisor));
    }
    if selection.verifies {
        record.notes.push("Every byte was compared: rates are those of the comparison.".into());
    }
    let (verifies, time_max) = (selection.verifies, selection.time_max);
    let bench = MeasurementContext { tree, account, certificate, verifies, time_max };
    report::print(&terminal::head(&record))?;
    for (case, number) in selection.cases.iter().zip(1..) {
        report::print_line(&format!("case {number} of {}: {}", selection.cases.len(), case.name));
        run_case(&bench, selection, case, &installed, &mut record);
        record.sum_up();
        report::print(&terminal::case(&record, case))?;
        report::write_json(&record, out)?;
    }
    record.notes.extend(other_cpu_note(&record));
    Ok(record)
}

/// CPU used by other programs. Figures of a busy machine are less reliable.
fn other_cpu_note(record: &MeasurementRecord) -> Option<String> {
    let others = record.runs.iter().filter_map(|run| run.figures.get(&Figure::OthersCpu).copied());
    let sample = sample(&others.collect::<Vec<_>>())?;
    Some(format!(
        "Other programs used {:.0} % of the processors (median of all \
         runs).",
        sample.median
    ))
}

impl MeasurementRecord {
    /// Replaces cases by those of another record.
    pub(crate) fn merge(&mut self, other: Self) {
        let is_newer = |case: &str| other.runs.iter().any(|run| run.case == case);
        self.runs.retain(|run| !is_newer(&run.case));
        if self.commit != other.commit {
            self.notes.push(format!("Some cases were measured at commit {}.", other.commit));
        }
        for server in other.servers {
            if !self.servers.iter().any(|known| known.name == server.name) {
                self.servers.push(server);
            }
        }
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.runs.extend(other.runs);
    }

    /// Computes the results for readers of the file.
    pub(crate) fn sum_up(&mut self) {
        self.summary = crate::bench::summary::rows(&self.runs);
        let names: Vec<_> = crate::bench::cases::CASES.iter().map(|case| case.name).collect();
        self.verdicts = crate::bench::targets::judge(&self.summary, &names);
    }
}

/// What would leave out a server or a case: better no measurement than one with gaps.
fn check(places: &BenchPaths, selection: &Selection, account: &BenchAccount) -> Result<(), String> {
    let disk = places.base(true);
    let needs_disk = selection.cases.iter().any(|case| case.place == FileLocation::Disk);
    if needs_disk && file_system(&disk) == TMPFS {
        return Err(format!(
            "{} is not on a disk\nhint: set CARGO_TARGET_DIR to a folder on a disk",
            disk.display()
        ));
    }
    let needs_root = |server: &&&BenchServer| server.needs_root && !account.is_root;
    if let Some(server) = selection.servers.iter().find(needs_root) {
        return Err(format!(
            "{} must be started as root\nhint: run the benchmark as root, or choose others with \
             --servers",
            server.name
        ));
    }
    let missing = selection.cases.iter().find_map(|case| match case.work {
        CaseWork::ClientProgram { client, job } => Some((case.name, client.missing(job)?)),
        _ => None,
    });
    missing.map_or(Ok(()), |(case, why)| Err(format!("{case}: {why}")))
}

fn run_case(
    bench: &MeasurementContext,
    selection: &Selection,
    case: &BenchCase,
    installed: &[InstalledServer],
    record: &mut MeasurementRecord,
) {
    let mut waiting: Vec<&InstalledServer> =
        installed.iter().filter(|(server, _)| takes_part(case, server)).collect();
    waiting.retain(|(server, _)| {
        let reason = space_shortage(case, server);
        if let Some(reason) = &reason {
            let note = format!("{}: {} left out, {reason}.", case.name, server.title);
            report::print_line(&note);
            record.notes.push(note);
        }
        reason.is_none()
    });
    for round in 0..selection.rounds.min(case.rounds_max) {
        // A slow server would take too long, and one that failed would fail again.
        waiting.retain(|(server, found)| {
            let result = bench.measure(case, server, found);
            let is_again = result.as_ref().is_ok_and(|figures| {
                figures.get(&Figure::WallS).is_none_or(|wall| *wall <= selection.slow_s)
            });
            let run = as_run(case, server, round, result);
            report::print_line(&terminal::progress(case, &run));
            record.runs.push(run);
            is_again || server.name == WHARF
        });
        if round == 0 {
            let best = best_rival(case, &record.runs);
            waiting.retain(|(server, _)| may_be_best(case, server.name, &record.runs, best));
        }
        // The first server finds the machine in another state, so each is first once.
        if !waiting.is_empty() {
            waiting.rotate_left(1);
        }
    }
}

/// The headline of the best other server in the first round.
fn best_rival(case: &BenchCase, runs: &[ServerRun]) -> Option<f64> {
    let first = runs.iter().filter(|run| run.case == case.name && is_rival(&run.server));
    let values = first.filter_map(|run| run.figures.get(&case.headline).copied());
    if case.headline.is_better_high() {
        values.max_by(f64::total_cmp)
    } else {
        values.min_by(f64::total_cmp)
    }
}

/// Whether another server is close enough to the best one to be the best in other rounds. Only the
/// best is compared with, so the others need no more rounds.
fn may_be_best(case: &BenchCase, server: &str, runs: &[ServerRun], best: Option<f64>) -> bool {
    let run = runs.iter().find(|run| run.case == case.name && run.server == server);
    let own = run.and_then(|run| run.figures.get(&case.headline).copied());
    let (Some(own), Some(best)) = (own, best) else { return true };
    let part = if case.headline.is_better_high() { own / best } else { best / own };
    !is_rival(server) || part.is_nan() || part >= MAY_BE_BEST
}

/// Rounds of one server differ less than this.
const MAY_BE_BEST: f64 = 2.0 / 3.0;

fn as_run(
    case: &BenchCase,
    server: &BenchServer,
    round: u32,
    result: Result<Figures, String>,
) -> ServerRun {
    let (figures, failed) = match result {
        Ok(figures) => (figures, None),
        Err(why) => (Figures::new(), Some(why)),
    };
    ServerRun { case: case.name.into(), server: server.name.into(), round, failed, figures }
}

fn takes_part(case: &BenchCase, server: &BenchServer) -> bool {
    if server.name == LIMIT {
        return case.limit_span.is_some();
    }
    match server.name {
        WHARF_FULL => case.has_full,
        WHARF => true,
        // Cases of wharf's own settings, and of growth, need no second entry.
        WHARF_NO_LOG => !case.is_wharf_only && case.group != CaseGroup::Growth,
        _ => !case.is_wharf_only,
    }
}

/// Why a server cannot take part in a case with many sessions.
fn space_shortage(case: &BenchCase, server: &BenchServer) -> Option<String> {
    let each = if case.is_tls { TLS_PROCESS_BYTES } else { PROCESS_BYTES };
    let needed = case.sessions() * server.processes_per_session * each;
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = proc::parse_meminfo(&text, "MemAvailable").unwrap_or(0);
    // Connections without a login need no process for long.
    let is_short = needed > free / 2 && !matches!(case.work, CaseWork::Connects { .. });
    let gib = |bytes: u64| figure(bytes) / figure(GIB);
    is_short.then(|| {
        format!("its processes would need {:.1} GiB and {:.1} are free", gib(needed), gib(free))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cases::find;

    fn run(case: &str, server: &str, figure: Figure, value: f64) -> ServerRun {
        let case = find(case).unwrap();
        let server = servers::SERVERS.iter().find(|one| one.name == server).unwrap();
        as_run(case, server, 0, Ok([(figure, value)].into()))
    }

    #[test]
    fn only_servers_that_may_be_the_best_are_measured_again() {
        let case = find("noop").unwrap();
        let rate = |server, value| run("noop", server, Figure::Rate, value);
        let runs = [rate("wharf", 90.0), rate("vsftpd", 10.0), rate("proftpd", 6.0)];
        let again = |server| may_be_best(case, server, &runs, best_rival(case, &runs));
        assert!(again("vsftpd") && again("wharf") && !again("proftpd"));
        let case = find("idle-500").unwrap();
        let memory = |server, value| run("idle-500", server, Figure::SessionKib, value);
        let runs = [memory("wharf", 90.0), memory("vsftpd", 10.0), memory("proftpd", 12.0)];
        let again = |server| may_be_best(case, server, &runs, best_rival(case, &runs));
        assert!(again("vsftpd") && again("wharf") && again("proftpd"));
    }

    #[test]
    fn the_entries_of_wharf_take_part_where_they_differ() {
        let names = |case: &str| {
            let case = find(case).unwrap();
            let servers = servers::SERVERS.iter();
            let own = servers.filter(|server| !is_rival(server.name) && takes_part(case, server));
            own.map(|server| server.name).collect::<Vec<_>>()
        };
        assert_eq!(names("noop"), [WHARF, WHARF_NO_LOG]);
        assert_eq!(names("stor-disk"), [WHARF, WHARF_NO_LOG, WHARF_FULL]);
        assert_eq!(names("throttled"), [WHARF]);
    }
}
