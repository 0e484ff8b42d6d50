//! Acts that have one home: sockets, tasks, blocking work; and what a command may reach for.

use super::source::Source;
use super::tree::Tree;
use super::{Finding, Rule, floors};

/// An act, and the only places where it may be done.
struct Act {
    words: &'static [&'static str],
    /// Beginnings of paths.
    homes: &'static [&'static str],
    rule: Rule,
}

static ACTS: &[Act] = &[
    Act {
        words: &["tokio::spawn", "task::spawn", "spawn_local"],
        // The simulation is a world of its own, with clients that are tasks.
        homes: &[
            "crates/server/src/server.rs",
            // A port that sessions share belongs to none of them.
            "crates/server/src/ports/passive_listener/accept_task.rs",
            "crates/sim/",
        ],
        rule: Rule {
            name: "spawn",
            why: "one task owns one client, so that dropping it frees all that the client held",
            remedy: "poll the future beside the others in the task that you are in",
        },
    },
    Act {
        words: &["spawn_blocking", "block_in_place"],
        homes: &[
            "crates/storage/src/disk",
            // It passes on what the disk store says.
            "crates/storage/src/mounts.rs",
            // Hashes take long, and the accounts file is read at a login.
            "crates/users/src/password",
            "crates/users/src/hasher",
            "crates/users/src/file",
            // The home of an account that nobody keeps is made at its first login.
            "crates/login/src/template.rs",
            // A statement of SQLite, which has no other way; a turn of the pool bounds how many.
            "crates/accounts-sql/src/sqlite.rs",
            "crates/server/src/pump",
            // Lines of entries that a store reads by blocking calls, a bounded piece at a time.
            "crates/server/src/lines.rs",
            "crates/server/src/server.rs",
        ],
        rule: Rule {
            name: "blocking",
            why: "work on a blocking thread is not stopped by dropping it; each place needs care",
            remedy: "go through Storage, Users or the pump, which know how to stop it",
        },
    },
    Act {
        words: &[
            "TcpListener::bind",
            "TcpStream::connect",
            "UdpSocket::bind",
            "TcpSocket::new_v4",
            "TcpSocket::new_v6",
            "UnixListener::bind",
            "UnixStream::connect",
            "Socket::new",
        ],
        homes: &[
            "crates/server/src/net.rs",
            "crates/server/src/net_",
            "crates/server/src/net/",
            // The program that shows what is possible, and the wait for a server that starts.
            "crates/bench/src/bare.rs",
            "crates/bench/src/running.rs",
            // A login service is asked on the way out.
            "crates/login/src/http/service/exchange.rs",
            // The API is another way in, for this computer alone.
            "crates/admin/src/listener/",
            // The client that measures connects to servers outside.
            "crates/load/src/net.rs",
            // So have those that end in every way, the wait for their server, and the search for
            // ports that are free.
            "crates/prove/src/client.rs",
            // A client in active mode.
            "crates/prove/src/torture/sessions.rs",
            "crates/prove/src/server.rs",
            "crates/prove/src/ports.rs",
        ],
        rule: Rule {
            name: "sockets",
            why: "every socket passes one door, or the simulation would not see it",
            remedy: "use Net, and add to it what is missing",
        },
    },
    Act {
        words: &["std::path", "Path", "PathBuf", "OsStr", "OsString"],
        // The program, its accounts and its tools: their paths come from who runs them.
        homes: &[
            "crates/storage/src/disk",
            // It passes on what the disk store says.
            "crates/storage/src/mounts.rs",
            "crates/users/",
            "crates/login/",
            "crates/accounts-sql/",
            "crates/wharf/",
            "crates/load/",
            "crates/bench/",
            "crates/admin/",
            "crates/prove/",
            "crates/sim/",
            // Where an account's files are: written by who made the account.
            "crates/core/src/account.rs",
            // Where programs beside the server find files, as the disk store says.
            "crates/core/src/event.rs",
            "crates/core/src/storage.rs",
            "crates/core/src/trusted_file.rs",
            "crates/events/",
            "crates/server/src/certificate.rs",
            "crates/server/src/command/reference.rs",
            "crates/server/src/command/paths.rs",
        ],
        rule: Rule {
            name: "paths",
            why: "what a client sends becomes a VPath once, and only the disk store makes names of \
                  the operating system of it: two ways to read a path are a way around the rules",
            remedy: "take a VPath, and ask Files",
        },
    },
];

