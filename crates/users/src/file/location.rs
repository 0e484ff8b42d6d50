//! The line of a setting in the file.

use std::ops::Range;

use toml_edit::{Document, TableLike};
use wharf_proto::path::VPath;

/// The line, counted from 1, of a key in the table at `path`; without a key that of the table
/// itself. Nothing where there is none.
pub(super) fn line_of(text: &str, path: &[&str], key: Option<&str>) -> Option<usize> {
    in_table(text, path, |table, span| {
        let Some(key) = key else { return Some(span) };
        let (known, item) = table.get_key_value(key)?;
        known.span().or_else(|| item.span())
    })
}

/// The line of the entry for `inner`, however it is spelt, in the table at `path`.
pub(super) fn line_of_entry(text: &str, path: &[&str], inner: &VPath) -> Option<usize> {
    in_table(text, path, |table, _| {
        let is_it = |key: &str| VPath::root().resolve(key.as_bytes()).as_ref() == Ok(inner);
        let (key, _) = table.iter().find(|(key, _)| is_it(key))?;
        let (known, item) = table.get_key_value(key)?;
        known.span().or_else(|| item.span())
    })
}

/// The line of what `pick` returns for the table at `path`.
fn in_table(
    text: &str,
    path: &[&str],
    pick: impl FnOnce(&dyn TableLike, Range<usize>) -> Option<Range<usize>>,
) -> Option<usize> {
    let document = Document::parse(text).ok()?;
    let mut table: &dyn TableLike = document.as_table();
    let mut span = 0..0;
    for name in path {
        let (known, item) = table.get_key_value(name)?;
        span = item.span().or_else(|| known.span()).unwrap_or(span);
        table = item.as_table_like()?;
    }
    pick(table, span).map(|span| line(text, &span))
}

fn line(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_keys_and_paths_are_found_by_line() {
        let text = "# accounts\n[users.anna]\nhome = \"a\"\n\npermissions = \"read\"\n\
                    [users.anna.paths]\n\"/in\" = \"upload\"\n[users.ben]\nhome = \"b\"\n";
        let of = |path: &[&str], key| line_of(text, path, key);
        assert_eq!(of(&["users", "anna"], None), Some(2));
        assert_eq!(of(&["users", "anna"], Some("permissions")), Some(5));
        assert_eq!(of(&["users", "anna", "paths"], Some("/in")), Some(7));
        let inner = VPath::root().resolve(b"/out").unwrap();
        let spelt = text.replace("/in", "/out/");
        assert_eq!(line_of_entry(&spelt, &["users", "anna", "paths"], &inner), Some(7));
        assert_eq!(of(&["users", "ben"], Some("home")), Some(9));
        assert_eq!(of(&["users", "ben"], Some("permissions")), None);
        assert_eq!(of(&["users", "cleo"], None), None);
        assert_eq!(
            line_of("users = {anna = {home = 'a'}}", &["users", "anna"], Some("home")),
            Some(1)
        );
    }
}
