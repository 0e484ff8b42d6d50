//! Listings: LIST, NLST, MLSD, MLST, and STAT of a path.

use jiff::tz::TimeZone;
use wharf_core::error::ErrorKind;
use wharf_core::permission::Permissions;
use wharf_core::storage::ByteStream;
use wharf_proto::args::{ListArgs, parse_list_args};
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::glob::Glob;
use wharf_proto::listing::{Facts, Format, Long, Short};
use wharf_proto::path::VPath;
use wharf_proto::reply::{Code, Reply};
use wharf_proto::time::Timestamp;

use super::spec::{Arg, Run, Spec};
use crate::lines::{Shape, lines, made};
use crate::next::{Job, Next, Transfer};
use crate::refusal::Refusal;
use crate::session::Session;
use crate::settings::ListTime;

pub(super) static ROWS: &[&Spec] = &[&LIST, &NLST, &MLSD, &MLST];

/// What a listing command's argument turned out to be.
enum Subject {
    Directory(VPath),
    File(VPath, Entry),
    /// The entries of a directory that match.
    Pattern(VPath, Glob),
}

static LIST: Spec = Spec {
    verb: "LIST",
    syntax: "LIST [<path or pattern>]",
    about: "List files with their facts, in the form of ls -l",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Optional,
    needs: Permissions::LIST,
    moves_data: true,
    unavailable: Code::FILE_BUSY,
    run: Run::Later(|session, arg| Box::pin(list(session, arg))),
    ..Spec::LOGGED_IN
};

async fn list(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let (subject, _) = subject(session, parse_list_args(arg)).await?;
    let format = long(session);
    listing(session, subject, format, Prefix::None).await
}

static NLST: Spec = Spec {
    verb: "NLST",
    syntax: "NLST [<path or pattern>]",
    about: "List names alone, ready for RETR",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Optional,
    needs: Permissions::LIST,
    moves_data: true,
    unavailable: Code::FILE_BUSY,
    run: Run::Later(|session, arg| Box::pin(nlst(session, arg))),
    ..Spec::LOGGED_IN
};

/// Names that RETR understands as they are: with the directory of the argument before them
/// (RFC 1123 §4.1.2.7).
async fn nlst(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let args = parse_list_args(arg);
    let is_long = args.options.long;
    let (subject, is_here) = subject(session, args).await?;
    let format: Box<dyn Format> = if is_long { long(session) } else { Box::new(Short) };
    listing(session, subject, format, if is_here { Prefix::None } else { Prefix::Typed }).await
}

static MLSD: Spec = Spec {
    verb: "MLSD",
    syntax: "MLSD [<directory>]",
    about: "List files with their facts, for programs",
    rfc: "RFC 3659 §7",
    arg: Arg::Optional,
    needs: Permissions::LIST,
    moves_data: true,
    run: Run::Later(|session, arg| Box::pin(mlsd(session, arg))),
    ..Spec::LOGGED_IN
};

async fn mlsd(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = path_or_here(session, arg).await?;
    let files = session.files()?.clone();
    if files.stat(&path).await?.kind != Kind::Dir {
        return Next::say(Code::BAD_ARGUMENT, "MLSD lists directories; use MLST for a file.");
    }
    let format = Box::new(Facts(session.parameters.facts));
    listing(session, Subject::Directory(path), format, Prefix::None).await
}

static MLST: Spec = Spec {
    verb: "MLST",
    syntax: "MLST [<path>]",
    about: "Show the facts of one file, for programs",
    rfc: "RFC 3659 §7",
    arg: Arg::Optional,
    needs: Permissions::LIST,
    keeps_pending: true,
    features: |session| vec![format!("MLST {}", session.parameters.facts.feat()), "TVFS".into()],
    run: Run::Later(|session, arg| Box::pin(mlst(session, arg))),
    ..Spec::LOGGED_IN
};

async fn mlst(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = path_or_here(session, arg).await?;
    let entry = session.files()?.size(&path).await?;
    // The reply puts the one space before the facts that RFC 3659 §7.2 asks for.
    let mut line = Vec::new();
    Facts(session.parameters.facts).facts_only(&entry, &mut line);
    line.push(b' ');
    line.extend_from_slice(path.as_bytes());
    let lines = [b"Facts:".to_vec(), line, b"End".to_vec()];
    Ok(Next::Say(Reply::lines(Code::FILE_DONE, lines)))
}

async fn path_or_here(session: &mut Session, arg: &[u8]) -> Result<VPath, Refusal> {
    if arg.is_empty() { Ok(session.cwd.clone()) } else { session.path(arg).await }
}

