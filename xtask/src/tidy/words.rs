//! Words that must not appear in the repository.
//!
//! The needles are spelled in halves, so that this file does not find itself.

use super::source::{self, SourceFile};
use super::tree::SourceTree;
use super::{Finding, Rule};

/// Marks of unfinished work.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("#[ig", "nore"),
];

/// Files that are searched for marks of unfinished work: code, not documents.
const SOURCES: &[&str] =
    &[".rs", ".toml", ".sh", ".py", ".yml", ".yaml", ".js", ".html", ".ci/run"];

/// Folders that exist on one person's machine only.
const PRIVATE: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
    concat!("../sha", "red"),
];

static MARK: Rule = Rule {
    name: "unfinished",
    why: "the main branch has finished work only, and a test that does not run tests nothing",
    hint: "finish it, or open an issue and remove the mark",
};

static PLACE: Rule = Rule {
    name: "private path",
    why: "it does not exist on other machines",
    hint: "use a path such as /srv/ftp in examples, and a temporary folder in tests",
};

static SEEDS: Rule = Rule {
    name: "seeds",
    why: "proptest finds no place for failures of a test that has no lib.rs or main.rs above it",
    hint: "use FileFailurePersistence::WithSource(\"proptest-regressions\") in its config",
};

pub(super) fn check(tree: &SourceTree) -> Vec<Finding> {
    let mut findings: Vec<_> = tree.sources.iter().filter_map(lost_seeds).collect();
    for (path, text) in &tree.texts {
        let is_source = SOURCES.iter().any(|ending| path.ends_with(ending));
        for (line, number) in text.lines().zip(1..) {
            let marks = UNFINISHED.iter().filter(|mark| is_source && source::has_word(line, mark));
            findings.extend(marks.map(|mark| MARK.broken(path, number, format!("`{mark}`"))));
            let places = PRIVATE.iter().filter(|place| has_place(line, place));
            findings.extend(places.map(|place| PLACE.broken(path, number, format!("`{place}`"))));
        }
    }
    findings
}

/// Property tests whose failures would not be kept: those of integration tests of one file.
fn lost_seeds(source: &SourceFile) -> Option<Finding> {
    let parts: Vec<_> = source.path.split('/').collect();
    let is_lost = matches!(parts[..], ["crates", _, "tests", _])
        && source::has_word(&source.code, "proptest!")
        && !source.code.contains("FileFailurePersistence::WithSource(");
    is_lost.then(|| SEEDS.broken(&source.path, 1, "`proptest!`"))
}

/// Whether a path in `line` begins with `place`. Part of an address or of a longer path is none.
fn has_place(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(offset, _)| {
        let before = line.get(..offset).and_then(|text| text.chars().next_back());
        !before.is_some_and(|letter| letter.is_alphanumeric() || "-_./".contains(letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn property_tests_that_lose_their_seeds_are_found() {
        let (lost, kept) = ("proptest! { }", "proptest! { } FileFailurePersistence::WithSource(x)");
        assert_eq!(found(check, &[("crates/core/tests/a.rs", lost)]).len(), 1);
        for (path, text) in [
            ("crates/core/tests/a.rs", kept),
            ("crates/core/tests/a/b.rs", lost),
            ("crates/core/src/a.rs", lost),
            ("crates/core/src/tests/a.rs", lost),
        ] {
            assert_eq!(found(check, &[(path, text)]).len(), 0, "{path}");
        }
    }

    #[test]
    fn every_mark_of_unfinished_work_is_found_in_sources() {
        for mark in UNFINISHED {
            let text = format!("a\n// {mark} b");
            let lines = found(check, &[("tests/run.py", &text)]);
            assert_eq!(lines, [format!("tests/run.py:2: unfinished: `{mark}`")]);
            assert!(found(check, &[("docs/a.md", &text)]).is_empty());
        }
    }

    #[test]
    fn private_folders_are_found_anywhere_and_addresses_are_not() {
        for place in PRIVATE {
            let text = format!("see {place}somebody");
            assert_eq!(found(check, &[("README.md", &text)]).len(), 1, "{place}");
            let text = format!("https://example.com{place}a");
            assert!(found(check, &[("README.md", &text)]).is_empty(), "{place}");
        }
    }
}
