//! Words of the vocabulary in names: identifiers, literals, files and folders, JSON and YAML.
//!
//! A name is split at `_`, `-` and at capital letters, and the words are compared with the phrases
//! that are rejected in prose, and with words that are rejected in names only.

use super::source::{self, SourceFile, is_name};
use super::tree::SourceTree;
use super::{Finding, Rule};
use crate::vocabulary::{ENTRIES, NAME_ENTRIES, PERSONS};

/// Files whose subject is rejected words: the lists, the rules with their tests, and old names.
const LISTS: &[&str] = &[
    "crates/config/src/renamed.rs",
    "crates/config/src/migration.rs",
    "xtask/src/tidy/language.rs",
    "xtask/src/tidy/names.rs",
    "xtask/src/tidy/prose.rs",
    "xtask/src/tidy/words.rs",
    "xtask/src/vocabulary.rs",
];

/// This file.
const HERE: &str = "xtask/src/tidy/names.rs";

/// Words that are standard in a context: the word, names in which it stands (in lower case, with
/// hyphens between words), and the reason.
const EXCEPTIONS: &[(&str, &[&str], &str)] = &[
    (
        "book",
        &["book", "book-page", "book-source", "is-in-book"],
        "the documentation site, built by mdBook",
    ),
    (
        "draft",
        &[
            "draft-bryan-ftp-range-08",
            "draft-bryan-ftpext-hash-02",
            "draft-preston-ftpext-deflate-04",
            "draft-somers-ftp-mfxx-04",
            "draft-twine-ftpmd5-00",
        ],
        "a document of the IETF",
    ),
    ("everyone", &["chroot-everyone"], "a directive of Pure-FTPd"),
    (
        "guard",
        &[
            "account-guard", "connection-guard", "guard-kind", "mutex-guard", "resource-guard",
            "rw-lock-read-guard", "waiting-guard",
        ],
        "a value that releases on drop, as in the standard library",
    ),
    ("guest", &["guest", "guest-enable", "guest-username"], "a user name, keys of vsftpd"),
    ("lanes", &["lanes", "argon2-lanes", "stored-lanes-max"], "a parameter of Argon2"),
    ("live", &["live"], "a folder of Certbot"),
    ("nobody", &["nobody", "nobody-uid", "for-user-nobody"], "the Unix account without privileges"),
    (
        "rights",
        &["rights", "scm-rights"],
        "a synonym that accounts files may contain, a type of a library",
    ),
    ("refused", &["upload-refused"], "the old name of an event"),
    ("shadow", &["shadow"], "the password file of Unix"),
    (
        "who",
        &["who", "who-args", "kill-who", "usage-who"],
        "the command, an option of systemctl, and a type of a library",
    ),
];

static NAME: Rule = Rule {
    name: "name",
    why: "readers search for the usual term, in code as in documents",
    hint: "use the suggested term; if the word is standard here, add it to EXCEPTIONS in \
           xtask/src/tidy/names.rs with the reason",
};

static UNUSED: Rule = Rule {
    name: "name",
    why: "an exception that nothing needs permits the next use of the word",
    hint: "remove it from EXCEPTIONS in xtask/src/tidy/names.rs",
};

/// Every name of the checkout.
pub(super) fn check(tree: &SourceTree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in tree.paths() {
        let stems = path.split('/').map(|part| part.split('.').find(|stem| !stem.is_empty()));
        let found = stems.flatten().flat_map(rejected);
        findings.extend(found.map(|what| NAME.broken(path, 1, what)));
    }
    let is_list = |path: &str| LISTS.contains(&path);
    for source in tree.sources.iter().filter(|source| !is_list(&source.path)) {
        findings.extend(code(source));
        findings.extend(literals(source));
    }
    let is_data = |path: &str| [".json", ".yml", ".yaml"].iter().any(|end| path.ends_with(end));
    for (path, text) in tree.texts.iter().filter(|(path, _)| is_data(path)) {
        for (line, number) in text.lines().zip(1..) {
            findings.extend(pieces(line).map(|what| NAME.broken(path, number, what)));
        }
    }
    findings
}

