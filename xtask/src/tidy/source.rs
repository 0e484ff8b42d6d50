//! Rust source as the rules see it: line by line, with comments and literals blanked, and with
//! the lines marked that only tests compile.
//!
//! This is a reader of tokens, not of grammar: it knows strings, comments, characters and
//! brackets. That is enough to find a word that is truly code.

use std::ops::Range;

/// One file.
pub(super) struct SourceFile {
    /// From the top of the checkout, with slashes.
    pub(super) path: String,
    /// What stands there.
    pub(super) raw: String,
    /// The same, with every comment and literal replaced by spaces. Same lines, same columns.
    pub(super) code: String,
    /// Whether only tests compile this file.
    pub(super) is_test: bool,
    /// Byte ranges of `code` that only tests compile.
    tests: Vec<Range<usize>>,
}

/// Suffixes of files that contain the code for one operating system.
const SYSTEM_SUFFIXES: &[&str] = &["_linux", "_unix", "_windows", "_other"];

/// One line of a file.
pub(super) struct SourceLine<'a> {
    /// Counted from 1.
    pub(super) number: usize,
    /// As it stands.
    pub(super) raw: &'a str,
    /// Without comments and literals.
    pub(super) code: &'a str,
    /// Whether only tests compile it.
    pub(super) is_test: bool,
}

impl SourceFile {
    pub(super) fn new(path: &str, raw: &str) -> Self {
        let code = blank(raw);
        let tests = test_items(&code);
        let is_test = is_test_path(path) || code.contains("#![cfg(test)]");
        Self { path: path.to_owned(), raw: raw.to_owned(), code, is_test, tests }
    }

    /// Its lines, in order.
    pub(super) fn lines(&self) -> impl Iterator<Item = SourceLine<'_>> {
        let mut start = 0;
        self.raw.lines().zip(self.code.split('\n')).zip(1..).map(move |((raw, code), number)| {
            let is_test = self.is_test_at(start);
            start += code.len() + 1;
            SourceLine { number, raw, code, is_test }
        })
    }

    /// Whether only tests compile the byte of `code` at `offset`.
    pub(super) fn is_test_at(&self, offset: usize) -> bool {
        self.is_test || self.tests.iter().any(|range| range.contains(&offset))
    }

    /// The line, from 1, of the byte of `code` at `offset`.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.code.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    /// The offsets of `needle` in the code as a word of its own, tests apart.
    pub(super) fn offsets_outside_tests(&self, needle: &str) -> Vec<usize> {
        let hits = self.code.match_indices(needle).map(|(offset, _)| offset);
        hits.filter(|offset| is_word(&self.code, *offset, needle) && !self.is_test_at(*offset))
            .collect()
    }

    /// Its module: the path below the crate's root, the same for the halves of two systems.
    pub(super) fn module(&self) -> Vec<&str> {
        let below = self.path.split_once("/src/").map_or(self.path.as_str(), |(_, below)| below);
        let parts = below.strip_suffix(".rs").unwrap_or(below).split('/');
        let mut module: Vec<&str> = parts.map(without_system).collect();
        module.pop_if(|last| matches!(*last, "lib" | "main" | "mod"));
        module
    }

    /// The file's name without `.rs`.
    pub(super) fn stem(&self) -> &str {
        stem(&self.path)
    }
}

