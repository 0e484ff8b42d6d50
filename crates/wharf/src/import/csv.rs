//! Accounts in CSV: a row of names, then a row for each account.
//!
//! The columns may come in any order, between commas, semicolons (Excel in many languages) or
//! tabs. `wharf user export` writes the same columns.

mod rows;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use wharf_core::account::{Count, Rate};
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;
use wharf_users::nearest::nearest;
use wharf_users::password::looks_like_hash;
use wharf_users::rights::parse_rights;
use wharf_users::units::{UNLIMITED, parse_rate, parse_size};

pub(crate) use rows::written;

use self::rows::{Row, rows};
use super::hashes;
use super::model::{Account, Fact, Found, Refused, Secret, Spot};
use super::text::{self, ACCOUNTS_BYTES_MAX, SourceEncoding, Text};
use crate::outcome::Failure;

/// The columns that an export writes; an import takes them in any order.
pub(crate) const COLUMNS: [&str; 20] = [
    "name",
    "password_hash",
    "password",
    "no_password",
    "home",
    "permissions",
    "paths",
    "enabled",
    "upload_rate",
    "download_rate",
    "transfer_upload_rate",
    "transfer_download_rate",
    "sessions",
    "quota",
    "quota_files",
    "require_tls",
    "allow",
    "hours",
    "expires",
    "comment",
];

/// Other names of columns, and those of facts for which there is no key.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("user", "name"),
    ("username", "name"),
    ("login", "name"),
    ("用户名", "name"),
    ("hash", "password_hash"),
    ("密码", "password"),
    ("dir", "home"),
    ("directory", "home"),
    ("folder", "home"),
    ("home_dir", "home"),
    ("homedir", "home"),
    ("目录", "home"),
    ("perm", "permissions"),
    ("perms", "permissions"),
    ("rights", "permissions"),
    ("权限", "permissions"),
    ("up", "upload_rate"),
    ("down", "download_rate"),
    ("note", "comment"),
    ("备注", "comment"),
    ("allowed_addresses", "allow"),
    ("deny", "deny"),
    ("groups", "groups"),
];

/// Reads the file.
pub(crate) fn import(path: &Path, encoding: SourceEncoding) -> Result<Found, Failure> {
    let text = text::read(path, ACCOUNTS_BYTES_MAX, encoding)?;
    let base = std::path::absolute(text.folder()).unwrap_or_else(|_| text.folder());
    Ok(read(&text, &base)?)
}

/// Reads accounts; relative homes begin at `base`.
fn read(text: &Text, base: &Path) -> Result<Found, Refused> {
    let all = rows(&text.content).map_err(|line| {
        Refused::new(
            format!("{}: a quote is never closed", text.spot(line)),
            "the file was cut, or a quote in a cell is not written twice; nothing was written",
        )
    })?;
    let Some((header, rows)) = all.split_first() else {
        let what = format!("{} is empty", text.shown);
        return Err(Refused::new(
            what,
            "its first row names the columns, such as: name,password,home",
        ));
    };
    let mut found = Found::default();
    let columns = columns(header, text, &mut found)?;
    for row in rows {
        let spot = text.spot(row.line);
        if row.cells.len() > columns.len() {
            let what =
                format!("this row has {} cells under {} columns", row.cells.len(), columns.len());
            found.lost(&spot, what, "put a cell with a comma in it into \"quotes\"");
            continue;
        }
        let line = Line { columns: &columns, row, spot };
        if let Some(account) = line.account(base, &mut found) {
            found.add(account);
        }
    }
    if found.accounts.is_empty() {
        let what = format!("{} has no account", text.shown);
        let told = found.notes.first().map(|note| note.what.clone());
        let help = told.unwrap_or_else(|| "a row for each account follows the row of names".into());
        return Err(Refused::new(what, help));
    }
    if found.accounts.iter().any(|account| matches!(account.secret, Secret::Plain(_))) {
        let what = format!("{} still holds passwords that anybody can read", text.shown);
        let remedy = "when the move is done, delete it or keep it where nobody sees it";
        found.note(super::model::Kind::Advice, None, what, remedy);
    }
    Ok(found)
}