/// Where the commands are.
const COMMANDS: &str = "crates/server/src/command";
/// The modules of the engine that a command may not use.
const OUT_OF_REACH: &[&str] = &["control", "net", "pump"];

static REACH: Rule = Rule {
    name: "commands",
    why: "a command decides and returns Next; it never acts, so it can be tested without sockets",
    remedy: "return a Next, and reach files through Files, which asks for permission",
};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let sources = tree.sources.iter().filter(|source| source.path.starts_with("crates/"));
    sources.flat_map(|source| [homeless(source), reaching(source)].concat()).collect()
}

fn homeless(source: &Source) -> Vec<Finding> {
    let foreign = ACTS.iter().filter(|act| !act.homes.iter().any(|h| source.path.starts_with(h)));
    foreign.flat_map(|act| act.rule.forbids(source, act.words)).collect()
}

fn reaching(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with(COMMANDS) || source.is_test {
        return Vec::new();
    }
    let uses = floors::uses(source).into_iter().filter(|(_, to)| OUT_OF_REACH.contains(to));
    let uses = uses.map(|(line, to)| REACH.broken(&source.path, line, format!("`{to}`")));
    uses.chain(REACH.forbids(source, &["Storage"])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn sockets_are_made_in_net_only() {
        let text = "let listener = tokio::net::TcpListener::bind(address).await?;";
        assert_eq!(found(check, &[("crates/server/src/data.rs", text)]).len(), 1);
        assert_eq!(found(check, &[("crates/wharf/src/panel.rs", text)]).len(), 1);
        assert!(found(check, &[("crates/server/src/net.rs", text)]).is_empty());
        assert!(found(check, &[("crates/wharf/tests/client_lftp.rs", text)]).is_empty());
    }

    #[test]
    fn tasks_and_blocking_work_have_their_homes() {
        let text = "tokio::spawn(async {});\ntokio::task::spawn_blocking(|| ());";
        let lines = found(check, &[("crates/server/src/session.rs", text)]);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(found(check, &[("crates/server/src/server.rs", text)]).is_empty());
        let text = "spawn_blocking(|| ());";
        assert!(found(check, &[("crates/storage/src/disk/os_unix.rs", text)]).is_empty());
        assert_eq!(found(check, &[("crates/storage/src/memory.rs", text)]).len(), 1);
    }

    #[test]
    fn row_27_only_the_disk_store_makes_paths_of_the_system() {
        for text in ["let path = PathBuf::from(typed);", "Path::new(name)", "use std::path::Path;"]
        {
            assert!(!found(check, &[("crates/server/src/files.rs", text)]).is_empty(), "{text}");
            assert!(!found(check, &[("crates/proto/src/path.rs", text)]).is_empty(), "{text}");
            assert!(!found(check, &[("crates/storage/src/memory.rs", text)]).is_empty(), "{text}");
            assert!(found(check, &[("crates/storage/src/disk/unix.rs", text)]).is_empty());
        }
        assert!(found(check, &[("crates/server/src/files.rs", "let path: VPath;")]).is_empty());
    }

    #[test]
    fn a_command_reaches_for_neither_sockets_nor_stores() {
        let path = "crates/server/src/command/file.rs";
        for text in [
            "use crate::control::Control;",
            "use crate::{next::Next, pump::Pump};",
            "use wharf_core::storage::Storage;",
        ] {
            assert_eq!(found(check, &[(path, text)]).len(), 1, "{text}");
        }
        let text = "use crate::next::Next;\nuse wharf_core::storage::{Start, Write};";
        assert!(found(check, &[(path, text)]).is_empty());
    }
}
