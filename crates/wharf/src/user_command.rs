//! `wharf user`: shows and changes accounts in any account store.

mod copy;
mod export;
mod facts;
mod group;
mod json;
pub(crate) mod list;
mod origins;
mod reach;
mod show;

use std::io::IsTerminal;

use tokio::runtime::Builder;
use wharf_accounts_sql::Creation;
use wharf_config::Loaded;
use wharf_config::account_error::{AccountError, is_missing, no_such_user};
use wharf_config::outcome::{Exit, Failure, print, print_error};
use wharf_config::password::read_password_file;
use wharf_runtime::accounts;
use wharf_users::admin::{AdminError, StoreErrorKind, UserAdmin};
use wharf_users::file::{EditError, Setting, StoreChange, StoredHash, UserRecord};
use wharf_users::password::looks_like_hash;

use crate::cli::GlobalArgs;
use crate::cli::user::{AccountArgs, PasswordArgs, UserCommand};
use crate::hash_command::{ask_twice, hashed};
use crate::prompt::confirm;
use crate::setup::{config_file, inputs, load};
use crate::words::fresh;

pub(crate) use self::group::group;

/// Runs the command.
pub(crate) fn user(global: &GlobalArgs, what: &UserCommand) -> Result<Exit, Failure> {
    let config = config_file(global);
    let has_config = config.is_some();
    let file = config.clone();
    let is_coloured = global.color.is_on();
    let loaded = load(&inputs(global, config, Vec::new()), is_coloured)?;
    let done = waits(async {
        if let UserCommand::Copy(options) = what {
            return copy::copy(&loaded.config, options).await.map(|()| Vec::new());
        }
        let is_new = matches!(what, UserCommand::Add { .. });
        let creation = if is_new { Creation::Wanted } else { Creation::No };
        let store = accounts::admin(&loaded.config, creation)?;
        act(&*store, &loaded, what).await?;
        Ok(match what {
            UserCommand::Add { name, .. } => reach::of_user(&*store, name).await,
            UserCommand::Edit { name, facts, .. } if shows_folders(facts) => {
                reach::of_user(&*store, name).await
            }
            _ => Vec::new(),
        })
    })?;
    let folders = done.map_err(|error: AccountError| error.into_failure(is_coloured))?;
    reach::note_sandbox(global, file.as_deref(), &folders);
    if !has_config && matches!(what, UserCommand::Add { .. }) {
        print_error(
            "note: configuration file not found; without one, wharf ignores accounts; create and \
              use one:\n      wharf config default > wharf.toml   wharf -c wharf.toml\n",
        );
    }
    Ok(Exit::Done)
}

/// Whether a change concerns the folders of an account.
fn shows_folders(facts: &AccountArgs) -> bool {
    facts::SettingChanges::of(facts).is_ok_and(|change| {
        let is_of_folders = |setting: &Setting| {
            matches!(setting, Setting::Home(_) | Setting::Folder(_) | Setting::Groups(_))
        };
        change.settings.iter().any(is_of_folders)
    })
}

/// Runs an operation of a store on this thread.
pub(crate) fn waits<T>(act: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("cannot create an event loop", &error))?;
    Ok(runtime.block_on(act))
}

async fn act(
    store: &dyn UserAdmin,
    loaded: &Loaded,
    what: &UserCommand,
) -> Result<(), AccountError> {
    match what {
        UserCommand::List { pattern, disabled, expired, json } => {
            let pattern = pattern.as_deref();
            let wanted =
                list::AccountFilter { pattern, only_disabled: *disabled, only_expired: *expired };
            list::list(store, wanted, *json).await
        }
        UserCommand::Export { with_hashes, csv: _ } => export::export(store, *with_hashes).await,
        UserCommand::Show { name, json } => show::show(store, loaded, name, *json).await,
        UserCommand::Add { name, facts, password } => add(store, name, facts, password).await,
        UserCommand::Edit { name, facts, password } => edit(store, name, facts, password).await,
        UserCommand::Passwd { name, password } => set_password(store, name, password).await,
        UserCommand::Enable { names } => set_enabled(store, names, true).await,
        UserCommand::Disable { names } => set_enabled(store, names, false).await,
        UserCommand::Del { names, yes } => delete(store, names, *yes).await,
        UserCommand::Copy(_) => Ok(()),
    }
}

async fn add(
    store: &dyn UserAdmin,
    name: &str,
    facts: &AccountArgs,
    password: &PasswordArgs,
) -> Result<(), AccountError> {
    let home = group::home_of(store, name, facts).await?.ok_or_else(|| {
        Failure::usage(format!("missing option: --home for account `{name}`"))
            .hint(format!("wharf user add {name} --home DIR   (and --create-home to create it)"))
    })?;
    // Checked before the prompt for a password.
    if find(store, name).await?.is_some() {
        return Err(EditError::UserExists(name.to_owned()).into());
    }
    let mut change = facts::SettingChanges::of(facts)?;
    facts::check_home(&home, facts.create_home)?;
    let mut fresh = None;
    if facts.no_password != Some(true) {
        let (hash, made) = new_password(password)?;
        change.settings.insert(0, Setting::Password(hash));
        fresh = made;
    }
    if facts.create_home {
        facts::make_home(&home.path)?;
    }
    change.note_missing();
    store.add(name, change.settings).await?;
    print_error(&format!("added {name} to {}\n", store.place()));
    print_fresh(fresh)
}

