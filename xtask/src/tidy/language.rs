//! Standard technical English: words for persons are counted, and some phrases are rejected.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::prose::{self, Part, ProseToken};
use super::source::SourceFile;
use super::tree::SourceTree;
use super::{Finding, Rule};
use crate::paths;
use crate::vocabulary::{self, ENTRIES, PERSONS};

/// The file that lists the phrases.
const LIST: &str = "xtask/src/vocabulary.rs";

static PHRASE: Rule = Rule {
    name: "language",
    why: "readers search for the usual term, and must not have to learn another",
    hint: "write the suggested term; the list is in CONTRIBUTING.md",
};

/// Words of persons in 10,000 words of the comments of a crate: 1.0 in 1,000.
const PERSONS_MAX: usize = 10;

static PERSON: Rule = Rule {
    name: "persons",
    why: "a program, a client and an account are not persons, and have terms of their own",
    hint: "name the user, the client, the session, the administrator or the program",
};

/// Words of persons among the words of the comments of one crate.
#[derive(Clone, Copy, Default)]
struct WordCount {
    persons: usize,
    words: usize,
}

/// Phrases of the vocabulary's left column in comments, messages and documents.
pub(super) fn check(tree: &SourceTree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources.iter().filter(|source| source.path != LIST) {
        let comments = prose::of_rust(&source.raw, Part::Comments, |_| true);
        let is_message = |offset: usize| !source.is_test_at(code_offset(source, offset));
        let literals = prose::of_rust(&source.raw, Part::Literals, is_message);
        findings.extend(phrases(&source.path, &comments));
        findings.extend(phrases(&source.path, &literals));
    }
    for (path, text) in tree.texts.iter().filter(|(path, _)| paths::is_document(path)) {
        let text = vocabulary::without_list(text);
        findings.extend(phrases(path, &prose::of_document(&text)));
    }
    for (path, text) in tree.texts.iter().filter(|(path, _)| paths::is_script(path)) {
        findings.extend(phrases(path, &prose::of_script(text)));
    }
    let is_snapshot = |path: &str| path.contains("/snapshots/");
    for (path, text) in tree.texts.iter().filter(|(path, _)| is_snapshot(path)) {
        findings.extend(phrases(path, &prose::of_document(text)));
    }
    findings
}

/// Blanked code has one byte for each letter of a literal, the text may have more.
fn code_offset(source: &SourceFile, offset: usize) -> usize {
    let line = source.raw.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    source.code.split_inclusive('\n').take(line).map(str::len).sum()
}

fn phrases(path: &str, tokens: &[ProseToken]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let ProseToken::Word(word, line) = token else { continue };
        let read = |at: usize| read_word(tokens.get(at));
        for entry in &*ENTRIES {
            let candidates =
                entry.phrases.iter().filter(|phrase| phrase.starts_with(word.as_str()));
            for phrase in candidates.filter(|phrase| entry.stands(phrase, at, read)) {
                // "is no" wants a noun behind it; at the end of a sentence it is an answer.
                if phrase.ends_with(" no") && read(at + phrase.split(' ').count()).is_none() {
                    continue;
                }
                let what = format!("\"{phrase}\"; write: {}", entry.instead);
                findings.push(PHRASE.broken(path, *line, what));
            }
        }
    }
    findings
}

fn read_word(token: Option<&ProseToken>) -> Option<&str> {
    match token {
        Some(ProseToken::Word(word, _)) => Some(word),
        _ => None,
    }
}

/// The counts of each crate, by its folder.
fn counts(tree: &SourceTree) -> BTreeMap<String, WordCount> {
    let mut counts: BTreeMap<String, WordCount> = BTreeMap::new();
    for source in tree.sources.iter().filter(|source| source.path != LIST) {
        let mut parts = source.path.split('/');
        let ((Some("crates"), Some(name)) | (Some(name), _)) = (parts.next(), parts.next()) else {
            continue;
        };
        let count = counts.entry(name.to_owned()).or_default();
        for token in prose::of_rust(&source.raw, Part::Comments, |_| true) {
            let ProseToken::Word(word, _) = token else { continue };
            count.words += usize::from(word.chars().any(char::is_alphabetic));
            count.persons += usize::from(PERSONS.contains(&word.as_str()));
        }
    }
    counts
}

/// The counts in one line, crate by crate.
pub(super) fn counted(tree: &SourceTree) -> String {
    let mut shown = String::new();
    for (name, count) in counts(tree) {
        let share = count.per_10_000();
        let _ = write!(shown, "{name} {}.{}, ", share / 10, share % 10);
    }
    format!("{} in 1,000 words of comments: {}", PERSONS.join(", "), shown.trim_end_matches(", "))
}

/// No crate has more words of persons than the bound.
pub(super) fn bound(tree: &SourceTree) -> Vec<Finding> {
    let counts = counts(tree).into_iter().filter(|(_, count)| count.per_10_000() > PERSONS_MAX);
    let finding = |(name, count): (String, WordCount)| {
        let WordCount { persons, words } = count;
        let what = format!("{persons} in {words} words of comments");
        PERSON.broken(&name, 1, what)
    };
    counts.map(finding).collect()
}

impl WordCount {
    /// Rounded up, so that a bound holds.
    fn per_10_000(self) -> usize {
        (self.persons * 10_000).div_ceil(self.words.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn phrases_are_found_in_comments_messages_and_documents() {
        let source = "// Made\n// anew.\nfn f() { g(\"a lane is full\", \"lane\"); }\n\
                      #[cfg(test)]\nmod tests { fn f() { g(\"a lane is full\"); } }\n";
        assert_eq!(
            found(check, &[("crates/core/src/a.rs", source), ("docs/a.md", "done by\nhand\n")]),
            [
                "crates/core/src/a.rs:2: language: \"anew\"; write: again",
                "crates/core/src/a.rs:3: language: \"lane\"; write: blocking worker",
                "docs/a.md:1: language: \"by hand\"; write: manually; or name the command",
            ]
        );
    }

    #[test]
    fn plain_english_is_not_rejected() {
        for text in [
            "There is no such file. It is no longer there. The answer is no. It is no.",
            "an overridden setting; planes; `told`; in-house; by the left hand; handed",
            "the file is moved in one step; a prover of passwords",
        ] {
            assert!(found(check, &[("docs/a.md", text)]).is_empty(), "{text}");
        }
        assert_eq!(found(check, &[("docs/a.md", "this is no account")]).len(), 1);
        assert_eq!(found(check, &[("docs/a.md", "there are some, which is no file")]).len(), 1);
    }

    #[test]
    fn words_of_persons_are_counted_in_comments_of_each_crate() {
        let source = "// A user who is nobody's, of ten words that are here.\nfn who() {}\n";
        let tree = SourceTree::new([("crates/core/src/a.rs".to_owned(), source.to_owned())]);
        let counts = counts(&tree);
        assert_eq!((counts["core"].persons, counts["core"].words), (2, 11));
        assert_eq!(counts["core"].per_10_000(), 1819);
    }

    #[test]
    fn the_counts_are_shown_by_crate() {
        let source = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let tree = SourceTree::new([
            source("crates/core/src/a.rs", "// One who waits for a line.\n"),
            source("crates/load/src/a.rs", "// A client.\n"),
        ]);
        assert!(counted(&tree).ends_with(" in 1,000 words of comments: core 166.7, load 0.0"));
    }
}
