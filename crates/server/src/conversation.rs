//! The command loop of one session: reads a line, sends a reply.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout_at};
use tracing::debug;
use wharf_core::event::Event;
use wharf_core::permission::Permissions;
use wharf_proto::command::{Command, CommandError};
use wharf_proto::reply::{Code, Reply};

use crate::command::{self, Spec};
use crate::control::{
    Control, Disconnect, LINE_BYTES_MAX, LINE_BYTES_MAX_BEFORE_LOGIN,
    LINE_BYTES_MAX_UNAUTHENTICATED,
};
use crate::data::DataPort;
use crate::drive::PendingLine;
use crate::gate;
use crate::next::Next;
use crate::refusal::Refusal;
use crate::registry::{End, HandleChange};
use crate::regression::Regression;
use crate::server_side_job;
use crate::session::{Session, shown_line};
use crate::session_end::SessionEnd;
use crate::transfer;

/// During a shutdown, a client that does not read replies delays it no longer than this.
const TAKES_REPLY_MAX: Duration = Duration::from_millis(700);
/// Overlong lines after which the session is ended.
const TOO_LONG_MAX: u32 = 3;
/// Unknown commands before login after which the session is ended.
const UNKNOWN_BEFORE_LOGIN_MAX: u32 = 10;
/// First words of other protocols. A browser or mail server directed here by an attacker must get
/// no useful reply (cross-protocol attacks).
const OTHER_PROTOCOL_VERBS: &[&str] =
    &["GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PATCH", "HELO", "EHLO"];

/// Reply when the permitted hours or the validity of the account end.
const ACCESS_EXPIRED: &str = "The access period of this account has ended.";

/// Runs one session from the greeting to its end, and returns why it ended.
pub(crate) async fn converse(control: &mut Control, session: &mut Session) -> SessionEnd {
    match run_loop(control, session).await {
        Ok(never) => match never {},
        Err(exit) => {
            let last = match &exit {
                SessionEnd::LoginTimeout => Some("Login timeout.".to_owned()),
                SessionEnd::Idle => Some("Idle timeout.".to_owned()),
                SessionEnd::Terminated(reason) => Some(reason.clone()),
                SessionEnd::Violation(what) => Some(format!("Protocol error: {what}.")),
                SessionEnd::Disconnected(Disconnect::UnexpectedTls) => {
                    Some("This port uses plain FTP; choose explicit TLS (AUTH TLS).".to_owned())
                }
                SessionEnd::Closed | SessionEnd::Disconnected(_) | SessionEnd::Tls(_) => None,
            };
            if let Some(text) = last {
                let reply = Reply::new(Code::CLOSING, text);
                if matches!(exit, SessionEnd::Terminated(_)) {
                    control.send_last([&reply], &session.names).await;
                } else {
                    let _ = control.send([&reply], &session.names).await;
                }
            }
            exit
        }
    }
}

/// Uninhabited: the loop only ends with a [`SessionEnd`].
enum Never {}

async fn run_loop(control: &mut Control, session: &mut Session) -> Result<Never, SessionEnd> {
    send_greeting(control, session).await?;
    let mut error_counts = ErrorCounts::default();
    let mut pending_line = None;
    let mut clock = pin!(sleep_until(session.login_deadline));
    loop {
        let line = match pending_line.take() {
            Some(line) => line,
            None => next_line(control, session, clock.as_mut()).await?,
        };
        session.announce();
        let line = line.ok().filter(|line| !is_too_long(session, line));
        let next = if let Some(line) = &line {
            answer_in_time(session, line, &mut error_counts).await?
        } else {
            error_counts.too_long += 1;
            session.pending.rename_from = None;
            if error_counts.too_long >= TOO_LONG_MAX {
                return Err(SessionEnd::Violation("too many overlong lines"));
            }
            Next::Reply(Reply::new(Code::NOT_UNDERSTOOD, "Line too long."))
        };
        pending_line = carry_out(control, session, next, line).await?;
        let is_logged_in = session.logged_in().is_some();
        let most = if is_logged_in { LINE_BYTES_MAX } else { LINE_BYTES_MAX_BEFORE_LOGIN };
        control.set_line_bytes_max(most);
    }
}