/// The account, if it exists. A store that does not exist yet is empty.
async fn find(store: &dyn UserAdmin, name: &str) -> Result<Option<UserRecord>, AccountError> {
    match store.find(name).await {
        Ok(record) => Ok(record),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn edit(
    store: &dyn UserAdmin,
    name: &str,
    facts: &AccountArgs,
    password: &PasswordArgs,
) -> Result<(), AccountError> {
    let mut change = facts::SettingChanges::of(facts)?;
    existing(store, &[name.to_owned()]).await?;
    group::home_of(store, name, facts).await?;
    match &facts.home {
        Some(path) => {
            let home = facts::NewHome { path: path.clone(), group: None };
            facts::check_home(&home, facts.create_home)?;
        }
        None if facts.create_home => {
            return Err(Failure::usage("--create-home requires --home DIR").into());
        }
        None => {}
    }
    let mut fresh = None;
    if password.is_given() {
        let (hash, made) = new_password(password)?;
        change.settings.push(Setting::Password(hash));
        fresh = made;
    }
    if change.is_empty() {
        return Err(Failure::usage("missing option: a setting to change")
            .hint("list settings:  wharf user edit --help")
            .into());
    }
    if let Some(home) = facts.home.as_ref().filter(|_| facts.create_home) {
        facts::make_home(home)?;
    }
    change.note_missing();
    let facts::SettingChanges { settings, cleared } = change;
    store.change(&[StoreChange::Set { holder: name.into(), settings, cleared }]).await?;
    print_error(&format!("changed {name}\n"));
    print_fresh(fresh)
}

async fn set_password(
    store: &dyn UserAdmin,
    name: &str,
    password: &PasswordArgs,
) -> Result<(), AccountError> {
    existing(store, &[name.to_owned()]).await?;
    let (hash, fresh) = new_password(password)?;
    store.set_password(name, hash).await?;
    print_error(&format!("changed the password of {name}\n"));
    print_fresh(fresh)
}

async fn set_enabled(
    store: &dyn UserAdmin,
    names: &[String],
    is_enabled: bool,
) -> Result<(), AccountError> {
    existing(store, names).await?;
    let change =
        |name: &String| StoreChange::set(name.as_str(), vec![Setting::Enabled(is_enabled)]);
    store.change(&names.iter().map(change).collect::<Vec<_>>()).await?;
    let what = if is_enabled { "enabled" } else { "disabled" };
    print_error(&format!("{what} {}\n", names.join(", ")));
    Ok(())
}

async fn delete(
    store: &dyn UserAdmin,
    names: &[String],
    has_yes: bool,
) -> Result<(), AccountError> {
    existing(store, names).await?;
    let list = names.join(", ");
    if !has_yes {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(format!("cannot ask for confirmation to delete {list}"))
                .hint("without a terminal, add --yes")
                .into());
        }
        if !confirm(&format!("Delete {list}? Their files are kept."))? {
            return Err(Failure::new("cancelled: no accounts were deleted").into());
        }
    }
    let change = |name: &String| StoreChange::remove(name.as_str());
    store.change(&names.iter().map(change).collect::<Vec<_>>()).await?;
    let owner = if names.len() == 1 { "its" } else { "their" };
    print_error(&format!("deleted {list}; {owner} files are kept\n"));
    Ok(())
}

/// Rejects names of accounts that do not exist, with a suggestion.
async fn existing(store: &dyn UserAdmin, names: &[String]) -> Result<(), AccountError> {
    for name in names {
        match store.find(name).await {
            Ok(Some(_)) => {}
            // It exists, although invalid, and can be edited or deleted.
            Err(AdminError::Store(error)) if error.kind == StoreErrorKind::Invalid => {}
            Ok(None) => return Err(missing_user(store, name).await?.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn missing_user(store: &dyn UserAdmin, name: &str) -> Result<Failure, AccountError> {
    let records = accounts::all_records(store).await?;
    Ok(no_such_user(records.iter().map(|record| record.name.as_str()), name))
}

impl PasswordArgs {
    fn is_given(&self) -> bool {
        self.password_file.is_some() || self.generate || self.hash.is_some()
    }
}

/// The hash of the new password, and the password itself if it was generated.
fn new_password(from: &PasswordArgs) -> Result<(StoredHash, Option<String>), Failure> {
    if let Some(hash) = &from.hash {
        if !looks_like_hash(hash) {
            return Err(Failure::usage("invalid --hash: unknown password hash format")
                .hint("create one:  wharf hash   (in a shell, use 'single quotes')"));
        }
        return Ok((StoredHash::from(hash.clone()), None));
    }
    let (text, fresh) = if from.generate {
        let password = fresh()?;
        (password.clone(), Some(password))
    } else if let Some(file) = &from.password_file {
        (read_password_file(file)?, None)
    } else {
        (ask_twice()?, None)
    };
    Ok((StoredHash::from(hashed(&text)?), fresh))
}

/// Prints only a generated password to standard output, for scripts.
fn print_fresh(fresh: Option<String>) -> Result<(), AccountError> {
    match fresh {
        Some(password) => Ok(print(&format!("{password}\n"))?),
        None => Ok(()),
    }
}
