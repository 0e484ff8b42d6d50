//! The configuration file: any text is either accepted or every error in it can be displayed.

#![no_main]

// The program is not a library; its configuration parser needs no other part of it.
#[path = "../../crates/wharf/src"]
#[expect(dead_code, reason = "the program uses the rest")]
mod program {
    pub(crate) mod config;
}

#[path = "../../crates/wharf/src/log"]
#[expect(dead_code, reason = "the program uses the rest")]
mod log {
    pub(crate) mod catalog;
}

#[path = "../../crates/wharf/src/hint.rs"]
#[expect(dead_code, reason = "the program uses the rest")]
mod hint;

#[path = "../../crates/wharf/src/io_error_text.rs"]
mod io_error_text;

#[path = "../../crates/wharf/src/units.rs"]
#[expect(dead_code, reason = "the program uses the rest")]
mod units;

/// Paths of the system have no effect on the parser.
mod standard_paths {
    pub(crate) fn state_folder() -> std::path::PathBuf {
        std::path::PathBuf::new()
    }
}

/// Messages stay English here; the translation needs the rest of the program.
mod chinese {
    use crate::program::config::problem::ConfigProblem;

    pub(crate) fn is_active() -> bool {
        false
    }

    pub(crate) fn label(name: &'static str) -> &'static str {
        name
    }

    pub(crate) fn problem(problem: &ConfigProblem) -> ConfigProblem {
        problem.clone()
    }

    pub(crate) fn wide_colons(text: &str) -> String {
        text.to_owned()
    }
}

use libfuzzer_sys::fuzz_target;
use program::config::layers::Layers;
use program::config::problem::{ConfigText, render};
use program::config::{Loaded, file, show};

fuzz_target!(|text: &str| {
    let folder = std::path::Path::new("/nowhere");
    let mut layers = Layers::new(folder, folder);
    let mut problems = Vec::new();
    file::take_apart(text, &mut layers, &mut problems);
    // Nearly all inputs are invalid TOML, and displaying the error takes most of the time: one in
    // 16 is enough.
    if layers.is_broken && text.len() % 16 != 0 {
        return;
    }
    let loaded = Loaded::understood(layers, problems);
    let source = ConfigText { path: folder.into(), text: text.to_owned() };
    if !loaded.problems.is_empty() {
        let shown = render(&loaded.problems, Some(&source), false);
        assert!(!shown.is_empty());
    }
    if loaded.is_valid() {
        let _ = show::in_force(&loaded.layers, true);
    }
});
