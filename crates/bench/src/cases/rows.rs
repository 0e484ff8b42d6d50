//! The cases, one row each.

use super::{
    BenchCase, CaseGroup, CaseWork, CountUnit, FileLocation, ListingCommand, SMALL_BYTES,
    SMALL_COUNT, Variant,
};
use crate::bench::clients::{ClientJob, ClientProgram};
use crate::bench::number::{GIB, KIB, MIB};
use crate::bench::result::Figure;

use CaseGroup::{Long, Quick};
use CaseWork::{Connects, FileZilla, Idle, List, Logins, Session, Start};
use ClientJob::{GetFew, GetFile, GetTree, PutFile, PutTree};
use ClientProgram::{Curl, CurlParallel, Lftp, Ncftp, Rclone, Wget};
use CountUnit::{Entry, Gib, Operation};
use ListingCommand::{Mlsd, Nlst};

/// All cases, in the order of the report.
pub(crate) static CASES: &[BenchCase] = &[
    // Large files.
    BenchCase { limit_span: LARGE_SPAN, ..retr("retr-1", "download 4 GiB", 4 * GIB, 1) },
    retr("retr-10", "10 downloads of 400 MiB at once", 400 * MIB, 10),
    retr("retr-100", "100 downloads of 40 MiB at once", 40 * MIB, 100),
    retr("retr-300", "300 clients download 10 MiB each", 10 * MIB, 300),
    BenchCase { has_full: true, ..stor("stor-1", "upload 2 GiB", 2 * GIB, 1) },
    long(stor("stor-10", "10 uploads of 200 MiB at once", 200 * MIB, 10)),
    long(stor("stor-100", "100 uploads of 20 MiB at once", 20 * MIB, 100)),
    fair(retr("fair-retr-100", "100 downloads of 400 MiB at once, fairness", 400 * MIB, 100)),
    fair(stor("fair-stor-100", "100 uploads of 64 MiB at once, fairness", 64 * MIB, 100)),
    BenchCase {
        headline: Figure::BystanderP99Ms,
        has_bystander: true,
        limit_span: None,
        ..retrs("bystander-retr", "NOOP beside 8 downloads", 512 * MIB, 16, 8)
    },
    BenchCase {
        headline: Figure::BystanderP99Ms,
        has_bystander: true,
        limit_span: None,
        ..long(stors("bystander-stor", "NOOP beside 8 uploads", 128 * MIB, 16, 8))
    },
    // Small files.
    small_retr("small-retr-1", "download 5,000 files of 4 KiB, one session", 1),
    small_retr("small-retr-8", "download 5,000 files of 4 KiB, eight sessions", 8),
    retrs("retr-64k-1", "download files of 64 KiB, one session", 64 * KIB, 2000, 1),
    retrs("retr-64k-8", "download files of 64 KiB, eight sessions", 64 * KIB, 3000, 8),
    long(retrs("retr-1m-1", "download files of 1 MiB, one session", MIB, 500, 1)),
    long(retrs("retr-1m-8", "download files of 1 MiB, eight sessions", MIB, 1000, 8)),
    small_stor("small-stor-1", "upload 5,000 files of 4 KiB, one session", 1),
    small_stor("small-stor-8", "upload 5,000 files of 4 KiB, eight sessions", 8),
    long(stors("stor-64k-1", "upload files of 64 KiB, one session", 64 * KIB, 1500, 1)),
    stors("stor-64k-8", "upload files of 64 KiB, eight sessions", 64 * KIB, 3000, 8),
    stors("stor-1m-1", "upload files of 1 MiB, one session", MIB, 300, 1),
    stors("stor-1m-8", "upload files of 1 MiB, eight sessions", MIB, 500, 8),
    BenchCase { has_full: true, ..mixed("mixed-50", "mixed work of 50 clients") },
    // Commands, logins, listings.
    long(case("login-1", "log in, one after the other", Operation, login(200, 1))),
    case("login-16", "log in, 16 at a time", Operation, login(2000, 16)),
    case("logins", "2,000 connect and log in at once", Operation, Logins { count: 2_000 }),
    BenchCase {
        variant: Variant { is_argon2: true, ..PLAIN },
        is_wharf_only: true,
        ..long(case(
            "login-argon2",
            "log in, 16 at a time, Argon2id (m=19456, t=2, p=1)",
            Operation,
            login(200, 16),
        ))
    },
    BenchCase { limit_span: SMALL_SPAN, ..command("noop", "NOOP", "NOOP", 20_000, 1) },
    command("pwd", "PWD", "PWD", 20_000, 1),
    BenchCase {
        headline: Figure::P99Us,
        ..command("noop-1000", "NOOP by 1,000 sessions at once", "NOOP", 50_000, 1_000)
    },
    long(list("mlsd-1k", "MLSD of 1,000 entries", Operation, Mlsd, 1_000, 50)),
    long(list("mlsd-100k", "MLSD of 100,000 entries", Entry, Mlsd, 100_000, 2)),
    long(list("list-1k", "LIST of 1,000 entries", Operation, ListingCommand::List, 1_000, 50)),
    long(list("list-100k", "LIST of 100,000 entries", Entry, ListingCommand::List, 100_000, 2)),
    BenchCase {
        limit_span: None,
        ..list("nlst-200k", "NLST of 200,000 entries", Entry, Nlst, 200_000, 1)
    },
    // TLS.
    tls(retr("ftps-retr", "FTPS: download 1 GiB", GIB, 1)),
    tls(stor("ftps-stor", "FTPS: upload 1 GiB", GIB, 1)),
    tls(case(
        "ftps-session",
        "FTPS: connect, log in, download 64 bytes, QUIT",
        Operation,
        Session { count: 300 },
    )),
    tls(retrs("ftps-small-retr", "FTPS: download files of 4 KiB", SMALL_BYTES, 500, 1)),
    tls(stors("ftps-small-stor", "FTPS: upload files of 4 KiB", SMALL_BYTES, 500, 1)),
    tls(mixed("ftps-mixed-50", "FTPS: mixed work of 50 clients")),
    // Client programs with their defaults.
    client("lftp-get", "lftp: mirror 300 files", Lftp, GetTree),
    client("lftp-put", "lftp: mirror -R of 300 files", Lftp, PutTree),
    BenchCase {
        unit: Gib,
        ..client("lftp-get-large", "lftp: mirror one large file", Lftp, GetFile)
    },
    BenchCase {
        unit: Gib,
        ..client("lftp-put-large", "lftp: mirror -R of one large file", Lftp, PutFile)
    },
    client("rclone-get", "rclone: sync 300 files from the server", Rclone, GetTree),
    client("rclone-put", "rclone: sync 300 files to the server", Rclone, PutTree),
    client("curl-get", "curl --parallel: download 300 files", CurlParallel, GetTree),
    client("curl-put", "curl --parallel: upload 300 files", CurlParallel, PutTree),
    client("curl-get-serial", "curl: download 20 files, one after another", Curl, GetFew),
    client("wget-get", "wget -r: download 300 files", Wget, GetTree),
    client("ncftp-get", "ncftpget -R: download 300 files", Ncftp, GetTree),
    client("ncftp-put", "ncftpput -R: upload 300 files", Ncftp, PutTree),
    case("filezilla", "FileZilla's dialogue: list, download 250 files", Operation, FileZilla),
    // Memory.
    BenchCase { group: Quick, ..idle("idle-500", "500 idle sessions", 500) },
    BenchCase {
        work: Idle { sessions: 500, is_used: true },
        group: Quick,
        ..idle("idle-used-500", "500 idle sessions after some work", 500)
    },
    idle("idle-5000", "5,000 idle sessions", 5_000),
    idle("idle-10000", "10,000 idle sessions", 10_000),
    BenchCase { group: Quick, ..tls(idle("idle-ftps-500", "FTPS: 500 idle sessions", 500)) },
    tls(idle("idle-ftps-5000", "FTPS: 5,000 idle sessions", 5_000)),
    tls(idle("idle-ftps-10000", "FTPS: 10,000 idle sessions", 10_000)),
    long(case("connects", "1,000 connections at once", Operation, Connects { count: 1_000 })),
    // A distant server.
    distant(retrs("delay-retr-64k", "50 ms away: files of 64 KiB", 64 * KIB, 64, 8)),
    distant(stors("delay-stor-64k", "50 ms away: upload files of 64 KiB", 64 * KIB, 64, 8)),
    distant(case(
        "delay-session",
        "50 ms away: connect, log in, download 64 bytes, QUIT",
        Operation,
        Session { count: 3 },
    )),
    distant(case(
        "delay-lftp-get",
        "50 ms away: lftp mirrors 20 files",
        Operation,
        CaseWork::ClientProgram { client: Lftp, job: GetFew },
    )),
    // Disks.
    BenchCase {
        place: FileLocation::Disk,
        has_bystander: true,
        ..long(case(
            "cold",
            "download 1 GiB that is not in the page cache, beside a session that sends NOOP",
            Gib,
            CaseWork::RetrieveCold { bytes: GIB },
        ))
    },
    disk(stor("stor-disk", "upload 1 GiB to disk", GIB, 1)),
    disk(stors("stor-4k-disk", "upload files of 4 KiB to disk, 8 sessions", SMALL_BYTES, 1000, 8)),
    disk(stors("stor-1m-disk", "upload files of 1 MiB to disk, one session", MIB, 100, 1)),
    disk(stors("stor-1m-8-disk", "upload files of 1 MiB to disk, 8 sessions", MIB, 300, 8)),
    disk(mixed("mixed-50-disk", "mixed work of 50 clients on disk")),
    throttled("throttled", "download at 32 MiB/s, set in wharf", true),
    throttled("throttled-stor", "upload at 32 MiB/s, set in wharf", false),
    // The program.
    BenchCase {
        headline: Figure::StartMs,
        ..long(case("start", "from program start to the first file", Operation, Start))
    },
    BenchCase {
        headline: Figure::SizeMb,
        is_wharf_only: true,
        rounds_max: 1,
        ..case("size", "size of the stripped program", Operation, CaseWork::Size)
    },
    // How the cost grows.
    sessions_growth("sessions-growth-1", "1 session downloads 2 GiB", 1),
    sessions_growth("sessions-growth-10", "10 sessions download 2 GiB together", 10),
    sessions_growth("sessions-growth-100", "100 sessions download 2 GiB together", 100),
    sessions_growth("sessions-growth-1000", "1,000 sessions download 2 GiB together", 1_000),
    sessions_growth("sessions-growth-10000", "10,000 sessions download 2 GiB together", 10_000),
    list_growth("list-growth-100", "MLSD of 100 entries", 100, 200),
    list_growth("list-growth-1000", "MLSD of 1,000 entries", 1_000, 50),
    list_growth("list-growth-10000", "MLSD of 10,000 entries", 10_000, 10),
    list_growth("list-growth-100000", "MLSD of 100,000 entries", 100_000, 2),
    list_growth("list-growth-1000000", "MLSD of 1,000,000 entries", 1_000_000, 1),
];

