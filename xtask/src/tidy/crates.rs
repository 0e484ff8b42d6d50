//! Dependencies between the crates, and names that a crate must not use.

use super::tree::SourceTree;
use super::{Finding, Rule};

/// For each crate: its folder, the workspace crates that it may use, and those that its tests may
/// use too; all without `wharf-`.
const ARROWS: &[(&str, &str, &str)] = &[
    ("crates/testkit", "", ""),
    ("crates/proto", "", ""),
    ("crates/core", "proto", "testkit"),
    ("crates/server", "proto core", "storage users sim testkit"),
    ("crates/storage", "proto core", ""),
    ("crates/users", "proto core", ""),
    ("crates/login", "proto core users", ""),
    ("crates/events", "proto core", "storage"),
    ("crates/accounts-sql", "core users", "proto testkit"),
    ("crates/admin", "proto core server", "storage users"),
    ("crates/config", "proto core server users login accounts-sql", "testkit"),
    ("crates/import", "proto core config users", ""),
    (
        "crates/runtime",
        "proto core config server storage users login accounts-sql admin events",
        "testkit",
    ),
    ("crates/load", "proto", "core server storage users"),
    (
        "crates/wharf",
        "proto core config import runtime server storage users accounts-sql load admin",
        "sim testkit",
    ),
    ("crates/sim", "proto core server storage load", ""),
    ("crates/bench", "load", "testkit"),
    ("crates/prove", "proto load", ""),
    // Another server, in its own workspace.
    ("crates/bench/libunftp", "", ""),
    ("xtask", "", ""),
    ("fuzz", "proto core config server users sim", ""),
];

/// Libraries that a crate must not depend on.
const BANS: &[(&str, &[&str])] = &[
    ("crates/proto", &["tokio"]),
    ("crates/core", &["tokio"]),
    ("crates/server", &["clap", "axum"]),
];

/// Words of the standard library that the grammar must not contain, outside tests.
const ACTS: &[&str] =
    &["std::fs", "TcpListener", "TcpStream", "UdpSocket", "Instant", "SystemTime"];

static ARROW: Rule = Rule {
    name: "crates",
    why: "contracts are below, stores beside each other, the program above; no arrow runs back",
    hint: "move what is needed down into wharf-core or wharf-proto, or pass it in",
};

static UNKNOWN_CRATE: Rule = Rule {
    name: "crates",
    why: "a crate without a place may depend on anything",
    hint: "give it a line in xtask/src/tidy/crates.rs, and in docs/ARCHITECTURE.md",
};

static BARE: Rule = Rule {
    name: "crates",
    why: "xtask must build at once on a fresh machine",
    hint: "write the few lines with the standard library; checksums and tokens have a crate",
};

static BAN: Rule = Rule {
    name: "crates",
    why: "the grammar and the traits have no runtime; the engine has no command line",
    hint: "take bytes, a value or plain Settings as an argument, and let a crate above do the work",
};

static GRAMMAR: Rule = Rule {
    name: "proto",
    why: "the grammar has no clock and no I/O, so that it can be fuzzed and simulated",
    hint: "take bytes or a value as an argument, and let wharf-server act",
};

pub(super) fn check(tree: &SourceTree) -> Vec<Finding> {
    let manifests = tree.texts.iter().filter_map(|(path, text)| {
        let folder = path.strip_suffix("/Cargo.toml")?;
        Some(arrows(path, folder, text))
    });
    let mut findings: Vec<_> = manifests.flatten().collect();
    let grammar = tree.sources.iter().filter(|source| source.path.starts_with("crates/proto/src/"));
    findings.extend(grammar.flat_map(|source| GRAMMAR.forbids(source, ACTS)));
    findings
}

/// What one manifest depends on and should not.
fn arrows(path: &str, folder: &str, text: &str) -> Vec<Finding> {
    let Some((_, uses, tests)) = ARROWS.iter().find(|(known, _, _)| *known == folder) else {
        return vec![UNKNOWN_CRATE.broken(
            path,
            1,
            format!("`{folder}` is not a crate of this project"),
        )];
    };
    let mut findings = Vec::new();
    let mut section = "";
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            // `[dependencies.name]` is a dependency, too.
            let Some((outer, name)) = section.rsplit_once("dependencies.") else { continue };
            let inner = format!("{outer}dependencies");
            findings.extend(arrow(path, number, &inner, name, uses, tests));
        } else if let Some(name) = key(line).filter(|_| section.ends_with("dependencies")) {
            findings.extend(arrow(path, number, section, name, uses, tests));
        }
    }
    findings
}

fn arrow(
    path: &str,
    line: usize,
    section: &str,
    name: &str,
    uses: &str,
    tests: &str,
) -> Option<Finding> {
    if path == "xtask/Cargo.toml" && !["proc-macro2", "sha2"].contains(&name) {
        return Some(BARE.broken(path, line, format!("`{name}`")));
    }
    let is_test = section.ends_with("dev-dependencies");
    let folder = path.strip_suffix("/Cargo.toml").unwrap_or(path);
    if !is_test && BANS.iter().any(|(known, names)| *known == folder && names.contains(&name)) {
        return Some(BAN.broken(path, line, format!("`{name}` in [{section}]")));
    }
    let krate = name.strip_prefix("wharf-")?;
    let is_in = |list: &str| list.split(' ').any(|known| known == krate);
    let is_fine = is_in(uses) || (is_test && is_in(tests));
    (!is_fine).then(|| ARROW.broken(path, line, format!("`{name}` in [{section}]")))
}

