//! The work of one client in a round, and the expected state of its files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use wharf_load::{ClientSession, Error, Random};
use wharf_proto::reply::Code;

use super::SHARED;
use crate::prove::content::{ContentPool, PooledContent};
use crate::prove::folder;

/// The files of one client, as far as the server has confirmed them.
#[derive(Debug)]
pub(super) struct ClientFiles {
    names: Vec<String>,
    /// The last confirmed content of each file.
    pub(super) sure: BTreeMap<String, PooledContent>,
    /// What the command in progress may have changed.
    pub(super) doubt: Option<UnansweredCommand>,
    /// Names whose unfinished upload was given up by the client: only a new upload may follow.
    pub(super) left: BTreeSet<String>,
    /// Every content that any of its files ever had, or should have had.
    pub(super) all: Vec<PooledContent>,
    confirmed: u32,
}

/// A command without its final reply.
#[derive(Clone, Debug)]
pub(super) struct UnansweredCommand {
    /// Each name that it changes, with the new content.
    pub(super) changes: Vec<(String, Option<PooledContent>)>,
    /// Whether it was an upload, which can be resumed.
    pub(super) is_upload: bool,
}

/// What a client did with the shared name.
#[derive(Debug, Default)]
pub(super) struct SharedName {
    pub(super) tried: Vec<PooledContent>,
    pub(super) is_confirmed: bool,
}

const NAMES: usize = 6;
/// Most files are small, as in practice; some take several blocks and threads.
const BYTES_MAX: usize = 2 << 20;

impl ClientFiles {
    /// The files of the client with this number; half of the names exist.
    pub(super) fn filled(
        number: usize,
        pool: &ContentPool,
        random: &mut Random,
        home: &Path,
    ) -> Result<Self, String> {
        let names: Vec<_> = (0..NAMES).map(|name| format!("client-{number}-{name}")).collect();
        let mut sure = BTreeMap::new();
        for name in names.iter().take(NAMES / 2) {
            let content = made(pool, random);
            folder::write(&home.join(name), pool.bytes(&content))?;
            sure.insert(name.clone(), content);
        }
        let all = sure.values().cloned().collect();
        Ok(Self { names, sure, doubt: None, left: BTreeSet::new(), all, confirmed: 0 })
    }

    /// The number of changes confirmed by the server.
    pub(super) fn confirmed(&self) -> f64 {
        f64::from(self.confirmed)
    }

    /// Works until the server is gone. A reply that a running server must not give is an error.
    pub(super) fn work(
        mut self,
        mut client: ClientSession,
        pool: &ContentPool,
        mut random: Random,
        is_killed: &AtomicBool,
    ) -> Result<(Self, SharedName), String> {
        let mut shared = SharedName::default();
        loop {
            match self.act(&mut client, pool, &mut random, &mut shared) {
                Ok(()) => self.doubt = None,
                // While the server dies it may still reject operations that fail because of that.
                Err(_) if is_killed.load(Ordering::SeqCst) => return Ok((self, shared)),
                Err(fault) => return Err(format!("before the end: {fault}")),
            }
        }
    }

    /// One random operation.
    fn act(
        &mut self,
        client: &mut ClientSession,
        pool: &ContentPool,
        random: &mut Random,
        shared: &mut SharedName,
    ) -> Result<(), Error> {
        let name = random.pick(&self.names).clone();
        let content = made(pool, random);
        match random.index(20) {
            0..=6 => self.store(client, pool, &name, content),
            7..=9 => self.append(client, pool, &name, &content),
            10..=12 => self.rename(client, random, &name),
            13..=14 => self.remove(client, &name),
            15..=17 => self.cut_and_resume(client, pool, random, &name, content),
            _ => {
                shared.tried.push(content.clone());
                client.store(&format!("STOR {SHARED}"), &pool.bytes(&content))?;
                shared.is_confirmed = true;
                Ok(())
            }
        }
    }

