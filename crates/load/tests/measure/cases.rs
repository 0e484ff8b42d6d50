//! Each case counts what really happened.

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use wharf_load::{
    Content, Dialogue, DialogueStep, DownloadMode, ErrorKind, Listing, LoadCase, Mix, Plan,
    RunProgress, TlsMode, Trust, prepare,
};

use crate::support::{TestServer, measure, plan, went_well};

const EVERY_MODE: [Option<TlsMode>; 3] = [None, Some(TlsMode::Explicit), Some(TlsMode::Implicit)];
/// Long enough to be drained without decryption, and not a multiple of a record.
const LONG: u64 = 300_001;

#[test]
fn downloads_are_counted_in_every_mode() {
    for mode in EVERY_MODE {
        let server = TestServer::new(mode);
        server.put_pattern("/a", LONG);
        for reading in
            [DownloadMode::Drain, DownloadMode::Decrypt, DownloadMode::Compare(Content::Pattern)]
        {
            let case = LoadCase::Retrieve { path: "a".into(), length: None, reading };
            let outcome = server.measure(&plan(case, 3, 7));
            went_well(&outcome, 7);
            assert_eq!(outcome.bytes, 7 * LONG);
            let fairness = outcome.fairness.unwrap();
            assert!(fairness.ratio() > 0.0 && fairness.ratio() <= 1.0);
            assert_eq!(outcome.first_byte.unwrap().samples, 7);
        }
        // Each session has an operation of its own, however fast the others are.
        let case =
            LoadCase::Retrieve { path: "/a".into(), length: None, reading: DownloadMode::Drain };
        assert!(server.measure(&plan(case, 5, 5)).fairness.is_some());
    }
}

#[test]
fn numbered_files_are_each_downloaded_once() {
    let server = TestServer::plain();
    for number in 0..20 {
        server.put_pattern(&format!("/f{number}"), 4096);
    }
    let reading = DownloadMode::Compare(Content::Pattern);
    let case = LoadCase::Retrieve { path: "f{i}".into(), length: Some(4096), reading };
    went_well(&server.measure(&plan(case.clone(), 4, 20)), 20);
    let outcome = server.measure(&plan(case, 1, 21));
    assert_eq!((outcome.operations, outcome.errors), (20, 1), "there is no f20");
}

#[test]
fn uploads_are_complete_and_removed_on_request() {
    for mode in EVERY_MODE {
        let server = TestServer::new(mode);
        // Short files are written, long ones sent by `sendfile`, and 5 MiB exceeds the period.
        for length in [0, 1, 4096, LONG, 5 << 20] {
            let path = "u{i}-{s}".into();
            let case =
                LoadCase::Store { path, length, content: Content::Pattern, is_deleted: true };
            let mut prepared = prepare(&server.target(), &plan(case, 1, 2)).unwrap();
            let outcome = prepared.run(&RunProgress::default());
            went_well(&outcome, 2);
            assert_eq!(outcome.bytes, 2 * length);
            let mut wanted = Vec::new();
            wharf_load::Pattern::new().write(&mut wanted, length).unwrap();
            assert!(server.files.content("/u1-0").unwrap() == wanted, "{length}");
            prepared.finish().unwrap();
            assert_eq!(server.files.paths(), Vec::<String>::new());
        }
    }
}

#[test]
fn a_local_file_is_sent_and_compared() {
    let local = tempfile::NamedTempFile::new().unwrap();
    for (mode, times) in [(None, 400), (Some(TlsMode::Explicit), 400), (None, 1)] {
        let server = TestServer::new(mode);
        let bytes: Vec<u8> = (0..=u8::MAX).skip(5).collect::<Vec<_>>().repeat(times);
        std::fs::write(local.path(), &bytes).unwrap();
        let content = Content::File(local.path().to_owned());
        let length = u64::try_from(bytes.len()).unwrap();
        let is_deleted = false;
        let case =
            LoadCase::Store { path: "a".into(), length, content: content.clone(), is_deleted };
        went_well(&server.measure(&Plan::new(case)), 1);
        assert!(server.files.content("/a").unwrap() == bytes);
        let reading = DownloadMode::Compare(content);
        let case = LoadCase::Retrieve { path: "a".into(), length: Some(length), reading };
        went_well(&server.measure(&Plan::new(case)), 1);
    }
}

