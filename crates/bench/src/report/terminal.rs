//! Output while it runs.

use std::fmt::Write as _;

use crate::bench::cases::BenchCase;
use crate::bench::number::{GIB, figure};
use crate::bench::report::table::{self, number, title};
use crate::bench::result::{Figure, MeasurementRecord, ServerRun};
use crate::bench::targets::TargetResult;

/// The machine and the servers, before the first case.
pub(crate) fn head(record: &MeasurementRecord) -> String {
    let machine = &record.machine;
    let mut text = format!(
        "wharf {} and other servers, {}\n\
         {} x {}, {:.1} GiB, Linux {}\n\
         files in memory: {}; on disk: {}; server CPU and memory by {}\n\n",
        record.commit,
        record.date,
        machine.cores,
        machine.processor,
        figure(machine.memory_bytes) / figure(GIB),
        machine.kernel,
        machine.memory_root,
        machine.disk_root,
        machine.counting,
    );
    for server in &record.servers {
        let _ = writeln!(text, "  {:<14}{}", server.title, server.version);
    }
    for note in &record.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text + "\nClients and servers share the processors, so rates vary; CPU time varies less.\n\
            '/ rival' is the ratio to the best other server: 1.00 is equal; for rates higher is \
            better,\nfor CPU, memory and time lower. '/ bare' is the ratio to a program that only \
            moves the bytes.\n"
}

/// One run in one line.
pub(crate) fn progress(case: &BenchCase, run: &ServerRun) -> String {
    let name = format!("{:<20} {:<12} round {}", run.case, run.server, run.round + 1);
    if let Some(why) = &run.failed {
        return format!("{name}: FAILED: {why}");
    }
    let message = [case.headline, Figure::Cpu, Figure::WallS, Figure::GeneratorCpuS];
    let mut parts: Vec<String> = Vec::new();
    for figure in message {
        let Some(value) = run.figures.get(&figure) else { continue };
        let title = if figure == Figure::Rate { "" } else { figure.title() };
        let part = format!("{title} {} {}", number(*value), case.unit_of(figure));
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    format!("{name}: {}", parts.join(", ").trim())
}

/// One case, after all its rounds.
pub(crate) fn case(record: &MeasurementRecord, case: &BenchCase) -> String {
    let table = table::of(record, case);
    let mut widths: Vec<usize> = table.header.iter().map(|cell| cell.chars().count()).collect();
    for line in &table.rows {
        for (width, cell) in widths.iter_mut().zip(&line.cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = format!("\n{}: {}\n", case.name, case.title);
    text += &row(" ", &table.header, &widths);
    for line in &table.rows {
        let mark = if line.is_wharf { ">" } else { " " };
        text += &row(mark, &line.cells, &widths);
        if let Some(remark) = &line.remark {
            let _ =
                writeln!(text, "      {}: {remark}", line.cells.first().map_or("", |cell| cell));
        }
    }
    for verdict in record.verdicts.iter().filter(|verdict| verdict.case == case.name) {
        let _ = writeln!(text, "  {}", message(record, case, verdict));
    }
    text
}

/// All judged targets, unmet ones last.
pub(crate) fn verdicts(record: &MeasurementRecord) -> String {
    let judged =
        record.verdicts.iter().filter_map(|verdict| Some((verdict, verdict.is_reached()?)));
    let (reached, broken): (Vec<_>, Vec<_>) = judged.partition(|(_, is_reached)| *is_reached);
    let notes = if record.notes.is_empty() { "" } else { "\nnote: " };
    let notes = notes.to_owned() + &record.notes.join("\nnote: ");
    let mut text =
        format!("{notes}\n\n{} targets reached, {} missed\n", reached.len(), broken.len());
    for (verdict, _) in broken {
        if let Some(case) = crate::bench::cases::find(&verdict.case) {
            let _ = writeln!(text, "  {:<20} {}", case.name, message(record, case, verdict));
        }
    }
    text
}

fn message(record: &MeasurementRecord, case: &BenchCase, verdict: &TargetResult) -> String {
    let unit = match verdict.against {
        Some(_) => "",
        None if verdict.wanted.contains("of the") => "",
        None => case.unit_of(verdict.figure),
    };
    let got = verdict.got.map_or_else(|| "-".to_owned(), number);
    let against = verdict.against.as_ref();
    let against = against.map_or_else(String::new, |name| format!(" ({})", title(record, name)));
    let (figure, wanted, outcome) = (verdict.figure.title(), &verdict.wanted, verdict.outcome());
    let space = if unit.is_empty() { "" } else { " " };
    format!("{figure} {wanted}{space}{unit}: {got}{against}, {outcome}")
}

/// The first column is left-aligned, the others right-aligned.
fn row(mark: &str, cells: &[String], widths: &[usize]) -> String {
    let mut text = format!("{mark} ");
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let space = " ".repeat(width.saturating_sub(cell.chars().count()));
        let parts = if index == 0 { [cell, &space] } else { [&space, cell] };
        text += if index == 0 { "" } else { "  " };
        text.extend(parts.map(String::as_str));
    }
    text.trim_end().to_owned() + "\n"
}
