//! Generates `docs/BENCHMARKS.md`.

use super::growth::{SERIES, Series, is_shown, row};
use super::table::{self, NOTHING, TextTable, number, title};
use crate::bench::cases::{BenchCase, CASES, CaseGroup, find};
use crate::bench::number::{GIB, figure};
use crate::bench::result::{Figure, MeasurementRecord, WHARF};
use crate::bench::targets::TargetResult;
use crate::bench::text::put;

/// The whole page; `pictures` are the names of the existing charts.
pub(crate) fn draw(record: &MeasurementRecord, pictures: &[&str]) -> String {
    let parts = [
        head(record),
        servers(record),
        losses(record),
        charts(pictures),
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
         To repeat it: `cargo xtask bench --install` once, then `cargo xtask bench` (some ten \
         minutes) or `cargo xtask bench --cases full` (an hour). vsftpd, ProFTPD and Pure-FTPd \
         must be started as root.\n\n",
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
        let missing = server.missing.as_deref().unwrap_or("?");
        let version = server.version.clone().unwrap_or_else(|| format!("**missing**: {missing}"));
        put(&mut text, format_args!("| {} | {version} | {} |\n", server.title, server.about));
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
        put(
            &mut text,
            format_args!(
                "- **{what}**: {} {}, {} reached{} ({}).\n",
                verdict.figure.title(),
                wanted(verdict),
                got(verdict),
                against(record, verdict),
                verdict.outcome()
            ),
        );
    }
    if text.ends_with(".\n") { text + "\n" } else { text }
}

fn charts(pictures: &[&str]) -> String {
    let line = |name: &&str| match *name {
        "speed" => "![How fast each server is](picture/benchmark-speed.svg)\n\n",
        "cpu" => "![Server CPU for the same work](picture/benchmark-cpu.svg)\n\n",
        _ => "",
    };
    let lines: String = pictures.iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("## Charts\n\n{lines}") }
}

fn targets(record: &MeasurementRecord) -> String {
    let mut text = String::from(
        "## Targets\n\nThe goals of the project. CPU targets depend on the machine on which they \
        were set; ratios do not.\n\n| case | figure | target | reached | |\n\
         |---|---|---|---|---|\n",
    );
    for verdict in record.verdicts.iter().filter(|verdict| verdict.is_reached().is_some()) {
        let outcome = match verdict.is_reached() {
            Some(false) => format!("**{}**", verdict.outcome()),
            _ => verdict.outcome(),
        };
        put(
            &mut text,
            format_args!(
                "| {} | {} | {} | {}{} | {outcome} |\n",
                verdict.case,
                verdict.figure.title(),
                wanted(verdict),
                got(verdict),
                against(record, verdict)
            ),
        );
    }
    let missing: Vec<&str> = record
        .verdicts
        .iter()
        .filter(|verdict| verdict.is_reached().is_none())
        .map(|verdict| verdict.case.as_str())
        .collect();
    if !missing.is_empty() {
        put(
            &mut text,
            format_args!(
                "\nNot judged, because there is no measurement: {}.\n",
                missing.join(", ")
            ),
        );
    }
    text + "\n"
}

fn cases(record: &MeasurementRecord) -> String {
    let measured = |case: &&BenchCase| record.summary.iter().any(|row| row.case == case.name);
    let mut text = String::from("## Cases\n\n");
    for case in CASES.iter().filter(|case| case.group != CaseGroup::Growth).filter(measured) {
        put(&mut text, format_args!("### {}: {}\n\n", case.name, case.title));
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
        if line.is_wharf {
            cells = cells.iter().map(|cell| format!("**{cell}**")).collect();
        }
        put(&mut text, format_args!("| {} |\n", cells.join(" | ")));
        if let (Some(remark), Some(name)) = (&line.remark, line.cells.first()) {
            put(&mut remarks, format_args!("- {name} failed: {remark}\n"));
        }
    }
    if remarks.is_empty() { text + "\n" } else { format!("{text}\n{remarks}\n") }
}

fn growth(record: &MeasurementRecord) -> String {
    let is_measured = |series: &&Series| {
        series.numbers.iter().any(|number| row(record, series, *number, WHARF).is_some())
    };
    let mut text = String::new();
    for series in SERIES.iter().filter(is_measured) {
        if text.is_empty() {
            text += "## How the cost grows\n\n";
        }
        put(&mut text, format_args!("### {}\n\n", series.title));
        for (figure, unit) in series.figures {
            put(&mut text, format_args!("{unit}:\n\n{}", growth_table(record, series, *figure)));
        }
    }
    text
}

fn growth_table(record: &MeasurementRecord, series: &Series, what: Figure) -> String {
    let mut header = vec![series.axis.to_owned()];
    header.extend(series.numbers.iter().map(|count| table::grouped(&count.to_string())));
    let value = |count: u64, server: &str| row(record, series, count, server)?.get(what);
    let servers = record.servers.iter();
    let servers = servers.filter(|server| server.version.is_some() && is_shown(&server.name));
    let rows = servers.map(|server| {
        let numbers = series.numbers.iter();
        let cells = numbers.map(|count| value(*count, &server.name));
        let cells = cells.map(|value| value.map_or_else(|| NOTHING.to_owned(), number));
        let cells = std::iter::once(title(record, &server.name)).chain(cells).collect();
        table::TableRow { is_wharf: server.name == WHARF, cells, remark: None }
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

fn wanted(verdict: &TargetResult) -> String {
    let unit = unit(verdict);
    format!("{} {unit}", verdict.wanted).trim().to_owned()
}

fn got(verdict: &TargetResult) -> String {
    let value = verdict.got.map_or_else(|| NOTHING.to_owned(), number);
    format!("{value} {}", unit(verdict)).trim().to_owned()
}

/// Ratios have no unit.
fn unit(verdict: &TargetResult) -> &'static str {
    let is_ratio = verdict.wanted.contains("of the");
    let case = find(&verdict.case).filter(|_| !is_ratio);
    case.map_or("", |case| case.unit_of(verdict.figure))
}

fn against(record: &MeasurementRecord, verdict: &TargetResult) -> String {
    let name = verdict.against.as_ref();
    name.map_or_else(String::new, |name| format!(" (best: {})", title(record, name)))
}