/// Each exception is needed.
pub(super) fn exceptions(tree: &SourceTree) -> Vec<Finding> {
    let is_there = |word: &str| {
        let mut sources =
            tree.sources.iter().filter(|source| !LISTS.contains(&source.path.as_str()));
        sources.any(|source| source.raw.to_lowercase().contains(word))
    };
    let unused = EXCEPTIONS.iter().filter(|(word, ..)| !is_there(word));
    unused.map(|(word, ..)| UNUSED.broken(HERE, 1, format!("`{word}`"))).collect()
}

fn code(source: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for line in source.lines() {
        let names = line.code.split(|letter| !is_name(letter)).filter(|name| !name.is_empty());
        for what in names.filter_map(|name| rejected(name).next()) {
            findings.push(NAME.broken(&source.path, line.number, what));
        }
    }
    findings
}

fn literals(source: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for range in source::opaque(&source.raw) {
        let text = source.raw.get(range.clone()).unwrap_or_default();
        if text.starts_with("//") || text.starts_with("/*") {
            continue;
        }
        let first = source.raw.bytes().take(range.start).filter(|byte| *byte == b'\n').count();
        for (line, number) in text.split('\n').zip(first + 1..) {
            findings.extend(
                pieces(&without_escapes(line)).map(|what| NAME.broken(&source.path, number, what)),
            );
        }
    }
    findings
}

/// What is rejected in the words of a text, each by itself.
fn pieces(text: &str) -> impl Iterator<Item = String> {
    // The error of the system.
    let parts = text.split("onnection refused");
    let names = parts.flat_map(|part| part.split(|letter| !(is_name(letter) || letter == '-')));
    names.flat_map(rejected)
}

fn without_escapes(literal: &str) -> String {
    let mut letters = literal.chars();
    let mut out = String::with_capacity(literal.len());
    while let Some(letter) = letters.next() {
        if letter == '\\' {
            letters.next();
            out.push(' ');
        } else {
            out.push(letter);
        }
    }
    out
}

/// The rejected words of a name, each with what to write.
fn rejected(name: &str) -> impl Iterator<Item = String> {
    let words = words(name);
    let whole = words.join("-");
    let mut found = Vec::new();
    for at in 0..words.len() {
        let word = |at: usize| words.get(at).map(String::as_str);
        for entry in ENTRIES.iter().chain(&*NAME_ENTRIES) {
            let phrases = entry.phrases.iter().filter(|phrase| entry.stands(phrase, at, word));
            found.extend(phrases.map(|phrase| (*phrase, entry.instead)));
        }
        let person =
            PERSONS.iter().find(|person| words.get(at).is_some_and(|word| word == *person));
        found.extend(person.map(|person| (*person, "the client, the account, the program")));
    }
    let is_exempt = |phrase: &str| {
        EXCEPTIONS.iter().any(|(word, names, _)| *word == phrase && names.contains(&&*whole))
    };
    let found = found.into_iter().filter(|(phrase, _)| !is_exempt(phrase)).collect::<Vec<_>>();
    let name = name.to_owned();
    found
        .into_iter()
        .map(move |(phrase, instead)| format!("\"{phrase}\" in `{name}`; write: {instead}"))
}

