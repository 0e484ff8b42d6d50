//! The configuration file: any text is either accepted or every error in it can be displayed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_config::layers::Layers;
use wharf_config::problem::{ConfigText, render};
use wharf_config::{Loaded, file, show};

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
