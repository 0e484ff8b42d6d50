//! Uploads: fresh, resumed, appended, torn, and two at a time.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use wharf_proto::entry::Kind;

use super::{Harness, cases};
use crate::error::ErrorKind;
use crate::storage::{Replace, Start, Write};

cases![
    nothing_is_visible_before_commit,
    the_old_content_remains_until_commit,
    an_abort_and_a_drop_leave_what_was_there,
    a_future_dropped_before_its_end_publishes_nothing,
    pieces_of_any_length_stay_in_order,
    a_taken_name_is_rejected_when_a_write_begins,
    a_name_taken_meanwhile_is_rejected_at_commit,
    a_directory_made_meanwhile_is_not_replaced,
    a_directory_removed_meanwhile_fails_the_commit,
    a_write_begins_within_a_file,
    a_write_appends,
    an_append_that_is_given_up_adds_nothing,
    appends_add_to_one_another,
    an_unfinished_upload_is_resumed,
    an_unfinished_upload_is_appended_to,
    an_unfinished_upload_counts_before_the_file,
    an_unfinished_upload_is_forgotten,
    an_unfinished_upload_over_a_file_is_not_appended_to,
    an_unfinished_upload_is_void_when_the_file_is_another,
    an_upload_cut_before_its_first_byte_is_known_as_one,
    a_dropped_upload_is_kept_as_an_aborted_one,
    two_uploads_to_one_name_give_one_whole_file,
    hostile_names_are_not_created,
];

use Replace::{Allowed, Forbidden};

/// How often a case polls for the partial upload of a dropped sink, whose end cannot be awaited.
const POLLS_MAX: usize = 20_000;

async fn nothing_is_visible_before_commit(harness: &Harness) {
    let mut sink = harness.begin("/f", Start::Fresh, Allowed).await;
    harness.is_absent("/f", "after the write began").await;
    harness.feed(&mut sink, &vec![7; 300_000]).await;
    harness.is_absent("/f", "after bytes were written").await;
    let names = harness.names(&harness.path("/")).await;
    harness.check(names.is_empty(), "the store's own temporaries are not listed");
    let stored = harness.works(sink.commit().await, "commit");
    harness.same(stored.size, 300_000, "the size committed");
    harness.holds("/f", &vec![7; 300_000], "after commit").await;

    let sink = harness.begin("/empty", Start::Fresh, Forbidden).await;
    harness.same(harness.works(sink.commit().await, "commit").size, 0, "an empty file's size");
    harness.holds("/empty", b"", "an empty file is a file").await;
}

async fn the_old_content_remains_until_commit(harness: &Harness) {
    harness.put("/f", b"the old content").await;
    let mut sink = harness.begin("/f", Start::Fresh, Allowed).await;
    harness.feed(&mut sink, b"new").await;
    harness.holds("/f", b"the old content", "before commit").await;
    harness.works(sink.commit().await, "commit");
    harness.holds("/f", b"new", "after commit").await;
}

async fn an_abort_and_a_drop_leave_what_was_there(harness: &Harness) {
    harness.put("/old", b"old").await;
    for at in ["/old", "/new"] {
        for ends_well in [true, false] {
            let mut sink = harness.begin(at, Start::Fresh, Allowed).await;
            harness.feed(&mut sink, &vec![1; 300_000]).await;
            if ends_well {
                sink.abort().await;
            } else {
                drop(sink);
            }
            harness.holds("/old", b"old", "a write that was given up").await;
            harness.is_absent("/new", "a write that was given up").await;
            let names = harness.names(&harness.path("/")).await;
            harness.same(names.len(), 1, "what is left of it is not listed");
        }
    }
}

async fn a_future_dropped_before_its_end_publishes_nothing(harness: &Harness) {
    let path = harness.path("/f");
    let how = Write { start: Start::Fresh, replace: Allowed };
    let begun = pin!(harness.store.write(&path, how)).poll(&mut Context::from_waker(Waker::noop()));
    drop(begun);
    harness.is_absent("/f", "the beginning was dropped").await;

    let mut sink = harness.begin("/f", Start::Fresh, Allowed).await;
    let chunk = Bytes::from(vec![1; 1 << 20]);
    let fed = pin!(sink.write(chunk)).poll(&mut Context::from_waker(Waker::noop()));
    harness.check(!matches!(fed, Poll::Ready(Err(_))), "writing a piece");
    sink.abort().await;
    harness.is_absent("/f", "a piece was dropped").await;
    harness.put("/f", b"next").await;
    harness.holds("/f", b"next", "the next upload is whole").await;
}

