//! Accounts in CSV: a header row, then a row for each account.
//!
//! The columns may be in any order, separated by commas, semicolons (Excel in many languages) or
//! tabs. `wharf user export` writes the same columns.

mod rows;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use wharf_config::outcome::Failure;
use wharf_core::account::{Count, Rate};
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;
use wharf_users::nearest::nearest;
use wharf_users::password::looks_like_hash;
use wharf_users::permissions::parse_permissions;
use wharf_users::units::{UNLIMITED, parse_rate, parse_size};

pub use rows::written;

use self::rows::{CsvRow, rows};
use super::hashes;
use super::model::{
    AccountProperty, ImportError, ImportResult, ImportedAccount, ImportedPassword, SourceLocation,
};
use super::text::{self, ACCOUNTS_BYTES_MAX, SourceEncoding, SourceText};

/// The columns that an export writes; an import accepts them in any order.
pub const COLUMNS: [&str; 20] = [
    "name", "password_hash", "password", "no_password", "home", "permissions", "paths", "enabled",
    "upload_rate", "download_rate", "transfer_upload_rate", "transfer_download_rate", "sessions",
    "quota", "quota_files", "require_tls", "allowed_addresses", "hours", "expires", "comment",
];

/// Alternative names of columns.
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
    ("allow", "allowed_addresses"),
    ("deny", "deny"),
    ("groups", "groups"),
];

/// Reads the file.
pub fn import(path: &Path, encoding: SourceEncoding) -> Result<ImportResult, Failure> {
    let hint = "give the path of the CSV file";
    let text = text::read_with(path, ACCOUNTS_BYTES_MAX, encoding, hint)?;
    let base = std::path::absolute(text.folder()).unwrap_or_else(|_| text.folder());
    Ok(read(&text, &base)?)
}

/// Reads accounts; relative homes are below `base`.
fn read(text: &SourceText, base: &Path) -> Result<ImportResult, ImportError> {
    let all = rows(&text.content).map_err(|line| {
        ImportError::new(
            format!("{}: a quote is never closed", text.location(line)),
            "the file is truncated, or a quote in a cell is not doubled; nothing was written",
        )
    })?;
    let Some((header, rows)) = all.split_first() else {
        let what = format!("{} is empty", text.shown);
        return Err(ImportError::new(
            what,
            "the first row must contain the column names, such as: name,password,home",
        ));
    };
    let mut found = ImportResult::default();
    let columns = columns(header, text, &mut found)?;
    for row in rows {
        let location = text.location(row.line);
        if row.cells.len() > columns.len() {
            let what =
                format!("this row has {} cells under {} columns", row.cells.len(), columns.len());
            found.lost(&location, what, "enclose cells that contain commas in \"quotes\"");
            continue;
        }
        let line = CsvLine { columns: &columns, row, location };
        if let Some(account) = line.account(base, &mut found) {
            found.add(account);
        }
    }
    if found.accounts.is_empty() {
        let what = format!("{} contains no accounts", text.shown);
        let Some(first) = found.notes.first() else {
            return Err(ImportError::new(
                what,
                "write a row for each account below the column names",
            ));
        };
        let place = first.location.as_ref().map_or_else(String::new, |at| format!("{at}: "));
        let what = format!("{what} that can be imported: {place}{}", first.what);
        return Err(ImportError::new(what, first.hint.clone()));
    }
    if found.accounts.iter().any(|account| matches!(account.secret, ImportedPassword::Plain(_))) {
        let what = format!("{} still contains passwords in plain text", text.shown);
        let hint = "after the migration, delete it or move it to a protected folder";
        found.note(super::model::NoteKind::Advice, None, what, hint);
    }
    Ok(found)
}

/// Maps the header to column names; each unknown one is reported once.
fn columns(
    header: &CsvRow,
    text: &SourceText,
    found: &mut ImportResult,
) -> Result<Vec<String>, ImportError> {
    let location = text.location(header.line);
    let names = || COLUMNS.iter().chain(OTHER_NAMES.iter().map(|(name, _)| name)).copied();
    let mut columns: Vec<String> = Vec::new();
    for cell in &header.cells {
        let name = cell.trim().to_lowercase().replace([' ', '-'], "_");
        let other = OTHER_NAMES.iter().find(|(other, _)| *other == name);
        let name = other.map_or(name, |(_, meant)| (*meant).to_owned());
        let is_known = names().any(|known| known == name);
        if !is_known && !name.is_empty() {
            let what = format!("unknown column `{}`", cell.trim().escape_debug());
            let hint = match nearest(&name, names()) {
                Some(near) => format!("did you mean `{near}`? correct it and import again"),
                None => format!("known columns: {}", COLUMNS.join(", ")),
            };
            found.lost(&location, what, hint);
        }
        if is_known && columns.contains(&name) {
            let what = format!("{location}: duplicate column `{name}`");
            return Err(ImportError::new(what, "keep one of them"));
        }
        columns.push(name);
    }
    for needed in ["name", "home"] {
        if !columns.iter().any(|name| name == needed) {
            let what = format!("{location}: missing column `{needed}`");
            let hint = "the first row must contain the column names, such as: \
                        name,password,home,permissions";
            return Err(ImportError::new(what, hint));
        }
    }
    Ok(columns)
}

/// A row with its column names.
struct CsvLine<'a> {
    columns: &'a [String],
    row: &'a CsvRow,
    location: SourceLocation,
}

