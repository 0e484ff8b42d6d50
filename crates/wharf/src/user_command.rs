//! `wharf user`: accounts in `users.toml`, changed under a lock and in one step.

mod export;
mod facts;
pub(crate) mod list;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use wharf_users::file::{EditError, Editor, OpenError, Setting, StoredHash, UserFile};
use wharf_users::nearest::nearest;
use wharf_users::password::looks_like_hash;

use crate::cli::Global;
use crate::cli::user::{Facts, Password, User};
use crate::config::problem::{Place, Problem, Source, render};
use crate::hash_command::{ask_twice, hashed};
use crate::outcome::{Exit, Failure, print, tell};
use crate::setup::{config_file, inputs, load};
use crate::share::{confirm, fresh, read_password_file};

/// Does what was asked with the accounts.
pub(crate) fn user(global: &Global, what: &User) -> Result<Exit, Failure> {
    let config = config_file(global);
    let has_config = config.is_some();
    let is_coloured = global.color.is_on();
    let loaded = load(&inputs(global, config, Vec::new()), is_coloured)?;
    let file = loaded.config.server.users_file.0;
    let done = match what {
        User::List { pattern, disabled, json } => {
            list::list(&file, pattern.as_deref(), *disabled, *json)
        }
        User::Export { with_hashes, csv: _ } => export::export(&file, *with_hashes),
        User::Show { name, json } => list::show(&file, name, *json),
        User::Add { name, facts, password } => add(&file, name, facts, password),
        User::Edit { name, facts, password } => edit(&file, name, facts, password),
        User::Passwd { name, password } => set_password(&file, name, password),
        User::Enable { names } => set_enabled(&file, names, true),
        User::Disable { names } => set_enabled(&file, names, false),
        User::Del { names, yes } => delete(&file, names, *yes),
    };
    done.map_err(|error| error.into_failure(is_coloured))?;
    if !has_config && matches!(what, User::Add { .. }) {
        tell(
            "note: there is no config file yet, and without one wharf ignores accounts; make one \
              with\n      wharf config default > wharf.toml   (in the same folder)\n",
        );
    }
    Ok(Exit::Done)
}

/// Why accounts were not changed or shown.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The file, or what should happen to it.
    File(EditError),
    /// Everything else.
    Other(Failure),
}

impl From<EditError> for Trouble {
    fn from(error: EditError) -> Self {
        Self::File(error)
    }
}

impl From<OpenError> for Trouble {
    fn from(error: OpenError) -> Self {
        Self::File(EditError::Open(error))
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl Trouble {
    /// In the words and with the number for the one who typed the command.
    pub(crate) fn into_failure(self, is_coloured: bool) -> Failure {
        let error = match self {
            Self::Other(failure) => return failure,
            Self::File(error) => error,
        };
        let told = Failure::new(error.to_string());
        match error {
            EditError::NoSuchUser(_) => {
                Failure { exit: Exit::NoSuchUser, ..told }.help("which there are:  wharf user list")
            }
            EditError::UserExists(name) => told.help(format!("change it:  wharf user edit {name}")),
            EditError::BadName(..) => Failure { exit: Exit::Usage, ..told },
            EditError::Open(error) => open_failure(&error, is_coloured),
            EditError::Write { path, source } => {
                Failure::io(format!("cannot write {}", path.display()), &source)
            }
            EditError::Unusable(problems) => {
                Failure { exit: Exit::ConfigInvalid, ..Failure::new(problems.to_string()) }
            }
            _ => told,
        }
    }
}

/// A file of accounts that cannot be used, with every mistake shown in its place.
pub(crate) fn open_failure(error: &OpenError, is_coloured: bool) -> Failure {
    match error {
        OpenError::Problems(found) => {
            let source = Source { path: found.path.clone(), text: found.source.clone() };
            let problems: Vec<_> = found
                .problems
                .iter()
                .map(|problem| {
                    let title = if problem.key.is_empty() {
                        problem.message.clone()
                    } else {
                        format!("`{}`: {}", problem.key, problem.message)
                    };
                    let place = Place::File(problem.span.clone());
                    Problem { help: problem.help.clone(), ..Problem::error(title, place) }
                })
                .collect();
            tell(&render(&problems, Some(&source), is_coloured));
            let title = format!("{} has mistakes", found.path.display());
            Failure { exit: Exit::ConfigInvalid, ..Failure::new(title) }
        }
        OpenError::Missing { path } => {
            Failure::new(format!("there are no accounts yet: {} does not exist", path.display()))
                .help("make the first:  wharf user add NAME --home DIR")
        }
        OpenError::TooOpen { path, mode } => Failure {
            exit: Exit::ConfigInvalid,
            ..Failure::new(format!(
                "{} may be read or written by others (mode {mode:04o}), and it holds password \
                 hashes",
                path.display()
            ))
            .help(format!("chmod 600 '{}'", path.display()))
        },
        OpenError::Unreadable { path, source } => {
            Failure::io(format!("cannot read {}", path.display()), source)
        }
        other => Failure { exit: Exit::ConfigInvalid, ..Failure::new(other.to_string()) },
    }
}

fn add(file: &Path, name: &str, facts: &Facts, password: &Password) -> Result<(), Trouble> {
    if facts.home.is_none() {
        return Err(Failure::usage(format!("where are the files of {name}?"))
            .help(format!("wharf user add {name} --home DIR   (with --create-home to make it)"))
            .into());
    }
    // Before anyone is asked for a password that would be for nothing.
    if records(file)?.is_some_and(|file| file.record(name).is_some()) {
        return Err(EditError::UserExists(name.to_owned()).into());
    }
    let mut change = facts::Change::of(facts)?;
    facts::check_home(facts)?;
    let (hash, fresh) = new_password(password)?;
    change.settings.insert(0, Setting::Password(hash));
    facts::make_home(facts)?;
    UserFile::edit(file, |editor| {
        editor.add(name, &change.settings)?;
        Ok::<_, Trouble>(())
    })?;
    tell(&format!("added {name} to {}\n", file.display()));
    print_fresh(fresh)
}

fn edit(file: &Path, name: &str, facts: &Facts, password: &Password) -> Result<(), Trouble> {
    let mut change = facts::Change::of(facts)?;
    existing(file, &[name.to_owned()])?;
    facts::check_home(facts)?;
    let mut fresh = None;
    if password.is_given() {
        let (hash, made) = new_password(password)?;
        change.settings.push(Setting::Password(hash));
        fresh = made;
    }
    if change.settings.is_empty() && change.cleared_paths.is_empty() {
        return Err(Failure::usage("nothing to change was named")
            .help("what can be changed:  wharf user edit --help")
            .into());
    }
    facts::make_home(facts)?;
    UserFile::edit(file, |editor| {
        for setting in &change.settings {
            editor.set(name, setting)?;
        }
        for path in &change.cleared_paths {
            editor.clear_entry(name, "paths", path)?;
        }
        Ok::<_, Trouble>(())
    })?;
    tell(&format!("changed {name}\n"));
    print_fresh(fresh)
}

fn set_password(file: &Path, name: &str, password: &Password) -> Result<(), Trouble> {
    existing(file, &[name.to_owned()])?;
    let (hash, fresh) = new_password(password)?;
    UserFile::edit(file, |editor| {
        editor.set(name, &Setting::Password(hash))?;
        Ok::<_, Trouble>(())
    })?;
    tell(&format!("{name} has a new password\n"));
    print_fresh(fresh)
}

fn set_enabled(file: &Path, names: &[String], is_enabled: bool) -> Result<(), Trouble> {
    each(file, names, |editor, name| editor.set(name, &Setting::Enabled(is_enabled)))?;
    let what = if is_enabled { "may log in" } else { "may no longer log in" };
    tell(&format!("{} {what}\n", names.join(", ")));
    Ok(())
}

fn delete(file: &Path, names: &[String], has_yes: bool) -> Result<(), Trouble> {
    existing(file, names)?;
    let list = names.join(", ");
    if !has_yes {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(format!("remove {list}?"))
                .help("where nobody can be asked, add --yes")
                .into());
        }
        if !confirm(&format!("Remove {list}? Their files stay."))? {
            return Err(Failure::new("nothing was removed").into());
        }
    }
    each(file, names, |editor, name| editor.remove(name))?;
    tell(&format!("removed {list}; their files stay\n"));
    Ok(())
}

