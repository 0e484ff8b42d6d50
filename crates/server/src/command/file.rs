//! Single files: DELE, RNFR, RNTO, SIZE, MDTM, MFMT, SITE UTIME.

use wharf_core::event::Event;
use wharf_core::permission::Permissions;
use wharf_core::storage::Change;
use wharf_proto::args::parse_mfmt;
use wharf_proto::entry::Kind;
use wharf_proto::path::VPath;
use wharf_proto::reply::{Code, Reply};
use wharf_proto::site::parse_utime;
use wharf_proto::time::Timestamp;

use super::parameters::is_ascii;
use super::spec::{Arg, Run, Spec};
use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::{CarriedOver, Session};

pub(super) static ROWS: &[&Spec] = &[&DELE, &RNFR, &RNTO, &SIZE, &MDTM, &MFMT];

static DELE: Spec = Spec {
    verb: "DELE",
    syntax: "DELE <path>",
    about: "Remove a file",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Required,
    run: Run::Async(|session, arg| Box::pin(dele(session, arg))),
    ..Spec::logged_in(Permissions::DELETE)
};

/// Removes one file. The store rejects directories, which RMD removes.
async fn dele(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = session.path(arg).await?;
    session.files()?.remove_file(&path).await?;
    session.emit(&Event::FileRemoved(&path));
    Next::reply(Code::FILE_DONE, "Removed.")
}

static RNFR: Spec = Spec {
    verb: "RNFR",
    syntax: "RNFR <path>",
    about: "Select the file that RNTO renames",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Required,
    carries_over: CarriedOver::RenameFrom,
    run: Run::Async(|session, arg| Box::pin(rnfr(session, arg))),
    ..Spec::logged_in(Permissions::RENAME)
};

async fn rnfr(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = session.path(arg).await?;
    session.files()?.may_rename(&path).await?;
    session.pending.rename_from = Some(path);
    Next::reply(Code::PENDING, "Ready for RNTO.")
}

static RNTO: Spec = Spec {
    verb: "RNTO",
    syntax: "RNTO <path>",
    about: "Rename the file selected with RNFR",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Required,
    run: Run::Async(|session, arg| Box::pin(rnto(session, arg))),
    ..Spec::logged_in(Permissions::RENAME)
};

async fn rnto(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let Some(from) = session.pending.rename_from.take() else {
        return Next::reply(
            Code::BAD_SEQUENCE,
            "Bad sequence of commands: RNTO must immediately follow RNFR.",
        );
    };
    let to = session.path(arg).await?;
    session.files()?.rename(&from, &to).await?;
    session.emit(&Event::Renamed { from: &from, to: &to });
    Next::reply(Code::FILE_DONE, "Renamed.")
}

static SIZE: Spec = Spec {
    verb: "SIZE",
    syntax: "SIZE <path>",
    about: "Show the size of a file",
    rfc: "RFC 3659 §4",
    arg: Arg::Required,
    keeps_pending: true,
    features: |_| vec!["SIZE".into()],
    run: Run::Async(|session, arg| Box::pin(size(session, arg))),
    ..Spec::logged_in(Permissions::LIST)
};

/// The size in bytes of what RETR sends. If there is no file but a partial upload of this account,
/// the size of that.
///
/// In TYPE A the whole file would have to be read to count its line endings, so SIZE is rejected
/// (allowed by RFC 3659 §4).
async fn size(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = session.path(arg).await?;
    let entry = session.files()?.size(&path).await?;
    if entry.kind == Kind::Link {
        return Err(session.files()?.link_error(&path).await);
    }
    if entry.kind != Kind::File {
        return Err(Refusal::unavailable("Not a regular file."));
    }
    if is_ascii(session) {
        return Err(Refusal::unavailable("SIZE not allowed in ASCII mode; send TYPE I first."));
    }
    deny_misread_size(session, &path).await?;
    Next::reply(Code::FILE_STATUS, entry.size.to_string())
}

