//! Configuration files with one directive per line, and tables of how each directive is imported.

use std::path::Path;

use wharf_config::raw::Raw;
use wharf_users::nearest::nearest;

use super::model::{ImportResult, SourceLocation};

/// A directive with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directive {
    /// Its name as written.
    pub name: String,
    /// The trimmed rest of the line.
    pub value: String,
    pub location: SourceLocation,
}

/// How a value is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueFormat {
    /// Unchanged text.
    Text,
    /// An integer.
    Number,
    /// A number of seconds.
    Seconds,
    /// A number of minutes.
    Minutes,
    /// A boolean.
    Boolean,
    /// The path of a file on this computer.
    Path,
}

/// How a directive is imported.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DirectiveAction {
    /// It becomes this key.
    To(&'static str, ValueFormat),
    /// Ignored: it concerns the old program only, or wharf always behaves so.
    Silent,
    /// Not supported; with a hint.
    Lost(&'static str),
    /// Not supported if its value is this boolean.
    LostIf(bool, &'static str),
    /// Handled by a function, which returns `None` if the value is invalid.
    By(fn(&Directive, &mut ImportResult) -> Option<()>),
}

/// Names of directives with their handling.
pub(crate) type DirectiveTable = [(&'static [&'static str], DirectiveAction)];

/// Hint for data connections to third hosts (FXP) and privileged ports.
pub(crate) const NEVER: &str = "never allowed, since it enables FTP bounce attacks";

/// Imports a directive according to the table.
pub(crate) fn apply(directive: &Directive, table: &DirectiveTable, found: &mut ImportResult) {
    let name = directive.name.as_str();
    let is_it = |known: &&str| known.eq_ignore_ascii_case(name);
    let action = table.iter().find(|(names, _)| names.iter().any(is_it));
    let shown = name.escape_debug();
    let Some((_, action)) = action else {
        let names = table.iter().flat_map(|(names, _)| names.iter().copied());
        let hint = match nearest(name, names) {
            Some(near) => format!("did you mean `{near}`? correct it and import again"),
            None => "see all settings of wharf:  wharf config default".into(),
        };
        found.lost(&directive.location, format!("unknown directive `{shown}`"), hint);
        return;
    };
    let done = match *action {
        DirectiveAction::To(path, kind) => directive.put(path, kind, found),
        DirectiveAction::Silent => Some(()),
        DirectiveAction::Lost(hint) => {
            found.lost(&directive.location, format!("`{shown}` is not supported"), hint);
            Some(())
        }
        DirectiveAction::LostIf(when, hint) => directive.truth().map(|is_on| {
            if is_on == when {
                found.lost(&directive.location, format!("`{shown}` is not supported"), hint);
            }
        }),
        DirectiveAction::By(kind) => kind(directive, found),
    };
    if done.is_none() {
        let what = format!("`{shown}`: invalid value `{}`", directive.value.escape_debug());
        found.lost(&directive.location, what, "correct the value and import again");
    }
}

impl Directive {
    /// Parses a boolean.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self.value.to_ascii_lowercase().as_str() {
            "yes" | "on" | "true" | "1" => Some(true),
            "no" | "off" | "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// Parses an integer.
    pub(crate) fn number(&self) -> Option<u64> {
        self.value.parse().ok()
    }

    /// The words of the value; quoted words may contain spaces.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut rest = self.value.trim();
        while !rest.is_empty() {
            let (word, behind) = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
            };
            words.push(word.to_owned());
            rest = behind.trim_start();
        }
        words
    }

    /// The value without surrounding quotes.
    pub(crate) fn unquoted(&self) -> &str {
        let inner = self.value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        inner.unwrap_or(&self.value)
    }

    /// Sets a key to the value.
    pub(crate) fn put(
        &self,
        path: &str,
        kind: ValueFormat,
        found: &mut ImportResult,
    ) -> Option<()> {
        let (location, name) = (&self.location, self.name.as_str());
        match kind {
            ValueFormat::Text => found.set_text(path, self.unquoted(), location, name),
            ValueFormat::Number => {
                let number = u32::try_from(self.number()?).ok()?;
                found.set_number(path, number.into(), location, name);
            }
            ValueFormat::Seconds | ValueFormat::Minutes => {
                let factor = if kind == ValueFormat::Minutes { 60 } else { 1 };
                let number = u32::try_from(self.number()?).ok()?;
                found.set_seconds(path, u64::from(number) * factor, location, name);
            }
            ValueFormat::Boolean => found.set(path, Raw::Boolean(self.truth()?), location, name),
            ValueFormat::Path => {
                let text = self.unquoted();
                // The working folder of the old service is unknown.
                if !Path::new(text).is_absolute() {
                    return None;
                }
                found.set_text(path, text, location, name);
            }
        }
        Some(())
    }

    /// Sets another key to a text.
    pub(crate) fn set(&self, path: &str, text: &str, found: &mut ImportResult) {
        found.set_text(path, text, &self.location, &self.name);
    }
}
