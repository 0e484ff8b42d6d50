//! A store that fails at the end of an upload: no 226 is sent, and the session continues.

use std::sync::Arc;

use wharf_core::account::Account;
use wharf_core::error::{ErrorKind, Result};
use wharf_core::permission::Permissions;
use wharf_core::storage::{
    Capabilities, Change, Entries, ListDetail, Replace, Sink, Source, Storage, Stored, Stores,
    Write,
};
use wharf_core::{Bytes, async_trait};
use wharf_proto::entry::Entry;
use wharf_proto::path::VPath;
use wharf_sim::World;
use wharf_storage::Memory;

/// What fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Write,
    Sync,
    Commit,
}

/// A tree in memory whose uploads fail in this way.
#[derive(Clone)]
struct Failing {
    memory: Memory,
    at: At,
    kind: ErrorKind,
}

#[async_trait]
impl Stores for Failing {
    async fn open(&self, _: &Account) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Storage for Failing {
    fn caps(&self) -> Capabilities {
        self.memory.caps()
    }

    async fn stat(&self, at: &VPath) -> Result<Entry> {
        self.memory.stat(at).await
    }

    async fn list(&self, at: &VPath, wanted: ListDetail) -> Result<Entries> {
        self.memory.list(at, wanted).await
    }

    async fn read(&self, at: &VPath, from: u64) -> Result<Source> {
        self.memory.read(at, from).await
    }

    async fn write(&self, at: &VPath, how: Write) -> Result<Box<dyn Sink>> {
        let inner = self.memory.write(at, how).await?;
        Ok(Box::new(FailingSink { inner, store: self.clone() }))
    }

    async fn remove_file(&self, at: &VPath) -> Result<()> {
        self.memory.remove_file(at).await
    }

    async fn remove_dir(&self, at: &VPath) -> Result<()> {
        self.memory.remove_dir(at).await
    }

    async fn make_dir(&self, at: &VPath) -> Result<()> {
        self.memory.make_dir(at).await
    }

    async fn rename(&self, from: &VPath, to: &VPath, replace: Replace) -> Result<()> {
        self.memory.rename(from, to, replace).await
    }

    async fn set(&self, at: &VPath, change: Change) -> Result<()> {
        self.memory.set(at, change).await
    }
}

struct FailingSink {
    inner: Box<dyn Sink>,
    store: Failing,
}

impl FailingSink {
    fn pass(&self, at: At) -> Result<()> {
        if self.store.at == at { Err(self.store.kind.into()) } else { Ok(()) }
    }
}

#[async_trait]
impl Sink for FailingSink {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.pass(At::Write)?;
        self.inner.write(chunk).await
    }

    async fn sync(&mut self) -> Result<()> {
        self.pass(At::Sync)
    }

    async fn commit(self: Box<Self>) -> Result<Stored> {
        self.pass(At::Commit)?;
        self.inner.commit().await
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}

#[test]
fn row_34_36_no_226_is_sent_after_a_failed_write_sync_or_publication() {
    for at in [At::Write, At::Sync, At::Commit] {
        for (kind, code) in [
            (ErrorKind::Broken, 451),
            (ErrorKind::NoSpace, 452),
            (ErrorKind::OverQuota, 552),
            (ErrorKind::Uncounted, 450),
        ] {
            let world = World::new().account("anna", "secret", Permissions::ALL).file("/a", b"old");
            let memory = world.memory().clone();
            let world = world.stores(Arc::new(Failing { memory, at, kind }));
            world.run(&format!(
                "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: TYPE I\nS: 200 *\n\
                 C: EPSV\nS: 229 *\nC: STOR a\nS: 150 *\nU: new\nS: {code} *\nHAS /a old\n\
                 C: EPSV\nS: 229 *\nC: RETR a\nS: 150 *\nD: old\nS: 226 *\n\
                 C: EPSV\nS: 229 *\nC: APPE b\nS: 150 *\nU: new\nS: {code} *\nHASNOT /b"
            ));
        }
    }
}
