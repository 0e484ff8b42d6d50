//! The merged layers of a configuration, and typed values read from them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::problem::{ConfigProblem, ConfigText, ProblemLocation};
use super::raw::Raw;
use super::renamed::renamed_value_hint;
use super::value::ConfigValue;

/// The merged values of all layers.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    items: BTreeMap<String, Item>,
    /// Number of tables of each repeatable section.
    tables: BTreeMap<&'static str, usize>,
    /// Whether the file could not be parsed.
    pub is_broken: bool,
    /// The file's text, to show excerpts in problems.
    pub source: Option<ConfigText>,
    base: PathBuf,
    current_folder: PathBuf,
}

/// A value and its origin.
#[derive(Clone, Debug)]
pub struct Item {
    /// The value as written.
    pub raw: Raw,
    /// Where it was set.
    pub origin: ValueOrigin,
}

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueOrigin {
    /// The file, at these bytes.
    File(Range<usize>),
    /// This variable.
    Environment(String),
    /// This flag.
    Flag(String),
}

impl Layers {
    /// No values yet; relative paths in the file are resolved against `base`.
    pub fn new(base: &Path, current_folder: &Path) -> Self {
        Self { base: base.into(), current_folder: current_folder.into(), ..Self::default() }
    }

    /// Removes all listeners.
    pub(crate) fn forget_listeners(&mut self) {
        self.items.retain(|path, _| !path.starts_with("listen."));
        self.tables.remove("listen");
    }

    /// Number of tables of a section.
    pub fn tables(&self, section: &str) -> usize {
        self.tables.get(section).copied().unwrap_or_default()
    }

    /// Ensures that there are at least this many tables.
    pub(crate) fn have_tables(&mut self, section: &'static str, count: usize) {
        let known = self.tables.entry(section).or_default();
        *known = count.max(*known);
    }

    /// Sets the value of a known key.
    pub fn put(&mut self, path: &str, item: Item) {
        self.items.insert(path.into(), item);
    }

    /// Copies the values of some keys from other layers, with the number of repeated tables.
    pub fn hold(&mut self, from: &Self, is_held: impl Fn(&str) -> bool) {
        self.items.retain(|path, _| !is_held(path));
        let held = from.items.iter().filter(|(path, _)| is_held(path));
        self.items.extend(held.map(|(path, item)| (path.clone(), item.clone())));
        self.tables.clone_from(&from.tables);
    }

    /// The full name of every value that is set.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.items.keys().map(String::as_str)
    }

    /// The value of a key, unless it has its default.
    pub fn item(&self, path: &str) -> Option<&Item> {
        self.items.get(path)
    }

    /// Every value that was set by a flag, by full name.
    pub fn set_by_flags(&self) -> impl Iterator<Item = (&str, &Raw)> {
        self.items
            .iter()
            .filter(|(_, item)| matches!(item.origin, ValueOrigin::Flag(_)))
            .map(|(path, item)| (path.as_str(), &item.raw))
    }

    /// Where the value of a key was set.
    pub fn place_of(&self, path: &str) -> ProblemLocation {
        self.item(path).map_or(ProblemLocation::Nowhere, |item| item.origin.place())
    }
}

impl ValueOrigin {
    /// The same, for a problem.
    pub fn place(&self) -> ProblemLocation {
        match self {
            Self::File(span) => ProblemLocation::File(span.clone()),
            Self::Environment(name) => {
                ProblemLocation::Given(format!("the environment variable {name}"))
            }
            Self::Flag(shown) => ProblemLocation::Given(format!("the option {shown}")),
        }
    }
}

/// Reads typed values from the layers, and collects problems.
#[derive(Debug)]
pub struct ConfigReader<'a> {
    /// The merged layers.
    pub layers: &'a Layers,
    /// The problems found so far.
    pub problems: Vec<ConfigProblem>,
    /// The keys whose values are invalid.
    pub wrong: Vec<String>,
}

impl ConfigReader<'_> {
    /// The value of a key. An invalid one is recorded as a problem and replaced by the default, so
    /// that reading can continue.
    pub fn take<T: ConfigValue>(&mut self, path: &str, default: &str) -> T {
        if let Some(item) = self.layers.item(path) {
            let base = match item.origin {
                ValueOrigin::File(_) => &self.layers.base,
                ValueOrigin::Environment(_) | ValueOrigin::Flag(_) => &self.layers.current_folder,
            };
            match T::read(&item.raw, base) {
                Ok(value) => return value,
                Err(wrong) => {
                    let is_in_file = matches!(item.origin, ValueOrigin::File(_));
                    let title = format!("`{path}`: {}", wrong.why);
                    let hint = renamed_value_hint(path, &item.raw, is_in_file).or(wrong.hint);
                    let hint = hint.or_else(|| Some(default_hint(path, default)));
                    let problem = ConfigProblem::error(title, item.origin.place());
                    self.problems.push(ConfigProblem { hint, ..problem });
                    self.wrong.push(path.into());
                }
            }
        }
        from_default(default, &self.layers.base)
    }
}

/// A hint for a value without a better one.
fn default_hint(path: &str, default: &str) -> String {
    let name = path.rsplit('.').next().unwrap_or(path);
    match default {
        "\"\"" | "[]" => "list all keys with their meaning:  wharf config default".to_owned(),
        _ => format!("the default is  {name} = {default}"),
    }
}

fn from_default<T: ConfigValue>(default: &str, base: &Path) -> T {
    Raw::parse_toml(default)
        .and_then(|raw| T::read(&raw, base).ok())
        .expect("a test reads every default in the table")
}
