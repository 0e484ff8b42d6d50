//! Reports: a table, JSON, charts, a page.

use std::io::Write as _;
use std::path::Path;

use crate::bench::paths::{make_folder, write};
use crate::bench::result::{FORMAT, MeasurementRecord};

pub(crate) mod chart;
mod growth;
pub(crate) mod page;
mod svg;
pub(crate) mod table;
pub(crate) mod terminal;

/// The page generated from a record.
const PAGE: &str = "BENCHMARKS.md";
/// The folder of its charts.
const PICTURES: &str = "picture";

/// Writes to standard output.
///
/// # Errors
/// The output cannot be written.
pub(crate) fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    let result = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    result.map_err(|error| format!("cannot write to standard output: {error}"))
}

/// Prints progress to standard error.
pub(crate) fn print_line(text: &str) {
    eprintln!("bench: {text}");
}

/// Prints the final summary: all targets, and whether they were reached.
///
/// # Errors
/// The output cannot be written.
pub(crate) fn show(record: &MeasurementRecord) -> Result<(), String> {
    print(&terminal::verdicts(record))
}

/// Writes the raw runs and the computed results.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_json(record: &MeasurementRecord, out: &Path) -> Result<(), String> {
    if let Some(folder) = out.parent() {
        make_folder(folder)?;
    }
    let text = serde_json::to_string_pretty(record).map_err(|error| format!("JSON: {error}"))?;
    write(out, text + "\n")
}

/// Writes the JSON and the charts beside it, and prints their paths.
///
/// # Errors
/// When one cannot be written.
pub(crate) fn write_files(record: &MeasurementRecord, out: &Path) -> Result<(), String> {
    write_json(record, out)?;
    print_line(&format!("results: {}", out.display()));
    let stem = out.file_stem().map_or_else(|| "result".into(), |stem| stem.to_string_lossy());
    for (name, picture) in pictures(record) {
        let path = out.with_file_name(format!("{stem}-{name}.svg"));
        write(&path, picture)?;
        print_line(&format!("chart: {}", path.display()));
    }
    print_line(&format!("to write the page: cargo xtask bench --report {}", out.display()));
    Ok(())
}

/// Reads what [`write_json`] wrote, and computes the results from the runs again.
///
/// # Errors
/// The file is missing or invalid.
pub(crate) fn read(path: &Path) -> Result<MeasurementRecord, String> {
    let name = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let mut record: MeasurementRecord =
        serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
    if record.format != FORMAT {
        return Err(format!("{name} has the unknown format {}, expected {FORMAT}", record.format));
    }
    record.sum_up();
    Ok(record)
}

/// Writes the page and its charts into the folder of documents.
///
/// # Errors
/// When one cannot be written.
pub(crate) fn write_page(record: &MeasurementRecord, docs: &Path) -> Result<(), String> {
    let pictures = pictures(record);
    let names: Vec<&str> = pictures.iter().map(|(name, _)| *name).collect();
    let folder = docs.join(PICTURES);
    make_folder(&folder)?;
    for (name, picture) in &pictures {
        write(&folder.join(format!("benchmark-{name}.svg")), picture)?;
    }
    let page = docs.join(PAGE);
    write(&page, page::draw(record, &names))?;
    print_line(&format!("written: {} and {} charts", page.display(), pictures.len()));
    Ok(())
}

/// All charts with content, with their names.
fn pictures(record: &MeasurementRecord) -> Vec<(&'static str, String)> {
    let all = [("speed", chart::speed(record)), ("cpu", chart::cpu(record))];
    all.into_iter().filter_map(|(name, picture)| Some((name, picture?))).collect()
}
