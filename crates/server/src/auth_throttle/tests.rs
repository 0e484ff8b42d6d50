//! Bans and locks, on a clock of the test.

use proptest::prelude::*;

use super::*;

const CLIENT_IP: &str = "203.0.113.9";

fn throttle() -> Arc<AuthThrottle> {
    AuthThrottle::new(&settings::BanSettings::default())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Makes `count` wrong guesses and returns how many were checked.
fn guess(throttle: &Arc<AuthThrottle>, address: &str, user: &str, count: usize, now: i64) -> usize {
    let start = || throttle.begin(ip(address), user, now);
    (0..count).filter(|_| matches!(start(), AttemptStart::Admitted(_))).count()
}

fn log_in(throttle: &Arc<AuthThrottle>, address: &str, user: &str, now: i64) -> bool {
    match throttle.begin(ip(address), user, now) {
        AttemptStart::Admitted(attempt) => attempt.succeeded(Some(user)),
        _ => return false,
    }
    true
}

fn ban(network: &str, until: Option<i64>) -> Ban {
    let network = network.parse().unwrap();
    Ban { network, since: 0, until, times: 1, is_manual: true, reason: "test".into() }
}

#[test]
fn row_17_of_a_thousand_guesses_ten_are_checked() {
    let throttle = throttle();
    assert_eq!(guess(&throttle, CLIENT_IP, "anna", 1000, 0), 10);
    assert!(throttle.is_banned(ip(CLIENT_IP), 0));
    assert!(!throttle.is_banned(ip("203.0.113.10"), 0));
}

/// 3.3 guesses a second for two hours.
#[test]
fn row_17_no_five_minutes_have_more_than_twenty_checks_of_an_address() {
    let throttle = throttle();
    let checked: Vec<i64> =
        (0..7200).flat_map(|now| vec![now; guess(&throttle, CLIENT_IP, "anna", 3, now)]).collect();
    let most = checked.windows(21).filter(|span| span[20] - span[0] < 300).count();
    assert_eq!(most, 0, "{checked:?}");
}

#[test]
fn row_17_a_ban_doubles_up_to_its_longest_and_is_forgotten() {
    let throttle = throttle();
    let mut now = 0;
    let mut lasted = Vec::new();
    for _ in 0..10 {
        guess(&throttle, CLIENT_IP, "anna", 10, now);
        let until = throttle.snapshot().bans[0].until.unwrap();
        lasted.push((until - now) / 60);
        now = until;
        assert!(!throttle.is_banned(ip(CLIENT_IP), now));
    }
    assert_eq!(lasted, [10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]);
    throttle.sweep(now + 24 * 3600 - 1);
    assert_eq!(throttle.snapshot().bans.len(), 1);
    throttle.sweep(now + 24 * 3600);
    assert_eq!(throttle.snapshot().bans.len(), 0);
}

#[test]
fn row_17_guesses_at_once_are_not_checked_beyond_the_ban() {
    let throttle = throttle();
    let starts: Vec<_> = (0..50).map(|_| throttle.begin(ip(CLIENT_IP), "anna", 0)).collect();
    assert_eq!(
        starts.iter().filter(|start| matches!(start, AttemptStart::Admitted(_))).count(),
        10
    );
    assert_eq!(starts.iter().filter(|start| matches!(start, AttemptStart::Wait)).count(), 40);
    drop(starts);
    assert!(matches!(throttle.begin(ip(CLIENT_IP), "anna", 0), AttemptStart::Banned));
}

#[test]
fn row_17_an_office_behind_one_address_logs_in() {
    let throttle = throttle();
    assert!((0..1000).all(|_| log_in(&throttle, CLIENT_IP, "anna", 0)));
}

#[test]
fn row_17_failures_are_forgotten_after_their_window() {
    let throttle = throttle();
    assert_eq!(guess(&throttle, CLIENT_IP, "anna", 9, 0), 9);
    assert_eq!(throttle.failures(ip(CLIENT_IP), 599), 9);
    assert_eq!(throttle.failures(ip(CLIENT_IP), 600), 0);
    assert_eq!(guess(&throttle, CLIENT_IP, "anna", 9, 600), 9);
    assert!(!throttle.is_banned(ip(CLIENT_IP), 600));
}

#[test]
fn row_17_failed_logins_from_elsewhere_do_not_lock_out_a_usual_address() {
    let throttle = throttle();
    assert!(log_in(&throttle, "198.51.100.1", "anna", 0));
    for customer in 0..10 {
        guess(&throttle, &format!("203.0.113.{customer}"), "anna", 5, 1);
    }
    assert!(matches!(throttle.begin(ip("192.0.2.1"), "anna", 2), AttemptStart::Locked));
    assert!(log_in(&throttle, "198.51.100.1", "anna", 2));
    assert!(log_in(&throttle, "192.0.2.1", "ben", 2));
    // The lock ends by itself.
    assert!(log_in(&throttle, "192.0.2.2", "anna", 1 + 600));
}

#[test]
fn row_17_guesses_at_a_locked_account_count_against_the_address() {
    let throttle = throttle();
    for customer in 0..10 {
        guess(&throttle, &format!("203.0.113.{customer}"), "anna", 5, 1);
    }
    assert_eq!(guess(&throttle, "192.0.2.1", "anna", 20, 2), 0);
    assert!(throttle.is_banned(ip("192.0.2.1"), 2));
    throttle.unlock("anna");
    assert!(log_in(&throttle, "192.0.2.2", "anna", 2));
}

#[test]
fn row_17_an_ipv6_customer_is_one_address() {
    let throttle = throttle();
    let checked: usize = (0..50)
        .map(|host| guess(&throttle, &format!("2001:db8:1:2::{host:x}"), "anna", 1, 0))
        .sum();
    assert_eq!(checked, 10);
    assert!(throttle.is_banned(ip("2001:db8:1:2:ffff::1"), 0));
    assert!(!throttle.is_banned(ip("2001:db8:1:3::1"), 0));
}

#[test]
fn row_17_allowed_networks_are_never_banned() {
    let throttle = throttle();
    for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(guess(&throttle, address, "anna", 1000, 0), 1000);
    }
    throttle.ban(ban("127.0.0.0/8", None), 0).unwrap();
    assert!(!throttle.is_banned(ip("127.0.0.1"), 0));
}

