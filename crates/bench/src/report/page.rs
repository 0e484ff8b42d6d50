//! Generates `docs/BENCHMARKS.md`.

use std::fmt::Write as _;

use super::table::{self, NOTHING, TextTable, number, title};
use super::verdicts;
use crate::bench::cases::{BenchCase, CASES, CaseGroup, find};
use crate::bench::number::{GIB, figure};
use crate::bench::result::{Figure, MeasurementRecord, WHARF, is_rival};
use crate::bench::summary::of_case;
use crate::bench::targets::TargetResult;

/// A series of cases that differ in one number.
struct Series {
    title: &'static str,
    /// What the number counts.
    axis: &'static str,
    /// The prefix of the cases' names; the number follows.
    prefix: &'static str,
    numbers: &'static [u64],
    figures: &'static [(Figure, &'static str)],
}

/// All series.
static SERIES: &[Series] = &[
    Series {
        title: "Sessions that download 2 GiB together",
        axis: "sessions",
        prefix: "sessions-growth-",
        numbers: &[1, 10, 100, 1_000, 10_000],
        figures: &[
            (Figure::Rate, "GiB/s, higher is better"),
            (Figure::Cpu, "server CPU s/GiB, lower is better"),
            (Figure::AnonymousMib, "memory MiB, lower is better"),
        ],
    },
    Series {
        title: "MLSD of growing folders",
        axis: "entries",
        prefix: "list-growth-",
        numbers: &[100, 1_000, 10_000, 100_000, 1_000_000],
        figures: &[
            (Figure::Rate, "entries/s, higher is better"),
            (Figure::Cpu, "server CPU us/entry, lower is better"),
            (Figure::AboveIdleMib, "memory above idle MiB, lower is better"),
        ],
    },
];

/// The whole page.
pub(crate) fn draw(record: &MeasurementRecord) -> String {
    let parts = [
        head(record),
        servers(record),
        losses(record),
        targets(record),
        cases(record),
        growth(record),
        notes(record),
    ];
    parts.concat()
}

fn head(record: &MeasurementRecord) -> String {
    let machine = &record.machine;
    format!(
        "# Benchmarks\n\n\
         wharf compared with other FTP servers on one machine, with the same clients. This page is \
         generated from the raw results (`cargo xtask bench --report FILE`); do not edit it.\n\n\
         | | |\n|---|---|\n\
         | wharf | commit `{}` |\n| measured | {} |\n| processor | {} x {} |\n\
         | memory | {:.1} GiB |\n| system | Linux {} |\n| files | {} in memory, {} on disk |\n\
         | counted by | {} |\n\n\
         ## How to read it\n\n\
         Clients and servers share the processors of one machine and use the loopback interface, \
         so rates vary from round to round (*spread*: the difference between the fastest and the \
         slowest round, relative to the median). *Server CPU* varies less: the CPU time of the \
         server with all its processes, per GiB or operation. All figures are medians. The servers \
         take turns, and each measurement starts a new server. Another server that reaches less \
         than two thirds of the best other one in the first round is measured once.\n\n\
         Cases named after a client program (lftp, rclone, curl, wget, ncftp) run that program \
         with its default settings, from its start to its exit.\n\n\
         */ rival* is the ratio to the best other server of the case: 1.00 is equal. For rates \
         higher is better, for CPU, memory and time lower. */ bare* is the ratio to a program that \
         checks nothing and only moves the bytes: blocking `sendfile` of 16 MiB (one client) \
         or 1 MiB (many), `splice` through a pipe of 1 MiB, a loop around rustls, a folder read \
         as `ls` reads it.\n\n\
         To repeat it: `cargo xtask bench` (some ten minutes) or `cargo xtask bench --cases all` \
         (hours), as root, which vsftpd, ProFTPD and Pure-FTPd need. Missing servers are \
         installed first: packages are unpacked, and libunftp is built from crates.io with its \
         own lock file, outside the workspace of wharf.\n\n",
        record.commit,
        record.date,
        machine.cores,
        machine.processor,
        figure(machine.memory_bytes) / figure(GIB),
        machine.kernel,
        machine.memory_root,
        machine.disk_root,
        machine.counting,
    )
}

fn servers(record: &MeasurementRecord) -> String {
    let mut text = String::from("## Servers\n\n| server | version | set-up |\n|---|---|---|\n");
    for server in &record.servers {
        let _ = writeln!(text, "| {} | {} | {} |", server.title, server.version, server.about);
    }
    text + "\nAll serve the same folder to the same account, and run as the same system user. \
            wharf is measured as shipped, with its log in a file; the others write none. None of \
            the others syncs uploads, so wharf is compared with `durability = \"fast\"`. Its \
            entries without a log and with `\"full\"`, the default durability, are shown beside \
            it and not judged.\n\n"
}

