//! Disks that are full, failing or read-only: real file systems, in memory and on a simulated
//! [`drive`](crate::prove::drive).
//!
//! The reply code must be right (452; 451; 550 or 553), sessions continue, the next login works,
//! existing files are unchanged, no hidden file of a failed upload remains; and once the disk works
//! again, so does everything else.

use std::path::Path;

use wharf_load::{ClientSession, Error, Random};
use wharf_proto::reply::Code;

use crate::prove::content::{ContentPool, PooledContent};
use crate::prove::drive::{Drive, Health, Mounted, mount_memory};
use crate::prove::folder;
use crate::prove::proofs::{Proof, ProofExtent};
use crate::prove::report::ProofReport;
use crate::prove::run::ProofRun;
use crate::prove::server::ProofServer;

pub(crate) static PROOF: Proof = Proof {
    name: "full",
    about: "disks full, failing or read-only: 452, 451, 550 or 553, and the session continues",
    unit: "events",
    short: ProofExtent::count(15),
    long: ProofExtent::count(200),
    mounts: true,
    run,
};

/// About 11 MiB are free beside its journal of 4 MiB.
const DRIVE_BYTES: usize = 16 << 20;
/// More than fits on any of the file systems here.
const TOO_MUCH_BYTES: usize = 8 << 20;
const OLD_BYTES_MAX: usize = 300_000;
/// The replies of RFC 959 §5.4 for a file that cannot be stored.
const NOT_STORED: &[Code] = &[Code::FILE_UNAVAILABLE, Code::NAME_REJECTED];

/// The fault of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DiskFault {
    MemoryFull,
    DiskFull,
    WritesFail,
    ReadsFail,
    ReadOnly,
}

const DISK_FAULTS: &[DiskFault] = &[
    DiskFault::MemoryFull,
    DiskFault::DiskFull,
    DiskFault::WritesFail,
    DiskFault::ReadsFail,
    DiskFault::ReadOnly,
];

/// What all faults share.
struct FaultSetup<'a> {
    server: ProofServer,
    drive: &'a Drive,
    place: &'a Path,
    pool: &'a ContentPool,
    random: Random,
    old: PooledContent,
    is_secure: bool,
}

fn run(run: &ProofRun, report: &ProofReport) -> Result<(), String> {
    let pool = ContentPool::new();
    let folder = run.folder()?;
    let drive = Drive::new(folder.path(), DRIVE_BYTES)?;
    drive.format()?;
    let blank = drive.image();
    let place = folder.path().join("mounted");
    for seed in run.seeds(report) {
        let mut random = Random::new(seed);
        drive.restore(&blank);
        let mut server = ProofServer::new(run)?;
        server.homes_at(&place);
        let length = random.small_index(OLD_BYTES_MAX) + 5000;
        let (old, is_secure) = (pool.piece(&mut random, length), random.once_in(2));
        let event = *random.pick(DISK_FAULTS);
        let mut setup = FaultSetup {
            server,
            drive: &drive,
            place: &place,
            pool: &pool,
            random,
            old,
            is_secure,
        };
        let result = setup.play(event).map_err(|what| format!("{event:?}: {what}"));
        // The server first: otherwise its folder could not be unmounted.
        drop(setup);
        report.add(&format!("{event:?}"), 1.0);
        report.ended(seed, result);
    }
    Ok(())
}

