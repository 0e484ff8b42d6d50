//! Every example of the guides in `docs/guide` works, and its translation has the same examples.
//!
//! The text after the fence of a block defines how it is tested; see [`run::Kind`]. The command
//! lines of blocks that are not run are checked by a test of the command line.

#![cfg(test)]
#![cfg(unix)]

mod blocks;
mod run;

#[path = "../clients/support/ports.rs"]
mod ports;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use blocks::{blocks, without_comments};

/// Guides whose examples run at the same time.
const AT_ONCE: usize = 2;

/// From the top of the checkout.
const ENGLISH: &str = "docs/guide";
const CHINESE: &str = "docs/zh-CN/guide";

/// The guides of a folder: path from the top of the checkout, and text.
fn guides(folder: &str) -> Vec<(String, String)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let entries = std::fs::read_dir(top.join(folder)).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|end| end == "md")).collect();
    files.sort();
    let name = |file: &Path| format!("{folder}/{}", file.file_name().unwrap().display());
    files.iter().map(|file| (name(file), std::fs::read_to_string(file).unwrap())).collect()
}

/// Runs the examples of several guides, and reports what failed.
fn run_all(guides: Vec<(String, String)>) -> Vec<String> {
    let waiting = Mutex::new(guides);
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, text)) = {
                    let mut waiting = waiting.lock().unwrap();
                    waiting.pop()
                } {
                    let found = run::guide(&name, &text);
                    faults.lock().unwrap().extend(found);
                }
            });
        }
    });
    let mut faults = faults.into_inner().unwrap();
    faults.sort();
    faults
}

/// Where two translations of a guide have different examples.
fn differences((english, one): (&str, &str), (chinese, other): (&str, &str)) -> Vec<String> {
    let (one, other) = (blocks(one), blocks(other));
    let mut faults = Vec::new();
    for (one, other) in one.iter().zip(&other) {
        if one.info != other.info || without_comments(one) != without_comments(other) {
            faults.push(format!(
                "{chinese}:{}: the example is not that of {english}:{}",
                other.line, one.line
            ));
        }
    }
    if one.len() != other.len() {
        let (has, wanted) = (other.len(), one.len());
        faults.push(format!("{chinese}: {has} examples, but {wanted} in {english}"));
    }
    faults
}

#[test]
fn every_example_of_the_guides_works() {
    let guides = guides(ENGLISH);
    assert!(!guides.is_empty(), "no guides in {ENGLISH}");
    let faults = run_all(guides);
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn translated_guides_have_the_same_examples() {
    let english = guides(ENGLISH);
    let faults: Vec<String> = guides(CHINESE)
        .iter()
        .flat_map(|(path, text)| {
            let name = path.rsplit('/').next().unwrap();
            let original = format!("{ENGLISH}/{name}");
            let known = english.iter().find(|(known, _)| *known == original);
            let (original, known) = known.unwrap_or_else(|| panic!("{path} translates nothing"));
            differences((original, known), (path, text))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn translations_may_differ_in_comments_only() {
    let english = "```sh\nwharf check # all\n```\n```toml\na = 1\n```\n";
    let chinese = "```sh\nwharf check # 全部\n```\n```toml\na = 1\n```\n";
    assert!(differences(("a.md", english), ("b.md", chinese)).is_empty());
    let changed = chinese.replace("a = 1", "a = 2");
    let faults = differences(("a.md", english), ("b.md", &changed));
    assert_eq!(faults, ["b.md:5: the example is not that of a.md:5"]);
    let fewer = "```sh\nwharf check\n```\n";
    let faults = differences(("a.md", english), ("b.md", fewer));
    assert_eq!(faults, ["b.md: 1 examples, but 2 in a.md"]);
}

#[test]
fn examples_of_every_kind_run() {
    let text = include_str!("fixtures/good.md");
    let faults = run::guide("good.md", text);
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn an_example_that_fails_is_named_with_its_place() {
    let text = include_str!("fixtures/bad.md");
    let faults = run::guide("bad.md", text);
    let places: Vec<_> = faults.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    let expected: Vec<String> =
        blocks(text).iter().map(|block| format!("bad.md:{}", block.line)).collect();
    assert_eq!(places, expected, "{}", faults.join("\n\n"));
}
