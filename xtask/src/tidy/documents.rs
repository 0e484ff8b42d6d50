//! Documents that must agree: the READMEs, generated pages, the picture, tests named in guides.

use super::tree::SourceTree;
use super::{Finding, Rule};
use crate::markdown::headings;
use crate::{picture, translations};

const ENGLISH: &str = "README.md";
const CHINESE: &str = "README.zh-CN.md";
/// The length limit of a README.
const README_LINES_MAX: usize = 200;
/// The guide with a table of old settings; its last column names tests.
const MIGRATING: &str = "docs/guide/migrating.md";
/// The end of the header of such a table.
const TEST_COLUMN: &str = "| Test |";
/// Where the generated pages are.
const REFERENCE: &str = "docs/reference/";
/// A generated page says so in one of its first lines.
const GENERATED_LINES: usize = 5;

static PAIR: Rule = Rule {
    name: "readme",
    why: "both languages must have the same content",
    hint: "give README.md and README.zh-CN.md the same headings in the same order",
};

static LINK: Rule = Rule {
    name: "readme",
    why: "a reader of the other language must find it at once",
    hint: "link to the other README in the first line",
};

static LENGTH: Rule = Rule {
    name: "readme",
    why: "a README is read once, to decide; details belong into a guide",
    hint: "move details into docs/guide",
};

static NAMED_TEST: Rule = Rule {
    name: "named test",
    why: "a promise that names a missing test is not tested",
    hint: "name the test that covers the row, or write it",
};

static REFERENCE_PAGE: Rule = Rule {
    name: "reference",
    why: "reference pages are generated, and a manual edit would be lost",
    hint: "change the source of the page, then run cargo xtask docs",
};

static STALE: Rule = Rule {
    name: "picture",
    why: "the picture must show the output of the program",
    hint: "run cargo xtask picture",
};

static TRANSLATION: Rule = Rule {
    name: "translation",
    why: "both languages have the same content, so a reader of either misses nothing",
    hint: "update the translation, then run cargo xtask translations --accept FILE",
};

pub(super) fn check(tree: &SourceTree) -> Vec<Finding> {
    [readmes(tree), named_tests(tree), reference(tree), panel(tree)].concat()
}

/// Guides and the README are translated, and no original has changed since.
pub(super) fn translations(tree: &SourceTree) -> Vec<Finding> {
    let stale = translations::stale(&tree.texts).into_iter();
    stale.map(|one| TRANSLATION.broken(&one.translation, 1, one.to_string())).collect()
}

fn readmes(tree: &SourceTree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (Some(english), Some(chinese)) = (tree.text(ENGLISH), tree.text(CHINESE)) else {
        return findings;
    };
    for (path, text, other) in [(ENGLISH, english, CHINESE), (CHINESE, chinese, ENGLISH)] {
        let lines = text.lines().count();
        if lines > README_LINES_MAX {
            let what = format!("{lines} lines, at most {README_LINES_MAX}");
            findings.push(LENGTH.broken(path, lines, what));
        }
        // A translation begins with a comment that names its original.
        let first = text.lines().find(|line| !line.starts_with("<!--"));
        if !first.is_some_and(|line| line.contains(&format!("]({other})"))) {
            findings.push(LINK.broken(path, 1, format!("no link to {other}")));
        }
    }
    let (left, right) = (headings(english), headings(chinese));
    let pairs = left.iter().zip(&right);
    if let Some((one, other)) = pairs.clone().find(|(one, other)| one.level != other.level) {
        let what = format!("level {}, but {} in {ENGLISH}:{}", other.level, one.level, one.line);
        findings.push(PAIR.broken(CHINESE, other.line, what));
    } else if left.len() != right.len() {
        let what = format!("{} headings, but {} in {ENGLISH}", right.len(), left.len());
        let line = right.last().map_or(1, |heading| heading.line);
        findings.push(PAIR.broken(CHINESE, line, what));
    }
    findings
}

/// Every test that a table of the guide names exists.
fn named_tests(tree: &SourceTree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut is_in_table = false;
    for (line, number) in tree.text(MIGRATING).unwrap_or_default().lines().zip(1..) {
        is_in_table = line.starts_with('|') && (is_in_table || line.ends_with(TEST_COLUMN));
        let cell = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        // Every second piece stands between backticks.
        for name in cell.split('`').skip(1).step_by(2).filter(|_| is_in_table) {
            let head = format!("fn {name}(");
            if !tree.sources.iter().any(|source| source.code.contains(&head)) {
                let what = format!("there is no test `{name}`");
                findings.push(NAMED_TEST.broken(MIGRATING, number, what));
            }
        }
    }
    findings
}

