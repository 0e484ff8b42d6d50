//! Checksums: HASH and RANG, and the older commands that clients still send.

use wharf_core::permission::Permissions;
use wharf_proto::args::parse_range;
use wharf_proto::path::VPath;
use wharf_proto::reply::{Code, Reply};

use super::spec::{Arg, Run, Spec};
use crate::digest::Algorithm;
use crate::next::{Next, ServerSideJob};
use crate::refusal::Refusal;
use crate::session::Session;

pub(super) static ROWS: &[&Spec] = &[&HASH, &RANG, &XCRC, &MD5, &XMD5, &XSHA1, &XSHA256, &XSHA512];

/// The permissions for checksums. They include reading, because a checksum reveals known contents.
const NEEDS: Permissions = Permissions::READ.union(Permissions::HASH);
/// Bytes that one command hashes at most. Larger files are hashed in ranges.
const BYTES_MAX: u64 = 64 << 30;

static HASH: Spec = Spec {
    verb: "HASH",
    syntax: "HASH <path>",
    about: "Show the checksum of a file, or of the range set with RANG",
    rfc: "draft-bryan-ftpext-hash-02 §3",
    arg: Arg::Required,
    features: |session| {
        let star = |known: &Algorithm| {
            let star = if *known == session.parameters.hash { "*" } else { "" };
            format!("{}{star}", known.name())
        };
        let names: Vec<_> = Algorithm::EACH.iter().map(star).collect();
        if may_hash(session) { vec![format!("HASH {}", names.join(";"))] } else { Vec::new() }
    },
    run: Run::Async(|session, arg| Box::pin(hash(session, arg))),
    ..Spec::logged_in(NEEDS)
};

/// Whether FEAT lists checksums.
fn may_hash(session: &Session) -> bool {
    session.logged_in().is_none_or(|inside| inside.files.may_ever(NEEDS))
}

async fn hash(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let range = session.pending.range.take();
    let algorithm = session.parameters.hash;
    checksum(session, arg, algorithm, range, move |path, checksum| {
        let (from, to) = (checksum.from, checksum.from.saturating_add(checksum.bytes));
        let mut line =
            format!("{} {from}-{to} {} ", algorithm.name(), checksum.digits).into_bytes();
        line.extend_from_slice(path.as_bytes());
        Reply::new(Code::FILE_STATUS, line)
    })
    .await
}

static RANG: Spec = Spec {
    verb: "RANG",
    syntax: "RANG <first byte> <last byte>",
    about: "Set the byte range for the next HASH; RANG 1 0 resets it",
    rfc: "draft-bryan-ftp-range-08 §4",
    arg: Arg::Required,
    keeps_pending: true,
    run: Run::Sync(rang),
    ..Spec::logged_in(NEEDS)
};

fn rang(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    session.pending.range = None;
    match parse_range(arg)? {
        (1, 0) => Next::reply(Code::PENDING, "Range reset; the next HASH covers the whole file."),
        (first, last) if first > last => {
            Next::reply(Code::BAD_ARGUMENT, "Invalid range: the last byte is before the first.")
        }
        (first, last) => {
            session.pending.range = Some((first, last));
            Next::reply(
                Code::PENDING,
                format!("Range set; the next HASH covers bytes {first} to {last}."),
            )
        }
    }
}

static XCRC: Spec = Spec {
    verb: "XCRC",
    syntax: "XCRC <path>",
    about: "Show the CRC-32 of a file",
    ..legacy(XCRC_RUN)
};
const XCRC_RUN: Run =
    Run::Async(|session, arg| Box::pin(checksum_only(session, arg, Algorithm::Crc32)));

static XMD5: Spec = Spec {
    verb: "XMD5",
    syntax: "XMD5 <path>",
    about: "Show the MD5 of a file",
    ..legacy(XMD5_RUN)
};
const XMD5_RUN: Run =
    Run::Async(|session, arg| Box::pin(checksum_only(session, arg, Algorithm::Md5)));

