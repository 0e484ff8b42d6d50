//! What is measured: the parts of a case. The cases are in [`rows`].

use crate::bench::clients::{ClientJob, ClientProgram};
use crate::bench::number::KIB;
use crate::bench::result::Figure;

mod rows;

pub(crate) use rows::CASES;

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
    /// wharf with synced uploads (durability "full") takes part, too: the group `full`.
    pub(crate) has_full: bool,
    /// An extra session sends NOOP meanwhile.
    pub(crate) has_bystander: bool,
    /// The round trip time between clients and server, in ms; 0 for that of the machine.
    pub(crate) round_trip_ms: u64,
    /// The bare program takes part, with this many bytes per system call.
    pub(crate) limit_span: Option<u64>,
    /// The most rounds that are useful.
    pub(crate) rounds_max: u32,
}

/// The groups of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaseGroup {
    /// In `quick` and in `all`.
    Quick,
    /// In `all` only.
    Long,
    /// How cost grows: in `all`, and alone as `growth`. One table for each series.
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
        sessions: u64,
    },
    List {
        verb: ListingCommand,
        entries: u64,
        count: u64,
    },
    /// With `is_used` each session has sent commands and moved a listing and a small file before.
    Idle {
        sessions: u64,
        is_used: bool,
    },
    /// Listings, small transfers, renames and deletions, as a seed decides.
    Mixed {
        count: u64,
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
    /// All at once, each with a login.
    Logins {
        count: u64,
    },
    /// A client program with its default settings.
    ClientProgram {
        client: ClientProgram,
        job: ClientJob,
    },
    /// What FileZilla sends to list a folder and to download its files over two connections.
    FileZilla,
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
    Nlst,
}

/// The size of a small file.
pub(crate) const SMALL_BYTES: u64 = 4 * KIB;
/// The number of small files.
pub(crate) const SMALL_COUNT: u64 = 5000;
/// The longest upload of mixed work.
pub(crate) const MIXED_BYTES: u64 = 64 * KIB;
/// The size of the file for whole sessions and for the start.
pub(crate) const TINY_BYTES: u64 = 64;

/// The case of that name.
pub(crate) fn find(name: &str) -> Option<&'static BenchCase> {
    CASES.iter().find(|case| case.name == name)
}

/// The groups that can be selected.
const GROUPS: [&str; 4] = ["quick", "all", "growth", "full"];

/// The cases selected by `words`: names and [`GROUPS`].
pub(crate) fn chosen(words: &[String]) -> Result<Vec<&'static BenchCase>, String> {
    if let Some(word) = words.iter().find(|word| !CASES.iter().any(|case| is_in(case, word))) {
        return Err(format!(
            "unknown case \"{word}\"\nhint: list cases with `cargo xtask bench --list`; groups are \
             {}",
            GROUPS.join(", ")
        ));
    }
    Ok(CASES.iter().filter(|case| words.iter().any(|word| is_in(case, word))).collect())
}

fn is_in(case: &BenchCase, word: &str) -> bool {
    match word {
        "quick" => case.group == CaseGroup::Quick,
        "all" => true,
        "full" => case.has_full,
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
            | CaseWork::Mixed { sessions, .. }
            | CaseWork::Command { sessions, .. }
            | CaseWork::Idle { sessions, .. } => sessions,
            CaseWork::Connects { count } | CaseWork::Logins { count } => count,
            _ => 1,
        }
    }

    /// Whether the clients upload, so that uploads must be removed.
    pub(crate) fn uploads(&self) -> bool {
        match self.work {
            CaseWork::Store { .. } | CaseWork::Mixed { .. } => true,
            CaseWork::ClientProgram { job, .. } => job.is_upload(),
            _ => false,
        }
    }

    /// The unit of a figure of this case.
    pub(crate) fn unit_of(&self, figure: Figure) -> &'static str {
        match figure {
            Figure::Rate => self.unit.rate(),
            Figure::Cpu if matches!(self.work, CaseWork::Idle { .. }) => "us/login",
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
            assert!(!GROUPS.contains(&case.name));
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
    fn all_has_every_case_and_quick_some() {
        assert_eq!(chosen(&["all".to_owned()]).unwrap().len(), CASES.len());
        let quick = chosen(&["quick".to_owned()]).unwrap().len();
        assert!(quick > 5 && quick < CASES.len());
    }

    #[test]
    fn full_has_uploads_in_memory_and_on_disk_and_nothing_else() {
        let full = chosen(&["full".to_owned()]).unwrap();
        assert!(full.iter().all(|case| case.uploads()));
        for place in [FileLocation::Memory, FileLocation::Disk] {
            assert!(full.iter().any(|case| case.place == place), "{place:?}");
        }
    }

    #[test]
    fn uploads_of_every_kind_are_removed_afterwards() {
        for name in ["stor-1", "mixed-50", "lftp-put", "curl-put"] {
            assert!(find(name).unwrap().uploads(), "{name}");
        }
        for name in ["retr-1", "lftp-get", "filezilla", "idle-used-500"] {
            assert!(!find(name).unwrap().uploads(), "{name}");
        }
    }
}
