//! Masks passwords in a text that is shown with its errors.

use std::ops::Range;

/// The likely positions of passwords in a text that is not TOML: after `password` and a separator,
/// to the end of the line.
pub(super) fn likely_secrets(source: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut secrets = Vec::new();
    for line in source.split_inclusive('\n') {
        let end = start + line.trim_end().len();
        if let Some(at) = line.to_ascii_lowercase().find("passw") {
            let value = line.get(at..).and_then(|rest| rest.find(['=', ':', ' ']));
            secrets.extend(value.map(|offset| start + at + offset + 1..end));
        }
        start += line.len();
    }
    secrets
}

/// The text with a star for each byte of the secrets, which are sorted. All offsets stay the same.
pub(super) fn masked(source: &str, secrets: &[Range<usize>]) -> String {
    let mut secrets = secrets.iter().peekable();
    let mut text = String::with_capacity(source.len());
    for (at, letter) in source.char_indices() {
        while secrets.next_if(|span| span.end <= at).is_some() {}
        let is_secret = secrets.peek().is_some_and(|span| span.contains(&at));
        if is_secret && !matches!(letter, '"' | '\'' | '\n' | '\r') {
            text.extend(std::iter::repeat_n('*', letter.len_utf8()));
        } else {
            text.push(letter);
        }
    }
    text
}
