//! One client at work, and the expected state of its files: it is known, since no other client uses
//! its folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use wharf_load::{ClientSession, Random};
use wharf_proto::reply::Code;

use super::{fail_login, folder_of};
use crate::prove::content::{ContentPool, PooledContent};
use crate::prove::report::ProofReport;
use crate::prove::server::ProofServer;

/// A client with its own folder.
#[derive(Debug)]
pub(super) struct SoakClient {
    folder: String,
    files: BTreeMap<String, PooledContent>,
    /// Names of uploads given up and not resumed: only a new upload may follow.
    left: BTreeSet<String>,
    client: ClientSession,
    random: Random,
}

const NAMES: usize = 12;
const BYTES_MAX: usize = 1 << 20;
/// A file of this size is not appended to any more.
const GROWN_BYTES_MAX: usize = 4 << 20;

type SoakResult = Result<(), String>;

type SoakOperation = fn(&mut SoakClient, &ContentPool) -> SoakResult;

/// The operations, with their frequency in per cent.
const OPERATIONS: &[(usize, &str, SoakOperation)] = &[
    (22, "put", SoakClient::put),
    (26, "get", SoakClient::get),
    (10, "list", SoakClient::list),
    (6, "size", SoakClient::size),
    (8, "append", SoakClient::append),
    (8, "rename", SoakClient::rename),
    (7, "delete", SoakClient::delete),
    (5, "resume", SoakClient::cut_and_resume),
    (3, "partial get", SoakClient::get_from),
    (2, "abort", SoakClient::abort_download),
    (2, "folder", SoakClient::make_and_remove),
    (1, "rejected", SoakClient::ask_what_is_rejected),
];

impl SoakClient {
    /// Connects, with an empty folder.
    pub(super) fn begin(
        server: &ProofServer,
        number: u64,
        mut random: Random,
    ) -> Result<Self, String> {
        let folder = folder_of(server, number)?;
        let client = connected(server, &folder, &mut random)?;
        Ok(Self { folder, files: BTreeMap::new(), left: BTreeSet::new(), client, random })
    }

    /// Works until it is over.
    pub(super) fn work(
        &mut self,
        server: &ProofServer,
        pool: &ContentPool,
        report: &ProofReport,
        is_over: &AtomicBool,
    ) -> SoakResult {
        while !is_over.load(Ordering::Relaxed) {
            if self.random.once_in(60) {
                self.reconnect(server)?;
                report.add("sessions", 1.0);
            }
            if self.random.once_in(500) {
                fail_login(server, &mut self.random)?;
                report.add("wrong passwords", 1.0);
            }
            let (name, act) = self.any_operation();
            act(self, pool).map_err(|what| format!("{name}: {what}"))?;
            report.add(name, 1.0);
            report.passed();
        }
        Ok(())
    }

    fn any_operation(&mut self) -> (&'static str, SoakOperation) {
        let mut place = self.random.index(OPERATIONS.iter().map(|(share, _, _)| share).sum());
        for (share, name, act) in OPERATIONS {
            match place.checked_sub(*share) {
                Some(rest) => place = rest,
                None => return (name, *act),
            }
        }
        ("get", Self::get)
    }

    /// Disconnects in one of three ways, and reconnects.
    fn reconnect(&mut self, server: &ProofServer) -> SoakResult {
        let next = connected(server, &self.folder, &mut self.random)?;
        let mut old = std::mem::replace(&mut self.client, next);
        match self.random.index(3) {
            0 => return Ok(old.quit()?),
            1 => drop(old),
            _ => old.reset(),
        }
        Ok(())
    }

    fn put(&mut self, pool: &ContentPool) -> SoakResult {
        let (name, content) = (self.name(), self.content(pool));
        self.client.store(&format!("STOR {name}"), &pool.bytes(&content))?;
        self.left.remove(&name);
        self.files.insert(name, content);
        Ok(())
    }

    fn get(&mut self, pool: &ContentPool) -> SoakResult {
        let Some((name, content)) = self.file() else { return self.get_nothing() };
        let bytes = self.client.download(&format!("RETR {name}"))?;
        same(pool, &name, &content, &bytes)
    }

