//! Accounts shown: a table for people, JSON for scripts.

use std::fmt::Write as _;
use std::path::Path;

use wharf_core::account::{Count, Rate, Size};
use wharf_users::admin::UserAdmin;
use wharf_users::file::{PERMISSIONS_DEFAULT, StoredHash, UserRecord};
use wharf_users::rights::format_rights;
use wharf_users::units::{format_quota, format_rate};

use super::{Trouble, missing_user};
use crate::accounts::everyone;
use crate::config::raw::quoted;
use crate::outcome::print;

/// Lists the accounts whose name fits.
pub(super) async fn list(
    store: &dyn UserAdmin,
    pattern: Option<&str>,
    only_disabled: bool,
    is_json: bool,
) -> Result<(), Trouble> {
    let records = everyone(store).await?;
    let fitting = records.iter().filter(|record| {
        pattern.is_none_or(|pattern| fits(pattern, &record.name))
            && !(only_disabled && record.is_enabled())
    });
    if is_json {
        let lines: String = fitting.map(|record| json(record, store.folder()) + "\n").collect();
        return Ok(print(&lines)?);
    }
    let mut rows = vec![["NAME", "LOGIN", "RIGHTS", "QUOTA", "HOME", "COMMENT"].map(str::to_owned)];
    rows.extend(fitting.map(|record| {
        [
            record.name.clone(),
            if record.is_enabled() { "yes" } else { "disabled" }.to_owned(),
            format_rights(record.permissions.unwrap_or(PERMISSIONS_DEFAULT)),
            quota(record).unwrap_or_else(|| "-".to_owned()),
            store.folder().join(&record.home).display().to_string(),
            record.comment.clone().unwrap_or_default(),
        ]
    }));
    Ok(print(&table(&rows))?)
}

/// Shows one account.
pub(super) async fn show(store: &dyn UserAdmin, name: &str, is_json: bool) -> Result<(), Trouble> {
    let Some(record) = store.find(name).await? else {
        return Err(missing_user(store, name).await?.into());
    };
    if is_json {
        return Ok(print(&(json(&record, store.folder()) + "\n"))?);
    }
    let server = "as the server's limits say";
    let rate = |rate: Option<Rate>| rate.map_or_else(|| server.to_owned(), format_rate);
    let mut rows = vec![
        ("name", record.name.clone()),
        ("login", if record.is_enabled() { "yes" } else { "disabled" }.to_owned()),
        ("password", password(&record).to_owned()),
        ("home", store.folder().join(&record.home).display().to_string()),
        ("rights", format_rights(record.permissions.unwrap_or(PERMISSIONS_DEFAULT))),
    ];
    for (path, rights) in &record.paths {
        rows.push(("", format!("below {path}: {}", format_rights(*rights))));
    }
    rows.push(("uploads", rate(record.upload_rate)));
    rows.push(("downloads", rate(record.download_rate)));
    if record.transfer_upload_rate.is_some() || record.transfer_download_rate.is_some() {
        rows.push(("each upload", rate(record.transfer_upload_rate)));
        rows.push(("each download", rate(record.transfer_download_rate)));
    }
    let sessions = record.sessions.map_or_else(|| server.to_owned(), count);
    rows.push(("sessions", sessions));
    rows.push(("quota", quota(&record).unwrap_or_else(|| server.to_owned())));
    let tls = if record.require_tls.unwrap_or(false) { "required" } else { "as tls.require says" };
    rows.push(("TLS", tls.to_owned()));
    rows.extend(record.comment.clone().map(|comment| ("comment", comment)));
    let mut lines = String::new();
    for (name, value) in rows {
        let _ = writeln!(lines, "{name:<14}{value}");
    }
    Ok(print(&lines)?)
}

