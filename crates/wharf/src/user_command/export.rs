//! Accounts as CSV, as read by `wharf import csv`.

use std::path::Path;

use wharf_config::account_error::AccountError;
use wharf_config::outcome::print;
use wharf_import::csv::{COLUMNS, written, written_paths};
use wharf_runtime::accounts::all_records_or_fault;
use wharf_users::admin::UserAdmin;
use wharf_users::file::{AccountValue, PERMISSIONS_DEFAULT, UserRecord, account_key};
use wharf_users::permissions::format_permissions;

/// Prints all accounts. Hashes are omitted by default, since they allow guessing passwords offline.
pub(super) async fn export(store: &dyn UserAdmin, has_hashes: bool) -> Result<(), AccountError> {
    let records = all_records_or_fault(store).await?;
    let is_written = |column: &&str| match *column {
        "password_hash" => has_hashes,
        "password" => false,
        _ => true,
    };
    let columns: Vec<&str> = COLUMNS.iter().copied().filter(|name| is_written(name)).collect();
    let header: Vec<_> = columns.iter().map(|&name| name.to_owned()).collect();
    let folder = std::path::absolute(store.folder()).unwrap_or_else(|_| store.folder().to_owned());
    let mut table = written(&header);
    for record in &records {
        let cells: Vec<_> = columns.iter().map(|name| cell(record, &folder, name)).collect();
        table.push_str(&written(&cells));
    }
    Ok(print(&table)?)
}

/// The value of a column; empty if the account does not set it.
fn cell(record: &UserRecord, folder: &Path, column: &str) -> String {
    match column {
        "name" => record.name.clone(),
        "password_hash" => {
            record.password.as_ref().map(|hash| hash.as_str().to_owned()).unwrap_or_default()
        }
        "no_password" => record.no_password.unwrap_or(false).to_string(),
        "home" => folder.join(&record.home).to_string_lossy().into_owned(),
        "permissions" => format_permissions(record.permissions.unwrap_or(PERMISSIONS_DEFAULT)),
        "paths" => written_paths(&record.paths),
        "enabled" => record.is_enabled().to_string(),
        "require_tls" => record.require_tls.unwrap_or(false).to_string(),
        key => {
            let value = account_key(key).and_then(|key| (key.value)(record));
            value.map(AccountValue::text).unwrap_or_default()
        }
    }
}
