//! The floors of the engine: imports in `crates/server/src` run down, never up. That they form no
//! cycle is checked for every crate, in `circles`.

use super::imports::imports;
use super::source::SourceFile;
use super::tree::SourceTree;
use super::{Finding, Rule};

/// The modules of the engine, from the highest floor to the lowest. A module may use those on lower
/// floors, and those on its own floor without a cycle.
const FLOORS: &[(u8, &[&str])] = &[
    (8, &["server"]),
    (7, &["conversation"]),
    (6, &["transfer", "server_side_job", "drive", "gate"]),
    (5, &["command"]),
    (4, &["session", "session_end", "data_conn_outcome"]),
    (3, &["control", "data", "shared"]),
    (
        2,
        &[
            "pump", "tls", "next", "ports", "files", "lines", "admission", "auth_throttle",
            "diagnostics",
        ],
    ),
    (
        1,
        &[
            "net", "rate_limit", "digest", "blocking_pool", "refusal", "registry", "regression",
            "session_status", "settings", "certificate", "names", "metrics",
        ],
    ),
];

/// Where the engine is.
const SRC: &str = "crates/server/src/";

static UPWARD: Rule = Rule {
    name: "floors",
    why: "imports only run down, so that a module can be read and tested without those above it",
    hint: "pass the value in or return it; or move what both need to the lower floor",
};

static UNKNOWN: Rule = Rule {
    name: "floors",
    why: "a module without a floor could be imported from anywhere, and imports could form a cycle",
    hint: "add it to the table in xtask/src/tidy/floors.rs",
};

pub(super) fn check(tree: &SourceTree) -> Vec<Finding> {
    let engine = || tree.sources.iter().filter(|source| source.path.starts_with(SRC));
    let modules = engine().filter(|source| !source.is_test && module(source) != "lib");
    let mut findings = Vec::new();
    for source in modules {
        let from = module(source);
        let Some(own) = floor(from) else {
            findings.push(UNKNOWN.broken(&source.path, 1, format!("`{from}` has no floor")));
            continue;
        };
        for import in imports(source) {
            let (line, to) = (import.line, import.first());
            match floor(to) {
                None => {
                    let what = format!("`crate::{to}` has no floor");
                    findings.push(UNKNOWN.broken(&source.path, line, what));
                }
                Some(other) if other > own => {
                    let what = format!("`{from}` (floor {own}) uses `{to}` (floor {other})");
                    findings.push(UPWARD.broken(&source.path, line, what));
                }
                Some(_) => {}
            }
        }
    }
    findings
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, modules)| modules.contains(&module)).map(|(floor, _)| *floor)
}

/// The module of a file: the first part of its path below `src`.
fn module(source: &SourceFile) -> &str {
    source.module().first().copied().unwrap_or("lib")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    const NET: &str = "crates/server/src/net.rs";

    fn findings(path: &str, text: &str) -> Vec<String> {
        found(check, &[(path, text)])
    }

    #[test]
    fn an_import_that_runs_down_is_fine() {
        let text = "use crate::net::Net;\nuse crate::{settings::Settings, files};\n";
        assert!(findings("crates/server/src/data.rs", text).is_empty());
    }

    #[test]
    fn an_upward_import_is_reported_with_both_floors() {
        let text = "//! Net.\n\nuse crate::control::Control;\n";
        let expected = "net.rs:3: floors: `net` (floor 1) uses `control` (floor 3)";
        assert_eq!(findings(NET, text), [format!("crates/server/src/{expected}")]);
    }

    #[test]
    fn groups_inline_paths_and_super_count_as_imports() {
        for text in [
            "use crate::{settings::{A, B}, session::Session};",
            "fn f(x: &crate::session::Session) {}",
            "use super::session::Session;",
        ] {
            assert_eq!(findings(NET, text).len(), 1, "{text}");
        }
        let text = "use super::super::conversation::x;\nuse super::spec::Spec;";
        assert_eq!(findings("crates/server/src/command/file.rs", text).len(), 1);
    }

    #[test]
    fn tests_and_comments_may_name_what_they_like() {
        let text = "// crate::server\n#[cfg(test)]\nmod tests { use crate::server::Server; }";
        assert!(findings(NET, text).is_empty());
        assert!(findings("crates/server/src/net/tests.rs", "use crate::server::S;").is_empty());
    }

    #[test]
    fn a_module_without_a_floor_is_reported() {
        let lines = findings("crates/server/src/helpers.rs", "");
        assert_eq!(lines, ["crates/server/src/helpers.rs:1: floors: `helpers` has no floor"]);
        assert!(findings("crates/server/src/pump_linux.rs", "").is_empty());
        assert!(findings("crates/server/src/lib.rs", "pub mod net;").is_empty());
    }

    #[test]
    fn the_crate_root_does_not_bypass_the_floors() {
        let lines = findings(NET, "use crate::Server;");
        assert!(lines.iter().any(|line| line.contains("`crate::Server`")), "{lines:?}");
    }
}
