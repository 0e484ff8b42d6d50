//! Reports: a table, JSON, a page.

use std::io::Write as _;
use std::path::Path;

use crate::bench::paths::{make_folder, write};
use crate::bench::result::{FORMAT, MeasurementRecord};

pub(crate) mod page;
pub(crate) mod table;
pub(crate) mod terminal;
mod verdicts;

/// The page generated from a record.
const PAGE: &str = "BENCHMARKS.md";

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    let result = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    result.map_err(|error| format!("cannot write to standard output: {error}"))
}

/// Prints progress to standard error.
pub(crate) fn print_line(text: &str) {
    eprintln!("bench: {text}");
}

/// Prints the table of all targets, and whether they were reached.
pub(crate) fn show(record: &MeasurementRecord) -> Result<(), String> {
    print(&terminal::targets(record))
}

/// Writes the raw runs and the computed results.
pub(crate) fn write_json(record: &MeasurementRecord, out: &Path) -> Result<(), String> {
    if let Some(folder) = out.parent() {
        make_folder(folder)?;
    }
    let text = serde_json::to_string_pretty(record).map_err(|error| format!("JSON: {error}"))?;
    write(out, text + "\n")
}

/// Writes the JSON, and prints its path.
pub(crate) fn write_files(record: &MeasurementRecord, out: &Path) -> Result<(), String> {
    write_json(record, out)?;
    print_line(&format!("results: {}", out.display()));
    print_line(&format!("to write the page: cargo xtask bench --report {}", out.display()));
    Ok(())
}

/// Reads what [`write_json`] wrote, and computes the results from the runs again.
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

/// Writes the page into the folder of documents.
pub(crate) fn write_page(record: &MeasurementRecord, docs: &Path) -> Result<(), String> {
    let page = docs.join(PAGE);
    write(&page, page::draw(record))?;
    print_line(&format!("written: {}", page.display()));
    Ok(())
}
