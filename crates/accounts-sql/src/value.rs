//! Values of a statement, and its limits: the same for both kinds of databases.

use std::time::Duration;

/// A column value or a parameter. An absent value still has a type, which PostgreSQL requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SqlValue {
    /// Text.
    Text(Option<String>),
    /// An integer.
    Number(Option<i64>),
    /// A boolean. SQLite stores it as 1 or 0.
    Bool(Option<bool>),
    /// Bytes in place of text, as another program may have written them.
    Bytes(Vec<u8>),
}

/// The values of one row, in the order of the columns.
pub(crate) type SqlRow = Vec<SqlValue>;

/// How long one statement may take.
pub(crate) const STATEMENT_TIME_MAX: Duration = Duration::from_secs(5);
/// The most rows of one statement; larger results are read page by page.
pub(crate) const ROWS_MAX: usize = 50_000;
/// The error for more rows.
pub(crate) const TOO_MANY: &str = "too many rows";

impl SqlValue {
    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => text.as_deref(),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Number(_) | Self::Bool(_) => None,
        }
    }

    /// The number, if it is one.
    pub(crate) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => *number,
            Self::Text(_) | Self::Bool(_) | Self::Bytes(_) => None,
        }
    }

    /// Yes or no, if it is one of both.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match self {
            Self::Bool(boolean) => *boolean,
            Self::Number(Some(0)) => Some(false),
            Self::Number(Some(1)) => Some(true),
            Self::Number(_) | Self::Text(_) | Self::Bytes(_) => None,
        }
    }
}

impl From<&str> for SqlValue {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<i64> for SqlValue {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<bool> for SqlValue {
    fn from(boolean: bool) -> Self {
        Self::Bool(Some(boolean))
    }
}
