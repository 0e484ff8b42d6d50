//! Targets of wharf, and whether they are reached.

use serde::{Deserialize, Serialize};

use crate::bench::cases;
use crate::bench::result::{Figure, LIMIT, WHARF};
use crate::bench::summary::{SummaryRow, best, of_case};

/// One target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PerformanceTarget {
    pub(crate) case: &'static str,
    pub(crate) figure: Figure,
    pub(crate) bar: TargetBound,
}

/// The bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TargetBound {
    AtMost(f64),
    AtLeast(f64),
    /// At least this part of the best other server's.
    OfRival(f64),
    /// At most this part of the best other server's.
    AtMostOfRival(f64),
    /// At least this part of the bare program's.
    OfLimit(f64),
}

/// The result for one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TargetResult {
    pub(crate) case: String,
    pub(crate) figure: Figure,
    /// The target for readers.
    pub(crate) wanted: String,
    /// wharf's median, or the ratio if the target is one.
    pub(crate) got: Option<f64>,
    /// The best other server, if it is the reference.
    pub(crate) against: Option<String>,
    /// Above 0: better than the target, by this part. Below: worse.
    pub(crate) margin: Option<f64>,
}

impl TargetResult {
    /// `None` if it was not measured, or there was no reference.
    pub(crate) fn is_reached(&self) -> Option<bool> {
        self.margin.map(|margin| margin >= 0.0)
    }

    /// `reached, 12 % to spare`, `NOT REACHED, 3 % short`.
    pub(crate) fn outcome(&self) -> String {
        let Some(margin) = self.margin else { return "not measured".to_owned() };
        if self.got.is_none() {
            return "NOT REACHED, wharf failed".to_owned();
        }
        let percent = (margin.abs() * 100.0).min(9999.0);
        // Otherwise a target missed by little would be shown as missed by 0 %.
        let digits = usize::from(percent < 1.0);
        if margin == 0.0 {
            "reached".to_owned()
        } else if margin > 0.0 {
            format!("reached, {percent:.digits$} % to spare")
        } else if self.wanted.starts_with(AT_MOST) {
            format!("NOT REACHED, {percent:.digits$} % too much")
        } else {
            format!("NOT REACHED, {percent:.digits$} % short")
        }
    }
}

/// The prefix of upper bounds.
const AT_MOST: &str = "at most";

const fn target(case: &'static str, figure: Figure, bar: TargetBound) -> PerformanceTarget {
    PerformanceTarget { case, figure, bar }
}

use TargetBound::{AtLeast, AtMost, AtMostOfRival, OfLimit, OfRival};

