//! Patterns of file names, as shells have them: `*`, `?`, `[a-z]`.

/// The most `*` in one pattern. Each costs time for every name of a directory.
pub const STARS_MAX: usize = 8;

/// A pattern for one name, not for a path.
///
/// `*` matches anything, `?` one character, `[a-z]` one of those and `[!a-z]` one of the others.
/// A `]` right at the start of a set belongs to it; a `[` that is never closed, and a backslash,
/// are literal. As in a shell, a name that begins with a dot is only matched if the
/// pattern begins with a dot.
///
/// A character is one of UTF-8 if pattern and name both are UTF-8, and else a byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    /// Letter by letter, for names of UTF-8; none if the pattern is not.
    text: Option<Vec<Token>>,
    /// Byte by byte, for all other names.
    bytes: Vec<Token>,
}

/// The pattern has more than [`STARS_MAX`] `*`; those in a row count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyWildcards;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Any number of characters.
    Star,
    /// One character.
    Any,
    /// This character.
    Letter(u32),
    /// One character within one of the ranges, or within none if `is_negated`.
    Set { is_negated: bool, ranges: Vec<(u32, u32)> },
}

impl Glob {
    /// Parses a pattern. `None` if it has no wildcard and so is a plain name.
    pub fn parse(pattern: &[u8]) -> Option<Result<Self, TooManyWildcards>> {
        let bytes = parse_tokens(pattern, false);
        if bytes.iter().all(|token| matches!(token, Token::Letter(_))) {
            return None;
        }
        if bytes.iter().filter(|&token| *token == Token::Star).count() > STARS_MAX {
            return Some(Err(TooManyWildcards));
        }
        let is_text = str::from_utf8(pattern).is_ok();
        Some(Ok(Self { text: is_text.then(|| parse_tokens(pattern, true)), bytes }))
    }

    /// Whether the whole of `name` matches. Takes at most the length of the name times that of
    /// the pattern, whatever they are.
    pub fn matches(&self, name: &[u8]) -> bool {
        if name.first() == Some(&b'.') && self.bytes.first() != Some(&Token::Letter(DOT)) {
            return false;
        }
        let text = self.text.as_ref().filter(|_| str::from_utf8(name).is_ok());
        let is_text = text.is_some();
        let mut name = name;
        let mut tokens = text.unwrap_or(&self.bytes).as_slice();
        // Where to continue if the current attempt fails: after the last star, and one character
        // more given to it. Stars before that need not be tried again, for what they took was the
        // least they could, and the last star can take all the rest.
        let mut retry: Option<(&[Token], &[u8])> = None;
        loop {
            if let Some((Token::Star, behind)) = tokens.split_first() {
                tokens = behind;
                retry = Some((behind, name));
                continue;
            }
            match (tokens.split_first(), next_letter(name, is_text)) {
                (None, None) => return true,
                (Some((token, behind)), Some((letter, rest))) if token.matches(letter) => {
                    tokens = behind;
                    name = rest;
                }
                _ => {
                    let Some((behind, from)) = retry else { return false };
                    let Some((_, from)) = next_letter(from, is_text) else { return false };
                    tokens = behind;
                    name = from;
                    retry = Some((behind, from));
                }
            }
        }
    }
}

impl Token {
    fn matches(&self, letter: u32) -> bool {
        match self {
            Self::Star | Self::Any => true,
            Self::Letter(own) => *own == letter,
            Self::Set { is_negated, ranges } => {
                let is_within = ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter));
                is_within != *is_negated
            }
        }
    }
}

const STAR: u32 = 0x2a;
const QUESTION: u32 = 0x3f;
const OPEN: u32 = 0x5b;
const CLOSE: u32 = 0x5d;
const EXCLAMATION: u32 = 0x21;
const HYPHEN: u32 = 0x2d;
const DOT: u32 = 0x2e;

fn parse_tokens(pattern: &[u8], is_text: bool) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some((letter, behind)) = next_letter(rest, is_text) {
        rest = behind;
        tokens.push(match letter {
            STAR => Token::Star,
            QUESTION => Token::Any,
            OPEN => match parse_set(behind, is_text) {
                Some((set, behind)) => {
                    rest = behind;
                    set
                }
                None => Token::Letter(letter),
            },
            letter => Token::Letter(letter),
        });
    }
    tokens.dedup_by(|one, other| *one == Token::Star && *other == Token::Star);
    tokens
}

/// Reads a set from behind its `[`. `None` if it is not closed.
fn parse_set(text: &[u8], is_text: bool) -> Option<(Token, &[u8])> {
    let mut rest = text;
    let mut next = || {
        let (letter, behind) = next_letter(rest, is_text)?;
        rest = behind;
        Some((letter, behind))
    };
    let mut first = next()?;
    let is_negated = first.0 == EXCLAMATION;
    if is_negated {
        first = next()?;
    }
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    let (mut letter, mut behind) = first;
    loop {
        if letter == CLOSE && !ranges.is_empty() {
            return Some((Token::Set { is_negated, ranges }, behind));
        }
        let (mut after, mut behind_after) = next()?;
        let mut end = letter;
        if after == HYPHEN {
            let (last, behind_last) = next()?;
            if last == CLOSE {
                // A hyphen right before the end is literal.
                ranges.extend([(letter, letter), (HYPHEN, HYPHEN)]);
                return Some((Token::Set { is_negated, ranges }, behind_last));
            }
            end = last;
            (after, behind_after) = next()?;
        }
        ranges.push((letter, end));
        (letter, behind) = (after, behind_after);
    }
}

