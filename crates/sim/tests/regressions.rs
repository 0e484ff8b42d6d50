//! Faults that were fixed, put back: seeds find each of them, and nothing without them.

use std::ops::Range;

use wharf_server::regression::Regression;
use wharf_sim::{RunReport, WorldKind, run_copying_first, run_kind};

/// Seeds among which each fault is found.
const SEEDS: Range<u64> = 1..41;

/// The violations of each seed that has some.
fn failures(run: impl Fn(u64) -> RunReport) -> Vec<String> {
    let reports = SEEDS.map(run).filter(|report| !report.violations.is_empty());
    reports
        .map(|report| format!("seed {}: {}", report.seed, report.violations.join("; ")))
        .collect()
}

/// With the fault put back, seeds report a violation with these words; without it, none does.
fn is_found(regression: Regression, kind: WorldKind, expected: &str) {
    assert_eq!(failures(|seed| run_kind(kind, seed)), Vec::<String>::new(), "without the fault");
    let _present = regression.inject();
    check_found(&failures(|seed| run_kind(kind, seed)), expected);
}

fn check_found(found: &[String], expected: &str) {
    assert!(found.iter().any(|violations| violations.contains(expected)), "{found:#?}");
}

#[test]
fn bytes_that_moved_before_a_limit_do_not_stop_the_transfer() {
    is_found(Regression::EarlierBytesCounted, WorldKind::Limits, "stands still");
}

#[test]
fn a_used_up_port_range_is_shared() {
    is_found(Regression::PortNotShared, WorldKind::Ports, "none of [227, 229]");
}

#[test]
fn a_client_that_reads_no_replies_stops_no_other_on_its_port() {
    is_found(Regression::FirstSessionAccepts, WorldKind::Ports, "none of [226]");
}

#[test]
fn connections_of_others_do_not_end_the_wait_of_a_client() {
    is_found(Regression::UnexpectedPeersEndWait, WorldKind::Ports, "connection refused");
}

#[test]
fn abor_is_read_behind_a_line_that_waits() {
    is_found(Regression::AbortNotRead, WorldKind::Interrupts, "none of [226, 225");
}

#[test]
fn a_shutdown_does_not_wait_for_a_data_connection() {
    is_found(Regression::ShutdownWaitsForConnection, WorldKind::Shutdown, "the server runs");
}

#[test]
fn a_shutdown_does_not_wait_for_a_handshake() {
    is_found(Regression::ShutdownWaitsForHandshake, WorldKind::Shutdown, "the server runs");
}

#[test]
fn a_shutdown_does_not_wait_for_a_transfer_that_stands_still() {
    is_found(Regression::ShutdownWaitsForStoppedTransfer, WorldKind::Shutdown, "the server runs");
}

#[test]
fn existing_content_is_not_copied_before_the_upload_begins() {
    check_found(&failures(run_copying_first), "none of [150");
}