static XSHA1: Spec = Spec {
    verb: "XSHA1",
    also: &["XSHA"],
    syntax: "XSHA1 <path>",
    about: "Show the SHA-1 of a file",
    ..legacy(XSHA1_RUN)
};
const XSHA1_RUN: Run =
    Run::Async(|session, arg| Box::pin(checksum_only(session, arg, Algorithm::Sha1)));

static XSHA256: Spec = Spec {
    verb: "XSHA256",
    syntax: "XSHA256 <path>",
    about: "Show the SHA-256 of a file",
    ..legacy(XSHA256_RUN)
};
const XSHA256_RUN: Run =
    Run::Async(|session, arg| Box::pin(checksum_only(session, arg, Algorithm::Sha256)));

static XSHA512: Spec = Spec {
    verb: "XSHA512",
    syntax: "XSHA512 <path>",
    about: "Show the SHA-512 of a file",
    ..legacy(XSHA512_RUN)
};
const XSHA512_RUN: Run =
    Run::Async(|session, arg| Box::pin(checksum_only(session, arg, Algorithm::Sha512)));

/// What the commands from before HASH have in common.
const fn legacy(run: Run) -> Spec {
    Spec { rfc: "no RFC; sent by many clients", arg: Arg::Required, run, ..Spec::logged_in(NEEDS) }
}

/// Replies with the checksum only, as those clients expect.
async fn checksum_only(session: &mut Session, arg: &[u8], of: Algorithm) -> Result<Next, Refusal> {
    checksum(session, unquoted(arg), of, None, |_, checksum| {
        Reply::new(Code::FILE_DONE, checksum.digits)
    })
    .await
}

static MD5: Spec = Spec {
    verb: "MD5",
    syntax: "MD5 <path>",
    about: "Show the name of a file and its MD5",
    rfc: "draft-twine-ftpmd5-00 §3",
    arg: Arg::Required,
    run: Run::Async(|session, arg| Box::pin(md5(session, arg))),
    ..Spec::logged_in(NEEDS)
};

async fn md5(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    checksum(session, unquoted(arg), Algorithm::Md5, None, |path, checksum| {
        let mut line = path.as_bytes().to_vec();
        line.extend_from_slice(format!(" {}", checksum.digits).as_bytes());
        Reply::new(Code::CHECKSUM, line)
    })
    .await
}

/// Removes the quotes that some clients put around the name.
fn unquoted(arg: &[u8]) -> &[u8] {
    let inner = arg.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.filter(|inner| !inner.is_empty()).unwrap_or(arg)
}

/// Computes the checksum of the stored bytes, whatever the TYPE.
async fn checksum(
    session: &mut Session,
    arg: &[u8],
    of: Algorithm,
    range: Option<(u64, u64)>,
    to_reply: impl FnOnce(&VPath, Checksum) -> Reply + Send + 'static,
) -> Result<Next, Refusal> {
    let path = session.path(arg).await?;
    let (from, last) = range.unwrap_or((0, u64::MAX));
    let size = session.files()?.stat_to_digest(&path).await?;
    let bytes = (last - from).saturating_add(1).min(size.saturating_sub(from));
    if bytes > BYTES_MAX {
        return Err(Refusal::unavailable(
            "File too large to hash (limit 64 GiB); select a part with RANG.",
        ));
    }
    let source = session.files()?.read_to_digest(&path, from).await?;
    let to_reply = Box::new(move |digits| to_reply(&path, Checksum { from, bytes, digits }));
    Ok(Next::ServerSideJob(ServerSideJob::Digest { source, of, bytes, to_reply }))
}

/// A checksum and the range that it covers.
struct Checksum {
    from: u64,
    bytes: u64,
    digits: String,
}

#[cfg(test)]
mod tests {
    use wharf_core::permission::Rules;

    use super::*;
    use crate::testing::TestSession;

