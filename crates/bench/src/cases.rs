//! What is measured: one row per case.

use crate::bench::number::{GIB, KIB, MIB};
use crate::bench::result::Figure;

use CaseGroup::{Full, Quick};
use CountUnit::{Entry, Gib, Operation};

/// One case. Every server that takes part does the same work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BenchCase {
    pub(crate) name: &'static str,
    /// A description for readers.
    pub(crate) title: &'static str,
    pub(crate) group: CaseGroup,
    pub(crate) unit: CountUnit,
    /// The figure that is compared first.
    pub(crate) headline: Figure,
    pub(crate) work: CaseWork,
    pub(crate) is_tls: bool,
    pub(crate) place: FileLocation,
    /// The configuration of wharf; other servers have no such settings.
    pub(crate) variant: Variant,
    /// Only wharf takes part.
    pub(crate) is_wharf_only: bool,
    /// The bare program takes part, with this many bytes per system call.
    pub(crate) limit_span: Option<u64>,
    /// The most rounds that are useful.
    pub(crate) rounds_max: u32,
}

/// The groups of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaseGroup {
    /// In `quick` and in `full`.
    Quick,
    /// In `full` only.
    Full,
    /// How cost grows: in `full`, and alone as `growth`. Shown as curves.
    Growth,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountUnit {
    Gib,
    Operation,
    Entry,
}

impl CountUnit {
    pub(crate) fn rate(self) -> &'static str {
        match self {
            Self::Gib => "GiB/s",
            Self::Operation => "op/s",
            Self::Entry => "entries/s",
        }
    }

    pub(crate) fn cpu(self) -> &'static str {
        match self {
            Self::Gib => "s/GiB",
            Self::Operation => "us/op",
            Self::Entry => "us/entry",
        }
    }
}

/// Where the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileLocation {
    /// tmpfs: no disk slows the servers down.
    Memory,
    Disk,
}

/// The configuration of wharf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    /// `durability = "full"`, else `"fast"`, which is comparable to the other servers.
    pub(crate) is_durable: bool,
    /// The account has an Argon2id hash, else the cheapest there is.
    pub(crate) is_argon2: bool,
    /// Rate limit of transfers, in bytes per second.
    pub(crate) rate: Option<u64>,
}

/// The work of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaseWork {
    Retrieve {
        bytes: u64,
        count: u64,
        sessions: u64,
    },
    /// One download of a file that is not in the page cache, while another session sends NOOP.
    RetrieveCold {
        bytes: u64,
    },
    /// Files of [`SMALL_BYTES`], each a different one.
    RetrieveSmall {
        count: u64,
        sessions: u64,
    },
    Store {
        bytes: u64,
        count: u64,
        sessions: u64,
    },
    Login {
        count: u64,
        sessions: u64,
    },
    Command {
        line: &'static str,
        count: u64,
    },
    List {
        verb: ListingCommand,
        entries: u64,
        count: u64,
    },
    Idle {
        sessions: u64,
    },
    /// Connect, log in, one small download, QUIT.
    Session {
        count: u64,
    },
    /// All at once.
    Connects {
        count: u64,
    },
    /// From the start of the program to the first file.
    Start,
    /// The size of the program file.
    Size,
}

/// A listing command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListingCommand {
    Mlsd,
    List,
}

/// The size of a small file.
pub(crate) const SMALL_BYTES: u64 = 4 * KIB;
/// The number of small files.
pub(crate) const SMALL_COUNT: u64 = 5000;
/// The size of the file for whole sessions and for the start.
pub(crate) const TINY_BYTES: u64 = 64;

const PLAIN: Variant = Variant { is_durable: false, is_argon2: false, rate: None };
const LARGE_SPAN: Option<u64> = Some(16 * MIB);
const SMALL_SPAN: Option<u64> = Some(MIB);

