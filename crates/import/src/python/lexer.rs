//! Splits source text into tokens by logical line; brackets and backslashes join lines.

use std::iter::Peekable;
use std::str::CharIndices;

use super::UnexpectedEnd;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PythonToken {
    /// A name or a keyword.
    Word(String),
    /// An integer; `None` if it has a fraction or is too large.
    Number(Option<i128>),
    /// A string; `None` if it is computed at run time, as an f-string.
    Text(Option<String>),
    /// An operator or a bracket.
    Sign(&'static str),
    /// Invalid text, with the reason.
    Broken(String),
}

/// The tokens of one logical line, or of one statement of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogicalLine {
    /// The number of its first line, from 1.
    pub(super) number: usize,
    /// Whether it is indented.
    pub(super) is_nested: bool,
    /// Never empty.
    pub(super) tokens: Vec<PythonToken>,
}

/// All operators, longer ones before their prefixes.
const SIGNS: &[&str] = &[
    "**=", "//=", ">>=", "<<=", "...", "**", "//", ">>", "<<", "==", "!=", "<=", ">=", "->", ":=",
    "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "@=", "+", "-", "*", "/", "%", "=", "(", ")",
    "[", "]", "{", "}", ",", ":", ".", "<", ">", "&", "|", "^", "~", "@",
];

/// Splits a source into lines of tokens.
pub(super) fn lines(source: &str) -> Result<Vec<LogicalLine>, UnexpectedEnd> {
    let mut lexer = Lexer {
        source,
        letters: source.char_indices().peekable(),
        number: 1,
        is_at_start: true,
        open: Vec::new(),
        lines: Vec::new(),
        current: None,
        is_nested: false,
    };
    while let Some(&(at, letter)) = lexer.letters.peek() {
        lexer.step(at, letter)?;
    }
    if let Some(line) = lexer.open.first() {
        return Err(UnexpectedEnd { line: *line, what: "a bracket that is never closed" });
    }
    lexer.end_line();
    Ok(lexer.lines)
}

struct Lexer<'a> {
    source: &'a str,
    letters: Peekable<CharIndices<'a>>,
    /// The physical line.
    number: usize,
    /// Whether this physical line has contained only whitespace so far.
    is_at_start: bool,
    /// The lines of the open brackets.
    open: Vec<usize>,
    lines: Vec<LogicalLine>,
    current: Option<LogicalLine>,
    is_nested: bool,
}

