//! A small invented record, and everything that is generated from it.

use wharf_testkit::assert_same;

use super::cases::find;
use super::report::{page, terminal};
use super::result::{
    BenchMachine, FORMAT, Figure, LIMIT, MeasurementRecord, ServerInfo, ServerRun,
};

fn run(case: &str, server: &str, round: u32, figures: &[(Figure, f64)]) -> ServerRun {
    ServerRun {
        case: case.into(),
        server: server.into(),
        round,
        failed: None,
        figures: figures.iter().copied().collect(),
    }
}

fn moved(case: &str, server: &str, round: u32, rate: f64, cpu: f64) -> ServerRun {
    let memory = [(Figure::AnonymousMib, 12.0 * cpu), (Figure::KernelMib, 0.4)];
    let mut run = run(case, server, round, &memory);
    run.figures.extend([(Figure::Rate, rate), (Figure::Cpu, cpu)]);
    run
}

/// wharf wins one case and loses one; another server fails once.
fn record() -> MeasurementRecord {
    let mut runs = vec![
        moved("retr-1", "wharf", 0, 5.0, 0.140),
        moved("retr-1", "wharf-no-log", 0, 5.1, 0.139),
        moved("retr-1", "proftpd", 0, 4.0, 0.163),
        moved("retr-1", LIMIT, 0, 5.2, 0.097),
        moved("retr-1", "wharf", 1, 5.4, 0.142),
        moved("retr-1", "proftpd", 1, 4.4, 0.165),
        moved("retr-1", LIMIT, 1, 5.4, 0.098),
        moved("noop", "wharf", 0, 30_000.0, 11.5),
        moved("noop", "proftpd", 0, 33_000.0, 10.9),
        run(
            "idle-500",
            "wharf",
            0,
            &[(Figure::SessionKib, 3.2), (Figure::IdleCpu, 0.1), (Figure::Answered, 100.0)],
        ),
    ];
    let mut failed = run("idle-500", "proftpd", 0, &[]);
    failed.failed = Some("unexpected reply 421 Too many.\n[its log is long]".into());
    runs.push(failed);
    for (number, rate, memory) in [(1_u32, 5.1, 10.0), (10, 7.9, 11.0), (100, 7.7, 14.0)] {
        let case = format!("sessions-growth-{number}");
        let times = f64::from(number);
        for (server, part) in [("wharf", 1.0), ("proftpd", 0.8)] {
            let mut run = moved(&case, server, 0, rate * part, 0.1 / part);
            run.figures.insert(Figure::AnonymousMib, memory + (1.0 - part) * times);
            runs.push(run);
        }
    }
    let presence = |name: &str, title: &str, version: &str| ServerInfo {
        name: name.into(),
        title: title.into(),
        about: "as it comes".into(),
        version: version.into(),
    };
    let mut record = MeasurementRecord {
        format: FORMAT,
        date: "2026-01-31T12:00:00Z".into(),
        commit: "0123456789ab".into(),
        machine: BenchMachine {
            processor: "Some <Processor> & Sons".into(),
            cores: 2,
            memory_bytes: 24 << 30,
            kernel: "6.18.0".into(),
            memory_root: "tmpfs".into(),
            disk_root: "ext4".into(),
            counting: "cgroup v2".into(),
        },
        servers: vec![
            presence("wharf", "wharf", "0.1.0"),
            presence("wharf-no-log", "wharf, no log", "0.1.0"),
            presence("proftpd", "ProFTPD", "1.3.8"),
        ],
        notes: vec!["idle-10000: vsftpd left out, its processes would need 9.8 GiB.".into()],
        runs,
        summary: Vec::new(),
        verdicts: Vec::new(),
    };
    record.sum_up();
    record
}

#[test]
fn the_terminal_shows_every_case_and_unmet_targets() {
    let record = record();
    let cases = ["retr-1", "noop", "idle-500"].map(|name| find(name).unwrap());
    let tables: String = cases.iter().map(|case| terminal::case(&record, case)).collect();
    let text = [terminal::head(&record), tables, terminal::targets(&record)].concat();
    assert_same("crates/bench/snapshots/terminal.txt", &text);
}

#[test]
fn the_page_shows_unmet_targets_before_the_cases() {
    let text = page::draw(&record());
    let (losses, cases) = (text.find("falls short").unwrap(), text.find("## Cases").unwrap());
    assert!(losses < cases);
    assert_same("crates/bench/snapshots/page.md", &text);
}

#[test]
fn a_record_is_read_back_as_it_was_written() {
    let record = record();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.json");
    super::report::write_json(&record, &path).unwrap();
    assert_eq!(super::report::read(&path).unwrap(), record);
}

#[test]
fn a_case_that_was_measured_again_takes_the_place_of_the_first() {
    let mut whole = record();
    let case = whole.runs.first().unwrap().case.clone();
    let others = whole.runs.iter().filter(|run| run.case != case).count();
    let again = whole.runs.first().unwrap().clone();
    let part = MeasurementRecord { runs: vec![again.clone()], commit: "other".into(), ..record() };
    whole.merge(part);
    assert_eq!(whole.runs.len(), others + 1);
    assert_eq!(whole.runs.last(), Some(&again));
    assert!(whole.notes.last().unwrap().contains("commit other"));
}

#[test]
fn a_record_of_another_format_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.json");
    super::report::write_json(&MeasurementRecord { format: 99, ..record() }, &path).unwrap();
    assert!(super::report::read(&path).unwrap_err().contains("format 99"));
}
