//! Chinese documents, and whether their English originals have changed since.
//!
//! A translation begins with the path and the SHA-256 of the original that it translates:
//! `<!-- translation-of: docs/guide/tls.md sha256:… -->`. After the translation was updated,
//! `cargo xtask translations --accept FILE` writes the sum of the present original there.

use std::fmt;
use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::checkout;
use crate::paths::is_document;

/// The first page, and its translation.
const README: (&str, &str) = ("README.md", "README.zh-CN.md");
/// Where translations are; below it they are named as their originals below [`DOCUMENTS`].
const TRANSLATIONS: &str = "docs/zh-CN/";
const DOCUMENTS: &str = "docs/";
/// Each document below it must be translated; others may be.
const GUIDES: &str = "docs/guide/";

const BEGIN: &str = "<!-- translation-of: ";
const MIDDLE: &str = " sha256:";
const END: &str = " -->";

/// A translation that differs from its original.
pub(crate) struct Stale {
    pub(crate) translation: String,
    original: String,
    fault: TranslationFault,
}

/// The problem of a translation.
#[derive(Debug, PartialEq, Eq)]
enum TranslationFault {
    /// There is none.
    Missing,
    /// Its first line does not name the original.
    Unmarked,
    /// The original has changed since.
    Changed,
    /// The original does not exist.
    WithoutOriginal,
}

/// Lists stale translations, or accepts the named files.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<(), String> {
    match words {
        [] => list(root),
        ["--accept", files @ ..] if !files.is_empty() => {
            files.iter().try_for_each(|file| accept(root, file))
        }
        _ => Err("usage: cargo xtask translations [--accept FILE...]".to_owned()),
    }
}

fn list(root: &Path) -> Result<(), String> {
    let texts = checkout::texts(root)?;
    let stale = stale(&texts);
    for one in &stale {
        eprintln!("{}: {one}", one.translation);
    }
    match stale.len() {
        0 => {
            eprintln!("translations: all are up to date");
            Ok(())
        }
        number => Err(format!(
            "{number} translations are missing or stale\n\
             hint: update each, then cargo xtask translations --accept FILE..."
        )),
    }
}

/// Writes the sum of the present original into the first line of a translation.
fn accept(root: &Path, file: &str) -> Result<(), String> {
    let file = file.strip_prefix("./").unwrap_or(file);
    let original = original_of(file).ok_or_else(|| {
        format!(
            "{file} is not a translation\nhint: name a file below {TRANSLATIONS}, or {}",
            README.1
        )
    })?;
    let read = |path: &str| {
        fs::read_to_string(root.join(path)).map_err(|error| format!("cannot read {path}: {error}"))
    };
    let (text, english) = (read(file)?, read(&original)?);
    fs::write(root.join(file), accepted(&text, &original, &english))
        .map_err(|error| format!("cannot write {file}: {error}"))?;
    eprintln!("xtask: {file} now translates the present {original}");
    Ok(())
}

fn accepted(text: &str, original: &str, english: &str) -> String {
    let body = match mark(text) {
        Some(_) => text.split_once('\n').map_or("", |(_, body)| body),
        None => text,
    };
    format!("{BEGIN}{original}{MIDDLE}{}{END}\n{body}", sum(english))
}

/// Translations that are missing or stale. `texts` are paths from the top, and contents.
pub(crate) fn stale(texts: &[(String, String)]) -> Vec<Stale> {
    let text = |wanted: &str| {
        let known = texts.iter().find(|(path, _)| path == wanted);
        known.map(|(_, text)| text.as_str())
    };
    let is_original = |path: &&str| *path == README.0 || path.starts_with(GUIDES);
    let paths = || texts.iter().map(|(path, _)| path.as_str()).filter(|path| is_document(path));
    let mut pairs: Vec<(String, String)> =
        paths().filter(is_original).map(|path| (translation_of(path), path.to_owned())).collect();
    pairs.extend(paths().filter_map(|path| Some((path.to_owned(), original_of(path)?))));
    pairs.sort();
    pairs.dedup();
    let fault = |(translation, original): (String, String)| {
        let fault = match (text(&translation), text(&original)) {
            (None, _) => TranslationFault::Missing,
            (_, None) => TranslationFault::WithoutOriginal,
            (Some(text), Some(english)) => match mark(text) {
                Some((path, known)) if path == original && known == sum(english) => return None,
                Some((path, _)) if path == original => TranslationFault::Changed,
                _ => TranslationFault::Unmarked,
            },
        };
        Some(Stale { translation, original, fault })
    };
    pairs.into_iter().filter_map(fault).collect()
}

