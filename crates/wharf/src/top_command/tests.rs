//! Tests of the screen and the keys, without a terminal.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use wharf_admin::model::{
    CommandLogEntry, Rates, Session, SessionCounts, SessionDetails, SessionState, State as Serving,
    Status, Totals,
};

use super::draw::draw;
use super::state::{ActionResult, BAN, KeyAction, TopState};
use crate::cli::running_server::SortName;
use crate::running_server::sessions::SessionFilter;
use wharf_testkit::assert_same;

fn session(id: u64, user: &str, state: SessionState, rate: Option<u64>) -> Session {
    Session {
        session_id: id,
        user: (state != SessionState::Auth).then(|| user.to_owned()),
        ip: format!("192.168.1.{id}"),
        port: 50_000,
        local: "192.168.1.20:21".into(),
        tls: Some("TLSv1.3".into()),
        client: None,
        charset: "UTF-8".into(),
        state,
        command: None,
        path: rate.map(|_| format!("/video/a-long-folder/of-many-words/film-{id}.mkv")),
        bytes: rate.map(|rate| rate * 10),
        size: rate.map(|rate| rate * 16),
        rate,
        average_rate: rate,
        transfer_duration_seconds: rate.map(|_| 10),
        since: "2026-11-22T15:07:41Z".into(),
        duration_seconds: 100 + id,
        idle_seconds: 4,
    }
}

fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        pid: 1,
        state: Serving::Serving,
        started: String::new(),
        uptime_seconds: 10_975,
        config: None,
        listeners: Vec::new(),
        sessions: SessionCounts {
            total: 4,
            logged_in: 3,
            transferring: 2,
            connections_max: Some(512),
        },
        rates: Rates { upload: 900_000, download: 43_000_000 },
        totals: Totals::default(),
        passive: wharf_admin::model::Passive::default(),
        bans: 3,
        certificate: None,
        reload: None,
        warnings: Vec::new(),
        sandbox_folders: None,
    }
}

fn state() -> TopState {
    let mut state = TopState::new(SessionFilter::default(), SortName::Speed);
    let sessions = vec![
        session(7, "old", SessionState::Idle, None),
        session(41, "maria", SessionState::Download, Some(43_000_000)),
        session(42, "cam-07", SessionState::Upload, Some(900_000)),
        session(43, "", SessionState::Auth, None),
    ];
    state.refresh(status(), sessions);
    state
}

fn screen(state: &TopState) -> String {
    let mut terminal = Terminal::new(TestBackend::new(80, 12)).unwrap();
    terminal.draw(|frame| draw(frame, state)).unwrap();
    let lines = terminal.backend().to_string();
    let lines = lines.lines().map(|line| line.trim_matches('"').trim_end());
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn press(state: &mut TopState, keys: &str) -> KeyAction {
    let key = |code| KeyEvent::new(code, KeyModifiers::NONE);
    let mut last = KeyAction::Nothing;
    for letter in keys.chars() {
        last = state.key(key(match letter {
            '\n' => KeyCode::Enter,
            'v' => KeyCode::Down,
            other => KeyCode::Char(other),
        }));
    }
    last
}

fn order(state: &TopState) -> Vec<u64> {
    state.shown().iter().map(|session| session.session_id).collect()
}

#[test]
fn the_screens_are_up_to_date() {
    let mut state = state();
    let mut screens = screen(&state);
    press(&mut state, "v/cam");
    screens += &screen(&state);
    press(&mut state, "\nk");
    screens += &screen(&state);
    press(&mut state, "n?");
    screens += &screen(&state);
    let logged = |line: &str, code| CommandLogEntry {
        time: "2026-11-22T15:07:41Z".into(),
        line: line.into(),
        code,
    };
    let history =
        vec![logged("USER maria", 331), logged("PASS", 230), logged("RETR /video/a.mkv", 150)];
    let session = session(41, "maria", SessionState::Download, Some(43_000_000));
    state.answer(ActionResult::Details(Box::new(SessionDetails { session, history })));
    screens += &screen(&state);
    assert_same("crates/wharf/snapshots/top.txt", &screens);
}

#[test]
fn keys_sort_filter_and_hide() {
    let mut state = state();
    assert_eq!(order(&state), [41, 42, 7, 43]);
    press(&mut state, "s");
    assert_eq!(order(&state), [43, 42, 41, 7]);
    press(&mut state, "i");
    assert_eq!(order(&state), [43, 42, 41]);
    press(&mut state, "u");
    assert_eq!(order(&state), [42]);
    press(&mut state, "ui/MAR\n");
    assert_eq!(order(&state), [41]);
}

#[test]
fn sessions_end_only_after_confirmation_and_the_selection_stays() {
    let mut state = state();
    press(&mut state, "v");
    assert_eq!(press(&mut state, "k"), KeyAction::Nothing);
    assert_eq!(press(&mut state, "n"), KeyAction::Nothing);
    // Another session comes first now; the selection is unchanged.
    state.refresh(
        status(),
        vec![
            session(1, "new", SessionState::Download, Some(99_000_000)),
            session(41, "maria", SessionState::Download, Some(43_000_000)),
            session(42, "cam-07", SessionState::Upload, Some(900_000)),
        ],
    );
    press(&mut state, "k");
    assert_eq!(press(&mut state, "y"), KeyAction::Kick(42, None));
    press(&mut state, "b");
    assert_eq!(press(&mut state, "y"), KeyAction::Kick(42, Some(BAN)));
    assert_eq!(press(&mut state, "\n"), KeyAction::Details(42));
    assert_eq!(press(&mut state, "l"), KeyAction::Log(42));
    assert_eq!(press(&mut state, "q"), KeyAction::Quit);
}
