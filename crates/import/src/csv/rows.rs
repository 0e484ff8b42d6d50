//! Parses and formats CSV rows (RFC 4180): a quote in a quoted cell is doubled.

/// A row with at least one non-empty cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CsvRow {
    /// The number of its first line, from 1.
    pub(super) line: usize,
    pub(super) cells: Vec<String>,
}

/// Parses a text. The separator is that of the first row.
///
/// # Errors
/// The line of an unclosed quote.
pub(super) fn rows(text: &str) -> Result<Vec<CsvRow>, usize> {
    let separator = separator(text);
    let mut rows = Vec::new();
    let mut row = CsvRow { line: 1, cells: Vec::new() };
    let mut cell = String::new();
    let mut quote_line = None;
    let mut line = 1;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        line += usize::from(letter == '\n');
        match letter {
            '"' if quote_line.is_some() => {
                if letters.next_if_eq(&'"').is_some() {
                    cell.push('"');
                } else {
                    quote_line = None;
                }
            }
            _ if quote_line.is_some() => cell.push(letter),
            '"' if cell.trim().is_empty() => {
                cell.clear();
                quote_line = Some(line);
            }
            '\n' => {
                end(&mut rows, &mut row, &mut cell);
                row.line = line;
            }
            '\r' if matches!(letters.peek(), Some('\n') | None) => {}
            _ if letter == separator => row.cells.push(std::mem::take(&mut cell)),
            _ => cell.push(letter),
        }
    }
    if let Some(line) = quote_line {
        return Err(line);
    }
    end(&mut rows, &mut row, &mut cell);
    Ok(rows)
}

fn end(rows: &mut Vec<CsvRow>, row: &mut CsvRow, cell: &mut String) {
    row.cells.push(std::mem::take(cell));
    let cells = std::mem::take(&mut row.cells);
    if cells.iter().any(|cell| !cell.trim().is_empty()) {
        rows.push(CsvRow { line: row.line, cells });
    }
}

/// The separator that is most frequent in the first line.
fn separator(text: &str) -> char {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let count = |sign: char| first.matches(sign).count();
    // If two are equally frequent, `max_by_key` returns the last.
    ['\t', ';', ','].into_iter().max_by_key(|sign| count(*sign)).unwrap_or(',')
}

/// Formats a row with its line end, with quotes where they are needed.
pub fn written(cells: &[String]) -> String {
    let cell = |cell: &String| {
        let is_plain = !cell.contains([',', ';', '\t', '"', '\n', '\r'])
            && !cell.starts_with(char::is_whitespace)
            && !cell.ends_with(char::is_whitespace);
        if is_plain { cell.clone() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
    };
    cells.iter().map(cell).collect::<Vec<_>>().join(",") + "\r\n"
}