/// Does what follows a command. Returns a line that was received meanwhile.
#[expect(clippy::manual_async_fn, reason = "an async fn would store each argument twice")]
fn carry_out(
    control: &mut Control,
    session: &mut Session,
    next: Next,
    line: Option<Vec<u8>>,
) -> impl Future<Output = Result<PendingLine, SessionEnd>> {
    async move {
        match next {
            Next::Reply(reply) => send_reply(control, session, &reply).await?,
            // Rare and large futures are boxed, so that idle sessions do not reserve memory for
            // them.
            Next::Transfer(job) => {
                let line = line.unwrap_or_default();
                return Box::pin(transfer::run(control, session, job, &line)).await;
            }
            Next::ServerSideJob(job) => {
                let line = line.unwrap_or_default();
                return Box::pin(server_side_job::run(control, session, job, &line)).await;
            }
            Next::Secure(reply) => Box::pin(secure(control, session, &reply)).await?,
            Next::Close(reply) => {
                control.send([&reply], &session.names).await?;
                return Err(SessionEnd::Closed);
            }
        }
        Ok(None)
    }
}

/// Whether a line is too long before login: only USER and PASS have long arguments then.
fn is_too_long(session: &Session, line: &[u8]) -> bool {
    let is_login_command = || {
        let command = Command::parse(line);
        command.is_ok_and(|command| matches!(command.verb.as_str(), "USER" | "PASS"))
    };
    session.logged_in().is_none()
        && line.len() > LINE_BYTES_MAX_UNAUTHENTICATED
        && !is_login_command()
}

async fn send_greeting(control: &mut Control, session: &Session) -> Result<(), SessionEnd> {
    if session.is_greeted {
        return Ok(());
    }
    Ok(control.send([&session.settings.greeting_reply()], &session.names).await?)
}

/// Sends a reply. Once the session must end, the client has a moment to read it.
async fn send_reply(
    control: &mut Control,
    session: &Session,
    reply: &Reply,
) -> Result<(), SessionEnd> {
    match control.send_at_once([reply], &session.names).await {
        Some(sent) => Ok(sent?),
        None => Box::pin(send_rest_of_reply(control, session)).await,
    }
}

async fn send_rest_of_reply(control: &mut Control, session: &Session) -> Result<(), SessionEnd> {
    let too_long = async {
        session.handle.ended(End::AfterTransfer).await;
        sleep(TAKES_REPLY_MAX).await;
    };
    tokio::select! {
        biased;
        sent = control.send_rest() => return Ok(sent?),
        () = too_long => {}
    }
    control.abandon();
    Err(SessionEnd::Disconnected(Disconnect::NotReading))
}

/// Protocol errors of a session, by kind.
#[derive(Default)]
struct ErrorCounts {
    too_long: u32,
    unknown: u32,
}

/// Waits for a line until a timeout of the settings; meanwhile, an unused passive port is released
/// when due.
async fn next_line(
    control: &mut Control,
    session: &mut Session,
    mut clock: Pin<&mut Sleep>,
) -> Result<Result<Vec<u8>, wharf_proto::line::LineTooLong>, SessionEnd> {
    let is_logged_in = session.logged_in().is_some();
    let since = Instant::now();
    loop {
        let (idle_max, generation) = session.idle_max();
        let (deadline, exit) = if is_logged_in {
            let idle = since + idle_max;
            match session.account_deadline() {
                Some(over) if over < idle => {
                    (over, SessionEnd::Terminated(ACCESS_EXPIRED.to_owned()))
                }
                _ => (idle, SessionEnd::Idle),
            }
        } else if let Some(idle) = since.checked_add(idle_max)
            && idle < session.login_deadline
        {
            (idle, SessionEnd::Idle)
        } else {
            (session.login_deadline, SessionEnd::LoginTimeout)
        };
        let port = session.data.as_deref().and_then(DataPort::due);
        tokio::select! {
            // A request to end comes first; a line that has arrived comes before a deadline.
            biased;
            change = session.handle.changed(End::AfterTransfer, generation) => match change {
                HandleChange::Ended(reason) => {
                    return Err(SessionEnd::Terminated(reason.to_owned()));
                }
                // The idle timeout may have changed.
                HandleChange::Configured => {}
            },
            line = control.line() => return Ok(line?),
            () = until(clock.as_mut(), port.unwrap_or(deadline).min(deadline)) => {
                if Instant::now() >= deadline {
                    return Err(exit);
                }
                if session.data.as_mut().is_some_and(|port| !port.watch()) {
                    session.give_up_port();
                }
            }
        }
    }
}

