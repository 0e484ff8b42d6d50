//! `docs/reference/commands.md`, made from the rows.

use std::fmt::Write as _;
use std::path::Path;

use wharf_core::permission::Permissions;

use super::{Arg, Meanwhile, SessionStage, Spec, rows};

/// With this variable set, the test writes the page instead of comparing it.
const BLESS: &str = "WHARF_BLESS";

fn page() -> String {
    let mut page = String::from(
        "# Commands\n\nAll supported FTP commands. This page is generated from the source \
         (`cargo xtask docs`); do not edit it.\n\n\
         Permissions are those of [the configuration](config.md); they are checked before a \
         command runs. `HELP <command>` shows the same information over FTP.\n\n\
         | Command | Description | Permission | Before login | During a transfer | Defined in |\n\
         |---|---|---|---|---|---|\n",
    );
    for row in rows() {
        let _ = writeln!(page, "{}", line(row));
    }
    page
}

fn line(row: &Spec) -> String {
    let mut syntax = format!("`{}`", row.syntax.replace('|', "\\|"));
    for other in row.also {
        let _ = write!(syntax, ", `{other}`");
    }
    let permission = if row.needs == Permissions::NONE { String::new() } else { names(row.needs) };
    let stage = if row.stage == SessionStage::Any { "yes" } else { "no" };
    let meanwhile = match row.meanwhile {
        Meanwhile::Wait => "waits",
        Meanwhile::Now if row.arg == Arg::Optional => "answered at once, without a path",
        Meanwhile::Now => "answered at once",
        Meanwhile::Abort => "ends it",
    };
    format!("| {syntax} | {} | {permission} | {stage} | {meanwhile} | {} |", row.about, row.rfc)
}

fn names(permissions: Permissions) -> String {
    let each =
        Permissions::EACH.iter().filter(|(permission, ..)| permissions.contains(*permission));
    each.map(|(_, letter, name)| format!("{name} (`{letter}`)")).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_reference_of_commands_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/commands.md");
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == page(), "docs/reference/commands.md is stale: run `cargo xtask docs`");
}

#[test]
fn every_row_is_complete() {
    for row in rows() {
        assert!(row.syntax.starts_with(row.verb), "{}", row.verb);
        assert!(!row.about.is_empty() && !row.about.ends_with('.'), "{}", row.verb);
        assert!(!row.rfc.is_empty(), "{}", row.verb);
        let wants = row.syntax.strip_prefix(row.verb).is_some_and(|rest| !rest.is_empty());
        assert_eq!(wants, row.arg != Arg::None, "{}", row.verb);
    }
}

#[test]
fn names_of_commands_are_unique() {
    let mut names: Vec<_> = rows().flat_map(|row| row.also.iter().chain([&row.verb])).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}
