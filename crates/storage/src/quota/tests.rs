use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::*;

fn quota(bytes: u64, files: u32) -> Quota {
    Quota { bytes: Size::from_bytes(bytes), files: Count::from_number(files) }
}

fn limited(used: UsedSpace, quota: Quota) -> LimitedHome {
    LimitedHome::new(Arc::new(QuotaCounter::counted(used, 0, None)), quota)
}

/// The file at the only name in these tests.
fn account_status(bytes: u64) -> Replaced {
    Replaced { file: (1, 1), bytes }
}

fn used(bytes: u64, files: u64) -> UsedSpace {
    UsedSpace { bytes, files }
}

#[test]
fn row_37_concurrent_threads_never_exceed_a_quota() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 400;
    const MOST: u64 = 2_000;
    let limited = limited(used(0, 0), quota(MOST, 60));
    let stays = AtomicU64::new(0);
    let (rejected, admitted) = (AtomicU64::new(0), AtomicU64::new(0));
    let upload = |seed: u64| {
        let Ok(reservation) = QuotaReservation::begin(&limited, None, None) else { return };
        let mut held = 0;
        for piece in 0..5 {
            let bytes = 1 + (seed * 31 + piece * 7) % 97;
            match reservation.grow(bytes) {
                Ok(()) => held += bytes,
                Err(_) => drop(rejected.fetch_add(1, Ordering::Relaxed)),
            }
            let lasting = limited.counter.counts().lasting();
            assert!(lasting.bytes <= MOST && lasting.files <= 60, "{lasting:?}");
        }
        admitted.fetch_add(1, Ordering::Relaxed);
        match seed % 3 {
            0 if reservation.may_stay(held) => {
                reservation.end(Some(held));
                stays.fetch_add(held, Ordering::Relaxed);
            }
            1 if reservation.check_publish(held, None).is_ok() => {
                reservation.published();
                let counting = limited.change().unwrap();
                counting.freed(held, 1);
            }
            _ => reservation.end(None),
        }
    };
    thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || (0..ROUNDS).for_each(|round| upload(number * ROUNDS + round)));
        }
    });
    assert!(
        rejected.into_inner() > 0 && admitted.into_inner() > THREADS,
        "nothing was at the limit"
    );
    let counts = limited.counter.counts();
    assert_eq!(counts.used.bytes, stays.into_inner());
    assert_eq!((counts.lasting(), counts.running), (counts.used, 0));
}

#[test]
fn row_37_the_last_byte_fits_and_one_more_does_not() {
    let limited = limited(used(90, 1), quota(100, 2));
    let reservation = QuotaReservation::begin(&limited, None, None).unwrap();
    assert_eq!(reservation.grow(11).unwrap_err().kind, ErrorKind::OverQuota);
    reservation.grow(10).unwrap();
    assert_eq!(reservation.grow(1).unwrap_err().kind, ErrorKind::OverQuota);
    assert!(QuotaReservation::begin(&limited, None, None).is_err(), "there are two files");
    reservation.check_publish(10, None).unwrap();
    reservation.published();
    assert_eq!(limited.counter.used(), Some(used(100, 2)));
}

#[test]
fn row_37_a_replacement_needs_quota_only_for_its_additional_size() {
    let limited = limited(used(90, 1), quota(100, 1));
    let reservation = QuotaReservation::begin(&limited, None, Some(account_status(90))).unwrap();
    reservation.grow(100).unwrap();
    assert_eq!(reservation.grow(1).unwrap_err().kind, ErrorKind::OverQuota);
    assert_eq!(limited.counter.used(), Some(used(190, 2)));
    // The space available to other uploads does not grow.
    let other = QuotaReservation::begin(&limited, Some(0), None).unwrap();
    assert_eq!(other.grow(1).unwrap_err().kind, ErrorKind::OverQuota);
    other.end(Some(0));
    reservation.check_publish(100, Some(account_status(90))).unwrap();
    reservation.published();
    assert_eq!(limited.counter.used(), Some(used(100, 1)));
}

#[test]
fn row_37_an_interrupted_replacement_is_kept_only_if_both_files_fit() {
    for (old, new, stays) in [(40, 60, true), (50, 60, false)] {
        let limited = limited(used(old, 1), quota(100, 2));
        let reservation =
            QuotaReservation::begin(&limited, None, Some(account_status(old))).unwrap();
        reservation.grow(new).unwrap();
        assert_eq!(reservation.may_stay(new), stays);
        reservation.end(stays.then_some(new));
        let left = if stays { used(old + new, 2) } else { used(old, 1) };
        assert_eq!(limited.counter.used(), Some(left));
    }
}

#[test]
fn row_37_a_removed_file_gives_no_credit_to_its_replacement() {
    let limited = limited(used(90, 1), quota(100, 5));
    let reservation = QuotaReservation::begin(&limited, None, Some(account_status(90))).unwrap();
    reservation.grow(95).unwrap();
    limited.change().unwrap().freed(90, 1);
    let other = QuotaReservation::begin(&limited, None, None).unwrap();
    // 95 reserved, 90 of which the credit covers: the other upload may use the rest.
    other.grow(50).unwrap();
    other.check_publish(50, None).unwrap();
    other.published();
    assert_eq!(reservation.check_publish(95, None).unwrap_err().kind, ErrorKind::OverQuota);
    drop(reservation);
    assert_eq!(limited.counter.used(), Some(used(50, 1)));
}

