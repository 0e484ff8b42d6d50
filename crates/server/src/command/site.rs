//! What this server adds: SITE HELP, SITE CHMOD, SITE QUOTA.

use wharf_core::event::Event;
use wharf_core::permission::Permissions;
use wharf_core::storage::{Change, Usage};
use wharf_proto::args::parse_chmod;
use wharf_proto::reply::{Code, Reply};

use super::info::table;
use super::spec::{Arg, Run, Spec};
use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::Session;

pub(super) static ROWS: &[&Spec] = &[&SITE_HELP, &SITE_CHMOD, &SITE_QUOTA];

static SITE_HELP: Spec = Spec {
    verb: "SITE HELP",
    syntax: "SITE HELP",
    about: "List the SITE commands",
    rfc: "RFC 959 §4.1.3",
    keeps_pending: true,
    run: Run::Now(help),
    ..Spec::ANY_TIME
};

fn help(_: &mut Session, _: &[u8]) -> Result<Next, Refusal> {
    let verbs: Vec<_> = ROWS.iter().filter_map(|row| row.verb.strip_prefix("SITE ")).collect();
    Ok(Next::Say(table("SITE commands:", &verbs, "Send HELP SITE and a command for more.")))
}

static SITE_CHMOD: Spec = Spec {
    verb: "SITE CHMOD",
    syntax: "SITE CHMOD <mode> <path>",
    about: "Change permission bits, three or four octal digits",
    rfc: "no RFC; sent by many clients",
    arg: Arg::Required,
    needs: Permissions::CHMOD,
    run: Run::Later(|session, arg| Box::pin(chmod(session, arg))),
    ..Spec::LOGGED_IN
};

async fn chmod(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let (mode, typed) = parse_chmod(arg)?;
    let path = session.path(typed).await?;
    session.files()?.set(&path, Change::Mode(mode)).await?;
    session.emit(&Event::Changed(&path));
    Next::say(Code::OK, format!("Mode is {mode:03o}."))
}

static SITE_QUOTA: Spec = Spec {
    verb: "SITE QUOTA",
    syntax: "SITE QUOTA",
    about: "Show how much you keep here, and how much you may",
    rfc: "no RFC; known from other servers",
    keeps_pending: true,
    run: Run::Now(quota),
    ..Spec::LOGGED_IN
};

fn quota(session: &mut Session, _: &[u8]) -> Result<Next, Refusal> {
    let Some(usage) = session.files()?.usage() else {
        return Next::say(Code::OK, "You have no quota here.");
    };
    let first = std::iter::once("Your quota:".to_owned());
    let lines = first.chain(usage_lines(&usage)).chain(std::iter::once("End of quota.".to_owned()));
    Ok(Next::Say(Reply::lines(Code::OK, lines)))
}

/// What is kept and what may be, a line each for bytes and files.
pub(super) fn usage_lines(usage: &Usage) -> [String; 2] {
    let line = |what: &str, kept: Option<u64>, most: Option<u64>| {
        let kept = kept.map_or_else(|| "being counted".to_owned(), |kept| kept.to_string());
        let most = most.map_or_else(|| "no limit".to_owned(), |most| most.to_string());
        format!("{what}: {kept} of {most}")
    };
    let kept = usage.kept;
    [
        line("Bytes kept", kept.map(|kept| kept.bytes), usage.bytes_max.bytes()),
        line(
            "Files and folders kept",
            kept.map(|kept| kept.files),
            usage.files_max.number().map(u64::from),
        ),
    ]
}
