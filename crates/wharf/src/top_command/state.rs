//! The model of `wharf top`, and its reaction to keys.

use std::cmp::Reverse;
use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use wharf_admin::model::{Session, SessionDetails, SessionState, Status};

use crate::cli::running_server::SortName;
use crate::running_server::sessions::SessionFilter;

/// Duration of a ban by `b`.
pub(super) const BAN: Duration = Duration::from_mins(15);

/// The model.
pub(super) struct TopState {
    filter_by: SessionFilter,
    pub(super) status: Option<Status>,
    sessions: Vec<Session>,
    pub(super) sort: SortName,
    /// Filter: text that the account, address or path of a session contains.
    pub(super) filter: String,
    pub(super) hides_idle: bool,
    pub(super) only: Option<SessionState>,
    pub(super) is_paused: bool,
    selected: Option<u64>,
    pub(super) view: View,
    /// Result of the last action.
    pub(super) message: Option<BottomLine>,
}

/// The current view.
pub(super) enum View {
    Sessions,
    /// The filter is being typed.
    Filter,
    Details(Box<SessionDetails>),
    Log {
        id: u64,
        text: String,
    },
    Help,
    /// Confirmation to disconnect this session, and to ban its address.
    Confirm {
        id: u64,
        ban: bool,
    },
}

/// One line at the bottom.
pub(super) enum BottomLine {
    Fine(String),
    Problem(String),
}

/// Action requested by a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyAction {
    Nothing,
    Quit,
    Details(u64),
    Log(u64),
    Kick(u64, Option<Duration>),
}

/// Result of an action.
pub(super) enum ActionResult {
    Details(Box<SessionDetails>),
    Log(String),
    Message(String),
    Problem(String),
}

impl TopState {
    pub(super) fn new(filter_by: SessionFilter, sort: SortName) -> Self {
        Self {
            filter_by,
            status: None,
            sessions: Vec::new(),
            sort,
            filter: String::new(),
            hides_idle: false,
            only: None,
            is_paused: false,
            selected: None,
            view: View::Sessions,
            message: None,
        }
    }

    /// Updates the model with the reply of the server.
    pub(super) fn refresh(&mut self, status: Status, sessions: Vec<Session>) {
        self.status = Some(status);
        self.sessions = sessions;
        if matches!(self.message, Some(BottomLine::Problem(_))) {
            self.message = None;
        }
    }

    pub(super) fn answer(&mut self, answer: ActionResult) {
        match answer {
            ActionResult::Details(details) => self.view = View::Details(details),
            ActionResult::Log(text) => {
                let id = self.selected.unwrap_or_default();
                self.view = View::Log { id, text };
            }
            ActionResult::Message(text) => self.message = Some(BottomLine::Fine(text)),
            ActionResult::Problem(text) => self.message = Some(BottomLine::Problem(text)),
        }
    }

    /// The session that is shown in detail.
    pub(super) fn details_of(&self) -> Option<u64> {
        match &self.view {
            View::Details(details) => Some(details.session.session_id),
            _ => None,
        }
    }

    /// The sessions to show, in their order.
    pub(super) fn shown(&self) -> Vec<&Session> {
        let has = |text: &str| text.to_lowercase().contains(&self.filter.to_lowercase());
        let mut shown: Vec<_> = self
            .sessions
            .iter()
            .filter(|session| self.filter_by.fits(session))
            .filter(|session| !self.hides_idle || session.state != SessionState::Idle)
            .filter(|session| self.only.is_none_or(|state| session.state == state))
            .filter(|session| {
                has(session.user.as_deref().unwrap_or_default())
                    || has(&session.ip)
                    || has(session.path.as_deref().unwrap_or_default())
            })
            .collect();
        match self.sort {
            SortName::Speed => shown.sort_by_key(|one| (Reverse(one.rate), one.session_id)),
            SortName::User => {
                shown.sort_by(|a, b| (&a.user, a.session_id).cmp(&(&b.user, b.session_id)));
            }
            SortName::Ip => shown.sort_by_key(|one| (address(one), one.session_id)),
            SortName::Time => {
                shown.sort_by_key(|one| (Reverse(one.duration_seconds), one.session_id));
            }
            SortName::Bytes => shown.sort_by_key(|one| (Reverse(one.bytes), one.session_id)),
        }
        shown
    }