/// Denies the size of an old file to clients that, after a cut upload, take it for the amount that
/// they have sent. Without a size they start again.
///
/// If the old file is longer than the new one, lftp waits forever or reports success. `ncftpput -z`
/// sends the whole file behind it, which [`Sink::write`](wharf_core::storage::Sink::write) cannot
/// notice in a file that repeats itself.
pub(super) async fn deny_misread_size(session: &Session, path: &VPath) -> Result<(), Refusal> {
    let is_misread = MISREADERS.iter().any(|name| session.is_client(name));
    if is_misread && session.files()?.awaits_replacement(path).await? {
        return Err(Refusal::unavailable("An upload to this file is unfinished; send it again."));
    }
    Ok(())
}

/// Beginnings of the CLNT names of these clients.
const MISREADERS: [&str; 2] = ["lftp", "NcFTP"];

static MDTM: Spec = Spec {
    verb: "MDTM",
    syntax: "MDTM [<YYYYMMDDHHMMSS>] <path>",
    about: "Show the modification time in UTC; with a time, set it (needs mtime)",
    rfc: "RFC 3659 §3",
    arg: Arg::Required,
    keeps_pending: true,
    features: |_| vec!["MDTM".into()],
    run: Run::Async(|session, arg| Box::pin(mdtm(session, arg))),
    ..Spec::logged_in(Permissions::LIST)
};

async fn mdtm(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = session.path(arg).await?;
    // A file whose name is the whole argument takes precedence.
    if let Ok((modified, typed)) = parse_mfmt(arg)
        && !session.files()?.exists(&path).await
    {
        return set_modified(session, modified, typed).await;
    }
    let entry = session.files()?.stat(&path).await?;
    if entry.kind == Kind::Link {
        return Err(session.files()?.link_error(&path).await);
    }
    Ok(Next::Reply(Reply::new(Code::FILE_STATUS, written(entry.modified))))
}

static MFMT: Spec = Spec {
    verb: "MFMT",
    syntax: "MFMT <YYYYMMDDHHMMSS> <path>",
    about: "Set the modification time, in UTC",
    rfc: "draft-somers-ftp-mfxx-04 §5",
    arg: Arg::Required,
    features: |_| vec!["MFMT".into()],
    run: Run::Async(|session, arg| Box::pin(mfmt(session, arg))),
    ..Spec::logged_in(Permissions::MTIME)
};

async fn mfmt(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let (modified, typed) = parse_mfmt(arg)?;
    set_modified(session, modified, typed).await
}

/// Sets a time; the reply repeats it with the path as the client sent it
/// (draft-somers-ftp-mfxx-04 §5).
async fn set_modified(
    session: &mut Session,
    modified: Timestamp,
    typed: &[u8],
) -> Result<Next, Refusal> {
    let path = session.path(typed).await?;
    session.files()?.set(&path, Change::Modified(modified)).await?;
    session.emit(&Event::AttributesChanged(&path));
    let mut line = b"Modify=".to_vec();
    line.extend(written(modified));
    line.extend_from_slice(b"; ");
    line.extend_from_slice(typed);
    Ok(Next::Reply(Reply::new(Code::FILE_STATUS, line)))
}

pub(super) static SITE_UTIME: Spec = Spec {
    verb: "SITE UTIME",
    syntax: "SITE UTIME <YYYYMMDDHHMM[SS]> <path>, SITE UTIME <path> <atime> <mtime> <ctime> UTC",
    about: "Set the modification time, in UTC, in the syntax of ProFTPD or Pure-FTPd",
    rfc: "no RFC; sent by some clients",
    arg: Arg::Required,
    run: Run::Async(|session, arg| Box::pin(utime(session, arg))),
    ..Spec::logged_in(Permissions::MTIME)
};

async fn utime(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let (modified, typed) = parse_utime(arg)?;
    let path = session.path(typed).await?;
    session.files()?.set(&path, Change::Modified(modified)).await?;
    session.emit(&Event::AttributesChanged(&path));
    Next::reply(Code::OK, "UTIME command successful.")
}

fn written(time: Timestamp) -> Vec<u8> {
    let mut text = Vec::new();
    time.write(&mut text);
    text
}

#[cfg(test)]
mod tests {
    use wharf_core::permission::{Permissions, Rules};
    use wharf_core::storage::Start;
    use wharf_proto::path::VPath;

    use crate::testing::TestSession;

