//! Where in the file a setting stands.

use std::ops::Range;

use toml_edit::{Document, TableLike};

/// The line, counted from 1, of a key in the table at `path`; without a key that of the table
/// itself. Nothing where there is none.
pub(super) fn line_of(text: &str, path: &[&str], key: Option<&str>) -> Option<usize> {
    let document = Document::parse(text).ok()?;
    let mut table: &dyn TableLike = document.as_table();
    let mut span = 0..0;
    for name in path {
        let (known, item) = table.get_key_value(name)?;
        span = item.span().or_else(|| known.span()).unwrap_or(span);
        table = item.as_table_like()?;
    }
    if let Some(key) = key {
        let (known, item) = table.get_key_value(key)?;
        span = known.span().or_else(|| item.span())?;
    }
    Some(line(text, &span))
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
        assert_eq!(of(&["users", "ben"], Some("home")), Some(9));
        assert_eq!(of(&["users", "ben"], Some("permissions")), None);
        assert_eq!(of(&["users", "cleo"], None), None);
        assert_eq!(
            line_of("users = {anna = {home = 'a'}}", &["users", "anna"], Some("home")),
            Some(1)
        );
    }
}
