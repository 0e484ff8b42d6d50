//! No circles: in every crate, neither the modules of its root nor those of one module need each
//! other.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::imports;
use super::source::SourceFile;
use super::tree::SourceTree;
use super::{Finding, Rule};

static CIRCLE: Rule = Rule {
    name: "circles",
    why: "modules that need each other cannot be read, tested or moved one at a time",
    hint: "move what both need to a module below them, or pass the value in or return it",
};

/// One import of a module by another below the same module.
struct Use<'a> {
    source: &'a SourceFile,
    line: usize,
    /// The module that both belong to.
    scope: Vec<&'a str>,
    from: &'a str,
    to: &'a str,
}

pub(super) fn check(tree: &SourceTree) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, Vec<&SourceFile>> = BTreeMap::new();
    for source in tree.sources.iter().filter(|source| !source.is_test) {
        if let Some((folder, _)) = source.path.split_once("/src/") {
            crates.entry(folder).or_default().push(source);
        }
    }
    crates.values().flat_map(|sources| circles(&uses(sources))).collect()
}

impl Use<'_> {
    fn path_of(&self, name: &str) -> String {
        [self.scope.as_slice(), &[name]].concat().join("::")
    }
}

/// The imports between the modules of one crate.
fn uses<'a>(sources: &[&'a SourceFile]) -> Vec<Use<'a>> {
    let modules: BTreeSet<Vec<&str>> = sources.iter().map(|source| source.module()).collect();
    let mut uses = Vec::new();
    for source in sources {
        let own = source.module();
        for import in imports(source) {
            let lengths = (0..=import.path.len()).rev();
            let mut prefixes = lengths.filter_map(|length| import.path.get(..length));
            let Some(module) = prefixes.find(|prefix| modules.contains(*prefix)) else { continue };
            let shared = own.iter().zip(module).take_while(|(own, other)| own == other).count();
            // Without these, one of them contains the other.
            if let (Some(&from), Some(&to)) = (own.get(shared), module.get(shared)) {
                let is_same = |other: &Use<'_>| {
                    std::ptr::eq(other.source, *source)
                        && (other.line, other.to) == (import.line, to)
                };
                if uses.last().is_some_and(is_same) {
                    continue;
                }
                let scope = own.iter().take(shared).copied().collect();
                uses.push(Use { source, line: import.line, scope, from, to });
            }
        }
    }
    uses
}

/// A finding for each import that closes a circle.
fn circles(uses: &[Use<'_>]) -> Vec<Finding> {
    let mut edges: BTreeMap<(&[&str], &str), Vec<&str>> = BTreeMap::new();
    for found in uses {
        edges.entry((&found.scope, found.from)).or_default().push(found.to);
    }
    let reaches = |found: &Use<'_>| {
        let mut seen = BTreeSet::new();
        let mut open = vec![found.to];
        while let Some(at) = open.pop() {
            if seen.insert(at) {
                open.extend(edges.get(&(found.scope.as_slice(), at)).into_iter().flatten());
            }
        }
        seen.contains(found.from)
    };
    let report = |found: &Use<'_>| {
        let (from, to) = (found.path_of(found.from), found.path_of(found.to));
        let what = format!("`{from}` uses `{to}`, which needs it in turn");
        CIRCLE.broken(&found.source.path, found.line, what)
    };
    uses.iter().filter(|found| reaches(found)).map(report).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn imports_may_go_one_direction_but_not_both() {
        let control = ("crates/x/src/control.rs", "use crate::data::A;");
        let data = ("crates/x/src/data.rs", "use crate::shared::B;");
        let shared = ("crates/x/src/shared/part.rs", "use crate::{control::C};");
        let shared_root = ("crates/x/src/shared.rs", "use self::part::C;");
        assert!(found(check, &[control, data, shared_root]).is_empty());
        let circle = found(check, &[control, data, shared_root, shared]);
        assert_eq!(circle.len(), 3);
        assert!(circle.iter().all(|line| line.contains("needs it in turn")), "{circle:?}");
        let other = ("crates/y/src/shared.rs", "use crate::control::C;");
        assert!(found(check, &[control, data, other]).is_empty());
    }

    #[test]
    fn modules_of_one_module_form_no_circle_either() {
        let edit = ("xtask/src/file/edit.rs", "use super::editor::Editor;");
        let editor = ("xtask/src/file/editor.rs", "use crate::file::edit::{A, B};");
        let lines = found(check, &[edit, editor]);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("`file::edit` uses `file::editor`"), "{lines:?}");
    }

    #[test]
    fn a_module_and_the_one_that_contains_it_may_need_each_other() {
        let file = ("crates/x/src/file.rs", "use crate::file::edit::A;");
        let edit = ("crates/x/src/file/edit.rs", "use super::B;\nuse crate::file::C;");
        assert!(found(check, &[file, edit]).is_empty());
    }

    #[test]
    fn tests_may_name_what_they_like() {
        let a = ("crates/x/src/a.rs", "use crate::b::B;");
        let b = ("crates/x/src/b.rs", "#[cfg(test)]\nmod tests { use crate::a::A; }");
        let tests = ("crates/x/src/b/tests.rs", "use crate::a::A;");
        assert!(found(check, &[a, b, tests]).is_empty());
    }
}