impl CsvLine<'_> {
    /// The cell of a column, unless it is empty.
    fn cell(&self, column: &str) -> Option<&str> {
        let index = self.columns.iter().position(|name| name == column)?;
        let cell = self.row.cells.get(index).map(String::as_str)?;
        Some(cell).filter(|cell| !cell.trim().is_empty())
    }

    /// Parses a cell. An invalid cell is reported and ignored.
    fn read<T>(
        &self,
        column: &str,
        found: &mut ImportResult,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let cell = self.cell(column)?.trim();
        let value = parse(cell);
        if value.is_none() {
            let what = format!("invalid {column} `{}`", cell.escape_debug());
            found.lost(&self.location, what, "correct the row and import it again");
        }
        value
    }

    fn account(&self, base: &Path, found: &mut ImportResult) -> Option<ImportedAccount> {
        let name = self.cell("name").map(str::trim);
        let home = self.cell("home").map(str::trim);
        let (Some(name), Some(home)) = (name, home) else {
            let what = if name.is_none() { "missing account name" } else { "missing home" };
            found.lost(&self.location, what, "every account needs a name and a home");
            return None;
        };
        // A misread permission could grant too much, so the whole account is skipped.
        let permissions = self.cell("permissions").map(|cell| parse_permissions(cell.trim()));
        let permissions = match permissions.transpose() {
            Ok(permissions) => permissions,
            Err(bad) => {
                let name = name.escape_debug();
                found.lost(
                    &self.location,
                    format!("account `{name}`: {}", bad.message()),
                    bad.hint(),
                );
                return None;
            }
        };
        let home = PathBuf::from(home);
        let mut account = ImportedAccount::new(
            name,
            ImportedPassword::None,
            base.join(home),
            self.location.clone(),
        );
        account.permissions = permissions;
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

    fn rate(&self, column: &str, found: &mut ImportResult) -> Option<Rate> {
        self.read(column, found, |cell| parse_rate(cell).ok())
    }

    /// The hash if there is one, else the password. Without either, logins are impossible.
    fn secret(&self, name: &str, found: &mut ImportResult) -> ImportedPassword {
        if self.read("no_password", found, truth) == Some(true) {
            return self.no_secret(name, found);
        }
        if let Some(hash) = self.cell("password_hash") {
            return hashes::import(hash.trim(), name, &self.location, found);
        }
        match self.cell("password") {
            Some(hash) if looks_like_hash(hash) => {
                hashes::import(hash, name, &self.location, found)
            }
            Some(password) => ImportedPassword::Plain(password.to_owned()),
            None => {
                let shown = name.escape_debug();
                let what = format!("account `{shown}` has no password");
                let hint = format!("set one:  wharf user passwd {shown}");
                found.note(super::model::NoteKind::Advice, Some(&self.location), what, hint);
                ImportedPassword::None
            }
        }
    }

    /// For an account without password: allowed only if it restricts its client addresses.
    fn no_secret(&self, name: &str, found: &mut ImportResult) -> ImportedPassword {
        if self.cell("allowed_addresses").is_some_and(|cell| !cell.trim().is_empty()) {
            return ImportedPassword::NotNeeded;
        }
        let shown = name.escape_debug();
        let what = format!("account `{shown}`: no_password requires allowed addresses");
        let hint =
            format!("set them:  wharf user edit {shown} --no-password --allowed-address ADDRESS");
        found.lost(&self.location, what, hint);
        ImportedPassword::None
    }

    fn facts(&self, account: &mut ImportedAccount, found: &mut ImportResult) {
        let quota = self.read("quota", found, |cell| parse_size(cell).ok());
        account.facts.extend(quota.map(AccountProperty::Quota));
        let files = self.read("quota_files", found, |cell| cell.parse().ok());
        account.facts.extend(files.map(AccountProperty::QuotaFiles));
        let text = |column: &str| self.cell(column).map(|cell| cell.trim().to_owned());
        account.facts.extend(text("allowed_addresses").map(AccountProperty::Allow));
        account.facts.extend(text("deny").map(AccountProperty::Deny));
        account.facts.extend(text("hours").map(AccountProperty::Hours));
        account.facts.extend(text("expires").map(AccountProperty::Expires));
        account.facts.extend(text("groups").map(AccountProperty::Groups));
    }
}

fn truth(cell: &str) -> Option<bool> {
    match cell.to_lowercase().as_str() {
        "true" | "yes" | "1" | "on" | "y" | "是" => Some(true),
        "false" | "no" | "0" | "off" | "n" | "否" => Some(false),
        _ => None,
    }
}

/// `/incoming=upload;/old=read`; separators within a path are percent-encoded, as in `%3B`.
fn read_paths(cell: &str) -> Option<Vec<(VPath, Permissions)>> {
    let one = |part: &str| {
        let (path, permissions) = part.rsplit_once('=')?;
        let path = path.trim().replace("%3B", ";").replace("%3D", "=").replace("%25", "%");
        let path = VPath::root().resolve(path.as_bytes()).ok().filter(|path| !path.is_root())?;
        Some((path, parse_permissions(permissions).ok()?))
    };
    cell.split(';').filter(|part| !part.trim().is_empty()).map(one).collect()
}

/// Formats the paths for `read_paths`.
pub fn written_paths(paths: &[(VPath, Permissions)]) -> String {
    let one = |(path, permissions): &(VPath, Permissions)| {
        let path = String::from_utf8_lossy(path.as_bytes()).into_owned();
        let path = path.replace('%', "%25").replace('=', "%3D").replace(';', "%3B");
        format!("{path}={}", wharf_users::permissions::format_permissions(*permissions))
    };
    paths.iter().map(one).collect::<Vec<_>>().join(";")
}
