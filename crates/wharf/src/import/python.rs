//! Python as far as settings need it: literals, read as text and never run.
//!
//! [`read`] takes a source apart into statements. An assignment or a call whose values are
//! literals (numbers and their sums and products, strings, tuples, lists, names that were given
//! such a value above) has these values; everything else is told apart and left alone.

mod lexer;
mod parse;
#[cfg(test)]
mod tests;

pub(crate) use parse::read;

/// A value that stands in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Number(i128),
    /// `True` or `False`.
    Boolean(bool),
    /// `None`.
    None,
    /// A tuple, a list or a set.
    List(Vec<Self>),
    /// `range(from, to)`, whose end is not in it.
    Range(i128, i128),
    /// A name with its dots that no literal was given to, such as `settings.port`.
    Name(String),
    /// A call of a function by its name.
    Call(String, Vec<Argument>),
    /// Something that only a running program knows, and what it is.
    Other(&'static str),
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    /// Its name where it has one: `perm="elr"`.
    pub(crate) name: Option<String>,
    /// What it is.
    pub(crate) value: Value,
}

/// A statement, and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// The line, from 1.
    pub(crate) line: usize,
    /// Whether it stands in a block: a function, a condition, a loop, a class.
    pub(crate) is_nested: bool,
    /// What it does.
    pub(crate) kind: StatementKind,
}

/// What a statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StatementKind {
    /// Gives a value to names, which may have dots.
    Assign(Vec<String>, Value),
    /// Calls something by its name.
    Call(String, Vec<Argument>),
    /// A value that stands alone, such as a comment in quotes.
    Value(Value),
    /// Anything else, by its first word.
    Program(String),
    /// What Python itself would refuse, and why.
    Broken(String),
}

/// A source that ends in the middle of something. It was cut, or it is no Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnexpectedEnd {
    /// Where the thing begins that has no end.
    pub(crate) line: usize,
    /// What it is, to finish the sentence "the file ends in the middle of …".
    pub(crate) what: &'static str,
}

impl Value {
    /// What it is, to finish the sentence "expected …, found …".
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Text(_) => "a text".into(),
            Self::Number(_) => "a number".into(),
            Self::Boolean(_) => "True or False".into(),
            Self::None => "None".into(),
            Self::List(_) => "a list".into(),
            Self::Range(..) => "a range".into(),
            Self::Name(name) => format!("the name `{name}`"),
            Self::Call(name, _) => format!("a call of `{name}`"),
            Self::Other(what) => (*what).into(),
        }
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}
