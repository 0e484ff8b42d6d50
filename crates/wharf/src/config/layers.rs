//! What the layers of a configuration say together, and typed values out of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::problem::{Place, Problem, Source};
use super::raw::Raw;
use super::value::Value;

/// What all layers say together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    items: BTreeMap<String, Item>,
    /// How many tables there are of each section that may be repeated.
    tables: BTreeMap<&'static str, usize>,
    /// Whether the file could not be read at all.
    pub(crate) is_broken: bool,
    /// The file's text, to show excerpts of.
    pub(crate) source: Option<Source>,
    base: PathBuf,
    current_folder: PathBuf,
}

/// A value and who said it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// The value as written.
    pub(crate) raw: Raw,
    /// Who said it.
    pub(crate) origin: Origin,
}

/// Who said a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The file, at these bytes.
    File(Range<usize>),
    /// This variable.
    Environment(String),
    /// This flag.
    Flag(String),
}

impl Layers {
    /// No values yet; paths of the file begin at `base`, those of variables and flags elsewhere.
    pub(crate) fn new(base: &Path, current_folder: &Path) -> Self {
        Self { base: base.into(), current_folder: current_folder.into(), ..Self::default() }
    }

    /// Forgets every listener that was named so far.
    pub(crate) fn forget_listeners(&mut self) {
        self.items.retain(|path, _| !path.starts_with("listen."));
        self.tables.remove("listen");
    }

    /// How many tables of a section were named.
    pub(crate) fn tables(&self, section: &str) -> usize {
        self.tables.get(section).copied().unwrap_or_default()
    }

    /// Takes note that there are so many, at least.
    pub(crate) fn have_tables(&mut self, section: &'static str, count: usize) {
        let known = self.tables.entry(section).or_default();
        *known = count.max(*known);
    }

    /// Puts a value at a key that is known to exist.
    pub(crate) fn put(&mut self, path: &str, item: Item) {
        self.items.insert(path.into(), item);
    }

    /// Takes the values of some keys from other layers, repeated tables with their number.
    pub(crate) fn hold(&mut self, from: &Self, is_held: impl Fn(&str) -> bool) {
        self.items.retain(|path, _| !is_held(path));
        let held = from.items.iter().filter(|(path, _)| is_held(path));
        self.items.extend(held.map(|(path, item)| (path.clone(), item.clone())));
        self.tables.clone_from(&from.tables);
    }

    /// The full name of every value that some layer says.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.items.keys().map(String::as_str)
    }

    /// The value at a full name, if any layer but the defaults has one.
    pub(crate) fn item(&self, path: &str) -> Option<&Item> {
        self.items.get(path)
    }

    /// Every value that a flag set, by its full name.
    pub(crate) fn set_by_flags(&self) -> impl Iterator<Item = (&str, &Raw)> {
        self.items
            .iter()
            .filter(|(_, item)| matches!(item.origin, Origin::Flag(_)))
            .map(|(path, item)| (path.as_str(), &item.raw))
    }

    /// Where the value at a full name was said.
    pub(crate) fn place_of(&self, path: &str) -> Place {
        self.item(path).map_or(Place::Nowhere, |item| item.origin.place())
    }
}

impl Origin {
    /// The same, for a problem.
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::File(span) => Place::File(span.clone()),
            Self::Environment(name) => Place::Given(format!("the environment variable {name}")),
            Self::Flag(shown) => Place::Given(format!("the option {shown}")),
        }
    }
}

/// Reads typed values out of layers, and gathers what is wrong with them.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    /// What was written.
    pub(crate) layers: &'a Layers,
    /// What is wrong so far.
    pub(crate) problems: Vec<Problem>,
    /// The keys that could not be read.
    pub(crate) wrong: Vec<String>,
}

impl Reader<'_> {
    /// The value of a key. A wrong one becomes a problem, and the default takes its place so that
    /// the rest can be read too.
    pub(crate) fn take<T: Value>(&mut self, path: &str, default: &str) -> T {
        if let Some(item) = self.layers.item(path) {
            let base = match item.origin {
                Origin::File(_) => &self.layers.base,
                Origin::Environment(_) | Origin::Flag(_) => &self.layers.current_folder,
            };
            match T::read(&item.raw, base) {
                Ok(value) => return value,
                Err(wrong) => {
                    let title = format!("`{path}`: {}", wrong.why);
                    let problem = Problem::error(title, item.origin.place());
                    self.problems.push(Problem { help: wrong.help, ..problem });
                    self.wrong.push(path.into());
                }
            }
        }
        from_default(default, &self.layers.base)
    }
}

fn from_default<T: Value>(default: &str, base: &Path) -> T {
    Raw::parse_toml(default)
        .and_then(|raw| T::read(&raw, base).ok())
        .expect("a test reads every default in the table")
}