/// The first character, and what is behind it: one of UTF-8 if `is_text`, else a byte.
fn next_letter(text: &[u8], is_text: bool) -> Option<(u32, &[u8])> {
    let (&first, behind) = text.split_first()?;
    if !is_text || first.is_ascii() {
        return Some((first.into(), behind));
    }
    let length = match first {
        0xf0.. => 4,
        0xe0.. => 3,
        _ => 2,
    };
    let (letter, behind) = text.split_at_checked(length)?;
    let letter = str::from_utf8(letter).ok()?.chars().next()?;
    Some((letter.into(), behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glob(pattern: &str) -> Glob {
        Glob::parse(pattern.as_bytes()).unwrap().unwrap()
    }

    fn matches(pattern: &str, name: &str) -> bool {
        glob(pattern).matches(name.as_bytes())
    }

    /// Found by fuzzing: U+00BC is not the byte 0xBC.
    #[test]
    fn a_character_is_not_the_byte_of_its_number() {
        let pattern = Glob::parse(b"*\xc2\xbc").unwrap().unwrap();
        assert!(!pattern.matches(b"]\xbc"));
        assert!(pattern.matches(b"]\xc2\xbc"));
        assert!(pattern.matches(b"\xff\xc2\xbc"));
    }

    #[test]
    fn stars_and_question_marks() {
        assert!(matches("*", "a") && matches("*.txt", "a.txt") && matches("a*b*c", "aXbYbc"));
        assert!(!matches("*.txt", "a.txt.gz") && !matches("a*b*c", "aXbY"));
        assert!(matches("?", "a") && !matches("?", "ab") && !matches("a?", "a"));
        assert!(matches("**a", "bba") && matches("a*", "a"));
        assert!(matches("\\*", "\\x") && !matches("\\*", "*"));
    }

    #[test]
    fn sets_and_unterminated_brackets() {
        assert!(matches("[a-c]x", "bx") && !matches("[a-c]x", "dx"));
        assert!(matches("[!a-c]x", "dx") && !matches("[!a-c]x", "ax"));
        assert!(matches("[]x]", "]") && matches("[!]]", "x") && !matches("[!]]", "]"));
        assert!(matches("[a-]", "-") && matches("[a-]", "a") && !matches("[a-]", "b"));
        assert!(!matches("[c-a]", "b"));
        assert!(matches("[*?]", "*") && !matches("[*?]", "a"));
        assert!(matches("a[*", "a[b") && matches("[!?", "[!x"));
        for plain in ["", "a", "a[b", "[", "[]", "[!]", "[a-", "a]b\\"] {
            assert_eq!(Glob::parse(plain.as_bytes()), None, "{plain}");
        }
    }

    #[test]
    fn hidden_names_need_a_dot_in_the_pattern() {
        assert!(!matches("*", ".secret") && !matches("?a", ".a") && !matches("[.]a", ".a"));
        assert!(matches(".*", ".secret") && matches("a*", "a.b"));
    }

    #[test]
    fn a_character_is_one_letter_of_utf8_or_one_byte() {
        assert!(matches("?", "ä") && matches("[ä-ö]", "é") && matches("*?ü", "öäü"));
        assert!(!matches("??", "ä") && !matches("*??", "\u{1f600}"));
        assert!(glob("a?*").matches(b"a\xff\xe4"));
        assert!(!glob("a?").matches(b"a\xff\xe4"));
        let bytes = Glob::parse(b"\xd6\xd0*").unwrap().unwrap();
        assert!(bytes.matches(b"\xd6\xd0\xb9\xfa"));
    }

    #[test]
    fn row_38_too_many_stars_are_rejected_and_the_most_are_fast() {
        assert_eq!(Glob::parse(b"a*a*a*a*a*a*a*a*a*"), Some(Err(TooManyWildcards)));
        assert!(!matches("a*a*a*a*a*a*a*a*b", &"a".repeat(100_000)));
        assert!(matches("************************x", "x"));
    }

    /// The plain definition of a match, slow and without sets.
    fn defined(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => defined(rest, name),
            (Some((b'*', rest)), Some((_, shorter))) => {
                defined(rest, name) || defined(pattern, shorter)
            }
            (Some((letter, rest)), Some((own, shorter))) => {
                (*letter == b'?' || letter == own) && defined(rest, shorter)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(pattern in "[ab*?]{0,10}", name in "[ab]{0,12}") {
            if let Some(Ok(glob)) = Glob::parse(pattern.as_bytes()) {
                let expected = defined(pattern.as_bytes(), name.as_bytes());
                prop_assert_eq!(glob.matches(name.as_bytes()), expected);
            }
        }

        #[test]
        fn row_38_no_pattern_makes_matching_panic(
            pattern: Vec<u8>,
            name: Vec<u8>,
            text in "[-*?!a\u{e4}\\[\\]]{0,20}",
        ) {
            for pattern in [pattern.as_slice(), text.as_bytes()] {
                if let Some(Ok(glob)) = Glob::parse(pattern) {
                    let _ = (glob.matches(&name), glob.matches(text.as_bytes()));
                }
            }
        }

        #[test]
        fn a_star_behind_a_name_matches_it_whatever_its_bytes(name: Vec<u8>) {
            prop_assume!(!name.iter().any(|byte| b"*?[".contains(byte)));
            let glob = Glob::parse(&[&name[..], b"*"].concat()).unwrap().unwrap();
            prop_assert!(name.first() == Some(&b'.') || glob.matches(&name));
        }
    }
}
