//! The layers of a configuration: command line over environment over file over default.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::file;
use super::keys::{SECTIONS, join};
use super::problem::{Place, Problem, Source};
use super::raw::Raw;
use super::value::Value;

/// Where values come from, before any is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    /// The configuration file, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// Where the paths of defaults begin: the file's folder, or where it would lie.
    pub(crate) base: PathBuf,
    /// Where paths of variables and flags begin.
    pub(crate) current_folder: PathBuf,
    /// The environment; only names that begin with `WHARF__` are looked at.
    pub(crate) environment: Vec<(String, String)>,
    /// What flags say, the last one winning.
    pub(crate) flags: Vec<Flag>,
    /// Whether the listeners of the file and the environment are forgotten, since flags say
    /// where to listen.
    pub(crate) forgets_listeners: bool,
}

/// A key set by a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flag {
    /// The flag as it was typed, such as `-p 2121`.
    pub(crate) shown: String,
    /// The key's full name.
    pub(crate) path: String,
    /// The value.
    pub(crate) raw: Raw,
}

/// What all layers say together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    items: BTreeMap<String, Item>,
    /// How many `[[listen]]` tables there are.
    pub(crate) listeners: usize,
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

/// What every variable's name begins with.
pub(crate) const VARIABLE_PREFIX: &str = "WHARF__";

/// In place of a listener's number: all of them.
pub(crate) const EVERY: &str = "*";

impl Layers {
    /// Reads all layers, the lowest first. What cannot be placed becomes a problem.
    pub(crate) fn load(inputs: &Inputs) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut layers = Self {
            base: inputs.base.clone(),
            current_folder: inputs.current_folder.clone(),
            ..Self::default()
        };
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
                let raw = Raw::Plain(value.clone());
                let origin = Origin::Environment(name.clone());
                layers.place(&path, Item { raw, origin }, &mut problems);
            }
        }
        if inputs.forgets_listeners {
            layers.items.retain(|path, _| !path.starts_with("listen."));
            layers.listeners = 0;
        }
        for flag in &inputs.flags {
            let origin = Origin::Flag(flag.shown.clone());
            layers.place(&flag.path, Item { raw: flag.raw.clone(), origin }, &mut problems);
        }
        (layers, problems)
    }

    /// Puts a value at a key that is known to exist.
    pub(crate) fn put(&mut self, path: &str, item: Item) {
        self.items.insert(path.into(), item);
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

    /// Puts a value at a key that may not exist: one from a variable or a flag.
    fn place(&mut self, path: &str, item: Item, problems: &mut Vec<Problem>) {
        let place = item.origin.place();
        let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
        let (section, index) = match section.split_once('.') {
            Some((list, index)) => (list, Some(index)),
            None => (section, None),
        };
        let known = SECTIONS.iter().find(|known| known.name == section);
        let Some(known) = known.filter(|known| known.keys.iter().any(|key| key.name == name))
        else {
            problems.push(file::unknown(section, name, place));
            return;
        };
        if known.is_list && index == Some(EVERY) {
            self.listeners = self.listeners.max(1);
            for index in 0..self.listeners {
                self.put(&join(&format!("{section}.{index}"), name), item.clone());
            }
            return;
        }
        match (known.is_list, index.map(str::parse::<usize>)) {
            (false, None) => self.put(path, item),
            (true, Some(Ok(index))) if index <= self.listeners => {
                self.listeners = self.listeners.max(index + 1);
                self.put(&join(&format!("{section}.{index}"), name), item);
            }
            (true, Some(Ok(index))) => {
                let title = format!("`{path}`: there is no listener number {index}");
                let help = format!("the next one is `{section}.{}.{name}`", self.listeners);
                problems.push(Problem::error(title, place).help(help));
            }
            (true, _) => {
                let title = format!("`{path}`: which listener is meant?");
                let help = format!("they are counted from 0: `{section}.0.{name}`");
                problems.push(Problem::error(title, place).help(help));
            }
            (false, Some(_)) => problems.push(file::unknown(section, name, place)),
        }
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