const fn case(
    name: &'static str,
    title: &'static str,
    group: CaseGroup,
    unit: CountUnit,
    work: CaseWork,
) -> BenchCase {
    BenchCase {
        name,
        title,
        group,
        unit,
        headline: Figure::Rate,
        work,
        is_tls: false,
        place: FileLocation::Memory,
        variant: PLAIN,
        is_wharf_only: false,
        limit_span: None,
        rounds_max: u32::MAX,
    }
}

const fn retr(name: &'static str, title: &'static str, bytes: u64, sessions: u64) -> BenchCase {
    let work = CaseWork::Retrieve { bytes, count: sessions, sessions };
    BenchCase { limit_span: SMALL_SPAN, ..case(name, title, Quick, Gib, work) }
}

const fn stor(name: &'static str, title: &'static str, bytes: u64, sessions: u64) -> BenchCase {
    let work = CaseWork::Store { bytes, count: sessions, sessions };
    BenchCase { limit_span: SMALL_SPAN, ..case(name, title, Quick, Gib, work) }
}

/// Long enough that unfair scheduling evens out, which takes more than a second.
const fn fair(case: BenchCase) -> BenchCase {
    BenchCase { group: Full, is_wharf_only: true, rounds_max: 2, ..case }
}

const fn idle(name: &'static str, title: &'static str, sessions: u64) -> BenchCase {
    BenchCase {
        headline: Figure::SessionKib,
        rounds_max: 1,
        ..case(name, title, Full, Operation, CaseWork::Idle { sessions })
    }
}

const fn sessions_growth(name: &'static str, title: &'static str, sessions: u64) -> BenchCase {
    let work = CaseWork::Retrieve { bytes: 2 * GIB / sessions, count: sessions, sessions };
    BenchCase { rounds_max: 2, ..case(name, title, CaseGroup::Growth, Gib, work) }
}

const fn list_growth(
    name: &'static str,
    title: &'static str,
    entries: u64,
    count: u64,
) -> BenchCase {
    let work = CaseWork::List { verb: ListingCommand::Mlsd, entries, count };
    BenchCase { rounds_max: 2, ..case(name, title, CaseGroup::Growth, Entry, work) }
}

const fn list(
    name: &'static str,
    title: &'static str,
    unit: CountUnit,
    verb: ListingCommand,
    entries: u64,
    count: u64,
) -> BenchCase {
    let group = if matches!(verb, ListingCommand::Mlsd) { Quick } else { Full };
    let work = CaseWork::List { verb, entries, count };
    BenchCase { limit_span: SMALL_SPAN, ..case(name, title, group, unit, work) }
}

