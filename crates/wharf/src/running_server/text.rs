//! Formatting of tables, times and rates.

use std::fmt::Write as _;

use wharf_proto::path::{escaped, is_deceptive};

use wharf_config::units::show_size;

/// The text of a table cell with control characters escaped, which could add a row or move the
/// cursor: names and paths come from clients and databases.
pub(crate) fn harmless(cell: &str) -> String {
    if cell.chars().any(is_deceptive) { escaped(cell.as_bytes()) } else { cell.to_owned() }
}

/// Columns as wide as their widest cell, separated by two spaces; `is_right` selects those that are
/// right-aligned. Cells are [`harmless`].
pub(crate) fn columns(rows: &[Vec<String>], is_right: &[bool]) -> String {
    let rows: Vec<Vec<_>> =
        rows.iter().map(|row| row.iter().map(|cell| harmless(cell)).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| letters(cell)).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let space = " ".repeat(width.saturating_sub(letters(cell)));
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

/// Width of a text in columns of a terminal; Chinese, Japanese and Korean letters take two.
pub(crate) fn letters(text: &str) -> usize {
    text.chars().map(letter).sum()
}

fn letter(letter: char) -> usize {
    let wide = [
        '\u{1100}'..='\u{115f}',
        '\u{2e80}'..='\u{a4cf}',
        '\u{ac00}'..='\u{d7a3}',
        '\u{f900}'..='\u{faff}',
        '\u{fe30}'..='\u{fe6f}',
        '\u{ff00}'..='\u{ff60}',
        '\u{ffe0}'..='\u{ffe6}',
        '\u{1f300}'..='\u{1faff}',
        '\u{20000}'..='\u{3fffd}',
    ];
    if wide.iter().any(|range| range.contains(&letter)) { 2 } else { 1 }
}

/// The path, shortened at the start if necessary, since the file name matters most.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if letters(text) <= most {
        return text.to_owned();
    }
    let mut end = Vec::new();
    let mut columns = most.saturating_sub(1);
    for one in text.chars().rev() {
        let Some(left) = columns.checked_sub(letter(one)) else { break };
        columns = left;
        end.push(one);
    }
    std::iter::once('…').chain(end.into_iter().rev()).collect()
}

/// As in `41.0 MiB/s`.
pub(crate) fn speed(bytes_per_second: u64) -> String {
    format!("{}/s", show_size(bytes_per_second))
}

/// As in `0:07`, `12:31`, `3:02:55` and `4d 03:12`.
pub(crate) fn clock(seconds: u64) -> String {
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let (days, of_day) = (hours / 24, hours % 24);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}d {of_day:02}:{minutes:02}"),
    }
}

/// Progress of a transfer: a percentage if its size is known, else the bytes transferred.
pub(crate) fn progress(bytes: u64, size: Option<u64>) -> String {
    match size {
        Some(size) if size > 0 => format!("{}%", u128::from(bytes) * 100 / u128::from(size)),
        _ => show_size(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_progress_are_short() {
        assert_eq!([7, 751, 10_975, 357_120].map(clock), ["0:07", "12:31", "3:02:55", "4d 03:12"]);
        assert_eq!(progress(1, Some(3)), "33%");
        assert_eq!(progress(u64::MAX, Some(u64::MAX)), "100%");
        assert_eq!(progress(2048, None), "2 KiB");
    }

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
    fn of_a_long_path_its_end_is_kept() {
        assert_eq!(shortened("/a/b/photo.jpg", 10), "…photo.jpg");
        assert_eq!(shortened("/文件/照片.jpg", 9), "…照片.jpg");
        assert_eq!(shortened("/a", 10), "/a");
        for most in 0..12 {
            assert!(letters(&shortened("/文件/照片.jpg", most)) <= most.max(1));
        }
    }
}
