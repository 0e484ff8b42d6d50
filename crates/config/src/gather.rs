//! Merges the layers of a configuration; precedence: command line, environment, file, default.

use std::path::PathBuf;

use super::file;
use super::keys::{SECTIONS, join};
use super::layers::{Item, Layers, ValueOrigin};
use super::log_levels;
use super::problem::{ConfigProblem, ProblemLocation};
use super::raw::Raw;

/// The sources of values.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// Base of relative default paths: the folder of the file, or its standard folder.
    pub base: PathBuf,
    /// Base of relative paths in variables and flags.
    pub current_folder: PathBuf,
    /// The environment; only `WHARF_LOG` and names that begin with `WHARF__` are used.
    pub environment: Vec<(String, String)>,
    /// Keys set by flags; the last one takes precedence.
    pub flags: Vec<Flag>,
    /// Whether flags replace the listeners of the file and the environment.
    pub forgets_listeners: bool,
}

/// A key set by a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The flag as it was typed, such as `-p 2121`.
    pub shown: String,
    /// The key's full name.
    pub path: String,
    /// The value.
    pub raw: Raw,
}

/// Prefix of environment variables.
pub(crate) const VARIABLE_PREFIX: &str = "WHARF__";

/// Prefix of a key of all listeners.
const EVERY_LISTENER: &str = "listen.*.";

/// Instead of the number of a listener: all listeners.
pub(crate) const EVERY: &str = "*";

/// Reads all layers, lowest precedence first. Unknown keys are reported as problems.
pub fn gather(inputs: &Inputs) -> (Layers, Vec<ConfigProblem>) {
    let mut problems = Vec::new();
    let mut layers = Layers::new(&inputs.base, &inputs.current_folder);
    if let Some(path) = &inputs.file {
        match file::read(path) {
            Ok(source) => {
                file::take_apart(&source.text, &mut layers, &mut problems);
                layers.source = Some(source);
            }
            Err(problem) => {
                layers.is_broken = true;
                problems.push(problem);
            }
        }
    }
    for (name, value) in &inputs.environment {
        if let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) {
            let path = rest.split("__").collect::<Vec<_>>().join(".").to_lowercase();
            let raw = Raw::from_plain(value);
            let origin = ValueOrigin::Environment(name.clone());
            place(&mut layers, &path, Item { raw, origin }, &mut problems);
        }
    }
    for (name, value) in &inputs.environment {
        if name == log_levels::VARIABLE && !value.trim().is_empty() {
            let (level, filter) = log_levels::of_variable(value);
            let values = level.map(|level| ("log.level", level));
            for (path, raw) in values.into_iter().chain([("log.filter", filter)]) {
                let origin = ValueOrigin::Environment(name.clone());
                place(&mut layers, path, Item { raw, origin }, &mut problems);
            }
        }
    }
    if inputs.forgets_listeners {
        layers.forget_listeners();
    }
    let named_elsewhere = layers.tables("listen");
    for flag in &inputs.flags {
        let origin = ValueOrigin::Flag(flag.shown.clone());
        if flag.path.starts_with(EVERY_LISTENER) && named_elsewhere > 1 {
            problems.push(which_listener(flag, named_elsewhere, origin.place()));
            continue;
        }
        place(&mut layers, &flag.path, Item { raw: flag.raw.clone(), origin }, &mut problems);
    }
    (layers, problems)
}

/// A flag for one listener is ambiguous if there are several.
fn which_listener(flag: &Flag, count: usize, place: ProblemLocation) -> ConfigProblem {
    let key = flag.path.strip_prefix(EVERY_LISTENER).unwrap_or_default();
    let value = flag.shown.rsplit([' ', '=']).next().unwrap_or_default();
    let title = format!("`{}` is ambiguous: there are {count} listeners", flag.shown);
    ConfigProblem::error(title, place)
        .hint(format!("--set listen.0.{key}={value} changes the first; -i ADDRESS replaces all"))
}

/// Sets a value from a variable or a flag; the key may be unknown.
fn place(layers: &mut Layers, path: &str, item: Item, problems: &mut Vec<ConfigProblem>) {
    let place = item.origin.place();
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    let is_section = SECTIONS.iter().any(|known| known.name == section);
    let (section, index) = match section.split_once('.') {
        Some((list, index)) if !is_section => (list, Some(index)),
        _ => (section, None),
    };
    let known = SECTIONS.iter().find(|known| known.name == section);
    let Some(known) = known.filter(|known| known.keys.iter().any(|key| key.name == name)) else {
        problems.push(file::unknown(section, name, place));
        return;
    };
    if known.is_list && index == Some(EVERY) {
        layers.have_tables(known.name, 1);
        for index in 0..layers.tables(section) {
            layers.put(&join(&format!("{section}.{index}"), name), item.clone());
        }
        return;
    }
    match (known.is_list, index.map(str::parse::<usize>)) {
        (false, None) => layers.put(path, item),
        (true, Some(Ok(index))) if index <= layers.tables(section) => {
            layers.have_tables(known.name, index + 1);
            layers.put(&join(&format!("{section}.{index}"), name), item);
        }
        (true, Some(Ok(index))) => {
            let title = format!("`{path}`: unknown {} number {index}", what_of(section));
            let hint = format!("the next number is `{section}.{}.{name}`", layers.tables(section));
            problems.push(ConfigProblem::error(title, place).hint(hint));
        }
        (true, _) => {
            let title = format!("`{path}`: the number of the {} is missing", what_of(section));
            let hint = format!("numbers start at 0: `{section}.0.{name}`");
            problems.push(ConfigProblem::error(title, place).hint(hint));
        }
        (false, Some(_)) => problems.push(file::unknown(section, name, place)),
    }
}

/// The name of one table of a repeatable section.
fn what_of(section: &str) -> &str {
    if section == "listen" { "listener" } else { section }
}
