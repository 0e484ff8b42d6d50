//! An unparsed configuration value.

use std::fmt::Write as _;

use toml::de::{DeInteger, DeValue};
use wharf_proto::path::is_deceptive;

/// A value of a configuration file, an environment variable or a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raw {
    /// A TOML string.
    Text(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML array.
    List(Vec<Self>),
    /// Text without a TOML type, from the environment or a flag; its type is that of the key.
    Plain(String),
    /// A type that no key has, with its name.
    Other(&'static str),
}

/// Values up to this length are part of messages.
const SHOWN_BYTES_MAX: usize = 40;

impl Raw {
    /// From a parsed TOML value.
    pub(crate) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => {
                integer(number).map_or(Self::Other("a number that is too large"), Self::Integer)
            }
            DeValue::Boolean(is_true) => Self::Boolean(*is_true),
            DeValue::Array(values) => {
                Self::List(values.iter().map(|value| Self::from_toml(value.get_ref())).collect())
            }
            DeValue::Float(_) => Self::Other("a number with a fraction"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }

    /// Parses the TOML text of one value, as used for defaults.
    pub fn parse_toml(text: &str) -> Option<Self> {
        DeValue::parse(text).ok().map(|value| Self::from_toml(value.get_ref()))
    }

    /// From the environment or a flag. Quotes are accepted as in the file, from which a value may
    /// have been copied.
    pub fn from_plain(text: &str) -> Self {
        let is_quoted = |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
        match Self::parse_toml(text) {
            Some(string @ Self::Text(_)) if is_quoted('"') || is_quoted('\'') => string,
            _ => Self::Plain(text.to_owned()),
        }
    }

    /// The text, if it is a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Plain(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Plain(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    pub fn boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(is_true) => Some(*is_true),
            Self::Plain(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The members, if it is a list. Plain text is a TOML array, or words separated by commas.
    pub fn list(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(members) => Some(members.clone()),
            Self::Plain(text) if text.trim_start().starts_with('[') => {
                match Self::parse_toml(text)? {
                    Self::List(members) => Some(members),
                    _ => None,
                }
            }
            Self::Plain(text) => Some(
                text.split(',')
                    .map(str::trim)
                    .filter(|word| !word.is_empty())
                    .map(|word| Self::Plain(word.into()))
                    .collect(),
            ),
            _ => None,
        }
    }

    /// The value, as it completes the sentence "found …"; only its type if it is long, or a URL,
    /// which can contain a password.
    pub fn what(&self) -> String {
        match self {
            Self::Text(text) | Self::Plain(text)
                if text.len() <= SHOWN_BYTES_MAX && !text.contains("://") =>
            {
                // The escapes of TOML, with the quotes of messages.
                let escaped = quoted(text);
                format!("`{}`", escaped.get(1..escaped.len() - 1).unwrap_or_default())
            }
            Self::Text(_) | Self::Plain(_) => "text".to_owned(),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(is_true) => is_true.to_string(),
            Self::List(members) if members.iter().all(|one| matches!(one, Self::Integer(_))) => {
                self.to_toml()
            }
            Self::List(_) => "a list".to_owned(),
            Self::Other(what) => (*what).to_owned(),
        }
    }

    /// The value as TOML.
    pub fn to_toml(&self) -> String {
        match self {
            Self::Text(text) | Self::Plain(text) => quoted(text),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(is_true) => is_true.to_string(),
            Self::List(members) => {
                let members: Vec<_> = members.iter().map(Self::to_toml).collect();
                format!("[{}]", members.join(", "))
            }
            Self::Other(what) => quoted(what),
        }
    }
}

/// A TOML basic string. Its escapes are also valid in JSON.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            letter if is_deceptive(letter) => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_characters_are_parsed_as_the_type_of_the_key() {
        let raw = Raw::Plain("42".into());
        assert_eq!((raw.integer(), raw.text()), (Some(42), Some("42")));
        assert_eq!(Raw::Plain("true".into()).boolean(), Some(true));
        let words = Raw::Plain("a, b".into()).list().unwrap();
        assert_eq!(words, [Raw::Plain("a".into()), Raw::Plain("b".into())]);
        let members = Raw::Plain(r#"["a,b"]"#.into()).list().unwrap();
        assert_eq!(members, [Raw::Text("a,b".into())]);
        assert_eq!(Raw::Plain(String::new()).list(), Some(vec![]));
        for (given, text) in [(r#""fast""#, "fast"), ("'fast'", "fast"), (r#""a"b"#, r#""a"b"#)] {
            assert_eq!(Raw::from_plain(given).text(), Some(text));
        }
        assert_eq!(Raw::from_plain("fast"), Raw::Plain("fast".into()));
    }

    proptest! {
        #[test]
        fn any_text_survives_quoting(text in any::<String>()) {
            prop_assert_eq!(Raw::parse_toml(&quoted(&text)), Some(Raw::Text(text)));
        }
    }
}
