//! Words and phrases that comments, messages and documents do not use, and what they use instead:
//! the list in `CONTRIBUTING.md`.

use std::sync::LazyLock;

/// The page with the list.
const TEXT: &str = include_str!("../../CONTRIBUTING.md");
const BEGIN: &str = "<!-- vocabulary: read by cargo xtask tidy -->\n";
const END: &str = "<!-- end of vocabulary -->";
/// Between the two tables.
const IN_NAMES: &str = "In names, these are rejected as well:";

/// Words for persons, which are used for programs, clients or accounts.
pub(crate) const PERSONS: &[&str] =
    &["who", "whom", "whose", "nobody", "somebody", "anybody", "whoever"];

/// A phrase that is rejected.
pub(crate) struct RejectedPhrase {
    /// In lower case; words with one space between them.
    pub(crate) phrases: Vec<&'static str>,
    /// What to write.
    pub(crate) instead: &'static str,
    /// Words before or after the phrase with which it is plain English.
    pub(crate) except_after: Vec<&'static str>,
    pub(crate) except_before: Vec<&'static str>,
}

impl RejectedPhrase {
    /// Whether `phrase`, one of these, begins at the word `at`, and is not an exception by its
    /// neighbours. `word` is the word of a place, if there is one.
    pub(crate) fn stands<'w>(
        &self,
        phrase: &str,
        at: usize,
        word: impl Fn(usize) -> Option<&'w str>,
    ) -> bool {
        let mut wanted = phrase.split(' ').zip(at..);
        let behind = word(at + phrase.split(' ').count());
        let before = at.checked_sub(1).and_then(&word);
        let is_in = |list: &[&str], word: Option<&str>| word.is_some_and(|it| list.contains(&it));
        wanted.all(|(wanted, at)| word(at) == Some(wanted))
            && !is_in(&self.except_after, before)
            && !is_in(&self.except_before, behind)
    }
}

/// Rejected everywhere.
pub(crate) static ENTRIES: LazyLock<Vec<RejectedPhrase>> =
    LazyLock::new(|| entries(parts(TEXT).1.split(IN_NAMES).next()));

/// Rejected in names, but not in prose, where they may be plain English.
pub(crate) static NAME_ENTRIES: LazyLock<Vec<RejectedPhrase>> =
    LazyLock::new(|| entries(parts(TEXT).1.split(IN_NAMES).nth(1)));

/// The rows of a table: `| phrase, phrase (not after: word; not before: word, word) | instead |`.
fn entries(table: Option<&'static str>) -> Vec<RejectedPhrase> {
    let row = |line: &'static str| {
        let (left, instead) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        let (phrases, notes) = left.split_once(" (").unwrap_or((left, ""));
        let except = |key: &str| {
            let mut notes = notes.trim_end_matches(')').split("; ");
            let words = notes.find_map(|note| note.strip_prefix(key));
            words.map_or_else(Vec::new, |words| words.split(", ").collect())
        };
        Some(RejectedPhrase {
            phrases: phrases.split(", ").collect(),
            instead,
            except_after: except("not after: "),
            except_before: except("not before: "),
        })
    };
    table.unwrap_or_default().lines().filter_map(row).skip(1).collect()
}

/// The page without the list of rejected phrases.
pub(crate) fn without_list(page: &str) -> String {
    let (before, list, after) = parts(page);
    format!("{before}{}{after}", "\n".repeat(list.matches('\n').count()))
}

/// What is before the list, the list, and what is after it.
fn parts(page: &str) -> (&str, &str, &str) {
    let begin = page.find(BEGIN).unwrap_or(page.len());
    let end = page.find(END).unwrap_or(page.len());
    let part = |from, to| page.get(from..to).unwrap_or_default();
    (part(0, begin), part(begin, end), part(end, page.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_with_its_exceptions_and_cut_out_of_the_page() {
        let plain = ENTRIES.iter().find(|entry| entry.phrases.contains(&"is no")).unwrap();
        assert_eq!((plain.except_after.len(), plain.except_before.len()), (1, 8));
        assert_eq!((plain.instead, plain.except_before[7]), ("is not a; is an invalid", "fewer"));
        assert_eq!(without_list(TEXT).lines().count(), TEXT.lines().count());
        assert!(!without_list(TEXT).contains("anew"));
        assert_eq!(without_list("a\nb\n"), "a\nb\n");
    }

    #[test]
    fn phrases_are_in_order_and_in_lower_case() {
        for list in [&ENTRIES, &NAME_ENTRIES] {
            let first: Vec<_> = list.iter().filter_map(|entry| entry.phrases.first()).collect();
            assert!(first.is_sorted() && first.len() > 30, "{first:?}");
        }
        let mut all = ENTRIES.iter().chain(&*NAME_ENTRIES).flat_map(|entry| &entry.phrases);
        assert!(all.all(|phrase| *phrase == phrase.to_lowercase()));
    }
}
