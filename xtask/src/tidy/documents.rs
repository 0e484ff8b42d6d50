//! Documents that must agree: the two READMEs, generated pages, the picture.

use super::tree::Tree;
use super::{Finding, Rule};
use crate::markdown::headings;
use crate::picture;

const ENGLISH: &str = "README.md";
const CHINESE: &str = "README.zh-CN.md";
/// Where the generated pages are.
const REFERENCE: &str = "docs/reference/";
/// A generated page says so in one of its first lines.
const GENERATED_LINES: usize = 5;

static PAIR: Rule = Rule {
    name: "readme",
    why: "both languages tell the same story, so a reader of either misses nothing",
    remedy: "give README.md and README.zh-CN.md the same headings in the same order",
};

static LINK: Rule = Rule {
    name: "readme",
    why: "a reader of the other language must find it at once",
    remedy: "link to the other README in the first line",
};

static REFERENCE_PAGE: Rule = Rule {
    name: "reference",
    why: "reference pages are written by the program, and an edit by hand would be lost",
    remedy: "change what it is made from, then run cargo xtask docs",
};

static STALE: Rule = Rule {
    name: "picture",
    why: "the picture must show what the program says",
    remedy: "run cargo xtask picture",
};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    [readmes(tree), reference(tree), panel(tree)].concat()
}

fn readmes(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (Some(english), Some(chinese)) = (tree.text(ENGLISH), tree.text(CHINESE)) else {
        return findings;
    };
    for (path, text, other) in [(ENGLISH, english, CHINESE), (CHINESE, chinese, ENGLISH)] {
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

fn reference(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts.iter().filter(|(path, _)| path.starts_with(REFERENCE)) {
        let mut first = text.lines().take(GENERATED_LINES);
        if !first.any(|line| line.to_lowercase().contains("generated")) {
            let what = format!("the first {GENERATED_LINES} lines do not say `generated`");
            findings.push(REFERENCE_PAGE.broken(path, 1, what));
        }
        if !text.ends_with('\n') {
            let last = text.lines().count();
            findings.push(REFERENCE_PAGE.broken(path, last, "no line end at the end"));
        }
    }
    findings
}

fn panel(tree: &Tree) -> Vec<Finding> {
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
    fn readmes_that_differ_are_told_where() {
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
    fn a_reference_page_says_that_it_is_generated_and_ends_with_a_line_end() {
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
