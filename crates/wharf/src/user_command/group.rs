//! `wharf group`: shows and changes groups in any account store.

use wharf_accounts_sql::Creation;
use wharf_config::Config;
use wharf_config::account_error::{AccountError, is_missing};
use wharf_config::outcome::{Exit, Failure, print, print_error};
use wharf_config::raw::quoted;
use wharf_config::table::table;
use wharf_runtime::accounts::{self, all_records};
use wharf_users::admin::UserAdmin;
use wharf_users::file::{EditError, Holder, StoreChange as Act, UserRecord};
use wharf_users::name::check_name;
use wharf_users::nearest::nearest;
use wharf_users::permissions::format_permissions;

use super::facts::{NewHome, SettingChanges};
use super::list;
use super::origins::Origins;
use super::{json, reach, show, waits};
use crate::cli::GlobalArgs;
use crate::cli::group::{GroupArgs, GroupCommand};
use crate::cli::user::AccountArgs;
use crate::setup::{config_file, inputs, load};

/// Maximum number of names in a message.
const NAMES_MAX: usize = 10;

/// Runs the command.
pub(crate) fn group(global: &GlobalArgs, what: &GroupCommand) -> Result<Exit, Failure> {
    let is_coloured = global.color.is_on();
    let file = config_file(global);
    let inputs = inputs(global, file.clone(), Vec::new());
    let config = load(&inputs, is_coloured)?.config;
    let is_new = matches!(what, GroupCommand::Add { .. });
    let creation = if is_new { Creation::Wanted } else { Creation::No };
    let done = waits(async {
        let store = accounts::admin(&config, creation)?;
        match what {
            GroupCommand::Add { name, facts } => add(&*store, name, facts).await?,
            GroupCommand::List { json } => list(&*store, *json).await?,
            GroupCommand::Show { name, json } => show(&*store, &config, name, *json).await?,
            GroupCommand::Edit { name, facts } => edit(&*store, name, facts).await?,
            GroupCommand::Del { names } => delete(&*store, names).await?,
        }
        Ok(match what {
            GroupCommand::Add { name, .. } | GroupCommand::Edit { name, .. } => {
                reach::of_group(&*store, name).await
            }
            _ => Vec::new(),
        })
    })?;
    let folders = done.map_err(|error: AccountError| error.into_failure(is_coloured))?;
    reach::note_sandbox(global, file.as_deref(), &folders);
    Ok(Exit::Done)
}

/// The home of a new account: its own, or that of its groups. Rejects unknown groups.
pub(super) async fn home_of(
    store: &dyn UserAdmin,
    name: &str,
    facts: &AccountArgs,
) -> Result<Option<NewHome>, AccountError> {
    check_name(name).map_err(|problem| EditError::BadName(name.to_owned(), problem))?;
    let names: Vec<_> = facts.groups.iter().filter(|name| !name.is_empty()).cloned().collect();
    let known = if names.is_empty() { Vec::new() } else { groups(store).await? };
    for group in &names {
        named(&known, group)?;
    }
    if let Some(home) = &facts.home {
        return Ok(Some(NewHome { path: home.clone(), group: None }));
    }
    let sets_home = |name: &&String| {
        known.iter().any(|group| group.name == **name && !group.home.as_os_str().is_empty())
    };
    let group = names.iter().find(sets_home).cloned();
    let own = UserRecord { name: name.to_owned(), groups: names, ..UserRecord::default() };
    let whole = own.with_groups(|name| known.iter().find(|group| group.name == name));
    Ok(group.map(|group| NewHome { path: store.folder().join(whole.home), group: Some(group) }))
}

async fn add(store: &dyn UserAdmin, name: &str, facts: &GroupArgs) -> Result<(), AccountError> {
    let change = SettingChanges::of_group(facts)?;
    store.change(&[Act::add(Holder::Group(name.to_owned()), change.settings.clone())]).await?;
    change.note_missing();
    print_error(&format!("added group {name} to {}\n", store.place()));
    Ok(())
}

async fn edit(store: &dyn UserAdmin, name: &str, facts: &GroupArgs) -> Result<(), AccountError> {
    let change = SettingChanges::of_group(facts)?;
    named(&groups(store).await?, name)?;
    if change.is_empty() {
        return Err(Failure::usage("missing option: a setting to change")
            .hint("list settings:  wharf group edit --help")
            .into());
    }
    change.note_missing();
    let SettingChanges { settings, cleared } = change;
    let holder = Holder::Group(name.to_owned());
    store.change(&[Act::Set { holder, settings, cleared }]).await?;
    print_error(&format!("changed group {name}\n"));
    Ok(())
}

