//! What a file imports from its own crate, outside tests.

use super::source::{SourceFile, leading_name};

/// A path that a file names with `crate::` or `super::`.
pub(super) struct Import<'a> {
    pub(super) line: usize,
    /// The names from the crate's root on: modules, then an item.
    pub(super) path: Vec<&'a str>,
}

impl Import<'_> {
    /// The module or item in the crate's root.
    pub(super) fn first(&self) -> &str {
        self.path.first().copied().unwrap_or_default()
    }
}

/// All paths, in no order.
pub(super) fn imports(source: &SourceFile) -> Vec<Import<'_>> {
    let own = source.module();
    let mut found = Vec::new();
    for offset in source.offsets_outside_tests("crate::") {
        let rest = source.code.get(offset + "crate::".len()..).unwrap_or_default();
        add(&mut found, source.line_of(offset), &[], rest);
    }
    for offset in source.offsets_outside_tests("super::") {
        if source.code.get(..offset).is_some_and(|before| before.ends_with("super::")) {
            continue;
        }
        let mut rest = source.code.get(offset..).unwrap_or_default();
        let mut base = own.as_slice();
        while let Some(shorter) = rest.strip_prefix("super::") {
            rest = shorter;
            base = base.split_last().map_or(&[], |(_, above)| above);
        }
        add(&mut found, source.line_of(offset), base, rest);
    }
    found
}

/// Adds the paths that begin at `rest`: one, or one for each branch in braces.
fn add<'a>(found: &mut Vec<Import<'a>>, line: usize, base: &[&'a str], rest: &'a str) {
    let Some(group) = rest.strip_prefix('{') else {
        let name = leading_name(rest);
        let path = [base, &[name]].concat();
        match rest.get(name.len()..).and_then(|rest| rest.strip_prefix("::")) {
            Some(deeper) if !name.is_empty() => add(found, line, &path, deeper),
            _ => found.push(Import { line, path }),
        }
        return;
    };
    let (mut depth, mut start) = (0_usize, 0);
    for (offset, letter) in group.char_indices() {
        let is_end = letter == '}' && depth == 0;
        if is_end || (letter == ',' && depth == 0) {
            let branch = group.get(start..offset).unwrap_or_default().trim();
            if !branch.is_empty() {
                add(found, line, base, branch);
            }
            start = offset + 1;
        }
        match letter {
            _ if is_end => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(path: &str, text: &str) -> Vec<String> {
        let source = SourceFile::new(path, text);
        imports(&source).iter().map(|import| import.path.join("::")).collect()
    }

    #[test]
    fn groups_are_taken_apart() {
        let text = "use crate::a::{self, b::{C, D}, e};\nfn f(x: &crate::g::H) {}";
        let expected = ["a::self", "a::b::C", "a::b::D", "a::e", "g::H"];
        assert_eq!(paths("crates/x/src/y.rs", text), expected);
        let text = "use crate::{\n    a::B,\n    c,\n};";
        assert_eq!(paths("crates/x/src/y.rs", text), ["a::B", "c"]);
    }

    #[test]
    fn super_climbs_from_the_own_module() {
        let text = "use super::a::B;\nuse super::super::c::D;";
        assert_eq!(paths("crates/x/src/y/z.rs", text), ["y::a::B", "c::D"]);
        assert_eq!(paths("crates/x/src/y/z_linux.rs", "use super::a;"), ["y::a"]);
        assert_eq!(paths("xtask/src/tidy.rs", "use super::a;"), ["a"]);
    }
}
