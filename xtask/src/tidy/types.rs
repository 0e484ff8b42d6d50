//! Names of types: each is defined once in the workspace, so that a search for it finds one thing.
//!
//! Counted are the types at the top level of a file below `src/`. A type with a half for each
//! system, or for each feature, counts once. Everything else that has one name is in [`SHARED`].

use std::collections::BTreeMap;

use super::source::{SourceFile, leading_name};
use super::tree::SourceTree;
use super::{Finding, Rule};

/// One idea in two layers.
const MODEL: &str = "the JSON model of the API, and the type of the engine";
/// A convention of Rust.
const LIBRARY_ERROR: &str = "the error of a library crate";

/// The names that several types may have: the crates that define them, sorted (a crate with two
/// such types is named twice), and the reason.
const SHARED: &[(&str, &[&str], &str)] = &[
    ("Ban", &["admin", "server"], MODEL),
    ("Certificate", &["admin", "server"], MODEL),
    ("CommandLogEntry", &["admin", "server"], MODEL),
    ("Error", &["core", "load"], LIBRARY_ERROR),
    ("ErrorKind", &["core", "load"], LIBRARY_ERROR),
    ("Listener", &["admin", "server"], MODEL),
    ("Lock", &["admin", "server"], MODEL),
    ("Session", &["admin", "server"], MODEL),
];

/// What the files of one module for several systems or features end with.
const HALVES: &[&str] =
    &["unix", "linux", "posix", "macos", "windows", "other", "disabled", "missing", "without"];

/// Where the list of shared names is.
const LIST: &str = "xtask/src/tidy/types.rs";

static UNIQUE: Rule = Rule {
    name: "types",
    why: "a name that means several things has to be looked up at each place",
    hint: "give it a specific name; if it is one idea in two layers, add it to SHARED in \
             xtask/src/tidy/types.rs",
};

static LISTED: Rule = Rule {
    name: "types",
    why: "an entry that is not needed permits a second type with that name",
    hint: "correct or remove the entry in SHARED",
};

/// A definition of a type.
struct Definition<'a> {
    name: &'a str,
    krate: &'a str,
    path: &'a str,
    line: usize,
}

pub(super) fn check(tree: &SourceTree) -> Vec<Finding> {
    compare(tree, SHARED)
}

fn compare(tree: &SourceTree, shared: &[(&str, &[&str], &str)]) -> Vec<Finding> {
    let types = types(tree);
    let mut findings = Vec::new();
    for (name, definitions) in &types {
        let crates: Vec<_> = definitions.iter().map(|definition| definition.krate).collect();
        let entry = shared.iter().find(|(shared, _, _)| shared == name);
        if definitions.len() == 1 || entry.is_some_and(|(_, permitted, _)| *permitted == crates) {
            continue;
        }
        for definition in definitions {
            let others = definitions.iter().filter(|other| other.path != definition.path);
            let others: Vec<_> = others.map(|other| other.path).collect();
            let what = format!("`{name}` is also a type in {}", others.join(", "));
            findings.push(UNIQUE.broken(definition.path, definition.line, what));
        }
    }
    let is_needed = |name: &str| types.get(name).is_some_and(|all| all.len() > 1);
    let needless = shared.iter().filter(|(name, _, _)| !is_needed(name));
    findings.extend(needless.map(|(name, _, reason)| {
        LISTED.broken(LIST, 1, format!("only one type is named `{name}` ({reason})"))
    }));
    findings
}

/// The types of each name, sorted by their crate. Of a type with several halves, the first.
fn types(tree: &SourceTree) -> BTreeMap<&str, Vec<Definition<'_>>> {
    let mut types: BTreeMap<&str, Vec<Definition<'_>>> = BTreeMap::new();
    for definition in tree.sources.iter().flat_map(definitions) {
        let known = types.entry(definition.name).or_default();
        if !known.iter().any(|half| are_halves(half.path, definition.path)) {
            known.push(definition);
        }
    }
    for definitions in types.values_mut() {
        definitions.sort_by_key(|definition| (definition.krate, definition.path));
    }
    types
}

/// The types at the top level of a file.
fn definitions(source: &SourceFile) -> Vec<Definition<'_>> {
    let Some(krate) = krate(&source.path) else { return Vec::new() };
    let names: Vec<_> =
        source.lines().filter_map(|line| Some((line.number, defined(line.code)?))).collect();
    let path = source.path.as_str();
    names.into_iter().map(|(line, name)| Definition { name, krate, path, line }).collect()
}

/// The crate of a file below its `src/`.
fn krate(path: &str) -> Option<&str> {
    let (folder, _) = path.split_once("/src/")?;
    let name = folder.strip_prefix("crates/").unwrap_or(folder);
    (!name.contains('/')).then_some(name)
}