    fn get_nothing(&mut self) -> SoakResult {
        self.rejected("RETR nothing-here", Code::FILE_UNAVAILABLE)
    }

    fn get_from(&mut self, pool: &ContentPool) -> SoakResult {
        let Some((name, content)) = self.file() else { return self.get_nothing() };
        let start = self.random.index(content.len() + 1);
        self.client.expect(&format!("REST {start}"), Code::PENDING)?;
        let bytes = self.client.download(&format!("RETR {name}"))?;
        let whole = pool.bytes(&content);
        if whole.get(start..) == Some(bytes.as_slice()) {
            return Ok(());
        }
        Err(format!("{name} from {start} on: {} wrong bytes", bytes.len()))
    }

    fn list(&mut self, _: &ContentPool) -> SoakResult {
        let line = if self.random.once_in(2) { "NLST" } else { "MLSD" };
        let bytes = self.client.download(line)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let name = |entry: &str| match entry.split_once(' ') {
            Some((facts, name)) => facts.contains("type=file").then(|| name.to_owned()),
            None => Some(entry.to_owned()),
        };
        let mut names: Vec<_> = text.lines().filter_map(name).collect();
        names.sort();
        if names.iter().eq(self.files.keys()) {
            return Ok(());
        }
        Err(format!("{names:?} are listed, {:?} exist", self.files.keys().collect::<Vec<_>>()))
    }

    fn size(&mut self, _: &ContentPool) -> SoakResult {
        let Some((name, content)) = self.file() else { return self.get_nothing() };
        match self.client.existing_size(&name)? {
            Some(size) if size == content.len() || self.left.contains(&name) => Ok(()),
            other => Err(format!("SIZE {name} is {other:?}, not {}", content.len())),
        }
    }

    fn append(&mut self, pool: &ContentPool) -> SoakResult {
        let (name, more) = (self.name(), self.content(pool));
        let old = self.files.get(&name).cloned().unwrap_or_default();
        if self.left.contains(&name) || old.len() > GROWN_BYTES_MAX {
            return self.delete(pool);
        }
        self.client.store(&format!("APPE {name}"), &pool.bytes(&more))?;
        self.files.insert(name, old.with(&more));
        Ok(())
    }

    fn rename(&mut self, _: &ContentPool) -> SoakResult {
        let Some((from, content)) = self.file() else { return self.get_nothing() };
        let to = self.name();
        self.client.expect(&format!("RNFR {from}"), Code::PENDING)?;
        self.client.expect(&format!("RNTO {to}"), Code::FILE_DONE)?;
        self.files.remove(&from);
        self.files.insert(to, content);
        Ok(())
    }

    fn delete(&mut self, _: &ContentPool) -> SoakResult {
        let Some((name, _)) = self.file() else { return self.get_nothing() };
        self.client.expect(&format!("DELE {name}"), Code::FILE_DONE)?;
        self.files.remove(&name);
        Ok(())
    }

    /// Interrupts an upload, by RST or by ABOR, and usually resumes it.
    fn cut_and_resume(&mut self, pool: &ContentPool) -> SoakResult {
        let (name, content) = (self.name(), self.content(pool));
        let bytes = pool.bytes(&content);
        let sent = self.random.index(bytes.len() + 1);
        let mut data = self.client.data(&format!("STOR {name}"))?;
        let part = bytes.get(..sent).unwrap_or_default();
        data.write_all(part).and_then(|()| data.flush()).map_err(|error| error.to_string())?;
        if self.random.once_in(2) {
            data.reset();
            failure(&self.client.reply()?)?;
        } else {
            self.client.send("ABOR")?;
            failure(&self.client.reply()?)?;
            drop(data);
            success(&self.client.reply()?)?;
        }
        self.left.remove(&name);
        let old = self.files.get(&name).map(PooledContent::len);
        let kept = self.client.existing_size(&name)?;
        let Some(kept) = kept.filter(|kept| Some(*kept) != old) else {
            // Nothing was kept, or as much as the old file has: the next upload is a new one.
            self.left.insert(name);
            return Ok(());
        };
        if kept > sent {
            return Err(format!("{kept} bytes of {name} are kept, {sent} were sent"));
        }
        self.client.expect(&format!("REST {kept}"), Code::PENDING)?;
        self.client.store(&format!("STOR {name}"), bytes.get(kept..).unwrap_or_default())?;
        self.files.insert(name, content);
        Ok(())
    }

