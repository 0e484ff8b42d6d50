//! `wharf import`: converts the configuration of another server to `wharf.toml` and `users.toml`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use wharf_accounts_sql::Creation;
use wharf_config::Config;
use wharf_config::account_error::{AccountError, is_missing};
use wharf_config::outcome::{Exit, Failure, print, print_error};
use wharf_config::standard_paths::CONFIG_NAME;
use wharf_import::facts;
use wharf_import::model::{ImportResult, ImportedAccount, ImportedPassword};
use wharf_import::render::{config_file as render_config, preview, report};
use wharf_import::resolve::{load as load_found, resolve};
use wharf_import::write::{ImportPlan, ImportedAccountChange, exists, write};
use wharf_import::{csv, proftpd, pureftpd, pyftpdlib, vsftpd};
use wharf_runtime::accounts::{admin, all_records};
use wharf_runtime::wire::check_certificate;
use wharf_users::admin::{FileAdmin, UserAdmin};
use wharf_users::file::{Setting, StoredHash};

use crate::cli::GlobalArgs;
use crate::cli::import::{ImportArgs, ImportCommand, OnConflict};
use crate::hash_command::hashed;
use crate::setup::{config_file, inputs, load};
use crate::user_command::waits;

/// Number of passwords from which a progress message is printed before hashing.
const HASHES_QUIET_MAX: usize = 40;

/// Reads the configuration, prints the result, and writes it with `--write`.
pub(crate) fn import(global: &GlobalArgs, what: &ImportCommand) -> Result<Exit, Failure> {
    let how = what.how();
    let is_coloured = global.color.is_on();
    let mut found = read(what)?;
    let target = ImportTarget::of(global, &found, how)?;
    resolve(&mut found, &target.folder, &|config| check_certificate(config).map(drop));
    let mut changes = target.changes(&mut found, how, is_coloured)?;
    let text = target.writes_config.then(|| render_config(&found, &source(what)));
    let config = text.as_deref().map(|text| (target.config.as_path(), text));
    if let Some((path, _)) = config {
        check_result(&found, path, &target.folder)?;
    }
    if !how.write {
        let shown = preview(config, &target.users.place(), &found.accounts);
        print(&(shown + &report(&found) + &target.closing_message(config.is_some())))?;
        return target.reject_conflicts(how, &changes).map(|()| Exit::Done);
    }
    if config.is_some() && !how.force && target.config.exists() {
        return Err(exists(&target.config));
    }
    target.reject_conflicts(how, &changes)?;
    hash(&found.accounts, &mut changes)?;
    let plan =
        ImportPlan { config, has_force: how.force, users: &*target.users, changes: &changes };
    let old = waits(write(&plan))?.map_err(|error| error.into_failure(is_coloured))?;
    print(report(&found).trim_start_matches('\n'))?;
    print_result(&plan, old.as_deref());
    Ok(Exit::Done)
}

fn read(what: &ImportCommand) -> Result<ImportResult, Failure> {
    let encoding = what.how().source_encoding;
    match what {
        ImportCommand::Pyftpdlib { path, .. } => pyftpdlib::import(path, encoding),
        ImportCommand::Pureftpd { passwd, conf, .. } => {
            pureftpd::import(passwd, conf.as_deref(), encoding)
        }
        ImportCommand::Proftpd { passwd, group, conf, .. } => {
            proftpd::import(passwd, group.as_deref(), conf.as_deref(), encoding)
        }
        ImportCommand::Vsftpd { conf, user_config_dir, logins, .. } => {
            vsftpd::import(conf, user_config_dir.as_deref(), logins.as_deref(), encoding)
        }
        ImportCommand::Csv { file, .. } => csv::import(file, encoding),
    }
}

