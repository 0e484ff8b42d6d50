//! A parser for the subset of Python used in settings: literals, which are never executed.
//!
//! [`read`] parses a source into statements. An assignment or a call whose values are
//! literals (numbers and their sums and products, strings, tuples, lists, names that were given
//! such a value above) has these values; everything else is marked as such.

mod lexer;
mod parse;
#[cfg(test)]
mod tests;

pub(crate) use parse::read;

/// A value in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PythonValue {
    /// A string.
    Text(String),
    /// An integer.
    Number(i128),
    /// `True` or `False`.
    Boolean(bool),
    /// `None`.
    None,
    /// A tuple, a list or a set.
    List(Vec<Self>),
    /// `range(from, to)` with an exclusive end.
    Range(i128, i128),
    /// A dotted name without a known literal, such as `settings.port`.
    Name(String),
    /// A call of a named function.
    Call(String, Vec<Argument>),
    /// Something that is only known at run time, with a description.
    Other(&'static str),
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    /// Its keyword, as in `perm="elr"`.
    pub name: Option<String>,
    /// Its value.
    pub value: PythonValue,
}

/// A statement with its location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// The line, from 1.
    pub line: usize,
    /// Whether it is inside of a block: a function, a condition, a loop, a class.
    pub(crate) is_nested: bool,
    /// The kind of statement.
    pub kind: StatementKind,
}

/// The kind of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StatementKind {
    /// Assigns a value to names, which may contain dots.
    Assign(Vec<String>, PythonValue),
    /// Calls a named function.
    Call(String, Vec<Argument>),
    /// An expression, such as a docstring.
    Value(PythonValue),
    /// Any other statement, with its first word.
    Program(String),
    /// A syntax error, with the reason.
    Broken(String),
}

/// The source ends within a construct: it is truncated, or not Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnexpectedEnd {
    /// The line on which the unclosed construct begins.
    pub line: usize,
    /// The construct, to complete "unexpected end of file in …".
    pub what: &'static str,
}

impl PythonValue {
    /// A description of the value for messages.
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

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}
