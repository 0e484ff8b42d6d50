//! A case as a table, for the terminal and for the page.

use crate::bench::cases::{BenchCase, CaseWork, CountUnit};
use crate::bench::result::{Figure, LIMIT, MeasurementRecord, WHARF, is_rival};
use crate::bench::summary::{SummaryRow, best, of_case};

/// Text in rows and columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextTable {
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<TableRow>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableRow {
    /// wharf among others, or a target that was not reached.
    pub(crate) is_marked: bool,
    pub(crate) cells: Vec<String>,
    /// Why there are no figures, or why some rounds have none.
    pub(crate) remark: Option<String>,
}

/// An empty cell.
pub(crate) const NOTHING: &str = "-";

/// The servers of one case: wharf first, then by rank, the bare program last.
pub(crate) fn of(record: &MeasurementRecord, case: &BenchCase) -> TextTable {
    let mut rows = of_case(&record.summary, case.name);
    let weight = |row: &SummaryRow| row.get(case.headline);
    rows.sort_by(|a, b| {
        let (left, right) = if case.headline.is_better_high() { (b, a) } else { (a, b) };
        let by_weight = weight(left).partial_cmp(&weight(right));
        rank(a).cmp(&rank(b)).then(by_weight.unwrap_or(std::cmp::Ordering::Equal))
    });
    let columns = columns(case, &rows);
    let mut header = vec!["server".to_owned()];
    header.extend(columns.iter().map(|column| column.title(case)));
    if columns.is_empty() {
        header.push(case.headline.title().to_owned());
    }
    let rows = rows.iter().map(|row| TableRow {
        is_marked: row.server == WHARF,
        cells: cells(record, row, &columns),
        // A message may have several lines, a row only one.
        remark: row.failed.as_ref().map(|why| why.split_whitespace().collect::<Vec<_>>().join(" ")),
    });
    TextTable { header, rows: rows.collect() }
}

/// One column.
#[derive(Clone, Copy, Debug)]
enum TableColumn {
    /// The median, with those of the best other server and of the bare program to compare with.
    Value(Figure),
    Spread,
    OfRival(Figure, f64),
    OfLimit(Figure, f64),
}

impl TableColumn {
    fn title(self, case: &BenchCase) -> String {
        match self {
            Self::Value(Figure::Rate) => case.unit.rate().to_owned(),
            Self::Value(Figure::Cpu) => format!("CPU {}", case.unit_of(Figure::Cpu)),
            Self::Value(Figure::SessionKib) => "KiB/session".to_owned(),
            Self::Value(Figure::SessionKernelKib) => "kernel KiB/session".to_owned(),
            Self::Value(Figure::KernelMib) => "kernel MiB".to_owned(),
            Self::Value(Figure::Answered) => "answered %".to_owned(),
            Self::Value(Figure::BystanderP99Ms) => "NOOP p99 ms".to_owned(),
            Self::Value(figure) => format!("{} {}", figure.title(), figure.unit()).trim().into(),
            Self::Spread => "spread".to_owned(),
            Self::OfRival(..) => "/ rival".to_owned(),
            Self::OfLimit(..) => "/ bare".to_owned(),
        }
    }

    fn cell(self, row: &SummaryRow) -> String {
        let quotient = |figure, other: f64| {
            row.get(figure).map_or_else(|| NOTHING.into(), |own| format!("{:.2}", own / other))
        };
        match self {
            Self::Value(figure) => row.get(figure).map_or_else(|| NOTHING.into(), number),
            Self::Spread if row.rounds > 1 => format!("{:.0} %", row.spread * 100.0),
            Self::Spread => NOTHING.into(),
            Self::OfRival(figure, other) | Self::OfLimit(figure, other) => quotient(figure, other),
        }
    }
}

/// wharf, its other entries, other servers, bare program; failed ones last.
fn rank(row: &SummaryRow) -> u8 {
    match row.server.as_str() {
        WHARF => 0,
        LIMIT => 4,
        name if !is_rival(name) => 1,
        _ if row.rounds == 0 => 3,
        _ => 2,
    }
}

fn columns(case: &BenchCase, rows: &[&SummaryRow]) -> Vec<TableColumn> {
    let mut columns = Vec::new();
    for figure in figures(case) {
        if !rows.iter().any(|row| row.get(*figure).is_some()) {
            continue;
        }
        columns.push(TableColumn::Value(*figure));
        let is_compared = *figure == case.headline || *figure == Figure::Cpu;
        if *figure == case.headline {
            columns.push(TableColumn::Spread);
        }
        let rivals = rows.iter().copied().filter(|row| row.is_rival());
        let limits = rows.iter().copied().filter(|row| row.server == LIMIT);
        let of_rival = best(rivals, *figure).filter(|(_, value)| is_compared && *value > 0.0);
        let of_limit = best(limits, *figure).filter(|(_, value)| is_compared && *value > 0.0);
        columns.extend(of_rival.map(|(_, value)| TableColumn::OfRival(*figure, value)));
        columns.extend(of_limit.map(|(_, value)| TableColumn::OfLimit(*figure, value)));
    }
    columns
}

