//! Accounts and groups as JSON, for scripts.

use std::path::Path;

use wharf_core::account::{Count, Rate, Size};
use wharf_core::permission::Permissions;
use wharf_users::file::{FolderRecord, PERMISSIONS_DEFAULT, StoredHash, UserRecord, shown_network};
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

fn common(record: &UserRecord) -> [(&'static str, String); 8] {
    let rate = |rate: Option<Rate>| {
        or_null(rate.map(|rate| rate.bytes_per_second().unwrap_or_default().to_string()))
    };
    let paths = record.paths.iter().map(|(path, set): &(_, Permissions)| {
        format!("{}:{}", quoted(&path.to_string()), quoted(&format_permissions(*set)))
    });
    [
        ("paths", format!("{{{}}}", paths.collect::<Vec<_>>().join(","))),
        ("upload_rate", rate(record.upload_rate)),
        ("download_rate", rate(record.download_rate)),
        ("transfer_upload_rate", rate(record.transfer_upload_rate)),
        ("transfer_download_rate", rate(record.transfer_download_rate)),
        ("sessions", number(record.sessions)),
        ("quota", size(record.quota)),
        ("quota_files", number(record.quota_files)),
    ]
}

fn restrictions(record: &UserRecord, base: &Path) -> [(&'static str, String); 4] {
    let addresses = record.allowed_addresses.as_ref();
    let addresses = addresses.map(|all| list(all.iter().map(|one| quoted(&shown_network(one)))));
    let hours = record.hours.as_ref();
    let hours = hours.map(|hours| list(hours.windows().map(|window| quoted(&window))));
    let folders = record.folders.iter().map(|folder| folder_member(folder, base));
    [
        ("allowed_addresses", or_null(addresses)),
        ("hours", or_null(hours)),
        ("expires", or_null(record.expires.map(|expires| quoted(&expires.to_string())))),
        ("folders", format!("{{{}}}", folders.collect::<Vec<_>>().join(","))),
    ]
}

fn folder_member(folder: &FolderRecord, base: &Path) -> String {
    let members = [
        ("target", quoted(&base.join(&folder.target).to_string_lossy())),
        ("permissions", or_null(folder.permissions.map(|set| quoted(&format_permissions(set))))),
        ("quota", size(folder.quota)),
        ("quota_files", number(folder.quota_files)),
    ];
    format!("{}:{}", quoted(&folder.path.to_string()), object(&members))
}

fn number(count: Option<Count>) -> String {
    or_null(count.map(|count| count.number().unwrap_or_default().to_string()))
}

fn size(size: Option<Size>) -> String {
    or_null(size.map(|size| size.bytes().unwrap_or_default().to_string()))
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
