//! Files of one directive a line, and tables that say what becomes of each directive.

use std::path::Path;

use wharf_users::nearest::nearest;

use super::model::{Found, Spot};
use crate::config::raw::Raw;

/// A directive with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directive {
    /// Its name as it is written.
    pub(crate) name: String,
    /// What follows, without the blanks around it.
    pub(crate) value: String,
    pub(crate) spot: Spot,
}

/// How a value is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    /// As it is.
    Text,
    /// As a whole number.
    Number,
    /// As a number of seconds.
    Seconds,
    /// As a number of minutes.
    Minutes,
    /// As yes or no.
    Truth,
    /// As the path of a file of this computer.
    Path,
}

/// What becomes of a directive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// It becomes a key.
    To(&'static str, As),
    /// It is about the old program itself, or it is so anyway.
    Silent,
    /// It has no counterpart; what to do instead.
    Lost(&'static str),
    /// The same, but only where it says yes (or no).
    LostIf(bool, &'static str),
    /// Something of its own; nothing is returned where its value makes no sense.
    By(fn(&Directive, &mut Found) -> Option<()>),
}

/// Names of directives with their fates.
pub(crate) type Table = [(&'static [&'static str], Fate)];

/// What is said of third computers and low ports.
pub(crate) const NEVER: &str = "never: that is how FTP servers are turned against other computers";

/// Does with a directive what the table says.
pub(crate) fn apply(directive: &Directive, table: &Table, found: &mut Found) {
    let name = directive.name.as_str();
    let is_it = |known: &&str| known.eq_ignore_ascii_case(name);
    let fate = table.iter().find(|(names, _)| names.iter().any(is_it));
    let shown = name.escape_debug();
    let Some((_, fate)) = fate else {
        let names = table.iter().flat_map(|(names, _)| names.iter().copied());
        let remedy = match nearest(name, names) {
            Some(near) => format!("is `{near}` meant? then mend it and import again"),
            None => "see whether wharf has something of this kind:  wharf config default".into(),
        };
        found.lost(&directive.spot, format!("`{shown}` is not known here"), remedy);
        return;
    };
    let done = match *fate {
        Fate::To(path, kind) => directive.put(path, kind, found),
        Fate::Silent => Some(()),
        Fate::Lost(remedy) => {
            found.lost(&directive.spot, format!("`{shown}` has no counterpart"), remedy);
            Some(())
        }
        Fate::LostIf(when, remedy) => directive.truth().map(|is_on| {
            if is_on == when {
                found.lost(&directive.spot, format!("`{shown}` has no counterpart"), remedy);
            }
        }),
        Fate::By(act) => act(directive, found),
    };
    if done.is_none() {
        let what = format!("`{shown}`: `{}` makes no sense here", directive.value.escape_debug());
        found.lost(&directive.spot, what, "write its value as it should be, and import again");
    }
}

impl Directive {
    /// Yes or no.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self.value.to_ascii_lowercase().as_str() {
            "yes" | "on" | "true" | "1" => Some(true),
            "no" | "off" | "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// A whole number.
    pub(crate) fn number(&self) -> Option<u64> {
        self.value.parse().ok()
    }

    /// The words of the value; those in quotes may have blanks.
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

    /// The value without quotes around it.
    pub(crate) fn unquoted(&self) -> &str {
        let inner = self.value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        inner.unwrap_or(&self.value)
    }

    /// Makes the value a key's.
    pub(crate) fn put(&self, path: &str, kind: As, found: &mut Found) -> Option<()> {
        let (spot, name) = (&self.spot, self.name.as_str());
        match kind {
            As::Text => found.set_text(path, self.unquoted(), spot, name),
            As::Number => {
                let number = u32::try_from(self.number()?).ok()?;
                found.set_number(path, number.into(), spot, name);
            }
            As::Seconds | As::Minutes => {
                let factor = if kind == As::Minutes { 60 } else { 1 };
                let number = u32::try_from(self.number()?).ok()?;
                found.set_seconds(path, u64::from(number) * factor, spot, name);
            }
            As::Truth => found.set(path, Raw::Boolean(self.truth()?), spot, name),
            As::Path => {
                let text = self.unquoted();
                // A relative path of a service begins where nobody can know.
                if !Path::new(text).is_absolute() {
                    return None;
                }
                found.set_text(path, text, spot, name);
            }
        }
        Some(())
    }

    /// A text for another key.
    pub(crate) fn set(&self, path: &str, text: &str, found: &mut Found) {
        found.set_text(path, text, &self.spot, &self.name);
    }
}
