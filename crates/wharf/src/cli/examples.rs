//! Every command line of `wharf` in the guides and READMEs is one that the program accepts.

#[path = "../../tests/guides/blocks.rs"]
mod blocks;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::parse;
use blocks::{blocks, wharf_lines};

/// The documents, each with its path from the top of the checkout.
fn documents() -> Vec<(String, String)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files: Vec<PathBuf> =
        ["README.md", "README.zh-CN.md"].map(|name| top.join(name)).into();
    for folder in ["docs/guide", "docs/zh-CN/guide"] {
        let entries = std::fs::read_dir(top.join(folder)).into_iter().flatten().flatten();
        files.extend(entries.map(|entry| entry.path()));
    }
    files.retain(|file| file.extension().is_some_and(|ending| ending == "md"));
    files.sort();
    let name = |file: &Path| file.strip_prefix(&top).unwrap().display().to_string();
    files.iter().map(|file| (name(file), std::fs::read_to_string(file).unwrap())).collect()
}

/// The errors of the command lines in a text.
fn faults(name: &str, text: &str) -> Vec<String> {
    let is_shell = |info: &str| matches!(info.split(',').next(), Some("sh" | "console"));
    let blocks = blocks(text).into_iter().filter(|block| is_shell(&block.info));
    let lines = blocks.flat_map(|block| wharf_lines(&block));
    let fault = |(line, words): (usize, Vec<String>)| {
        let all = std::iter::once("wharf".to_owned()).chain(words).map(OsString::from);
        // `--help` and `--version` are errors to the reader of command lines, with exit code 0.
        let error = parse(all.collect()).err().filter(|error| error.exit_code() != 0)?;
        Some(format!("{name}:{line}: {error}"))
    };
    lines.filter_map(fault).collect()
}

#[test]
fn every_command_line_in_the_documents_is_accepted() {
    let documents = documents();
    assert!(documents.len() > 2, "there are no guides");
    let faults: Vec<_> = documents.iter().flat_map(|(name, text)| faults(name, text)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_command_line_with_an_unknown_option_is_found_with_its_place() {
    let text = "# A\n```sh,system\nwharf check\nwharf --help\nwharf who --jsn | cat\n```\n\
                ```console\n$ wharf kick --no-such\n```\n```text\nwharf x --y\n```\n";
    let faults = faults("a.md", text);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].starts_with("a.md:5: ") && faults[0].contains("--jsn"), "{faults:?}");
    assert!(faults[1].starts_with("a.md:8: "), "{faults:?}");
}