/// The command line, for the first line of the file.
fn source(what: &ImportCommand) -> String {
    let (kind, path) = match what {
        ImportCommand::Pyftpdlib { path, .. } => ("pyftpdlib", path),
        ImportCommand::Pureftpd { passwd, .. } => ("pureftpd", passwd),
        ImportCommand::Proftpd { passwd, .. } => ("proftpd", passwd),
        ImportCommand::Vsftpd { conf, .. } => ("vsftpd", conf),
        ImportCommand::Csv { file, .. } => ("csv", file),
    };
    format!("{kind} {}", path.display())
}

/// The target of the import.
struct ImportTarget {
    config: PathBuf,
    /// The folder of the configuration.
    folder: PathBuf,
    users: Box<dyn UserAdmin>,
    /// Whether a configuration is written: not if only accounts were found and one exists.
    writes_config: bool,
}

impl ImportTarget {
    fn of(global: &GlobalArgs, found: &ImportResult, how: &ImportArgs) -> Result<Self, Failure> {
        let named = std::env::var_os("WHARF_CONFIG").filter(|name| !name.is_empty());
        let named = global.config.clone().or_else(|| named.map(PathBuf::from));
        let in_use = config_file(global).filter(|path| path.is_file());
        if found.imported_settings.is_empty()
            && let Some(config) = in_use
        {
            let loaded = load(&inputs(global, Some(config.clone()), Vec::new()), false)?;
            let creation = if how.write { Creation::Wanted } else { Creation::No };
            let users = admin(&loaded.config, creation)?;
            return Ok(Self { folder: folder(&config), config, users, writes_config: false });
        }
        let config = named.unwrap_or_else(|| PathBuf::from(CONFIG_NAME));
        let folder = folder(&config);
        if !folder.is_dir() {
            return Err(Failure::new(format!("folder not found: {}", folder.display()))
                .hint("create it, or choose another with -c FILE"));
        }
        let users = Box::new(FileAdmin::new(config.with_file_name("users.toml")));
        Ok(Self { config, folder, users, writes_config: true })
    }

    /// The changes changes accounts. Passwords are not hashed yet.
    fn changes(
        &self,
        found: &mut ImportResult,
        how: &ImportArgs,
        is_coloured: bool,
    ) -> Result<Vec<ImportedAccountChange>, Failure> {
        let known: BTreeSet<String> = match waits(all_records(&*self.users))? {
            Ok(records) => records.into_iter().map(|record| record.name).collect(),
            Err(error) if is_missing(&error) => BTreeSet::new(),
            Err(error) => return Err(AccountError::from(error).into_failure(is_coloured)),
        };
        let accounts = std::mem::take(&mut found.accounts);
        let mut changes = Vec::new();
        for account in accounts {
            let is_update = known.contains(&account.name);
            if is_update && how.on_conflict == OnConflict::Skip {
                let what = format!("account `{}` already exists", account.name.escape_debug());
                found.lost(
                    &account.location,
                    what,
                    "replace it with --on-conflict update replaces it",
                );
                continue;
            }
            let mut settings = settings(&account);
            settings.extend(facts::settings(&account, found));
            changes.push(ImportedAccountChange { name: account.name.clone(), is_update, settings });
            found.accounts.push(account);
        }
        Ok(changes)
    }

    /// Rejects existing accounts unless `--on-conflict` is given.
    fn reject_conflicts(
        &self,
        how: &ImportArgs,
        changes: &[ImportedAccountChange],
    ) -> Result<(), Failure> {
        let names: Vec<_> = changes
            .iter()
            .filter(|change| change.is_update)
            .map(|change| change.name.escape_debug().to_string())
            .collect();
        if names.is_empty() || how.on_conflict != OnConflict::Fail {
            return Ok(());
        }
        let shown = names.get(..NAMES_MAX).map_or_else(
            || names.join(", "),
            |first| format!("{} and {} more", first.join(", "), names.len() - NAMES_MAX),
        );
        let what = format!("accounts already exist in {}: {shown}", self.users.place());
        Err(Failure::new(format!("{what}; nothing was written"))
            .hint("--on-conflict skip keeps them, --on-conflict update replaces them"))
    }

