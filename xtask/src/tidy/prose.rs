//! The English in a file, word by word: comments and messages of Rust, and documents.

use super::source;
use crate::markdown;

/// A word, or what stands between sentences and parts of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProseToken {
    /// In lower case, with its line, counted from 1.
    Word(String, usize),
    Break,
}

/// Which parts of a Rust file are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Comments,
    /// Literals of more than one word.
    Literals,
}

/// The words of one part of a Rust file. `is_read` is asked for the byte where each begins.
pub(super) fn of_rust(text: &str, part: Part, is_read: impl Fn(usize) -> bool) -> Vec<ProseToken> {
    let mut prose = String::with_capacity(text.len());
    let mut at = 0;
    for range in source::opaque(text) {
        let piece = text.get(range.clone()).unwrap_or_default();
        prose.push_str(&blank(text.get(at..range.start).unwrap_or_default()));
        let is_comment = piece.starts_with("//") || piece.starts_with("/*");
        let is_chosen = match part {
            Part::Comments => is_comment,
            Part::Literals => !is_comment && piece.split_whitespace().nth(1).is_some(),
        };
        prose.push_str(&match (is_chosen && is_read(range.start), part) {
            (false, _) => blank(piece),
            (true, Part::Comments) => comment(piece),
            (true, Part::Literals) => literal(piece),
        });
        at = range.end;
    }
    prose.push_str(&blank(text.get(at..).unwrap_or_default()));
    tokens(&markdown::without_code(&prose))
}

/// The words of a Markdown text, without spans of code.
pub(super) fn of_document(text: &str) -> Vec<ProseToken> {
    tokens(&markdown::without_code(text))
}

/// The words of a file with comments behind `#`: those, and its descriptions.
pub(super) fn of_script(text: &str) -> Vec<ProseToken> {
    let line = |line: &str| {
        let begin = line.trim_start();
        let told = match line.split_once("# ") {
            _ if begin.starts_with("description = ") => line,
            Some((before, comment)) if before.trim_end().len() < before.len() => comment,
            Some(("" | "#", comment)) => comment,
            _ => "",
        };
        told.to_owned()
    };
    let prose = text.split('\n').map(line).collect::<Vec<_>>().join("\n");
    tokens(&markdown::without_code(&prose))
}

fn tokens(prose: &str) -> Vec<ProseToken> {
    let mut tokens = Vec::new();
    for (line, number) in prose.lines().zip(1..) {
        if line.trim().is_empty() {
            tokens.push(ProseToken::Break);
        }
        for piece in line.split_whitespace() {
            let word = piece.trim_matches(|letter: char| !letter.is_alphanumeric());
            let (before, after) = piece.split_once(word).unwrap_or((piece, ""));
            if !before.is_empty() || word.is_empty() {
                tokens.push(ProseToken::Break);
            }
            if !word.is_empty() {
                let word = word.to_lowercase();
                let word = word.strip_suffix("'s").map_or(word.as_str(), |word| word);
                tokens.push(ProseToken::Word(word.to_owned(), number));
            }
            if !after.is_empty() {
                tokens.push(ProseToken::Break);
            }
        }
    }
    tokens
}

/// A comment without the marks that begin its lines.
fn comment(text: &str) -> String {
    let line = |line: &str| {
        let rest = line.trim_start().trim_start_matches(['/', '!', '*']);
        format!("{}{rest}", " ".repeat(line.len() - rest.len()))
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A literal without quotes, escapes and what is put in by formatting.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    let mut depth = 0_usize;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                out.push(' ');
                let next = letters.next();
                out.push_str(&blank(&next.map(String::from).unwrap_or_default()));
            }
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            // A word in braces stands for something else.
            _ if depth > 0 && letter != '\n' => {}
            '"' => out.push(' '),
            letter => out.push(letter),
        }
        if letter == '}' {
            out.push('x');
        }
    }
    out
}

fn blank(text: &str) -> String {
    text.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(tokens: &[ProseToken]) -> Vec<String> {
        let word = |token: &ProseToken| match token {
            ProseToken::Word(word, line) => format!("{word}:{line}"),
            ProseToken::Break => ".".to_owned(),
        };
        let mut words: Vec<_> = tokens.iter().map(word).collect();
        words.dedup();
        words
    }

    #[test]
    fn comments_are_read_across_their_lines() {
        let text = "/// By `x`\n/// hand, \"Who\".\nfn hand() {} // user's\n";
        let tokens = of_rust(text, Part::Comments, |_| true);
        assert_eq!(words(&tokens), ["by:1", "hand:2", ".", "who:2", ".", "user:3"]);
    }

    #[test]
    fn literals_of_several_words_are_read() {
        let text = "f(\"lane\", \"it {told} is\\nno \\\n   end\"); // c\n";
        let tokens = of_rust(text, Part::Literals, |_| true);
        assert_eq!(words(&tokens), ["it:1", "x:1", "is:1", "no:1", "end:2",]);
    }

    #[test]
    fn code_in_documents_is_not_read() {
        let tokens = of_document("A `told`\n\n```\ntold\n```\nwho-is\n");
        assert_eq!(words(&tokens), ["a:1", ".", "who-is:6"]);
    }
}
