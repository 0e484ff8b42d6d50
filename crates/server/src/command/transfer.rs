//! File transfers: RETR, STOR, APPE, STOU.

use wharf_core::hex;
use wharf_core::permission::Permissions;
use wharf_core::storage::{Sink, Source, Start};
use wharf_proto::args::{Mode, TransferType};
use wharf_proto::path::VPath;
use wharf_proto::reply::Code;

use super::parameters::is_ascii;
use super::spec::{Arg, Run, Spec};
use crate::next::{AnnouncedSize, EndRule, Job, Next, Transfer, UploadTarget};
use crate::refusal::Refusal;
use crate::session::Session;

pub(super) static ROWS: &[&Spec] = &[&RETR, &STOR, &APPE, &STOU];

/// How often STOU tries another name. The names have 64 random bits, so one try nearly always
/// suffices.
const UNIQUE_TRIES_MAX: usize = 10;

static RETR: Spec = Spec {
    verb: "RETR",
    syntax: "RETR <path>",
    about: "Download a file",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Required,
    moves_data: true,
    run: Run::Async(|session, arg| Box::pin(retr(session, arg))),
    ..Spec::logged_in(Permissions::READ)
};

async fn retr(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let from = std::mem::take(&mut session.pending.restart_at);
    let path = session.path(arg).await?;
    let source = session.files()?.read(&path, from).await?;
    let opening = match &source {
        Source::File { len, .. } => format!("Opening data connection ({len} bytes)."),
        Source::Bytes(bytes) => format!("Opening data connection ({} bytes).", bytes.len()),
        Source::Stream(_) => "Opening data connection.".to_owned(),
    };
    let is_ascii = is_ascii(session);
    Ok(Next::Transfer(Transfer { opening, job: Job::Send { source, path, is_ascii } }))
}

static STOR: Spec = Spec {
    verb: "STOR",
    syntax: "STOR <path>",
    about: "Upload a file; visible when complete",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Required,
    moves_data: true,
    unavailable: Code::NAME_REJECTED,
    run: Run::Async(|session, arg| Box::pin(stor(session, arg))),
    ..Spec::logged_in(Permissions::UPLOAD)
};

async fn stor(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let start = match std::mem::take(&mut session.pending.restart_at) {
        0 => Start::Fresh,
        at => Start::At(at),
    };
    let path = session.path(arg).await?;
    let end = end_of(session, start)?;
    let announced = announced(session, &path, start).await?;
    let sink = session.files()?.store(&path, start).await?;
    Ok(receive(session, sink, path, announced, end, "Ok to send data.".to_owned()))
}

static APPE: Spec = Spec {
    verb: "APPE",
    syntax: "APPE <path>",
    about: "Append to a file; if there is none, continue a partial upload",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Required,
    moves_data: true,
    run: Run::Async(|session, arg| Box::pin(appe(session, arg))),
    ..Spec::logged_in(Permissions::APPEND)
};

async fn appe(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = session.path(arg).await?;
    let end = end_of(session, Start::End)?;
    let announced = announced(session, &path, Start::End).await?;
    let sink = session.files()?.append(&path).await?;
    Ok(receive(session, sink, path, announced, end, "Ok to send data.".to_owned()))
}

static STOU: Spec = Spec {
    verb: "STOU",
    syntax: "STOU [<name>]",
    about: "Upload a file under a unique name",
    rfc: "RFC 1123 §4.1.2.9",
    arg: Arg::Optional,
    moves_data: true,
    unavailable: Code::NAME_REJECTED,
    run: Run::Async(|session, arg| Box::pin(stou(session, arg))),
    ..Spec::logged_in(Permissions::UPLOAD)
};

async fn stou(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let stem = if arg.is_empty() { b"upload" } else { arg };
    for _ in 0..UNIQUE_TRIES_MAX {
        let mut chance = [0; 8];
        session.shared.net.random(&mut chance);
        let mut typed = stem.to_vec();
        typed.push(b'.');
        typed.extend_from_slice(hex(&chance).as_bytes());
        let path = session.path(&typed).await?;
        let end = end_of(session, Start::Fresh)?;
        let announced = announced(session, &path, Start::Fresh).await?;
        let Some(sink) = session.files()?.store_new(&path).await? else { continue };
        // The form required by RFC 1123 §4.1.2.9, from which clients read the name.
        let mut opening = b"FILE: ".to_vec();
        opening.extend_from_slice(path.name().unwrap_or_default());
        let opening = String::from_utf8_lossy(&opening).into_owned();
        return Ok(receive(session, sink, path, announced, end, opening));
    }
    Next::reply(Code::FILE_BUSY, "No unused file name found; try again later.")
}

/// The size of this upload as announced with ALLO, after checking that there is space for it.
///
/// Ignored in TYPE A, where the conversion of line endings changes the size.
async fn announced(
    session: &mut Session,
    path: &VPath,
    start: Start,
) -> Result<Option<AnnouncedSize>, Refusal> {
    let announced = session.pending.announced.take();
    let Some(bytes) = announced.filter(|_| !is_ascii(session)) else { return Ok(None) };
    let before = session.files()?.check_space(path, start, bytes).await?;
    Ok(Some(AnnouncedSize { bytes, before }))
}

/// What may replace `close_notify` at the end of this upload. To be called before `announced`,
/// which consumes the size from ALLO.
fn end_of(session: &Session, start: Start) -> Result<(EndRule, UploadTarget), Refusal> {
    let parameters = &session.parameters;
    let tls = session.settings.tls.as_ref();
    let rule = EndRule {
        requires_close_notify: tls.is_none_or(|tls| tls.require_close_notify),
        is_exact: parameters.transfer_type == TransferType::Image
            && parameters.mode == Mode::Stream
            && !matches!(start, Start::At(_)),
        allo: session.pending.announced,
    };
    let is_appended = start == Start::End;
    Ok((rule, UploadTarget { files: session.files()?.clone(), is_appended }))
}

fn receive(
    session: &Session,
    sink: Box<dyn Sink>,
    path: VPath,
    announced: Option<AnnouncedSize>,
    (end, target): (EndRule, UploadTarget),
    opening: String,
) -> Next {
    let is_ascii = is_ascii(session);
    let announced = announced.filter(|_| session.settings.files.enforce_allo_size);
    let job = Job::Receive { sink, path, is_ascii, announced, end, target };
    Next::Transfer(Transfer { opening, job })
}