/// Does one thing to several accounts, or to none if one of them cannot take it.
fn each(
    file: &Path,
    names: &[String],
    act: impl Fn(&mut Editor, &str) -> Result<(), EditError>,
) -> Result<(), Trouble> {
    existing(file, names)?;
    UserFile::edit(file, |editor| {
        for name in names {
            act(editor, name)?;
        }
        Ok::<_, Trouble>(())
    })
}

/// The accounts, unless there is no file yet.
fn records(file: &Path) -> Result<Option<UserFile>, Trouble> {
    match UserFile::read(file) {
        Ok(records) => Ok(Some(records)),
        Err(OpenError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Refuses names that no account has, with the one that may have been meant.
fn existing(file: &Path, names: &[String]) -> Result<(), Trouble> {
    let Some(records) = records(file)? else {
        return Err(OpenError::Missing { path: PathBuf::from(file) }.into());
    };
    for name in names {
        if records.record(name).is_none() {
            return Err(no_such_user(&records, name).into());
        }
    }
    Ok(())
}

pub(crate) fn no_such_user(records: &UserFile, name: &str) -> Failure {
    let shown = name.escape_debug();
    let failure =
        Failure { exit: Exit::NoSuchUser, ..Failure::new(format!("there is no user `{shown}`")) };
    match nearest(name, records.records().iter().map(|record| record.name.as_str())) {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None => failure.help("which there are:  wharf user list"),
    }
}

impl Password {
    fn is_given(&self) -> bool {
        self.password_file.is_some() || self.generate || self.hash.is_some()
    }
}

/// The hash of the new password, and the password itself if nobody knows it yet.
fn new_password(from: &Password) -> Result<(StoredHash, Option<String>), Failure> {
    if let Some(hash) = &from.hash {
        if !looks_like_hash(hash) {
            return Err(Failure::usage("--hash: this is no password hash that wharf can verify")
                .help("make one:  wharf hash   (in a shell, put it in 'single quotes')"));
        }
        return Ok((StoredHash::from(hash.clone()), None));
    }
    let (text, fresh) = if from.generate {
        let password = fresh()?;
        (password.text.clone(), Some(password.text))
    } else if let Some(file) = &from.password_file {
        (read_password_file(file)?, None)
    } else {
        (ask_twice()?, None)
    };
    Ok((StoredHash::from(hashed(&text)?), fresh))
}

/// A password that was made up is all that goes to standard output: scripts want it alone.
fn print_fresh(fresh: Option<String>) -> Result<(), Trouble> {
    match fresh {
        Some(password) => Ok(print(&format!("{password}\n"))?),
        None => Ok(()),
    }
}
