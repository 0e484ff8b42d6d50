//! What an old set-up says, in wharf's terms, and what is to be told about it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;

use wharf_core::account::{Count, Rate};
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;
use wharf_users::name::check_name;

use crate::config::raw::Raw;
use crate::config::units::show_duration;

/// A line of a file of the old set-up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// The file, as it is shown.
    pub(crate) file: String,
    /// The line, from 1; 0 for the file as a whole.
    pub(crate) line: usize,
}

impl fmt::Display for Spot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return out.write_str(&self.file);
        }
        write!(out, "{}:{}", self.file, self.line)
    }
}

/// What kind of thing is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A line that is not in the result.
    Lost,
    /// Something that is in the result and means something else than it did.
    Changed,
    /// Something to know or to do.
    Advice,
}

/// One thing that is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Note {
    pub(crate) kind: Kind,
    /// Where it stands in the old set-up, if it stands in one place.
    pub(crate) spot: Option<Spot>,
    /// What it is about.
    pub(crate) what: String,
    /// What to do; empty if there is nothing to do.
    pub(crate) remedy: String,
}

/// How the note begins that tells of the last passive port.
pub(crate) const LAST_PORT: &str = "Python's range() leaves out its end";

/// A key of `wharf.toml` with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The value.
    pub(crate) raw: Raw,
    /// Where it comes from.
    pub(crate) spot: Spot,
    /// What it is called there.
    pub(crate) word: String,
}

/// The password of an account.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    /// None that can be used: nobody can log in until one is set.
    None,
    /// None is needed, from its addresses.
    NotNeeded,
    /// A hash that wharf can verify.
    Hash(String),
    /// The password itself.
    Plain(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::None => "None",
            Self::NotNeeded => "NotNeeded",
            Self::Hash(_) => "Hash(…)",
            Self::Plain(_) => "Plain(…)",
        })
    }
}

/// A fact of an account for which `users.toml` has no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// The most bytes it may keep.
    Quota(u64),
    /// The most files it may keep.
    QuotaFiles(u64),
    /// Where it may come from.
    Allow(String),
    /// Where it may not come from.
    Deny(String),
    /// At what hours it may come.
    Hours(String),
    /// Until when it may come.
    Expires(String),
    /// The groups it belongs to.
    Groups(String),
}

/// An account of the old set-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) secret: Secret,
    pub(crate) home: PathBuf,
    pub(crate) permissions: Option<Permissions>,
    pub(crate) is_enabled: bool,
    pub(crate) upload_rate: Option<Rate>,
    pub(crate) download_rate: Option<Rate>,
    pub(crate) transfer_upload_rate: Option<Rate>,
    pub(crate) transfer_download_rate: Option<Rate>,
    pub(crate) sessions: Option<Count>,
    pub(crate) requires_tls: bool,
    pub(crate) comment: String,
    pub(crate) paths: Vec<(VPath, Permissions)>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) spot: Spot,
}

impl Account {
    /// An account with nothing but these.
    pub(crate) fn new(name: &str, secret: Secret, home: PathBuf, spot: Spot) -> Self {
        Self {
            name: name.to_owned(),
            secret,
            home,
            permissions: None,
            is_enabled: true,
            upload_rate: None,
            download_rate: None,
            transfer_upload_rate: None,
            transfer_download_rate: None,
            sessions: None,
            requires_tls: false,
            comment: String::new(),
            paths: Vec::new(),
            facts: Vec::new(),
            spot,
        }
    }
}

/// Why nothing at all can be made of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// What is wrong, with the file and its line.
    pub(crate) what: String,
    /// What would help.
    pub(crate) help: String,
}

impl Refused {
    pub(crate) fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }
}

/// Everything that was found in an old set-up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Keys of `wharf.toml` by their full names.
    pub(crate) wishes: BTreeMap<String, Wish>,
    /// In the order of the old set-up.
    pub(crate) accounts: Vec<Account>,
    /// What is to be told.
    pub(crate) notes: Vec<Note>,
    /// Where each name was first seen.
    names: HashMap<String, Spot>,
}

/// The same thing is told once, as far as it comes again so soon.
const NOTES_APART_MAX: usize = 8;

impl Found {
    /// Wants a key to have a value. The last one wins, as in the old programs.
    pub(crate) fn set(&mut self, path: &str, raw: Raw, spot: &Spot, word: &str) {
        let wish = Wish { raw, spot: spot.clone(), word: word.to_owned() };
        self.wishes.insert(path.to_owned(), wish);
    }

    /// Wants a key to be a text.
    pub(crate) fn set_text(&mut self, path: &str, text: &str, spot: &Spot, word: &str) {
        self.set(path, Raw::Text(text.to_owned()), spot, word);
    }

    /// Wants a key to be a time.
    pub(crate) fn set_seconds(&mut self, path: &str, seconds: u64, spot: &Spot, word: &str) {
        let text = show_duration(std::time::Duration::from_secs(seconds));
        self.set_text(path, &text, spot, word);
    }

    /// Wants a key to be a whole number.
    pub(crate) fn set_number(&mut self, path: &str, number: u64, spot: &Spot, word: &str) {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.set(path, Raw::Integer(number), spot, word);
    }

    /// The text that a key is wanted to have.
    pub(crate) fn text_of(&self, path: &str) -> Option<&str> {
        self.wishes.get(path).and_then(|wish| wish.raw.text())
    }

    /// The line at `spot` is not in the result.
    pub(crate) fn lost(&mut self, spot: &Spot, what: impl Into<String>, todo: impl Into<String>) {
        self.note(Kind::Lost, Some(spot), what, todo);
    }

    /// The line at `spot` means something else now.
    pub(crate) fn changed(
        &mut self,
        spot: &Spot,
        what: impl Into<String>,
        todo: impl Into<String>,
    ) {
        self.note(Kind::Changed, Some(spot), what, todo);
    }

    /// Something to know.
    pub(crate) fn note(
        &mut self,
        kind: Kind,
        spot: Option<&Spot>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let note = Note { kind, spot: spot.cloned(), what: what.into(), remedy: remedy.into() };
        if !self.notes.iter().rev().take(NOTES_APART_MAX).any(|known| *known == note) {
            self.notes.push(note);
        }
    }

    /// Takes an account, unless its name is none or is taken. Says whether it did.
    pub(crate) fn add(&mut self, account: Account) -> bool {
        let shown = account.name.escape_debug().to_string();
        if let Err(problem) = check_name(&account.name) {
            let what = format!("the account `{shown}` cannot be called so: {problem}");
            self.lost(&account.spot, what, "give it another name and import again");
            return false;
        }
        if let Some(known) = self.names.get(&account.name) {
            let what = format!("`{shown}` has an account already, from {known}");
            self.lost(&account.spot, what, "the first one counts; remove one of the two");
            return false;
        }
        self.names.insert(account.name.clone(), account.spot.clone());
        self.accounts.push(account);
        true
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.wishes.is_empty() && self.accounts.is_empty()
    }
}