/// Targets in figures. In addition every rate should be that of the best other server or higher, in
/// each case with other servers and without a target for it: see [`judge`].
pub(crate) static TARGETS: &[PerformanceTarget] = &[
    target("retr-1", Figure::Cpu, AtMostOfRival(1.0)),
    target("retr-1", Figure::Rate, OfLimit(0.95)),
    target("retr-10", Figure::Cpu, AtMostOfRival(1.0)),
    target("retr-100", Figure::Cpu, AtMostOfRival(1.0)),
    target("fair-retr-100", Figure::Fairness, AtLeast(0.5)),
    target("retr-100", Figure::Threads, AtMost(64.0)),
    target("retr-100", Figure::AboveIdleMib, AtMost(64.0)),
    target("retr-300", Figure::Cpu, AtMostOfRival(1.0)),
    target("stor-1", Figure::Cpu, AtMost(0.70)),
    target("stor-1", Figure::Rate, OfLimit(0.90)),
    target("fair-stor-100", Figure::Fairness, AtLeast(0.5)),
    target("stor-100", Figure::Threads, AtMost(64.0)),
    target("stor-100", Figure::AboveIdleMib, AtMost(64.0)),
    target("bystander-retr", Figure::BystanderP99Ms, AtMostOfRival(1.0)),
    target("bystander-stor", Figure::BystanderP99Ms, AtMostOfRival(1.0)),
    target("ftps-retr", Figure::Rate, OfRival(1.5)),
    target("ftps-retr", Figure::Cpu, AtMost(0.60)),
    target("ftps-retr", Figure::Rate, OfLimit(0.85)),
    target("ftps-stor", Figure::Rate, OfRival(1.7)),
    target("ftps-stor", Figure::Cpu, AtMost(1.25)),
    target("ftps-stor", Figure::Rate, OfLimit(0.85)),
    target("small-retr-1", Figure::Cpu, AtMost(70.0)),
    target("small-retr-8", Figure::Cpu, AtMost(56.0)),
    target("small-stor-1", Figure::Cpu, AtMost(93.0)),
    target("small-stor-8", Figure::Cpu, AtMost(69.0)),
    target("login-1", Figure::Cpu, AtMost(147.0)),
    target("login-16", Figure::Cpu, AtMost(107.0)),
    target("ftps-session", Figure::Rate, OfRival(2.0)),
    target("ftps-small-retr", Figure::Rate, OfRival(1.5)),
    target("ftps-small-stor", Figure::Rate, OfRival(1.5)),
    target("ftps-session", Figure::Cpu, AtMost(2000.0)),
    target("noop", Figure::Cpu, AtMost(10.9)),
    target("pwd", Figure::Cpu, AtMost(14.5)),
    target("noop-1000", Figure::P99Us, AtMostOfRival(1.0)),
    target("mlsd-100k", Figure::Cpu, AtMost(1.6)),
    target("mlsd-100k", Figure::FirstByteMs, AtMost(20.0)),
    target("mlsd-100k", Figure::AboveIdleMib, AtMost(8.0)),
    target("list-100k", Figure::FirstByteMs, AtMost(20.0)),
    target("list-100k", Figure::AboveIdleMib, AtMost(8.0)),
    target("mlsd-1k", Figure::Cpu, AtMost(1200.0)),
    target("idle-500", Figure::SessionKib, AtMost(4.0)),
    target("idle-used-500", Figure::SessionKib, AtMost(5.0)),
    target("idle-5000", Figure::SessionKib, AtMost(4.0)),
    target("idle-10000", Figure::SessionKib, AtMost(4.0)),
    target("idle-10000", Figure::IdleCpu, AtMost(1.0)),
    target("idle-10000", Figure::Answered, AtLeast(100.0)),
    target("idle-ftps-500", Figure::SessionKib, AtMost(12.0)),
    target("idle-ftps-5000", Figure::SessionKib, AtMost(12.0)),
    target("idle-ftps-10000", Figure::SessionKib, AtMost(12.0)),
    target("idle-ftps-10000", Figure::IdleCpu, AtMost(1.0)),
    target("idle-ftps-10000", Figure::Answered, AtLeast(100.0)),
    target("connects", Figure::Answered, AtLeast(100.0)),
    target("cold", Figure::BystanderP99Ms, AtMost(5.0)),
    target("throttled", Figure::RateErrorPercent, AtMost(5.0)),
    target("start", Figure::StartMs, AtMost(100.0)),
    target("size", Figure::SizeMb, AtMost(15.0)),
    target("list-growth-1000000", Figure::FirstByteMs, AtMost(20.0)),
    target("list-growth-1000000", Figure::AboveIdleMib, AtMost(8.0)),
];