impl Lexer<'_> {
    fn step(&mut self, at: usize, letter: char) -> Result<(), UnexpectedEnd> {
        match letter {
            '\n' => {
                self.letters.next();
                self.number += 1;
                if self.open.is_empty() {
                    self.end_line();
                    self.is_at_start = true;
                    self.is_nested = false;
                }
            }
            ' ' | '\t' | '\x0c' | '\r' | '\u{feff}' => {
                self.letters.next();
                self.is_nested |= self.is_at_start && matches!(letter, ' ' | '\t');
            }
            '#' => self.skip_while(|letter| letter != '\n'),
            '\\' if self.continues(at) => {
                self.skip_while(|letter| letter != '\n');
                self.letters.next();
                self.number += 1;
            }
            ';' if self.open.is_empty() => {
                self.letters.next();
                self.end_line();
            }
            _ => {
                self.is_at_start = false;
                let line = self.number;
                let token = self.token(at, letter)?;
                let is_nested = self.is_nested;
                self.current
                    .get_or_insert_with(|| LogicalLine {
                        number: line,
                        is_nested,
                        tokens: Vec::new(),
                    })
                    .tokens
                    .push(token);
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        self.lines.extend(self.current.take());
    }

    /// Whether a backslash here joins this line with the next.
    fn continues(&self, at: usize) -> bool {
        let rest = self.source.get(at + 1..).unwrap_or_default();
        rest.trim_start_matches('\r').starts_with('\n')
    }

    fn skip_while(&mut self, is_skipped: impl Fn(char) -> bool) {
        while self.letters.next_if(|(_, letter)| is_skipped(*letter)).is_some() {}
    }

    fn token(&mut self, at: usize, letter: char) -> Result<PythonToken, UnexpectedEnd> {
        let rest = self.source.get(at..).unwrap_or_default();
        if let Some(prefix) = string_prefix(rest) {
            return self.string(prefix);
        }
        if letter.is_ascii_digit() || is_fraction(rest) {
            return Ok(self.number_token(rest));
        }
        if letter == '_' || letter.is_alphabetic() {
            let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
            self.advance(at + end);
            return Ok(PythonToken::Word(rest.get(..end).unwrap_or_default().to_owned()));
        }
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            self.advance(at + sign.len());
            match *sign {
                "(" | "[" | "{" => self.open.push(self.number),
                ")" | "]" | "}" if self.open.pop().is_none() => {
                    return Ok(PythonToken::Broken(format!("unexpected `{sign}`")));
                }
                _ => {}
            }
            return Ok(PythonToken::Sign(sign));
        }
        self.letters.next();
        Ok(PythonToken::Broken(invalid_character(letter)))
    }

    /// Continues at a byte offset of the source.
    fn advance(&mut self, to: usize) {
        while self.letters.next_if(|(at, _)| *at < to).is_some() {}
    }

    fn number_token(&mut self, rest: &str) -> PythonToken {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let text = rest.get(..end).unwrap_or_default();
        let start = self.letters.peek().map_or(0, |(at, _)| *at);
        self.advance(start + end);
        let digits = text.replace('_', "");
        let lower = digits.to_ascii_lowercase();
        let based = [("0x", 16), ("0o", 8), ("0b", 2)]
            .iter()
            .find_map(|(prefix, base)| Some((lower.strip_prefix(prefix)?, *base)));
        let number = match based {
            Some((digits, base)) => i128::from_str_radix(digits, base).ok(),
            None => lower.parse().ok(),
        };
        let is_fraction = lower.parse::<f64>().is_ok();
        match number {
            None if based.is_none() && !is_fraction => {
                PythonToken::Broken(format!("`{text}` is neither a number nor a name"))
            }
            number => PythonToken::Number(number),
        }
    }

    /// Reads a string, starting at its prefix.
    fn string(&mut self, prefix: &str) -> Result<PythonToken, UnexpectedEnd> {
        let begins = self.number;
        let is_raw = prefix.contains(['r', 'R']);
        let is_program = prefix.contains(['f', 'F']);
        for _ in prefix.chars() {
            self.letters.next();
        }
        let Some((at, quote)) = self.letters.next() else {
            return Ok(PythonToken::Text(None));
        };
        let triple: String = std::iter::repeat_n(quote, 3).collect();
        let is_triple = self.source.get(at..).is_some_and(|rest| rest.starts_with(&triple));
        if is_triple {
            self.advance(at + 3);
        }
        let mut text = String::new();
        loop {
            let is_line_end = |(_, letter): &(usize, char)| *letter == '\n';
            // The line end is not consumed: it ends the statement.
            if !is_triple && self.letters.peek().is_some_and(is_line_end) {
                return Ok(PythonToken::Broken("a string has no closing quote".into()));
            }
            let Some((at, letter)) = self.letters.next() else {
                let what = "a string that is never closed";
                return Err(UnexpectedEnd { line: begins, what });
            };
            let rest = self.source.get(at..).unwrap_or_default();
            match letter {
                '\\' => self.escape(is_raw, &mut text),
                _ if letter == quote && (!is_triple || rest.starts_with(&triple)) => {
                    if is_triple {
                        self.advance(at + 3);
                    }
                    break;
                }
                _ => {
                    self.number += usize::from(letter == '\n');
                    text.push(letter);
                }
            }
        }
        let is_known = !(is_program && text.contains('{'));
        Ok(PythonToken::Text(is_known.then_some(text)))
    }

    /// The character of the escape sequence after the backslash.
    fn escape(&mut self, is_raw: bool, text: &mut String) {
        let Some((_, letter)) = self.letters.next() else { return };
        self.number += usize::from(letter == '\n');
        if is_raw {
            text.extend(['\\', letter]);
            return;
        }
        match letter {
            '\n' => {}
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            '\\' | '\'' | '"' => text.push(letter),
            'x' => self.numbered(text, "\\x", 16, 2),
            'u' => self.numbered(text, "\\u", 16, 4),
            'U' => self.numbered(text, "\\U", 16, 8),
            '0'..='7' => {
                let mut digits = String::from(letter);
                while digits.len() < 3
                    && let Some((_, digit)) = self.letters.next_if(|(_, c)| ('0'..='7').contains(c))
                {
                    digits.push(digit);
                }
                let code = u32::from_str_radix(&digits, 8).ok();
                text.extend(code.and_then(char::from_u32));
            }
            // Python keeps the backslash of an unknown escape, as in 'E:\work'.
            _ => text.extend(['\\', letter]),
        }
    }

    fn numbered(&mut self, text: &mut String, written: &str, base: u32, length: usize) {
        let mut digits = String::new();
        while digits.len() < length
            && let Some((_, digit)) = self.letters.next_if(|(_, c)| c.is_digit(base))
        {
            digits.push(digit);
        }
        match u32::from_str_radix(&digits, base).ok().and_then(char::from_u32) {
            Some(letter) if digits.len() == length => text.push(letter),
            _ => text.extend([written, &digits]),
        }
    }
}

/// The prefix of a string that begins here; `None` if none does.
fn string_prefix(rest: &str) -> Option<&str> {
    let end = rest.find(|c| !"rRbBuUfF".contains(c))?;
    let (prefix, rest) = rest.split_at_checked(end)?;
    (end <= 2 && rest.starts_with(['\'', '"'])).then_some(prefix)
}

fn is_fraction(rest: &str) -> bool {
    rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The reason why a character is invalid. Full-width characters of input methods are named.
fn invalid_character(letter: char) -> String {
    let meant = match letter {
        '，' => ",",
        '（' => "(",
        '）' => ")",
        '＝' => "=",
        '‘' | '’' => "'",
        '“' | '”' => "\"",
        '：' => ":",
        _ => return format!("invalid character `{}`", letter.escape_debug()),
    };
    format!("`{letter}` is a full-width character; use `{meant}`")
}
