//! Pure-FTPd: the text file of `pure-pw`, and its configuration.

mod conf;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use wharf_config::outcome::Failure;
use wharf_core::account::{Count, Rate};
use wharf_core::permission::Permissions;

use super::hashes;
use super::model::{
    AccountProperty, ImportError, ImportResult, ImportedAccount, ImportedPassword, NoteKind,
};
use super::text::{self, ACCOUNTS_BYTES_MAX, SourceEncoding, SourceText};

/// Number of fields of a line: login, hash, uid, gid, comment, home, upload and download rates in
/// bytes per second, two ratios, sessions, files, bytes, allowed and denied server addresses,
/// allowed and denied client addresses, hours.
const FIELDS: usize = 18;
/// Minimum number of fields of an account: up to its home.
const FIELDS_MIN: usize = 6;

/// Reads the accounts, and the configuration if it is given.
pub fn import(
    passwd: &Path,
    conf: Option<&Path>,
    encoding: SourceEncoding,
) -> Result<ImportResult, Failure> {
    let mut found = ImportResult::default();
    let permissions = match conf {
        Some(conf) => conf::import(conf, encoding, &mut found)?,
        None => Permissions::FULL,
    };
    accounts(&text::read(passwd, ACCOUNTS_BYTES_MAX, encoding)?, permissions, &mut found)?;
    Ok(found)
}

/// Reads the account lines; the accounts get these permissions.
fn accounts(
    text: &SourceText,
    permissions: Permissions,
    found: &mut ImportResult,
) -> Result<(), ImportError> {
    let before = found.accounts.len();
    let mut first_bad = None;
    for (number, line) in text.lines() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let location = text.location(number);
        let fields: Vec<_> = line.split(':').collect();
        if fields.len() < FIELDS_MIN || fields.len() > FIELDS {
            first_bad.get_or_insert(number);
            let what = format!("invalid account: {} fields instead of 18", fields.len());
            found.lost(
                &location,
                what,
                "the format is that of pure-pw: 18 fields separated by colons",
            );
            continue;
        }
        // Seven fields with a shell at the end are those of /etc/passwd.
        if fields.len() == 7 && fields.last().is_some_and(|shell| shell.starts_with('/')) {
            first_bad.get_or_insert(number);
            let what = "this line is in the format of ProFTPD or /etc/passwd";
            found.lost(&location, what, "use:  wharf import proftpd");
            continue;
        }
        let line = PasswdLine { fields };
        let name = line.text(0);
        let secret = ImportedPassword::None;
        let mut account = ImportedAccount::new(name, secret, line.home().0, location);
        account.permissions = Some(permissions);
        line.text(4).trim().clone_into(&mut account.comment);
        line.limits(&mut account, found);
        line.facts(&mut account);
        account.secret = hashes::import(line.text(1), name, &account.location, found);
        line.report_unsupported(&account, found);
        found.add(account);
    }
    match first_bad {
        Some(line) if found.accounts.len() == before => Err(ImportError::new(
            format!("{}: no valid Pure-FTPd account line", text.location(line)),
            "name the text file of pure-pw, often /etc/pure-ftpd/pureftpd.passwd",
        )),
        _ => {
            if found.accounts.len() > before {
                let what = "files belonged to the uid and gid of each account; new files belong to \
                            the user that runs wharf";
                let hint = "give that user access to the homes (chown -R, or an ACL)";
                found.note(NoteKind::Changed, None, what, hint);
            }
            Ok(())
        }
    }
}

/// An account line.
struct PasswdLine<'a> {
    fields: Vec<&'a str>,
}

impl PasswdLine<'_> {
    /// A field; missing ones at the end are empty.
    fn text(&self, index: usize) -> &str {
        self.fields.get(index).copied().unwrap_or_default()
    }

    /// The home, and the initial folder in it. `/./` marks the end of the chroot folder.
    fn home(&self) -> (PathBuf, Option<&str>) {
        let home = self.text(5);
        match home.split_once("/./") {
            Some((top, below)) => {
                let top = if top.is_empty() { "/" } else { top };
                (PathBuf::from(top), Some(below).filter(|below| !below.is_empty()))
            }
            None => (PathBuf::from(home.trim_end_matches("/.")), None),
        }
    }

    /// A number; `None` for an empty field. An invalid number is reported.
    fn number(
        &self,
        index: usize,
        what: &str,
        account: &ImportedAccount,
        found: &mut ImportResult,
    ) -> Option<u64> {
        let text = self.text(index).trim();
        if text.is_empty() {
            return None;
        }
        let number = text.parse().ok();
        if number.is_none() {
            let name = account.name.escape_debug();
            let what = format!("account `{name}`: invalid {what} `{}`", text.escape_debug());
            found.lost(&account.location, what, "");
        }
        number.filter(|number| *number > 0)
    }

    fn limits(&self, account: &mut ImportedAccount, found: &mut ImportResult) {
        let rate = |rate: Option<u64>| rate.map(Rate::from_bytes_per_second);
        account.upload_rate = rate(self.number(6, "upload rate", account, found));
        account.download_rate = rate(self.number(7, "download rate", account, found));
        let sessions = self.number(10, "number of sessions", account, found);
        let sessions = sessions.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        account.sessions = sessions.map(Count::from_number);
        let files = self.number(11, "file quota", account, found);
        account.facts.extend(files.map(AccountProperty::QuotaFiles));
        let bytes = self.number(12, "quota", account, found);
        account.facts.extend(bytes.map(AccountProperty::Quota));
    }

    fn facts(&self, account: &mut ImportedAccount) {
        let given = |index: usize| Some(self.text(index).trim()).filter(|text| !text.is_empty());
        account.facts.extend(given(15).map(|networks| AccountProperty::Allow(networks.to_owned())));
        account.facts.extend(given(16).map(|networks| AccountProperty::Deny(networks.to_owned())));
        account.facts.extend(given(17).map(|hours| AccountProperty::Hours(written_hours(hours))));
    }

    /// Reports the properties that are not supported.
    fn report_unsupported(&self, account: &ImportedAccount, found: &mut ImportResult) {
        let name = account.name.escape_debug();
        let is_ratio = |index: usize| !matches!(self.text(index).trim(), "" | "0");
        if is_ratio(8) || is_ratio(9) {
            let what = format!("account `{name}`: upload ratio");
            found.lost(&account.location, what, "upload ratios are not supported");
        }
        if !self.text(13).trim().is_empty() || !self.text(14).trim().is_empty() {
            let what = format!("account `{name}`: restriction to server addresses");
            found.lost(
                &account.location,
                what,
                "run a separate wharf at that address, with its own accounts",
            );
        }
        let (home, below) = self.home();
        if let Some(below) = below {
            let what = format!("account `{name}`: sessions began in {}", below.escape_debug());
            found.changed(&account.location, what, "now they begin in the home");
        } else if !self.text(5).ends_with("/.") && !self.text(5).contains("/./") {
            let what = format!("account `{name}` could leave its home {}", home.display());
            found.changed(&account.location, what, "now every account is confined to its home");
        }
    }
}

/// Converts `0900-1800` to `09:00-18:00`.
fn written_hours(hours: &str) -> String {
    // pure-pw omits the leading zero.
    let with_colon = |time: &str| {
        let time: u32 = time.trim().parse().ok()?;
        (time <= 2400).then(|| format!("{:02}:{:02}", time / 100, time % 100))
    };
    let pair = hours.split_once('-');
    let pair = pair.and_then(|(from, to)| Some((with_colon(from)?, with_colon(to)?)));
    pair.map_or_else(|| hours.to_owned(), |(from, to)| format!("{from}-{to}"))
}
