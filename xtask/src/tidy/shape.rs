//! The shape of a file: its length, its width, and the order in every `select!`.

use super::source::SourceFile;
use super::tree::SourceTree;
use super::{Finding, Rule};

/// Lines of a file, its own tests included.
const LINES_MAX: usize = 600;
/// Lines of a file that holds tests only.
const TEST_LINES_MAX: usize = 800;
/// Letters of a line.
/// A longer word cannot be broken sensibly.
const WORD_COLUMNS_MAX: usize = 60;
const COLUMNS_MAX: usize = 100;

static LENGTH: Rule = Rule {
    name: "length",
    why: "one idea per file; a longer one has two",
    hint: "move the second idea, or the tests, into a file of its own",
};

static WIDTH: Rule = Rule {
    name: "width",
    why: "a line that runs off the screen is not read",
    hint: "break it; the formatter leaves long strings and comments to you",
};

static BIASED: Rule = Rule {
    name: "select",
    why: "a random order cannot be replayed from a seed",
    hint: "begin with `biased;`, and explain the order in a comment",
};

pub(super) fn check(tree: &SourceTree) -> Vec<Finding> {
    tree.sources.iter().flat_map(|s| [length(s), width(s), selects(s)].concat()).collect()
}

fn length(source: &SourceFile) -> Vec<Finding> {
    let lines = source.raw.lines().count();
    let most = if source.is_test { TEST_LINES_MAX } else { LINES_MAX };
    if lines <= most {
        return Vec::new();
    }
    vec![LENGTH.broken(&source.path, most + 1, format!("{lines} lines, {most} are allowed"))]
}

fn width(source: &SourceFile) -> Vec<Finding> {
    // A line with a word that cannot be broken (a hash, an address) is as long as that word.
    let breakable = source.lines().filter(|line| {
        line.raw.split_whitespace().all(|word| word.chars().count() <= WORD_COLUMNS_MAX)
    });
    let lines = breakable.map(|line| (line.number, line.raw.chars().count()));
    let wide = lines.filter(|(_, columns)| *columns > COLUMNS_MAX);
    let finding = |(line, columns)| {
        WIDTH.broken(&source.path, line, format!("{columns} columns, {COLUMNS_MAX} are allowed"))
    };
    wide.map(finding).collect()
}

/// Every `select!` that leaves its order to chance, in tests as well.
fn selects(source: &SourceFile) -> Vec<Finding> {
    let hits = source.code.match_indices("select!").filter(|(offset, found)| {
        let rest = source.code.get(offset + found.len()..).unwrap_or_default().trim_start();
        let body = rest.strip_prefix(['{', '(']).map(str::trim_start);
        // Not followed by a body: the name of a macro in an import, not a use of it.
        body.is_some_and(|body| !body.starts_with("biased;"))
    });
    hits.map(|(offset, _)| BIASED.broken(&source.path, source.line_of(offset), "not biased"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn a_file_may_have_600_lines_and_a_test_file_800() {
        let longest = "x\n".repeat(600);
        assert!(found(check, &[("crates/core/src/a.rs", &longest)]).is_empty());
        let longer = "x\n".repeat(601);
        assert_eq!(
            found(check, &[("crates/core/src/a.rs", &longer)]),
            ["crates/core/src/a.rs:601: length: 601 lines, 600 are allowed"]
        );
        assert!(found(check, &[("crates/core/src/a/tests.rs", &longer)]).is_empty());
        let longest = "x\n".repeat(801);
        assert_eq!(found(check, &[("crates/core/tests/a.rs", &longest)]).len(), 1);
    }

    #[test]
    fn a_line_may_have_100_letters_of_any_alphabet() {
        let fits = "共".repeat(100);
        assert!(found(check, &[("crates/core/src/a.rs", &fits)]).is_empty());
        let wide = "a ".repeat(51);
        assert_eq!(found(check, &[("crates/core/src/a.rs", &wide)]).len(), 1);
        let hash = "a".repeat(101);
        assert!(found(check, &[("crates/core/src/a.rs", &hash)]).is_empty());
    }

    #[test]
    fn every_select_is_biased() {
        let chance = "tokio::select! {\n    a = b => {}\n}";
        assert_eq!(found(check, &[("crates/server/src/data.rs", chance)]).len(), 1);
        let biased = "tokio::select! {\n    // First the client.\n    biased;\n    a = b => {}\n}";
        assert!(found(check, &[("crates/server/src/data.rs", biased)]).is_empty());
    }
}