/// STAT of a path (RFC 959 §4.1.3): the lines of LIST within a reply, and the code for what it is.
pub(super) async fn stat(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let (subject, _) = subject(session, parse_list_args(arg)).await?;
    let code = match &subject {
        Subject::File(..) => Code::FILE_STATUS,
        Subject::Directory(_) | Subject::Pattern(..) => Code::DIRECTORY_STATUS,
    };
    let format = long(session);
    let mut stream = stream(session, subject, format, Prefix::None).await?;
    let mut replied = vec![b"Status:".to_vec()];
    while let Some(piece) =
        std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await.transpose()?
    {
        let piece = piece.strip_suffix(b"\r\n").unwrap_or(&piece);
        replied
            .extend(piece.split(|&byte| byte == b'\n').map(|line| line.trim_ascii_end().to_vec()));
        if replied.len() > STAT_LINES_MAX {
            return Next::say(Code::FILE_BUSY, "That is too long for STAT; use LIST.");
        }
    }
    replied.push(b"End of status.".to_vec());
    Ok(Next::Say(Reply::lines(code, replied)))
}

/// A longer listing does not belong into a reply, which is built as a whole.
const STAT_LINES_MAX: usize = 10_000;

/// Whether names have a directory before them.
enum Prefix {
    None,
    Typed,
}

async fn listing(
    session: &mut Session,
    subject: Subject,
    format: Box<dyn Format>,
    prefix: Prefix,
) -> Result<Next, Refusal> {
    let lines = stream(session, subject, format, prefix).await?;
    let opening = "Here it comes.".to_owned();
    Ok(Next::Transfer(Transfer { opening, job: Job::List { lines } }))
}

async fn stream(
    session: &Session,
    subject: Subject,
    format: Box<dyn Format>,
    prefix: Prefix,
) -> Result<ByteStream, Refusal> {
    let files = session.files()?;
    let (at, only, file) = match subject {
        Subject::Directory(path) => (path, None, None),
        Subject::Pattern(path, glob) => (path, Some(glob), None),
        Subject::File(path, entry) => (path.parent().unwrap_or(path), None, Some(entry)),
    };
    let prefix = match prefix {
        Prefix::None => Vec::new(),
        Prefix::Typed => before(&session.cwd, &at),
    };
    let shape =
        Shape { format, names: session.names, only, prefix, rights: (files.clone(), at.clone()) };
    Ok(match file {
        Some(entry) => {
            let mut line = Vec::new();
            shape.line(entry, &mut line);
            made(line)
        }
        None => lines(files.list(&at).await?, shape),
    })
}

/// What to put before the names in `directory` so that they can be used from `cwd`.
fn before(cwd: &VPath, directory: &VPath) -> Vec<u8> {
    if cwd == directory {
        return Vec::new();
    }
    let mut prefix = directory.as_bytes().to_vec();
    if directory.is_within(cwd) {
        prefix.drain(..cwd.as_bytes().len());
        if prefix.first() == Some(&b'/') {
            prefix.remove(0);
        }
    }
    if prefix.last() != Some(&b'/') {
        prefix.push(b'/');
    }
    prefix
}

/// Finds out what the argument means, and whether it was empty: here.
///
/// Something that really has the name of the whole argument, options and all, is what the client
/// means; then what stands behind the options; then a pattern in the last name.
async fn subject(session: &mut Session, args: ListArgs<'_>) -> Result<(Subject, bool), Refusal> {
    if args.path.is_empty() && args.literal.is_empty() {
        return Ok((Subject::Directory(session.cwd.clone()), true));
    }
    let mut typed = args.path;
    if args.literal != args.path {
        let literal = session.path(args.literal).await?;
        if session.files()?.exists(&literal).await {
            typed = args.literal;
        }
    }
    if typed.is_empty() {
        return Ok((Subject::Directory(session.cwd.clone()), true));
    }
    let path = session.path(typed).await?;
    let files = session.files()?;
    if files.exists(&path).await {
        let entry = files.stat(&path).await?;
        return Ok(match entry.kind {
            Kind::Dir => (Subject::Directory(path), false),
            _ => (Subject::File(path, entry), false),
        });
    }
    match (path.name().and_then(Glob::parse), path.parent()) {
        (Some(Ok(glob)), Some(parent)) => Ok((Subject::Pattern(parent, glob), false)),
        (Some(Err(_)), _) => {
            Err(Refusal::say(Code::BAD_ARGUMENT, "That pattern has too many wildcards."))
        }
        _ => Err(wharf_core::error::Error::from(ErrorKind::NotFound).into()),
    }
}

fn long(session: &Session) -> Box<dyn Format> {
    Box::new(Long {
        now: session.shared.net.now(),
        offset_seconds: match session.settings.names.list_time {
            ListTime::Utc => |_| 0,
            ListTime::Local => local_offset,
        },
    })
}

/// Seconds east of UTC at that moment, where this computer stands.
fn local_offset(at: Timestamp) -> i32 {
    jiff::Timestamp::from_second(at.seconds)
        .map_or(0, |moment| TimeZone::system().to_offset(moment).seconds())
}
