//! The recorded results of proofs, in a file beside the page.
//!
//! `cargo xtask trust record` copies them from `target/prove`, where each proof writes its result.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The file, from the top of the checkout.
pub(super) const FILE: &str = "docs/proofs.toml";
/// Where proofs write their results, in the build folder.
const RESULTS: &str = "prove";
/// The keys that are kept of a result, in this order.
const KEYS: &[&str] = &[
    "name", "about", "form", "count", "unit", "passed", "failed", "seconds", "processor", "cores",
    "kernel", "files", "commit", "date",
];

/// One result: keys and values as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ProofResult(Vec<(String, String)>);

impl ProofResult {
    pub(super) fn text(&self, key: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == key);
        found.map_or("", |(_, value)| value.trim_matches('"'))
    }

    pub(super) fn number(&self, key: &str) -> u64 {
        // Seconds have a fraction.
        self.text(key).split('.').next().and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// Reads the file of results: tables of plain keys and values.
pub(super) fn read(text: &str) -> Vec<ProofResult> {
    let mut proofs: Vec<ProofResult> = Vec::new();
    for line in text.lines() {
        if line.trim() == "[[proof]]" {
            proofs.push(ProofResult::default());
        } else if let (Some((key, value)), Some(last)) = (line.split_once(" = "), proofs.last_mut())
        {
            last.0.push((key.to_owned(), value.to_owned()));
        }
    }
    proofs
}

fn write(proofs: &[ProofResult]) -> String {
    let mut text = "# Recorded results of `cargo xtask prove`, shown in docs/reference/trust.md.\n\
                    # Written by `cargo xtask trust record`.\n"
        .to_owned();
    for proof in proofs {
        text.push_str("\n[[proof]]\n");
        for (key, value) in &proof.0 {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    text
}

/// Records results of proofs: those named, or all.
pub(crate) fn record(root: &Path, names: &[&str]) -> Result<(), String> {
    let folder = crate::outcome::target(root).join(RESULTS);
    let entries = fs::read_dir(&folder)
        .map_err(|error| format!("cannot read results in {}: {error}", folder.display()))?;
    let mut proofs = read(&fs::read_to_string(root.join(FILE)).unwrap_or_default());
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let is_result = path.extension().is_some_and(|end| end == "json");
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        if !is_result || !(names.is_empty() || names.contains(&name)) {
            continue;
        }
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let mut proof = taken(&text);
        if proof.text("date").is_empty() {
            proof.0.push(("date".to_owned(), format!("\"{}\"", today())));
        }
        eprintln!("recorded {name}: {} {}", proof.text("count"), proof.text("unit"));
        proofs.retain(|known| known.text("name") != name);
        proofs.push(proof);
    }
    proofs.sort_by(|one, other| one.text("name").cmp(other.text("name")));
    fs::write(root.join(FILE), write(&proofs)).map_err(|error| format!("{FILE}: {error}"))
}

/// The keys that are kept, out of a result with one key a line.
fn taken(json: &str) -> ProofResult {
    let lines: Vec<(&str, &str)> = json
        .lines()
        .filter_map(|line| {
            let (key, value) = line.trim().split_once("\": ")?;
            Some((key.strip_prefix('"')?, value.trim_end_matches(',')))
        })
        .collect();
    let value = |key: &&str| {
        let (_, value) = lines.iter().find(|(known, _)| known == key)?;
        Some(((*key).to_owned(), (*value).to_owned()))
    };
    ProofResult(KEYS.iter().filter_map(value).collect())
}

fn today() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "{\n  \"name\": \"kill\",\n  \"count\": 1000,\n  \"seconds\": 61.5,\n  \
                        \"figures\": {\n    \"fastest\": 1.0\n  },\n  \"machine\": {\n    \
                        \"cores\": 2\n  },\n  \"failed\": 0\n}";

    #[test]
    fn a_result_is_taken_over_and_read_again() {
        let proof = taken(JSON);
        assert_eq!((proof.text("name"), proof.number("count")), ("kill", 1000));
        assert_eq!((proof.number("seconds"), proof.number("cores")), (61, 2));
        assert_eq!(proof.text("fastest"), "");
        assert_eq!(
            read(&write(&[proof.clone(), ProofResult::default()])),
            [proof, ProofResult::default()]
        );
    }
}