    const NO_RNFR: &str = "503 Bad sequence of commands: RNTO must immediately follow RNFR.";

    fn bench() -> TestSession {
        TestSession::new().logged_in(Permissions::ALL).with_file("/a", b"hello")
    }

    #[tokio::test]
    async fn dele_needs_its_permission() {
        let mut bench = TestSession::new().logged_in(Permissions::READ_ONLY).with_file("/a", b"x");
        assert_eq!(bench.send("DELE a").await, "550 Permission denied.");
        assert!(bench.has_file("/a"));
    }

    #[tokio::test]
    async fn row_24_25_a_permission_in_one_directory_does_not_apply_in_another() {
        let inside = VPath::root().join(b"in").unwrap();
        let rules = Rules::everywhere(Permissions::READ_ONLY).with(inside, Permissions::ALL);
        let mut bench = TestSession::new()
            .logged_in_with_rules(rules)
            .with_file("/a", b"x")
            .with_file("/in/a", b"x");
        assert_eq!(bench.send("DELE a").await, "550 Permission denied.");
        assert_eq!(bench.send("DELE in/a").await, "250 Removed.");
        assert_eq!(bench.send("RNFR a").await, "550 Permission denied.");
        assert!(bench.has_file("/a") && !bench.has_file("/in/a"));
    }

    #[tokio::test]
    async fn dele_removes_files_and_not_directories() {
        let mut bench = bench();
        assert_eq!(bench.send("DELE a").await, "250 Removed.");
        assert_eq!(bench.send("DELE a").await, "550 No such file or directory.");
        bench.send("MKD d").await;
        assert_eq!(bench.send("DELE d").await, "550 Is a directory.");
    }

    #[tokio::test]
    async fn a_rename_takes_rnfr_and_then_rnto() {
        let mut bench = bench();
        assert_eq!(bench.send("RNTO b").await, NO_RNFR);
        assert!(bench.send("RNFR a").await.starts_with("350"));
        assert_eq!(bench.send("RNTO b").await, "250 Renamed.");
        assert_eq!(bench.send("RNTO c").await, NO_RNFR);
        assert!(bench.has_file("/b") && !bench.has_file("/a"));
    }

    #[tokio::test]
    async fn a_rename_replaces_only_with_the_permission_to() {
        let without = Permissions::LIST.union(Permissions::RENAME);
        let mut bench =
            TestSession::new().logged_in(without).with_file("/a", b"a").with_file("/b", b"b");
        bench.send("RNFR a").await;
        assert_eq!(bench.send("RNTO b").await, "550 File exists.");
        assert_eq!(bench.memory.content("/b").unwrap(), b"b");
    }

    #[tokio::test]
    async fn row_16_size_counts_bytes_and_rejects_text() {
        let mut bench = bench();
        assert!(bench.send("SIZE a").await.starts_with("550 SIZE not allowed in ASCII mode"));
        bench.send("TYPE I").await;
        assert_eq!(bench.send("SIZE a").await, "213 5");
        assert_eq!(bench.send("SIZE /").await, "550 Not a regular file.");
        assert_eq!(bench.send("SIZE b").await, "550 No such file or directory.");
    }

    #[tokio::test]
    async fn size_shows_the_owner_the_size_of_a_partial_upload() {
        let mut bench = bench();
        bench.send("TYPE I").await;
        let path = VPath::root().join(b"up").unwrap();
        let files = bench.session.files().unwrap().clone();
        let mut sink = files.store(&path, Start::Fresh).await.unwrap();
        sink.write(wharf_core::Bytes::from_static(b"abc")).await.unwrap();
        sink.abort().await;
        assert_eq!(bench.send("SIZE up").await, "213 3");
        assert!(bench.send("MLST up").await.contains("size=3;"));
        assert_eq!(bench.list("NLST").await, "425 only");
        let mut bench = bench.ready();
        assert_eq!(bench.list("NLST").await, "a");
    }

