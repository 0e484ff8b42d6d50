//! Rust source as the rules see it: line by line, with comments and literals blanked, and with
//! the lines marked that only tests compile.
//!
//! Tokens are read by `proc-macro2`, not grammar: that is enough to find a word that is truly code.

use std::ops::Range;

use proc_macro2::{TokenStream, TokenTree};

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

/// Where every comment and literal is, in bytes and in order; nothing in what is not Rust.
pub(super) fn opaque(text: &str) -> Vec<Range<usize>> {
    let mut code = Vec::new();
    let mut ranges = Vec::new();
    visible(text.parse().unwrap_or_default(), text, &mut code, &mut ranges);
    // What stands between tokens and is not empty is a comment.
    code.sort_by_key(|range: &Range<usize>| range.start);
    let ends = std::iter::once(0).chain(code.iter().map(|range| range.end));
    let starts = code.iter().map(|range| range.start).chain([text.len()]);
    for (end, start) in ends.zip(starts) {
        let gap = text.get(end..start).unwrap_or_default();
        let from = end + gap.len() - gap.trim_start().len();
        if !gap.trim().is_empty() {
            ranges.push(from..from + gap.trim().len());
        }
    }
    ranges.sort_by_key(|range| range.start);
    ranges
}

/// Adds the place of every token to `tokens`, and that of literals to `literals`. Comments of
/// documentation are tokens, too, but left out here.
fn visible(
    stream: TokenStream,
    text: &str,
    tokens: &mut Vec<Range<usize>>,
    literals: &mut Vec<Range<usize>>,
) {
    for token in stream {
        let place = token.span().byte_range();
        let is_comment = text.get(place.clone()).is_some_and(|text| text.starts_with('/'));
        match token {
            TokenTree::Group(group) if !is_comment => {
                tokens.extend([group.span_open(), group.span_close()].map(|it| it.byte_range()));
                visible(group.stream(), text, tokens, literals);
            }
            TokenTree::Literal(literal) => {
                if !literal.to_string().starts_with(|first: char| first.is_ascii_digit()) {
                    literals.push(place.clone());
                }
                tokens.push(place);
            }
            _ if is_comment && place.len() > 1 => {}
            _ => tokens.push(place),
        }
    }
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