    fn bench() -> TestSession {
        TestSession::new().logged_in(Permissions::READ_ONLY).with_file("/d/a", b"abc")
    }

    #[tokio::test]
    async fn row_16_every_checksum_command_returns_it() {
        let mut bench = bench();
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        assert_eq!(bench.send("XCRC d/a").await, "250 352441c2");
        assert_eq!(bench.send("XCRC \"d/a\"").await, "250 352441c2");
        assert_eq!(bench.send("XMD5 d/a").await, format!("250 {md5}"));
        assert_eq!(bench.send("MD5 d/a").await, format!("251 /d/a {md5}"));
        assert!(bench.send("XSHA1 d/a").await.starts_with("250 a9993e36"));
        assert!(bench.send("XSHA d/a").await.starts_with("250 a9993e36"));
        assert!(bench.send("XSHA256 d/a").await.starts_with("250 ba7816bf"));
        assert!(bench.send("XSHA512 d/a").await.starts_with("250 ddaf35a1"));
        assert!(bench.send("HASH d/a").await.starts_with("213 SHA-256 0-3 ba7816bf"));
    }

    #[tokio::test]
    async fn row_16_hash_has_algorithms_and_ranges() {
        let mut bench = bench();
        assert_eq!(bench.send("OPTS HASH").await, "200 SHA-256");
        assert_eq!(bench.send("OPTS HASH md5").await, "200 MD5");
        assert!(
            bench
                .send("OPTS HASH MD4")
                .await
                .starts_with("501 Unknown hash algorithm; supported: SHA-256, SHA-512")
        );
        assert!(bench.send("FEAT").await.contains(" HASH SHA-256;SHA-512;SHA-1;MD5*;CRC32 /"));
        bench.send("OPTS HASH CRC32").await;
        assert!(bench.send("RANG 1 1").await.starts_with("350"));
        assert_eq!(bench.send("HASH d/a").await, "213 CRC32 1-2 71beeff9 /d/a");
        assert_eq!(bench.send("HASH d/a").await, "213 CRC32 0-3 352441c2 /d/a");
        bench.send("RANG 0 99").await;
        assert_eq!(bench.send("HASH d/a").await, "213 CRC32 0-3 352441c2 /d/a");
        bench.send("RANG 1 2").await;
        assert!(bench.send("RANG 1 0").await.starts_with("350"));
        assert_eq!(bench.send("HASH d/a").await, "213 CRC32 0-3 352441c2 /d/a");
        bench.send("RANG 7 9").await;
        assert!(bench.send("HASH d/a").await.starts_with("554"));
        assert!(bench.send("RANG 2 1").await.starts_with("501"));
    }

    #[tokio::test]
    async fn row_16_checksums_need_both_permissions_at_the_path_and_a_regular_file() {
        let at = |path: &[u8]| VPath::root().resolve(path).unwrap();
        let rules = Rules::everywhere(Permissions::READ_ONLY)
            .with(at(b"d"), Permissions::LIST.union(Permissions::READ))
            .with(at(b"e"), Permissions::LIST.union(Permissions::HASH));
        let mut bench = TestSession::new()
            .logged_in_with_rules(rules)
            .with_file("/d/a", b"abc")
            .with_file("/e/a", b"abc");
        for line in ["HASH", "XCRC", "XMD5", "XSHA1", "XSHA256", "XSHA512", "MD5"] {
            for path in ["d/a", "e/a", "d", "/", "nothing", "e/nothing"] {
                let reply = bench.send(&format!("{line} {path}")).await;
                assert!(reply.starts_with("550"), "{line} {path}: {reply}");
            }
        }
        let mut without = TestSession::new()
            .logged_in(Permissions::LIST.union(Permissions::READ))
            .with_file("/a", b"abc");
        assert_eq!(without.send("HASH a").await, "550 Permission denied.");
        assert!(!without.send("FEAT").await.contains("HASH"));
    }
}
