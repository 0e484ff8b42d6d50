//! Tests of the spool alone: order, restarts, bounds, and unreadable files.

use super::*;

fn line(number: u32) -> String {
    format!("1700000000000 id-{number} upload {{\"number\":{number}}}\n")
}

fn fill(spool: &Spool, numbers: std::ops::Range<u32>) {
    for number in numbers {
        assert_eq!(spool.append(line(number).as_bytes()), Appended::Whole);
    }
}

fn next(spool: &Spool) -> Spooled {
    match spool.next() {
        SpoolHead::Event(spooled) => spooled,
        other => panic!("no event: {other:?}"),
    }
}

fn damage(spool: &Spool) -> String {
    match spool.next() {
        SpoolHead::Damaged(what) => what,
        other => panic!("no damage: {other:?}"),
    }
}

fn takes(spool: &Spool, number: u32) {
    let spooled = next(spool);
    assert_eq!(spooled.id, format!("id-{number}"));
    assert_eq!(spooled.body, format!("{{\"number\":{number}}}"));
    spool.done(&spooled);
}

#[test]
fn events_come_out_in_order_also_after_starts() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 10_000, AtEnd::Wait).unwrap();
    fill(&spool, 0..3);
    takes(&spool, 0);
    // Sent but not marked as done: it is returned again.
    assert_eq!(next(&spool).id, "id-1");
    drop(spool);
    let spool = Spool::open(folder.path(), 10_000, AtEnd::Wait).unwrap();
    let waiting = u64::try_from(2 * line(1).len()).unwrap();
    assert_eq!(spool.counts().spooled_bytes, waiting);
    fill(&spool, 3..4);
    for number in 1..4 {
        takes(&spool, number);
    }
    assert_eq!(spool.counts().spooled_bytes, 0);
    let segments = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(segments, 3, "the current segment, the position, and the lock");
}

#[test]
fn events_without_space_are_counted_and_reported_twice() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 100, AtEnd::Wait).unwrap();
    fill(&spool, 0..1);
    let Appended::Lost(Some(why)) = spool.append(&[b'x'; 99]) else { panic!("it is full") };
    assert!(why.contains("spool_size"));
    assert_eq!(spool.append(&[b'x'; 99]), Appended::Lost(None));
    takes(&spool, 0);
    assert_eq!(spool.append(line(1).as_bytes()), Appended::After(2));
    assert_eq!(spool.counts().dropped, 2);
    takes(&spool, 1);
}

#[test]
fn row_58_a_torn_line_and_rubbish_are_skipped_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 10_000, AtEnd::Wait).unwrap();
    fill(&spool, 0..1);
    drop(spool);
    let mut file =
        fs::OpenOptions::new().append(true).open(segment_path(folder.path(), 1)).unwrap();
    file.write_all(b"1700000000000 id-1 upload {\"num").unwrap();
    fs::write(folder.path().join(TAKEN), "rubbish").unwrap();
    fs::write(segment_path(folder.path(), 0), b"\xff\xff\n").unwrap();
    let spool = Spool::open(folder.path(), 10_000, AtEnd::Wait).unwrap();
    fill(&spool, 7..8);
    assert_eq!(damage(&spool), "3 bytes of segment 0 are not a valid event");
    takes(&spool, 0);
    assert_eq!(damage(&spool), "segment 1 ends with 31 bytes of an incomplete event");
    takes(&spool, 7);
    assert_eq!(spool.counts().spooled_bytes, 0);
}

#[test]
fn large_spools_are_stored_in_segments_that_are_removed_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 1 << 30, AtEnd::Wait).unwrap();
    let body = "x".repeat(200_000);
    for number in 0..20 {
        spool.append(format!("1 id-{number} upload {body}\n").as_bytes());
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6);
    for number in 0..20 {
        let spooled = next(&spool);
        assert_eq!(spooled.id, format!("id-{number}"));
        spool.done(&spooled);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    assert_eq!(spool.counts().spooled_bytes, 0);
}

#[test]
fn close_wakes_a_waiting_reader() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 100, AtEnd::Wait).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| spool.next());
        spool.close(Duration::from_secs(1));
        assert!(matches!(waiting.join().unwrap(), SpoolHead::Closed));
    });
    assert!(!spool.rest(Duration::from_secs(1000)));
}