/// The columns by their own names; those that are not known are told once.
fn columns(header: &Row, text: &Text, found: &mut Found) -> Result<Vec<String>, Refused> {
    let spot = text.spot(header.line);
    let names = || COLUMNS.iter().chain(OTHER_NAMES.iter().map(|(name, _)| name)).copied();
    let mut columns: Vec<String> = Vec::new();
    for cell in &header.cells {
        let name = cell.trim().to_lowercase().replace([' ', '-'], "_");
        let other = OTHER_NAMES.iter().find(|(other, _)| *other == name);
        let name = other.map_or(name, |(_, meant)| (*meant).to_owned());
        let is_known = names().any(|known| known == name);
        if !is_known && !name.is_empty() {
            let what = format!("the column `{}` is not known", cell.trim().escape_debug());
            let remedy = match nearest(&name, names()) {
                Some(near) => format!("is `{near}` meant? then mend it and import again"),
                None => format!("known columns: {}", COLUMNS.join(", ")),
            };
            found.lost(&spot, what, remedy);
        }
        if is_known && columns.contains(&name) {
            let what = format!("{spot}: the column `{name}` is there twice");
            return Err(Refused::new(what, "keep one of them"));
        }
        columns.push(name);
    }
    for needed in ["name", "home"] {
        if !columns.iter().any(|name| name == needed) {
            let what = format!("{spot}: there is no column `{needed}`");
            let help = "the first row names the columns, such as: name,password,home,permissions";
            return Err(Refused::new(what, help));
        }
    }
    Ok(columns)
}

/// A row with the names of its columns.
struct Line<'a> {
    columns: &'a [String],
    row: &'a Row,
    spot: Spot,
}

