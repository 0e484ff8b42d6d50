//! Texts of replies that several commands send.

use wharf_core::storage::Usage;
use wharf_proto::reply::{Code, Reply};

/// Columns of a table in a reply, to fit an 80-column terminal.
const TABLE_WIDTH: usize = 72;

/// A reply with words in columns.
pub(super) fn table(first: &'static str, words: &[&'static str], last: &'static str) -> Reply {
    let width = words.iter().map(|word| word.len() + 2).max().unwrap_or(2);
    let rows = words.chunks(TABLE_WIDTH / width).map(|row| {
        let padded: Vec<_> = row.iter().map(|word| format!("{word:<width$}")).collect();
        padded.concat().trim_end().to_owned()
    });
    let lines =
        std::iter::once(first.to_owned()).chain(rows).chain(std::iter::once(last.to_owned()));
    Reply::lines(Code::HELP, lines)
}

/// Usage and quota, one line each for bytes and for files.
pub(super) fn usage_lines(usage: &Usage) -> [String; 2] {
    let line = |what: &str, used: Option<u64>, most: Option<u64>| {
        let used = used.map_or_else(|| "being counted".to_owned(), |used| used.to_string());
        let most = most.map_or_else(|| "no limit".to_owned(), |most| most.to_string());
        format!("{what}: {used} of {most}")
    };
    let used = usage.used;
    [
        line("Bytes used", used.map(|used| used.bytes), usage.bytes_max.bytes()),
        line(
            "Files and directories used",
            used.map(|used| used.files),
            usage.files_max.number().map(u64::from),
        ),
    ]
}
