//! Errors of a server are reported with the step and the reason.

use std::time::Duration;

use wharf_load::{
    Content, DownloadMode, ErrorKind, LoadCase, Plan, RunOutcome, RunProgress, TlsMode, prepare,
};

use crate::support::{TestServer, measure, plan, scripted, went_well};

fn retrieve(length: Option<u64>, reading: DownloadMode) -> Plan {
    Plan::new(LoadCase::Retrieve { path: "a".into(), length, reading })
}

fn only_error(outcome: &RunOutcome) -> &ErrorKind {
    assert_eq!((outcome.operations, outcome.errors), (0, 1), "{outcome:?}");
    &outcome.error_list[0].kind
}

#[test]
fn a_rejected_login_is_reported_with_the_reply_and_without_the_password() {
    let server = TestServer::plain();
    let mut target = server.target();
    target.password = "wrong-password".into();
    let noop = LoadCase::Command { line: "NOOP".into() };
    let error = prepare(&target, &Plan::new(noop)).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Rejected { code: 530, .. }), "{error}");
    let reported = format!("{error} {target:?}");
    assert!(!reported.contains("wrong-password"), "{reported}");
    let outcome = measure(&target, &plan(LoadCase::Login, 1, 3));
    assert_eq!((outcome.operations, outcome.errors), (0, 3));
}

#[test]
fn a_file_of_another_length_is_an_error_however_it_is_read() {
    for mode in [None, Some(TlsMode::Explicit)] {
        let server = TestServer::new(mode);
        server.put_pattern("/a", 200_000);
        for reading in
            [DownloadMode::Drain, DownloadMode::Decrypt, DownloadMode::Compare(Content::Pattern)]
        {
            let outcome = server.measure(&retrieve(Some(210_000), reading));
            let kind = only_error(&outcome);
            assert!(matches!(kind, ErrorKind::Length { wanted: 210_000, .. }), "{kind:?}");
        }
        let outcome = server.measure(&retrieve(Some(100), DownloadMode::Decrypt));
        assert_eq!(*only_error(&outcome), ErrorKind::Length { got: 200_000, wanted: 100 });
    }
}

#[test]
fn a_wrong_byte_is_found_where_it_is() {
    let local = tempfile::NamedTempFile::new().unwrap();
    for mode in [None, Some(TlsMode::Explicit)] {
        let server = TestServer::new(mode);
        server.put_pattern("/a", 300_000);
        let mut bytes = server.files.content("/a").unwrap();
        std::fs::write(local.path(), &bytes).unwrap();
        bytes[270_001] ^= 1;
        server.files.put("/a", bytes);
        for content in [Content::Pattern, Content::File(local.path().to_owned())] {
            let outcome = server.measure(&retrieve(None, DownloadMode::Compare(content)));
            assert_eq!(*only_error(&outcome), ErrorKind::Content { at: 270_001 });
        }
    }
}

#[test]
fn a_refusal_does_not_end_the_session() {
    let server = TestServer::plain();
    server.put_pattern("/f1", 10);
    let reading = DownloadMode::Decrypt;
    let case = LoadCase::Retrieve { path: "f{i}".into(), length: Some(10), reading };
    let outcome = server.measure(&plan(case, 1, 3));
    assert_eq!((outcome.operations, outcome.errors), (1, 2));
    assert!(outcome.error_list[0].to_string().starts_with("RETR f0: unexpected reply 550 "));
}

#[test]
fn a_run_that_only_fails_ends_early() {
    let server = TestServer::plain();
    let case = LoadCase::Command { line: "CWD nowhere".into() };
    let outcome = server.measure(&plan(case, 1, 1_000_000));
    assert_eq!(outcome.operations, 0);
    assert!(outcome.errors >= 100 && outcome.errors < 1000, "{}", outcome.errors);
    assert!(outcome.error_list.len() <= 10);
}

#[test]
fn a_server_without_epsv_gets_pasv_and_its_address_is_ignored() {
    let target = scripted(&[("EPSV", "500 what?"), ("RETR", "150 here")], b"hello");
    went_well(&measure(&target, &retrieve(Some(5), DownloadMode::Drain)), 1);
    // A temporary failure is an error, and not a server without EPSV.
    let target = scripted(&[("EPSV", "425 later"), ("RETR", "150 here")], b"hello");
    let outcome = measure(&target, &retrieve(Some(5), DownloadMode::Drain));
    let kind = ErrorKind::Rejected { code: 425, text: "later".into() };
    assert_eq!(only_error(&outcome), &kind);
}

#[test]
fn an_invalid_reply_is_shown() {
    let target = scripted(&[("EPSV", "229 somewhere")], b"");
    let outcome = measure(&target, &retrieve(Some(5), DownloadMode::Drain));
    assert!(
        matches!(&outcome.error_list[0].kind, ErrorKind::InvalidReply(text) if text == "somewhere")
    );
    let target = scripted(&[("USER", "SSH-2.0")], b"");
    let error = prepare(&target, &retrieve(Some(5), DownloadMode::Drain)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidReply("SSH-2.0".into()));
}

#[test]
fn a_server_that_disconnects_or_stays_silent_is_reported() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    let mut target = wharf_load::TargetServer::new(address, "anna", "");
    target.timeout = Duration::from_millis(50);
    let noop = Plan::new(LoadCase::Command { line: "NOOP".into() });
    // The system accepts the connection; there is no greeting.
    assert_eq!(prepare(&target, &noop).unwrap_err().kind, ErrorKind::TimedOut);
    drop(closed);
    let error = prepare(&target, &noop).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot connect to {address}: ")), "{error}");
}

#[test]
fn an_invalid_plan_is_rejected() {
    let server = TestServer::new(Some(TlsMode::Explicit));
    let noop = LoadCase::Command { line: "NOOP".into() };
    let numbered =
        LoadCase::Retrieve { path: "f{i}".into(), length: None, reading: DownloadMode::Drain };
    for plan in [plan(noop.clone(), 0, 1), plan(noop, 1, 0), plan(numbered, 1, 1)] {
        let error = prepare(&server.target(), &plan).unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Plan(_)), "{error}");
    }
    let two_lines = LoadCase::Command { line: "NOOP\r\nQUIT".into() };
    let mut prepared = prepare(&server.target(), &Plan::new(two_lines)).unwrap();
    let outcome = prepared.run(&RunProgress::default());
    assert!(matches!(only_error(&outcome), ErrorKind::Plan(_)));
}
