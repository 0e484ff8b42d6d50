//! Converts the engine's view of a session to the API's.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use wharf_core::event::Direction;
use wharf_proto::path::escaped;
use wharf_server::session_status::{self, Activity, Payload, SessionView};

use crate::model::{CommandLogEntry, Session, SessionState};

/// A session for the API.
pub(crate) fn session(view: &SessionView, now: SystemTime) -> Session {
    let transfer = match &view.activity {
        Activity::Transfer(transfer) => Some(transfer),
        _ => None,
    };
    let (state, command) = match &view.activity {
        Activity::LoggingIn => (SessionState::Auth, None),
        Activity::Idle => (SessionState::Idle, None),
        Activity::Command(verb) => (SessionState::Command, Some(*verb)),
        Activity::Transfer(transfer) => {
            let state = match transfer.what {
                Payload::Listing => SessionState::List,
                Payload::File(Direction::Upload, _) => SessionState::Upload,
                Payload::File(Direction::Download, _) => SessionState::Download,
            };
            (state, Some(transfer.verb))
        }
    };
    let path = transfer.and_then(|transfer| match &transfer.what {
        Payload::File(_, path) => Some(path.to_string()),
        Payload::Listing => None,
    });
    Session {
        session_id: view.number,
        user: view.user.clone(),
        ip: view.peer.ip().to_canonical().to_string(),
        port: view.peer.port(),
        local: view.local.to_string(),
        tls: view.tls.map(str::to_owned),
        client: view.client.clone(),
        charset: view.charset.to_owned(),
        state,
        command: command.map(str::to_owned),
        path,
        bytes: transfer.map(|transfer| transfer.moved),
        size: transfer.and_then(|transfer| transfer.size),
        rate: transfer.map(|transfer| transfer.rate),
        average_rate: transfer.map(|transfer| per_second(transfer.moved, transfer.duration)),
        transfer_duration_seconds: transfer.map(|transfer| transfer.duration.as_secs()),
        since: timestamp(now, view.duration),
        duration_seconds: view.duration.as_secs(),
        idle_seconds: view.idle.as_secs(),
    }
}

/// A line of a session for the API.
pub(crate) fn command_log_entry(
    view: &session_status::CommandLogEntry,
    now: SystemTime,
) -> CommandLogEntry {
    CommandLogEntry {
        time: timestamp(now, view.ago),
        line: escaped(&view.line),
        code: view.code.number(),
    }
}

/// The time `ago` before `now`, to the second.
pub(crate) fn timestamp(now: SystemTime, ago: Duration) -> String {
    let then = now.checked_sub(ago).unwrap_or(now);
    let timestamp = Timestamp::try_from(then).unwrap_or_default();
    timestamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn per_second(bytes: u64, time: Duration) -> u64 {
    let millis = time.as_millis().max(1);
    u64::try_from(u128::from(bytes) * 1000 / millis).unwrap_or(u64::MAX)
}