/// The name of the type that a line defines at the top level of its file.
fn defined(code: &str) -> Option<&str> {
    let item = match code.strip_prefix("pub(") {
        Some(rest) => rest.split_once(") ")?.1,
        None => code.strip_prefix("pub ").unwrap_or(code),
    };
    let (keyword, rest) = item.split_once(' ')?;
    let name = leading_name(rest);
    (["struct", "enum", "trait", "type"].contains(&keyword) && !name.is_empty()).then_some(name)
}

/// Whether two files are the halves of one module, for different systems or features.
fn are_halves(one: &str, other: &str) -> bool {
    let ((folder, base, half), (other_folder, other_base, other_half)) = (half(one), half(other));
    // `windows.rs` alone may stand beside several files that end with `_unix`.
    let is_one_module = base == other_base || base.is_empty() || other_base.is_empty();
    folder == other_folder && is_one_module && half != other_half
}

/// The folder of a file, the name of its module, and the system or feature that it is for.
fn half(path: &str) -> (&str, &str, Option<&str>) {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let (base, end) = stem.rsplit_once('_').unwrap_or(("", stem));
    if HALVES.contains(&end) { (folder, base, Some(end)) } else { (folder, stem, None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    fn unlisted(tree: &SourceTree) -> Vec<Finding> {
        compare(tree, &[])
    }

    fn listed(tree: &SourceTree) -> Vec<Finding> {
        compare(tree, &[("Ban", &["admin", "server"], MODEL)])
    }

    #[test]
    fn a_name_of_two_types_is_found_at_both() {
        for text in ["struct Row;", "pub enum Row {}", "pub(in crate::a) type Row = u8;"] {
            let lines = found(
                unlisted,
                &[("crates/load/src/a.rs", "trait Row {}"), ("xtask/src/b.rs", text)],
            );
            let first = "crates/load/src/a.rs:1: types: `Row` is also a type in xtask/src/b.rs";
            assert_eq!(lines.len(), 2, "{text}");
            assert_eq!(lines[0], first);
        }
        let one_crate =
            [("crates/load/src/a.rs", "struct Row;"), ("crates/load/src/b.rs", "enum Row {}")];
        assert_eq!(found(unlisted, &one_crate).len(), 2);
    }

    #[test]
    fn other_names_inner_types_comments_and_test_programs_are_fine() {
        for text in [
            "struct SqlRow;",
            "use a::Row;\nfn row() -> Row {}",
            "mod tests {\n    struct Row;\n}",
            "// struct Row;\n/*\nstruct Row;\n*/",
        ] {
            let files = [("crates/load/src/a.rs", "struct Row;"), ("crates/core/src/b.rs", text)];
            assert!(found(unlisted, &files).is_empty(), "{text}");
        }
        let files =
            [("crates/load/src/a.rs", "struct Row;"), ("crates/core/tests/b.rs", "struct Row;")];
        assert!(found(unlisted, &files).is_empty());
    }

    #[test]
    fn halves_for_systems_and_features_are_one_type() {
        let is_fine = |one: &str, other: &str| {
            found(unlisted, &[(one, "struct Sender;"), (other, "struct Sender;")]).is_empty()
        };
        for (one, other) in [
            ("crates/a/src/send.rs", "crates/a/src/send_disabled.rs"),
            ("crates/a/src/names_linux.rs", "crates/a/src/names_posix.rs"),
            ("crates/a/src/disk/reader_unix.rs", "crates/a/src/disk/windows.rs"),
        ] {
            assert!(is_fine(one, other) && is_fine(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("crates/a/src/send_unix.rs", "crates/a/src/other/send_windows.rs"),
            ("crates/a/src/send_unix.rs", "crates/b/src/send_windows.rs"),
            ("crates/a/src/send.rs", "crates/a/src/receive_disabled.rs"),
            ("crates/a/src/send_unix.rs", "crates/a/src/receive_unix.rs"),
        ] {
            assert!(!is_fine(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_listed_name_may_be_that_of_the_listed_crates_only() {
        let (model, engine) =
            (("crates/admin/src/a.rs", "struct Ban;"), ("crates/server/src/b.rs", "enum Ban {}"));
        assert!(found(listed, &[model, engine]).is_empty());
        assert_eq!(found(listed, &[model, engine, ("xtask/src/c.rs", "struct Ban;")]).len(), 3);
        assert_eq!(
            found(listed, &[model, engine, ("crates/server/src/c.rs", "struct Ban;")]).len(),
            3
        );
        let lines = found(listed, &[model]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("only one type is named `Ban`"), "{lines:?}");
    }
}