/// A folder in place of the segment stands for any read error, such as too many open files.
#[test]
fn row_58_a_segment_that_cannot_be_read_now_is_kept_and_read_later() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 10_000, AtEnd::Wait).unwrap();
    fill(&spool, 0..2);
    drop(spool);
    let spool = Spool::open(folder.path(), 10_000, AtEnd::Wait).unwrap();
    fill(&spool, 2..3);
    let segment = segment_path(folder.path(), 1);
    let aside = folder.path().join("aside");
    fs::rename(&segment, &aside).unwrap();
    fs::create_dir(&segment).unwrap();
    for _ in 0..3 {
        let SpoolHead::Unreadable(why) = spool.next() else { panic!("it cannot be read") };
        assert!(why.starts_with("segment 1: "), "{why}");
    }
    fs::remove_dir(&segment).unwrap();
    fs::rename(&aside, &segment).unwrap();
    for number in 0..3 {
        takes(&spool, number);
    }
    assert_eq!(spool.counts().spooled_bytes, 0);
}

#[test]
fn row_58_a_segment_that_was_removed_or_cut_off_is_reported_and_the_others_are_sent() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 10_000, AtEnd::Wait).unwrap();
    fill(&spool, 0..1);
    drop(spool);
    let spool = Spool::open(folder.path(), 10_000, AtEnd::Wait).unwrap();
    fs::remove_file(segment_path(folder.path(), 1)).unwrap();
    fill(&spool, 1..2);
    assert_eq!(damage(&spool), "segment 1 was removed");
    takes(&spool, 1);
    fill(&spool, 2..3);
    let length = line(1).len().try_into().unwrap();
    File::options()
        .write(true)
        .open(segment_path(folder.path(), 2))
        .unwrap()
        .set_len(length)
        .unwrap();
    assert!(damage(&spool).ends_with("bytes of segment 2 are missing"));
    fill(&spool, 3..5);
    takes(&spool, 3);
    takes(&spool, 4);
}

/// A folder in place of the next segment: it cannot be opened, as without a free descriptor.
#[test]
fn row_58_where_no_new_segment_can_be_opened_the_old_one_grows() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 1 << 30, AtEnd::Wait).unwrap();
    fs::create_dir(segment_path(folder.path(), 2)).unwrap();
    let body = "x".repeat(200_000);
    for number in 0..8 {
        let line = format!("1 id-{number} upload {body}\n");
        assert_eq!(spool.append(line.as_bytes()), Appended::Whole);
    }
    fs::remove_dir(segment_path(folder.path(), 2)).unwrap();
    fill(&spool, 8..9);
    for number in 0..9 {
        let spooled = next(&spool);
        assert_eq!(spooled.id, format!("id-{number}"));
        spool.done(&spooled);
    }
}

#[test]
fn row_58_a_spool_is_locked_by_one_process_and_read_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 10_000, AtEnd::Wait).unwrap();
    assert!(!has_events(folder.path()));
    fill(&spool, 0..2);
    let error = Spool::open(folder.path(), 10_000, AtEnd::Close).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    drop(spool);
    assert!(has_events(folder.path()));
    let left = Spool::open(folder.path(), 10_000, AtEnd::Close).unwrap();
    takes(&left, 0);
    takes(&left, 1);
    assert!(matches!(left.next(), SpoolHead::Closed));
    assert!(!has_events(folder.path()));
}

#[cfg(unix)]
#[test]
fn row_46_58_files_that_root_creates_in_a_users_spool_belong_to_that_user() {
    use std::os::unix::fs::{MetadataExt, chown, symlink};
    const NOBODY_UID: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: this is about root");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
    // A run with server.user created the folder, and one without it keeps an event there.
    let webhooks = place.path().join("webhooks");
    fs::create_dir(&webhooks).unwrap();
    chown(&webhooks, Some(NOBODY_UID), Some(NOBODY_UID)).unwrap();
    let folder = webhooks.join("0a1b");
    let spool = Spool::open(&folder, 10_000, AtEnd::Wait).unwrap();
    fill(&spool, 0..1);
    assert_eq!(owner(&folder), NOBODY_UID);
    for name in ["00000001.events", "taken", "lock"] {
        assert_eq!(owner(&folder.join(name)), NOBODY_UID, "{name}");
    }
    drop(spool);
    // A link made by that user is not followed, and nothing is given away through it.
    let secret = place.path().join("secret");
    fs::write(&secret, "x").unwrap();
    symlink(&secret, folder.join("00000002.events")).unwrap();
    assert!(
        Spool::open(&folder, 10_000, AtEnd::Wait)
            .is_ok_and(|spool| { spool.append(line(1).as_bytes()) == Appended::Whole })
    );
    assert_eq!((owner(&secret), fs::read_to_string(&secret).unwrap()), (0, "x".to_owned()));
    // In a folder of root's own, files remain root's.
    let own = place.path().join("own");
    drop(Spool::open(&own, 10_000, AtEnd::Wait).unwrap());
    assert_eq!((owner(&own), owner(&own.join("lock"))), (0, 0));
}
