//! Listings: LIST, NLST, MLSD, MLST, and STAT of a path.

use jiff::tz::TimeZone;
use wharf_core::error::ErrorKind;
use wharf_core::permission::Permissions;
use wharf_core::storage::{ByteStream, ListDetail};
use wharf_proto::args::{ListArgs, ListOptions, parse_list_args};
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::glob::Glob;
use wharf_proto::listing::{Format, Long, MachineListing, Offset, Short};
use wharf_proto::path::VPath;
use wharf_proto::reply::{Code, Reply};
use wharf_proto::time::Timestamp;

use super::file::deny_misread_size;
use super::spec::{Arg, Run, Spec};
use crate::lines::{LineFormatter, TreePrefix, lines, prepared, tree};
use crate::next::{Job, Next, Transfer};
use crate::refusal::Refusal;
use crate::session::Session;
use crate::settings::ListTime;

pub(super) static ROWS: &[&Spec] = &[&LIST, &NLST, &MLSD, &MLST];

/// What the argument of a listing command refers to.
enum Subject {
    Directory(VPath),
    File(VPath, Entry),
    /// The entries of a directory that match.
    Pattern(VPath, Glob),
}

static LIST: Spec = Spec {
    verb: "LIST",
    syntax: "LIST [<path or pattern>]",
    about: "List files in the format of ls -l; recursively with -R",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Optional,
    moves_data: true,
    run: Run::Async(|session, arg| Box::pin(list(session, arg))),
    ..Spec::logged_in(Permissions::LIST)
};

async fn list(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let request = list_request(session, parse_list_args(arg)).await?;
    let format = long(session);
    listing(session, request, format).await
}

static NLST: Spec = Spec {
    verb: "NLST",
    syntax: "NLST [<path or pattern>]",
    about: "List file names only; recursively with -R",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Optional,
    moves_data: true,
    run: Run::Async(|session, arg| Box::pin(nlst(session, arg))),
    ..Spec::logged_in(Permissions::LIST)
};

/// Lists names that can be passed to RETR: prefixed with the directory of the argument
/// (RFC 1123 §4.1.2.7), absolute if the argument is.
async fn nlst(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let request = list_request(session, parse_list_args(arg)).await?;
    let is_long = request.options.long;
    let format: Box<dyn Format> = if is_long { long(session) } else { Box::new(Short) };
    listing(session, request, format).await
}

static MLSD: Spec = Spec {
    verb: "MLSD",
    syntax: "MLSD [<directory>]",
    about: "List files with their facts in a machine-readable format",
    rfc: "RFC 3659 §7",
    arg: Arg::Optional,
    moves_data: true,
    run: Run::Async(|session, arg| Box::pin(mlsd(session, arg))),
    ..Spec::logged_in(Permissions::LIST)
};

async fn mlsd(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = path_or_here(session, arg).await?;
    match session.files()?.stat(&path).await?.kind {
        Kind::Dir => {}
        Kind::Link => return Err(session.files()?.link_error(&path).await),
        Kind::File | Kind::Other => {
            return Next::reply(Code::BAD_ARGUMENT, "Not a directory; use MLST for a file.");
        }
    }
    let format = Box::new(MachineListing::new(session.parameters.facts));
    listing(session, ListRequest::alone(Subject::Directory(path)), format).await
}

static MLST: Spec = Spec {
    verb: "MLST",
    syntax: "MLST [<path>]",
    about: "Show the facts of one file in a machine-readable format",
    rfc: "RFC 3659 §7",
    arg: Arg::Optional,
    keeps_pending: true,
    features: |session| vec![format!("MLST {}", session.parameters.facts.feat()), "TVFS".into()],
    run: Run::Async(|session, arg| Box::pin(mlst(session, arg))),
    ..Spec::logged_in(Permissions::LIST)
};

async fn mlst(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let path = path_or_here(session, arg).await?;
    let entry = session.files()?.size(&path).await?;
    deny_misread_size(session, &path).await?;
    // The reply adds the space before the facts that RFC 3659 §7.2 requires.
    let mut line = Vec::new();
    MachineListing::new(session.parameters.facts).facts_only(&entry, &mut line);
    line.push(b' ');
    line.extend_from_slice(path.as_bytes());
    let lines = [b"Facts:".to_vec(), line, b"End".to_vec()];
    Ok(Next::Reply(Reply::lines(Code::FILE_DONE, lines)))
}