/// The first part of the key in `key.workspace = true` and `key = …`.
fn key(line: &str) -> Option<&str> {
    let name = line.split(['.', '=', ' ']).next()?.trim_matches('"');
    (!name.is_empty() && !name.starts_with('#')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn an_arrow_that_runs_back_is_found_in_every_spelling() {
        for text in [
            "[dependencies]\nwharf-server.workspace = true\n",
            "[dependencies]\n\"wharf-server\" = { path = \"../server\" }\n",
            "[target.'cfg(unix)'.dependencies]\nwharf-server = \"1\"\n",
            "[dependencies.wharf-server]\npath = \"../server\"\n",
            "[dev-dependencies]\nwharf-server.workspace = true\n",
        ] {
            let lines = found(check, &[("crates/storage/Cargo.toml", text)]);
            assert_eq!(lines.len(), 1, "{text}");
        }
    }

    #[test]
    fn arrows_that_run_down_are_fine_and_tests_may_do_more() {
        let text = "[dependencies]\nwharf-core.workspace = true\ntokio.workspace = true\n\
                    [dev-dependencies]\nwharf-storage.workspace = true\n";
        assert!(found(check, &[("crates/server/Cargo.toml", text)]).is_empty());
        let text = "[dependencies]\nwharf-storage.workspace = true\n";
        assert_eq!(found(check, &[("crates/server/Cargo.toml", text)]).len(), 1);
    }

    /// Released programs stop at arithmetic overflow, and crates cannot allow unsafe code.
    #[test]
    fn row_47_overflow_is_checked_and_unsafe_code_forbidden() {
        let manifest = include_str!("../../../Cargo.toml");
        let release = manifest.split("[profile.release]").nth(1).unwrap();
        let release = release.split("\n[").next().unwrap();
        assert!(release.contains("overflow-checks = true"), "{release}");
        assert_eq!(manifest.matches("overflow-checks").count(), 1, "another profile turns it off");
        assert!(manifest.contains("[workspace.lints.rust]\nunsafe_code = \"forbid\""));
        // An `allow` outlives its reason without a warning; `expect` does not.
        assert!(manifest.contains("\nallow_attributes = \"warn\"\n"));
    }

    /// Cargo ignores `strip` for a program with an override of its own: 2.4 MB of symbols stayed.
    #[test]
    fn the_released_program_is_stripped() {
        let manifest = include_str!("../../../Cargo.toml");
        assert!(manifest.contains("[profile.release]\nopt-level = \"s\"\nstrip = true\n"));
        assert!(manifest.contains("[profile.release.package.wharf-server]\n"));
        assert!(!manifest.contains("[profile.release.package.wharf]\n"));
    }

    #[test]
    fn every_crate_is_in_the_table_of_the_architecture() {
        let document = include_str!("../../../docs/ARCHITECTURE.md");
        let has_row = |name: &str| document.contains(&format!("\n| `{name}` |"));
        let crates = ARROWS.iter().filter_map(|(folder, ..)| folder.strip_prefix("crates/"));
        let crates = crates.filter(|name| !name.contains('/'));
        let missing: Vec<_> =
            crates.filter(|name| *name != "wharf" && !has_row(&format!("wharf-{name}"))).collect();
        assert_eq!(missing, [""; 0]);
        assert!(has_row("wharf") && has_row("xtask") && !has_row("wharf-extra"));
    }

    #[test]
    fn a_new_crate_needs_a_place_and_xtask_needs_nothing() {
        assert_eq!(found(check, &[("crates/extra/Cargo.toml", "")]).len(), 1);
        let text = "[dependencies]\nregex = \"1\"\n";
        assert_eq!(found(check, &[("xtask/Cargo.toml", text)]).len(), 1);
    }

    #[test]
    fn the_grammar_has_no_clock() {
        let text = "use std::time::Instant;\n#[cfg(test)]\nmod tests { use std::fs; }";
        let lines = found(check, &[("crates/proto/src/time.rs", text)]);
        assert_eq!(lines, ["crates/proto/src/time.rs:1: proto: `Instant`"]);
    }

    #[test]
    fn the_engine_depends_on_no_store_and_no_command_line() {
        for name in ["wharf-storage", "clap", "axum"] {
            let manifest = |section: &str| format!("[{section}]\n{name}.workspace = true\n");
            let found = |text: &str| found(check, &[("crates/server/Cargo.toml", text)]).len();
            assert_eq!(found(&manifest("dependencies")), 1, "{name}");
            assert_eq!(found(&manifest("dev-dependencies")), 0, "{name}");
        }
    }
}