/// Targets that were missed, before everything else.
fn losses(record: &MeasurementRecord) -> String {
    let broken: Vec<&TargetResult> =
        record.verdicts.iter().filter(|verdict| verdict.is_reached() == Some(false)).collect();
    let judged = record.verdicts.iter().filter(|verdict| verdict.is_reached().is_some()).count();
    let mut text = format!(
        "## Where wharf falls short\n\n{} of {judged} targets are reached, {} are not.\n\n",
        judged - broken.len(),
        broken.len()
    );
    for verdict in broken {
        let case = find(&verdict.case);
        let what = case.map_or(verdict.case.as_str(), |case| case.title);
        let _ = writeln!(text, "- **{what}**: {}.", verdicts::message(record, verdict));
    }
    if text.ends_with(".\n") { text + "\n" } else { text }
}

fn targets(record: &MeasurementRecord) -> String {
    let text = "## Targets\n\nThe goals of the project. CPU targets depend on the machine on which \
                they were set; ratios do not. The ratios are those of the figure; *server CPU* is \
                that of wharf.\n\n";
    text.to_owned() + &markdown(&verdicts::of(record))
}

fn cases(record: &MeasurementRecord) -> String {
    let measured = |case: &&BenchCase| record.summary.iter().any(|row| row.case == case.name);
    let mut text = String::from("## Cases\n\n");
    for case in CASES.iter().filter(|case| case.group != CaseGroup::Growth).filter(measured) {
        let _ = write!(text, "### {}: {}\n\n", case.name, case.title);
        text += &markdown(&table::of(record, case));
    }
    text
}

fn markdown(table: &TextTable) -> String {
    let columns = table.header.len();
    let mut text = format!("| {} |\n|---|", table.header.join(" | "));
    text += &"---:|".repeat(columns.saturating_sub(1));
    text += "\n";
    let mut remarks = String::new();
    for line in &table.rows {
        let mut cells = line.cells.clone();
        cells.resize(columns, NOTHING.to_owned());
        if line.is_marked {
            cells = cells.iter().map(|cell| format!("**{cell}**")).collect();
        }
        let _ = writeln!(text, "| {} |", cells.join(" | "));
        if let (Some(remark), Some(name)) = (&line.remark, line.cells.first()) {
            let _ = writeln!(remarks, "- {name} failed: {remark}");
        }
    }
    if remarks.is_empty() { text + "\n" } else { format!("{text}\n{remarks}\n") }
}

fn growth(record: &MeasurementRecord) -> String {
    let is_measured = |series: &&Series| {
        let mut rows = record.summary.iter().filter(|row| row.server == WHARF);
        rows.any(|row| row.case.starts_with(series.prefix))
    };
    let mut text = String::new();
    for series in SERIES.iter().filter(is_measured) {
        if text.is_empty() {
            text += "## How the cost grows\n\n";
        }
        let _ = write!(text, "### {}\n\n", series.title);
        for (figure, unit) in series.figures {
            let _ = write!(text, "{unit}:\n\n{}", growth_table(record, series, *figure));
        }
    }
    text
}

/// wharf as shipped and other servers; its other entries do not take part.
fn growth_table(record: &MeasurementRecord, series: &Series, what: Figure) -> String {
    let mut header = vec![series.axis.to_owned()];
    header.extend(series.numbers.iter().map(|count| table::grouped(&count.to_string())));
    let is_shown = |name: &str| name == WHARF || is_rival(name);
    let servers = record.servers.iter().filter(|server| is_shown(&server.name));
    let rows = servers.map(|server| {
        let cells = series.numbers.iter().map(|count| {
            let rows = of_case(&record.summary, &format!("{}{count}", series.prefix));
            let row = rows.into_iter().find(|row| row.server == server.name);
            row.and_then(|row| row.get(what)).map_or_else(|| NOTHING.to_owned(), number)
        });
        let cells = std::iter::once(title(record, &server.name)).chain(cells).collect();
        table::TableRow { is_marked: server.name == WHARF, cells, remark: None }
    });
    let rows = rows.collect();
    markdown(&TextTable { header, rows })
}

fn notes(record: &MeasurementRecord) -> String {
    if record.notes.is_empty() {
        return String::new();
    }
    format!("## Notes\n\n- {}\n", record.notes.join("\n- "))
}
