//! Recovery after a crash: which files are truncated, and to which length.

use super::super::temporary::temporary_name;
use super::*;

#[test]
fn a_journal_is_parsed_only_if_complete() {
    let stage = temporary_name().unwrap();
    let made = |birth, boot: &[u8]| {
        Some(JournaledFile { birth, stage: stage.clone(), boot: boot.to_vec() })
    };
    for made in [None, made(None, b""), made(Some(u128::MAX), b"b-1")] {
        let target = b"a\nb end\n".to_vec();
        let record = Record { target, old: 3, new: u64::MAX, number: (1, 2), made };
        let text = record.text();
        assert_eq!(Record::parse(&text), Some(record));
        for length in 0..text.len() {
            assert_eq!(Record::parse(&text[..length]), None, "{length}");
        }
    }
    let odd = b"wharf append 1 1 2 3 4 - ../secret b\nf\nend\n";
    assert_eq!(Record::parse(odd), None, "no name but of a temporary");
    assert_eq!(Record::parse(b"wharf append 1 1 2 3 4\n\nend\n"), None);
    assert_eq!(Record::parse(b"wharf append 1 1 2 3\nf\nend\n"), None);
}

#[cfg(unix)]
#[test]
fn row_41_56_after_a_crash_a_file_is_truncated_to_its_old_length_and_never_further() {
    use super::super::FollowSymlinks;
    use super::super::system::Root;
    let folder = tempfile::tempdir().unwrap();
    let dir = || Root::open(folder.path(), FollowSymlinks::Never).unwrap().top().unwrap();
    let path = folder.path().join("f");
    // Old content, bytes appended when the server was killed, and expected content.
    for (old, added, then) in [(3, 0, 3), (3, 2, 3), (3, 4, 3), (0, 4, 0), (3, 9, 12)] {
        std::fs::write(&path, vec![1; old]).unwrap();
        let mut journal = Journal::lock(dir(), b"f", &mut |_| ()).unwrap().unwrap();
        let again = Journal::lock(dir(), b"f", &mut |_| ()).unwrap();
        assert!(again.is_none(), "one at a time");
        let file = dir().open_to_append(b"f").unwrap();
        let ends = (u64::try_from(old).unwrap(), u64::try_from(old + 4).unwrap());
        let stage = temporary_name().unwrap();
        journal.begin(&file, ends, &stage, true).unwrap();
        (&file).write_all(&vec![2; added]).unwrap();
        journal.leave();
        let freed = recover(&dir(), b"f").unwrap();
        assert_eq!(freed, u64::try_from(old + added - then).unwrap());
        assert_eq!(std::fs::read(&path).unwrap().len(), then, "{old} {added}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    // Another file of that name is left unchanged.
    let mut journal = Journal::lock(dir(), b"f", &mut |_| ()).unwrap().unwrap();
    let stage = temporary_name().unwrap();
    journal.begin(&dir().open_to_append(b"f").unwrap(), (1, 99), &stage, false).unwrap();
    journal.leave();
    std::fs::rename(&path, folder.path().join("kept")).unwrap();
    std::fs::write(&path, "another").unwrap();
    assert_eq!(recover(&dir(), b"f").unwrap(), 0);
    assert_eq!(std::fs::read(&path).unwrap(), b"another");
}

#[cfg(unix)]
#[test]
fn row_41_56_a_file_that_was_renamed_after_a_crash_is_truncated_all_the_same() {
    use super::super::FollowSymlinks;
    use super::super::system::Root;
    use std::fs::write;
    let folder = tempfile::tempdir().unwrap();
    let dir = || Root::open(folder.path(), FollowSymlinks::Never).unwrap().top().unwrap();
    let (path, rotated) = (folder.path().join("f"), folder.path().join("f.1"));
    let is_recognised = {
        write(&path, "old").unwrap();
        birth(&File::open(&path).unwrap()).is_some()
    };
    // Whether a new file took its name, the staged bytes, and the expected content.
    let cut = if is_recognised { &b"old"[..] } else { b"oldsta" };
    for (is_replaced, staged_bytes, then) in [
        (false, Some("staged"), cut),
        (true, Some("staged"), cut),
        (true, Some("others"), b"oldsta"),
        (true, None, b"oldsta"),
    ] {
        write(&path, "old").unwrap();
        let stage = temporary_name().unwrap();
        let staged = folder.path().join(String::from_utf8(stage.clone()).unwrap());
        let mut journal = Journal::lock(dir(), b"f", &mut |_| ()).unwrap().unwrap();
        let file = dir().open_to_append(b"f").unwrap();
        journal.begin(&file, (3, 9), &stage, false).unwrap();
        (&file).write_all(b"sta").unwrap();
        journal.leave();
        if let Some(bytes) = staged_bytes {
            write(&staged, bytes).unwrap();
        }
        std::fs::rename(&path, &rotated).unwrap();
        if is_replaced {
            write(&path, "new").unwrap();
        }
        let freed = recover(&dir(), b"f").unwrap();
        assert_eq!(freed, u64::try_from(6 - then.len()).unwrap(), "{staged_bytes:?}");
        assert_eq!(std::fs::read(&rotated).unwrap(), then, "{staged_bytes:?}");
        assert_eq!(std::fs::read(&path).is_ok_and(|new| new == b"new"), is_replaced);
        let _ = std::fs::remove_file(&staged);
    }
}

#[cfg(unix)]
#[test]
fn row_41_56_data_that_another_program_wrote_after_a_crash_is_kept() {
    use super::super::FollowSymlinks;
    use super::super::system::Root;
    use std::fs::write;
    type Act<'a> = &'a dyn Fn(&File);
    let folder = tempfile::tempdir().unwrap();
    let dir = || Root::open(folder.path(), FollowSymlinks::Never).unwrap().top().unwrap();
    let path = folder.path().join("f");
    let acts: [(Act<'_>, &[u8]); 5] = [
        (&|_| (), b"old"),
        // The staged bytes are missing, so there is nothing to compare with.
        (&|_| std::fs::remove_file(folder.path().join(".wharf-0")).unwrap(), b"old"),
        (&|mut file| file.write_all(b"LINE").unwrap(), b"oldstageLINE"),
        (&|_| write(&path, b"rewritten").unwrap(), b"rewritten"),
        (
            &|_| {
                std::fs::remove_file(&path).unwrap();
                write(&path, b"oldstage").unwrap();
            },
            b"oldstage",
        ),
    ];
    for (case, (act, then)) in acts.into_iter().enumerate() {
        write(&path, "old").unwrap();
        let stage = temporary_name().unwrap();
        let staged = folder.path().join(String::from_utf8(stage.clone()).unwrap());
        write(&staged, "staged bytes").unwrap();
        let mut journal = Journal::lock(dir(), b"f", &mut |_| ()).unwrap().unwrap();
        let file = dir().open_to_append(b"f").unwrap();
        journal.begin(&file, (3, 15), &stage, false).unwrap();
        (&file).write_all(b"stage").unwrap();
        journal.leave();
        if case == 1 {
            std::fs::rename(&staged, folder.path().join(".wharf-0")).unwrap();
        }
        act(&file);
        recover(&dir(), b"f").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), then, "{case}");
        let _ = std::fs::remove_file(&staged);
    }
    // After a power failure both sides may have lost bytes.
    let (stage, mut file) = (temporary_name().unwrap(), dir().open_to_append(b"f").unwrap());
    let staged = folder.path().join(String::from_utf8(stage.clone()).unwrap());
    write(&staged, [0; 9]).unwrap();
    for (boot, fits) in [(boot::identity().trim_ascii(), false), (b"another", true)] {
        let made = JournaledFile { birth: birth(&file), stage: stage.clone(), boot: boot.to_vec() };
        assert_eq!(made.fits(&dir(), &mut file, (3, 5), FileIdentity::Name).unwrap(), fits);
    }
    let other = JournaledFile { birth: Some(1), stage, boot: b"another".to_vec() };
    let has_birth = birth(&file).is_some();
    assert_eq!(other.fits(&dir(), &mut file, (3, 5), FileIdentity::Name).unwrap(), !has_birth);
}

#[test]
fn readers_see_the_old_length_of_a_file_during_an_append() {
    let file = tempfile::tempfile().unwrap();
    assert_eq!(visible_length(&file, 9), 9);
    let hidden = LengthOverride::behind(&file, 5).unwrap().unwrap();
    assert_eq!(visible_length(&file, 9), 5);
    assert_eq!(visible_length(&file, 4), 4, "the truncated length is visible");
    assert!(is_growing(&file));
    assert!(LengthOverride::behind(&file, 9).unwrap().is_none(), "one at a time");
    let other = tempfile::tempfile().unwrap();
    assert_eq!(visible_length(&other, 9), 9);
    drop(hidden);
    assert_eq!(visible_length(&file, 9), 9);
}