async fn path_or_here(session: &mut Session, arg: &[u8]) -> Result<VPath, Refusal> {
    if arg.is_empty() { Ok(session.cwd.clone()) } else { session.path(arg).await }
}

/// STAT of a path (RFC 959 §4.1.3): the lines of LIST within a reply; the code depends on the kind.
pub(super) async fn stat(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let request = list_request(session, parse_list_args(arg)).await?;
    let code = match &request.subject {
        Subject::File(..) => Code::FILE_STATUS,
        Subject::Directory(_) | Subject::Pattern(..) => Code::DIRECTORY_STATUS,
    };
    let format = long(session);
    let mut stream = stream(session, request, format).await?;
    let mut replied = vec![b"Status:".to_vec()];
    while let Some(piece) =
        std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await.transpose()?
    {
        let piece = piece.strip_suffix(b"\r\n").unwrap_or(&piece);
        replied
            .extend(piece.split(|&byte| byte == b'\n').map(|line| line.trim_ascii_end().to_vec()));
        if replied.len() > STAT_LINES_MAX {
            return Next::reply(Code::FILE_BUSY, "Listing too long for STAT; use LIST.");
        }
    }
    replied.push(b"End of status.".to_vec());
    Ok(Next::Reply(Reply::lines(code, replied)))
}

/// Lines of a STAT listing at most, since the reply is built in memory.
const STAT_LINES_MAX: usize = 10_000;

/// The prefix of listed names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefix {
    /// No prefix: the argument has no path.
    None,
    /// The path relative to the current directory.
    Relative,
    /// The path from the root.
    Absolute,
}

async fn listing(
    session: &mut Session,
    request: ListRequest,
    format: Box<dyn Format>,
) -> Result<Next, Refusal> {
    let lines = stream(session, request, format).await?;
    let opening = "Here comes the directory listing.".to_owned();
    Ok(Next::Transfer(Transfer { opening, job: Job::List { lines } }))
}

async fn stream(
    session: &Session,
    request: ListRequest,
    format: Box<dyn Format>,
) -> Result<ByteStream, Refusal> {
    let files = session.files()?;
    let ListRequest { subject, prefix, options } = request;
    let (at, only, file) = match subject {
        Subject::Directory(path) => (path, None, None),
        Subject::Pattern(path, glob) => (path, Some(glob), None),
        Subject::File(path, entry) => (path.parent().unwrap_or(path), None, Some(entry)),
    };
    let before = match prefix {
        Prefix::None => Vec::new(),
        Prefix::Relative => before(&session.cwd, &at),
        Prefix::Absolute => before_all(&at),
    };
    let shows_names_alone = !format.shows_facts();
    let wanted = if shows_names_alone { ListDetail::Names } else { ListDetail::Facts };
    let perms = files.perms_in(&at);
    // Lines with facts show the name without a prefix, like `ls -l DIR`.
    let prefix = if shows_names_alone { before.clone() } else { Vec::new() };
    let mut formatter = LineFormatter { format, names: session.names.clone(), only, prefix, perms };
    if let Some(mut entry) = file {
        let mut line = Vec::new();
        formatter.line(&mut entry, &mut line);
        return Ok(prepared(line));
    }
    let entries = files.list(&at, wanted).await?;
    let blocking_pool = &session.shared.blocking_pool;
    if options.recursive {
        let title = (!shows_names_alone).then(|| title(&before));
        let tree_prefix = TreePrefix { prefix: before, title };
        return Ok(tree(files.clone(), at, formatter, tree_prefix, blocking_pool));
    }
    Ok(lines(entries, formatter, blocking_pool))
}

/// The title of the first directory as in `ls -R`: a dot, or the path in the argument.
fn title(before: &[u8]) -> Vec<u8> {
    match before {
        b"" => b".".to_vec(),
        b"/" => b"/".to_vec(),
        [path @ .., _] => path.to_vec(),
    }
}

/// The absolute path of a directory with a trailing slash.
fn before_all(directory: &VPath) -> Vec<u8> {
    let mut prefix = directory.as_bytes().to_vec();
    if prefix.last() != Some(&b'/') {
        prefix.push(b'/');
    }
    prefix
}

/// The prefix with which names in `directory` are valid in `cwd`.
fn before(cwd: &VPath, directory: &VPath) -> Vec<u8> {
    if cwd == directory {
        return Vec::new();
    }
    let mut prefix = before_all(directory);
    if directory.is_within(cwd) {
        prefix.drain(..cwd.as_bytes().len());
        if prefix.first() == Some(&b'/') {
            prefix.remove(0);
        }
    }
    prefix
}

