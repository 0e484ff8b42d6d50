//! Drives an operation while reading the control connection.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use tracing::debug;
use wharf_proto::command::Command;
use wharf_proto::line::LineTooLong;

use crate::command::{self, Meanwhile};
use crate::control::{Control, Disconnect};
use crate::gate;
use crate::next::Next;
use crate::registry::End;
use crate::regression::Regression;
use crate::session::{Session, shown_line};

/// A line that was received meanwhile and is processed afterwards.
pub(crate) type PendingLine = Option<Result<Vec<u8>, LineTooLong>>;

/// How an operation ended, or what ended it.
pub(crate) enum Ending<T> {
    /// It completed.
    Done(T),
    /// By ABOR.
    Aborted,
    /// By the administrator or a shutdown, with the reason for the client.
    Ended(String),
    /// The control connection ended.
    Lost(Disconnect),
}

/// Reads the control connection until `act` completes or is ended for another reason.
///
/// The control connection is polled first, so that ABOR is received even when data never pauses.
/// One line is kept for later; after it, only ABOR is recognised, past a bounded number of queued
/// lines. Then nothing more is read, and TCP flow control slows the client.
pub(crate) async fn drive_with_control<T>(
    control: &mut Control,
    session: &mut Session,
    mut act: Pin<&mut impl Future<Output = T>>,
    pending_line: &mut PendingLine,
) -> Ending<T> {
    loop {
        let handle = Arc::clone(&session.handle);
        let line = tokio::select! {
            biased;
            line = next_line(control, pending_line.is_some()) => line,
            reason = handle.ended(End::Now) => return Ending::Ended(reason.to_owned()),
            done = &mut act => return Ending::Done(done),
        };
        match line {
            Err(gone) => return Ending::Lost(gone),
            // It is answered with 500, and counted, afterwards.
            Ok(Err(too_long)) => *pending_line = Some(Err(too_long)),
            Ok(Ok(line)) => match meanwhile(&line) {
                Meanwhile::Abort => {
                    debug!("transfer aborted by the client");
                    return Ending::Aborted;
                }
                Meanwhile::Wait => *pending_line = Some(Ok(line)),
                Meanwhile::Now => {
                    if let Err(gone) = answer_now(control, session, &line).await {
                        return Ending::Lost(gone);
                    }
                }
            },
        }
    }
}

/// The next line; after a kept one, only ABOR.
async fn next_line(
    control: &mut Control,
    is_behind: bool,
) -> Result<Result<Vec<u8>, LineTooLong>, Disconnect> {
    if is_behind && Regression::AbortNotRead.is_present() {
        return pending().await;
    }
    if is_behind { control.urgent_line(is_abort).await.map(Ok) } else { control.line().await }
}

fn is_abort(line: &[u8]) -> bool {
    meanwhile(line) == Meanwhile::Abort
}

fn meanwhile(line: &[u8]) -> Meanwhile {
    let Ok(command) = Command::parse(line) else { return Meanwhile::Wait };
    match command::find(&command) {
        Some((spec, arg)) if spec.meanwhile == Meanwhile::Now && !arg.is_empty() => Meanwhile::Wait,
        Some((spec, _)) => spec.meanwhile,
        None => Meanwhile::Wait,
    }
}

/// Answers a command that is permitted during a transfer.
async fn answer_now(
    control: &mut Control,
    session: &mut Session,
    line: &[u8],
) -> Result<(), Disconnect> {
    let Ok(command) = Command::parse(line) else { return Ok(()) };
    let Some((spec, arg)) = command::find(&command) else { return Ok(()) };
    debug!(line = shown_line(line, !spec.is_secret), "command during a transfer");
    let next = match gate::admit(spec, session, arg) {
        Ok(()) => spec.run(session, arg).await,
        Err(refusal) => Err(refusal),
    };
    let reply = match next {
        Ok(Next::Reply(reply)) => reply,
        Ok(_) => return Ok(()),
        Err(refusal) => refusal.reply(spec.unavailable),
    };
    session.report_command(line, !spec.is_secret, &reply);
    control.send([&reply], &session.names).await
}
