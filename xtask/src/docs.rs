//! Writes the generated documents again.
//!
//! Each generated document has a test that fails when it is stale. With [`BLESS`] set, those tests
//! write the document instead; so what writes it and what checks it are the same lines of code.
//! The page on trust names those tests, among others; it is written and checked here (by tidy).

use std::path::Path;

use crate::{picture, process, trust};

/// Makes the freshness tests write the documents.
const BLESS: &str = "WHARF_BLESS";
/// Freshness tests are named `..._is_up_to_date`.
const FRESHNESS_TESTS: &str = "test(/is_up_to_date$/)";

/// Runs the freshness tests in writing mode, then draws the picture.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let arguments = [
        "nextest", "run", "--workspace", "--all-features", "--no-fail-fast", "-E", FRESHNESS_TESTS,
    ];
    if !process::succeeds(process::cargo(root).args(arguments).env(BLESS, "1"))? {
        return Err("cannot write a document, see above".to_owned());
    }
    trust::run(root)?;
    picture::run(root)
}
