//! Information: FEAT, HELP, SYST, STAT, NOOP, CLNT.

use std::sync::atomic::Ordering;

use wharf_core::permission::Permissions;
use wharf_proto::args::{Mode, TransferType};
use wharf_proto::path::escaped;
use wharf_proto::reply::{Code, Reply};

use super::listing;
use super::reply_text::{table, usage_lines};
use super::site;
use super::spec::{Arg, Meanwhile, Run, Spec};
use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::Session;

pub(super) static ROWS: &[&Spec] = &[&FEAT, &HELP, &SYST, &STAT, &NOOP, &CLNT];

/// The name that a client sends with CLNT is truncated to this.
const CLIENT_CHARS_MAX: usize = 64;

static FEAT: Spec = Spec {
    verb: "FEAT",
    syntax: "FEAT",
    about: "List the supported extensions",
    rfc: "RFC 2389 §3",
    keeps_pending: true,
    run: Run::Sync(feat),
    ..Spec::any_time()
};

fn feat(session: &mut Session, _: &[u8]) -> Result<Next, Refusal> {
    let is_on = |row: &&Spec| {
        let off = &session.settings.compat.disable_commands;
        !off.iter().any(|verb| verb == row.verb)
    };
    let mut features: Vec<String> =
        super::rows().filter(is_on).flat_map(|row| (row.features)(session)).collect();
    features.sort();
    let lines = std::iter::once("Features:".to_owned())
        .chain(features)
        .chain(std::iter::once("End".to_owned()));
    Ok(Next::Reply(Reply::lines(Code::SYSTEM, lines)))
}

static HELP: Spec = Spec {
    verb: "HELP",
    syntax: "HELP [<command>]",
    about: "List the commands, or explain one",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Optional,
    keeps_pending: true,
    run: Run::Sync(help),
    ..Spec::any_time()
};

fn help(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    if arg.is_empty() {
        let verbs: Vec<_> = super::rows().map(|row| row.verb).collect();
        return Ok(Next::Reply(table("Commands:", &verbs, "Send HELP <command> for details.")));
    }
    // SITE has no row, but HELP SITE lists the SITE commands (RFC 959 §4.1.3).
    if arg.trim_ascii().eq_ignore_ascii_case(b"SITE") {
        return Ok(Next::Reply(site::list()));
    }
    match super::find_words(arg) {
        Some(row) => {
            let restriction = (row.restriction)(session);
            let text =
                format!("{} - {} ({}){restriction}", row.syntax_in(session), row.about, row.rfc);
            Next::reply(Code::HELP, text)
        }
        None => Next::reply(Code::BAD_ARGUMENT, "Unknown command; send HELP for a list."),
    }
}

static SYST: Spec = Spec {
    verb: "SYST",
    syntax: "SYST",
    about: "Show the system type",
    rfc: "RFC 959 §4.1.3",
    keeps_pending: true,
    // Clients derive the format of LIST from it, so it is the same on every system.
    run: Run::Sync(|_, _| Next::reply(Code::SYSTEM_TYPE, "UNIX Type: L8")),
    ..Spec::any_time()
};

static STAT: Spec = Spec {
    verb: "STAT",
    syntax: "STAT [<path>]",
    about: "Show the status of the session or transfer, or list a path",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Optional,
    meanwhile: Meanwhile::Now,
    keeps_pending: true,
    run: Run::Async(|session, arg| Box::pin(stat(session, arg))),
    ..Spec::logged_in(Permissions::NONE)
};

async fn stat(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    if !arg.is_empty() {
        return listing::stat(session, arg).await;
    }
    let parameters = &session.parameters;
    let mut lines = vec![
        "Status:".to_owned(),
        format!("Connected from {}", session.handle.peer.ip()),
        format!("Logged in as {}", session.logged_in().map_or("-", |inside| &inside.account.name)),
        format!(
            "Type {}, structure F, mode {}, names in {}",
            match parameters.transfer_type {
                TransferType::Ascii => "A",
                TransferType::Image => "I",
            },
            match parameters.mode {
                Mode::Stream => "S",
                Mode::Deflate => "Z",
            },
            session.names.charset()
        ),
        format!(
            "Control connection {}, data connections {}",
            if session.is_tls() { "with TLS" } else { "without TLS" },
            if parameters.is_private { "with TLS" } else { "without TLS" }
        ),
    ];
    if let Some(usage) = session.logged_in().and_then(|inside| inside.files.usage()) {
        lines.extend(usage_lines(&usage));
    }
    if session.handle.is_transferring.load(Ordering::Relaxed) {
        let moved = session.handle.moved.load(Ordering::Relaxed);
        lines.push(format!("Transfer in progress: {moved} bytes transferred"));
    }
    lines.push("End of status.".to_owned());
    Ok(Next::Reply(Reply::lines(Code::SYSTEM, lines)))
}

static NOOP: Spec = Spec {
    verb: "NOOP",
    syntax: "NOOP",
    about: "Do nothing; keeps the connection alive",
    rfc: "RFC 959 §4.1.3",
    meanwhile: Meanwhile::Now,
    keeps_pending: true,
    run: Run::Sync(|_, _| Next::reply(Code::OK, "OK.")),
    ..Spec::any_time()
};

static CLNT: Spec = Spec {
    verb: "CLNT",
    syntax: "CLNT <name>",
    about: "Send the name of the client program",
    rfc: "no RFC; sent by many clients",
    arg: Arg::Optional,
    keeps_pending: true,
    features: |_| vec!["CLNT".into()],
    run: Run::Sync(clnt),
    ..Spec::any_time()
};

fn clnt(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let client: String = escaped(arg).chars().take(CLIENT_CHARS_MAX).collect();
    session.handle.status.set_client(&client);
    session.client = Some(client);
    Next::reply(Code::OK, "CLNT command successful.")
}
