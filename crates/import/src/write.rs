//! Writes `wharf.toml` and `users.toml`: both or none of them.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use wharf_config::account_error::{AccountError, is_missing};
use wharf_config::outcome::Failure;
use wharf_users::admin::UserAdmin;
use wharf_users::file::{Holder, Setting, StoreChange};

/// A change of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedAccountChange {
    /// Its name.
    pub name: String,
    /// Whether it exists and is updated with these settings.
    pub is_update: bool,
    /// The settings.
    pub settings: Vec<Setting>,
}

/// What to write.
pub struct ImportPlan<'a> {
    /// The path of the configuration and its text; `None` leaves it unchanged.
    pub config: Option<(&'a Path, &'a str)>,
    /// Whether an existing configuration may be replaced.
    pub has_force: bool,
    /// The store of accounts.
    pub users: &'a dyn UserAdmin,
    /// The changes of accounts.
    pub changes: &'a [ImportedAccountChange],
}

/// Executes the plan. Returns the new path of a replaced configuration.
///
/// The configuration is written before the accounts, and restored if those cannot be written:
/// without it, their file would not be used.
pub async fn write(plan: &ImportPlan<'_>) -> Result<Option<PathBuf>, AccountError> {
    let Some((config, text)) = plan.config else {
        write_users(plan).await?;
        return Ok(None);
    };
    let failed =
        |error: &io::Error| Failure::io(format!("cannot write {}", config.display()), error);
    let old =
        if plan.has_force { set_aside(config).map_err(|error| failed(&error))? } else { None };
    let written = place(config, text);
    let result = match written {
        Ok(()) => write_users(plan).await.inspect_err(|_| {
            // The first failure is the one to report.
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

/// The failure for an existing configuration.
pub fn exists(config: &Path) -> Failure {
    let what = format!("{} already exists; nothing was written", config.display());
    Failure::new(what).hint(
        "--force replaces it and keeps a copy of the old one; -c FILE writes \
         another",
    )
}

async fn write_users(plan: &ImportPlan<'_>) -> Result<(), AccountError> {
    if plan.changes.is_empty() {
        return Ok(());
    }
    let changes = plan.changes.iter().map(|change| {
        let ImportedAccountChange { name, is_update, settings } = change.clone();
        if is_update {
            StoreChange::set(name.as_str(), settings)
        } else {
            StoreChange::add(name.as_str(), settings)
        }
    });
    let changes: Vec<_> = changes.collect();
    // Groups are created empty; their settings can be added later.
    let mut all = missing_groups(plan).await?;
    all.extend(changes);
    Ok(plan.users.change(&all).await?)
}

/// New empty groups for memberships in a group that does not exist in the store.
async fn missing_groups(plan: &ImportPlan<'_>) -> Result<Vec<StoreChange>, AccountError> {
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
    let add = |name: &String| StoreChange::add(Holder::Group(name.clone()), Vec::new());
    Ok(missing.map(add).collect())
}

/// Replaces the text of a file atomically. Returns the path of the old copy. A symbolic link is
/// kept, and so are the file's permission bits.
///
/// # Errors
/// An I/O error; the file is unchanged then.
pub fn replace(path: &Path, text: &str) -> io::Result<PathBuf> {
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
        // After a failure the copy is not needed.
        let _ = fs::remove_file(&fresh);
    }
    result
}

/// Renames an existing file to an unused name in the same folder.
fn set_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    let aside = free_name(path)?;
    fs::rename(path, &aside)?;
    Ok(Some(aside))
}

/// The name of an old copy.
fn free_name(path: &Path) -> io::Result<PathBuf> {
    for number in 0..OLD_MAX {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(if number == 0 { ".old".to_owned() } else { format!(".old{number}") });
        let aside = path.with_file_name(name);
        if fs::symlink_metadata(&aside).is_err() {
            return Ok(aside);
        }
    }
    Err(io::Error::other("too many old copies in its folder"))
}

/// Maximum number of old copies.
const OLD_MAX: u32 = 100;

/// Moves a new file to its path atomically; an existing one is not replaced.
fn place(path: &Path, text: &str) -> io::Result<()> {
    let fresh = fresh_name(path)?;
    let result = write_new(&fresh, text).and_then(|()| publish(&fresh, path));
    // The temporary name is removed after linking, and after a failure.
    let _ = fs::remove_file(&fresh);
    result
}

/// A temporary name in the same folder.
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

/// `link` fails if the target exists, while `rename` would replace it.
fn publish(fresh: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(fresh, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // Some file systems have no hard links.
        Err(_) if fs::symlink_metadata(path).is_ok() => Err(ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(fresh, path),
    }
}