    /// The selected row. The selection follows its session when others come and go.
    pub(super) fn selected_row(&self) -> usize {
        let shown = self.shown();
        let at = shown.iter().position(|session| Some(session.session_id) == self.selected);
        at.unwrap_or_default()
    }

    fn selected_id(&self) -> Option<u64> {
        self.shown().get(self.selected_row()).map(|session| session.session_id)
    }

    fn select(&mut self, row: usize) {
        let shown = self.shown();
        let last = shown.len().saturating_sub(1);
        self.selected = shown.get(row.min(last)).map(|session| session.session_id);
    }

    /// Handles a key.
    pub(super) fn key(&mut self, key: KeyEvent) -> KeyAction {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return KeyAction::Quit;
        }
        self.message = None;
        match &self.view {
            View::Sessions => return self.key_in_sessions(key.code),
            View::Filter => self.key_in_filter(key.code),
            View::Confirm { id, ban } => {
                let wish = KeyAction::Kick(*id, ban.then_some(BAN));
                self.view = View::Sessions;
                if key.code == KeyCode::Char('y') {
                    return wish;
                }
            }
            View::Details(details) => {
                let id = details.session.session_id;
                match key.code {
                    KeyCode::Char('l') => return KeyAction::Log(id),
                    KeyCode::Char('k') => self.view = View::Confirm { id, ban: false },
                    KeyCode::Char('b') => self.view = View::Confirm { id, ban: true },
                    _ => self.view = View::Sessions,
                }
            }
            View::Log { .. } | View::Help => self.view = View::Sessions,
        }
        KeyAction::Nothing
    }

    fn key_in_sessions(&mut self, code: KeyCode) -> KeyAction {
        let toggled = |now: Option<SessionState>, state| (now != Some(state)).then_some(state);
        let row = self.selected_row();
        match code {
            KeyCode::Char('q') | KeyCode::Esc => return KeyAction::Quit,
            KeyCode::Char('?' | 'h') => self.view = View::Help,
            KeyCode::Char('/') => self.view = View::Filter,
            KeyCode::Char('s') => self.sort = next(self.sort),
            KeyCode::Char('i') => self.hides_idle = !self.hides_idle,
            KeyCode::Char('u') => self.only = toggled(self.only, SessionState::Upload),
            KeyCode::Char('d') => self.only = toggled(self.only, SessionState::Download),
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Down | KeyCode::Char('j') => self.select(row + 1),
            KeyCode::Up => self.select(row.saturating_sub(1)),
            KeyCode::PageDown => self.select(row + 10),
            KeyCode::PageUp => self.select(row.saturating_sub(10)),
            KeyCode::Home => self.select(0),
            KeyCode::End => self.select(usize::MAX),
            _ => {}
        }
        let Some(id) = self.selected_id() else { return KeyAction::Nothing };
        match code {
            KeyCode::Enter => {
                self.selected = Some(id);
                return KeyAction::Details(id);
            }
            KeyCode::Char('l') => {
                self.selected = Some(id);
                return KeyAction::Log(id);
            }
            KeyCode::Char('k') => self.view = View::Confirm { id, ban: false },
            KeyCode::Char('b') => self.view = View::Confirm { id, ban: true },
            _ => {}
        }
        KeyAction::Nothing
    }

    fn key_in_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.view = View::Sessions,
            KeyCode::Esc => {
                self.filter.clear();
                self.view = View::Sessions;
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(letter) => self.filter.push(letter),
            _ => {}
        }
    }
}

fn next(sort: SortName) -> SortName {
    match sort {
        SortName::Speed => SortName::User,
        SortName::User => SortName::Ip,
        SortName::Ip => SortName::Time,
        SortName::Time => SortName::Bytes,
        SortName::Bytes => SortName::Speed,
    }
}

/// Numeric order of addresses: `10.0.0.9` before `10.0.0.10`.
fn address(session: &Session) -> Option<std::net::IpAddr> {
    session.ip.parse().ok()
}
