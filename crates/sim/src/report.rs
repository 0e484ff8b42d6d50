//! What a simulation reports, and what may remain after it.

use std::fmt;
use std::time::Duration;

use wharf_server::Handle;

use crate::net::SimNet;
use crate::oracle::Oracle;
use crate::world::EventRecorder;

/// The result of one simulation.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// Its seed.
    pub seed: u64,
    /// The log, with times in seconds.
    pub lines: Vec<String>,
    /// Violations of invariants; empty if the server behaved correctly.
    pub violations: Vec<String>,
    /// The duration, in simulated time.
    pub took: Duration,
}

impl fmt::Display for RunReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(out, "{line}")?;
        }
        for violation in &self.violations {
            writeln!(out, "seed {}: {violation}", self.seed)?;
        }
        Ok(())
    }
}

/// No resources of clients may remain after they left, while the server is running.
pub(crate) fn inspect_sessions(net: &SimNet, handle: &Handle, oracle: &Oracle) {
    let (sinks, sources) = oracle.open();
    let left = [
        ("links", net.open().links),
        ("sinks", sinks),
        ("sources", sources),
        ("sessions", handle.sessions()),
        ("passive ports", handle.passive_ports_in_use()),
    ];
    for (what, number) in left.into_iter().filter(|(_, number)| *number > 0) {
        oracle.report_violation(format!("{number} {what} left after their clients"));
    }
}

/// No resources may remain after the shutdown.
pub(crate) fn inspect(net: &SimNet, handle: &Handle, oracle: &Oracle, events: &EventRecorder) {
    let open = net.open();
    let (sinks, sources) = oracle.open();
    let left = [
        ("listeners", open.listeners),
        ("links", open.links),
        ("sinks", sinks),
        ("sources", sources),
        ("sessions", handle.sessions()),
        ("passive ports", handle.passive_ports_in_use()),
    ];
    for (what, number) in left {
        if number > 0 {
            oracle.report_violation(format!("{number} {what} left over"));
        }
    }
    let count = |what| events.lines().iter().filter(|line| line.contains(what)).count();
    let (began, ended) = (count(" Connected"), count(" SessionEnded"));
    if began != ended {
        oracle.report_violation(format!(
            "{began} sessions were reported as begun and {ended} as ended"
        ));
    }
    let is_upload =
        |line: &&String| line.contains("direction: Upload") && line.contains("is_complete: true");
    let (published, logged) =
        (oracle.published_count(), events.lines().iter().filter(is_upload).count());
    if published != logged {
        oracle
            .report_violation(format!("{published} uploads were published and {logged} reported"));
    }
}