const PLAIN: Variant = Variant { is_argon2: false, rate: None };
const LARGE_SPAN: Option<u64> = Some(16 * MIB);
const SMALL_SPAN: Option<u64> = Some(MIB);
/// The round trip time of a distant server.
const DISTANCE_MS: u64 = 50;

const fn case(
    name: &'static str,
    title: &'static str,
    unit: CountUnit,
    work: CaseWork,
) -> BenchCase {
    BenchCase {
        name,
        title,
        group: Quick,
        unit,
        headline: Figure::Rate,
        work,
        is_tls: false,
        place: FileLocation::Memory,
        variant: PLAIN,
        is_wharf_only: false,
        has_full: false,
        has_bystander: false,
        round_trip_ms: 0,
        limit_span: None,
        rounds_max: u32::MAX,
    }
}

const fn long(case: BenchCase) -> BenchCase {
    BenchCase { group: Long, ..case }
}

const fn tls(case: BenchCase) -> BenchCase {
    BenchCase { is_tls: true, ..case }
}

/// Not judged by a bare program, whose threads wait as the servers do.
const fn distant(case: BenchCase) -> BenchCase {
    BenchCase { round_trip_ms: DISTANCE_MS, limit_span: None, rounds_max: 2, ..long(case) }
}

/// On a real disk, in both durabilities.
const fn disk(case: BenchCase) -> BenchCase {
    BenchCase { place: FileLocation::Disk, has_full: true, limit_span: None, ..long(case) }
}

