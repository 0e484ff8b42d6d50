//! The parts of `docs/TRUST.md` that are made from the source: which tests show each row, and
//! which proofs were run. What stands around them is written by hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use found::Found;
use rows::{ROWS, WITHOUT_TESTS};

mod found;
mod proofs;
mod rows;

pub(crate) use proofs::record;

/// The page, from the top of the checkout.
pub(crate) const PAGE: &str = "docs/TRUST.md";

/// What is known of the tree: all Rust files and the results of proofs.
pub(crate) struct Known {
    tests: Vec<Found>,
    proofs: Vec<proofs::Proof>,
}

impl Known {
    /// Reads what the page is made of. `texts` are paths from the top, and contents.
    pub(crate) fn read<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut found, mut proofs) = (Vec::new(), Vec::new());
        for (path, text) in texts {
            if path == proofs::FILE {
                proofs = proofs::read(text);
            } else if is_rust(path) && !path.starts_with("xtask/src/trust/") {
                found.extend(found::tests_in(path, text));
            }
        }
        let order = |test: &Found| (test.file.clone(), test.sentence.clone());
        found.sort_by_key(order);
        Self { tests: found, proofs }
    }

    /// The page, with its generated parts made anew.
    ///
    /// # Errors
    /// The mark that it lacks.
    pub(crate) fn page(&self, old: &str) -> Result<String, String> {
        let parts =
            [("rows", self.rows()), ("tests", self.tests_of_rows()), ("proofs", self.proofs())];
        parts.iter().try_fold(old.to_owned(), |page, (name, part)| put(&page, name, part))
    }

    /// Rows that no test shows, and numbers in names that are no row: row or number, and why.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let shown = |number| self.tests.iter().any(|test| test.rows.contains(&number));
        let bare = ROWS.iter().filter(|row| !WITHOUT_TESTS.contains(&row.number));
        let bare = bare.filter(|row| !shown(row.number));
        let mut gaps: Vec<_> = bare
            .map(|row| format!("no test has row_{:02}_ in its name ({})", row.number, row.fault))
            .collect();
        for test in &self.tests {
            let is_row = |number: &&u32| ROWS.iter().any(|row| row.number == **number);
            for number in test.rows.iter().filter(|number| !is_row(number)) {
                gaps.push(format!(
                    "`{}` in {}: there is no row {number}",
                    test.sentence, test.file
                ));
            }
        }
        gaps
    }

    fn rows(&self) -> String {
        let mut out = String::from("| | What can go wrong | What wharf does |\n|---|---|---|\n");
        for row in ROWS {
            let _ = writeln!(out, "| {} | {} | {} |", row.number, row.fault, row.answer);
        }
        let count = self.tests.len();
        let _ = writeln!(out, "\n{count} tests carry the number of a row in their name.");
        out
    }

    fn tests_of_rows(&self) -> String {
        let mut out = String::new();
        for row in ROWS.iter().filter(|row| !WITHOUT_TESTS.contains(&row.number)) {
            let _ = writeln!(out, "**{} {}**\n", row.number, row.fault);
            let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for test in self.tests.iter().filter(|test| test.rows.contains(&row.number)) {
                files.entry(&test.file).or_default().push(&test.sentence);
            }
            if files.is_empty() {
                out.push_str("- no test\n");
            }
            for (file, sentences) in files {
                let _ = writeln!(out, "- [{file}](../{file}): {}", sentences.join("; "));
            }
            out.push('\n');
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

/// Writes the page again.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let tree = crate::checkout::texts(root)?;
    let known = Known::read(tree.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let path = root.join(PAGE);
    let old = fs::read_to_string(&path).map_err(|error| format!("cannot read {PAGE}: {error}"))?;
    fs::write(&path, known.page(&old)?).map_err(|error| format!("cannot write {PAGE}: {error}"))?;
    eprintln!("xtask: {PAGE} written");
    Ok(())
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end == "rs")
}

/// Puts `part` between the marks of its name.
fn put(page: &str, name: &str, part: &str) -> Result<String, String> {
    let begin = format!("<!-- {name}: generated by cargo xtask docs -->\n");
    let end = format!("<!-- end of {name} -->");
    let (before, rest) =
        page.split_once(&begin).ok_or_else(|| format!("{PAGE} lacks the line {begin}"))?;
    let (_, after) = rest.split_once(&end).ok_or_else(|| format!("{PAGE} lacks the line {end}"))?;
    Ok(format!("{before}{begin}\n{}\n\n{end}{after}", part.trim_end()))
}

/// The machines on which proofs were run.
fn machines(proofs: &[proofs::Proof]) -> Vec<String> {
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

    fn page_without() -> String {
        let marks = |name: &str| {
            format!("<!-- {name}: generated by cargo xtask docs -->\n<!-- end of {name} -->\n")
        };
        ["a\n".to_owned(), marks("rows"), marks("tests"), marks("proofs"), "b\n".into()].concat()
    }

    fn known(texts: &[(&str, &str)]) -> Known {
        Known::read(texts.iter().copied())
    }

    #[test]
    fn a_page_that_was_made_is_made_the_same_again() {
        let proof = "[[proof]]\nname = \"kill\"\ncount = 1000\nunit = \"kills\"\nfailed = 0\n";
        let known = known(&[("a.rs", "fn row_01_nobody_else() {"), (proofs::FILE, proof)]);
        let page = known.page(&page_without()).unwrap();
        assert!(page.starts_with("a\n") && page.ends_with("b\n"));
        assert!(page.contains("- [a.rs](../a.rs): nobody else\n"), "{page}");
        assert!(page.contains("| kill |  | 1,000 kills | 0 |"), "{page}");
        assert_eq!(known.page(&page).unwrap(), page);
        assert!(known.page("no marks").is_err());
    }

    #[test]
    fn a_row_that_loses_its_test_is_a_gap_and_so_is_a_number_without_a_row() {
        let rows = ROWS.iter().map(|row| row.number).chain([99]);
        let lines: Vec<_> = rows.map(|number| format!("fn row_{number:02}_x() {{")).collect();
        let all = lines.join("\n");
        let gaps = known(&[("a.rs", &all)]).gaps();
        assert_eq!(gaps, ["`x` in a.rs: there is no row 99"]);
        let gaps = known(&[("a.rs", &all.replace("fn row_07_x", "fn x"))]).gaps();
        assert!(gaps[0].starts_with("no test has row_07_"), "{gaps:?}");
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!([999, 1000, 100_000_000].map(grouped), ["999", "1,000", "100,000,000"]);
    }
}