#[test]
fn logins_commands_and_idle_sessions_are_counted() {
    for mode in EVERY_MODE {
        let server = TestServer::new(mode);
        went_well(&server.measure(&plan(LoadCase::Login, 3, 10)), 10);
        let noop = LoadCase::Command { line: "NOOP".into() };
        went_well(&server.measure(&plan(noop, 3, 50)), 50);
        went_well(&server.measure(&plan(LoadCase::Idle, 40, 1)), 40);
    }
    went_well(&TestServer::plain().measure(&plan(LoadCase::Connects, 1, 60)), 60);
}

#[test]
fn listings_are_counted_by_entry() {
    let server = TestServer::plain();
    for number in 0..1500 {
        server.files.put(format!("/d/file {number}"), b"x");
    }
    for verb in [Listing::Mlsd, Listing::List, Listing::Nlst] {
        let case = LoadCase::List { verb, path: "d".into(), entries: Some(1500) };
        let outcome = server.measure(&plan(case, 2, 4));
        went_well(&outcome, 4);
        assert_eq!(outcome.entries, 6000);
        assert!(outcome.bytes > 6000 && outcome.first_byte.is_some());
    }
    let case = LoadCase::List { verb: Listing::Mlsd, path: "d".into(), entries: Some(1499) };
    let outcome = server.measure(&Plan::new(case));
    assert_eq!(outcome.error_list[0].kind, ErrorKind::Entries { got: 1500, wanted: 1499 });
}

#[test]
fn a_session_with_tls_resumes_it_for_data() {
    let server = TestServer::new(Some(TlsMode::Explicit));
    server.put_pattern("/a", 5000);
    let case = LoadCase::Session { path: "a".into(), length: Some(5000) };
    let outcome = server.measure(&plan(case, 2, 6));
    went_well(&outcome, 6);
    let tls = outcome.tls.unwrap();
    assert_eq!((tls.resumed, tls.full), (6, 0));
    assert_eq!(tls.version, "TLSv1.3");
    assert!(tls.cipher.starts_with("TLS13_"), "{}", tls.cipher);
}

#[test]
fn the_noop_latency_is_reported_separately() {
    let server = TestServer::plain();
    server.put_pattern("/a", LONG);
    let case = LoadCase::Retrieve { path: "a".into(), length: None, reading: DownloadMode::Drain };
    let interval = Some(Duration::from_millis(1));
    let outcome = server.measure(&Plan { bystander: interval, count: 5, ..Plan::new(case) });
    went_well(&outcome, 5);
    assert!(outcome.bystander.unwrap().samples >= 1);
}

#[test]
fn sessions_that_log_in_at_once_all_stay() {
    for mode in [None, Some(TlsMode::Explicit)] {
        went_well(&TestServer::new(mode).measure(&plan(LoadCase::Logins, 1, 40)), 40);
    }
}

fn mix(verb: Listing) -> Mix {
    Mix {
        seed: 7,
        download: "/f{i}".into(),
        downloads: 3,
        download_length: 4096,
        folder: "/own".into(),
        content: Content::Pattern,
        listed: "/".into(),
        verb,
    }
}

#[test]
fn mixed_work_leaves_the_files_that_it_neither_renamed_nor_deleted() {
    for mode in [None, Some(TlsMode::Explicit)] {
        let server = TestServer::new(mode);
        server.files.put("/own/first", b"x");
        (0..3).for_each(|number| server.put_pattern(&format!("/f{number}"), 4096));
        let outcome = server.measure(&plan(LoadCase::Mixed(mix(Listing::Mlsd)), 4, 400));
        went_well(&outcome, 400);
        assert!(outcome.entries >= 4 * 20, "{}", outcome.entries);
        assert!(outcome.bytes > 100 * 4096, "{}", outcome.bytes);
        let own = server.files.paths().into_iter().filter(|path| path.starts_with("/own/s"));
        assert!((5..150).contains(&own.count()));
    }
    // A server without the files is not measured as a fast one.
    let outcome = TestServer::plain().measure(&plan(LoadCase::Mixed(mix(Listing::List)), 1, 200));
    assert!(outcome.errors > 0);
}