/// The parsed argument of a listing command.
struct ListRequest {
    subject: Subject,
    prefix: Prefix,
    options: ListOptions,
}

impl ListRequest {
    /// A request without a prefix and without options.
    fn alone(subject: Subject) -> Self {
        Self { subject, prefix: Prefix::None, options: ListOptions::default() }
    }
}

/// Parses the argument of a listing command.
///
/// Words that can only be options of `ls` are always options: KDE, gvfs and ange-ftp send them with
/// every listing. For other words with a hyphen, a file with the name of the whole argument comes
/// first, then the path after the options, then a pattern in the last component.
async fn list_request(session: &mut Session, args: ListArgs<'_>) -> Result<ListRequest, Refusal> {
    let may_be_name = args.literal != args.path && !args.are_options;
    if may_be_name && !args.literal.trim_ascii().is_empty() {
        let literal = session.path(args.literal).await?;
        if session.files()?.exists(&literal).await {
            let subject = subject(session, literal).await?;
            return Ok(ListRequest { prefix: Prefix::Relative, ..ListRequest::alone(subject) });
        }
    }
    let options = args.options;
    if args.path.is_empty() {
        let subject = Subject::Directory(session.cwd.clone());
        return Ok(ListRequest { options, ..ListRequest::alone(subject) });
    }
    let path = session.path(args.path).await?;
    let is_absolute = match args.path.first() {
        Some(b'/') => true,
        // Some clients send a backslash for a slash; a name that contains one keeps it.
        Some(b'\\') => !path.as_bytes().contains(&b'\\'),
        _ => false,
    };
    let prefix = if is_absolute { Prefix::Absolute } else { Prefix::Relative };
    Ok(ListRequest { subject: subject(session, path).await?, prefix, options })
}

async fn subject(session: &Session, path: VPath) -> Result<Subject, Refusal> {
    let files = session.files()?;
    if let Some(entry) = files.find(&path).await? {
        return Ok(match entry.kind {
            Kind::Dir => Subject::Directory(path),
            _ => Subject::File(path, entry),
        });
    }
    match (path.name().and_then(Glob::parse), path.parent()) {
        (Some(Ok(glob)), Some(parent)) => Ok(Subject::Pattern(parent, glob)),
        (Some(Err(_)), _) => {
            Err(Refusal::new(Code::BAD_ARGUMENT, "Too many wildcards in the pattern."))
        }
        _ => Err(wharf_core::error::Error::from(ErrorKind::NotFound).into()),
    }
}

fn long(session: &Session) -> Box<dyn Format> {
    let offset = match session.settings.names.list_time {
        ListTime::Utc => |_| Offset::UTC,
        ListTime::Local => local_offset,
    };
    Box::new(Long::new(session.shared.net.now(), offset))
}

/// The offset of the server's time zone from UTC at that time.
fn local_offset(at: Timestamp) -> Offset {
    let until = at.seconds.saturating_add(1);
    let second = jiff::Timestamp::from_second;
    let (Ok(moment), Ok(after)) = (second(at.seconds), second(until)) else {
        return Offset { seconds: 0, from: at.seconds, until };
    };
    let zone = TimeZone::system();
    let second = |transition: jiff::tz::TimeZoneTransition<'_>| transition.timestamp().as_second();
    Offset {
        seconds: zone.to_offset(moment).seconds(),
        from: zone.preceding(after).next().map_or(i64::MIN, second),
        until: zone.following(moment).next().map_or(i64::MAX, second),
    }
}

#[cfg(test)]
mod tests {
    use wharf_core::permission::{Permissions, Rules};
    use wharf_proto::path::VPath;

    use crate::testing::TestSession;

    fn bench() -> TestSession {
        TestSession::new()
            .logged_in(Permissions::ALL)
            .with_file("/b.txt", b"bb")
            .with_file("/a.txt", b"a")
            .with_file("/d/c.txt", b"ccc")
            .ready()
    }

    #[tokio::test]
    async fn list_has_the_form_that_clients_know_sorted() {
        let mut bench = bench();
        bench.session.settings = {
            let mut settings = (*bench.session.settings).clone();
            settings.names.list_time = crate::settings::ListTime::Utc;
            std::sync::Arc::new(settings)
        };
        assert_eq!(
            bench.list("LIST").await,
            "-rw-r--r--    1 ftp      ftp              1 Nov 22 12:00 a.txt / \
             -rw-r--r--    1 ftp      ftp              2 Nov 22 12:00 b.txt / \
             drwxr-xr-x    1 ftp      ftp              0 Nov 22 12:00 d"
        );
    }

