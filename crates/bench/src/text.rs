//! Appends formatted text to a string.

use std::fmt::{Arguments, Write as _};

/// Adds words to `text`.
pub(crate) fn put(text: &mut String, words: Arguments<'_>) {
    // A String takes whatever there is memory for.
    let _ = text.write_fmt(words);
}
