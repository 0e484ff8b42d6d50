//! The commands: families of rows and functions, and one table of all families.
//!
//! To add a command, write its row, its function and a test in its family, and add the row to the
//! family's `ROWS`. HELP, FEAT, the permission check and the reference are derived from the row.

#![expect(clippy::unnecessary_wraps, reason = "every command has the signature of its row")]

mod access;
mod connection;
mod digest;
mod directory;
mod file;
mod info;
mod listing;
mod parameters;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod reference;
mod reply_text;
mod security;
mod site;
mod spec;
mod transfer;

use std::collections::HashMap;
use std::sync::LazyLock;

use wharf_proto::command::Command;

pub(crate) use spec::{Arg, Meanwhile, SessionStage, Spec};

static TABLE: &[&[&Spec]] = &[
    access::ROWS,
    security::ROWS,
    connection::ROWS,
    parameters::ROWS,
    transfer::ROWS,
    listing::ROWS,
    directory::ROWS,
    file::ROWS,
    digest::ROWS,
    info::ROWS,
    site::ROWS,
];

/// All rows, in the order of the families.
pub(crate) fn rows() -> impl Iterator<Item = &'static Spec> {
    TABLE.iter().copied().flatten().copied()
}

/// The rows by each of their names.
static BY_VERB: LazyLock<HashMap<&'static str, &'static Spec>> = LazyLock::new(|| {
    let names = |row: &'static Spec| [row.verb].into_iter().chain(row.also.iter().copied());
    rows().flat_map(|row| names(row).map(move |name| (name, row))).collect()
});

/// The row of a command and its argument; for SITE, the argument follows the second word.
pub(crate) fn find<'a>(command: &Command<'a>) -> Option<(&'static Spec, &'a [u8])> {
    let verb = command.verb.as_str();
    if verb == "SITE" {
        let (word, rest) = first_word(command.arg);
        let row = rows().find(|row| {
            row.verb
                .strip_prefix("SITE ")
                .is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(word))
        });
        return row.map(|row| (row, rest));
    }
    BY_VERB.get(verb).map(|row| (*row, command.arg))
}

/// The row for the argument of HELP.
fn find_words(words: &[u8]) -> Option<&'static Spec> {
    find(&Command::parse(words.trim_ascii()).ok()?).map(|(row, _)| row)
}

fn first_word(arg: &[u8]) -> (&[u8], &[u8]) {
    let end = arg.iter().position(|&byte| byte == b' ').unwrap_or(arg.len());
    let (word, rest) = arg.split_at(end);
    (word, rest.strip_prefix(b" ").unwrap_or(rest))
}
