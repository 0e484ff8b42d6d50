//! Combines the runs of a case and server, and finds the best of a case.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bench::cases;
use crate::bench::result::{Figure, ServerRun, is_rival};
use crate::bench::statistics::sample;

/// One server in one case: the medians of its rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SummaryRow {
    pub(crate) case: String,
    pub(crate) server: String,
    /// Successful rounds.
    pub(crate) rounds: usize,
    /// Why there are none, or the error of a failed round.
    pub(crate) failed: Option<String>,
    pub(crate) medians: BTreeMap<Figure, f64>,
    /// Of the case's first figure: (highest - lowest) / median.
    pub(crate) spread: f64,
}

impl SummaryRow {
    pub(crate) fn get(&self, figure: Figure) -> Option<f64> {
        self.medians.get(&figure).copied()
    }

    pub(crate) fn is_rival(&self) -> bool {
        is_rival(&self.server)
    }
}

/// All runs in rows, in the order of the first run of each.
pub(crate) fn rows(runs: &[ServerRun]) -> Vec<SummaryRow> {
    let mut rows: Vec<SummaryRow> = Vec::new();
    for run in runs {
        let is_known = rows.iter().any(|row| row.case == run.case && row.server == run.server);
        if !is_known {
            let same = runs.iter().filter(|one| one.case == run.case && one.server == run.server);
            rows.push(row(run, &same.collect::<Vec<_>>()));
        }
    }
    rows
}

fn row(first: &ServerRun, runs: &[&ServerRun]) -> SummaryRow {
    let good: Vec<&&ServerRun> = runs.iter().filter(|run| run.failed.is_none()).collect();
    let mut samples = BTreeMap::new();
    for figure in good.iter().flat_map(|run| run.figures.keys()) {
        let values: Vec<f64> =
            good.iter().filter_map(|run| run.figures.get(figure).copied()).collect();
        if let Some(sample) = sample(&values) {
            samples.insert(*figure, sample);
        }
    }
    let headline = cases::find(&first.case).map_or(Figure::Rate, |case| case.headline);
    let spread = samples.get(&headline).map_or(0.0, |sample| sample.spread);
    SummaryRow {
        case: first.case.clone(),
        server: first.server.clone(),
        rounds: good.len(),
        failed: runs.iter().find_map(|run| run.failed.clone()),
        medians: samples.into_iter().map(|(figure, sample)| (figure, sample.median)).collect(),
        spread,
    }
}

/// The rows of one case.
pub(crate) fn of_case<'a>(rows: &'a [SummaryRow], case: &str) -> Vec<&'a SummaryRow> {
    rows.iter().filter(|row| row.case == case).collect()
}

/// The best of `rows` by `figure`.
pub(crate) fn best<'a>(
    rows: impl Iterator<Item = &'a SummaryRow>,
    figure: Figure,
) -> Option<(&'a SummaryRow, f64)> {
    let with = rows.filter_map(|row| Some((row, row.get(figure)?)));
    with.max_by(
        |(_, a), (_, b)| {
            if figure.is_better_high() { a.total_cmp(b) } else { b.total_cmp(a) }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(server: &str, round: u32, rate: f64, failed: Option<&str>) -> ServerRun {
        ServerRun {
            case: "retr-1".into(),
            server: server.into(),
            round,
            failed: failed.map(Into::into),
            figures: [(Figure::Rate, rate), (Figure::Cpu, 1.0 / rate)].into(),
        }
    }

    #[test]
    fn a_failed_round_does_not_count_and_is_reported() {
        let runs =
            [run("a", 0, 4.0, None), run("a", 1, 99.0, Some("lost")), run("a", 2, 2.0, None)];
        let rows = rows(&runs);
        let row = rows.first().unwrap();
        assert_eq!((row.rounds, row.get(Figure::Rate)), (2, Some(3.0)));
        assert_eq!(row.failed.as_deref(), Some("lost"));
    }

    #[test]
    fn the_best_is_the_highest_rate_and_the_lowest_time() {
        let rows = rows(&[run("a", 0, 4.0, None), run("b", 0, 5.0, None)]);
        assert_eq!(best(rows.iter(), Figure::Rate).unwrap().0.server, "b");
        assert_eq!(best(rows.iter(), Figure::Cpu).unwrap().0.server, "b");
        assert!(best(rows.iter(), Figure::StartMs).is_none());
    }
}
