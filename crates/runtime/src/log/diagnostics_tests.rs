//! Which diagnostics become lines, and what the lines contain.

use std::sync::{Arc, Mutex};

use tracing::{debug, error, error_span, trace, warn};

use super::diagnostics::{DiagnosticLevels, DiagnosticSubscriber};
use super::line::LineFormat;
use super::record::Level;
use super::target::LogTarget;
use super::{Log, LogFilter, LogOptions, Output};

type WrittenBytes = Arc<Mutex<Vec<u8>>>;

fn targets(filter: &[(&str, Level)]) -> Vec<(String, Level)> {
    filter.iter().map(|(target, level)| ((*target).to_owned(), *level)).collect()
}

fn log_to(memory: &WrittenBytes, style: LineFormat, level: Level) -> Arc<Log> {
    let log = Arc::new(Log::prepare(LogOptions {
        outputs: vec![Output { style, target: LogTarget::memory(memory) }],
        filter: LogFilter::of(level, false, Vec::new()),
        transfer_log: None,
        audit: None,
    }));
    log.begin().unwrap();
    log
}

/// The lines of `act`, without their times.
fn lines(style: LineFormat, level: Level, filter: &[(&str, Level)], act: impl Fn()) -> Vec<String> {
    let memory = WrittenBytes::default();
    let log = log_to(&memory, style, level);
    log.want(LogFilter::of(level, false, targets(filter)));
    tracing::subscriber::with_default(DiagnosticSubscriber::new(&log), act);
    log.flush();
    let text = String::from_utf8(memory.lock().unwrap().clone()).unwrap();
    let end = if style == LineFormat::Json { ',' } else { ' ' };
    text.lines().map(|line| line.split_once(end).unwrap().1.to_owned()).collect()
}

fn report() {
    error!(target: "library", "an error");
    warn!(target: "wharf_server::tls", "a warning");
    debug!(target: "wharf_server::tls", "a decision");
    trace!(target: "wharf_server::pump", "a step");
}

fn messages(level: Level, filter: &[(&str, Level)]) -> Vec<String> {
    let of = |line: String| line.split('"').nth(3).unwrap().to_owned();
    lines(LineFormat::Text, level, filter, report).into_iter().map(of).collect()
}

#[test]
fn the_level_and_targets_decide_which_diagnostics_are_written() {
    for level in [Level::Nothing, Level::Error, Level::Warn, Level::Info] {
        assert_eq!(messages(level, &[]), [""; 0], "{level:?}");
    }
    assert_eq!(messages(Level::Debug, &[]), ["an error", "a warning", "a decision"]);
    assert_eq!(messages(Level::Trace, &[]), ["an error", "a warning", "a decision", "a step"]);
    let server = ("wharf_server", Level::Trace);
    assert_eq!(messages(Level::Info, &[server]), ["a warning", "a decision", "a step"]);
    let tls = ("wharf_server::tls", Level::Warn);
    assert_eq!(messages(Level::Info, &[server, tls]), ["a warning", "a step"]);
    assert_eq!(messages(Level::Debug, &[tls]), ["an error", "a warning"]);
    assert_eq!(messages(Level::Info, &[("wharf", Level::Trace)]), [""; 0]);
}

#[test]
fn a_new_filter_applies_to_places_that_have_reported() {
    let memory = WrittenBytes::default();
    let log = log_to(&memory, LineFormat::Text, Level::Info);
    let filter = |level| LogFilter::of(level, false, Vec::new());
    tracing::subscriber::with_default(DiagnosticSubscriber::new(&log), || {
        for level in [Level::Info, Level::Debug, Level::Info, Level::Trace] {
            log.want(filter(level));
            debug!(target: "wharf_server", wanted = ?level, "reported");
        }
    });
    log.flush();
    let text = String::from_utf8(memory.lock().unwrap().clone()).unwrap();
    let levels: Vec<_> = text.lines().map(|line| line.rsplit_once("=\"").unwrap().1).collect();
    assert_eq!(levels, ["Debug\"", "Trace\""]);
}

#[test]
fn a_line_has_the_session_and_escaped_fields() {
    let act = || {
        let session = error_span!("session", session_id = 42_u64);
        session.in_scope(|| {
            let line = "DELE a\u{202e}\" event=\"login";
            debug!(target: "wharf_server", line, code = 250_u64, tls = true, "command\nreply");
        });
        debug!(target: "library", event = "login", "log.file" = 1_u64, "outside");
    };
    assert_eq!(
        lines(LineFormat::Text, Level::Debug, &[], act),
        [
            "DEBUG session_id=42 event=diagnostic target=\"wharf_server\" \
             message=\"command\\u000areply\" line=\"DELE a\\u202e\\\" event=\\\"login\" code=250 \
             tls=true",
            "DEBUG event=diagnostic target=\"library\" message=\"outside event=login log.file=1\"",
        ]
    );
    let panel = lines(LineFormat::Panel, Level::Debug, &[], act);
    assert!(panel[0].trim_start().starts_with("debug  session_id=42 target="), "{panel:?}");
    let json = lines(LineFormat::Json, Level::Debug, &[("library", Level::Error)], || {
        let session = error_span!("session", session_id = 42_u64);
        session.in_scope(|| debug!(target: "wharf_server", line = "a b", "command"));
    });
    let fields = r#""event":"diagnostic","target":"wharf_server","message":"command","line":"a b""#;
    assert_eq!(json, [format!("\"level\":\"debug\",\"session_id\":42,{fields}}}")]);
}

#[test]
fn the_session_is_known_if_it_began_before_the_level_was_changed() {
    let memory = WrittenBytes::default();
    let log = log_to(&memory, LineFormat::Text, Level::Info);
    tracing::subscriber::with_default(DiagnosticSubscriber::new(&log), || {
        let session = error_span!("session", session_id = 7_u64);
        session.in_scope(|| debug!(target: "wharf_server", "before"));
        log.want(LogFilter::of(Level::Debug, false, Vec::new()));
        session.in_scope(|| debug!(target: "wharf_server", "after"));
    });
    log.flush();
    let text = String::from_utf8(memory.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("session_id=7 ") && text.contains("after"), "{text}");
}

#[test]
fn targets_that_report_secrets_are_never_written_in_detail() {
    let levels = DiagnosticLevels::new(Level::Trace, targets(&[("tokio_postgres", Level::Trace)]));
    for (target, level, is_written) in [
        ("tokio_postgres::query", Level::Debug, false),
        ("tokio_postgres::query", Level::Info, true),
        ("tokio_postgres::prepare", Level::Debug, true),
        ("rustls::server::tls13", Level::Trace, false),
        ("rustls::server::tls13", Level::Debug, true),
        ("ureq::run", Level::Trace, false),
        ("ureq::run", Level::Debug, true),
        ("ldap3::conn", Level::Trace, true),
    ] {
        assert_eq!(levels.accept(target, level), is_written, "{target} {level:?}");
    }
}
