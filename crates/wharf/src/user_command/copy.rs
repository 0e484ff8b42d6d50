//! `wharf user copy`: copies accounts from one store to another.

use std::collections::BTreeSet;
use std::path::Path;

use wharf_accounts_sql::Creation;
use wharf_config::Config;
use wharf_config::account_error::{AccountError, is_missing};
use wharf_config::outcome::{Failure, counted, print, print_error};
use wharf_config::raw::quoted;
use wharf_config::store::masked;
use wharf_config::table;
use wharf_runtime::accounts::{AccountStoreKind, admin_of, all_records, reject_faults};
use wharf_users::admin::{StoreErrorKind, UserAdmin};
use wharf_users::file::{Holder, StoreChange, UserRecord};

use super::missing_user;
use crate::cli::import::OnConflict;
use crate::cli::user::CopyArgs;

/// Maximum number of names in a message.
const NAMES_MAX: usize = 10;

/// The action for one account.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CopyAction {
    Copy,
    Update,
    Skip,
}

impl CopyAction {
    fn word(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Update => "update",
            Self::Skip => "skip",
        }
    }
}

/// Copies accounts with all their settings; the source is not changed.
pub(super) async fn copy(config: &Config, options: &CopyArgs) -> Result<(), AccountError> {
    let (source, target) = ends(config, options)?;
    let creation = if options.dry_run { Creation::No } else { Creation::Wanted };
    let from = admin_of(&source, config, Creation::No)?;
    let to = admin_of(&target, config, creation)?;
    let mut records = own(&*from).await.map_err(|error| source_failure(error, options))?;
    for name in &options.names {
        if !records.iter().any(|record| record.name == *name) {
            return Err(missing_user(&*from, name).await?.into());
        }
    }
    if !options.names.is_empty() {
        records.retain(|record| options.names.contains(&record.name));
    }
    let known = names(&*to).await?;
    let acts: Vec<_> =
        records.iter().map(|record| act(known.contains(&record.name), options)).collect();
    let taken: Vec<_> = records.iter().map(|record| record.name.as_str()).collect();
    let taken: Vec<_> = taken.into_iter().filter(|name| known.contains(*name)).collect();
    if options.on_conflict == OnConflict::Fail && !taken.is_empty() {
        return Err(conflict(&to.place(), &taken).into());
    }
    let folder = std::path::absolute(from.folder()).unwrap_or_else(|_| from.folder().to_owned());
    let mut changes = missing_groups(&*from, &*to, &records, &folder).await?;
    for (record, act) in records.iter().zip(&acts) {
        if *act == CopyAction::Update {
            changes.push(StoreChange::remove(record.name.as_str()));
        }
        if *act != CopyAction::Skip {
            changes.push(StoreChange::add(record.name.as_str(), record.settings(&folder)));
        }
    }
    let rows: Vec<_> =
        records.iter().zip(&acts).map(|(record, act)| (&*record.name, *act)).collect();
    if options.dry_run {
        return show(&rows, options.json);
    }
    to.change(&changes).await?;
    let count = rows.iter().filter(|(_, act)| *act != CopyAction::Skip).count();
    let skipped = rows.len() - count;
    let copied = counted(count, "account");
    print_error(&format!("copied {copied} from {} to {}\n", from.place(), to.place()));
    if skipped > 0 {
        print_error(&format!("skipped {}\n", counted(skipped, "existing account")));
    }
    Ok(())
}

