//! Targets as a table and as sentences.

use super::table::{NOTHING, TableRow, TextTable, number, title};
use crate::bench::cases::find;
use crate::bench::result::{Figure, LIMIT, MeasurementRecord, WHARF};
use crate::bench::summary::{SummaryRow, best, of_case};
use crate::bench::targets::TargetResult;

/// The columns. The ratios are those of the figure of the target.
const HEADER: [&str; 9] = [
    "case", "figure", "target", "wharf", "/ rival", "best rival", "/ bare", "server CPU", "outcome",
];

/// All targets of the measured cases; those that were not reached are marked.
pub(crate) fn of(record: &MeasurementRecord) -> TextTable {
    let rows = record.verdicts.iter().map(|verdict| TableRow {
        is_marked: verdict.is_reached() == Some(false),
        cells: cells(record, verdict),
        remark: None,
    });
    TextTable { header: HEADER.map(str::to_owned).to_vec(), rows: rows.collect() }
}

fn cells(record: &MeasurementRecord, verdict: &TargetResult) -> Vec<String> {
    let figure = verdict.figure;
    let rows = of_case(&record.summary, &verdict.case);
    let wharf = rows.iter().copied().find(|row| row.server == WHARF);
    let own = |figure| wharf.and_then(|row| row.get(figure));
    let value = |figure| {
        let value = own(figure).map(|value| measured(&verdict.case, figure, value));
        value.unwrap_or_else(|| NOTHING.to_owned())
    };
    let ratio = |other: Option<(&SummaryRow, f64)>| match (own(figure), other) {
        (Some(own), Some((_, other))) if other > 0.0 => format!("{:.2}", own / other),
        _ => NOTHING.to_owned(),
    };
    let rival = best(rows.iter().copied().filter(|row| row.is_rival()), figure);
    let limit = best(rows.iter().copied().filter(|row| row.server == LIMIT), figure);
    vec![
        verdict.case.clone(),
        figure.title().to_owned(),
        verdict.wanted.clone(),
        value(figure),
        ratio(rival),
        rival.map_or_else(|| NOTHING.to_owned(), |(row, _)| title(record, &row.server)),
        ratio(limit),
        value(Figure::Cpu),
        verdict.outcome(),
    ]
}

/// A figure with its unit.
fn measured(case: &str, figure: Figure, value: f64) -> String {
    let unit = find(case).map_or("", |case| case.unit_of(figure));
    format!("{} {unit}", number(value)).trim().to_owned()
}

/// `rate at least 1.00 of the best rival: 1.24 (ProFTPD), reached, 24 % to spare`.
pub(crate) fn message(record: &MeasurementRecord, verdict: &TargetResult) -> String {
    let got = verdict.got.map_or_else(|| NOTHING.to_owned(), number);
    let against = verdict.against.as_ref();
    let against = against.map_or_else(String::new, |name| format!(" ({})", title(record, name)));
    let (figure, wanted, outcome) = (verdict.figure.title(), &verdict.wanted, verdict.outcome());
    format!("{figure} {wanted}: {got}{against}, {outcome}")
}
