//! Sessions of a client, each with the files before and after it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use wharf_proto::reply::Code;

use crate::prove::folder;
use crate::prove::server::{PASSWORD, ProofServer, USER, target};
use wharf_load::{ClientSession, Error, ErrorKind};

/// One session, from connecting to QUIT.
pub(super) struct SessionCase {
    pub(super) name: &'static str,
    pub(super) before: &'static [(&'static str, NameContent)],
    pub(super) after: &'static [(&'static str, NameContent)],
    /// The initial steps, which do not fail.
    pub(super) prepare: fn(&ProofServer) -> Result<(), Error>,
    /// The session. It succeeds if all commands succeed and have the right effect.
    pub(super) act: fn(&ProofServer) -> Result<(), Error>,
}

/// The content of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameContent {
    Small,
    Old,
    New,
    /// The new content after the old one.
    OldNew,
    Folder,
    /// Anything else: an error.
    InvalidReply,
}

/// The files in the home, without hidden temporary files.
pub(super) struct HomeState(BTreeMap<String, NameContent>);

/// In `after`: any name.
const ANY: &str = "*";
const SMALL_BYTES: usize = 3000;
const OLD_BYTES: usize = 100_000;
/// Large enough to leave the runtime's thread.
const NEW_BYTES: usize = 700_000;
const HALF_BYTES: usize = NEW_BYTES / 2;

impl NameContent {
    fn bytes(self) -> Vec<u8> {
        let pattern = |from: u8, size| (from..=250).cycle().take(size).collect::<Vec<u8>>();
        match self {
            Self::Small => pattern(1, SMALL_BYTES),
            Self::Old => pattern(2, OLD_BYTES),
            Self::New => pattern(3, NEW_BYTES),
            Self::OldNew => [Self::Old.bytes(), Self::New.bytes()].concat(),
            Self::Folder | Self::InvalidReply => Vec::new(),
        }
    }

    /// Writes it to the disk.
    pub(super) fn make(self, path: &Path) -> Result<(), String> {
        if self == Self::Folder { folder::make(path) } else { folder::write(path, self.bytes()) }
    }

    fn of(bytes: &[u8]) -> Self {
        let known = [Self::Small, Self::Old, Self::New, Self::OldNew];
        known.into_iter().find(|content| content.bytes() == bytes).unwrap_or(Self::InvalidReply)
    }
}

impl HomeState {
    /// Reads the home.
    pub(super) fn read(home: &Path) -> Result<Self, String> {
        let describe = |error| format!("cannot read {}: {error}", home.display());
        let mut state = BTreeMap::new();
        for entry in fs::read_dir(home).map_err(describe)? {
            let path = entry.map_err(describe)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(".wharf-") {
                continue;
            }
            let content = if path.is_dir() {
                NameContent::Folder
            } else {
                NameContent::of(&fs::read(&path).map_err(describe)?)
            };
            state.insert(name, content);
        }
        Ok(Self(state))
    }

    /// Whether it equals `wanted`.
    pub(super) fn is(&self, wanted: &[(&str, NameContent)]) -> bool {
        let has = |name: &str, content| match name {
            ANY => self.0.values().any(|found| *found == content),
            name => self.0.get(name) == Some(&content),
        };
        self.0.len() == wanted.len() && wanted.iter().all(|(name, content)| has(name, *content))
    }
}

impl fmt::Display for HomeState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the files are {:?}", self.0)
    }
}

type InitialFiles = &'static [(&'static str, NameContent)];
const NOTHING: InitialFiles = &[];
const OLD: InitialFiles = &[("a", NameContent::Old)];
const NEW: InitialFiles = &[("a", NameContent::New)];
const SMALL: InitialFiles = &[("a", NameContent::Small)];

/// A session that changes nothing.
const fn reading(
    name: &'static str,
    files: InitialFiles,
    act: fn(&ProofServer) -> Result<(), Error>,
) -> SessionCase {
    changing(name, files, files, act)
}

const fn changing(
    name: &'static str,
    before: InitialFiles,
    after: InitialFiles,
    act: fn(&ProofServer) -> Result<(), Error>,
) -> SessionCase {
    SessionCase { name, before, after, prepare: |_| Ok(()), act }
}

