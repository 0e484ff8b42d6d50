//! The reference of risks, tests and proofs, `docs/reference/trust.md`: generated from the names of
//! the tests, the recorded results of proofs and `trust/template.md`, which has the risks.
//! `docs/TRUST.md` is the summary, and not generated.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use found::CoveringTest;

mod found;
mod proofs;

pub(crate) use proofs::record;

/// The generated page, relative to the top of the checkout.
pub(crate) const PAGE: &str = "docs/reference/trust.md";
/// The text of the page, with a placeholder for each generated part, and a section for each known
/// risk of FTP servers at its end.
const TEMPLATE: &str = include_str!("trust/template.md");
/// What a section of a risk begins with; its number, a colon and its title follow.
const ROW: &str = "\n### Row ";
/// Rows on a web console, which wharf does not have, so there is nothing to test.
const WITHOUT_TESTS: &[u32] = &[48, 49, 50];

/// The input of the page: all Rust files and the results of proofs.
pub(crate) struct Known {
    tests: Vec<CoveringTest>,
    proofs: Vec<proofs::ProofResult>,
}

impl Known {
    /// Reads the input. `texts` are paths from the top, and contents.
    pub(crate) fn read<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut found, mut proofs) = (Vec::new(), Vec::new());
        for (path, text) in texts {
            if path == proofs::FILE {
                proofs = proofs::read(text);
            } else if is_rust(path) && !path.starts_with("xtask/src/trust/") {
                found.extend(found::tests_in(path, text));
            }
        }
        let order = |test: &CoveringTest| (test.file.clone(), test.sentence.clone());
        found.sort_by_key(order);
        Self { tests: found, proofs }
    }

    /// The content of the page.
    pub(crate) fn page(&self) -> String {
        self.fill(TEMPLATE)
    }

    /// Replaces the placeholders, and adds to each row what its tests are.
    fn fill(&self, template: &str) -> String {
        let count = format!("{} tests have the number of a row in their name.", self.tests.len());
        let head = template.split(ROW).next().unwrap_or_default();
        let mut page = head
            .replace(&placeholder("count"), &count)
            .replace(&placeholder("proofs"), self.proofs().trim_end());
        for (number, text) in rows(template) {
            let _ = write!(page, "{ROW}{text}\n{}", self.tests_of(number));
        }
        page
    }

    /// Rows without a test, and numbers in names without a row: row or number, and why.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let shown = |number| self.tests.iter().any(|test| test.rows.contains(&number));
        let bare = rows(TEMPLATE).filter(|(number, _)| !WITHOUT_TESTS.contains(number));
        let bare = bare.filter(|(number, _)| !shown(*number));
        let title = |text: &'static str| text.lines().next().unwrap_or_default();
        let mut gaps: Vec<_> = bare
            .map(|(number, text)| format!("no test is named row_{number:02}_… ({})", title(text)))
            .collect();
        for test in &self.tests {
            let is_row = |number: &&u32| rows(TEMPLATE).any(|(row, _)| row == **number);
            for number in test.rows.iter().filter(|number| !is_row(number)) {
                gaps.push(format!("`{}` in {}: unknown row {number}", test.sentence, test.file));
            }
        }
        gaps
    }

    fn tests_of(&self, number: u32) -> String {
        let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for test in self.tests.iter().filter(|test| test.rows.contains(&number)) {
            files.entry(&test.file).or_default().push(&test.sentence);
        }
        if files.is_empty() {
            return "\nNo test.\n".to_owned();
        }
        let mut out = String::from("\n");
        for (file, sentences) in files {
            let _ = writeln!(out, "- [{file}](../../{file}): {}", sentences.join("; "));
        }
        out
    }

    fn proofs(&self) -> String {
        let mut out = String::from(
            "| Proof | What is done | Count | Failed | Time | Commit, date |\n\
             |---|---|---|---|---|---|\n",
        );
        for proof in &self.proofs {
            let (name, about) = (proof.text("name"), proof.text("about"));
            let count = format!("{} {}", grouped(proof.number("count")), proof.text("unit"));
            let (failed, seconds) = (proof.number("failed"), proof.number("seconds"));
            let when = format!("{}, {}", proof.text("commit"), proof.text("date"));
            let time = grouped(seconds);
            let _ = writeln!(out, "| {name} | {about} | {count} | {failed} | {time} s | {when} |");
        }
        for machine in machines(&self.proofs) {
            let _ = write!(out, "\n{machine}.");
        }
        out.push('\n');
        out
    }
}