/// Judges all targets of the measured cases, in the order of `cases`.
pub(crate) fn judge(rows: &[SummaryRow], cases: &[&'static str]) -> Vec<TargetResult> {
    let mut verdicts = Vec::new();
    for case in cases {
        let rows = of_case(rows, case);
        let Some(wharf) = rows.iter().find(|row| row.server == WHARF) else { continue };
        let best_rate = target(case, Figure::Rate, OfRival(1.0));
        let has_rival = rows.iter().any(|row| row.is_rival() && row.get(Figure::Rate).is_some());
        let has_own = TARGETS.iter().any(|target| target.replaces_best_rate(case));
        if has_rival && !has_own {
            verdicts.push(best_rate.judge(wharf, &rows));
        }
        let own = TARGETS.iter().filter(|target| target.case == *case);
        verdicts.extend(own.map(|target| target.judge(wharf, &rows)));
    }
    verdicts
}

impl PerformanceTarget {
    /// Whether this target demands more of the rate of a case than that it is the best, or the case
    /// is not about its rate.
    fn replaces_best_rate(&self, case: &str) -> bool {
        let is_of_rival = matches!(self.bar, OfRival(_) | AtMostOfRival(_));
        self.case == case && is_of_rival && self.figure != Figure::Cpu
    }

    fn judge(&self, wharf: &SummaryRow, rows: &[&SummaryRow]) -> TargetResult {
        let figure = self.figure;
        let own = wharf.get(figure);
        let rival = best(rows.iter().copied().filter(|row| row.is_rival()), figure);
        let limit = best(rows.iter().copied().filter(|row| row.server == LIMIT), figure);
        let (got, against, wanted) = match self.bar {
            AtMost(bar) => (own, None, self.with_unit(AT_MOST, bar)),
            AtLeast(bar) => (own, None, self.with_unit("at least", bar)),
            OfRival(part) => {
                let name = rival.map(|(row, _)| row.server.clone());
                (quotient(own, rival), name, format!("at least {part:.2} of the best rival"))
            }
            AtMostOfRival(part) => {
                let name = rival.map(|(row, _)| row.server.clone());
                (quotient(own, rival), name, format!("{AT_MOST} {part:.2} of the best rival"))
            }
            OfLimit(part) => {
                (quotient(own, limit), None, format!("at least {part:.2} of the bare program"))
            }
        };
        let margin = got.map(|got| match self.bar {
            // A cost of 0 is the best possible.
            AtMost(_) | AtMostOfRival(_) if got <= 0.0 => 1.0,
            AtMost(bar) | AtMostOfRival(bar) => (bar - got) / bar,
            AtLeast(bar) | OfRival(bar) | OfLimit(bar) => (got - bar) / bar,
        });
        // A failed server meets no target.
        let margin = if wharf.rounds == 0 { Some(-1.0) } else { margin };
        let case = self.case.to_owned();
        TargetResult { case, figure, wanted, got, against, margin }
    }

    fn with_unit(&self, prefix: &str, bar: f64) -> String {
        let unit = cases::find(self.case).map_or("", |case| case.unit_of(self.figure));
        format!("{prefix} {bar} {unit}").trim().to_owned()
    }
}

fn quotient(own: Option<f64>, other: Option<(&SummaryRow, f64)>) -> Option<f64> {
    let (_, other) = other?;
    (other > 0.0).then_some(own? / other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cases::CASES;

    fn row(case: &str, server: &str, rate: f64, cpu: f64) -> SummaryRow {
        SummaryRow {
            case: case.into(),
            server: server.into(),
            rounds: 1,
            failed: None,
            medians: [(Figure::Rate, rate), (Figure::Cpu, cpu)].into(),
            spread: 0.0,
        }
    }

    #[test]
    fn every_target_is_about_a_case_that_exists() {
        for target in TARGETS {
            assert!(CASES.iter().any(|case| case.name == target.case), "{}", target.case);
        }
    }

    #[test]
    fn a_rate_is_judged_by_the_best_rival_and_by_the_limit() {
        let rows = [
            row("retr-1", "wharf", 9.0, 0.12),
            row("retr-1", "slow", 3.0, 0.2),
            row("retr-1", "quick", 10.0, 0.1),
            row("retr-1", LIMIT, 12.0, 0.09),
        ];
        let verdicts = judge(&rows, &["retr-1"]);
        let outcomes: Vec<String> = verdicts.iter().map(TargetResult::outcome).collect();
        assert_eq!(
            outcomes,
            ["NOT REACHED, 10 % short", "NOT REACHED, 20 % too much", "NOT REACHED, 21 % short"]
        );
        assert_eq!(verdicts.first().unwrap().against.as_deref(), Some("quick"));
    }

    #[test]
    fn what_was_not_measured_is_neither_reached_nor_missed() {
        let verdicts = judge(&[row("mlsd-100k", "wharf", 9.0, 1.599)], &["mlsd-100k"]);
        let first_byte = verdicts.iter().find(|one| one.figure == Figure::FirstByteMs).unwrap();
        assert_eq!(
            (first_byte.is_reached(), first_byte.outcome().as_str()),
            (None, "not measured")
        );
        assert_eq!(verdicts.first().unwrap().outcome(), "reached, 0.1 % to spare");
    }

    #[test]
    fn a_failed_server_meets_no_target() {
        let failed = SummaryRow { rounds: 0, medians: [].into(), ..row("noop", "wharf", 0.0, 0.0) };
        let verdicts = judge(&[failed, row("noop", "other", 1.0, 1.0)], &["noop"]);
        let outcomes: Vec<String> = verdicts.iter().map(TargetResult::outcome).collect();
        assert_eq!(outcomes, ["NOT REACHED, wharf failed", "NOT REACHED, wharf failed"]);
        assert_eq!(verdicts.first().unwrap().is_reached(), Some(false));
    }

    #[test]
    fn a_target_of_its_own_takes_the_place_of_the_best_rate() {
        let rows = [row("ftps-stor", "wharf", 8.0, 0.5), row("ftps-stor", "other", 5.0, 0.5)];
        let verdicts = judge(&rows, &["ftps-stor"]);
        let rates = verdicts.iter().filter(|one| one.against.is_some());
        let outcomes: Vec<String> = rates.map(TargetResult::outcome).collect();
        assert_eq!(outcomes, ["NOT REACHED, 6 % short"]);
    }

    #[test]
    fn a_wait_is_judged_by_the_shortest_of_the_others() {
        let row = |server: &str, wait: f64| SummaryRow {
            medians: [(Figure::P99Us, wait), (Figure::Rate, 1.0)].into(),
            ..row("noop-1000", server, 0.0, 0.0)
        };
        let rows = [row("wharf", 9.0), row("wharf-no-log", 1.0), row("a", 10.0), row("b", 30.0)];
        let verdicts = judge(&rows, &["noop-1000"]);
        let outcomes: Vec<String> = verdicts.iter().map(TargetResult::outcome).collect();
        assert_eq!(outcomes, ["reached, 10 % to spare"]);
        assert_eq!(verdicts.first().unwrap().against.as_deref(), Some("a"));
    }

    #[test]
    fn a_case_without_wharf_is_not_judged() {
        assert!(judge(&[row("noop", "other", 1.0, 1.0)], &["noop"]).is_empty());
    }
}
