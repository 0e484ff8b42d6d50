//! Directories: CWD, CDUP, PWD, MKD, RMD, and their X forms (RFC 775).

use wharf_core::event::Event;
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;
use wharf_proto::reply::{Code, Reply};

use super::spec::{Arg, Run, Spec};
use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::Session;

pub(super) static ROWS: &[&Spec] = &[&CWD, &CDUP, &PWD, &MKD, &RMD];

static CWD: Spec = Spec {
    verb: "CWD",
    also: &["XCWD"],
    syntax: "CWD <directory>",
    about: "Go to a directory",
    rfc: "RFC 959 §4.1.1",
    arg: Arg::Required,
    run: Run::Later(|session, arg| Box::pin(cwd(session, arg))),
    ..Spec::logged_in(Permissions::ENTER)
};

async fn cwd(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = session.path(arg).await?;
    session.files()?.enter(&path).await?;
    session.cwd = path;
    Ok(Next::Say(quoted(Code::FILE_DONE, &session.cwd, " is the current directory.")))
}

static CDUP: Spec = Spec {
    verb: "CDUP",
    also: &["XCUP"],
    syntax: "CDUP",
    about: "Go to the directory above",
    rfc: "RFC 959 §4.1.1",
    run: Run::Later(|session, _| Box::pin(cdup(session))),
    ..Spec::logged_in(Permissions::ENTER)
};

async fn cdup(session: &mut Session) -> Result<Next, Refusal> {
    let path = session.cwd.parent().unwrap_or_else(VPath::root);
    session.files()?.enter(&path).await?;
    session.cwd = path;
    Ok(Next::Say(quoted(Code::OK, &session.cwd, " is the current directory.")))
}

static PWD: Spec = Spec {
    verb: "PWD",
    also: &["XPWD"],
    syntax: "PWD",
    about: "Show the current directory",
    rfc: "RFC 959 §4.1.3",
    keeps_pending: true,
    run: Run::Now(pwd),
    ..Spec::logged_in(Permissions::NONE)
};

fn pwd(session: &mut Session, _: &[u8]) -> Result<Next, Refusal> {
    Ok(Next::Say(quoted(Code::PATHNAME, &session.cwd, " is the current directory.")))
}

static MKD: Spec = Spec {
    verb: "MKD",
    also: &["XMKD"],
    syntax: "MKD <directory>",
    about: "Make a directory",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Required,
    run: Run::Later(|session, arg| Box::pin(mkd(session, arg))),
    ..Spec::logged_in(Permissions::MKDIR)
};

async fn mkd(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = session.path(arg).await?;
    session.files()?.make_dir(&path).await?;
    session.emit(&Event::DirectoryMade(&path));
    Ok(Next::Say(quoted(Code::PATHNAME, &path, " was made.")))
}

static RMD: Spec = Spec {
    verb: "RMD",
    also: &["XRMD"],
    syntax: "RMD <directory>",
    about: "Remove an empty directory",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Required,
    run: Run::Later(|session, arg| Box::pin(rmd(session, arg))),
    ..Spec::logged_in(Permissions::RMDIR)
};

async fn rmd(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = session.path(arg).await?;
    session.files()?.remove_dir(&path).await?;
    session.emit(&Event::DirectoryRemoved(&path));
    Next::say(Code::FILE_DONE, "Removed.")
}

/// `"/a ""b""" is …`: quotes within a path are doubled (RFC 959, Appendix II).
fn quoted(code: Code, path: &VPath, text: &str) -> Reply {
    let mut line = vec![b'"'];
    for &byte in path.as_bytes() {
        if byte == b'"' {
            line.push(b'"');
        }
        line.push(byte);
    }
    line.push(b'"');
    line.extend_from_slice(text.as_bytes());
    Reply::new(code, line)
}
