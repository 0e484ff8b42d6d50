//! The tables of renames in the CHANGELOG, compared with the names of the program.
//!
//! The generated reference lists all names; other tests compare it with the program.

use std::path::Path;

use super::*;
use crate::keys::{join, keys};

/// A row of a table: the old and the new name, as written.
type Rename = (String, String);

fn document(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).expect(path)
}

/// The rows of the table whose header begins so.
fn table(header: &str) -> Vec<Rename> {
    let text = document("CHANGELOG.md");
    let lines = text.lines().skip_while(|line| !line.starts_with(&format!("| {header}")));
    let rows = lines.skip(2).map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows: Vec<_> = rows
        .map(|row| row.split_once(" | ").expect(row))
        .map(|(old, new)| (old.to_owned(), new.to_owned()))
        .collect();
    assert!(rows.len() > 3 || header.starts_with("Value of a key"), "{header}: {rows:?}");
    rows
}

/// The names in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The fields of an event in the reference.
fn fields<'t>(reference: &'t str, event: &str) -> Option<&'t str> {
    let section = reference.split("\n## ").find(|one| one.starts_with(&format!("`{event}`\n")))?;
    Some(section)
}

#[test]
fn renamed_keys_and_values_are_those_that_the_program_migrates() {
    let plain = |text: &str| quoted(text).concat();
    let rows: Vec<_> = table("Configuration key, old");
    let rows: Vec<_> = rows.iter().map(|(old, new)| (plain(old), plain(new))).collect();
    let known: Vec<Rename> =
        RENAMED.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect();
    assert_eq!(rows, known);
    let keys: Vec<_> = keys().map(|key| join(key.section, key.name)).collect();
    for (old, new) in rows {
        assert!(keys.contains(&new), "{new}");
        assert!(!keys.contains(&old), "{old}");
    }
    let rows = table("Value of a key, old");
    let known = RENAMED_VALUES
        .iter()
        .map(|(key, old, new)| (format!("`{key} = \"{old}\"`"), format!("`\"{new}\"`")));
    assert_eq!(rows, known.collect::<Vec<_>>());
}

#[test]
fn renamed_metrics_have_the_new_name_only() {
    let reference = document("docs/reference/metrics.md");
    let has = |name: &str| reference.contains(&format!("\n| `{name}` |"));
    for (old, new) in table("Metric, old") {
        let new = quoted(&new).first().copied().unwrap_or_default().to_owned();
        assert!(has(&new), "{new} is not a metric");
        assert!(!has(quoted(&old).concat().as_str()), "{old} is still a metric");
    }
    let rules = document("packaging/prometheus/wharf.rules.yml");
    for (old, new) in table("Alert, old") {
        let has = |name: &str| rules.contains(&format!("alert: {}\n", quoted(name).concat()));
        assert!(has(&new) && !has(&old), "{old} {new}");
    }
}

#[test]
fn renamed_events_and_fields_have_the_new_name_only() {
    let reference = document("docs/reference/events.md");
    let rows = table("Event or field, old");
    // Events of the server itself are in the guide.
    let guide = document("docs/guide/logging.md");
    let cells = guide.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let of_server: Vec<_> = cells.flat_map(quoted).collect();
    let is_event = |name: &str| fields(&reference, name).is_some() || of_server.contains(&name);
    let mut events = 0;
    for (old, new) in &rows {
        let (previous, current) = (quoted(old), quoted(new));
        if old.starts_with('`') && !old.contains(' ') {
            events += 1;
            assert!(is_event(current[0]), "{new} is not an event");
            assert!(!is_event(previous[0]), "{old} is still an event");
        } else if let Some((names, owners)) =
            old.strip_prefix("field").and_then(|rest| rest.split_once(" of "))
        {
            for event in quoted(owners) {
                let Some(text) = fields(&reference, event) else { continue };
                for new in &current {
                    assert!(text.contains(&format!("| `{new}` |")), "{event} has no field {new}");
                }
                for old in quoted(names) {
                    assert!(!text.contains(&format!("| `{old}` |")), "{event} has the field {old}");
                }
            }
        } else if old.starts_with("field ") {
            let (field, old) = (current[0], previous[0]);
            let row = format!("| `{field}` |");
            assert!(
                reference.contains(&row) || guide.contains(&format!("`{field}`")),
                "no event has {field}"
            );
            assert!(!reference.contains(&format!("| `{old}` |")), "an event has {old}");
        }
    }
    assert!(events > 40, "{events}");
    // What the program migrates is in the table.
    for (old, new) in RENAMED_EVENTS {
        assert!(rows.contains(&(format!("`{old}`"), format!("`{new}`"))), "{old} -> {new}");
        assert!(is_event(new), "{new}");
    }
    for (old, new) in RENAMED_PLACEHOLDERS {
        let (old, new) = (old.trim_matches(['{', '}']), new.trim_matches(['{', '}']));
        let is_row = |(left, right): &Rename| {
            quoted(left).iter().any(|name| name.trim_matches(['{', '}']) == old)
                && quoted(right).iter().any(|name| name.trim_matches(['{', '}']) == new)
        };
        assert!(rows.iter().any(is_row), "{old} -> {new}");
    }
}

#[test]
fn renamed_fields_of_the_api_are_in_its_description() {
    let description = document("docs/reference/openapi.json");
    for (_, new) in table("API (`wharf status --json` and others), old") {
        for name in quoted(&new) {
            let name = name.rsplit(' ').next().unwrap_or_default();
            assert!(description.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}

#[test]
fn renamed_options_are_in_the_help_under_the_new_name_only() {
    let help = document("docs/reference/cli.md");
    let options: Vec<_> = help
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-')
        .filter(|word| word.starts_with("--"))
        .collect();
    for header in ["Option of `wharf serve`, old", "Option of `wharf user`, `wharf group`, old"] {
        for (old, new) in table(header) {
            for name in quoted(&new).into_iter().filter(|name| name.starts_with("--")) {
                assert!(options.contains(&name), "{name}");
            }
            for name in quoted(&old) {
                assert!(!options.contains(&name), "{name}");
            }
        }
    }
}
