//! Code for operating systems is in a few files, and the rest does not depend on the system.

use super::source::{SourceFile, has_word};
use super::tree::SourceTree;
use super::{Finding, Rule};

/// For each crate: paths below `src` with code for one operating system. Files that end with one of
/// [`SUFFIXES`] are allowed, too, except where none is.
const HOMES: &[(&str, &[&str])] = &[
    ("crates/storage/src/", &["disk.rs", "disk/"]),
    ("crates/server/src/", &["net.rs", "net/"]),
    ("crates/users/src/", &["os.rs"]),
    ("crates/admin/src/", &["listener.rs", "listener/"]),
    ("crates/config/src/", &["standard_paths.rs", "standard_paths/"]),
    ("crates/runtime/src/", &["os.rs", "os/"]),
    ("crates/wharf/src/", &[]),
];

const SUFFIXES: &[&str] = &["_unix", "_windows", "_linux", "_other"];

const SYSTEMS: &[&str] = &["unix", "windows", "target_os", "target_family"];

static RULE: Rule = Rule {
    name: "systems",
    why: "scattered code for one operating system cannot be tested",
    hint: "move it into a file that ends with _unix, _linux, _windows or _other, and give both \
             halves one interface",
};

pub(super) fn check(tree: &SourceTree) -> Vec<Finding> {
    let sources = tree.sources.iter().filter(|source| source.path.starts_with("crates/"));
    sources.filter(|source| !is_home(source)).flat_map(conditions).collect()
}

fn is_home(source: &SourceFile) -> bool {
    let home = HOMES.iter().find_map(|(src, names)| Some((source.path.strip_prefix(src)?, names)));
    let Some((below, names)) = home else { return false };
    let has_suffix = SUFFIXES.iter().any(|suffix| source.stem().ends_with(suffix));
    has_suffix || names.iter().any(|name| below.starts_with(name))
}

/// Every `cfg` on the operating system outside tests.
fn conditions(source: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for needle in ["cfg(", "cfg_attr(", "cfg!("] {
        for offset in source.offsets_outside_tests(needle) {
            let rest = source.code.get(offset + needle.len()..).unwrap_or_default();
            let condition = in_brackets(rest);
            // Choosing between the two files of a module is allowed.
            if chooses_a_module(rest.get(condition.len()..).unwrap_or_default()) {
                continue;
            }
            if let Some(system) = SYSTEMS.iter().find(|system| has_word(condition, system)) {
                let what = format!("`{needle}…{system}…)`");
                findings.push(RULE.broken(&source.path, source.line_of(offset), what));
            }
        }
    }
    findings
}

/// Whether `text`, from the end of a condition, continues with `mod name;`, other attributes apart.
fn chooses_a_module(text: &str) -> bool {
    let mut rest = text.trim_start_matches([')', ']']).trim_start();
    while let Some(attribute) = rest.strip_prefix("#[") {
        let Some((_, behind)) = attribute.split_once(']') else { return false };
        rest = behind.trim_start();
    }
    let module = ["pub(crate) ", "pub "].iter().find_map(|public| rest.strip_prefix(public));
    let module = module.unwrap_or(rest);
    let name = module.strip_prefix("mod ").unwrap_or_default();
    name.split_once(';')
        .is_some_and(|(name, _)| name.chars().all(|c| c == '_' || c.is_alphanumeric()))
}

/// `text` up to the bracket that closes what was open before it.
fn in_brackets(text: &str) -> &str {
    let mut depth = 1_usize;
    let end = text.find(|letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn selecting_a_module_is_not_code_for_a_system() {
        for (text, findings) in [
            ("#[cfg(unix)]\n#[path = \"x_unix.rs\"]\nmod system;", 0),
            ("#[cfg(not(unix))]\npub(crate) mod system;", 0),
            ("#[cfg(unix)]\nmod system { fn f() {} }", 1),
        ] {
            assert_eq!(found(check, &[("crates/server/src/a.rs", text)]).len(), findings, "{text}");
        }
    }

    #[test]
    fn a_condition_on_the_system_outside_its_homes_is_found() {
        for text in [
            "#[cfg(unix)]\nfn f() {}",
            "#[cfg(all(feature = \"x\", not(windows)))]\nfn f() {}",
            "if cfg!(target_os = \"linux\") {}",
            "#[cfg_attr(windows, expect(dead_code))]\nfn f() {}",
        ] {
            for path in ["crates/server/src/pump.rs", "crates/core/src/storage.rs"] {
                assert_eq!(found(check, &[(path, text)]).len(), 1, "{path}: {text}");
            }
        }
    }

    #[test]
    fn homes_tests_and_other_conditions_are_fine() {
        let text = "#[cfg(unix)]\nfn f() {}";
        for path in [
            "crates/storage/src/disk/os.rs",
            "crates/storage/src/disk/os_unix.rs",
            "crates/server/src/net.rs",
            "crates/server/src/pump_linux.rs",
            "crates/config/src/standard_paths.rs",
            "crates/wharf/tests/kill.rs",
        ] {
            assert!(found(check, &[(path, text)]).is_empty(), "{path}");
        }
        let text =
            "#[cfg(feature = \"unix\")]\nfn unix() {}\n#[cfg(test)]\n#[cfg(unix)]\nfn f() {}";
        assert!(found(check, &[("crates/server/src/pump.rs", text)]).is_empty());
    }
}
