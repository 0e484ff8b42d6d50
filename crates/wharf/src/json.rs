//! Output of commands as JSON.

use std::fmt::Write as _;

use serde::Serialize;
use wharf_proto::path::is_deceptive;

/// A value as one line of JSON. Letters that could change what a terminal shows are escaped: texts
/// come from clients and from other servers.
pub(crate) fn json_line(value: &impl Serialize) -> String {
    // The models have no keys other than texts, the only error.
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut line = String::with_capacity(json.len() + 1);
    for letter in json.chars() {
        if is_deceptive(letter) {
            // All of them are in strings, and below U+10000.
            let _ = write!(line, "\\u{:04x}", u32::from(letter));
        } else {
            line.push(letter);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_change_what_a_terminal_shows_and_is_read_back() {
        let name = "\u{202e}a\u{7f}\u{1b}[2J\n\"王";
        let line = json_line(&[name]);
        assert_eq!(line, "[\"\\u202ea\\u007f\\u001b[2J\\n\\\"王\"]\n");
        assert_eq!(serde_json::from_str::<[String; 1]>(&line).unwrap(), [name]);
    }
}
