//! Directories: CWD, CDUP, PWD, MKD, RMD, RMDA, and the X forms of RFC 775.

use wharf_core::event::Event;
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;
use wharf_proto::reply::{Code, Reply};

use super::spec::{Arg, Run, Spec};
use crate::next::{Next, ServerSideJob};
use crate::refusal::Refusal;
use crate::session::Session;

pub(super) static ROWS: &[&Spec] = &[&CWD, &CDUP, &PWD, &MKD, &RMD, &RMDA];

static CWD: Spec = Spec {
    verb: "CWD",
    also: &["XCWD"],
    syntax: "CWD <directory>",
    about: "Change the current directory",
    rfc: "RFC 959 §4.1.1",
    arg: Arg::Required,
    run: Run::Async(|session, arg| Box::pin(cwd(session, arg))),
    ..Spec::logged_in(Permissions::ENTER)
};

async fn cwd(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = session.path(arg).await?;
    session.files()?.enter(&path).await?;
    session.cwd = path;
    Ok(Next::Reply(quoted(Code::FILE_DONE, &session.cwd, " is the current directory.")))
}

static CDUP: Spec = Spec {
    verb: "CDUP",
    also: &["XCUP"],
    syntax: "CDUP",
    about: "Change to the parent directory",
    rfc: "RFC 959 §4.1.1",
    run: Run::Async(|session, _| Box::pin(cdup(session))),
    ..Spec::logged_in(Permissions::ENTER)
};

async fn cdup(session: &mut Session) -> Result<Next, Refusal> {
    let path = session.cwd.parent().unwrap_or_else(VPath::root);
    session.files()?.enter(&path).await?;
    session.cwd = path;
    Ok(Next::Reply(quoted(Code::OK, &session.cwd, " is the current directory.")))
}

static PWD: Spec = Spec {
    verb: "PWD",
    also: &["XPWD"],
    syntax: "PWD",
    about: "Show the current directory",
    rfc: "RFC 959 §4.1.3",
    keeps_pending: true,
    run: Run::Sync(pwd),
    ..Spec::logged_in(Permissions::NONE)
};

fn pwd(session: &mut Session, _: &[u8]) -> Result<Next, Refusal> {
    Ok(Next::Reply(quoted(Code::PATHNAME, &session.cwd, " is the current directory.")))
}

static MKD: Spec = Spec {
    verb: "MKD",
    also: &["XMKD"],
    syntax: "MKD <directory>",
    about: "Create a directory",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Required,
    run: Run::Async(|session, arg| Box::pin(mkd(session, arg))),
    ..Spec::logged_in(Permissions::MKDIR)
};

async fn mkd(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = session.path(arg).await?;
    if session.files()?.make_dir(&path).await? {
        session.emit(&Event::DirectoryMade(&path));
    }
    Ok(Next::Reply(quoted(Code::PATHNAME, &path, " created.")))
}

static RMD: Spec = Spec {
    verb: "RMD",
    also: &["XRMD"],
    syntax: "RMD <directory>",
    about: "Remove an empty directory",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Required,
    run: Run::Async(|session, arg| Box::pin(rmd(session, arg))),
    ..Spec::logged_in(Permissions::RMDIR)
};

async fn rmd(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = session.path(arg).await?;
    session.files()?.remove_dir(&path).await?;
    session.emit(&Event::DirectoryRemoved(&path));
    Next::reply(Code::FILE_DONE, "Removed.")
}

static RMDA: Spec = Spec {
    verb: "RMDA",
    syntax: "RMDA <directory>",
    about: "Remove a directory with all its contents, at most 10,000 entries",
    rfc: "no RFC; known from other servers",
    arg: Arg::Required,
    features: |_| vec!["RMDA <path>".into()],
    run: Run::Async(|session, arg| Box::pin(rmda(session, arg))),
    ..Spec::logged_in(Permissions::RMDIR.union(Permissions::DELETE))
};

async fn rmda(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let at = session.path(arg).await?;
    Ok(Next::ServerSideJob(ServerSideJob::RemoveTree { at }))
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

#[cfg(test)]
mod tests {
    use wharf_core::permission::Rules;

    use super::*;
    use crate::testing::TestSession;

    fn bench() -> TestSession {
        TestSession::new()
            .logged_in(Permissions::ALL)
            .with_file("/d/a", b"x")
            .with_file("/d/e/f/b", b"x")
            .with_file("/kept", b"x")
    }

    #[tokio::test]
    async fn rmda_removes_a_directory_with_its_contents() {
        let mut bench = bench();
        assert_eq!(bench.send("RMD d").await, "550 Directory not empty.");
        assert_eq!(bench.send("RMDA d").await, "250 Removed.");
        assert_eq!(bench.memory.paths(), ["/kept"]);
        assert_eq!(bench.send("RMDA d").await, "550 No such file or directory.");
        assert_eq!(bench.send("RMDA kept").await, "550 Not a directory.");
        assert!(bench.send("RMDA /").await.starts_with("550"));
        assert!(bench.has_file("/kept"));
    }

    #[tokio::test]
    async fn row_24_25_rmda_needs_the_permissions_for_each_entry_or_removes_nothing() {
        let read = VPath::root().resolve(b"d/e/f").unwrap();
        let rules = Rules::everywhere(Permissions::ALL).with(read, Permissions::READ_ONLY);
        let mut bench = bench().logged_in_with_rules(rules);
        assert_eq!(bench.send("RMDA d").await, "550 Permission denied.");
        assert!(bench.has_file("/d/a") && bench.has_file("/d/e/f/b"));
        let mut bench = bench.logged_in(Permissions::ALL);
        for number in 0..10_000 {
            bench.memory.put(format!("/many/{number}"), b"");
        }
        bench.memory.put("/many/one-more", b"");
        assert!(bench.send("RMDA many").await.starts_with("550 Too many entries"));
        assert_eq!(
            bench.memory.paths().iter().filter(|path| path.contains("many/")).count(),
            10_001
        );
        assert_eq!(bench.send("DELE many/one-more").await, "250 Removed.");
        assert_eq!(bench.send("RMDA many").await, "250 Removed.");
    }
}
