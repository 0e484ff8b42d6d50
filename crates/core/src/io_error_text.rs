//! The text of I/O errors in messages.

use std::io;

/// The message of an I/O error without its number: "no such file or directory", not
/// "… (os error 2)".
pub fn plain(error: &io::Error) -> String {
    plain_text(&error.to_string())
}

/// The same for the text of an error that contains an I/O error.
pub fn plain_text(text: &str) -> String {
    let end = text.rfind(" (os error ").unwrap_or(text.len());
    lower_first(text.get(..end).unwrap_or(text))
}

/// The text with a lower-case first letter, for use within a sentence. Paths, names and acronyms at
/// the start stay unchanged.
fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}