#[test]
fn steps_are_taken_in_their_order_and_a_rejected_one_is_an_error() {
    let server = TestServer::plain();
    server.put_pattern("/d/a", 4096);
    let steps = vec![
        DialogueStep::Ask("NONSENSE".into()),
        DialogueStep::Command("CWD /d".into()),
        DialogueStep::List(Listing::List, String::new()),
        DialogueStep::Retrieve("a".into()),
        DialogueStep::Store("b{i}".into(), 100),
    ];
    let outcome = server.measure(&plan(LoadCase::Steps(steps.clone()), 3, 6));
    went_well(&outcome, 6);
    assert!(outcome.entries >= 6 && outcome.bytes > 6 * 4196);
    assert_eq!(server.files.content("/d/b5").unwrap().len(), 100);
    let rejected = [steps, vec![DialogueStep::Command("CWD /none".into())]].concat();
    let outcome = server.measure(&plan(LoadCase::Steps(rejected), 1, 1));
    assert_eq!((outcome.operations, outcome.errors), (0, 1));
}

#[test]
fn a_dialogue_opens_its_sessions_itself() {
    for mode in [None, Some(TlsMode::Explicit)] {
        let server = TestServer::new(mode);
        server.put_pattern("/d/a", 4096);
        let mut opening = ["USER anna", "PASS secret", "TYPE I", "CWD /d"].map(command).to_vec();
        if mode.is_some() {
            opening.extend(["PBSZ 0", "PROT P"].map(command));
        }
        let each = vec![DialogueStep::Retrieve("a".into())];
        let dialogue = Dialogue { is_extended: false, opening, each };
        let outcome = server.measure(&plan(LoadCase::Dialogue(dialogue.clone()), 2, 10));
        went_well(&outcome, 10);
        assert_eq!(outcome.bytes, 10 * 4096);
        let wrong = Dialogue { opening: ["USER anna", "PASS x"].map(command).into(), ..dialogue };
        let outcome = server.measure(&plan(LoadCase::Dialogue(wrong), 1, 1));
        assert_eq!((outcome.operations, outcome.errors), (0, 1));
    }
}

fn command(line: &str) -> DialogueStep {
    DialogueStep::Command(line.into())
}

#[test]
fn sessions_that_have_worked_do_another_case() {
    let server = TestServer::plain();
    server.put_pattern("/a", 4096);
    let steps = LoadCase::Steps(vec![DialogueStep::Retrieve("a".into())]);
    let mut prepared = prepare(&server.target(), &plan(steps, 20, 20)).unwrap();
    went_well(&prepared.run(&RunProgress::default()), 20);
    prepared.change(LoadCase::Idle, 20).unwrap();
    went_well(&prepared.run(&RunProgress::default()), 20);
    assert!(prepared.change(LoadCase::Login, 1).is_err());
    prepared.finish().unwrap();
}

#[test]
fn more_rounds_use_the_same_sessions() {
    let server = TestServer::plain();
    let noop = LoadCase::Command { line: "NOOP".into() };
    let mut prepared = prepare(&server.target(), &plan(noop, 2, 10)).unwrap();
    for _ in 0..3 {
        let progress = RunProgress::default();
        went_well(&prepared.run(&progress), 10);
        assert_eq!(progress.operations(), 10);
    }
}

#[test]
fn a_stopped_run_starts_nothing() {
    let server = TestServer::plain();
    let noop = LoadCase::Command { line: "NOOP".into() };
    let progress = RunProgress::default();
    progress.stop();
    let mut prepared = prepare(&server.target(), &plan(noop, 2, 10)).unwrap();
    let outcome = prepared.run(&progress);
    assert_eq!((outcome.operations, outcome.errors), (0, 0));
}

#[test]
fn a_run_without_time_starts_nothing() {
    let server = TestServer::plain();
    let case = LoadCase::Command { line: "NOOP".into() };
    let outcome = server.measure(&Plan { time: Some(Duration::ZERO), ..Plan::new(case) });
    assert_eq!((outcome.operations, outcome.errors), (0, 0));
}

#[test]
fn a_certificate_counts_only_if_it_is_trusted() {
    let server = TestServer::new(Some(TlsMode::Explicit));
    let mut target = server.target();
    let mut roots = RootCertStore::empty();
    target.tls.as_mut().unwrap().trust = Trust::Roots(Arc::new(roots.clone()));
    let noop = Plan::new(LoadCase::Command { line: "NOOP".into() });
    let error = prepare(&target, &noop).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Tls(_)), "{error}");
    roots.add(server.certificate().to_vec().into()).unwrap();
    target.tls.as_mut().unwrap().trust = Trust::Roots(Arc::new(roots));
    went_well(&measure(&target, &noop), 1);
}