/// Writes the page.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let tree = crate::checkout::texts(root)?;
    let known = Known::read(tree.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    fs::write(root.join(PAGE), known.page())
        .map_err(|error| format!("cannot write {PAGE}: {error}"))?;
    eprintln!("xtask: {PAGE} written");
    Ok(())
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end == "rs")
}

/// The risks of a template: the number of each, and its text from the number on.
fn rows(template: &str) -> impl Iterator<Item = (u32, &str)> {
    let texts = template.split(ROW).skip(1).map(str::trim_end);
    texts.filter_map(|text| Some((text.split(':').next()?.parse().ok()?, text)))
}

/// Where the template has the generated part `name`.
fn placeholder(name: &str) -> String {
    format!("<!-- generated: {name} -->")
}

/// The machines on which proofs were run.
fn machines(proofs: &[proofs::ProofResult]) -> Vec<String> {
    let mut machines: Vec<String> = Vec::new();
    for proof in proofs.iter().filter(|proof| !proof.text("processor").is_empty()) {
        let (processor, cores) = (proof.text("processor"), proof.text("cores"));
        let machine =
            format!("Run on {cores} cores of {processor}, Linux {}", proof.text("kernel"));
        if !machines.contains(&machine) {
            machines.push(machine);
        }
    }
    machines
}

/// `1000000` as `1,000,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(texts: &[(&str, &str)]) -> Known {
        Known::read(texts.iter().copied())
    }

    #[test]
    fn the_generated_parts_replace_their_placeholders() {
        let proof = "[[proof]]\nname = \"kill\"\ncount = 1000\nunit = \"kills\"\nfailed = 0\n";
        let known = known(&[("a.rs", "fn row_01_no_other_peer() {"), (proofs::FILE, proof)]);
        let (count, proofs) = (placeholder("count"), placeholder("proofs"));
        let template = format!("a\n{count}\n{proofs}\n{ROW}1: a\n\nb\n{ROW}2: c\n\nd\n");
        let page = known.fill(&template);
        assert!(page.starts_with("a\n1 tests") && page.ends_with("\n\nd\n\nNo test.\n"), "{page}");
        assert!(page.contains("- [a.rs](../../a.rs): no other peer\n"), "{page}");
        assert!(page.contains("| kill |  | 1,000 kills | 0 |"), "{page}");
        assert!(page.contains("### Row 2: "), "{page}");
    }

    #[test]
    fn the_template_has_a_placeholder_for_each_generated_part() {
        for name in ["count", "proofs"] {
            assert_eq!(TEMPLATE.matches(&placeholder(name)).count(), 1, "{name}");
        }
        assert!(!known(&[]).page().contains("<!-- generated:"));
    }

    #[test]
    fn a_row_that_loses_its_test_is_a_gap_and_so_is_a_number_without_a_row() {
        let rows = rows(TEMPLATE).map(|(number, _)| number).chain([99]);
        let lines: Vec<_> = rows.map(|number| format!("fn row_{number:02}_x() {{")).collect();
        let all = lines.join("\n");
        let gaps = known(&[("a.rs", &all)]).gaps();
        assert_eq!(gaps, ["`x` in a.rs: unknown row 99"]);
        let gaps = known(&[("a.rs", &all.replace("fn row_07_x", "fn x"))]).gaps();
        assert!(gaps[0].starts_with("no test is named row_07_"), "{gaps:?}");
    }

    #[test]
    fn the_rows_are_in_order_and_complete() {
        assert!(rows(TEMPLATE).map(|(number, _)| number).eq(1..=58));
        for (number, text) in rows(TEMPLATE) {
            let (title, answer) = text.split_once("\n\n").unwrap();
            assert!(answer.ends_with('.') && !title.ends_with('.'), "row {number}");
            assert!(!text.contains('|'), "row {number}");
        }
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!([999, 1000, 100_000_000].map(grouped), ["999", "1,000", "100,000,000"]);
    }
}
