//! Accounts and groups as JSON, for scripts.

use std::path::Path;

use wharf_users::file::{
    ACCOUNT_KEYS, AccountKey, AccountValue, FolderRecord, PERMISSIONS_DEFAULT, StoredHash,
    UserRecord, shown_network,
};
use wharf_users::permissions::format_permissions;

use wharf_config::raw::quoted;

/// An account as one object on one line; rates in bytes per second, sizes in bytes, 0 = unlimited,
/// null if neither the account nor its groups set it. `more` are additional members.
pub(super) fn of(record: &UserRecord, folder: &Path, more: &[(&str, String)]) -> String {
    let permissions = record.permissions.unwrap_or(PERMISSIONS_DEFAULT);
    let mut members = vec![
        ("name", quoted(&record.name)),
        ("enabled", record.is_enabled().to_string()),
        ("has_password", record.password.as_ref().is_some_and(StoredHash::is_usable).to_string()),
        ("no_password", record.is_open().to_string()),
        ("home", quoted(&folder.join(&record.home).to_string_lossy())),
        ("permissions", quoted(&format_permissions(permissions))),
    ];
    members.extend(common(record));
    let is_required = record.require_tls.unwrap_or(false);
    members.push(("require_tls", is_required.to_string()));
    members.push(("comment", or_null(record.comment.as_deref().map(quoted))));
    members.push(("groups", list(record.groups.iter().map(|name| quoted(name)))));
    members.extend(restrictions(record, folder));
    members.extend(more.iter().cloned());
    object(&members)
}

/// A group; null for settings that it does not have.
pub(super) fn of_group(group: &UserRecord, folder: &Path, more: &[(&str, String)]) -> String {
    let home = (!group.home.as_os_str().is_empty())
        .then(|| quoted(&folder.join(&group.home).to_string_lossy()));
    let truth = |truth: Option<bool>| or_null(truth.map(|truth| truth.to_string()));
    let mut members = vec![
        ("name", quoted(&group.name)),
        ("enabled", truth(group.enabled)),
        ("home", or_null(home)),
        ("permissions", or_null(group.permissions.map(|set| quoted(&format_permissions(set))))),
    ];
    members.extend(common(group));
    members.push(("require_tls", truth(group.require_tls)));
    members.push(("comment", or_null(group.comment.as_deref().map(quoted))));
    members.extend(restrictions(group, folder));
    members.extend(more.iter().cloned());
    object(&members)
}

fn common(record: &UserRecord) -> Vec<(&'static str, String)> {
    let paths = record.paths.iter().map(|(path, set)| {
        format!("{}:{}", quoted(&path.to_string()), quoted(&format_permissions(*set)))
    });
    let paths = ("paths", format!("{{{}}}", paths.collect::<Vec<_>>().join(",")));
    let limits = limit_keys().map(|key| (key.name, or_null((key.value)(record).map(value))));
    std::iter::once(paths).chain(limits).collect()
}

fn restrictions(record: &UserRecord, base: &Path) -> Vec<(&'static str, String)> {
    let keys = restriction_keys().map(|key| (key.name, or_null((key.value)(record).map(value))));
    let folders = record.folders.iter().map(|folder| folder_member(folder, base));
    let folders = ("folders", format!("{{{}}}", folders.collect::<Vec<_>>().join(",")));
    keys.chain([folders]).collect()
}

/// The limits, of which 0 means none.
pub(super) fn limit_keys() -> impl Iterator<Item = &'static AccountKey> {
    ACCOUNT_KEYS.iter().filter(|key| key.kind.is_amount())
}

/// The keys that are not limits, without those that JSON and the table of `wharf user show` have
/// in a form or a place of their own.
pub(super) fn restriction_keys() -> impl Iterator<Item = &'static AccountKey> {
    const OTHERS: [&str; 6] =
        ["password", "no_password", "permissions", "enabled", "require_tls", "comment"];
    ACCOUNT_KEYS.iter().filter(|key| !key.kind.is_amount() && !OTHERS.contains(&key.name))
}

/// A value of any kind.
fn value(value: AccountValue<'_>) -> String {
    match value {
        AccountValue::Rate(rate) => rate.bytes_per_second().unwrap_or_default().to_string(),
        AccountValue::Size(size) => size.bytes().unwrap_or_default().to_string(),
        AccountValue::Boolean(_) | AccountValue::Count(_) => value.text(),
        AccountValue::Networks(all) => list(all.iter().map(|one| quoted(&shown_network(one)))),
        AccountValue::Hours(hours) => list(hours.windows().map(|window| quoted(&window))),
        other => quoted(&other.text()),
    }
}

fn folder_member(folder: &FolderRecord, base: &Path) -> String {
    let members = [
        ("target", quoted(&base.join(&folder.target).to_string_lossy())),
        ("permissions", or_null(folder.permissions.map(|set| quoted(&format_permissions(set))))),
        ("quota", or_null(folder.quota.map(|quota| value(AccountValue::Size(quota))))),
        ("quota_files", or_null(folder.quota_files.map(|files| value(AccountValue::Count(files))))),
    ];
    format!("{}:{}", quoted(&folder.path.to_string()), object(&members))
}

fn or_null(text: Option<String>) -> String {
    text.unwrap_or_else(|| "null".to_owned())
}

/// A list of texts that are JSON already.
pub(super) fn list(texts: impl Iterator<Item = String>) -> String {
    format!("[{}]", texts.collect::<Vec<_>>().join(","))
}

fn object(members: &[(&str, String)]) -> String {
    let members = members.iter().map(|(name, value)| format!("{}:{value}", quoted(name)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}
