//! Migration of configuration files that use names of earlier versions.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{ConfigSection, SECTIONS, join};
use super::problem::{ConfigProblem, ProblemLocation};
use super::renamed::{RENAMED, RENAMED_EVENTS, RENAMED_PLACEHOLDERS, RENAMED_VALUES, current_name};

/// A file with current names, and what was renamed in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The file.
    pub text: String,
    /// Line, old and current name, in the order of the file.
    pub renames: Vec<(usize, &'static str, &'static str)>,
}

/// Replaces old names of keys, events, placeholders and values by current ones. Everything else in
/// the text stays as it is, with comments, order and line ends.
///
/// # Errors
/// The text is not TOML, or has both names of one key.
pub fn migrate(text: &str) -> Result<Migrated, ConfigProblem> {
    let table = DeTable::parse(text).map_err(|error| {
        let place = error.span().map_or(ProblemLocation::Nowhere, ProblemLocation::File);
        ConfigProblem::error(format!("invalid TOML: {}", error.message()), place)
    })?;
    let mut found = Vec::new();
    for (name, value) in table.get_ref() {
        let Some(section) = SECTIONS.iter().find(|section| section.name == name.get_ref()) else {
            continue;
        };
        match value.get_ref() {
            DeValue::Table(table) => find(section, table, &mut found)?,
            DeValue::Array(tables) => {
                for table in tables {
                    if let DeValue::Table(table) = table.get_ref() {
                        find(section, table, &mut found)?;
                    }
                }
            }
            _ => {}
        }
    }
    found.sort_by_key(|(span, _, _)| span.start);
    Ok(rewrite(text, &found))
}

/// The place of a name or a value, with its old and its current text.
type RenamedPart = (Range<usize>, &'static str, &'static str);

fn find(
    section: &ConfigSection,
    table: &DeTable<'_>,
    found: &mut Vec<RenamedPart>,
) -> Result<(), ConfigProblem> {
    for (name, value) in table {
        find_values(section, name.get_ref(), value, found);
        let path = join(section.name, name.get_ref());
        let Some(&(old, new)) = RENAMED.iter().find(|(old, _)| *old == path) else { continue };
        if table.keys().any(|other| join(section.name, other.get_ref()) == new) {
            let title = format!("duplicate key: `{old}` is the old name of `{new}`");
            let problem = ConfigProblem::error(title, ProblemLocation::File(name.span()));
            return Err(problem.hint("remove one of the two"));
        }
        found.push((name.span(), old, new));
    }
    Ok(())
}

/// Old names among the values of hooks and of `webhook.events`, and old values of other keys.
fn find_values(
    section: &ConfigSection,
    key: &str,
    value: &Spanned<DeValue<'_>>,
    found: &mut Vec<RenamedPart>,
) {
    if let DeValue::String(text) = value.get_ref() {
        let path = current_name(&join(section.name, key)).unwrap_or_default();
        let of_key = |known: &str| known == path || known == join(section.name, key);
        let renamed = RENAMED_VALUES.iter().filter(|(known, old, _)| of_key(known) && text == old);
        found.extend(renamed.map(|(_, old, new)| (value.span(), *old, *new)));
    }
    let renamed = match (section.name, key) {
        ("events", _) => RENAMED_PLACEHOLDERS,
        ("webhook", "events") => RENAMED_EVENTS,
        _ => return,
    };
    let DeValue::Array(members) = value.get_ref() else { return };
    for member in members {
        let DeValue::String(text) = member.get_ref() else { continue };
        if let Some(&(old, new)) = renamed.iter().find(|(old, _)| *old == text.as_ref()) {
            found.push((member.span(), old, new));
        }
    }
}

fn rewrite(text: &str, found: &[RenamedPart]) -> Migrated {
    let (mut whole, mut from) = (String::with_capacity(text.len()), 0);
    let mut renames = Vec::new();
    for (span, old, new) in found {
        let before = text.get(from..span.start).unwrap_or_default();
        whole.push_str(before);
        // A name without its section, or a value with its quotes.
        let there = text.get(span.clone()).unwrap_or_default();
        match there.split_once(old) {
            Some((quote, end)) => whole.extend([quote, new, end]),
            None => whole.push_str(new.rsplit_once('.').map_or(*new, |(_, name)| name)),
        }
        from = span.end;
        let line = text.get(..span.start).unwrap_or_default().matches('\n').count() + 1;
        renames.push((line, *old, *new));
    }
    whole.push_str(text.get(from..).unwrap_or_default());
    Migrated { text: whole, renames }
}

#[cfg(test)]
mod tests {
    use wharf_core::event::catalog::{delivered_names, field_names};

    use super::super::hook::PARTIAL_FILE;
    use super::super::keys::key_at;
    use super::super::raw::Raw;
    use super::super::renamed::renamed_value_hint;
    use super::*;

    #[test]
    fn each_current_name_is_a_key_of_the_same_section_and_no_old_name_is() {
        for (old, new) in RENAMED {
            assert!(key_at(new).is_some(), "{new}");
            assert!(key_at(old).is_none(), "{old}");
            let section = |path: &'static str| path.rsplit_once('.').map(|(section, _)| section);
            assert_eq!(section(old), section(new));
        }
    }