/// Each session moves one file.
const fn retr(name: &'static str, title: &'static str, bytes: u64, sessions: u64) -> BenchCase {
    let work = CaseWork::Retrieve { bytes, count: sessions, sessions };
    BenchCase { limit_span: SMALL_SPAN, ..case(name, title, Gib, work) }
}

const fn stor(name: &'static str, title: &'static str, bytes: u64, sessions: u64) -> BenchCase {
    let work = CaseWork::Store { bytes, count: sessions, sessions };
    BenchCase { limit_span: SMALL_SPAN, ..case(name, title, Gib, work) }
}

/// Each session moves many files.
const fn retrs(
    name: &'static str,
    title: &'static str,
    bytes: u64,
    count: u64,
    sessions: u64,
) -> BenchCase {
    let work = CaseWork::Retrieve { bytes, count, sessions };
    BenchCase { limit_span: SMALL_SPAN, ..case(name, title, Operation, work) }
}

const fn stors(
    name: &'static str,
    title: &'static str,
    bytes: u64,
    count: u64,
    sessions: u64,
) -> BenchCase {
    let work = CaseWork::Store { bytes, count, sessions };
    BenchCase { limit_span: SMALL_SPAN, ..case(name, title, Operation, work) }
}

const fn small_retr(name: &'static str, title: &'static str, sessions: u64) -> BenchCase {
    let work = CaseWork::RetrieveSmall { count: SMALL_COUNT, sessions };
    BenchCase { limit_span: SMALL_SPAN, ..case(name, title, Operation, work) }
}