/// How much the account may keep, if its file says so.
fn quota(record: &UserRecord) -> Option<String> {
    let files = record.quota_files.map(|files| match files {
        Count::Unlimited => "any number of files".to_owned(),
        Count::AtMost(most) => format!("{most} files"),
    });
    let parts: Vec<_> = record.quota.map(format_quota).into_iter().chain(files).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn count(count: Count) -> String {
    count.number().map_or_else(|| "unlimited".to_owned(), |number| number.to_string())
}

fn password(record: &UserRecord) -> &'static str {
    match &record.password {
        Some(hash) if hash.is_usable() => "set",
        Some(_) => "locked: what is kept is no hash",
        None => "none: nobody can log in",
    }
}

/// One object on one line; rates in bytes a second, sizes in bytes, 0 for no limit, null for
/// what the server says.
fn json(record: &UserRecord, folder: &Path) -> String {
    let rate = |rate: Option<Rate>| {
        rate.map_or_else(
            || "null".to_owned(),
            |rate| rate.bytes_per_second().unwrap_or_default().to_string(),
        )
    };
    let or_null = |text: Option<String>| text.unwrap_or_else(|| "null".to_owned());
    let number = |count: Option<Count>| {
        or_null(count.map(|count| count.number().unwrap_or_default().to_string()))
    };
    let size =
        |size: Option<Size>| or_null(size.map(|size| size.bytes().unwrap_or_default().to_string()));
    let rights = |rights: wharf_core::permission::Permissions| quoted(&format_rights(rights));
    let paths: Vec<_> = record
        .paths
        .iter()
        .map(|(path, set)| format!("{}:{}", quoted(&path.to_string()), rights(*set)))
        .collect();
    let members = [
        ("name", quoted(&record.name)),
        ("enabled", record.is_enabled().to_string()),
        ("has_password", record.password.as_ref().is_some_and(StoredHash::is_usable).to_string()),
        ("home", quoted(&folder.join(&record.home).to_string_lossy())),
        ("permissions", rights(record.permissions.unwrap_or(PERMISSIONS_DEFAULT))),
        ("paths", format!("{{{}}}", paths.join(","))),
        ("upload_rate", rate(record.upload_rate)),
        ("download_rate", rate(record.download_rate)),
        ("transfer_upload_rate", rate(record.transfer_upload_rate)),
        ("transfer_download_rate", rate(record.transfer_download_rate)),
        ("sessions", number(record.sessions)),
        ("quota", size(record.quota)),
        ("quota_files", number(record.quota_files)),
        ("require_tls", record.require_tls.unwrap_or(false).to_string()),
        ("comment", record.comment.as_deref().map_or_else(|| "null".to_owned(), quoted)),
    ];
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}", members.join(","))
}

/// Columns as wide as their widest cell; the last is not padded.
pub(crate) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..COLUMNS).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<_> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// Whether a name fits a pattern in which `*` is any letters and `?` any letter.
fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut letter) = (0, 0);
    let mut star = None;
    while letter < name.len() {
        let wanted = pattern.get(at);
        if wanted == Some(&'*') {
            star = Some((at, letter));
            at += 1;
        } else if wanted == Some(&'?') || wanted == name.get(letter) {
            at += 1;
            letter += 1;
        } else if let Some((star_at, taken)) = star {
            // Let the last star take one letter more, and try the rest again.
            star = Some((star_at, taken + 1));
            at = star_at + 1;
            letter = taken + 1;
        } else {
            return false;
        }
    }
    pattern.iter().skip(at).all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names() {
        for (pattern, name, is_fit) in [
            ("anna", "anna", true),
            ("an*", "anna", true),
            ("*n?", "anna", true),
            ("*", "", true),
            ("a?a", "anna", false),
            ("an", "anna", false),
            ("*x*", "anna", false),
        ] {
            assert_eq!(fits(pattern, name), is_fit, "{pattern} {name}");
        }
    }

    #[test]
    fn columns_line_up() {
        let rows = [["A", "B"].map(str::to_owned), ["long", ""].map(str::to_owned)];
        assert_eq!(table(&rows), "A     B\nlong\n");
    }
}
