//! Disks that are full, that fail, and that nobody may write to any more: real file systems, in
//! memory and on a [`drive`](crate::prove::drive) of ours.
//!
//! The reply is the right one (452; 451; 550 or 553), the session goes on, the next login works,
//! files that were there are whole, nothing hidden is left of what failed; and once the disk is
//! well again, so is everything.

use std::path::Path;

use wharf_proto::reply::Code;

use crate::prove::client::{Client, Heard};
use crate::prove::content::{Content, Pool};
use crate::prove::drive::{Drive, Health, Mounted, mount_memory};
use crate::prove::folder;
use crate::prove::proofs::{Plan, Proof};
use crate::prove::random::Random;
use crate::prove::report::Report;
use crate::prove::run::Run;
use crate::prove::server::Server;

pub(crate) static PROOF: Proof = Proof {
    name: "full",
    about: "disks full, failing or read-only: 452, 451, 550 or 553, and the session goes on",
    unit: "events",
    short: Plan::count(15),
    long: Plan::count(200),
    mounts: true,
    run,
};

/// With its journal of 4 MiB, some 11 MiB are free.
const DRIVE_BYTES: usize = 16 << 20;
/// More than any of the file systems here can take.
const TOO_MUCH_BYTES: usize = 8 << 20;
const OLD_BYTES_MAX: usize = 300_000;
/// What RFC 959 §5.4 has for a file that cannot be stored.
const NOT_STORED: &[Code] = &[Code::FILE_UNAVAILABLE, Code::NAME_REFUSED];

/// What happens to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    MemoryFull,
    DiskFull,
    WritesFail,
    ReadsFail,
    ReadOnly,
}

const EVENTS: &[Event] =
    &[Event::MemoryFull, Event::DiskFull, Event::WritesFail, Event::ReadsFail, Event::ReadOnly];

/// What all events have.
struct Stage<'a> {
    server: Server,
    drive: &'a Drive,
    place: &'a Path,
    pool: &'a Pool,
    random: Random,
    old: Content,
    is_secure: bool,
}

fn run(run: &Run, report: &Report) -> Result<(), String> {
    let pool = Pool::new();
    let folder = run.folder()?;
    let drive = Drive::new(folder.path(), DRIVE_BYTES)?;
    drive.format()?;
    let blank = drive.image();
    let place = folder.path().join("mounted");
    let mut round = 0;
    while report.goes_on() {
        let seed = run.seed_of(round);
        round += 1;
        let mut random = Random::new(seed);
        drive.restore(&blank);
        let mut server = Server::new(run)?;
        server.homes_at(&place);
        let length = random.skewed_below(OLD_BYTES_MAX) + 5000;
        let (old, is_secure) = (pool.piece(&mut random, length), random.once_in(2));
        let event = random.pick(EVENTS).copied().unwrap_or(Event::DiskFull);
        let mut stage =
            Stage { server, drive: &drive, place: &place, pool: &pool, random, old, is_secure };
        let result = stage.play(event).map_err(|what| format!("{event:?}: {what}"));
        // The server first, else its folder could not be unmounted.
        drop(stage);
        report.add(&format!("{event:?}"), 1.0);
        report.ended(seed, result);
    }
    Ok(())
}

