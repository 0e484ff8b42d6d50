//! Sends malicious paths to every command that takes a path, on a real file system.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use wharf_core::permission::{Permissions, Rules};
use wharf_core::storage::{Source, Storage};
use wharf_storage::{Disk, DiskOptions, Durability};

use super::rows;
use crate::next::{Job, Next, ServerSideJob, Transfer};
use crate::testing::TestSession;

/// Path traversals that worked in some server.
const CORPUS: &[&str] = &[
    "../outside/secret",
    "../../outside/secret",
    "/../outside/secret",
    "/../../../../../../../../../../etc/passwd",
    "..\\outside\\secret",
    "\\..\\..\\outside\\secret",
    "....//....//outside/secret",
    "..././outside/secret",
    "./.././../outside/secret",
    "sub/../../outside/secret",
    "sub/../../../outside/secret",
    "..%2foutside%2fsecret",
    "%2e%2e/outside/secret",
    "..\u{2044}outside\u{2044}secret",
    "\u{ff0e}\u{ff0e}/outside/secret",
    "..\u{2400}/outside/secret",
    "link/secret",
    "link/../outside/secret",
    "sub/link/secret",
    "file-link",
    "absolute/secret",
    "~/../outside/secret",
    "~root/outside/secret",
    "/outside/secret",
    "C:/outside/secret",
    "C:..\\outside\\secret",
    "//localhost/outside/secret",
    "\\\\?\\C:\\outside\\secret",
    "..",
    "../outside",
    "link",
    "-la ../outside",
    "../outside/*",
    "link/*",
];

/// For each command that takes a path, the text before the path.
fn with_paths() -> impl Iterator<Item = String> {
    let takes = |part: &str| {
        ["<path>", "<directory>", "<path or pattern>", "<name>"]
            .iter()
            .any(|what| part.contains(what))
    };
    rows().filter(move |row| takes(row.syntax) && !matches!(row.verb, "USER" | "CLNT")).map(|row| {
        row.syntax
            .split(['[', '<'])
            .next()
            .map(|verb| match row.verb {
                "MFMT" => "MFMT 20200101000000 ".to_owned(),
                "SITE CHMOD" => "SITE CHMOD 777 ".to_owned(),
                "SITE UTIME" => "SITE UTIME 20200101000000 ".to_owned(),
                _ => format!("{} ", verb.trim_end()),
            })
            .expect("a syntax begins with its verb")
    })
}

#[tokio::test]
async fn row_25_27_28_no_command_leads_out_of_the_root() {
    let place = tempfile::tempdir().unwrap();
    let (home, outside) = (place.path().join("home"), place.path().join("outside"));
    for folder in [home.join("sub"), outside.clone()] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(outside.join("secret"), "SECRET").unwrap();
    fs::write(outside.join("only-outside"), "").unwrap();
    links(&home, &outside);
    let options = DiskOptions { durability: Durability::Fast, ..DiskOptions::default() };
    let store: Arc<dyn Storage> = Arc::new(Disk::open(&home, "anna", &options).unwrap());
    let mut tried = 0;
    for verb in with_paths() {
        for path in CORPUS {
            let rules = Rules::everywhere(Permissions::ALL);
            let mut bench =
                TestSession::new().logged_in_to_store(Arc::clone(&store), rules).ready();
            bench.session.parameters.transfer_type = wharf_proto::args::TransferType::Image;
            match verb.as_str() {
                "RNTO " => drop(bench.send("RNFR sub").await),
                "SITE CPTO " => drop(bench.send("SITE CPFR sub").await),
                _ => {}
            }
            let line = format!("{verb}{path}");
            match bench.run(&line).await {
                Ok(Next::Transfer(Transfer { job, .. })) => came(&line, job).await,
                Ok(Next::ServerSideJob(ServerSideJob::Digest { source, .. })) => {
                    shows_nothing(&line, source);
                }
                Ok(Next::ServerSideJob(ServerSideJob::RemoveTree { .. })) => {
                    drop(bench.send(&line).await);
                }
                _ => {}
            }
            tried += 1;
            assert_eq!(fs::read(outside.join("secret")).unwrap(), b"SECRET", "{line}");
            let left: Vec<_> = fs::read_dir(place.path()).unwrap().collect();
            assert_eq!(left.len(), 2, "{line}");
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 2, "{line}");
            fs::create_dir_all(home.join("sub")).unwrap();
            links(&home, &outside);
        }
    }
    assert!(tried >= 27 * CORPUS.len(), "{tried}");
}