/// All of them.
pub(super) static SESSION_CASES: &[SessionCase] = &[
    changing("store", NOTHING, NEW, |server| store(server, false, "STOR a")),
    reading("log in", NOTHING, |server| server.client(false)?.quit()),
    reading("log in with TLS", NOTHING, |server| server.client(true)?.quit()),
    reading("wrong password", NOTHING, wrong_password),
    reading("download a small file", SMALL, |server| download(server, false, NameContent::Small)),
    reading("download a large file", NEW, |server| download(server, false, NameContent::New)),
    reading("download with TLS", NEW, |server| download(server, true, NameContent::New)),
    reading("download the rest", NEW, download_rest),
    reading("download as text", SMALL, download_as_text),
    reading("download in active mode", NEW, download_active),
    reading("abort a download", NEW, abort_active_download),
    changing("store a small file", NOTHING, SMALL, |server| {
        server.client(false)?.store("STOR a", &NameContent::Small.bytes())
    }),
    changing("replace", OLD, NEW, |server| store(server, false, "STOR a")),
    changing("store with TLS", NOTHING, NEW, |server| store(server, true, "STOR a")),
    changing("replace with TLS", OLD, NEW, |server| store(server, true, "STOR a")),
    changing("append", OLD, &[("a", NameContent::OldNew)], |server| store(server, false, "APPE a")),
    changing("append to nothing", NOTHING, NEW, |server| store(server, false, "APPE a")),
    changing("store under any name", NOTHING, &[(ANY, NameContent::New)], |server| {
        store(server, false, "STOU")
    }),
    changing("store behind a restart point", OLD, &[("a", NameContent::OldNew)], store_rest),
    SessionCase { name: "resume", before: NOTHING, after: NEW, prepare: cut_upload, act: resume },
    SessionCase {
        name: "resume over a file",
        before: OLD,
        after: NEW,
        prepare: cut_upload,
        act: resume,
    },
    reading("cut an upload", OLD, cut_upload),
    changing("store in active mode", NOTHING, SMALL, store_active),
    changing("remove", OLD, NOTHING, |server| done(server, &["DELE a"])),
    changing("rename", OLD, &[("b", NameContent::Old)], |server| {
        done(server, &["RNFR a", "RNTO b"])
    }),
    changing(
        "rename over a file",
        &[("a", NameContent::Old), ("b", NameContent::Small)],
        &[("b", NameContent::Old)],
        |server| done(server, &["RNFR a", "RNTO b"]),
    ),
    changing("make a folder", NOTHING, &[("d", NameContent::Folder)], |server| {
        done(server, &["MKD d"])
    }),
    changing("remove a folder", &[("d", NameContent::Folder)], NOTHING, |server| {
        done(server, &["RMD d"])
    }),
    reading("enter a folder", &[("d", NameContent::Folder)], |server| {
        done(server, &["CWD d", "PWD", "CDUP"])
    }),
    reading("ask for facts", OLD, |server| done(server, &["MLST a", "SIZE a", "MDTM a"])),
    reading("set a time", OLD, |server| done(server, &["MFMT 20260301120000 a"])),
    reading("set a mode", OLD, |server| done(server, &["SITE CHMOD 600 a"])),
    reading("list", OLD, |server| list(server, "LIST")),
    reading("list names by a pattern", OLD, |server| list(server, "NLST *")),
    reading("list facts", OLD, |server| list(server, "MLSD")),
    reading("list on the control connection", OLD, |server| done(server, &["STAT a"])),
];

fn done(server: &ProofServer, lines: &[&str]) -> Result<(), Error> {
    let mut client = server.client(false)?;
    for line in lines {
        let reply = client.call(line)?;
        if reply.code.is_failure() {
            return Err(Error::rejected(*line, &reply));
        }
    }
    Ok(())
}

fn wrong_password(server: &ProofServer) -> Result<(), Error> {
    let mut client = ClientSession::connect(&target(server.port()))?;
    client.expect(&format!("USER {USER}"), Code::NEED_PASSWORD)?;
    let reply = client.call(&format!("PASS not {PASSWORD}"))?;
    if reply.code.is_success() {
        Err(wrong("a wrong password was accepted".to_owned()))
    } else {
        Ok(())
    }
}

fn store(server: &ProofServer, is_secure: bool, line: &str) -> Result<(), Error> {
    server.client(is_secure)?.store(line, &NameContent::New.bytes())
}

fn store_rest(server: &ProofServer) -> Result<(), Error> {
    let mut client = server.client(false)?;
    client.expect(&format!("REST {OLD_BYTES}"), Code::PENDING)?;
    client.store("STOR a", &NameContent::New.bytes())
}

