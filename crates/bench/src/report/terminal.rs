//! Output while it runs.

use std::fmt::Write as _;

use crate::bench::cases::BenchCase;
use crate::bench::number::{GIB, figure};
use crate::bench::report::table::{self, TextTable, number};
use crate::bench::report::verdicts;
use crate::bench::result::{Figure, MeasurementRecord, ServerRun};

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
    let mut text = format!("\n{}: {}\n", case.name, case.title) + &draw(&table::of(record, case));
    for verdict in record.verdicts.iter().filter(|verdict| verdict.case == case.name) {
        let _ = writeln!(text, "  {}", verdicts::message(record, verdict));
    }
    text
}

/// The notes and the table of targets.
pub(crate) fn targets(record: &MeasurementRecord) -> String {
    let mut text = String::new();
    for note in &record.notes {
        let _ = write!(text, "\nnote: {note}");
    }
    let count =
        |is_reached| record.verdicts.iter().filter(|one| one.is_reached() == is_reached).count();
    let (reached, missed, unknown) = (count(Some(true)), count(Some(false)), count(None));
    let table = draw(&verdicts::of(record));
    text + &format!(
        "\n\n{table}\n{reached} targets reached, {missed} missed (>), {unknown} not measured\n"
    )
}

fn draw(table: &TextTable) -> String {
    let mut widths: Vec<usize> = table.header.iter().map(|cell| cell.chars().count()).collect();
    for line in &table.rows {
        for (width, cell) in widths.iter_mut().zip(&line.cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = row(" ", &table.header, &widths);
    for line in &table.rows {
        let mark = if line.is_marked { ">" } else { " " };
        text += &row(mark, &line.cells, &widths);
        if let Some(remark) = &line.remark {
            let _ =
                writeln!(text, "      {}: {remark}", line.cells.first().map_or("", |cell| cell));
        }
    }
    text
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