/// All cases, in the order of the report.
pub(crate) static CASES: &[BenchCase] = &[
    BenchCase { limit_span: LARGE_SPAN, ..retr("retr-1", "download 4 GiB", 4 * GIB, 1) },
    BenchCase { group: Full, ..retr("retr-10", "10 downloads of 400 MiB at once", 400 * MIB, 10) },
    retr("retr-100", "100 downloads of 40 MiB at once", 40 * MIB, 100),
    BenchCase {
        group: Full,
        ..retr("retr-300", "300 clients download 10 MiB each", 10 * MIB, 300)
    },
    stor("stor-1", "upload 2 GiB", 2 * GIB, 1),
    BenchCase { group: Full, ..stor("stor-10", "10 uploads of 200 MiB at once", 200 * MIB, 10) },
    BenchCase { group: Full, ..stor("stor-100", "100 uploads of 20 MiB at once", 20 * MIB, 100) },
    fair(retr("fair-retr-100", "100 downloads of 400 MiB at once, fairness", 400 * MIB, 100)),
    fair(stor("fair-stor-100", "100 uploads of 64 MiB at once, fairness", 64 * MIB, 100)),
    small_retr("small-retr-1", "download 5,000 files of 4 KiB, one session", 1),
    small_retr("small-retr-8", "download 5,000 files of 4 KiB, eight sessions", 8),
    small_stor("small-stor-1", "upload 5,000 files of 4 KiB, one session", 1),
    small_stor("small-stor-8", "upload 5,000 files of 4 KiB, eight sessions", 8),
    case("login-1", "log in, one after the other", Quick, Operation, login(200, 1)),
    case("login-16", "log in, 16 at a time", Quick, Operation, login(2000, 16)),
    BenchCase {
        variant: Variant { is_argon2: true, ..PLAIN },
        is_wharf_only: true,
        ..case(
            "login-argon2",
            "log in, 16 at a time, Argon2id (m=19456, t=2, p=1)",
            Full,
            Operation,
            login(200, 16),
        )
    },
    BenchCase {
        limit_span: SMALL_SPAN,
        ..case("noop", "NOOP", Quick, Operation, CaseWork::Command { line: "NOOP", count: 20_000 })
    },
    case("pwd", "PWD", Quick, Operation, CaseWork::Command { line: "PWD", count: 20_000 }),
    list("mlsd-1k", "MLSD of 1,000 entries", Operation, ListingCommand::Mlsd, 1_000, 50),
    list("mlsd-100k", "MLSD of 100,000 entries", Entry, ListingCommand::Mlsd, 100_000, 2),
    list("list-1k", "LIST of 1,000 entries", Operation, ListingCommand::List, 1_000, 50),
    list("list-100k", "LIST of 100,000 entries", Entry, ListingCommand::List, 100_000, 2),
    BenchCase { is_tls: true, ..retr("ftps-retr", "FTPS: download 1 GiB", GIB, 1) },
    BenchCase { is_tls: true, ..stor("ftps-stor", "FTPS: upload 1 GiB", GIB, 1) },
    BenchCase {
        is_tls: true,
        ..case(
            "ftps-session",
            "FTPS: connect, log in, download 64 bytes, QUIT",
            Quick,
            Operation,
            CaseWork::Session { count: 300 },
        )
    },
    BenchCase { group: Quick, ..idle("idle-500", "500 idle sessions", 500) },
    idle("idle-5000", "5,000 idle sessions", 5_000),
    idle("idle-10000", "10,000 idle sessions", 10_000),
    BenchCase {
        is_tls: true,
        group: Quick,
        ..idle("idle-ftps-500", "FTPS: 500 idle sessions", 500)
    },
    BenchCase { is_tls: true, ..idle("idle-ftps-5000", "FTPS: 5,000 idle sessions", 5_000) },
    BenchCase { is_tls: true, ..idle("idle-ftps-10000", "FTPS: 10,000 idle sessions", 10_000) },
    case(
        "connects",
        "1,000 connections at once",
        Full,
        Operation,
        CaseWork::Connects { count: 1_000 },
    ),
    BenchCase {
        place: FileLocation::Disk,
        ..case(
            "cold",
            "download 1 GiB that is not in the page cache, beside a session that sends NOOP",
            Full,
            Gib,
            CaseWork::RetrieveCold { bytes: GIB },
        )
    },
    BenchCase {
        place: FileLocation::Disk,
        group: Full,
        limit_span: None,
        ..stor("stor-disk", "upload 1 GiB to disk, not synced", GIB, 1)
    },
    durable("stor-full-disk", "upload 1 GiB to disk, synced (`full`)", FileLocation::Disk),
    durable("stor-full-memory", "upload 1 GiB to tmpfs, `full`", FileLocation::Memory),
    throttled("throttled", "download at 32 MiB/s, set in wharf", true),
    throttled("throttled-stor", "upload at 32 MiB/s, set in wharf", false),
    BenchCase {
        headline: Figure::StartMs,
        ..case("start", "from program start to the first file", Quick, Operation, CaseWork::Start)
    },
    BenchCase {
        headline: Figure::SizeMb,
        is_wharf_only: true,
        rounds_max: 1,
        ..case("size", "size of the stripped program", Quick, Operation, CaseWork::Size)
    },
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

const fn login(count: u64, sessions: u64) -> CaseWork {
    CaseWork::Login { count, sessions }
}

const fn small_retr(name: &'static str, title: &'static str, sessions: u64) -> BenchCase {
    case(name, title, Quick, Operation, CaseWork::RetrieveSmall { count: SMALL_COUNT, sessions })
}

const fn small_stor(name: &'static str, title: &'static str, sessions: u64) -> BenchCase {
    let work = CaseWork::Store { bytes: SMALL_BYTES, count: SMALL_COUNT, sessions };
    case(name, title, Quick, Operation, work)
}

const fn durable(name: &'static str, title: &'static str, place: FileLocation) -> BenchCase {
    BenchCase {
        place,
        group: Full,
        limit_span: None,
        is_wharf_only: true,
        variant: Variant { is_durable: true, ..PLAIN },
        ..stor(name, title, GIB, 1)
    }
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
        ..case(name, title, Full, Gib, work)
    }
}