#[test]
fn row_17_with_bans_disabled_only_manual_bans_apply() {
    let throttle = AuthThrottle::new(&settings::BanSettings {
        is_enabled: false,
        ..settings::BanSettings::default()
    });
    assert_eq!(guess(&throttle, CLIENT_IP, "anna", 1000, 0), 1000);
    throttle.ban(ban("203.0.113.0/24", None), 0).unwrap();
    assert!(throttle.is_banned(ip(CLIENT_IP), i64::MAX));
}

#[test]
fn row_17_memory_survives_a_restart() {
    let (before, after) = (throttle(), throttle());
    log_in(&before, "198.51.100.1", "anna", 0);
    for customer in 0..10 {
        guess(&before, &format!("203.0.113.{customer}"), "anna", 5, 1);
    }
    guess(&before, CLIENT_IP, "ben", 10, 1);
    before.ban(ban("2001:db8::/32", None), 1).unwrap();
    after.restore(before.snapshot(), 2);
    assert!(after.is_banned(ip(CLIENT_IP), 2) && after.is_banned(ip("2001:db8::1"), 2));
    assert!(matches!(after.begin(ip("192.0.2.1"), "anna", 2), AttemptStart::Locked));
    assert!(log_in(&after, "198.51.100.1", "anna", 2));
    assert!(after.is_known(ip("198.51.100.1"), 2));
    // The next ban continues the doubling.
    guess(&after, CLIENT_IP, "ben", 10, 700);
    assert_eq!(after.snapshot().bans.iter().map(|ban| ban.times).max(), Some(2));
}

#[test]
fn row_17_a_manual_ban_begins_and_ends() {
    let throttle = throttle();
    throttle.ban(ban("203.0.113.7/24", Some(100)), 0).unwrap();
    assert!(throttle.is_banned(ip(CLIENT_IP), 99));
    assert!(throttle.is_banned(ip("::ffff:203.0.113.200"), 99));
    assert!(!throttle.is_banned(ip(CLIENT_IP), 100));
    let network = "203.0.113.0/24".parse().unwrap();
    assert!(throttle.lift(network) && !throttle.lift(network));
    assert!(!throttle.is_banned(ip(CLIENT_IP), 99));
    let events: Vec<_> = throttle.take_events();
    assert!(matches!(&events[..], [AuthEvent::Banned(_), AuthEvent::Lifted { .. }]), "{events:?}");
}

#[test]
fn row_17_lifting_a_ban_clears_its_failures() {
    let throttle = throttle();
    guess(&throttle, CLIENT_IP, "anna", 10, 0);
    throttle.lift("203.0.113.9/32".parse().unwrap());
    assert_eq!(guess(&throttle, CLIENT_IP, "anna", 9, 0), 9);
    assert!(!throttle.is_banned(ip(CLIENT_IP), 0));
}

#[test]
fn row_17_a_ban_from_a_wrong_clock_does_not_last_for_years() {
    let throttle = throttle();
    guess(&throttle, CLIENT_IP, "anna", 10, 4_000_000_000);
    assert!(throttle.is_banned(ip(CLIENT_IP), 4_000_000_000));
    assert!(!throttle.is_banned(ip(CLIENT_IP), 1_800_000_000));
}

#[test]
fn row_18_after_a_slow_hash_every_name_is_slow_for_an_hour() {
    let throttle = throttle();
    let (quick, slow) = (Duration::from_millis(30), Duration::from_millis(1500));
    assert_eq!(throttle.slowest_check(quick, 0), quick);
    assert_eq!(throttle.slowest_check(slow, 1), slow);
    assert_eq!(throttle.slowest_check(quick, 3600), slow);
    assert_eq!(throttle.slowest_check(quick, 3601), quick);
}

