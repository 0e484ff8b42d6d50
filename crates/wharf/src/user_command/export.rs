//! Accounts as CSV, as read by `wharf import csv`.

use std::path::Path;

use wharf_config::account_error::AccountError;
use wharf_config::outcome::print;
use wharf_core::account::Rate;
use wharf_import::csv::{COLUMNS, written, written_paths};
use wharf_runtime::accounts::all_records_or_fault;
use wharf_users::admin::UserAdmin;
use wharf_users::file::{PERMISSIONS_DEFAULT, UserRecord, shown_network};
use wharf_users::permissions::format_permissions;
use wharf_users::units::{format_quota, format_rate};

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
    let rate = |rate: Option<Rate>| rate.map(format_rate).unwrap_or_default();
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
        "upload_rate" => rate(record.upload_rate),
        "download_rate" => rate(record.download_rate),
        "transfer_upload_rate" => rate(record.transfer_upload_rate),
        "transfer_download_rate" => rate(record.transfer_download_rate),
        "sessions" => {
            let count = record.sessions.map(|count| count.number().unwrap_or_default());
            count.map(|number| number.to_string()).unwrap_or_default()
        }
        "quota" => record.quota.map(format_quota).unwrap_or_default(),
        "quota_files" => {
            let count = record.quota_files.map(|count| count.number().unwrap_or_default());
            count.map(|number| number.to_string()).unwrap_or_default()
        }
        "allowed_addresses" => {
            let networks = record.allowed_addresses.iter().flatten().map(shown_network);
            networks.collect::<Vec<_>>().join(" ")
        }
        "hours" => record.hours.as_ref().map(ToString::to_string).unwrap_or_default(),
        "expires" => record.expires.map(|expires| expires.to_string()).unwrap_or_default(),
        "require_tls" => record.require_tls.unwrap_or(false).to_string(),
        _ => record.comment.clone().unwrap_or_default(),
    }
}