/// The case of that name.
pub(crate) fn find(name: &str) -> Option<&'static BenchCase> {
    CASES.iter().find(|case| case.name == name)
}

/// The cases selected by `words`: names, and the groups `quick`, `full` and `growth`.
///
/// # Errors
/// The word that is neither.
pub(crate) fn chosen(words: &[String]) -> Result<Vec<&'static BenchCase>, String> {
    if let Some(word) = words.iter().find(|word| !CASES.iter().any(|case| is_in(case, word))) {
        return Err(format!(
            "unknown case \"{word}\"\nhint: list cases with `cargo xtask bench --list`; groups are \
             quick, full and growth"
        ));
    }
    Ok(CASES.iter().filter(|case| words.iter().any(|word| is_in(case, word))).collect())
}

fn is_in(case: &BenchCase, word: &str) -> bool {
    match word {
        "quick" => case.group == Quick,
        "full" => true,
        "growth" => case.group == CaseGroup::Growth,
        name => case.name == name,
    }
}

impl BenchCase {
    /// The number of clients at a time.
    pub(crate) fn sessions(&self) -> u64 {
        match self.work {
            CaseWork::Retrieve { sessions, .. }
            | CaseWork::RetrieveSmall { sessions, .. }
            | CaseWork::Store { sessions, .. }
            | CaseWork::Login { sessions, .. }
            | CaseWork::Idle { sessions } => sessions,
            CaseWork::Connects { count } => count,
            _ => 1,
        }
    }

    /// The unit of a figure of this case.
    pub(crate) fn unit_of(&self, figure: Figure) -> &'static str {
        match figure {
            Figure::Rate => self.unit.rate(),
            Figure::Cpu => self.unit.cpu(),
            _ => figure.unit(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_no_name_is_a_group() {
        for (index, case) in CASES.iter().enumerate() {
            assert!(!["quick", "full", "growth"].contains(&case.name));
            assert!(CASES[..index].iter().all(|other| other.name != case.name), "{}", case.name);
        }
    }

    #[test]
    fn cases_are_chosen_in_their_own_order_and_once() {
        let words = ["pwd".to_owned(), "noop".to_owned(), "pwd".to_owned()];
        let names: Vec<_> = chosen(&words).unwrap().iter().map(|case| case.name).collect();
        assert_eq!(names, ["noop", "pwd"]);
    }

    #[test]
    fn an_unknown_name_is_reported() {
        let message = chosen(&["nop".to_owned()]).unwrap_err();
        assert!(message.contains("nop") && message.contains("--list"), "{message}");
    }

    #[test]
    fn full_has_every_case_and_quick_some() {
        assert_eq!(chosen(&["full".to_owned()]).unwrap().len(), CASES.len());
        let quick = chosen(&["quick".to_owned()]).unwrap().len();
        assert!(quick > 5 && quick < CASES.len());
    }
}
