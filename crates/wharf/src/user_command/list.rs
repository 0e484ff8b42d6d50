//! Accounts as a table, or as JSON lines.

use wharf_config::account_error::AccountError;
use wharf_config::outcome::print;
use wharf_config::raw::quoted;
use wharf_config::table::table;
use wharf_runtime::accounts::all_records;
use wharf_users::admin::UserAdmin;
use wharf_users::file::{Holder, PERMISSIONS_DEFAULT};
use wharf_users::permissions::format_permissions;

use super::json;
use super::show::{LoginStatus, login, quota};

/// Filter of accounts.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccountFilter<'a> {
    /// Pattern of names.
    pub(super) pattern: Option<&'a str>,
    /// Only disabled ones.
    pub(super) only_disabled: bool,
    /// Only expired ones.
    pub(super) only_expired: bool,
}

/// Lists the accounts that match.
pub(super) async fn list(
    store: &dyn UserAdmin,
    wanted: AccountFilter<'_>,
    is_json: bool,
) -> Result<(), AccountError> {
    let records = all_records(store).await?;
    let is_any = !wanted.only_disabled && !wanted.only_expired;
    let fitting = records.iter().filter(|record| {
        let is_wanted = match login(record) {
            LoginStatus::Open => is_any,
            LoginStatus::Disabled => is_any || wanted.only_disabled,
            LoginStatus::Ended => is_any || wanted.only_expired,
        };
        is_wanted && wanted.pattern.is_none_or(|pattern| fits(pattern, &record.name))
    });
    let faults = if is_any { store.faults().await? } else { Vec::new() };
    // An invalid group affects its members, including future ones.
    let invalid = faults.iter().map(|fault| match &fault.holder {
        Holder::User(name) => ("name", name, fault.to_string()),
        Holder::Group(name) => ("group", name, fault.to_string()),
    });
    let invalid = invalid.filter(|(kind, name, _)| {
        wanted.pattern.is_none_or(|pattern| *kind == "name" && fits(pattern, name))
    });
    if is_json {
        let lines = fitting.map(|record| json::of(record, store.folder(), &[]) + "\n");
        let invalid = invalid.map(|(kind, name, why)| {
            format!("{{\"{kind}\":{},\"invalid\":{}}}\n", quoted(name), quoted(&why))
        });
        return Ok(print(&lines.chain(invalid).collect::<String>())?);
    }
    let mut rows =
        vec![["NAME", "LOGIN", "PERMISSIONS", "QUOTA", "HOME", "COMMENT"].map(str::to_owned)];
    rows.extend(fitting.map(|record| {
        [
            record.name.clone(),
            login(record).word().to_owned(),
            format_permissions(record.permissions.unwrap_or(PERMISSIONS_DEFAULT)),
            quota(record).unwrap_or_else(|| "-".to_owned()),
            store.folder().join(&record.home).display().to_string(),
            record.comment.clone().unwrap_or_default(),
        ]
    }));
    let dash = || "-".to_owned();
    rows.extend(invalid.map(|(kind, name, why)| {
        let name = if kind == "group" { format!("group {name}") } else { name.clone() };
        [name, INVALID.to_owned(), dash(), dash(), dash(), why]
    }));
    Ok(print(&table(&rows))?)
}

/// Shown instead of settings of an invalid account or group.
pub(super) const INVALID: &str = "invalid";

/// Whether a name matches a pattern in which `*` is any text and `?` any character.
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
            // Extend the last star by one character, and retry.
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
}