/// The original and its checksum, from the first line of a translation.
fn mark(text: &str) -> Option<(&str, &str)> {
    let line = text.lines().next()?.strip_prefix(BEGIN)?.strip_suffix(END)?;
    line.split_once(MIDDLE)
}

fn translation_of(original: &str) -> String {
    match original.strip_prefix(DOCUMENTS) {
        Some(name) => format!("{TRANSLATIONS}{name}"),
        None => README.1.to_owned(),
    }
}

/// `None` for what is not a translation.
fn original_of(translation: &str) -> Option<String> {
    if translation == README.1 {
        return Some(README.0.to_owned());
    }
    let name = translation.strip_prefix(TRANSLATIONS)?;
    Some(format!("{DOCUMENTS}{name}"))
}

/// The checksum of a text, independent of its line ends.
fn sum(text: &str) -> String {
    let digest = Sha256::digest(text.replace("\r\n", "\n"));
    digest.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"))
}

impl fmt::Display for Stale {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { original, fault, .. } = self;
        match fault {
            TranslationFault::Missing => write!(out, "{original} is not translated"),
            TranslationFault::Changed => {
                write!(out, "{original} has changed since it was translated")
            }
            TranslationFault::Unmarked => {
                write!(out, "the first line is not `{BEGIN}{original}{MIDDLE}…{END}`")
            }
            TranslationFault::WithoutOriginal => {
                write!(out, "it translates {original}, which does not exist")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: &str = "docs/guide/tls.md";
    const CHINESE: &str = "docs/zh-CN/guide/tls.md";

    fn faults(texts: &[(&str, &str)]) -> Vec<(String, TranslationFault)> {
        let texts: Vec<_> = texts.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        stale(&texts).into_iter().map(|one| (one.translation, one.fault)).collect()
    }

    #[test]
    fn an_accepted_translation_is_fresh_until_its_original_changes() {
        let chinese = accepted("# 加密\n", ENGLISH, "# TLS\n");
        assert_eq!(faults(&[(ENGLISH, "# TLS\n"), (CHINESE, &chinese)]), []);
        assert_eq!(faults(&[(ENGLISH, "# TLS\r\n"), (CHINESE, &chinese)]), []);
        let changed = faults(&[(ENGLISH, "# TLS!\n"), (CHINESE, &chinese)]);
        assert_eq!(changed, [(CHINESE.to_owned(), TranslationFault::Changed)]);
        let again = accepted(&chinese, ENGLISH, "# TLS!\n");
        assert_eq!(again.lines().count(), chinese.lines().count());
        assert_eq!(faults(&[(ENGLISH, "# TLS!\n"), (CHINESE, &again)]), []);
    }

    #[test]
    fn guides_and_the_readme_must_be_translated_and_others_may_be() {
        let english = [("README.md", "a"), (ENGLISH, "b"), ("docs/TRUST.md", "c")];
        let missing = [
            ("README.zh-CN.md".to_owned(), TranslationFault::Missing),
            (CHINESE.to_owned(), TranslationFault::Missing),
        ];
        assert_eq!(faults(&english), missing);
        let trust = accepted("丙", "docs/TRUST.md", "old");
        let stale = faults(&[("docs/TRUST.md", "c"), ("docs/zh-CN/TRUST.md", &trust)]);
        assert_eq!(stale, [("docs/zh-CN/TRUST.md".to_owned(), TranslationFault::Changed)]);
    }

    #[test]
    fn a_translation_names_its_own_original() {
        assert_eq!(
            faults(&[(ENGLISH, "b"), (CHINESE, "# 加密\n")])[0].1,
            TranslationFault::Unmarked
        );
        let other = accepted("", "docs/guide/logging.md", "b");
        assert_eq!(faults(&[(ENGLISH, "b"), (CHINESE, &other)])[0].1, TranslationFault::Unmarked);
        assert_eq!(faults(&[(CHINESE, &other)])[0].1, TranslationFault::WithoutOriginal);
    }
}