/// The words of a name in lower case: `XmlRequest_max-size` has four.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = None;
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_capital = letter.is_uppercase();
        let ends_capitals = letters.peek().is_some_and(|next| next.is_lowercase());
        let is_first = match before {
            Some(before) if char::is_alphanumeric(before) => {
                is_capital && (!char::is_uppercase(before) || ends_capitals)
            }
            _ => true,
        };
        before = Some(letter);
        if !letter.is_alphanumeric() {
            continue;
        }
        if is_first {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(letter.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn names_are_split_at_signs_and_capitals() {
        for (name, split) in [
            ("is_told", "is told"),
            ("hook-output", "hook output"),
            ("XmlRequest_max-SIZE2", "xml request max size2"),
            ("src/a.rs", "src a rs"),
            ("utf8", "utf8"),
            ("ABORted", "abo rted"),
        ] {
            assert_eq!(words(name).join(" "), split, "{name}");
        }
    }

    #[test]
    fn rejected_words_are_found_in_names_of_every_kind() {
        let source = "fn is_told() {}\nstruct WitnessList;\nf(\"data-strangers\", \n\
                      \"a\\nvisitor\");\nfn that_is_no_key() {}\nfn put_aside() {}\n\
                      fn needs_rights() {}\nstruct Evidence;\nfn readable_by_everyone() {}\n\
                      struct Way;\nstruct Guard;\nfn fetch_small() {}\nfn tell() {}\n";
        assert_eq!(
            found(
                check,
                &[
                    ("crates/core/src/a.rs", source),
                    ("crates/core/tests/weather.rs", "// told, whose, whoever: prose\n"),
                    ("docs/a.json", "{\n \"nobody_was\": 1\n}\n"),
                    ("packaging/a.yml", "cause: not-told-apart\n"),
                ]
            )
            .iter()
            .map(|line| line.split("; write").next().unwrap_or_default())
            .collect::<Vec<_>>(),
            [
                "crates/core/tests/weather.rs:1: name: \"weather\" in `weather`",
                "crates/core/src/a.rs:1: name: \"told\" in `is_told`",
                "crates/core/src/a.rs:2: name: \"witness\" in `WitnessList`",
                "crates/core/src/a.rs:5: name: \"is no\" in `that_is_no_key`",
                "crates/core/src/a.rs:6: name: \"put aside\" in `put_aside`",
                "crates/core/src/a.rs:7: name: \"rights\" in `needs_rights`",
                "crates/core/src/a.rs:8: name: \"evidence\" in `Evidence`",
                "crates/core/src/a.rs:9: name: \"everyone\" in `readable_by_everyone`",
                "crates/core/src/a.rs:10: name: \"way\" in `Way`",
                "crates/core/src/a.rs:11: name: \"guard\" in `Guard`",
                "crates/core/src/a.rs:12: name: \"fetch\" in `fetch_small`",
                "crates/core/src/a.rs:13: name: \"tell\" in `tell`",
                "crates/core/src/a.rs:3: name: \"strangers\" in `data-strangers`",
                "crates/core/src/a.rs:4: name: \"visitor\" in `visitor`",
                "docs/a.json:2: name: \"nobody\" in `nobody_was`",
                "packaging/a.yml:1: name: \"told\" in `not-told-apart`",
            ]
        );
    }

    #[test]
    fn plain_names_and_exceptions_are_not_rejected() {
        let source = "// told\nfn is_toldable() {}\nfn this_is_no_longer_used() {}\n\
                      struct Untold;\nf(\"who\", \"nobody\", \"--kill-who\", \"planes\");\n\
                      const ARGON2_LANES: u8 = 1;\nfn there_is_no_file() {}\n\
                      fn is_right() {}\nuse ScmRights;\nf.fetch_add(1);\n\
                      struct ConnectionGuard;\n";
        let files = [
            ("crates/core/src/a.rs", source),
            ("docs/guide/a.md", "told"),
            ("crates/config/src/renamed.rs", "f(\"doctor\");"),
        ];
        assert!(found(check, &files).is_empty(), "{:?}", found(check, &files));
        assert_eq!(found(check, &[("crates/core/src/a.rs", "fn who_is_it() {}")]).len(), 1);
    }

    #[test]
    fn an_exception_that_nothing_needs_is_found() {
        let used = "f(\"book\", \"draft-\", \"guard\", \"lanes\", \"live\", \"nobody\", \"who\", \
                    \"everyone\", \"guest\", \"rights\", \"shadow\", \"upload-refused\");";
        assert!(found(exceptions, &[("crates/core/src/a.rs", used)]).is_empty());
        let lines = found(exceptions, &[("crates/core/src/a.rs", "f(\"who\");")]);
        assert_eq!(
            lines,
            [
                "xtask/src/tidy/names.rs:1: name: `book`",
                "xtask/src/tidy/names.rs:1: name: `draft`",
                "xtask/src/tidy/names.rs:1: name: `everyone`",
                "xtask/src/tidy/names.rs:1: name: `guard`",
                "xtask/src/tidy/names.rs:1: name: `guest`",
                "xtask/src/tidy/names.rs:1: name: `lanes`",
                "xtask/src/tidy/names.rs:1: name: `live`",
                "xtask/src/tidy/names.rs:1: name: `nobody`",
                "xtask/src/tidy/names.rs:1: name: `rights`",
                "xtask/src/tidy/names.rs:1: name: `refused`",
                "xtask/src/tidy/names.rs:1: name: `shadow`"
            ]
        );
    }
}
