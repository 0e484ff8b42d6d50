//! The project rules that the compiler does not check.
//!
//! Each rule is a function from the tree to findings, in its own file below this one; [`RULES`]
//! lists them. A finding has the place, the problem, the reason of the rule and a hint.

use std::fmt;
use std::path::Path;

use source::SourceFile;
use tree::SourceTree;

mod acts;
mod circles;
mod crates;
mod documents;
mod floors;
mod imports;
mod language;
mod links;
mod names;
mod prose;
mod shape;
mod source;
mod systems;
mod tree;
mod trust;
mod types;
mod words;

/// Every family of rules.
const RULES: &[fn(&SourceTree) -> Vec<Finding>] = &[
    floors::check,
    circles::check,
    crates::check,
    acts::check,
    systems::check,
    types::check,
    shape::check,
    words::check,
    documents::check,
    links::check,
    trust::check,
    documents::translations,
    language::check,
    language::bound,
    names::check,
    names::exceptions,
];

/// A rule that holds everywhere.
struct Rule {
    /// One or two words by which it can be found in the source.
    name: &'static str,
    /// What goes wrong without it.
    why: &'static str,
    /// How to fix a finding.
    hint: &'static str,
}

/// A place that breaks a rule.
#[derive(Clone)]
struct Finding {
    rule: &'static Rule,
    file: String,
    /// From 1; 1 if it concerns the whole file.
    line: usize,
    what: String,
}

/// Checks every rule on the files that git tracks, or would track after `git add`.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let tree = SourceTree::read(root)?;
    let findings = check(&tree);
    for finding in &findings {
        eprintln!("{finding}");
    }
    let files = tree.texts.len();
    match findings.len() {
        0 => {
            eprintln!("{}", language::counted(&tree));
            eprintln!("tidy: {files} files, nothing found");
            Ok(())
        }
        number => Err(format!("tidy: {number} findings in {files} files")),
    }
}

fn check(tree: &SourceTree) -> Vec<Finding> {
    let mut findings: Vec<_> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    findings
}

impl Rule {
    fn broken(&'static self, file: &str, line: usize, what: impl Into<String>) -> Finding {
        Finding { rule: self, file: file.to_owned(), line, what: what.into() }
    }

    /// A finding for each occurrence of `needles` in `source`, outside tests.
    fn forbids(&'static self, source: &SourceFile, needles: &[&str]) -> Vec<Finding> {
        let lines = source.lines().filter(|line| !line.is_test);
        let hits = lines.flat_map(|line| {
            let found = needles.iter().filter(|needle| source::has_word(line.code, needle));
            found.map(move |needle| (line.number, *needle))
        });
        hits.map(|(line, needle)| self.broken(&source.path, line, format!("`{needle}`"))).collect()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, file, line, what } = self;
        writeln!(out, "{file}:{line}: {}: {what}", rule.name)?;
        write!(out, "  why:  {}\n  hint: {}", rule.why, rule.hint)
    }
}

/// The findings of `rule` in invented files: the first line of each.
#[cfg(test)]
fn found(rule: fn(&SourceTree) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
    let tree = SourceTree::new(files.iter().map(|(path, text)| ((*path).into(), (*text).into())));
    let findings = rule(&tree);
    findings.iter().filter_map(|finding| Some(finding.to_string().lines().next()?.into())).collect()
}