async fn pieces_of_any_length_stay_in_order(harness: &Harness) {
    let content: Vec<u8> = (0..=250_u8).cycle().take(3_000_000).collect();
    let mut sink = harness.begin("/f", Start::Fresh, Allowed).await;
    let mut rest = content.as_slice();
    for length in [0, 1, 2, 1000, 65_536, 262_143, 1, 0, 262_144, 1_000_000, 7].into_iter().cycle()
    {
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        harness.feed(&mut sink, piece).await;
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    harness.same(
        harness.works(sink.commit().await, "commit").size,
        3_000_000,
        "the size committed",
    );
    harness.holds("/f", &content, "all pieces").await;
}

async fn a_taken_name_is_rejected_when_a_write_begins(harness: &Harness) {
    harness.put("/f", b"old").await;
    for start in [Start::Fresh, Start::At(1)] {
        let written =
            harness.store.write(&harness.path("/f"), Write { start, replace: Forbidden }).await;
        let unable = !harness.store.caps().resumes || !harness.store.caps().appends;
        let kinds = [ErrorKind::Exists, ErrorKind::Unsupported];
        let kinds = if unable { &kinds[..] } else { &[ErrorKind::Exists] };
        harness.fails(written, kinds, "a write over a file");
    }
    harness.holds("/f", b"old", "a write that was rejected").await;
}

async fn a_name_taken_meanwhile_is_rejected_at_commit(harness: &Harness) {
    let mut sink = harness.begin("/f", Start::Fresh, Forbidden).await;
    harness.feed(&mut sink, b"late").await;
    harness.put("/f", b"first").await;
    harness.fails(sink.commit().await, &[ErrorKind::Exists], "commit");
    harness.holds("/f", b"first", "the first to come").await;
}

async fn a_directory_made_meanwhile_is_not_replaced(harness: &Harness) {
    for (at, replace) in [("/a", Allowed), ("/b", Forbidden)] {
        let sink = harness.begin(at, Start::Fresh, replace).await;
        harness.dir(at).await;
        let kinds = &[ErrorKind::IsADirectory, ErrorKind::Exists];
        harness.fails(sink.commit().await, kinds, "commit over a directory");
        let entry = harness.works(harness.store.stat(&harness.path(at)).await, "stat");
        harness.same(entry.kind, Kind::Dir, "what stands there");
    }
}

async fn a_directory_removed_meanwhile_fails_the_commit(harness: &Harness) {
    harness.dir("/d").await;
    let mut sink = harness.begin("/d/f", Start::Fresh, Allowed).await;
    harness.feed(&mut sink, b"x").await;
    let dir = harness.path("/d");
    // Some stores see that a write is under way there, and reject.
    if let Err(error) = harness.store.remove_dir(&dir).await {
        harness.same(error.kind, ErrorKind::Busy, "a directory in use");
        harness.works(sink.commit().await, "commit");
        harness.holds("/d/f", b"x", "after commit").await;
    } else {
        harness.fails(sink.commit().await, &[ErrorKind::NotFound], "commit");
        harness.is_absent("/d", "a removed directory").await;
    }
}

async fn a_write_begins_within_a_file(harness: &Harness) {
    let write = |start| Write { start, replace: Allowed };
    harness.put("/f", b"0123456789").await;
    let path = harness.path("/f");
    if !harness.store.caps().resumes {
        let begun = harness.store.write(&path, write(Start::At(4))).await;
        return harness.fails(begun, &[ErrorKind::Unsupported], "a write from the middle");
    }
    let mut sink = harness.begin("/f", Start::At(4), Allowed).await;
    harness.feed(&mut sink, b"abc").await;
    harness.holds("/f", b"0123456789", "before commit").await;
    harness.same(harness.works(sink.commit().await, "commit").size, 7, "the size committed");
    harness.holds("/f", b"0123abc", "what is behind is replaced").await;

    for (start, content) in [(7, b"0123abc!".as_slice()), (0, b"!")] {
        let mut sink = harness.begin("/f", Start::At(start), Allowed).await;
        harness.feed(&mut sink, b"!").await;
        harness.works(sink.commit().await, "commit");
        harness.holds("/f", content, "a write from either end").await;
    }
    for (at, behind) in [("/f", 2), ("/f", u64::MAX), ("/missing", 1)] {
        let begun = harness.store.write(&harness.path(at), write(Start::At(behind))).await;
        harness.fails(begun, &[ErrorKind::BadOffset], "a write from behind the end");
    }
    harness.holds("/f", b"!", "a write that was rejected").await;
    harness.is_absent("/missing", "a write that was rejected").await;
}

async fn a_write_appends(harness: &Harness) {
    if !harness.store.caps().appends {
        let how = Write { start: Start::End, replace: Allowed };
        let begun = harness.store.write(&harness.path("/f"), how).await;
        return harness.fails(begun, &[ErrorKind::Unsupported], "a write at the end");
    }
    for (piece, before, after) in [("a", None, "a"), ("bc", Some("a"), "abc")] {
        let mut sink = harness.begin("/f", Start::End, Allowed).await;
        harness.feed(&mut sink, piece.as_bytes()).await;
        let seen = harness.content("/f").await;
        harness.same(seen.as_deref(), before.map(str::as_bytes), "before commit");
        harness.works(sink.commit().await, "commit");
        harness.holds("/f", after.as_bytes(), "after commit").await;
    }
    // Nothing is replaced by that.
    let mut sink = harness.begin("/f", Start::End, Forbidden).await;
    harness.feed(&mut sink, b"d").await;
    harness.same(harness.works(sink.commit().await, "commit").size, 4, "the size committed");
    harness.holds("/f", b"abcd", "after commit").await;
}

async fn an_append_that_is_given_up_adds_nothing(harness: &Harness) {
    if !harness.store.caps().appends {
        return;
    }
    harness.put("/f", b"old").await;
    for ends_well in [true, false] {
        let mut sink = harness.begin("/f", Start::End, Allowed).await;
        harness.feed(&mut sink, &vec![1; 300_000]).await;
        if ends_well {
            harness.works(sink.sync().await, "sync");
            harness.holds("/f", b"old", "before commit").await;
            sink.abort().await;
        } else {
            drop(sink);
        }
        harness.holds("/f", b"old", "an append that was given up").await;
        harness.same(unfinished(harness, "/f").await, None, "it leaves nothing");
        let sink = harness.begin("/f", Start::End, Allowed).await;
        harness.works(sink.commit().await, "commit without a byte");
        harness.holds("/f", b"old", "nothing was added").await;
    }
}

async fn appends_add_to_one_another(harness: &Harness) {
    if !harness.store.caps().appends {
        return;
    }
    harness.put("/f", b"old").await;
    let mut first = harness.begin("/f", Start::End, Allowed).await;
    let mut second = harness.begin("/f", Start::End, Allowed).await;
    harness.feed(&mut first, b" first").await;
    harness.feed(&mut second, b" second").await;
    harness.works(second.commit().await, "commit the one");
    harness.works(first.commit().await, "commit the other");
    harness.holds("/f", b"old second first", "after both").await;

    let mut append = harness.begin("/f", Start::End, Allowed).await;
    harness.feed(&mut append, b"!").await;
    harness.works(harness.store.remove_file(&harness.path("/f")).await, "remove");
    let kinds = &[ErrorKind::NotFound, ErrorKind::Busy];
    harness.fails(append.commit().await, kinds, "an append to a file that is gone");
    harness.is_absent("/f", "an append to a file that is gone").await;
}

/// Creates a partial upload, and returns whether the store keeps it.
async fn leave(harness: &Harness, at: &str, content: &[u8]) -> bool {
    let mut sink = harness.begin(at, Start::Fresh, Allowed).await;
    harness.feed(&mut sink, content).await;
    sink.abort().await;
    let kept = unfinished(harness, at).await;
    let length = u64::try_from(content.len()).ok();
    harness.check(kept.is_none() || kept == length, "all that was written is kept, or nothing");
    kept.is_some() && harness.store.caps().resumes && harness.store.caps().appends
}

async fn unfinished(harness: &Harness, at: &str) -> Option<u64> {
    harness.works(harness.store.partial(&harness.path(at)).await, "partial")
}

async fn an_unfinished_upload_is_resumed(harness: &Harness) {
    if !leave(harness, "/f", b"01234").await {
        return;
    }
    let behind = Write { start: Start::At(6), replace: Allowed };
    let begun = harness.store.write(&harness.path("/f"), behind).await;
    harness.fails(begun, &[ErrorKind::PastPartial(5)], "resume behind the end");
    harness.same(unfinished(harness, "/f").await, Some(5), "after that it is still there");
    let mut sink = harness.begin("/f", Start::At(3), Allowed).await;
    harness.feed(&mut sink, b"x").await;
    sink.abort().await;
    harness.same(unfinished(harness, "/f").await, Some(4), "left unfinished once more");
    let mut sink = harness.begin("/f", Start::At(4), Allowed).await;
    harness.feed(&mut sink, b"yz").await;
    harness.works(sink.commit().await, "commit");
    harness.holds("/f", b"012xyz", "after the end").await;
}

async fn an_unfinished_upload_is_appended_to(harness: &Harness) {
    if !leave(harness, "/f", b"012").await {
        return;
    }
    let mut sink = harness.begin("/f", Start::End, Allowed).await;
    harness.feed(&mut sink, b"345").await;
    harness.is_absent("/f", "before commit").await;
    harness.same(harness.works(sink.commit().await, "commit").size, 6, "the size committed");
    harness.holds("/f", b"012345", "after commit").await;
}

async fn an_unfinished_upload_counts_before_the_file(harness: &Harness) {
    harness.put("/f", b"a longer file").await;
    if !leave(harness, "/f", b"01").await {
        return;
    }
    harness.holds("/f", b"a longer file", "readers see the file").await;
    let behind = Write { start: Start::At(5), replace: Allowed };
    let begun = harness.store.write(&harness.path("/f"), behind).await;
    harness.fails(begun, &[ErrorKind::PastPartial(2)], "within the file, behind the upload");
    let mut sink = harness.begin("/f", Start::At(2), Allowed).await;
    harness.feed(&mut sink, b"23").await;
    harness.works(sink.commit().await, "commit");
    harness.holds("/f", b"0123", "after commit").await;
}

async fn an_unfinished_upload_is_forgotten(harness: &Harness) {
    if !leave(harness, "/f", b"012").await {
        return;
    }
    let sink = harness.begin("/f", Start::Fresh, Allowed).await;
    sink.abort().await;
    harness.same(unfinished(harness, "/f").await, None, "after a fresh start");

    leave(harness, "/f", b"012").await;
    harness.put("/f", b"whole").await;
    harness.same(unfinished(harness, "/f").await, None, "after a fresh upload");

    leave(harness, "/f", b"012").await;
    let sink = harness.begin("/f", Start::At(3), Allowed).await;
    harness.works(sink.commit().await, "commit");
    harness.same(unfinished(harness, "/f").await, None, "after it was finished");
    harness.holds("/f", b"012", "after it was finished").await;
}

async fn an_unfinished_upload_over_a_file_is_not_appended_to(harness: &Harness) {
    harness.put("/f", b"old").await;
    if !leave(harness, "/f", b"012345").await {
        return;
    }
    let append = Write { start: Start::End, replace: Allowed };
    let begun = harness.store.write(&harness.path("/f"), append).await;
    harness.fails(begun, &[ErrorKind::Unfinished(6)], "an append");
    harness.same(unfinished(harness, "/f").await, Some(6), "after an append that was rejected");
    harness.holds("/f", b"old", "after an append that was rejected").await;
    // Whatever the old content, the client resumes at its length.
    let mut sink = harness.begin("/f", Start::At(3), Allowed).await;
    harness.feed(&mut sink, b"xyz").await;
    harness.works(sink.commit().await, "commit");
    harness.holds("/f", b"012xyz", "the new file, whole").await;
    let mut sink = harness.begin("/f", Start::End, Allowed).await;
    harness.feed(&mut sink, b"!").await;
    harness.works(sink.commit().await, "commit");
    harness.holds("/f", b"012xyz!", "with nothing unfinished it is added").await;
}

async fn an_unfinished_upload_is_void_when_the_file_is_another(harness: &Harness) {
    for ending in 0..4 {
        harness.put("/f", b"old").await;
        harness.put("/g", b"other").await;
        if !leave(harness, "/f", b"0123456789").await {
            return;
        }
        let (f, g, h) = (harness.path("/f"), harness.path("/g"), harness.path("/h"));
        let (done, now) = match ending {
            0 => (harness.store.remove_file(&f).await, None),
            1 => (harness.store.rename(&f, &h, Allowed).await, None),
            2 => (harness.store.rename(&g, &f, Allowed).await, Some("other")),
            // It comes back as another.
            _ => {
                harness.works(harness.store.rename(&f, &h, Allowed).await, "rename");
                (harness.store.rename(&g, &f, Allowed).await, Some("other"))
            }
        };
        harness.works(done, "change what stands there");
        harness.same(unfinished(harness, "/f").await, None, "what was made for another file");
        let behind = Write { start: Start::At(6), replace: Allowed };
        let begun = harness.store.write(&f, behind).await;
        let is_there = now.is_some();
        let rejected = if is_there { ErrorKind::Outdated } else { ErrorKind::BadOffset };
        harness.fails(begun, &[rejected], "it cannot be resumed");
        if is_there {
            // Within the current file, which is not the one that the client began to send.
            let within = Write { start: Start::At(2), replace: Allowed };
            let begun = harness.store.write(&f, within).await;
            harness.fails(begun, &[ErrorKind::Outdated], "it is not a beginning of that");
            harness.holds("/f", b"other", "nothing happened").await;
        }
        let mut sink = harness.begin("/f", Start::End, Allowed).await;
        harness.feed(&mut sink, b"!").await;
        harness.works(sink.commit().await, "commit");
        let wanted = format!("{}!", now.unwrap_or_default());
        harness.holds("/f", wanted.as_bytes(), "an append adds to what is there").await;
        harness.put("/f", b"whole").await;
        let mut sink = harness.begin("/f", Start::At(3), Allowed).await;
        harness.feed(&mut sink, b"!").await;
        harness.works(sink.commit().await, "commit");
        harness.holds("/f", b"who!", "a whole upload ends it").await;
    }
}

async fn an_upload_cut_before_its_first_byte_is_known_as_one(harness: &Harness) {
    harness.put("/f", b"old").await;
    if !leave(harness, "/g", b"012").await {
        return;
    }
    harness.begin("/f", Start::Fresh, Allowed).await.abort().await;
    harness.same(unfinished(harness, "/f").await, None, "there is nothing to report");
    // Resuming at the length of the old file would mix two files.
    let behind = Write { start: Start::At(3), replace: Allowed };
    let begun = harness.store.write(&harness.path("/f"), behind).await;
    harness.fails(begun, &[ErrorKind::PastPartial(0)], "going on behind the old file");
    harness.holds("/f", b"old", "nothing happened").await;
    let end = Write { start: Start::End, replace: Allowed };
    let begun = harness.store.write(&harness.path("/f"), end).await;
    harness.fails(
        begun,
        &[ErrorKind::Unfinished(0)],
        "adding what may be the rest of the new file",
    );
    harness.holds("/f", b"old", "nothing happened by that either").await;
    harness.put("/f", b"new").await;
    let mut sink = harness.begin("/f", Start::At(2), Allowed).await;
    harness.feed(&mut sink, b"xt").await;
    harness.works(sink.commit().await, "commit");
    harness.holds("/f", b"next", "after a whole upload").await;
}

async fn a_dropped_upload_is_kept_as_an_aborted_one(harness: &Harness) {
    if !leave(harness, "/f", b"012").await {
        return;
    }
    let mut sink = harness.begin("/g", Start::Fresh, Allowed).await;
    harness.feed(&mut sink, b"01234").await;
    drop(sink);
    for _ in 0..POLLS_MAX {
        if unfinished(harness, "/g").await == Some(5) {
            return;
        }
    }
    harness.check(false, "what a dropped upload wrote is never to be resumed");
}

async fn two_uploads_to_one_name_give_one_whole_file(harness: &Harness) {
    for second_wins in [true, false] {
        let mut first = harness.begin("/f", Start::Fresh, Allowed).await;
        let mut second = harness.begin("/f", Start::Fresh, Allowed).await;
        for _ in 0..4 {
            harness.feed(&mut first, &vec![1; 100_000]).await;
            harness.feed(&mut second, &vec![2; 70_000]).await;
        }
        let (one, two) = if second_wins { (first, second) } else { (second, first) };
        harness.works(one.commit().await, "commit the one");
        harness.works(two.commit().await, "commit the other");
        let wanted = if second_wins { vec![2; 280_000] } else { vec![1; 400_000] };
        harness.holds("/f", &wanted, "the last to commit").await;
    }
    let mut first = harness.begin("/f", Start::Fresh, Allowed).await;
    let mut second = harness.begin("/f", Start::Fresh, Allowed).await;
    harness.feed(&mut first, b"given up").await;
    harness.feed(&mut second, b"finished").await;
    first.abort().await;
    harness.works(second.commit().await, "commit");
    harness.holds("/f", b"finished", "the other was given up").await;
}

async fn hostile_names_are_not_created(harness: &Harness) {
    harness.put("/f", b"x").await;
    harness.dir("/d").await;
    let from = harness.path("/f");
    for name in [b"a\nb".as_slice(), b"a\rb", b"\x1b[2J", b"\x7f", b"\x01", b"\xc2\x9b", b"\xff"] {
        let path = harness.path([b"/d/", name].concat());
        let how = Write { start: Start::Fresh, replace: Allowed };
        let kinds = &[ErrorKind::BadName];
        harness.fails(harness.store.write(&path, how).await, kinds, "write");
        harness.fails(harness.store.make_dir(&path).await, kinds, "make a directory");
        harness.fails(harness.store.rename(&from, &path, Allowed).await, kinds, "rename");
    }
    harness.check(harness.names(&harness.path("/d")).await.is_empty(), "none came into being");
    harness.holds("/f", b"x", "what was to be renamed").await;
}
