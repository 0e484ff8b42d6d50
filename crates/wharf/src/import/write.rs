//! Writes `wharf.toml` and `users.toml`: both or neither.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use wharf_users::admin::{self, UserAdmin};
use wharf_users::file::Setting;

use crate::outcome::Failure;
use crate::user_command::{Trouble, is_missing, waits};

/// What to do with an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Its name.
    pub(crate) name: String,
    /// Whether it is there already and gets these settings on top.
    pub(crate) is_update: bool,
    /// What it is to say.
    pub(crate) settings: Vec<Setting>,
}

/// What is to be written.
pub(crate) struct Plan<'a> {
    /// The configuration and its text; nothing if it stays as it is.
    pub(crate) config: Option<(&'a Path, &'a str)>,
    /// Whether a configuration that is there may be replaced.
    pub(crate) has_force: bool,
    /// The store of accounts.
    pub(crate) users: &'a dyn UserAdmin,
    /// What happens to it.
    pub(crate) changes: &'a [Change],
}

/// Writes what is planned. Returns where a configuration that was there has been put.
///
/// The configuration is in its place before the accounts are, and is taken away again if those
/// cannot be written: a file of accounts without it would not be looked at.
pub(crate) fn write(plan: &Plan<'_>) -> Result<Option<PathBuf>, Trouble> {
    let Some((config, text)) = plan.config else {
        write_users(plan)?;
        return Ok(None);
    };
    let failed =
        |error: &io::Error| Failure::io(format!("cannot write {}", config.display()), error);
    let old =
        if plan.has_force { set_aside(config).map_err(|error| failed(&error))? } else { None };
    let written = place(config, text);
    let result = match written {
        Ok(()) => write_users(plan).inspect_err(|_| {
            // The first failure is the one to tell.
            let _ = fs::remove_file(config);
        }),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(config).into()),
        Err(error) => Err(failed(&error).into()),
    };
    if result.is_err()
        && let Some(old) = &old
    {
        let _ = fs::rename(old, config);
    }
    result.map(|()| old)
}

/// What is said where a configuration is in the way.
pub(crate) fn exists(config: &Path) -> Failure {
    let what = format!("{} is there already, and nothing was written", config.display());
    Failure::new(what).help(
        "--force puts a new one in its place and keeps the old one beside it; -c FILE writes \
         another",
    )
}

fn write_users(plan: &Plan<'_>) -> Result<(), Trouble> {
    if plan.changes.is_empty() {
        return Ok(());
    }
    let changes = plan.changes.iter().map(|change| {
        let Change { name, is_update, settings } = change.clone();
        if is_update {
            admin::Change::set(name.as_str(), settings)
        } else {
            admin::Change::add(name.as_str(), settings)
        }
    });
    let changes: Vec<_> = changes.collect();
    waits(async {
        // What they say can be given to them later; who is in them stands.
        let mut all = missing_groups(plan).await?;
        all.extend(changes);
        Ok(plan.users.change(&all).await?)
    })?
}

/// The groups that accounts are in and the store does not have, empty.
async fn missing_groups(plan: &Plan<'_>) -> Result<Vec<admin::Change>, Trouble> {
    let of_accounts = plan.changes.iter().flat_map(|change| &change.settings);
    let names: BTreeSet<&String> = of_accounts
        .filter_map(|setting| match setting {
            Setting::Groups(names) => Some(names),
            _ => None,
        })
        .flatten()
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let known = match plan.users.groups().await {
        Ok(groups) => groups,
        Err(error) if is_missing(&error) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let missing = names.into_iter().filter(|name| !known.iter().any(|group| group.name == **name));
    let add = |name: &String| admin::Change::add(admin::Holder::Group(name.clone()), Vec::new());
    Ok(missing.map(add).collect())
}

/// Replaces the text of a file, whole or not at all. Returns where the old one is kept. A link
/// stays, and so do the file's permission bits.
///
/// # Errors
/// The system's; the file is as it was then.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<PathBuf> {
    let path = fs::canonicalize(path)?;
    let fresh = fresh_name(&path)?;
    let result = write_new(&fresh, text).and_then(|()| {
        fs::set_permissions(&fresh, fs::metadata(&path)?.permissions())?;
        let old = free_name(&path)?;
        fs::copy(&path, &old)?;
        fs::rename(&fresh, &path)?;
        Ok(old)
    });
    if result.is_err() {
        // There is nothing to keep after a failure.
        let _ = fs::remove_file(&fresh);
    }
    result
}

/// Moves a file that is there to a free name beside it.
fn set_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    let aside = free_name(path)?;
    fs::rename(path, &aside)?;
    Ok(Some(aside))
}

/// A name beside the file for an old copy of it.
fn free_name(path: &Path) -> io::Result<PathBuf> {
    for number in 0..OLD_MAX {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(if number == 0 { ".old".to_owned() } else { format!(".old{number}") });
        let aside = path.with_file_name(name);
        if fs::symlink_metadata(&aside).is_err() {
            return Ok(aside);
        }
    }
    Err(io::Error::other("there are too many old copies beside it"))
}

/// The most old copies that are kept.
const OLD_MAX: u32 = 100;

/// Puts a new file in its place, whole or not at all; one that is there stays.
fn place(path: &Path, text: &str) -> io::Result<()> {
    let fresh = fresh_name(path)?;
    let result = write_new(&fresh, text).and_then(|()| publish(&fresh, path));
    // After a link the other name goes; after a failure there is nothing to keep.
    let _ = fs::remove_file(&fresh);
    result
}

/// A name beside the file that no other program uses.
fn fresh_name(path: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{:016x}.new", u64::from_ne_bytes(random)));
    Ok(path.with_file_name(name))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A link is refused where a file is, which a rename would replace.
fn publish(fresh: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(fresh, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // Some file systems have no links.
        Err(_) if fs::symlink_metadata(path).is_ok() => Err(ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(fresh, path),
    }
}