/// Marks the files of `#[cfg(test)] mod name;` as tests.
pub(super) fn mark_test_modules(sources: &mut [SourceFile]) {
    let mut modules = Vec::new();
    for source in &*sources {
        let folder = module_folder(&source.path);
        for range in &source.tests {
            let item = source.code.get(range.clone()).unwrap_or_default();
            if let Some(name) = item.strip_suffix(';').and_then(|item| item.split("mod ").nth(1)) {
                modules.push(format!("{folder}/{}", name.trim()));
            }
        }
    }
    for source in sources {
        let path = source.path.strip_suffix(".rs").unwrap_or(&source.path);
        let is_below = |module: &String| {
            path.strip_prefix(module.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        source.is_test |= modules.iter().any(is_below);
    }
}

/// Whether `needle` stands in `code` with no letter, digit or underscore joined to it.
pub(super) fn has_word(code: &str, needle: &str) -> bool {
    code.match_indices(needle).any(|(offset, _)| is_word(code, offset, needle))
}

/// Whether a letter may stand in a name.
pub(super) fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The name that `text` begins with, if any.
pub(super) fn leading_name(text: &str) -> &str {
    text.split(|letter| !is_name(letter)).next().unwrap_or_default()
}

fn is_word(code: &str, offset: usize, needle: &str) -> bool {
    let before = code.get(..offset).and_then(|text| text.chars().next_back());
    let after = code.get(offset + needle.len()..).and_then(|text| text.chars().next());
    // A needle that ends or begins with a sign needs no boundary on that side.
    let joins = |inner: Option<char>, outer: Option<char>| {
        inner.is_some_and(is_name) && outer.is_some_and(is_name)
    };
    !joins(needle.chars().next(), before) && !joins(needle.chars().next_back(), after)
}

fn without_system(name: &str) -> &str {
    SYSTEM_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".rs").unwrap_or(name)
}

fn is_test_path(path: &str) -> bool {
    let stem = stem(path);
    path.contains("/tests/")
        || path.contains("/benches/")
        || stem == "tests"
        || stem.ends_with("_tests")
        || stem.ends_with("_test")
}

/// The folder that holds the modules which a file declares.
fn module_folder(path: &str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    match stem(path) {
        "lib" | "main" | "mod" => folder.to_owned(),
        stem => format!("{folder}/{stem}"),
    }
}

/// Where every comment and literal is, in bytes and in order.
pub(super) fn opaque(text: &str) -> Vec<Range<usize>> {
    let letters: Vec<char> = text.chars().collect();
    let (mut ranges, mut at, mut byte) = (Vec::new(), 0, 0);
    while let Some(letter) = letters.get(at) {
        let end = opaque_end(&letters, at).unwrap_or(at);
        if end == at {
            byte += letter.len_utf8();
            at += 1;
            continue;
        }
        let inside = letters.get(at..end.min(letters.len())).unwrap_or_default();
        let length: usize = inside.iter().map(|letter| letter.len_utf8()).sum();
        ranges.push(byte..byte + length);
        byte += length;
        at = end;
    }
    ranges
}

/// Replaces every comment and literal by spaces, one for each letter.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    for range in opaque(text) {
        code.push_str(text.get(at..range.start).unwrap_or_default());
        let inside = text.get(range.clone()).unwrap_or_default().chars();
        code.extend(inside.map(|letter| if letter == '\n' { '\n' } else { ' ' }));
        at = range.end;
    }
    code.push_str(text.get(at..).unwrap_or_default());
    code
}

/// The end of the comment or literal that begins at `at`; `None` if none does.
fn opaque_end(letters: &[char], at: usize) -> Option<usize> {
    let next = letters.get(at + 1).copied();
    match letters.get(at)? {
        '/' if next == Some('/') => Some(find(letters, at, |rest| rest.starts_with(&['\n']))),
        '/' if next == Some('*') => Some(block_comment_end(letters, at)),
        '"' => Some(string_end(letters, at + 1)),
        '\'' => character_end(letters, at),
        'b' | 'c' | 'r' if !is_inside_name(letters, at) => prefixed_end(letters, at),
        _ => None,
    }
}

fn is_inside_name(letters: &[char], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| letters.get(before)).copied().is_some_and(is_name)
}

/// The first place from `at` on where `is_there` holds, or the end of the text.
fn find(letters: &[char], at: usize, is_there: impl Fn(&[char]) -> bool) -> usize {
    (at..letters.len())
        .find(|&at| letters.get(at..).is_some_and(&is_there))
        .unwrap_or(letters.len())
}