    fn closing_message(&self, has_config: bool) -> String {
        let users = self.users.place();
        let config = self.config.display();
        if !has_config {
            return format!("\nNothing was written. To write the accounts to {users}: --write\n");
        }
        let force = if self.config.exists() { " --force (it exists)" } else { "" };
        format!("\nNothing was written. To write {config} and {users}: --write{force}\n")
    }
}

/// Maximum number of names in a message.
const NAMES_MAX: usize = 10;

/// The absolute folder of a file.
fn folder(file: &Path) -> PathBuf {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    whole.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The settings of an account, except a password that is not hashed yet.
fn settings(account: &ImportedAccount) -> Vec<Setting> {
    let mut settings = Vec::new();
    match &account.secret {
        ImportedPassword::Hash(hash) => {
            settings.push(Setting::Password(StoredHash::from(hash.clone())));
        }
        ImportedPassword::NotNeeded => settings.push(Setting::NoPassword(true)),
        ImportedPassword::None | ImportedPassword::Plain(_) => {}
    }
    settings.push(Setting::Home(account.home.clone()));
    settings.extend(account.permissions.map(Setting::Permissions));
    if !account.is_enabled {
        settings.push(Setting::Enabled(false));
    }
    settings.extend(account.upload_rate.map(Setting::UploadRate));
    settings.extend(account.download_rate.map(Setting::DownloadRate));
    settings.extend(account.transfer_upload_rate.map(Setting::TransferUploadRate));
    settings.extend(account.transfer_download_rate.map(Setting::TransferDownloadRate));
    settings.extend(account.sessions.map(Setting::Sessions));
    if account.requires_tls {
        settings.push(Setting::RequireTls(true));
    }
    if !account.comment.is_empty() {
        settings.push(Setting::Comment(account.comment.clone()));
    }
    settings.extend(account.paths.iter().map(|(path, set)| Setting::Path(path.clone(), *set)));
    settings
}

/// Hashes plain-text passwords, and adds the hashes as first settings of the tables of their
/// accounts.
fn hash(
    accounts: &[ImportedAccount],
    changes: &mut [ImportedAccountChange],
) -> Result<(), Failure> {
    let is_plain =
        |account: &&ImportedAccount| matches!(account.secret, ImportedPassword::Plain(_));
    let count = accounts.iter().filter(is_plain).count();
    if count > HASHES_QUIET_MAX {
        print_error(&format!("hashing {count} passwords; this takes a while\n"));
    }
    for (account, change) in accounts.iter().zip(changes) {
        if let ImportedPassword::Plain(password) = &account.secret {
            let hash = StoredHash::from(hashed(password)?);
            change.settings.insert(0, Setting::Password(hash));
        }
    }
    Ok(())
}

/// Checks the result: it must be a configuration that `wharf check`.
fn check_result(found: &ImportResult, config: &Path, folder: &Path) -> Result<Config, Failure> {
    let loaded = load_found(found, &[], folder);
    if loaded.is_valid() {
        return Ok(loaded.config);
    }
    let problem = loaded.problems.first().map(|one| one.title.clone()).unwrap_or_default();
    Err(Failure {
        exit: Exit::ConfigInvalid,
        ..Failure::new(format!("the resulting {} would be invalid: {problem}", config.display()))
            .hint("nothing was written; correct the old configuration and import again")
    })
}

fn print_result(plan: &ImportPlan<'_>, old: Option<&Path>) {
    if let Some(old) = old {
        print_error(&format!("renamed the old configuration to {}\n", old.display()));
    }
    if let Some((config, _)) = plan.config {
        print_error(&format!("wrote {}\n", config.display()));
    }
    if !plan.changes.is_empty() {
        let (count, users) = (plan.changes.len(), plan.users.place());
        print_error(&format!("wrote {users}, accounts: {count}\n"));
    }
    match plan.config {
        Some((config, _)) => print_error(&format!("next:  wharf -c {} check\n", config.display())),
        None => print_error("next:  wharf check\n"),
    }
}