fn reference(tree: &SourceTree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts.iter().filter(|(path, _)| path.starts_with(REFERENCE)) {
        let mut first = text.lines().take(GENERATED_LINES);
        if !first.any(|line| line.to_lowercase().contains("generated")) {
            let what = format!("the first {GENERATED_LINES} lines do not contain `generated`");
            findings.push(REFERENCE_PAGE.broken(path, 1, what));
        }
        if !text.ends_with('\n') {
            let last = text.lines().count();
            findings.push(REFERENCE_PAGE.broken(path, last, "no line end at the end"));
        }
    }
    findings
}

fn panel(tree: &SourceTree) -> Vec<Finding> {
    let Some(text) = tree.text(picture::TEXT) else { return Vec::new() };
    if tree.text(picture::PICTURE) == Some(&picture::draw(text)) {
        return Vec::new();
    }
    let what = format!("it does not show {}", picture::TEXT);
    vec![STALE.broken(picture::PICTURE, 1, what)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    const TOP: &str = "[中文](README.zh-CN.md)\n# wharf\n";
    const TOP_CHINESE: &str = "[English](README.md)\n# wharf\n";

    #[test]
    fn readmes_with_the_same_headings_agree() {
        let english = format!("{TOP}## Use\n```\n# no heading\n```\n### Deep\n");
        let chinese = format!("{TOP_CHINESE}## 使用\n### 细节\n#标签\n");
        assert!(found(check, &[(ENGLISH, &english), (CHINESE, &chinese)]).is_empty());
        let chinese = format!("<!-- translation-of: README.md -->\n{chinese}");
        assert!(found(check, &[(ENGLISH, &english), (CHINESE, &chinese)]).is_empty());
    }

    #[test]
    fn differing_readmes_are_reported_with_the_line() {
        let english = format!("{TOP}## Use\n### Deep\n");
        let chinese = format!("{TOP_CHINESE}## 使用\n");
        assert_eq!(
            found(check, &[(ENGLISH, &english), (CHINESE, &chinese)]),
            ["README.zh-CN.md:3: readme: 2 headings, but 3 in README.md"]
        );
        let chinese = format!("{TOP_CHINESE}### 使用\n### 细节\n");
        assert_eq!(
            found(check, &[(ENGLISH, &english), (CHINESE, &chinese)]),
            ["README.zh-CN.md:3: readme: level 3, but 2 in README.md:3"]
        );
        assert_eq!(found(check, &[(ENGLISH, "# wharf\n"), (CHINESE, TOP_CHINESE)]).len(), 1);
    }

    #[test]
    fn a_long_readme_is_found() {
        let english = format!("{TOP}{}", "text\n".repeat(README_LINES_MAX));
        let findings = found(check, &[(ENGLISH, &english), (CHINESE, TOP_CHINESE)]);
        assert_eq!(findings, ["README.md:202: readme: 202 lines, at most 200"]);
    }

    #[test]
    fn tests_that_the_guide_names_exist() {
        let source = ("crates/core/tests/a.rs", "async fn first_works() {}\n");
        let table = "| Old `x` | New | Test |\n|---|---|---|\n| `max` | `y` | `first_works` |\n";
        let after = "\n| `letter` | `not_a_test` |\n";
        assert!(found(check, &[source, (MIGRATING, &format!("{table}{after}"))]).is_empty());
        assert_eq!(
            found(check, &[(MIGRATING, table)]),
            ["docs/guide/migrating.md:3: named test: there is no test `first_works`"]
        );
    }

    #[test]
    fn a_guide_without_a_translation_is_found() {
        let lines = found(translations, &[("docs/guide/a.md", "# A\n")]);
        let what = "docs/zh-CN/guide/a.md:1: translation: docs/guide/a.md is not translated";
        assert_eq!(lines, [what]);
        assert!(found(translations, &[("docs/TRUST.md", "# A\n")]).is_empty());
    }

    #[test]
    fn a_reference_page_states_that_it_is_generated_and_ends_with_a_line_end() {
        let path = "docs/reference/commands.md";
        let good = "# Commands\n\n<!-- Generated by cargo xtask docs. -->\n";
        assert!(found(check, &[(path, good)]).is_empty());
        assert_eq!(found(check, &[(path, good.trim_end())]).len(), 1);
        assert_eq!(found(check, &[(path, "# Commands\n")]).len(), 1);
    }

    #[test]
    fn a_picture_of_another_text_is_stale() {
        let fresh = picture::draw("hello\n");
        let text = (picture::TEXT, "hello\n");
        assert!(found(check, &[text, (picture::PICTURE, &fresh)]).is_empty());
        assert_eq!(found(check, &[(picture::TEXT, "bye\n"), (picture::PICTURE, &fresh)]).len(), 1);
        assert_eq!(found(check, &[text]).len(), 1);
    }
}
