//! One interrupted upload: the file before, what is sent, and the expected file after.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use wharf_load::{ClientSession, Random, clock};
use wharf_proto::reply::Code;

use super::interruption::Interruption;
use crate::prove::content::{ContentPool, PooledContent};
use crate::prove::folder;
use crate::prove::server::ProofServer;

/// An upload; everything follows from its seed.
#[derive(Debug)]
pub(super) struct SeededUpload {
    pub(super) seed: u64,
    pub(super) interruption: Interruption,
    name: String,
    is_secure: bool,
    command: UploadCommand,
    old: Option<PooledContent>,
    /// The content of the complete upload.
    whole: PooledContent,
    /// The number of bytes of `whole` before the first one that is sent.
    start: usize,
    /// The number of bytes that are sent, fewer than all.
    sent: usize,
    /// The pause between the last byte and the interruption.
    pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UploadCommand {
    Store,
    Append,
    /// From a restart point in the old file on.
    Restart,
}

/// Small ones end in the server's first read, large ones in its threads.
const BYTES_MAX: usize = 3 << 20;
const PAUSE_MICROS_MAX: usize = 4000;

impl SeededUpload {
    /// Writes the old file, if there is one.
    pub(super) fn prepared(seed: u64, pool: &ContentPool, home: &Path) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let is_secure = random.once_in(2);
        let interruption = Interruption::any(&mut random, is_secure);
        let name = format!("cut-{seed}");
        let command = match random.index(4) {
            0 => UploadCommand::Append,
            1 => UploadCommand::Restart,
            _ => UploadCommand::Store,
        };
        let has_old = command != UploadCommand::Store || random.once_in(2);
        let length = random.small_index(BYTES_MAX);
        let old = has_old.then(|| pool.piece(&mut random, length + 1));
        if let Some(old) = &old {
            folder::write(&home.join(&name), pool.bytes(old))?;
        }
        let length =
            if random.once_in(2) { random.index(BYTES_MAX) } else { random.small_index(BYTES_MAX) };
        let more = pool.piece(&mut random, length + 1);
        let kept = old.clone().unwrap_or_default();
        let start = match command {
            UploadCommand::Store => 0,
            UploadCommand::Append => kept.len(),
            UploadCommand::Restart => random.index(kept.len() + 1),
        };
        let whole = kept.first(start).with(&more);
        let sent = random.index(more.len());
        // An upload without a byte may be stored without close_notify, as an empty file.
        let interruption = if interruption == Interruption::NoNotify && sent == 0 {
            Interruption::Reset
        } else {
            interruption
        };
        let micros = u64::try_from(random.small_index(PAUSE_MICROS_MAX)).unwrap_or(0);
        let pause = Duration::from_micros(micros);
        Ok(Self { seed, interruption, name, is_secure, command, old, whole, start, sent, pause })
    }

    /// Sends a part of the upload, and interrupts it.
    pub(super) fn cut(&self, server: &ProofServer, pool: &ContentPool) -> Result<(), String> {
        let mut client = server.client(self.is_secure)?;
        let line = match self.command {
            UploadCommand::Append => format!("APPE {}", self.name),
            UploadCommand::Store | UploadCommand::Restart => format!("STOR {}", self.name),
        };
        if self.command == UploadCommand::Restart {
            client.expect(&format!("REST {}", self.start), Code::PENDING)?;
        }
        let mut data = client.data(&line)?;
        let bytes = pool.bytes(&self.whole);
        let part = bytes.get(self.start..self.start + self.sent).unwrap_or_default();
        let written = data.write_all(part).and_then(|()| data.flush());
        written.map_err(|error| format!("cannot send data: {error}"))?;
        if !self.pause.is_zero() {
            clock::pause(self.pause);
        }
        self.interruption.end(client, data)
    }

    /// Checks that the file is as before.
    pub(super) fn check_nothing_published(
        &self,
        server: &ProofServer,
        pool: &ContentPool,
    ) -> Result<(), String> {
        let found = std::fs::read(server.home().join(&self.name));
        match (found, &self.old) {
            (Err(_), None) => Ok(()),
            (Ok(bytes), Some(old)) if pool.is(old, &bytes) => Ok(()),
            (Ok(bytes), _) => Err(format!("published with {} bytes", bytes.len())),
            (Err(error), Some(_)) => Err(format!("the old file is missing: {error}")),
        }
    }

    /// Resumes the upload, if a part was kept; returns whether it was.
    pub(super) fn resume(
        &self,
        server: &ProofServer,
        client: &mut ClientSession,
        pool: &ContentPool,
    ) -> Result<bool, String> {
        let old = self.old.as_ref().map(PooledContent::len);
        let Some(kept) = client.existing_size(&self.name)?.filter(|kept| Some(*kept) != old) else {
            return Ok(false);
        };
        if kept > self.start + self.sent {
            return Err(format!("{kept} bytes are kept, more than were sent"));
        }
        let bytes = pool.bytes(&self.whole);
        client.expect(&format!("REST {kept}"), Code::PENDING)?;
        client.store(&format!("STOR {}", self.name), bytes.get(kept..).unwrap_or_default())?;
        let found = std::fs::read(server.home().join(&self.name)).unwrap_or_default();
        if found == bytes { Ok(true) } else { Err(format!("resumed at {kept}, but wrong")) }
    }

    /// A description for messages.
    pub(super) fn describe(&self) -> String {
        let kind = if self.is_secure { "TLS" } else { "plain" };
        format!(
            "{:?} by {kind}, {}, after {} of {} bytes and {:?}",
            self.command,
            self.interruption.name(),
            self.sent,
            self.whole.len() - self.start,
            self.pause
        )
    }
}