#[test]
fn row_5_a_banned_address_is_reported_once_a_minute() {
    let throttle = throttle();
    throttle.ban(ban("203.0.113.9/32", None), 0).unwrap();
    assert_eq!(throttle.ban_decision(ip(CLIENT_IP), 0), BanDecision::BannedAndReported(1));
    for now in 1..60 {
        assert_eq!(throttle.ban_decision(ip(CLIENT_IP), now), BanDecision::Banned);
    }
    assert_eq!(throttle.ban_decision(ip(CLIENT_IP), 60), BanDecision::BannedAndReported(60));
    assert_eq!(throttle.ban_decision(ip("203.0.113.8"), 60), BanDecision::Allowed);
}

#[test]
fn row_17_18_other_spellings_of_a_name_share_its_guesses() {
    let throttle = throttle();
    for number in 0..100_u32 {
        let user = ["anna", "ANNA", "Anna"][usize::try_from(number % 3).unwrap()];
        drop(throttle.begin(IpAddr::from((0x0b00_0000 + number).to_be_bytes()), user, 0));
    }
    assert!(matches!(throttle.begin(ip(CLIENT_IP), "aNNa", 0), AttemptStart::Locked));
    assert!(matches!(throttle.begin(ip(CLIENT_IP), "ben", 0), AttemptStart::Admitted(_)));
    assert_eq!(throttle.snapshot().locks.len(), 1);
    throttle.unlock("ANNA");
    assert!(matches!(throttle.begin(ip(CLIENT_IP), "anna", 0), AttemptStart::Admitted(_)));
}

#[test]
fn row_17_18_an_attempt_fails_once_for_the_address_and_for_each_of_its_names() {
    let throttle = throttle();
    for number in 0..100_u32 {
        let address = IpAddr::from((0x0b00_0000 + number).to_be_bytes());
        if let AttemptStart::Admitted(mut attempt) = throttle.begin(address, "anna@example.com", 0)
        {
            assert!(attempt.covers("ANNA@example.com") && attempt.covers("anna"));
            attempt.failed();
            assert_eq!(throttle.failures(address, 0), 1);
        }
    }
    assert!(matches!(throttle.begin(ip(CLIENT_IP), "anna", 0), AttemptStart::Locked));
    let AttemptStart::Admitted(mut attempt) = throttle.begin(ip(CLIENT_IP), "a.m@example.com", 0)
    else {
        panic!("this spelling was never tried");
    };
    assert!(!attempt.covers("anna"), "its account is locked");
    assert!(attempt.covers("ben"));
}

#[test]
fn row_17_what_is_remembered_has_bounds() {
    let throttle = throttle();
    let address = |number: u32| IpAddr::from((0x0b00_0000 + number).to_be_bytes());
    for number in 0..40_000 {
        let user = format!("user{number}");
        drop(throttle.begin(address(number), &user, 0));
    }
    for number in 0..10_000_u32 {
        let user = format!("real{}", number % 5000);
        if let AttemptStart::Admitted(attempt) =
            throttle.begin(address(100_000 + number), &user, number.into())
        {
            attempt.succeeded(Some(&user));
        }
    }
    let snapshot = throttle.snapshot();
    assert!(snapshot.usual.len() <= USUAL_ACCOUNTS_MAX && snapshot.usual.len() > 3000);
    assert!(throttle.state().len_max() <= 16_384);
}

#[test]
fn row_17_bans_are_bounded_and_manual_ones_stay() {
    let throttle = throttle();
    for number in 0..u32::try_from(BANS_MAX).unwrap() {
        let address = IpAddr::from((0x0b00_0000 + number).to_be_bytes());
        let is_manual = number != 7;
        let network = address.into();
        throttle.ban(Ban { network, is_manual, ..ban("0.0.0.0/32", Some(9)) }, 0).unwrap();
    }
    throttle.ban(ban("192.0.2.1/32", None), 0).unwrap();
    assert!(!throttle.is_banned(ip("11.0.0.7"), 0) && throttle.is_banned(ip("11.0.0.8"), 0));
    assert_eq!(throttle.ban(ban("192.0.2.2/32", None), 0), Err(BanListFull));
}

proptest! {
    /// Whatever the order of attempts and of their results, no more guesses of an address are
    /// checked than lead to a ban.
    #[test]
    fn row_17_no_address_ever_has_more_guesses_than_lead_to_a_ban(
        steps in proptest::collection::vec((0_u8..4, 0_u8..3, 0_i64..3), 1..200)
    ) {
        let throttle = throttle();
        let mut now = 0;
        let mut wrong = [0_u32; 4];
        for (at, what, later) in steps {
            now += later;
            let address = format!("203.0.113.{at}");
            let start = throttle.begin(ip(&address), "anna", now);
            let AttemptStart::Admitted(attempt) = start else { continue };
            match what {
                0 => attempt.succeeded(Some("anna")),
                1 => attempt.not_counted(),
                _ => {
                    attempt.failed();
                    wrong[usize::from(at)] += 1;
                }
            }
        }
        // 600 seconds at most: two windows.
        prop_assert!(wrong.iter().all(|&count| count <= 10 + 10), "{wrong:?}");
    }
}