    #[tokio::test]
    async fn options_of_ls_are_options_even_if_a_file_has_that_name() {
        let mut bench = bench().with_file("/-la", b"x").with_file("/-a", b"x");
        for line in ["NLST -a", "NLST -la", "NLST -al .", "NLST  -1", "NLST", "LIST -al"] {
            let listed = bench.list(line).await;
            assert!(listed.ends_with('d') && listed.contains("a.txt"), "{line}: {listed}");
        }
        assert_eq!(bench.list("NLST ./-la").await, "-la");
        assert_eq!(bench.list("NLST -- -la").await, "-la");
        // A word with other letters can be a name.
        let mut bench = bench.with_file("/-notes.txt", b"x").with_file("/-all", b"x");
        assert_eq!(bench.list("NLST -notes.txt").await, "-notes.txt");
        assert_eq!(bench.list("NLST -all").await, "-all");
        assert_eq!(bench.list("NLST -notes.txt d").await, "d/c.txt");
    }

    #[tokio::test]
    async fn nlst_gives_names_that_retr_understands() {
        let mut bench = bench();
        assert_eq!(bench.list("NLST d").await, "d/c.txt");
        assert_eq!(bench.list("NLST d/").await, "d/c.txt");
        assert_eq!(bench.list("NLST d/*.txt").await, "d/c.txt");
        assert_eq!(bench.list("NLST a.txt").await, "a.txt");
        bench.send("CWD d").await;
        assert_eq!(bench.list("NLST ..").await, "/a.txt / /b.txt / /d");
        assert_eq!(bench.list("NLST .").await, "c.txt");
    }

    #[tokio::test]
    async fn nlst_of_an_absolute_path_gives_absolute_names() {
        let mut bench = bench();
        for cwd in ["/", "/d"] {
            bench.send(&format!("CWD {cwd}")).await;
            assert_eq!(bench.list("NLST /d").await, "/d/c.txt");
            assert_eq!(bench.list("NLST -a /d/").await, "/d/c.txt");
            assert_eq!(bench.list("NLST /d/*.txt").await, "/d/c.txt");
            assert_eq!(bench.list("NLST /d/c.txt").await, "/d/c.txt");
            assert_eq!(bench.list("NLST /").await, "/a.txt / /b.txt / /d");
        }
    }

    #[tokio::test]
    async fn a_recursive_listing_shows_subdirectories_one_by_one() {
        let mut bench = bench().with_file("/d/e/f", b"x");
        assert_eq!(bench.list("NLST -R").await, "a.txt / b.txt / d / d/c.txt / d/e / d/e/f");
        assert_eq!(bench.list("NLST -R d").await, "d/c.txt / d/e / d/e/f");
        assert_eq!(bench.list("NLST -R /d").await, "/d/c.txt / /d/e / /d/e/f");
        let names = |listed: String| {
            let shown = |line: &str| line.rsplit(' ').next().unwrap_or_default().to_owned();
            listed.split(" / ").map(shown).collect::<Vec<_>>().join("|")
        };
        let blocks = ".:|a.txt|b.txt|d||./d:|c.txt|e||./d/e:|f";
        for line in ["LIST -R", "LIST -alR", "NLST -alLR"] {
            assert_eq!(names(bench.list(line).await), blocks, "{line}");
        }
        assert_eq!(names(bench.list("LIST -lR /d").await), "/d:|c.txt|e||/d/e:|f");
        assert_eq!(names(bench.list("LIST -R d").await), "d:|c.txt|e||d/e:|f");
        assert_eq!(names(bench.list("LIST d").await), "c.txt|e");
        assert!(bench.send("STAT -R d").await.contains("d/e:"));
        // A pattern selects the entries of the first directory.
        assert_eq!(bench.list("NLST -R d*").await, "d / d/c.txt / d/e / d/e/f");
        assert_eq!(bench.list("NLST -R d/*").await, "d/c.txt / d/e / d/e/f");
        assert_eq!(bench.list("NLST -R *.txt").await, "a.txt / b.txt");
        assert_eq!(names(bench.list("LIST -R d*").await), ".:|d||./d:|c.txt|e||./d/e:|f");
        assert_eq!(bench.list("LIST -R nosuch*").await, "");
        assert_eq!(names(bench.list("LIST -R d/e/*").await), "d/e:|f");
    }