/// The figures shown for a case, the main one first.
fn figures(case: &BenchCase) -> &'static [Figure] {
    use Figure::{
        AboveIdleMib, AnonymousMib, Answered, BystanderP99Ms, Cpu, Fairness, FirstByteMs, IdleCpu,
        KernelMib, P50Us, P99Us, Rate, RateErrorPercent, Resumed, SessionKernelKib, SessionKib,
        SizeMb, StartMs, Threads, WallS,
    };
    if case.variant.rate.is_some() {
        return &[RateErrorPercent, Rate, Cpu];
    }
    match case.work {
        _ if case.has_bystander && case.headline == BystanderP99Ms => {
            &[BystanderP99Ms, Rate, Cpu, Threads, AnonymousMib]
        }
        _ if case.headline == P99Us => &[P99Us, P50Us, Rate, Cpu, AnonymousMib],
        CaseWork::ClientProgram { .. } | CaseWork::FileZilla => &[Rate, WallS, Cpu, AnonymousMib],
        CaseWork::Retrieve { .. } | CaseWork::Store { .. } | CaseWork::Mixed { .. }
            if case.unit == CountUnit::Operation =>
        {
            &[Rate, Cpu, P50Us, P99Us, Resumed, AnonymousMib, KernelMib]
        }
        CaseWork::Idle { .. } => &[SessionKib, SessionKernelKib, IdleCpu, Answered, Cpu, Threads],
        CaseWork::Start => &[StartMs],
        CaseWork::Size => &[SizeMb],
        CaseWork::List { .. } => &[Rate, Cpu, FirstByteMs, AboveIdleMib, KernelMib],
        CaseWork::Connects { .. } => &[Rate, Cpu, Answered, P99Us, AnonymousMib, KernelMib],
        CaseWork::RetrieveCold { .. } => &[Rate, Cpu, BystanderP99Ms, AnonymousMib],
        CaseWork::Session { .. } => &[Rate, Cpu, P50Us, P99Us, Resumed, AnonymousMib],
        CaseWork::Retrieve { sessions, .. } | CaseWork::Store { sessions, .. } if sessions > 1 => {
            &[Rate, Cpu, Fairness, Threads, AnonymousMib, KernelMib]
        }
        CaseWork::Retrieve { .. } | CaseWork::Store { .. } => &[Rate, Cpu, AnonymousMib, KernelMib],
        _ => &[Rate, Cpu, P50Us, P99Us, AnonymousMib, KernelMib],
    }
}

fn cells(record: &MeasurementRecord, row: &SummaryRow, columns: &[TableColumn]) -> Vec<String> {
    let mut cells = vec![title(record, &row.server)];
    if row.rounds == 0 {
        cells.push("failed".to_owned());
        return cells;
    }
    cells.extend(columns.iter().map(|column| column.cell(row)));
    cells
}

/// The display name of a server.
pub(crate) fn title(record: &MeasurementRecord, name: &str) -> String {
    if name == LIMIT {
        return "(bare program)".to_owned();
    }
    let server = record.servers.iter().find(|server| server.name == name);
    server.map_or_else(|| name.to_owned(), |server| server.title.clone())
}

/// Three or four significant digits: `0.0971`, `5.29`, `84.1`, `12,345`.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    let digits = match size {
        _ if size >= 100.0 || size == 0.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ if size >= 0.1 => 3,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    if size < 1000.0 { text } else { grouped(&text) }
}

/// Groups digits by threes with commas.
pub(crate) fn grouped(digits: &str) -> String {
    let count = digits.len();
    let with_comma = |(index, digit): (usize, char)| {
        let is_group = index > 0 && (count - index).is_multiple_of(3);
        [is_group.then_some(','), Some(digit)].into_iter().flatten()
    };
    digits.chars().enumerate().flat_map(with_comma).collect()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_have_the_digits_that_count() {
        let message: Vec<String> =
            [0.0, 0.0971, 0.163, 5.2912, 84.12, 999.6, 12345.6].map(number).into();
        assert_eq!(message, ["0", "0.0971", "0.163", "5.29", "84.1", "1000", "12,346"]);
    }
}