const fn small_stor(name: &'static str, title: &'static str, sessions: u64) -> BenchCase {
    let has_full = sessions > 1;
    BenchCase { has_full, ..stors(name, title, SMALL_BYTES, SMALL_COUNT, sessions) }
}

const fn mixed(name: &'static str, title: &'static str) -> BenchCase {
    case(name, title, Operation, CaseWork::Mixed { count: 5_000, sessions: 50 })
}

const fn login(count: u64, sessions: u64) -> CaseWork {
    CaseWork::Login { count, sessions }
}

const fn command(
    name: &'static str,
    title: &'static str,
    line: &'static str,
    count: u64,
    sessions: u64,
) -> BenchCase {
    case(name, title, Operation, CaseWork::Command { line, count, sessions })
}

const fn list(
    name: &'static str,
    title: &'static str,
    unit: CountUnit,
    verb: ListingCommand,
    entries: u64,
    count: u64,
) -> BenchCase {
    let work = List { verb, entries, count };
    BenchCase { limit_span: SMALL_SPAN, ..case(name, title, unit, work) }
}

const fn client(
    name: &'static str,
    title: &'static str,
    client: ClientProgram,
    job: ClientJob,
) -> BenchCase {
    case(name, title, Operation, CaseWork::ClientProgram { client, job })
}

const fn idle(name: &'static str, title: &'static str, sessions: u64) -> BenchCase {
    let work = Idle { sessions, is_used: false };
    BenchCase {
        headline: Figure::SessionKib,
        rounds_max: 1,
        ..long(case(name, title, Operation, work))
    }
}

/// Long enough that unfair scheduling evens out, which takes more than a second.
const fn fair(case: BenchCase) -> BenchCase {
    BenchCase { is_wharf_only: true, rounds_max: 2, ..long(case) }
}

const fn sessions_growth(name: &'static str, title: &'static str, sessions: u64) -> BenchCase {
    let work = CaseWork::Retrieve { bytes: 2 * GIB / sessions, count: sessions, sessions };
    BenchCase { group: CaseGroup::Growth, rounds_max: 2, ..case(name, title, Gib, work) }
}

const fn list_growth(
    name: &'static str,
    title: &'static str,
    entries: u64,
    count: u64,
) -> BenchCase {
    let work = List { verb: Mlsd, entries, count };
    BenchCase { group: CaseGroup::Growth, rounds_max: 2, ..case(name, title, Entry, work) }
}

/// The rate limit of throttled cases, in bytes per second.
const THROTTLE: u64 = 32 * MIB;

const fn throttled(name: &'static str, title: &'static str, is_download: bool) -> BenchCase {
    let (bytes, count, sessions) = (96 * MIB, 1, 1);
    let work = if is_download {
        CaseWork::Retrieve { bytes, count, sessions }
    } else {
        CaseWork::Store { bytes, count, sessions }
    };
    BenchCase {
        headline: Figure::RateErrorPercent,
        is_wharf_only: true,
        variant: Variant { rate: Some(THROTTLE), ..PLAIN },
        rounds_max: 1,
        ..long(case(name, title, Gib, work))
    }
}