fn block_comment_end(letters: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = at;
    while let Some(rest) = letters.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if rest.starts_with(&['*', '/']) {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    letters.len()
}

/// The end of a string whose first letter, after the quote, is at `at`.
fn string_end(letters: &[char], mut at: usize) -> usize {
    loop {
        match letters.get(at) {
            None => return letters.len(),
            Some('\\') => at += 2,
            Some('"') => return at + 1,
            Some(_) => at += 1,
        }
    }
}

/// The end of `'x'` or `'\n'`; `None` for a lifetime.
fn character_end(letters: &[char], at: usize) -> Option<usize> {
    match letters.get(at + 1)? {
        '\\' => {
            let close = find(letters, at + 3, |rest| rest.starts_with(&['\'']));
            Some((close + 1).min(letters.len()))
        }
        _ => (letters.get(at + 2) == Some(&'\'')).then_some(at + 3),
    }
}

/// The end of `b"…"`, `r#"…"#` and their like; `None` for a plain name.
fn prefixed_end(letters: &[char], at: usize) -> Option<usize> {
    let rest = letters.get(at..)?;
    let prefix = rest.iter().take_while(|letter| matches!(letter, 'b' | 'c' | 'r')).count();
    let is_raw = rest.get(..prefix)?.contains(&'r');
    let hashes = rest.iter().skip(prefix).take_while(|letter| **letter == '#').count();
    let quote = at + prefix + hashes;
    match letters.get(quote)? {
        '"' if is_raw => {
            let mut close = vec!['"'];
            close.resize(hashes + 1, '#');
            let end = find(letters, quote + 1, |rest| rest.starts_with(&close)) + close.len();
            Some(end.min(letters.len()))
        }
        '"' if hashes == 0 => Some(string_end(letters, quote + 1)),
        '\'' if hashes == 0 => character_end(letters, quote),
        _ => None,
    }
}

/// The items behind `#[cfg(test)]`, each from the attribute to its `;` or closing brace.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let starts = ["#[cfg(test)]", "#[cfg(all(test"].into_iter();
    let starts = starts.flat_map(|attribute| code.match_indices(attribute));
    let ranges = starts.map(|(start, _)| {
        let attribute_length = code.get(start..).and_then(|rest| rest.find(']')).unwrap_or(0) + 1;
        start..item_end(code, start + attribute_length)
    });
    ranges.collect()
}

/// The end of the item that begins at `start`: behind its `;`, or behind the brace that closes it.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, letter) in code.get(start..).unwrap_or_default().char_indices() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(letter, ';' | '}') {
            return start + offset + 1;
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank_and_lines_stay() {
        let text = "a // b\n/* c /* d */ e */ f \"g \\\" h\" i\nr#\"j\n\"k\"# l b'm' c\"n\" 'o' 'p";
        let code = blank(text);
        let words: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(words, ["a", "f", "i", "l", "'p"]);
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn lifetimes_raw_names_and_escaped_quotes_stay_code() {
        assert_eq!(blank("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
        assert_eq!(blank("let r#type = br;"), "let r#type = br;");
        assert_eq!(blank(r"x = '\''; y"), "x =     ; y");
        assert_eq!(blank(r"x = '\\'; y"), "x =     ; y");
    }

    #[test]
    fn an_unclosed_literal_ends_with_the_text() {
        for text in ["\"abc", "/* abc", "r#\"abc", "b\"\\", "'\\", "'"] {
            assert_eq!(blank(text).chars().count(), text.chars().count(), "{text}");
        }
    }

    #[test]
    fn test_items_are_marked_and_what_follows_is_not() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { {} }\n}\nfn c() {}\n";
        let source = SourceFile::new("crates/x/src/a.rs", text);
        let tests: Vec<usize> =
            source.lines().filter(|line| line.is_test).map(|line| line.number).collect();
        assert_eq!(tests, [2, 3, 4, 5]);
    }

    #[test]
    fn a_test_item_with_brackets_ends_at_its_own_end() {
        let text = "#[cfg(all(test, unix))]\nfn b(x: [u8; 3]) {\n}\nfn c() {}";
        let source = SourceFile::new("crates/x/src/a.rs", text);
        let tests: Vec<bool> = source.lines().map(|line| line.is_test).collect();
        assert_eq!(tests, [true, true, true, false]);
    }

    #[test]
    fn files_of_test_modules_are_tests() {
        let mut sources = vec![
            SourceFile::new("crates/x/src/lib.rs", "#[cfg(test)]\nmod support;\nmod a;"),
            SourceFile::new("crates/x/src/a.rs", "#[cfg(test)]\n#[rustfmt::skip]\nmod golden;"),
            SourceFile::new("crates/x/src/a/golden.rs", ""),
            SourceFile::new("crates/x/src/support.rs", ""),
            SourceFile::new("crates/x/src/support/inner.rs", ""),
            SourceFile::new("crates/x/src/supported.rs", ""),
        ];
        mark_test_modules(&mut sources);
        let tests: Vec<&str> = sources.iter().filter(|s| s.is_test).map(SourceFile::stem).collect();
        assert_eq!(tests, ["golden", "support", "inner"]);
    }

    #[test]
    fn words_have_borders() {
        assert!(has_word("use std::time::Instant;", "Instant"));
        assert!(!has_word("let instants = Instants;", "Instant"));
        assert!(has_word("tokio::select! {", "select!"));
        assert!(!has_word("UdpSocket::new()", "Socket::new"));
    }
}
