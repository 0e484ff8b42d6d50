//! Tests that carry numbers of rows in their names, found by reading the source.

/// A test and the rows that it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CoveringTest {
    pub(super) rows: Vec<u32>,
    /// The rest of the test's name: a sentence.
    pub(super) sentence: String,
    pub(super) file: String,
}

/// Every function in the text with a name that begins with `row_` and a number.
pub(super) fn tests_in(file: &str, text: &str) -> Vec<CoveringTest> {
    let functions = text.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("async ").unwrap_or(line);
        let name = line.strip_prefix("fn row_")?;
        let end = name.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')?;
        numbered(name.get(..end)?)
    });
    let found = |(rows, sentence)| CoveringTest { rows, sentence, file: file.to_owned() };
    functions.map(found).collect()
}

/// `33_34_an_upload` is rows 33 and 34, and `an upload`.
fn numbered(name: &str) -> Option<(Vec<u32>, String)> {
    let (mut rows, mut rest) = (Vec::new(), name);
    while let Some((word, behind)) = rest.split_once('_')
        && let Ok(number) = word.parse()
    {
        rows.push(number);
        rest = behind;
    }
    (!rows.is_empty()).then(|| (rows, rest.replace('_', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_with_one_number_or_several_are_found() {
        let text = "    #[test]\n    fn row_07_a_client_drips() {\n}\n\
                    async fn row_33_34_both_9() {}\n\
                    fn rows_of_text() {}\nfn row_of_text() {}\nlet x = row_9_of();\n";
        let found = tests_in("a.rs", text);
        let reported: Vec<_> = found.iter().map(|it| (&*it.rows, &*it.sentence)).collect();
        assert_eq!(reported, [(&[7][..], "a client drips"), (&[33, 34], "both 9")]);
    }
}