impl FaultSetup<'_> {
    fn play(&mut self, event: DiskFault) -> Result<(), String> {
        let mounted = match event {
            DiskFault::MemoryFull => {
                let mib = self.random.index(3) + 1;
                mount_memory(self.place, &format!("size={mib}m"))?
            }
            _ => self.drive.mount(self.place)?,
        };
        let is_durable = event == DiskFault::WritesFail || self.random.once_in(2);
        let durability = if is_durable { "full" } else { "fast" };
        self.server.set("files", &format!("durability = {durability:?}"));
        folder::make(&self.server.home())?;
        folder::write(&self.server.home().join("old"), self.pool.bytes(&self.old))?;
        mounted.sync()?;
        self.server.start()?;
        let result = match event {
            DiskFault::MemoryFull | DiskFault::DiskFull => self.fill_up(),
            DiskFault::WritesFail => self.fail_writes(),
            DiskFault::ReadsFail => {
                self.server.kill();
                mounted.try_end()?;
                let mounted = self.drive.mount(self.place)?;
                let result = self.server.start().and_then(|()| self.fail_reads());
                self.server.kill();
                drop(mounted);
                return result;
            }
            DiskFault::ReadOnly => self.forbid_writes(&mounted),
        };
        self.server.kill();
        drop(mounted);
        result
    }

    /// More is sent than fits, by every upload command.
    fn fill_up(&mut self) -> Result<(), String> {
        let mut client = self.server.client(self.is_secure)?;
        let bytes = self.too_much();
        for line in ["STOR new", "STOR old", "APPE old"] {
            rejected(line, client.store(line, &bytes), &[Code::NO_SPACE])?;
            self.still_serves(&mut client)?;
            let hidden = self.server.hidden_files();
            if !hidden.is_empty() {
                return Err(format!("{line}: hidden files remain: {hidden:?}"));
            }
        }
        self.stores_again(&mut client)
    }

    /// The disk accepts no writes, so no upload may succeed.
    fn fail_writes(&mut self) -> Result<(), String> {
        let mut client = self.server.client(self.is_secure)?;
        let line = *self.random.pick(&["STOR new", "STOR old", "APPE old"]);
        let bytes = self.little();
        self.drive.set_health(Health::NoWrites);
        let stored = client.store(line, &bytes);
        let checked = rejected(line, stored, &[Code::LOCAL_ERROR])
            .and_then(|()| self.still_serves(&mut client));
        self.drive.set_health(Health::Well);
        checked
    }

    /// The disk cannot be read, so no complete file can be sent.
    fn fail_reads(&mut self) -> Result<(), String> {
        let mut client = self.server.client(self.is_secure)?;
        self.drive.set_health(Health::NoReads);
        let got = client.download("RETR old");
        let noop = client.expect("NOOP", Code::OK);
        let next = self.server.client(!self.is_secure).map(drop);
        self.drive.set_health(Health::Well);
        rejected("RETR old", got, &[Code::LOCAL_ERROR])?;
        noop?;
        next?;
        self.still_serves(&mut client)
    }

    /// The file system is read-only.
    fn forbid_writes(&mut self, mounted: &Mounted) -> Result<(), String> {
        let mut client = self.server.client(self.is_secure)?;
        mounted.set_read_only(true)?;
        let bytes = self.little();
        for line in ["STOR new", "STOR old", "APPE old"] {
            rejected(line, client.store(line, &bytes), NOT_STORED)?;
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

    /// The session answers, the next login works, and existing files are unchanged.
    fn still_serves(&self, client: &mut ClientSession) -> Result<(), String> {
        client.expect("NOOP", Code::OK)?;
        let mut next = self.server.client(!self.is_secure)?;
        for client in [client, &mut next] {
            if !self.pool.is(&self.old, &client.download("RETR old")?) {
                return Err("the old file has changed".to_owned());
            }
        }
        if self.server.home().join("new").exists() {
            return Err("a file exists that could not be stored".to_owned());
        }
        Ok(next.quit()?)
    }

    fn stores_again(&mut self, client: &mut ClientSession) -> Result<(), String> {
        let bytes = self.little();
        client.store("STOR new", &bytes)?;
        if client.download("RETR new")? == bytes {
            return Ok(());
        }
        Err("a file stored afterwards is wrong".to_owned())
    }

    fn too_much(&mut self) -> Vec<u8> {
        let part = self.pool.piece(&mut self.random, TOO_MUCH_BYTES);
        self.pool.bytes(&part.with(&part))
    }

    fn little(&mut self) -> Vec<u8> {
        let length = self.random.small_index(OLD_BYTES_MAX);
        let content = self.pool.piece(&mut self.random, length + 1);
        self.pool.bytes(&content)
    }
}

/// Expects a refusal with one of these codes.
fn rejected<T>(line: &str, result: Result<T, Error>, codes: &[Code]) -> Result<(), String> {
    match result {
        Ok(_) => Err(format!("{line}: unexpected success")),
        Err(fault) if fault.code().is_some_and(|code| codes.contains(&code)) => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}