/// Creates missing links that lead out of the home.
fn links(home: &Path, outside: &Path) {
    #[cfg(unix)]
    for (to, link) in [
        (Path::new("../outside"), "link"),
        (Path::new("../../outside"), "sub/link"),
        (Path::new("../outside/secret"), "file-link"),
        (outside, "absolute"),
    ] {
        let _ = std::os::unix::fs::symlink(to, home.join(link));
    }
    #[cfg(not(unix))]
    let _ = (home, outside);
}

/// A home with a circular link, a link to its root, and a link to one of its directories.
#[cfg(unix)]
fn home_with_links() -> (tempfile::TempDir, TestSession) {
    use std::os::unix::fs::symlink;

    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("real/below")).unwrap();
    fs::write(home.path().join("real/below/file"), "x").unwrap();
    for (to, link) in [("loop", "loop"), (".", "top"), ("real", "to-real"), ("/", "out")] {
        symlink(to, home.path().join(link)).unwrap();
    }
    let options = DiskOptions { durability: Durability::Fast, ..DiskOptions::default() };
    let store: Arc<dyn Storage> = Arc::new(Disk::open(home.path(), "anna", &options).unwrap());
    let bench =
        TestSession::new().logged_in_to_store(store, Rules::everywhere(Permissions::ALL)).ready();
    (home, bench)
}

#[cfg(unix)]
#[tokio::test]
async fn row_38_a_recursive_listing_follows_no_link() {
    let (_home, mut bench) = home_with_links();
    let listed = "loop / out / real / real/below / real/below/file / to-real / top";
    let mut names: Vec<_> = listed.split(" / ").collect();
    names.sort_unstable();
    let got = bench.list("NLST -R").await;
    let mut got: Vec<_> = got.split(" / ").collect();
    got.sort_unstable();
    assert_eq!(got, names);
}

#[cfg(unix)]
#[tokio::test]
async fn row_26_mdtm_of_a_link_that_leads_nowhere_is_an_error() {
    let (home, mut bench) = home_with_links();
    std::os::unix::fs::symlink("nothing", home.path().join("broken")).unwrap();
    assert_eq!(bench.send("MDTM loop").await, "550 Permission denied.");
    assert_eq!(bench.send("MDTM out").await, "550 Permission denied.");
    assert_eq!(bench.send("MDTM broken").await, "550 No such file or directory.");
    assert!(bench.send("MDTM to-real").await.starts_with("213 "));
    assert!(bench.send("MDTM to-real/below/file").await.starts_with("213 "));
    bench.send("TYPE I").await;
    for line in ["SIZE", "RETR", "CWD", "MLSD"] {
        assert_eq!(bench.send(&format!("{line} out")).await, "550 Permission denied.", "{line}");
    }
    assert!(bench.send("CWD to-real").await.starts_with("250"));
}

#[cfg(unix)]
#[tokio::test]
async fn row_29_rmda_removes_links_and_not_what_they_lead_to() {
    let (home, mut bench) = home_with_links();
    let at = |path: &str| home.path().join(path);
    std::os::unix::fs::symlink("../../real", at("real/below/up")).unwrap();
    fs::create_dir(at("gone")).unwrap();
    std::os::unix::fs::symlink("../real", at("gone/link")).unwrap();
    assert_eq!(bench.send("RMDA gone").await, "250 Removed.");
    assert!(!at("gone").exists() && at("real/below/file").exists());
    assert_eq!(bench.send("RMDA to-real").await, "550 Not a directory.");
    assert!(at("real/below/file").exists());
    assert_eq!(bench.send("RMDA real").await, "250 Removed.");
    assert!(!at("real").exists());
}

async fn came(line: &str, job: Job) {
    match job {
        Job::Send { source, .. } => shows_nothing(line, source),
        Job::List { mut lines } => {
            while let Some(piece) =
                std::future::poll_fn(|context| lines.as_mut().poll_next(context)).await
            {
                let Ok(piece) = piece else { break };
                let text = String::from_utf8_lossy(&piece);
                assert!(!text.contains("only-outside"), "{line}: {text}");
            }
        }
        Job::Receive { sink, .. } => {
            let _ = sink.commit().await;
        }
    }
}

fn shows_nothing(line: &str, source: Source) {
    if let Source::Bytes(bytes) = source {
        assert!(!bytes.starts_with(b"SECRET") && !bytes.starts_with(b"root:"), "{line}");
    }
}
