//! Operations that are allowed in few places: sockets, tasks, blocking work; and what a command
//! must not use.

use super::imports::imports;
use super::source::SourceFile;
use super::tree::SourceTree;
use super::{Finding, Rule};

/// An operation, and the only places where it may be done.
struct RestrictedOperation {
    words: &'static [&'static str],
    /// Prefixes of paths.
    homes: &'static [&'static str],
    rule: Rule,
}

static ACTS: &[RestrictedOperation] = &[
    RestrictedOperation {
        words: &["tokio::spawn", "task::spawn", "spawn_local"],
        // The simulation has its own runtime, with clients that are tasks.
        homes: &[
            "crates/server/src/server.rs",
            // A shared port belongs to none of its sessions.
            "crates/server/src/ports/passive_listener/accept_task.rs",
            // A task stands for a thread in a simulation.
            "crates/server/src/blocking_pool.rs",
            "crates/sim/",
        ],
        rule: Rule {
            name: "spawn",
            why: "one task owns one client, so that dropping it releases everything",
            hint: "poll the future beside the others in the current task",
        },
    },
    RestrictedOperation {
        words: &["spawn_blocking", "block_in_place"],
        homes: &[
            "crates/storage/src/disk",
            // It passes on errors of the disk store.
            "crates/storage/src/mounts.rs",
            // Hashes take long, and the accounts file is read at a login.
            "crates/users/src/password",
            "crates/users/src/hasher",
            "crates/users/src/admin/file.rs",
            "crates/users/src/file",
            // The home of an account from an external source is created at its first login.
            "crates/login/src/template.rs",
            // SQLite is a blocking library; the pool bounds the number of statements.
            "crates/accounts-sql/src/sqlite.rs",
            // For copies and listings, in bounded blocks.
            "crates/server/src/blocking_pool.rs",
        ],
        rule: Rule {
            name: "blocking",
            why: "work on a blocking thread is not stopped by dropping it; each place needs care",
            hint: "use Storage, Users or the copy loops, which can stop it",
        },
    },
    RestrictedOperation {
        words: &[
            "TcpListener::bind", "TcpStream::connect", "UdpSocket::bind", "TcpSocket::new_v4",
            "TcpSocket::new_v6", "UnixListener::bind", "UnixStream::connect", "Socket::new",
        ],
        homes: &[
            "crates/server/src/net.rs",
            "crates/server/src/net_",
            "crates/server/src/net/",
            // The bare program, and the wait for a server to start.
            "crates/bench/src/bare.rs",
            "crates/bench/src/running.rs",
            // The proxy that makes a server distant.
            "crates/bench/src/distance.rs",
            // Requests to a login service.
            "crates/login/src/http/service/exchange.rs",
            // The API listens locally.
            "crates/admin/src/listener/",
            // The client of all tools connects to servers outside.
            "crates/load/src/net.rs",
            // The proofs: the wait for the server, and free ports.
            "crates/prove/src/server.rs",
            "crates/prove/src/ports.rs",
        ],
        rule: Rule {
            name: "sockets",
            why: "all sockets are made in one module, so that the simulation can replace them",
            hint: "use Net, and extend it if necessary",
        },
    },
    RestrictedOperation {
        words: &["std::path", "Path", "PathBuf", "OsStr", "OsString"],
        // The program, its accounts and its tools: their paths come from the administrator.
        homes: &[
            "crates/storage/src/disk",
            // It passes on errors of the disk store.
            "crates/storage/src/mounts.rs",
            "crates/users/",
            "crates/login/",
            "crates/accounts-sql/",
            "crates/wharf/",
            "crates/config/",
            "crates/import/",
            "crates/runtime/",
            "crates/testkit/",
            "crates/load/",
            "crates/bench/",
            "crates/admin/",
            "crates/prove/",
            "crates/sim/",
            // The paths of an account's files, set by its creator.
            "crates/core/src/account.rs",
            // Paths of files for programs beside the server, from the disk store.
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
                  the operating system of it: a second parser may allow what the first denies",
            hint: "take a VPath, and use SessionFiles",
        },
    },
];

/// Where the commands are.
const COMMANDS: &str = "crates/server/src/command";
/// Modules of the engine that a command must not use.
const OUT_OF_REACH: &[&str] = &["control", "net", "pump"];

static REACH: Rule = Rule {
    name: "commands",
    why: "a command decides and returns Next, so it can be tested without sockets",
    hint: "return a Next, and use files through Files, which checks permissions",
};

pub(super) fn check(tree: &SourceTree) -> Vec<Finding> {
    let sources = tree.sources.iter().filter(|source| source.path.starts_with("crates/"));
    sources.flat_map(|source| [homeless(source), reaching(source)].concat()).collect()
}

fn homeless(source: &SourceFile) -> Vec<Finding> {
    let foreign = ACTS.iter().filter(|act| !act.homes.iter().any(|h| source.path.starts_with(h)));
    foreign.flat_map(|act| act.rule.forbids(source, act.words)).collect()
}

fn reaching(source: &SourceFile) -> Vec<Finding> {
    if !source.path.starts_with(COMMANDS) || source.is_test {
        return Vec::new();
    }
    let uses = imports(source).into_iter().filter(|import| OUT_OF_REACH.contains(&import.first()));
    let uses =
        uses.map(|import| REACH.broken(&source.path, import.line, format!("`{}`", import.first())));
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
        assert!(found(check, &[("crates/server/src/blocking_pool.rs", text)]).is_empty());
        assert_eq!(found(check, &[("crates/server/src/server.rs", text)]).len(), 1);
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
    fn a_command_uses_neither_sockets_nor_stores() {
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