impl Stage<'_> {
    fn play(&mut self, event: Event) -> Result<(), String> {
        let mounted = match event {
            Event::MemoryFull => {
                let mib = self.random.below(3) + 1;
                mount_memory(self.place, &format!("size={mib}m"))?
            }
            _ => self.drive.mount(self.place)?,
        };
        let is_durable = event == Event::WritesFail || self.random.once_in(2);
        let durability = if is_durable { "full" } else { "fast" };
        self.server.set("files", &format!("durability = {durability:?}"));
        folder::make(&self.server.home())?;
        folder::write(&self.server.home().join("old"), self.pool.bytes(&self.old))?;
        mounted.sync()?;
        self.server.start()?;
        let result = match event {
            Event::MemoryFull | Event::DiskFull => self.fill_up(),
            Event::WritesFail => self.fail_writes(),
            Event::ReadsFail => {
                self.server.kill();
                mounted.try_end()?;
                let mounted = self.drive.mount(self.place)?;
                let result = self.server.start().and_then(|()| self.fail_reads());
                self.server.kill();
                drop(mounted);
                return result;
            }
            Event::ReadOnly => self.forbid_writes(&mounted),
        };
        self.server.kill();
        drop(mounted);
        result
    }

    /// More is sent than there is room for, in every way of sending.
    fn fill_up(&mut self) -> Result<(), String> {
        let mut client = self.server.client(self.is_secure)?;
        let bytes = self.too_much();
        for line in ["STOR new", "STOR old", "APPE old"] {
            refused(line, client.store(line, &bytes), &[Code::NO_SPACE])?;
            self.still_serves(&mut client)?;
            let hidden = hidden(&self.server);
            if !hidden.is_empty() {
                return Err(format!("{line}: hidden files are left: {hidden:?}"));
            }
        }
        self.stores_again(&mut client)
    }

    /// The disk takes no more writes, so no upload can be on it.
    fn fail_writes(&mut self) -> Result<(), String> {
        let mut client = self.server.client(self.is_secure)?;
        let line = *self.random.pick(&["STOR new", "STOR old", "APPE old"]).unwrap_or(&"STOR new");
        let bytes = self.little();
        self.drive.set_health(Health::NoWrites);
        let stored = client.store(line, &bytes);
        let checked = refused(line, stored, &[Code::LOCAL_ERROR])
            .and_then(|()| self.still_serves(&mut client));
        self.drive.set_health(Health::Well);
        checked
    }

    /// The disk cannot be read, so nothing whole can be sent.
    fn fail_reads(&mut self) -> Result<(), String> {
        let mut client = self.server.client(self.is_secure)?;
        self.drive.set_health(Health::NoReads);
        let got = client.fetch("RETR old");
        let noop = client.expect("NOOP", Code::OK);
        let next = self.server.client(!self.is_secure).map(drop);
        self.drive.set_health(Health::Well);
        refused("RETR old", got, &[Code::LOCAL_ERROR])?;
        noop?;
        next?;
        self.still_serves(&mut client)
    }

    /// Nobody may write to the file system any more.
    fn forbid_writes(&mut self, mounted: &Mounted) -> Result<(), String> {
        let mut client = self.server.client(self.is_secure)?;
        mounted.set_read_only(true)?;
        let bytes = self.little();
        for line in ["STOR new", "STOR old", "APPE old"] {
            refused(line, client.store(line, &bytes), NOT_STORED)?;
        }
        for line in ["DELE old", "MKD folder"] {
            client.expect(line, Code::FILE_UNAVAILABLE)?;
        }
        client.expect("RNFR old", Code::PENDING)?;
        client.expect("RNTO other", Code::FILE_UNAVAILABLE)?;
        self.still_serves(&mut client)?;
        mounted.set_read_only(false)?;
        self.stores_again(&mut client)
    }

    /// The session answers, the next login works, and what was there is whole.
    fn still_serves(&self, client: &mut Client) -> Result<(), String> {
        client.expect("NOOP", Code::OK)?;
        let mut next = self.server.client(!self.is_secure)?;
        for client in [client, &mut next] {
            if !self.pool.is(&self.old, &client.fetch("RETR old")?) {
                return Err("the old file is not what it was".to_owned());
            }
        }
        if self.server.home().join("new").exists() {
            return Err("a file is there that could not be stored".to_owned());
        }
        Ok(next.quit()?)
    }

    fn stores_again(&mut self, client: &mut Client) -> Result<(), String> {
        let bytes = self.little();
        client.store("STOR new", &bytes)?;
        if client.fetch("RETR new")? == bytes {
            return Ok(());
        }
        Err("what was stored afterwards is not whole".to_owned())
    }

    fn too_much(&mut self) -> Vec<u8> {
        let part = self.pool.piece(&mut self.random, TOO_MUCH_BYTES);
        self.pool.bytes(&part.with(&part))
    }

    fn little(&mut self) -> Vec<u8> {
        let length = self.random.skewed_below(OLD_BYTES_MAX);
        let content = self.pool.piece(&mut self.random, length + 1);
        self.pool.bytes(&content)
    }
}

/// The server refused, with one of these codes.
fn refused<T>(line: &str, heard: Heard<T>, codes: &[Code]) -> Result<(), String> {
    match heard {
        Ok(_) => Err(format!("{line}: the server said it is done")),
        Err(fault) if fault.code().is_some_and(|code| codes.contains(&code)) => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}

fn hidden(server: &Server) -> Vec<String> {
    let entries = std::fs::read_dir(server.home()).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".wharf-")).collect()
}
