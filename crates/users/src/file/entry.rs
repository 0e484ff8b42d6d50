//! The entries of tables of `users.toml`, with what messages about them need.

use std::ops::Range;

use toml_edit::{Item, Key, TableLike};

/// A value, with what a message about it needs.
pub(super) struct TomlEntry<'a> {
    /// The key alone.
    pub(super) name: &'a str,
    /// The key with those above it, as the messages have it.
    pub(super) key: String,
    pub(super) item: &'a Item,
    pub(super) key_span: Range<usize>,
    pub(super) span: Range<usize>,
}

/// The entries of a table; `parent` is its key, or empty.
pub(super) fn entries<'a>(table: &'a dyn TableLike, parent: &str) -> Vec<TomlEntry<'a>> {
    let keys = table.iter().filter_map(|(key, _)| table.get_key_value(key));
    keys.map(|(key, item)| found_at(key, item, parent)).collect()
}

/// An entry of the table with the key `parent`.
pub(super) fn found_at<'a>(key: &'a Key, item: &'a Item, parent: &str) -> TomlEntry<'a> {
    let dot = if parent.is_empty() { "" } else { "." };
    let key_span = key.span().unwrap_or(0..0);
    let span = item.span().unwrap_or_else(|| key_span.clone());
    let path = format!("{parent}{dot}{}", key.display_repr());
    TomlEntry { name: key.get(), key: path, item, key_span, span }
}

/// The kind of a value in plain words.
pub(super) fn kind(item: &Item) -> &'static str {
    match item.type_name() {
        "string" => "a string",
        "integer" => "an integer",
        "float" => "a number with a fraction",
        "boolean" => "true or false",
        "datetime" => "a date",
        "array" => "a list",
        "array of tables" => "a list of tables",
        _ => "a table",
    }
}