    #[test]
    fn old_names_are_replaced_and_everything_else_stays() {
        let old = "# keep_partials\r\n[files] # here\r\n  keep_partials   = \"1h\" # why\r\n\
                   umask = \"022\"\r\n\"reserve\" = \"5%\"\r\n\
                   [tls]\r\nnames = [\"keep_partials\"]\r\n";
        let migrated = migrate(old).expect("it is TOML");
        let new = "# keep_partials\r\n[files] # here\r\n  \
                   partial_upload_retention   = \"1h\" # why\r\n\
                   umask = \"022\"\r\nmin_free_space = \"5%\"\r\n\
                   [tls]\r\nserver_names = [\"keep_partials\"]\r\n";
        assert_eq!(migrated.text, new);
        let lines: Vec<_> = migrated.renames.iter().map(|(line, old, _)| (*line, *old)).collect();
        assert_eq!(lines, [(3, "files.keep_partials"), (5, "files.reserve"), (7, "tls.names")]);
        let again = migrate(new).expect("it is TOML");
        assert_eq!(again, Migrated { text: new.to_owned(), renames: Vec::new() });
    }

    #[test]
    fn each_current_event_and_placeholder_exists_and_no_old_one_does() {
        let events: Vec<_> = delivered_names().collect();
        for (old, new) in RENAMED_EVENTS {
            assert!(events.contains(new) && !events.contains(old), "{old} {new}");
        }
        let fields: Vec<_> =
            field_names().chain([PARTIAL_FILE]).map(|name| format!("{{{name}}}")).collect();
        for (old, new) in RENAMED_PLACEHOLDERS {
            let has = |name: &str| fields.iter().any(|field| field == name);
            assert!(has(new) && !has(old), "{old} {new}");
        }
    }

    #[test]
    fn an_old_value_is_replaced_under_the_old_and_the_current_name_of_its_key() {
        for (path, old, new) in RENAMED_VALUES {
            let key = key_at(path).expect(path);
            assert!(key.kind.contains(new) && !key.kind.contains(old), "{}", key.kind);
        }
        for key in ["check_failure", "check_on_error"] {
            let migrated = migrate(&format!("[events]\n{key} = 'refuse' # refuse\n"));
            let migrated = migrated.expect("it is TOML");
            assert_eq!(migrated.text, "[events]\ncheck_on_error = 'reject' # refuse\n");
        }
        let other = "[events]\ncheck_on_error = \"allow\"\n[server]\ngreeting = \"refuse\"\n";
        let migrated = migrate(other).expect("it is TOML");
        assert_eq!(migrated, Migrated { text: other.to_owned(), renames: Vec::new() });
        let hint =
            |path: &str, text: &str| renamed_value_hint(path, &Raw::Text(text.to_owned()), true);
        let new = hint("events.check_on_error", "refuse").unwrap_or_default();
        assert!(new.starts_with("renamed to `reject`; "), "{new}");
        assert_eq!(hint("events.check_on_error", "reject"), None);
        assert_eq!(hint("server.greeting", "refuse"), None);
    }

    #[test]
    fn old_events_and_placeholders_are_replaced_where_they_have_that_meaning() {
        let old = "[events]\ncheck_upload = [\"/bin/scan\", '{draft}', \"draft\"]\n\
                   on_login_failed = [\"/bin/a\", \"{tried}\"]\n\
                   [[webhook]]\nevents = [\"denied\", 'upload', \"ended\"] # denied\n\
                   [log]\nfile = \"denied\"\n";
        let new = "[events]\ncheck_upload = [\"/bin/scan\", '{partial_file}', \"draft\"]\n\
                   on_login_failed = [\"/bin/a\", \"{attempted_user}\"]\n\
                   [[webhook]]\nevents = [\"command-denied\", 'upload', \
                   \"session-ended\"] # denied\n\
                   [log]\nfile = \"denied\"\n";
        let migrated = migrate(old).expect("it is TOML");
        assert_eq!(migrated.text, new);
        let names: Vec<_> = migrated.renames.iter().map(|(line, old, _)| (*line, *old)).collect();
        assert_eq!(names, [(2, "{draft}"), (3, "{tried}"), (5, "denied"), (5, "ended")]);
        let again = migrate(new).expect("it is TOML");
        assert_eq!(again, Migrated { text: new.to_owned(), renames: Vec::new() });
    }

    #[test]
    fn dotted_keys_are_renamed_and_equal_names_of_other_sections_are_not() {
        let migrated = migrate("files.make_parents = true\n[names]\nencoding = \"auto\"\n");
        let migrated = migrated.expect("it is TOML");
        assert_eq!(
            migrated.text,
            "files.create_parent_dirs = true\n[names]\nencoding = \"auto\"\n"
        );
    }

    #[test]
    fn both_names_of_one_key_are_an_error() {
        let problem = migrate("[files]\nreserve = 0\nmin_free_space = 0\n").expect_err("one key");
        assert!(problem.title.contains("files.min_free_space"), "{problem:?}");
        assert!(migrate("[files\n").is_err());
    }
}