impl Line<'_> {
    /// What stands in a column, if something does.
    fn cell(&self, column: &str) -> Option<&str> {
        let index = self.columns.iter().position(|name| name == column)?;
        let cell = self.row.cells.get(index).map(String::as_str)?;
        Some(cell).filter(|cell| !cell.trim().is_empty())
    }

    /// What `parse` makes of a cell. A cell it cannot read is told and left out.
    fn read<T>(
        &self,
        column: &str,
        found: &mut Found,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let cell = self.cell(column)?.trim();
        let value = parse(cell);
        if value.is_none() {
            let what = format!("`{}` cannot be a value of {column}", cell.escape_debug());
            found.lost(&self.spot, what, "mend it and import again, or: wharf user edit NAME");
        }
        value
    }

    fn account(&self, base: &Path, found: &mut Found) -> Option<Account> {
        let name = self.cell("name").map(str::trim);
        let home = self.cell("home").map(str::trim);
        let (Some(name), Some(home)) = (name, home) else {
            let what = if name.is_none() { "this account has no name" } else { "it has no home" };
            found.lost(&self.spot, what, "every account needs a name and a home");
            return None;
        };
        // A right that is misread could give too much: the account is left out instead.
        let rights = self.cell("permissions").map(|cell| parse_rights(cell.trim()));
        let rights = match rights.transpose() {
            Ok(rights) => rights,
            Err(bad) => {
                let name = name.escape_debug();
                found.lost(&self.spot, format!("account `{name}`: {}", bad.message()), bad.help());
                return None;
            }
        };
        let home = PathBuf::from(home);
        let mut account = Account::new(name, Secret::None, base.join(home), self.spot.clone());
        account.permissions = rights;
        account.paths = self.read("paths", found, read_paths).unwrap_or_default();
        account.is_enabled = self.read("enabled", found, truth).unwrap_or(true);
        account.upload_rate = self.rate("upload_rate", found);
        account.download_rate = self.rate("download_rate", found);
        account.transfer_upload_rate = self.rate("transfer_upload_rate", found);
        account.transfer_download_rate = self.rate("transfer_download_rate", found);
        account.sessions = self.read("sessions", found, |cell| {
            let number = if cell.eq_ignore_ascii_case(UNLIMITED) { "0" } else { cell };
            number.parse().ok().map(Count::from_number)
        });
        account.requires_tls = self.read("require_tls", found, truth).unwrap_or(false);
        self.cell("comment").unwrap_or_default().clone_into(&mut account.comment);
        self.facts(&mut account, found);
        account.secret = self.secret(name, found);
        Some(account)
    }

    fn rate(&self, column: &str, found: &mut Found) -> Option<Rate> {
        self.read(column, found, |cell| parse_rate(cell).ok())
    }

    /// A hash where one is given, else the password. Without either nobody can log in.
    fn secret(&self, name: &str, found: &mut Found) -> Secret {
        if self.read("no_password", found, truth) == Some(true) {
            return self.no_secret(name, found);
        }
        if let Some(hash) = self.cell("password_hash") {
            return hashes::keep(hash.trim(), name, &self.spot, found);
        }
        match self.cell("password") {
            Some(hash) if looks_like_hash(hash) => hashes::keep(hash, name, &self.spot, found),
            Some(password) => Secret::Plain(password.to_owned()),
            None => {
                let shown = name.escape_debug();
                let what = format!("account `{shown}` has no password");
                let remedy = format!("nobody can log in until:  wharf user passwd {shown}");
                found.note(super::model::Kind::Advice, Some(&self.spot), what, remedy);
                Secret::None
            }
        }
    }

    /// For an account that says that it needs no password: only where it names its addresses.
    fn no_secret(&self, name: &str, found: &mut Found) -> Secret {
        if self.cell("allow").is_some_and(|cell| !cell.trim().is_empty()) {
            return Secret::NotNeeded;
        }
        let shown = name.escape_debug();
        let what = format!("account `{shown}` is to need no password, and names no addresses");
        let remedy = format!(
            "nobody can log in until:  wharf user edit {shown} --no-password --allow ADDRESS"
        );
        found.lost(&self.spot, what, remedy);
        Secret::None
    }

    fn facts(&self, account: &mut Account, found: &mut Found) {
        let quota = self.read("quota", found, |cell| parse_size(cell).ok());
        account.facts.extend(quota.map(Fact::Quota));
        let files = self.read("quota_files", found, |cell| cell.parse().ok());
        account.facts.extend(files.map(Fact::QuotaFiles));
        let text = |column: &str| self.cell(column).map(|cell| cell.trim().to_owned());
        account.facts.extend(text("allow").map(Fact::Allow));
        account.facts.extend(text("deny").map(Fact::Deny));
        account.facts.extend(text("hours").map(Fact::Hours));
        account.facts.extend(text("expires").map(Fact::Expires));
        account.facts.extend(text("groups").map(Fact::Groups));
    }
}

fn truth(cell: &str) -> Option<bool> {
    match cell.to_lowercase().as_str() {
        "true" | "yes" | "1" | "on" | "y" | "是" => Some(true),
        "false" | "no" | "0" | "off" | "n" | "否" => Some(false),
        _ => None,
    }
}

/// `/incoming=upload;/old=read`; what would be misread in a path is written as `%3B`.
fn read_paths(cell: &str) -> Option<Vec<(VPath, Permissions)>> {
    let one = |part: &str| {
        let (path, rights) = part.rsplit_once('=')?;
        let path = path.trim().replace("%3B", ";").replace("%3D", "=").replace("%25", "%");
        let path = VPath::root().resolve(path.as_bytes()).ok().filter(|path| !path.is_root())?;
        Some((path, parse_rights(rights).ok()?))
    };
    cell.split(';').filter(|part| !part.trim().is_empty()).map(one).collect()
}

/// The paths as [`read_paths`] reads them.
pub(crate) fn written_paths(paths: &[(VPath, Permissions)]) -> String {
    let one = |(path, rights): &(VPath, Permissions)| {
        let path = String::from_utf8_lossy(path.as_bytes()).into_owned();
        let path = path.replace('%', "%25").replace('=', "%3D").replace(';', "%3B");
        format!("{path}={}", wharf_users::rights::format_rights(*rights))
    };
    paths.iter().map(one).collect::<Vec<_>>().join(";")
}