/// Waits until `due` with a timer that is reset as rarely as possible: mostly a line arrives first,
/// and the next deadline is later. A timer that fires early is reset then.
async fn until(mut clock: Pin<&mut Sleep>, due: Instant) {
    if clock.deadline() > due {
        clock.as_mut().reset(due);
    }
    loop {
        clock.as_mut().await;
        if Instant::now() >= due {
            return;
        }
        clock.as_mut().reset(due);
    }
}

/// Answers a line; before login, within the login timeout.
async fn answer_in_time(
    session: &mut Session,
    line: &[u8],
    error_counts: &mut ErrorCounts,
) -> Result<Next, SessionEnd> {
    if session.logged_in().is_some() {
        return answer(session, line, error_counts).await;
    }
    let deadline = session.login_deadline;
    let handle = Arc::clone(&session.handle);
    let answer = Box::pin(timeout_at(deadline, answer(session, line, error_counts)));
    tokio::select! {
        // An answer that is ready is sent.
        biased;
        answered = answer => answered.unwrap_or(Err(SessionEnd::LoginTimeout)),
        // A failed login is answered with a delay; a shutdown does not wait for it.
        reason = handle.ended(End::AfterTransfer) => Err(SessionEnd::Terminated(reason.to_owned())),
    }
}

/// Finds the command, checks that it may run, and runs it.
async fn answer(
    session: &mut Session,
    line: &[u8],
    error_counts: &mut ErrorCounts,
) -> Result<Next, SessionEnd> {
    if session.logged_in().is_none() && is_header(line) {
        return Err(SessionEnd::Violation("request of another protocol"));
    }
    let parsed = Command::parse(line);
    // RNFR must be followed immediately by RNTO (RFC 959 §4.1.3); any other command cancels it.
    if !parsed.as_ref().is_ok_and(|command| command.verb.as_str() == "RNTO") {
        session.pending.rename_from = None;
    }
    let command = match parsed {
        Ok(command) => command,
        Err(CommandError::Empty) => {
            let reply = Reply::new(Code::NOT_UNDERSTOOD, "Empty command.");
            return unknown(session, error_counts, line, reply);
        }
        Err(CommandError::NotAVerb) => {
            let text = "Syntax error, command unrecognized.";
            return unknown(session, error_counts, line, Reply::new(Code::NOT_UNDERSTOOD, text));
        }
    };
    if session.logged_in().is_none() && OTHER_PROTOCOL_VERBS.contains(&command.verb.as_str()) {
        return Err(SessionEnd::Violation("request of another protocol"));
    }
    let Some((spec, arg)) = command::find(&command) else {
        let reply = match command.verb.as_str() {
            "SITE" if command.arg.is_empty() => {
                Reply::new(Code::BAD_ARGUMENT, "Missing argument. Syntax: SITE <command>")
            }
            "SITE" => {
                Reply::new(Code::NOT_UNDERSTOOD, "Unknown SITE command; SITE HELP lists them.")
            }
            _ => Reply::new(Code::NOT_UNDERSTOOD, "Unknown command; send HELP for a list."),
        };
        return unknown(session, error_counts, line, reply);
    };
    debug!(line = shown_line(line, !spec.is_secret), "command");
    let began = session.handle.status.command_started(spec.verb);
    let result = match gate::admit(spec, session, arg) {
        Ok(()) => spec.run(session, arg).await,
        Err(refusal) => Err(refusal),
    };
    if !spec.keeps_pending {
        session.pending.forget(spec.carries_over);
    }
    if spec.moves_data && !matches!(result, Ok(Next::Transfer(_))) {
        session.note_rejected_command();
    }
    let next = result.unwrap_or_else(|refusal| Next::Reply(rejected(session, spec, arg, refusal)));
    // A transfer is reported with its last reply.
    if let Next::Reply(reply) | Next::Secure(reply) | Next::Close(reply) = &next {
        let ended = session.report_command(line, !spec.is_secret, reply);
        // Password checks are counted with the logins; here they would dominate the histogram.
        if !spec.is_secret {
            session.shared.metrics.replies.add(ended.duration_since(began));
        }
    }
    Ok(next)
}