/// The accounts' own settings, without those of groups, which apply in the target, too.
async fn own(store: &dyn UserAdmin) -> Result<Vec<UserRecord>, AccountError> {
    reject_faults(store).await?;
    let mut all: Vec<UserRecord> = Vec::new();
    loop {
        let page = store.page(all.last().map(|record| record.name.as_str())).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// A missing source is a wrong path, not a store that has no account yet.
fn source_failure(error: AccountError, options: &CopyArgs) -> AccountError {
    match error {
        AccountError::Store(error)
            if error.kind == StoreErrorKind::Missing && options.from.is_some() =>
        {
            AccountError::Store(error.hint("check the path after --from"))
        }
        other => other,
    }
}

/// The groups of the accounts that the target does not have. Existing groups are kept.
async fn missing_groups(
    from: &dyn UserAdmin,
    to: &dyn UserAdmin,
    records: &[UserRecord],
    folder: &Path,
) -> Result<Vec<StoreChange>, AccountError> {
    let known = match to.groups().await {
        Ok(groups) => groups,
        Err(error) if is_missing(&error) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let is_known = |name: &str| known.iter().any(|group| group.name == name);
    let is_wanted = |name: &String| records.iter().any(|record| record.groups.contains(name));
    let groups = from.groups().await?.into_iter();
    let missing = groups.filter(|group| is_wanted(&group.name) && !is_known(&group.name));
    let change = |group: UserRecord| {
        StoreChange::add(Holder::Group(group.name.clone()), group.settings(folder))
    };
    Ok(missing.map(change).collect())
}

/// Source and target.
fn ends(
    config: &Config,
    options: &CopyArgs,
) -> Result<(AccountStoreKind, AccountStoreKind), Failure> {
    let base = std::env::current_dir().unwrap_or_default();
    let end = |option: &str, text: Option<&String>| match text {
        None => Ok(config.accounts.store.0.clone()),
        Some(text) => store(option, text, &base),
    };
    let (from, to) = (end("--from", options.from.as_ref())?, end("--to", options.to.as_ref())?);
    if from == to {
        let hint = "wharf user copy --to sqlite:/var/lib/wharf/users.db   (from the store in use)";
        return Err(Failure::usage("source and target are the same store").hint(hint));
    }
    Ok((from, to))
}

fn store(option: &str, text: &str, base: &Path) -> Result<AccountStoreKind, Failure> {
    AccountStoreKind::parse(text, base).map_err(|bad| {
        let shown = masked(text);
        Failure::usage(format!("invalid {option} `{shown}`: {}", bad.why)).hint(bad.hint)
    })
}

fn act(is_there: bool, options: &CopyArgs) -> CopyAction {
    match (is_there, options.on_conflict) {
        (false, _) => CopyAction::Copy,
        (true, OnConflict::Skip) => CopyAction::Skip,
        (true, OnConflict::Update | OnConflict::Fail) => CopyAction::Update,
    }
}

/// The names that exist in the target. A store that does not exist yet is empty.
async fn names(store: &dyn UserAdmin) -> Result<BTreeSet<String>, AccountError> {
    match all_records(store).await {
        Ok(records) => Ok(records.into_iter().map(|record| record.name).collect()),
        Err(error) if is_missing(&error) => Ok(BTreeSet::new()),
        Err(error) => Err(error.into()),
    }
}

fn conflict(place: &str, taken: &[&str]) -> Failure {
    let shown = taken.get(..NAMES_MAX).map_or_else(
        || taken.join(", "),
        |first| format!("{} and {} more", first.join(", "), taken.len() - NAMES_MAX),
    );
    Failure::new(format!("accounts already exist in {place}: {shown}; nothing was copied"))
        .hint("--on-conflict skip keeps them, --on-conflict update replaces them")
}

/// The planned actions, as a table or as JSON.
fn show(rows: &[(&str, CopyAction)], is_json: bool) -> Result<(), AccountError> {
    if is_json {
        let line = |(name, act): &(&str, CopyAction)| {
            format!("{{\"name\":{},\"action\":{}}}\n", quoted(name), quoted(act.word()))
        };
        return Ok(print(&rows.iter().map(line).collect::<String>())?);
    }
    let mut table = vec![["NAME", "ACTION"].map(str::to_owned)];
    table.extend(rows.iter().map(|(name, act)| [name, act.word()].map(str::to_owned)));
    Ok(print(&table::table(&table))?)
}
