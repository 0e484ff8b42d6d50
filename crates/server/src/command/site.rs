//! What this server adds: SITE HELP, SITE CHMOD.

use wharf_core::event::Event;
use wharf_core::permission::Permissions;
use wharf_core::storage::Change;
use wharf_proto::args::parse_chmod;
use wharf_proto::reply::Code;

use super::info::table;
use super::spec::{Arg, Run, Spec};
use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::Session;

pub(super) static ROWS: &[&Spec] = &[&SITE_HELP, &SITE_CHMOD];

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