    #[tokio::test]
    async fn row_56_clients_that_misread_it_get_no_size_of_a_file_that_awaits_replacement() {
        let mut bench = bench();
        bench.send("TYPE I").await;
        let files = bench.session.files().unwrap().clone();
        for name in [b"a".as_slice(), b"new"] {
            let path = VPath::root().join(name).unwrap();
            let mut sink = files.store(&path, Start::Fresh).await.unwrap();
            sink.write(wharf_core::Bytes::from_static(b"abc")).await.unwrap();
            sink.abort().await;
        }
        // What RETR sends, for every other client.
        for client in ["curl", "lf", "FileZilla"] {
            bench.send(&format!("CLNT {client}")).await;
            assert_eq!(bench.send("SIZE a").await, "213 5");
            assert!(bench.send("MLST a").await.contains("size=5;"));
        }
        for client in ["lftp/4.9.2", "LFTP", "NcFTPPut 3.2.6 linux-x86_64-glibc2.33"] {
            bench.send(&format!("CLNT {client}")).await;
            for verb in ["SIZE", "MLST"] {
                let reply = bench.send(&format!("{verb} a")).await;
                assert!(reply.starts_with("550 An upload to this file is unfinished"), "{reply}");
            }
            assert_eq!(bench.send("SIZE new").await, "213 3", "no file stands there");
        }
        let path = VPath::root().join(b"a").unwrap();
        let mut sink = files.store(&path, Start::Fresh).await.unwrap();
        sink.write(wharf_core::Bytes::from_static(b"whole")).await.unwrap();
        sink.commit().await.unwrap();
        assert_eq!(bench.send("SIZE a").await, "213 5");
    }

    #[tokio::test]
    async fn row_26_times_are_shown_and_set_in_utc() {
        let mut bench = bench();
        assert_eq!(bench.send("MDTM a").await, "213 20261122120000");
        let reply = bench.send("MFMT 20200229235958 a").await;
        assert_eq!(reply, "213 Modify=20200229235958; a");
        assert_eq!(bench.send("MDTM a").await, "213 20200229235958");
        assert!(bench.send("MFMT 20210229000000 a").await.starts_with("501"));
        bench.send("MKD d").await;
        let reply = bench.send("MFMT 20200229235958 d/../a").await;
        assert_eq!(reply, "213 Modify=20200229235958; d/../a");
    }

    #[tokio::test]
    async fn row_26_mdtm_with_a_time_sets_it_unless_a_file_has_that_name() {
        let mut bench = bench();
        let reply = bench.send("MDTM 20200101000000 a").await;
        assert_eq!(reply, "213 Modify=20200101000000; a");
        assert_eq!(bench.send("MDTM a").await, "213 20200101000000");
        assert!(bench.send("MDTM 20200101000000 b").await.starts_with("550"));
        assert!(bench.send("MDTM 20201301000000 a").await.starts_with("550"));
        assert!(bench.send("MDTM 2020010100000 a").await.starts_with("550"));
        let mut bench = bench.with_file("/20200101000000 a", b"x");
        assert_eq!(bench.send("MDTM 20200101000000 a").await, "213 20261122120000");
        let without = Permissions::READ_ONLY;
        let mut bench = TestSession::new().logged_in(without).with_file("/a", b"hello");
        assert_eq!(bench.send("MDTM 20200101000000 a").await, "550 Permission denied.");
        assert_eq!(bench.send("MDTM a").await, "213 20261122120000");
    }

    #[tokio::test]
    async fn row_26_site_utime_takes_the_forms_of_other_servers() {
        for line in [
            "SITE UTIME 20200101000000 a b",
            "SITE UTIME 202001010000 a b",
            "SITE UTIME a b 20190101000000 20200101000000 20210101000000 UTC",
        ] {
            let mut bench = bench().with_file("/a b", b"x");
            assert_eq!(bench.send(line).await, "200 UTIME command successful.", "{line}");
            assert_eq!(bench.send("MDTM a b").await, "213 20200101000000", "{line}");
        }
        let mut bench = bench();
        assert!(bench.send("SITE UTIME 20200101000000 nothing").await.starts_with("550"));
        assert!(bench.send("SITE UTIME yesterday a").await.starts_with("501"));
        let mut bench = TestSession::new().logged_in(Permissions::READ_ONLY).with_file("/a", b"x");
        assert_eq!(bench.send("SITE UTIME 20200101000000 a").await, "550 Permission denied.");
    }
}