fn cut_upload(server: &ProofServer) -> Result<(), Error> {
    let mut client = server.client(false)?;
    let mut data = client.data("STOR a")?;
    let bytes = NameContent::New.bytes();
    data.write_all(bytes.get(..HALF_BYTES).unwrap_or_default())?;
    data.reset();
    if client.reply()?.code.is_success() {
        Err(wrong("an interrupted upload was reported complete".to_owned()))
    } else {
        Ok(())
    }
}

fn resume(server: &ProofServer) -> Result<(), Error> {
    let mut client = server.client(false)?;
    let kept = client.existing_size("a")?.unwrap_or_default();
    let whole = NameContent::New.bytes();
    // Nothing may be left after the reset; then the size is that of the file, or there is none.
    if kept == OLD_BYTES || kept == 0 {
        return client.store("STOR a", &whole);
    }
    client.expect(&format!("REST {kept}"), Code::PENDING)?;
    client.store("STOR a", whole.get(kept..).unwrap_or_default())
}

fn download(server: &ProofServer, is_secure: bool, content: NameContent) -> Result<(), Error> {
    let bytes = server.client(is_secure)?.download("RETR a")?;
    same(&bytes, &content.bytes())
}

fn download_rest(server: &ProofServer) -> Result<(), Error> {
    let mut client = server.client(false)?;
    client.expect(&format!("REST {HALF_BYTES}"), Code::PENDING)?;
    let bytes = client.download("RETR a")?;
    same(&bytes, NameContent::New.bytes().get(HALF_BYTES..).unwrap_or_default())
}

fn download_as_text(server: &ProofServer) -> Result<(), Error> {
    let mut client = server.client(false)?;
    client.expect("TYPE A", Code::OK)?;
    let bytes = client.download("RETR a")?;
    let mut wanted = Vec::new();
    for byte in NameContent::Small.bytes() {
        if byte == b'\n' && wanted.last() != Some(&b'\r') {
            wanted.push(b'\r');
        }
        wanted.push(byte);
    }
    same(&bytes, &wanted)
}

fn abort_active_download(server: &ProofServer) -> Result<(), Error> {
    let mut client = server.client(false)?;
    let data = client.data("RETR a")?;
    client.send("ABOR")?;
    drop(data);
    // 426 and 226, or 226 twice if the transfer was faster.
    client.reply()?;
    client.reply().map(drop)
}

fn list(server: &ProofServer, line: &str) -> Result<(), Error> {
    let bytes = server.client(false)?.download(line)?;
    let text = String::from_utf8_lossy(&bytes);
    let names = text.lines().filter(|line| line.ends_with('a')).count();
    match names {
        1 => Ok(()),
        _ => Err(wrong(format!("wrong listing {text:?}"))),
    }
}

fn download_active(server: &ProofServer) -> Result<(), Error> {
    let mut client = server.client(false)?;
    let mut bytes = Vec::new();
    let read = client.data_active("RETR a")?.read_to_end(&mut bytes);
    client.transferred().map_err(|kind| Error::new("RETR a", kind))?;
    read?;
    same(&bytes, &NameContent::New.bytes())
}

fn store_active(server: &ProofServer) -> Result<(), Error> {
    let mut client = server.client(false)?;
    client.data_active("STOR a")?.write_all(&NameContent::Small.bytes())?;
    client.transferred().map_err(|kind| Error::new("STOR a", kind))
}

/// The server did something wrong and reported success.
fn wrong(what: String) -> Error {
    Error::new("the session", ErrorKind::InvalidReply(what))
}

/// Checks the content of a download that was reported complete.
fn same(got: &[u8], wanted: &[u8]) -> Result<(), Error> {
    if got == wanted {
        Ok(())
    } else {
        Err(wrong(format!("{} bytes reported as {}", got.len(), wanted.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_distinguishable_and_names_unique() {
        for content in [NameContent::Small, NameContent::Old, NameContent::New, NameContent::OldNew]
        {
            assert_eq!(NameContent::of(&content.bytes()), content);
        }
        assert_eq!(NameContent::of(b"torn"), NameContent::InvalidReply);
        for (number, case) in SESSION_CASES.iter().enumerate() {
            assert!(SESSION_CASES.iter().skip(number + 1).all(|other| other.name != case.name));
        }
        assert!(SESSION_CASES.len() >= 30);
    }
}
