//! Lines of the start panel that are never wider than the terminal.

use wharf_config::table::text_width;

/// Width of the first column, including its margin.
const VALUE_COLUMN: usize = 23;
/// Where a part begins that is too long for the second column.
const DEEP_COLUMN: usize = 4;
/// A narrower terminal is treated as this wide; every label and its value still fit.
const WIDTH_MIN: usize = 40;

/// The lines written so far.
pub(super) struct Layout {
    width: usize,
    out: String,
}

impl Layout {
    pub(super) fn new(width: usize) -> Self {
        Self { width: width.max(WIDTH_MIN), out: String::new() }
    }

    pub(super) fn blank(&mut self) {
        self.out.push('\n');
    }

    /// A label and its value; `parts` stand `gap` columns apart, or below each other where one
    /// line is too short for them.
    pub(super) fn row(&mut self, label: &str, parts: &[&str], gap: usize) {
        let first = format!("  {label}");
        let used = text_width(&first);
        let padding = VALUE_COLUMN.saturating_sub(used).max(if label.is_empty() { 0 } else { 2 });
        self.line(&(first + &" ".repeat(padding)), VALUE_COLUMN, parts, gap);
    }

    /// `parts` behind `first`; further lines begin at `column`.
    pub(super) fn line(&mut self, first: &str, column: usize, parts: &[&str], gap: usize) {
        let mut line = first.to_owned();
        let mut is_first = true;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            let between = if is_first { 0 } else { gap };
            if text_width(&line) + between + text_width(part) <= self.width {
                line.push_str(&" ".repeat(between));
                line.push_str(part);
            } else {
                self.below(&mut line, column, part);
            }
            is_first = false;
        }
        self.end(&line);
    }

    /// Continues with a part that does not fit behind `line`: below it, and in pieces if one line
    /// is not enough. A word is divided only if no line can hold it.
    fn below(&mut self, line: &mut String, column: usize, part: &str) {
        let longest = part.split(' ').map(text_width).max().unwrap_or(0);
        let column = if column + longest <= self.width { column } else { DEEP_COLUMN };
        if text_width(line) > column || column == DEEP_COLUMN {
            self.end(line);
            line.clear();
        }
        let mut rest = part;
        loop {
            line.push_str(&" ".repeat(column.saturating_sub(text_width(line))));
            let (piece, after) = split(rest, self.width - text_width(line));
            line.push_str(piece);
            if after.is_empty() {
                return;
            }
            self.end(line);
            line.clear();
            rest = after;
        }
    }

    fn end(&mut self, line: &str) {
        let line = line.trim_end();
        if !line.is_empty() {
            self.out.push_str(line);
            self.out.push('\n');
        }
    }

    pub(super) fn text(self) -> String {
        self.out
    }
}

/// As much of `text` as fits into `width` columns, up to a space if there is one, and the rest.
fn split(text: &str, width: usize) -> (&str, &str) {
    let mut used = 0;
    let mut space = None;
    for (index, letter) in text.char_indices() {
        used += text_width(letter.encode_utf8(&mut [0; 4]));
        if letter == ' ' && index > 0 {
            space = Some(index);
        }
        // A space at the end of a line is not written.
        if used > width && letter != ' ' && index > 0 {
            let (piece, rest) = text.split_at(space.unwrap_or(index));
            return (piece, rest.trim_start());
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(width: usize, label: &str, parts: &[&str]) -> String {
        let mut layout = Layout::new(width);
        layout.row(label, parts, 3);
        layout.text()
    }

    #[test]
    fn parts_are_side_by_side_if_they_fit() {
        let parts = ["ftp://192.0.2.1:2121", "<- this"];
        let line = "  Network              ftp://192.0.2.1:2121   <- this\n";
        assert_eq!(row(53, "Network", &parts), line);
        let below = format!(
            "  Network{0}ftp://192.0.2.1:2121\n{1}<- this\n",
            " ".repeat(14),
            " ".repeat(23)
        );
        assert_eq!(row(52, "Network", &parts), below);
    }

    #[test]
    fn a_long_sentence_is_divided_between_words() {
        let text = "one two three four five six seven";
        let indent = " ".repeat(23);
        assert_eq!(
            row(40, "Label", &[text]),
            format!(
                "  Label{}one two three\n{indent}four five six\n{indent}seven\n",
                " ".repeat(16)
            )
        );
    }

    #[test]
    fn a_word_that_no_line_can_hold_is_divided() {
        let word = "x".repeat(50);
        assert_eq!(
            row(40, "Label", &[&word]),
            format!("  Label\n    {}\n    {}\n", "x".repeat(36), "x".repeat(14))
        );
        // Chinese text has no spaces, and its characters take two columns.
        let text = row(40, "加密", &[&"密".repeat(30)]);
        assert!(text.lines().all(|line| text_width(line) <= 40), "{text}");
        assert_eq!(text.matches('密').count(), 31);
    }
}