    /// Reads the beginning of a download, and aborts it.
    fn abort_download(&mut self, pool: &ContentPool) -> SoakResult {
        let Some((name, content)) = self.file() else { return self.get_nothing() };
        let mut data = self.client.data(&format!("RETR {name}"))?;
        let mut part = vec![0; self.random.index(content.len() + 1)];
        data.read_exact(&mut part).map_err(|error| format!("{name}: {error}"))?;
        if !pool.bytes(&content).starts_with(&part) {
            return Err(format!("{name} begins with wrong bytes"));
        }
        drop(data);
        self.client.send("ABOR")?;
        // Whether it was still running is unknown: 426 and 226, or 226 and 226 (RFC 959).
        let first = self.client.reply()?;
        if !first.code.is_failure() {
            success(&first)?;
        }
        success(&self.client.reply()?)
    }

    fn make_and_remove(&mut self, _: &ContentPool) -> SoakResult {
        self.client.expect("MKD drawer", Code::PATHNAME)?;
        self.client.expect("CWD drawer", Code::FILE_DONE)?;
        self.client.expect("CDUP", Code::OK).or_else(|fault| match fault.code() {
            Some(Code::FILE_DONE) => self.client.call("NOOP"),
            _ => Err(fault),
        })?;
        Ok(self.client.expect("RMD drawer", Code::FILE_DONE).map(drop)?)
    }

    /// Commands that a server must reject.
    fn ask_what_is_rejected(&mut self, _: &ContentPool) -> SoakResult {
        self.rejected("CWD ../../../../nowhere", Code::FILE_UNAVAILABLE)?;
        self.rejected("DELE .", Code::FILE_UNAVAILABLE)?;
        self.rejected("XYZZY", Code::NOT_UNDERSTOOD)?;
        self.rejected("REST -1", Code::BAD_ARGUMENT)
    }

    fn rejected(&mut self, line: &str, code: Code) -> SoakResult {
        let reply = self.client.call(line)?;
        // A command that needs a data connection may be rejected for the lack of one.
        if reply.code == code || reply.code == Code::NO_DATA_CONNECTION {
            return Ok(());
        }
        Err(format!("{line}: unexpected reply {}", reply.code.number()))
    }

    fn name(&mut self) -> String {
        format!("file-{}", self.random.index(NAMES))
    }

    fn content(&mut self, pool: &ContentPool) -> PooledContent {
        let length = self.random.small_index(BYTES_MAX);
        pool.piece(&mut self.random, length)
    }

    /// An existing file.
    fn file(&mut self) -> Option<(String, PooledContent)> {
        let place = self.random.index(self.files.len());
        let (name, content) = self.files.iter().nth(place)?;
        Some((name.clone(), content.clone()))
    }
}

fn connected(
    server: &ProofServer,
    folder: &str,
    random: &mut Random,
) -> Result<ClientSession, String> {
    let mut client = server.client(random.once_in(2))?;
    client.expect(&format!("CWD {folder}"), Code::FILE_DONE)?;
    Ok(client)
}

fn same(pool: &ContentPool, name: &str, content: &PooledContent, bytes: &[u8]) -> SoakResult {
    if pool.is(content, bytes) {
        return Ok(());
    }
    Err(format!("{name}: {} bytes instead of {}, or wrong ones", bytes.len(), content.len()))
}

fn failure(reply: &wharf_proto::reply::Reply) -> SoakResult {
    if reply.code.is_failure() { Ok(()) } else { Err(format!("after an interruption: {reply:?}")) }
}

fn success(reply: &wharf_proto::reply::Reply) -> SoakResult {
    if reply.code.is_success() { Ok(()) } else { Err(format!("after ABOR: {reply:?}")) }
}