    fn store(
        &mut self,
        client: &mut ClientSession,
        pool: &ContentPool,
        name: &str,
        new: PooledContent,
    ) -> Result<(), Error> {
        self.begin_upload(name, &new);
        client.store(&format!("STOR {name}"), &pool.bytes(&new))?;
        self.left.remove(name);
        self.stored(name, new);
        Ok(())
    }

    fn append(
        &mut self,
        client: &mut ClientSession,
        pool: &ContentPool,
        name: &str,
        more: &PooledContent,
    ) -> Result<(), Error> {
        if self.left.contains(name) {
            return Ok(());
        }
        let new = self.sure.get(name).cloned().unwrap_or_default().with(more);
        if new.len() > 2 * BYTES_MAX {
            return Ok(());
        }
        self.begin_upload(name, &new);
        client.store(&format!("APPE {name}"), &pool.bytes(more))?;
        self.stored(name, new);
        Ok(())
    }

    fn rename(
        &mut self,
        client: &mut ClientSession,
        random: &mut Random,
        from: &str,
    ) -> Result<(), Error> {
        let to = random.pick(&self.names).clone();
        let Some(content) = self.sure.get(from).cloned().filter(|_| to != from) else {
            return Ok(());
        };
        let changes = vec![(from.to_owned(), None), (to.clone(), Some(content.clone()))];
        self.doubt = Some(UnansweredCommand { changes, is_upload: false });
        client.expect(&format!("RNFR {from}"), Code::PENDING)?;
        client.expect(&format!("RNTO {to}"), Code::FILE_DONE)?;
        self.sure.remove(from);
        self.stored(&to, content);
        Ok(())
    }

    fn remove(&mut self, client: &mut ClientSession, name: &str) -> Result<(), Error> {
        if !self.sure.contains_key(name) {
            return Ok(());
        }
        self.doubt =
            Some(UnansweredCommand { changes: vec![(name.to_owned(), None)], is_upload: false });
        client.expect(&format!("DELE {name}"), Code::FILE_DONE)?;
        self.sure.remove(name);
        self.confirmed += 1;
        Ok(())
    }

    /// Interrupts an upload, and resumes it.
    fn cut_and_resume(
        &mut self,
        client: &mut ClientSession,
        pool: &ContentPool,
        random: &mut Random,
        name: &str,
        new: PooledContent,
    ) -> Result<(), Error> {
        let bytes = pool.bytes(&new);
        self.begin_upload(name, &new);
        let line = format!("STOR {name}");
        let mut data = client.data(&line)?;
        let part = bytes.get(..random.index(bytes.len())).unwrap_or_default();
        std::io::Write::write_all(&mut data, part)?;
        data.reset();
        let reply = client.reply()?;
        if !reply.code.is_failure() {
            return Err(Error::rejected("a reset upload", &reply));
        }
        self.left.insert(name.to_owned());
        let old = self.sure.get(name).map(PooledContent::len);
        let kept = client.existing_size(name)?;
        let Some(kept) = kept.filter(|kept| Some(*kept) != old && *kept <= part.len()) else {
            // Nothing was kept, or its length equals that of the old file.
            return Ok(());
        };
        client.expect(&format!("REST {kept}"), Code::PENDING)?;
        client.store(&line, bytes.get(kept..).unwrap_or_default())?;
        self.left.remove(name);
        self.stored(name, new);
        Ok(())
    }

    fn begin_upload(&mut self, name: &str, new: &PooledContent) {
        self.all.push(new.clone());
        let changes = vec![(name.to_owned(), Some(new.clone()))];
        self.doubt = Some(UnansweredCommand { changes, is_upload: true });
    }

    fn stored(&mut self, name: &str, content: PooledContent) {
        self.sure.insert(name.to_owned(), content);
        self.confirmed += 1;
    }
}

/// A content of any length, short ones more often.
fn made(pool: &ContentPool, random: &mut Random) -> PooledContent {
    let length = random.small_index(BYTES_MAX);
    pool.piece(random, length)
}