async fn delete(store: &dyn UserAdmin, names: &[String]) -> Result<(), AccountError> {
    let known = groups(store).await?;
    let all_records = all_records(store).await?;
    for name in names {
        named(&known, name)?;
        let members = members(&all_records, name);
        if let Some(first) = members.first() {
            let some = members.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
            let more = if members.len() > NAMES_MAX { ", …" } else { "" };
            let are = if members.len() == 1 { "1 member" } else { "members" };
            let count =
                if members.len() == 1 { String::new() } else { format!("{} ", members.len()) };
            let what = format!("cannot delete group `{name}`: it has {count}{are}: {some}{more}");
            let hint = format!("remove members first:  wharf user edit {first} --group \"\"");
            return Err(Failure::new(what).hint(hint).into());
        }
    }
    let remove = |name: &String| Act::remove(Holder::Group(name.clone()));
    store.change(&names.iter().map(remove).collect::<Vec<_>>()).await?;
    print_error(&format!("deleted group {}\n", names.join(", ")));
    Ok(())
}

async fn list(store: &dyn UserAdmin, is_json: bool) -> Result<(), AccountError> {
    let all_records = all_records(store).await?;
    let groups = store.groups().await?;
    let faults = store.faults().await?;
    let invalid = faults.iter().filter_map(|fault| match &fault.holder {
        Holder::Group(name) => Some((name, fault.to_string())),
        Holder::User(_) => None,
    });
    if is_json {
        let line = |group: &UserRecord| {
            let count = members(&all_records, &group.name).len();
            json::of_group(group, store.folder(), &[("accounts", count.to_string())]) + "\n"
        };
        let invalid = invalid.map(|(name, why)| {
            format!("{{\"name\":{},\"invalid\":{}}}\n", quoted(name), quoted(&why))
        });
        return Ok(print(&groups.iter().map(line).chain(invalid).collect::<String>())?);
    }
    let mut rows =
        vec![["NAME", "ACCOUNTS", "PERMISSIONS", "QUOTA", "HOME", "COMMENT"].map(str::to_owned)];
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    rows.extend(groups.iter().map(|group| {
        let home = store.folder().join(&group.home).display().to_string();
        [
            group.name.clone(),
            members(&all_records, &group.name).len().to_string(),
            or_dash(group.permissions.map(format_permissions)),
            or_dash(show::quota(group)),
            or_dash((!group.home.as_os_str().is_empty()).then_some(home)),
            group.comment.clone().unwrap_or_default(),
        ]
    }));
    let dash = || "-".to_owned();
    rows.extend(
        invalid.map(|(name, why)| {
            [name.clone(), dash(), list::INVALID.to_owned(), dash(), dash(), why]
        }),
    );
    Ok(print(&table(&rows))?)
}

async fn show(
    store: &dyn UserAdmin,
    config: &Config,
    name: &str,
    is_json: bool,
) -> Result<(), AccountError> {
    let known = groups(store).await?;
    let group = named(&known, name)?;
    let all_records = all_records(store).await?;
    let members = members(&all_records, name);
    let origins = Origins::of_group(group, config)?;
    if is_json {
        let names = json::list(members.iter().map(|name| quoted(name)));
        let more = [("accounts", names), ("origins", show::origins_json(group, &origins))];
        return Ok(print(&(json::of_group(group, store.folder(), &more) + "\n"))?);
    }
    let names = if members.is_empty() { "none".to_owned() } else { members.join(", ") };
    Ok(print(&show::of_group(group, store.folder(), origins, &names))?)
}

/// The groups; none if the store does not exist yet.
async fn groups(store: &dyn UserAdmin) -> Result<Vec<UserRecord>, AccountError> {
    match store.groups().await {
        Ok(groups) => Ok(groups),
        Err(error) if is_missing(&error) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// The members of a group.
fn members<'a>(all_records: &'a [UserRecord], group: &str) -> Vec<&'a str> {
    let is_in = |record: &&UserRecord| record.groups.iter().any(|name| name == group);
    all_records.iter().filter(is_in).map(|record| record.name.as_str()).collect()
}

/// The group of this name; rejects an unknown one, with a suggestion.
fn named<'a>(known: &'a [UserRecord], name: &str) -> Result<&'a UserRecord, Failure> {
    known.iter().find(|group| group.name == name).ok_or_else(|| {
        let what = format!("unknown group `{}`", name.escape_debug());
        let failure = Failure { exit: Exit::NotFound, ..Failure::new(what) };
        match nearest(name, known.iter().map(|group| group.name.as_str())) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint("list groups:  wharf group list"),
        }
    })
}
