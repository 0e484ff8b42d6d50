//! How cost grows with sessions, and with the entries of a folder.

use crate::bench::result::{Figure, MeasurementRecord, WHARF, is_rival};
use crate::bench::summary::SummaryRow;

/// A series of cases that differ in one number.
pub(crate) struct Series {
    pub(crate) title: &'static str,
    /// What the number counts.
    pub(crate) axis: &'static str,
    /// The prefix of the cases' names; the number follows.
    pub(crate) prefix: &'static str,
    pub(crate) numbers: &'static [u64],
    pub(crate) figures: &'static [(Figure, &'static str)],
}

/// All series.
pub(crate) static SERIES: &[Series] = &[
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

/// The row of a server at one number of a series.
pub(crate) fn row<'a>(
    record: &'a MeasurementRecord,
    series: &Series,
    number: u64,
    server: &str,
) -> Option<&'a SummaryRow> {
    let case = format!("{}{number}", series.prefix);
    record.summary.iter().find(|row| row.case == case && row.server == server)
}

/// wharf as shipped and other servers; its other entries do not take part.
pub(crate) fn is_shown(server: &str) -> bool {
    server == WHARF || is_rival(server)
}
