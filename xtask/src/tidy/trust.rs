//! Trust: each row of docs/TRUST.md has its tests, the page is fresh, and no crate may be unsafe.

use super::tree::Tree;
use super::{Finding, Rule};
use crate::trust::{Known, PAGE};

static SHOWN: Rule = Rule {
    name: "trust",
    why: "a promise that no test shows is only words",
    remedy: "put the number of the row into the name of the test that shows it",
};

static STALE: Rule = Rule {
    name: "trust",
    why: "the page must name the tests and the results that there are",
    remedy: "run cargo xtask docs",
};

static SAFE: Rule = Rule {
    name: "unsafe",
    why: "what is safe by construction needs no review for faults of memory",
    remedy: "put `[lints]` with `workspace = true` into the manifest; rustix has safe system calls",
};

/// The rows whose tests are still to be merged.
const AWAITED: &[&str] = &[
    "row_01_", "row_02_", "row_03_", "row_04_", "row_08_", "row_09_", "row_11_", "row_12_",
    "row_13_", "row_14_", "row_15_", "row_16_", "row_21_", "row_22_", "row_23_", "row_24_",
    "row_25_", "row_26_", "row_27_", "row_28_", "row_29_", "row_30_", "row_31_", "row_32_",
    "row_35_", "row_36_", "row_37_", "row_38_", "row_39_", "row_40_", "row_41_", "row_42_",
    "row_43_", "row_44_", "row_46_",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = unsafe_code(tree);
    let Some(page) = tree.text(PAGE) else { return findings };
    let known = Known::read(tree.texts.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let gaps = known.gaps().into_iter().filter(|gap| !AWAITED.iter().any(|row| gap.contains(row)));
    findings.extend(gaps.map(|gap| SHOWN.broken(PAGE, 1, gap)));
    match known.page(page) {
        Ok(fresh) if fresh == page => {}
        Ok(_) => findings.push(STALE.broken(PAGE, 1, "it is not up to date")),
        Err(what) => findings.push(STALE.broken(PAGE, 1, what)),
    }
    findings
}

/// The workspace forbids unsafe code, and every crate in it takes that over or says so itself.
fn unsafe_code(tree: &Tree) -> Vec<Finding> {
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
    fn a_page_without_marks_and_rows_without_tests_are_found() {
        let findings = found(check, &[(PAGE, "# Trust\n")]);
        assert!(findings.iter().any(|finding| finding.contains("lacks the line")), "{findings:?}");
        assert!(findings.len() > 2, "{findings:?}");
    }
}
