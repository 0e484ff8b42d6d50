//! Links in documents point to existing files and headings.

use std::collections::BTreeSet;

use super::tree::SourceTree;
use super::{Finding, Rule};
use crate::markdown::{headings, links};
use crate::paths;

static DEAD: Rule = Rule {
    name: "dead link",
    why: "the link is dead",
    hint: "name a file of this repository, relative to the document, and one of its headings",
};

pub(super) fn check(tree: &SourceTree) -> Vec<Finding> {
    // Below `crates` are expected pages of tests, with links that are valid elsewhere.
    let is_read = |path: &str| {
        paths::is_document(path)
            && !["crates/", "xtask/"].iter().any(|folder| path.starts_with(folder))
    };
    let documents = tree.texts.iter().filter(|(path, _)| is_read(path));
    documents.flat_map(|(path, text)| dead(tree, path, text)).collect()
}

fn dead(tree: &SourceTree, path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for link in links(text).into_iter().filter(|link| paths::is_relative(link.target)) {
        let (file, anchor) = paths::split(link.target);
        let Some(file) = paths::resolve(path, file).filter(|file| tree.has(file)) else {
            let what = format!("`{}`: there is no such file", link.target);
            findings.push(DEAD.broken(path, link.line, what));
            continue;
        };
        let other = if file == path { Some(text) } else { tree.text(&file) };
        let is_lost = |anchor: &str| {
            paths::is_document(&file) && !other.is_some_and(|text| anchors(text).contains(anchor))
        };
        if anchor.is_some_and(is_lost) {
            let what = format!("`{}`: {file} has no such heading", link.target);
            findings.push(DEAD.broken(path, link.line, what));
        }
    }
    findings
}

/// What links to a document may name after `#`: its headings, and marks in HTML.
fn anchors(text: &str) -> BTreeSet<String> {
    let marks = ["id=\"", "name=\""].into_iter();
    let marks = marks.flat_map(|mark| text.split(mark).skip(1));
    let marks = marks.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()));
    headings(text).into_iter().map(|heading| heading.anchor).chain(marks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    const GUIDE: &str = "docs/guide/a.md";

    fn dead(text: &str) -> Vec<String> {
        let other = ("docs/reference/b.md", "# B\n## One thing\n<a id=\"mark\"></a>\n");
        found(check, &[(GUIDE, text), other, ("crates/x/src/lib.rs", "")])
    }

    #[test]
    fn links_to_files_and_headings_that_exist_are_alive() {
        for target in [
            "../reference/b.md",
            "../reference/b.md#one-thing",
            "../reference/b.md#mark",
            "#here",
            "../../crates/x/src/lib.rs",
            "../../crates/x",
            "https://example.com/nothing.md#x",
            "mailto:a@example.com",
        ] {
            assert!(dead(&format!("# Here\n[a]({target})\n")).is_empty(), "{target}");
        }
    }

    #[test]
    fn dead_links_are_found_with_their_lines() {
        for (target, what) in [
            ("b.md", "`b.md`: there is no such file"),
            ("../../../x", "`../../../x`: there is no such file"),
            ("#there", "`#there`: docs/guide/a.md has no such heading"),
            (
                "../reference/b.md#x",
                "`../reference/b.md#x`: docs/reference/b.md has no such heading",
            ),
        ] {
            let lines = dead(&format!("# Here\n\n[a]({target})\n"));
            assert_eq!(lines, [format!("{GUIDE}:3: dead link: {what}")]);
        }
    }
}
