//! Trust: each row of docs/reference/trust.md has a test, the page is current, and no crate may
//! contain unsafe code.

use super::tree::SourceTree;
use super::{Finding, Rule};
use crate::trust::{Known, PAGE};

static SHOWN: Rule = Rule {
    name: "trust",
    why: "a promise must be tested",
    hint: "put the number of the row into the name of the test that shows it",
};

static STALE: Rule = Rule {
    name: "trust",
    why: "the page must list the current tests and results",
    hint: "run cargo xtask trust",
};

static SAFE: Rule = Rule {
    name: "unsafe",
    why: "what is safe by construction needs no review for faults of memory",
    hint: "put `[lints]` with `workspace = true` into the manifest; rustix has safe system calls",
};

pub(super) fn check(tree: &SourceTree) -> Vec<Finding> {
    let mut findings = unsafe_code(tree);
    let Some(page) = tree.text(PAGE) else { return findings };
    let known = Known::read(tree.texts.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    findings.extend(known.gaps().into_iter().map(|gap| SHOWN.broken(PAGE, 1, gap)));
    if known.page() != page {
        findings.push(STALE.broken(PAGE, 1, "it is not up to date"));
    }
    findings
}

/// The workspace forbids unsafe code, and every crate in it takes that over or says so itself.
fn unsafe_code(tree: &SourceTree) -> Vec<Finding> {
    const FORBIDS: &str = "unsafe_code = \"forbid\"";
    let manifests = tree.texts.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
    let open = manifests.filter(|(_, text)| {
        let inherits = text.contains("[lints]\nworkspace = true");
        !inherits && !text.contains(FORBIDS)
    });
    open.map(|(path, _)| SAFE.broken(path, 1, "unsafe code is not forbidden")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn row_47_52_a_crate_that_may_be_unsafe_is_found() {
        let good = "[package]\n[lints]\nworkspace = true\n";
        let own = "[lints.rust]\nunsafe_code = \"forbid\"\n";
        let bad = "[lints.rust]\nunsafe_code = \"deny\"\n";
        let all = [("crates/a/Cargo.toml", good), ("Cargo.toml", own), ("b/Cargo.toml", bad)];
        assert_eq!(found(check, &all), ["b/Cargo.toml:1: unsafe: unsafe code is not forbidden"]);
    }

    #[test]
    fn row_52_dependencies_come_from_one_place_under_few_licences() {
        let rules = include_str!("../../../deny.toml");
        for rule in [
            "unknown-registry = \"deny\"",
            "unknown-git = \"deny\"",
            "allow-registry = [\"https://github.com/rust-lang/crates.io-index\"]",
            "allow-git = []",
            "multiple-versions = \"deny\"",
            "[licenses]",
        ] {
            assert!(rules.lines().any(|line| line == rule), "{rule} is not in deny.toml");
        }
        let lock = include_str!("../../../Cargo.lock");
        let places: std::collections::BTreeSet<_> =
            lock.lines().filter(|line| line.starts_with("source = ")).collect();
        assert_eq!(places.len(), 1, "{places:?}");
        assert!(include_str!("../../../SECURITY.md").contains("within 90 days"));
    }

    #[test]
    fn a_stale_page_and_rows_without_tests_are_found() {
        let findings = found(check, &[(PAGE, "# Trust\n")]);
        assert!(findings.iter().any(|finding| finding.contains("not up to date")), "{findings:?}");
        assert!(findings.len() > 2, "{findings:?}");
    }
}