    #[tokio::test]
    async fn row_38_a_recursive_listing_checks_the_permissions_in_each_directory() {
        let rules = Rules::everywhere(Permissions::ALL)
            .with(VPath::root().resolve(b"d/secret").unwrap(), Permissions::NONE)
            .with(VPath::root().resolve(b"d/secret/open").unwrap(), Permissions::ALL);
        let mut bench = TestSession::new()
            .logged_in_with_rules(rules)
            .with_file("/d/secret/open/x", b"x")
            .with_file("/d/to/y", b"y")
            .ready();
        assert_eq!(bench.list("NLST -R").await, "d / d/secret / d/to / d/to/y");
        assert_eq!(bench.list("NLST -R d/secret").await, "550 only");
        assert_eq!(bench.list("NLST -R d/secret/open").await, "d/secret/open/x");
    }

    #[tokio::test]
    async fn row_38_a_recursive_listing_ends_with_an_error_beyond_its_bounds() {
        let deep = |levels: usize| format!("{}/f", "/x".repeat(levels));
        let mut bench = bench().with_file(&deep(8), b"");
        assert!(bench.list("NLST -R /x").await.ends_with(&deep(8)));
        assert!(bench.list("NLST -R").await.ends_with(&deep(8)[1..]));
        let mut bench = bench.with_file(&deep(9), b"");
        let listed = bench.list("NLST -R").await;
        assert!(listed.contains("x/x/x") && listed.ends_with("550 at the end"), "{listed}");
        assert!(bench.list("NLST -R /x").await.ends_with(&deep(9)));
        for number in 0..10_000 {
            bench.memory.put(format!("/many/{number}"), b"");
        }
        assert_eq!(bench.list("NLST -R many").await.split(" / ").count(), 10_000);
        let mut bench = bench.with_file("/many/one-more", b"");
        let listed = bench.list("NLST -R many").await;
        assert_eq!(listed.split(" / ").count(), 10_001);
        assert!(listed.ends_with("550 at the end"));
        assert!(bench.send("STAT -R many").await.starts_with('4'));
        assert_eq!(bench.list("NLST many").await.split(" / ").count(), 10_001);
    }

    #[tokio::test]
    async fn row_38_patterns_match_names_and_may_match_none() {
        let mut bench = bench();
        assert_eq!(bench.list("NLST *.txt").await, "a.txt / b.txt");
        assert_eq!(bench.list("NLST [!a]*").await, "b.txt / d");
        assert_eq!(bench.list("NLST *.jpg").await, "");
        assert_eq!(bench.list("NLST nothing").await, "550 only");
        assert_eq!(bench.list("LIST nothing").await, "550 only");
        assert_eq!(bench.list("NLST nothing/*").await, "550 only");
        assert_eq!(bench.list("NLST *a*a*a*a*a*a*a*a*").await, "501 only");
    }

    #[tokio::test]
    async fn mlsd_shows_facts_and_mlst_one_of_them() {
        let mut bench = bench();
        bench.send("OPTS MLST type;size;perm;").await;
        assert_eq!(
            bench.list("MLSD").await,
            "type=file;size=1;perm=adfrw; a.txt / type=file;size=2;perm=adfrw; b.txt / \
             type=dir;perm=cdeflmp; d"
        );
        let reply = bench.send("MLST a.txt").await;
        assert_eq!(reply, "250-Facts: /  type=file;size=1;perm=adfrw; /a.txt / 250 End");
        assert_eq!(bench.list("MLSD a.txt").await, "501 only");
        assert_eq!(bench.list("MLSD nothing").await, "550 only");
    }

    #[tokio::test]
    async fn stat_of_a_path_lists_it_within_the_reply() {
        let mut bench = bench();
        let reply = bench.send("STAT d").await;
        assert!(reply.starts_with("212-Status: /  -rw") && reply.ends_with("212 End of status."));
        assert!(bench.send("STAT a.txt").await.starts_with("213-Status:"));
        assert_eq!(bench.send("STAT nothing").await, "550 No such file or directory.");
        assert!(bench.send("STAT *.jpg").await.starts_with("212"));
    }

    #[tokio::test]
    async fn a_backslash_is_a_slash_unless_a_file_has_that_name() {
        let mut bench = bench();
        assert_eq!(bench.list("NLST \\d").await, "/d/c.txt");
        assert_eq!(bench.list("NLST d\\c.txt").await, "d/c.txt");
        let mut bench = bench.with_file("/d\\c.txt", b"x");
        assert_eq!(bench.list("NLST d\\c.txt").await, "d\\c.txt");
    }
}