#[test]
fn row_37_only_one_of_several_uploads_to_one_name_gets_the_credit() {
    let limited = limited(used(100, 1), quota(100, 5));
    let first = QuotaReservation::begin(&limited, None, Some(account_status(100))).unwrap();
    first.check_space().unwrap();
    first.grow(100).unwrap();
    let second = QuotaReservation::begin(&limited, None, Some(account_status(100))).unwrap();
    assert_eq!(second.check_space().unwrap_err().kind, ErrorKind::OverQuota);
    assert_eq!(second.grow(1).unwrap_err().kind, ErrorKind::OverQuota);
    second.end(None);
    first.check_publish(100, Some(account_status(100))).unwrap();
    first.published();
    assert_eq!(limited.counter.used(), Some(used(100, 1)));
    // The next upload gets the credit again.
    let third = QuotaReservation::begin(&limited, None, Some(account_status(100))).unwrap();
    third.check_space().unwrap();
    third.end(None);
}

#[test]
fn row_37_a_renamed_file_gives_no_credit() {
    let limited = limited(used(100, 1), quota(100, 5));
    let reservation = QuotaReservation::begin(&limited, None, Some(account_status(100))).unwrap();
    reservation.grow(40).unwrap();
    limited.change().unwrap().moved((2, 2));
    reservation.grow(40).unwrap();
    limited.change().unwrap().moved((1, 1));
    assert_eq!(reservation.grow(20).unwrap_err().kind, ErrorKind::OverQuota);
    assert_eq!(reservation.check_publish(80, None).unwrap_err().kind, ErrorKind::OverQuota);
    drop(reservation);
    assert_eq!(limited.counter.used(), Some(used(100, 1)));
}

#[test]
fn row_37_the_first_published_upload_ends_the_credit_of_another() {
    let limited = limited(used(50, 1), quota(200, 5));
    let credited = QuotaReservation::begin(&limited, None, Some(account_status(50))).unwrap();
    credited.grow(50).unwrap();
    let other = QuotaReservation::begin(&limited, None, Some(account_status(50))).unwrap();
    other.grow(100).unwrap();
    other.check_publish(100, Some(account_status(50))).unwrap();
    other.published();
    assert_eq!(limited.counter.used(), Some(used(150, 2)));
    assert_eq!(limited.counter.counts().lasting(), used(150, 2));
    let new = Some(Replaced { file: (9, 9), bytes: 100 });
    credited.check_publish(50, new).unwrap();
    credited.published();
    assert_eq!(limited.counter.used(), Some(used(50, 1)));
}

#[test]
fn row_37_nothing_changes_before_it_is_counted() {
    let counter = Arc::new(QuotaCounter::uncounted(None));
    let limited = LimitedHome::new(Arc::clone(&counter), quota(100, 0));
    assert_eq!(limited.change().err().map(|error| error.kind), Some(ErrorKind::Uncounted));
    let begun = QuotaReservation::begin(&limited, None, None);
    assert_eq!(begun.err().map(|error| error.kind), Some(ErrorKind::Uncounted));
    assert!(!counter.count(7, || Err(std::io::Error::other("a broken disk"))));
    let message = limited.change().err().unwrap();
    assert_eq!(message.kind, ErrorKind::Broken);
    assert!(message.to_string().contains("a broken disk"), "{message}");
    assert!(counter.count(7, || Ok(used(50, 1))));
    drop(limited.change().unwrap());
    assert_eq!(counter.close(), Some((used(50, 1), 7)));
    assert!(limited.change().is_err(), "a saved count must stay valid");
}

#[test]
fn row_37_a_count_during_changes_is_discarded() {
    let limited = limited(used(50, 1), quota(100, 0));
    let counter = &limited.counter;
    let disturbed = || {
        limited.change().unwrap().freed(10, 0);
        Ok(used(1, 1))
    };
    assert!(!counter.count(9, disturbed));
    assert_eq!(counter.used(), Some(used(40, 1)));
    let reservation = QuotaReservation::begin(&limited, None, None).unwrap();
    assert!(!counter.count(9, || Ok(used(1, 1))), "an upload is in progress");
    reservation.end(None);
    assert!(counter.count(9, || Ok(used(41, 1))));
    assert_eq!(counter.used(), Some(used(41, 1)));
}

#[tokio::test(start_paused = true)]
async fn row_37_an_operation_waits_for_the_count_for_a_limited_time() {
    let counter = Arc::new(QuotaCounter::uncounted(None));
    let limited = LimitedHome::new(Arc::clone(&counter), quota(100, 0));
    counter.await_count();
    assert_eq!(limited.ready().await.unwrap_err().kind, ErrorKind::Uncounted);
    let counting = async {
        tokio::task::yield_now().await;
        counter.count(1, || Ok(used(0, 0)))
    };
    let (ready, _) = tokio::join!(limited.ready(), counting);
    ready.unwrap();
}
