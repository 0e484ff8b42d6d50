//! Counting, expiry, and which failures are reported.

use super::*;

const NOON: i64 = 1_795_348_800;
const HOUR: i64 = 3600;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn observation(cause: Cause) -> Observation {
    Observation { cause, detail: String::new(), announced: None }
}

fn fails(
    diagnostics: &DataConnDiagnostics,
    peer: &str,
    cause: Cause,
    now: i64,
) -> Option<DataConnFailure> {
    diagnostics.failed(ip(peer), &observation(cause), &PassiveSettings::default(), now)
}

fn failures(diagnostics: &DataConnDiagnostics, now: i64) -> Vec<(String, &'static str, u64, u64)> {
    let report = diagnostics.report(&PassiveSettings::default(), now);
    let short =
        |one: DataConnFailure| (one.network.to_string(), one.cause.name(), one.failed, one.arrived);
    report.failures.into_iter().map(short).collect()
}

#[test]
fn clients_are_counted_by_network_and_cause() {
    let diagnostics = DataConnDiagnostics::default();
    for peer in ["203.0.113.9", "203.0.113.200", "::ffff:203.0.113.7"] {
        fails(&diagnostics, peer, Cause::NoConnection, NOON);
    }
    fails(&diagnostics, "203.0.113.9", Cause::TlsFailed, NOON);
    fails(&diagnostics, "2001:db8:1:2::9", Cause::NoPort, NOON);
    diagnostics.arrived(ip("203.0.113.1"), NOON);
    diagnostics.arrived(ip("198.51.100.1"), NOON);
    assert_eq!(
        failures(&diagnostics, NOON),
        [
            ("203.0.113.0/24".to_owned(), "no-connection", 3, 1),
            ("203.0.113.0/24".to_owned(), "tls-failed", 1, 1),
            ("2001:db8:1:2::/64".to_owned(), "no-free-port", 1, 0),
        ]
    );
    let report = diagnostics.report(&PassiveSettings::default(), NOON);
    assert_eq!(report.arrived, 2);
    assert_eq!(report.totals.iter().map(|(_, total)| total).sum::<u64>(), 5);
}

#[test]
fn failures_older_than_a_day_count_only_in_the_totals() {
    let diagnostics = DataConnDiagnostics::default();
    fails(&diagnostics, "203.0.113.9", Cause::NoConnection, NOON);
    diagnostics.arrived(ip("203.0.113.9"), NOON + 4 * HOUR);
    assert_eq!(failures(&diagnostics, NOON + 19 * HOUR).len(), 1);
    assert_eq!(failures(&diagnostics, NOON + 25 * HOUR), []);
    let report = diagnostics.report(&PassiveSettings::default(), NOON + 25 * HOUR);
    assert!(report.totals.contains(&(Cause::NoConnection, 1)), "{report:?}");
    // A clock that was set back loses nothing.
    fails(&diagnostics, "203.0.113.9", Cause::NoConnection, NOON - 9 * HOUR);
    assert_eq!(failures(&diagnostics, NOON)[0].2, 2);
}

#[test]
fn the_same_failure_is_reported_once_an_hour() {
    let diagnostics = DataConnDiagnostics::default();
    let reported_at =
        |peer, cause, now| fails(&diagnostics, peer, cause, now).map(|failure| failure.failed);
    assert_eq!(reported_at("203.0.113.9", Cause::NoConnection, NOON), Some(1));
    assert_eq!(reported_at("203.0.113.10", Cause::NoConnection, NOON + 1), None);
    assert_eq!(reported_at("203.0.113.10", Cause::TlsFailed, NOON + 1), Some(1));
    assert_eq!(reported_at("203.0.112.10", Cause::NoConnection, NOON + 1), Some(1));
    assert_eq!(reported_at("203.0.113.9", Cause::NoConnection, NOON + HOUR), Some(3));
}

#[test]
fn networks_are_bounded_and_those_without_failures_are_dropped_first() {
    let diagnostics = DataConnDiagnostics::default();
    fails(&diagnostics, "203.0.113.9", Cause::NoConnection, NOON);
    let network = |number: usize| {
        let [.., high, low] = number.to_be_bytes();
        IpAddr::from([100, high, low, 1])
    };
    for number in 0..3 * NETWORKS_MAX {
        diagnostics.arrived(network(number), NOON + 1);
    }
    assert_eq!(diagnostics.state().networks.len(), NETWORKS_MAX);
    assert_eq!(failures(&diagnostics, NOON + 1).len(), 1);
    for number in 0..3 * UNEXPECTED_PEERS_MAX {
        diagnostics.unexpected_peer(network(number));
    }
    assert_eq!(diagnostics.state().unexpected_peers.len(), UNEXPECTED_PEERS_MAX);
}

#[test]
fn every_cause_has_a_name_a_description_and_a_hint() {
    let passive = PassiveSettings::default();
    let mut names = std::collections::BTreeSet::new();
    for cause in Cause::ALL {
        assert!(names.insert(cause.name()) && !cause.words().is_empty());
        for announced in [None, Some([192, 168, 1, 2].into()), Some([203, 0, 113, 9].into())] {
            for (is_local, mostly_succeeds) in [(false, false), (true, false), (false, true)] {
                let facts =
                    hints::HintFacts { announced, is_local, mostly_succeeds, passive: &passive };
                let hint = hints::hint(cause, &facts);
                assert!(hint.len() > 40 && !hint.ends_with('.'), "{hint}");
            }
        }
    }
}

#[test]
fn private_addresses_cannot_be_reached_from_the_internet() {
    for address in ["10.1.2.3", "172.17.0.2", "100.64.0.1", "100.127.9.9", "fe80::1", "::1"] {
        assert!(is_private(ip(address)), "{address}");
    }
    for address in ["203.0.113.9", "100.63.0.1", "100.128.0.1", "172.32.0.1", "2001:db8::1"] {
        assert!(!is_private(ip(address)), "{address}");
    }
}