/// Whether a line looks like a header, `Host: example.com`. This also catches requests of which the
/// first line was not recognised.
fn is_header(line: &[u8]) -> bool {
    let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    name.len() < line.len() && !name.is_empty() && name.iter().all(is_name)
}

fn unknown(
    session: &Session,
    error_counts: &mut ErrorCounts,
    line: &[u8],
    reply: Reply,
) -> Result<Next, SessionEnd> {
    if session.logged_in().is_none() {
        error_counts.unknown += 1;
        if error_counts.unknown >= UNKNOWN_BEFORE_LOGIN_MAX {
            return Err(SessionEnd::Violation("too many unknown commands before login"));
        }
    }
    debug!(line = shown_line(line, false), "unknown command");
    session.report_command(line, false, &reply);
    Ok(Next::Reply(reply))
}

fn rejected(session: &Session, spec: &Spec, arg: &[u8], refusal: Refusal) -> Reply {
    let is_upload = [Permissions::UPLOAD, Permissions::APPEND]
        .into_iter()
        .any(|permission| spec.moves_data && spec.needs.contains(permission));
    if is_upload
        && let Some((reason, hint)) = refusal.cause()
        && let Ok(path) = session.cwd.resolve(arg)
    {
        let user = session.logged_in().map_or("NAME", |inside| &inside.account.name);
        let hint = filled_hint(hint, user, &path);
        session.emit(&Event::UploadDenied { path: &path, reason: &reason, hint: &hint });
    }
    match &refusal {
        Refusal::Broken(reason) => {
            session.emit(&Event::StorageFailed { reason: &format!("{}: {reason}", spec.verb) });
        }
        Refusal::ByRule(denial) if !is_upload => session.emit(&Event::CommandDenied {
            command: spec.verb,
            path: &denial.path,
            reason: &denial.reason,
        }),
        _ => {}
    }
    refusal.reply(spec.unavailable)
}

/// A hint with the account and the path in its commands, quoted for a shell.
fn filled_hint(hint: &str, user: &str, path: &wharf_proto::path::VPath) -> String {
    let words = hint.split(' ').map(|word| match word {
        "NAME" => shell_word(user),
        "PATH" => shell_word(&path.to_string()),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn shell_word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Starts TLS on the control connection.
async fn secure(
    control: &mut Control,
    session: &mut Session,
    reply: &Reply,
) -> Result<(), SessionEnd> {
    // Bytes already buffered were sent before TLS began, so a man in the middle could have injected
    // them. They must not be executed after the handshake (command injection).
    if control.has_buffered() {
        return Err(SessionEnd::Violation("data between AUTH and the TLS handshake"));
    }
    let Some(acceptor) = session.tls.clone() else {
        return Err(SessionEnd::Violation("AUTH without TLS support"));
    };
    control.send([reply], &session.names).await?;
    let binding_id = session.shared.new_binding_id();
    acceptor.handshake_started(binding_id, session.handle.peer.ip(), session.used_auth_ssl);
    let (handle, deadline) = (Arc::clone(&session.handle), session.idle_deadline());
    let how = End::after_transfer_unless(Regression::ShutdownWaitsForHandshake);
    let protection = tokio::select! {
        // A completed handshake comes first.
        biased;
        secured = timeout_at(deadline, control.secure(&acceptor, binding_id)) => {
            secured.map_err(|_| SessionEnd::Idle)?.map_err(SessionEnd::Tls)?
        }
        reason = handle.ended(how) => {
            return Err(SessionEnd::Terminated(reason.to_owned()));
        }
    };
    session.reset();
    session.binding_id = Some(binding_id);
    session.handle.status.secured(protection.version);
    session
        .emit(&Event::TlsEstablished { version: protection.version, cipher: &protection.cipher });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_has_the_account_and_the_path_quoted_for_a_shell() {
        let path = |text: &str| wharf_proto::path::VPath::root().resolve(text.as_bytes()).unwrap();
        let hint = "wharf why NAME PATH upload shows the rule; wharf user edit NAME --permissions";
        assert_eq!(
            filled_hint(hint, "anna", &path("/in/a.txt")),
            "wharf why anna /in/a.txt upload shows the rule; wharf user edit anna --permissions"
        );
        let filled = filled_hint("why NAME PATH x", "a b", &path("/it's; $(id) NAME"));
        assert_eq!(filled, "why 'a b' '/it'\\''s; $(id) NAME' x");
    }
}
