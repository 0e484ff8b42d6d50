//! Tables of text.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;
use wharf_proto::path::{escaped, is_deceptive};

/// Width of a text in columns of a terminal; Chinese, Japanese and Korean letters take two.
pub fn text_width(text: &str) -> usize {
    text.width()
}

/// The text of a table cell with control characters escaped, which could add a row or move the
/// cursor: names and paths come from clients and databases.
pub fn harmless(cell: &str) -> String {
    if cell.chars().any(is_deceptive) { escaped(cell.as_bytes()) } else { cell.to_owned() }
}

/// Columns as wide as their widest cell, separated by two spaces; `is_right` selects those that are
/// right-aligned. Cells are [`harmless`].
pub fn columns(rows: &[Vec<String>], is_right: &[bool]) -> String {
    let rows: Vec<Vec<_>> =
        rows.iter().map(|row| row.iter().map(|cell| harmless(cell)).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widest = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| text_width(cell))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..count).map(widest).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (at, (cell, column)) in row.iter().zip(&widths).enumerate() {
            let space = " ".repeat(column.saturating_sub(text_width(cell)));
            let gap = if at == 0 { "" } else { "  " };
            let _ = if is_right.get(at).copied().unwrap_or(false) {
                write!(line, "{gap}{space}{cell}")
            } else {
                write!(line, "{gap}{cell}{space}")
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Like [`columns`], all of them left-aligned.
pub fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    columns(&rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_language() {
        let rows =
            [vec!["文件".to_owned(), "1".to_owned()], vec!["abcde".to_owned(), "22".to_owned()]];
        assert_eq!(columns(&rows, &[false, true]), "文件    1\nabcde  22\n");
    }

    #[test]
    fn a_name_of_a_client_cannot_add_a_row_or_move_the_cursor() {
        let rows = ["a\nroot", "\u{1b}[2J", "\u{202e}b", "C:\\x"].map(|cell| vec![cell.to_owned()]);
        assert_eq!(columns(&rows, &[]), "a\\x0aroot\n\\x1b[2J\n\\xe2\\x80\\xaeb\nC:\\x\n");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["A", "B"].map(str::to_owned), ["long", ""].map(str::to_owned)];
        assert_eq!(table(&rows), "A     B\nlong\n");
        let rows = [["NAME", "B"], ["王小明", "yes"], ["anna", "no"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "NAME    B\n王小明  yes\nanna    no\n");
    }

    #[test]
    fn a_name_cannot_add_a_row_or_move_the_cursor() {
        let rows = [["a\nroot  yes", "C:\\x"], ["\u{1b}[2J", "\u{202e}b"]];
        let text = table(&rows.map(|row| row.map(str::to_owned)));
        assert_eq!(text, "a\\x0aroot  yes  C:\\x\n\\x1b[2J         \\xe2\\x80\\xaeb\n");
    }
}
