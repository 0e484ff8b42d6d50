//! `wharf top`: the sessions of the running server, live.
//!
//! [`state`] is the model and handles keys, without a terminal; [`draw`] renders it.

mod draw;
mod state;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::thread::sleep;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyEventKind};
use wharf_admin::client::AdminClient;
use wharf_admin::model::{Kick, Kicked, Session, SessionDetails, Status};
use wharf_config::outcome::{Exit, Failure, print};

use crate::cli::{GlobalArgs, running_server};
use crate::running_server::sessions::{SessionFilter, table};
use crate::running_server::{client, log_of_session, run_request};
use state::{ActionResult, KeyAction, TopState};

/// Number of log lines shown of a session.
const LOG_LINES: u32 = 200;

/// Shows sessions until the user quits.
pub(crate) fn top(global: &GlobalArgs, options: &running_server::TopArgs) -> Result<Exit, Failure> {
    let client = client(global, &options.reach);
    let filter_by = SessionFilter::of(&options.filter)?;
    let mut state = TopState::new(filter_by, options.sort);
    refresh(&client, &mut state)?;
    if options.batch {
        return batch(&client, &mut state, options);
    }
    if !std::io::stdout().is_terminal() {
        return Err(Failure::usage("standard output is not a terminal")
            .hint("for files and pipes:  wharf top -b"));
    }
    let mut terminal = ratatui::try_init()
        .map_err(|error| Failure::io("cannot initialize the terminal", &error))?;
    let done = run(&client, &mut state, options, &mut terminal);
    // The terminal is restored in any case.
    ratatui::restore();
    done.map(|()| Exit::Done)
}

/// Prints a table per interval.
fn batch(
    client: &AdminClient,
    state: &mut TopState,
    options: &running_server::TopArgs,
) -> Result<Exit, Failure> {
    let mut left = options.count;
    loop {
        let shown = state.shown();
        print(&format!("{}\n{}\n", draw::head(state), table(&shown, false)))?;
        left = left.map(|left| left.saturating_sub(1));
        if left == Some(0) {
            return Ok(Exit::Done);
        }
        sleep(Duration::from_secs(options.delay));
        refresh(client, state)?;
    }
}

/// Draws, and waits for a key or the next refresh.
#[expect(clippy::disallowed_methods, reason = "a terminal has no simulated time")]
fn run(
    client: &AdminClient,
    state: &mut TopState,
    options: &running_server::TopArgs,
    terminal: &mut ratatui::DefaultTerminal,
) -> Result<(), Failure> {
    let every = Duration::from_secs(options.delay);
    let mut due = std::time::Instant::now() + every;
    let mut left = options.count;
    loop {
        terminal
            .draw(|frame| draw::draw(frame, state))
            .map_err(|error| Failure::io("cannot write to the terminal", &error))?;
        let wait = due.saturating_duration_since(std::time::Instant::now());
        let failed = |error| Failure::io("cannot read from the terminal", &error);
        if event::poll(wait).map_err(failed)? {
            if let Event::Key(key) = event::read().map_err(failed)?
                && key.kind != KeyEventKind::Release
            {
                match state.key(key) {
                    KeyAction::Nothing => {}
                    KeyAction::Quit => return Ok(()),
                    wish => grant(client, state, wish),
                }
            }
            continue;
        }
        due = std::time::Instant::now() + every;
        if !state.is_paused {
            if let Err(failure) = refresh(client, state) {
                state.answer(ActionResult::Problem(failure.message));
            }
            left = left.map(|left| left.saturating_sub(1));
            if left == Some(0) {
                return Ok(());
            }
        }
    }
}

/// Requests the state from the server.
fn refresh(client: &AdminClient, state: &mut TopState) -> Result<(), Failure> {
    let (status, sessions) = run_request(async {
        let status: Status = client.get("/v1/status").await?;
        let sessions: Vec<Session> = client.get("/v1/sessions").await?;
        Ok((status, sessions))
    })?;
    state.refresh(status, sessions);
    if let Some(id) = state.details_of() {
        // It may have ended; then the last state is kept.
        if let Ok(details) = details(client, id) {
            state.answer(ActionResult::Details(Box::new(details)));
        }
    }
    Ok(())
}

/// Runs the action of a key; its result is shown.
fn grant(client: &AdminClient, state: &mut TopState, wish: KeyAction) {
    let answer = match wish {
        KeyAction::Nothing | KeyAction::Quit => return,
        KeyAction::Details(id) => {
            details(client, id).map(|details| ActionResult::Details(Box::new(details)))
        }
        KeyAction::Log(id) => {
            let path = format!("/v1/log?lines={LOG_LINES}&{}", log_of_session(id));
            let mut text = Vec::new();
            run_request(client.follow(&path, |piece| text.extend_from_slice(piece)))
                .map(|()| ActionResult::Log(String::from_utf8_lossy(&text).into_owned()))
        }
        KeyAction::Kick(id, ban) => {
            let kick = Kick {
                sessions: vec![id],
                ban_seconds: ban.map(|time| time.as_secs()),
                ..Kick::default()
            };
            run_request(client.post::<Kicked>("/v1/kick", &kick)).map(|kicked| {
                ActionResult::Message(match kicked.banned.first() {
                    Some(address) => format!("disconnected session {id}, banned {address}"),
                    None => format!("disconnected session {id}"),
                })
            })
        }
    };
    state.answer(answer.unwrap_or_else(|failure| ActionResult::Problem(failure.message)));
}

fn details(client: &AdminClient, id: u64) -> Result<SessionDetails, Failure> {
    run_request(client.get(&format!("/v1/sessions/{id}")))
}
