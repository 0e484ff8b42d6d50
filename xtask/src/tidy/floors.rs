//! The floors of the engine: imports in `crates/server/src` run down, never up, never in a circle.

use std::collections::BTreeMap;

use super::source::{SourceFile, is_name, leading_name};
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
            "pump",
            "tls",
            "next",
            "ports",
            "files",
            "lines",
            "admission",
            "auth_throttle",
            "diagnostics",
        ],
    ),
    (
        1,
        &[
            "net",
            "rate_limit",
            "digest",
            "blocking_pool",
            "refusal",
            "registry",
            "regression",
            "session_status",
            "settings",
            "certificate",
            "names",
            "metrics",
        ],
    ),
];

/// Where the engine is.
const SRC: &str = "crates/server/src/";
/// Suffixes of files that contain the code for one operating system.
const SYSTEM_SUFFIXES: &[&str] = &["_linux", "_unix", "_windows", "_other"];

static UPWARD: Rule = Rule {
    name: "floors",
    why: "imports only run down, so that a module can be read and tested without those above it",
    hint: "pass the value in or return it; or move what both need to the lower floor",
};

static CIRCLE: Rule = Rule {
    name: "floors",
    why: "two modules that need each other are one module in two files",
    hint: "move what both need into one of them, or to a lower floor",
};

static UNKNOWN: Rule = Rule {
    name: "floors",
    why: "a module without a floor could be imported from anywhere, and imports could form a cycle",
    hint: "add it to the table in xtask/src/tidy/floors.rs",
};

/// One use of a module by another.
struct Use<'a> {
    source: &'a SourceFile,
    line: usize,
    from: &'a str,
    to: &'a str,
}

pub(super) fn check(tree: &SourceTree) -> Vec<Finding> {
    let engine = || tree.sources.iter().filter(|source| source.path.starts_with(SRC));
    let modules = engine().filter(|source| !source.is_test && module(source) != "lib");
    let mut findings = Vec::new();
    let mut sideways: Vec<Use<'_>> = Vec::new();
    for source in modules {
        let from = module(source);
        let Some(own) = floor(from) else {
            findings.push(UNKNOWN.broken(&source.path, 1, format!("`{from}` has no floor")));
            continue;
        };
        for (line, to) in uses(source) {
            match floor(to) {
                None => {
                    let what = format!("`crate::{to}` has no floor");
                    findings.push(UNKNOWN.broken(&source.path, line, what));
                }
                Some(other) if other > own => {
                    let what = format!("`{from}` (floor {own}) uses `{to}` (floor {other})");
                    findings.push(UPWARD.broken(&source.path, line, what));
                }
                Some(other) if other == own && to != from => {
                    sideways.push(Use { source, line, from, to });
                }
                Some(_) => {}
            }
        }
    }
    findings.extend(circles(&sideways));
    findings
}

/// A finding for each use on one floor that closes a cycle.
fn circles(uses: &[Use<'_>]) -> Vec<Finding> {
    let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for found in uses {
        edges.entry(found.from).or_default().push(found.to);
    }
    let closing = uses.iter().filter(|found| reaches(&edges, found.to, found.from));
    let report = |found: &Use<'_>| {
        let what = format!("`{}` uses `{}`, which needs it in turn", found.from, found.to);
        CIRCLE.broken(&found.source.path, found.line, what)
    };
    closing.map(report).collect()
}

fn reaches(edges: &BTreeMap<&str, Vec<&str>>, from: &str, to: &str) -> bool {
    let mut seen = Vec::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        if !seen.contains(&at) {
            seen.push(at);
            open.extend(edges.get(at).into_iter().flatten());
        }
    }
    false
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, modules)| modules.contains(&module)).map(|(floor, _)| *floor)
}

/// The module of a file: the first part of its path below `src`.
fn module(source: &SourceFile) -> &str {
    let below = source.path.strip_prefix(SRC).unwrap_or(&source.path);
    let first = below.split('/').next().unwrap_or(below);
    let name = first.strip_suffix(".rs").unwrap_or(first);
    SYSTEM_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// The modules of the crate that a file names outside tests, each with its line.
pub(super) fn uses(source: &SourceFile) -> Vec<(usize, &str)> {
    let mut uses = Vec::new();
    for offset in source.offsets_outside_tests("crate::") {
        let rest = source.code.get(offset + "crate::".len()..).unwrap_or_default();
        let line = source.line_of(offset);
        uses.extend(first_names(rest).into_iter().map(|name| (line, name)));
    }
    for offset in source.offsets_outside_tests("super::") {
        let before = source.code.get(..offset).unwrap_or_default();
        let mut rest = source.code.get(offset..).unwrap_or_default();
        let mut climbed = 0;
        while let Some(shorter) = rest.strip_prefix("super::") {
            rest = shorter;
            climbed += 1;
        }
        // With fewer `super` steps than this the path does not leave the module.
        if !before.ends_with("super::") && climbed >= depth(source) {
            let line = source.line_of(offset);
            uses.extend(first_names(rest).into_iter().map(|name| (line, name)));
        }
    }
    uses
}

/// The number of `super` steps to the crate's root.
fn depth(source: &SourceFile) -> usize {
    let below = source.path.strip_prefix(SRC).unwrap_or(&source.path);
    let parts = below.split('/').count();
    if source.stem() == "mod" { parts - 1 } else { parts }
}

/// The names right behind `crate::`: one, or the first of each path in braces.
fn first_names(rest: &str) -> Vec<&str> {
    let Some(group) = rest.strip_prefix('{') else {
        return vec![leading_name(rest)];
    };
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut is_start = true;
    for (offset, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_start = true,
            letter if is_start && is_name(letter) => {
                names.push(leading_name(group.get(offset..).unwrap_or_default()));
                is_start = false;
            }
            _ => {}
        }
    }
    names
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
    fn one_floor_may_be_crossed_in_one_direction_but_not_both() {
        let control = ("crates/server/src/control.rs", "use crate::data::A;");
        let data = ("crates/server/src/data.rs", "use crate::shared::B;");
        let shared = ("crates/server/src/shared.rs", "use crate::control::C;");
        assert!(found(check, &[control, data]).is_empty());
        let circle = found(check, &[control, data, shared]);
        assert_eq!(circle.len(), 3);
        assert!(circle.iter().all(|line| line.contains("needs it in turn")), "{circle:?}");
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
