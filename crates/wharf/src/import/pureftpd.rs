//! Pure-FTPd: the text file of `pure-pw`, and its configuration.

mod conf;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use wharf_core::account::{Count, Rate};
use wharf_core::permission::Permissions;

use super::hashes;
use super::model::{Account, Fact, Found, Kind, Refused, Secret};
use super::text::{self, ACCOUNTS_BYTES_MAX, SourceEncoding, Text};
use crate::outcome::Failure;

/// The fields of a line: login, hash, uid, gid, remark, home, uploads and downloads in bytes a
/// second, two ratios, sessions, files, bytes, networks of ours allowed and denied, networks of
/// clients allowed and denied, hours.
const FIELDS: usize = 18;
/// The fewest that make an account: up to its home.
const FIELDS_MIN: usize = 6;

/// Reads the accounts, and the configuration if it is named.
pub(crate) fn import(
    passwd: &Path,
    conf: Option<&Path>,
    encoding: SourceEncoding,
) -> Result<Found, Failure> {
    let mut found = Found::default();
    let rights = match conf {
        Some(conf) => conf::import(conf, encoding, &mut found)?,
        None => Permissions::FULL,
    };
    accounts(&text::read(passwd, ACCOUNTS_BYTES_MAX, encoding)?, rights, &mut found)?;
    Ok(found)
}

/// Reads the lines of accounts, which have these rights.
fn accounts(text: &Text, rights: Permissions, found: &mut Found) -> Result<(), Refused> {
    let before = found.accounts.len();
    let mut first_bad = None;
    for (number, line) in text.lines() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let spot = text.spot(number);
        let fields: Vec<_> = line.split(':').collect();
        if fields.len() < FIELDS_MIN || fields.len() > FIELDS {
            first_bad.get_or_insert(number);
            let what = format!("this is no account: it has {} fields", fields.len());
            found.lost(&spot, what, "pure-pw writes 18 fields with a colon between");
            continue;
        }
        // Seven fields with a shell at the end are those of /etc/passwd.
        if fields.len() == 7 && fields.last().is_some_and(|shell| shell.starts_with('/')) {
            first_bad.get_or_insert(number);
            let what = "this is a line of ProFTPD or of /etc/passwd";
            found.lost(&spot, what, "wharf import proftpd reads it");
            continue;
        }
        let line = Line { fields };
        let name = line.text(0);
        let secret = Secret::None;
        let mut account = Account::new(name, secret, line.home().0, spot);
        account.permissions = Some(rights);
        line.text(4).trim().clone_into(&mut account.comment);
        line.limits(&mut account, found);
        line.facts(&mut account);
        account.secret = hashes::keep(line.text(1), name, &account.spot, found);
        line.tell(&account, found);
        found.add(account);
    }
    match first_bad {
        Some(line) if found.accounts.len() == before => Err(Refused::new(
            format!("{}: no line of it is an account of Pure-FTPd", text.spot(line)),
            "name the text file of pure-pw, often /etc/pure-ftpd/pureftpd.passwd",
        )),
        _ => {
            if found.accounts.len() > before {
                let what = "files belonged to the user and group of each account; now they belong \
                            to the user that runs wharf";
                let remedy = "let that user read and write the homes (chown -R, or an ACL)";
                found.note(Kind::Changed, None, what, remedy);
            }
            Ok(())
        }
    }
}

/// A line of the file.
struct Line<'a> {
    fields: Vec<&'a str>,
}

impl Line<'_> {
    /// A field; those that are missing at the end are empty.
    fn text(&self, index: usize) -> &str {
        self.fields.get(index).copied().unwrap_or_default()
    }

    /// The home, and the folder in it where sessions began. `/./` stands behind the top that
    /// nobody leaves.
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

    /// A number; nothing where there is none, and told where it is none.
    fn number(
        &self,
        index: usize,
        what: &str,
        account: &Account,
        found: &mut Found,
    ) -> Option<u64> {
        let text = self.text(index).trim();
        if text.is_empty() {
            return None;
        }
        let number = text.parse().ok();
        if number.is_none() {
            let name = account.name.escape_debug();
            let what = format!("account `{name}`: {what} `{}` is no number", text.escape_debug());
            found.lost(&account.spot, what, "");
        }
        number.filter(|number| *number > 0)
    }

    fn limits(&self, account: &mut Account, found: &mut Found) {
        let rate = |rate: Option<u64>| rate.map(Rate::from_bytes_per_second);
        account.upload_rate = rate(self.number(6, "the upload rate", account, found));
        account.download_rate = rate(self.number(7, "the download rate", account, found));
        let sessions = self.number(10, "the number of sessions", account, found);
        let sessions = sessions.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        account.sessions = sessions.map(Count::from_number);
        let files = self.number(11, "the quota of files", account, found);
        account.facts.extend(files.map(Fact::QuotaFiles));
        let bytes = self.number(12, "the quota", account, found);
        account.facts.extend(bytes.map(Fact::Quota));
    }

    fn facts(&self, account: &mut Account) {
        let given = |index: usize| Some(self.text(index).trim()).filter(|text| !text.is_empty());
        account.facts.extend(given(15).map(|networks| Fact::Allow(networks.to_owned())));
        account.facts.extend(given(16).map(|networks| Fact::Deny(networks.to_owned())));
        account.facts.extend(given(17).map(|hours| Fact::Hours(written_hours(hours))));
    }

    /// What has no counterpart.
    fn tell(&self, account: &Account, found: &mut Found) {
        let name = account.name.escape_debug();
        let is_ratio = |index: usize| !matches!(self.text(index).trim(), "" | "0");
        if is_ratio(8) || is_ratio(9) {
            let what = format!("account `{name}`: a ratio of uploads to downloads");
            found.lost(&account.spot, what, "wharf has no ratios");
        }
        if !self.text(13).trim().is_empty() || !self.text(14).trim().is_empty() {
            let what = format!("account `{name}`: rules for the server's own addresses");
            found.lost(&account.spot, what, "run another wharf at that address, with its accounts");
        }
        let (home, below) = self.home();
        if let Some(below) = below {
            let what = format!("account `{name}`: sessions began in {}", below.escape_debug());
            found.changed(&account.spot, what, "now they begin at the top of the home");
        } else if !self.text(5).ends_with("/.") && !self.text(5).contains("/./") {
            let what = format!("account `{name}` could leave its home {}", home.display());
            found.changed(&account.spot, what, "now nobody leaves his home");
        }
    }
}

/// `0900-1800` as people write it.
fn written_hours(hours: &str) -> String {
    // pure-pw drops the zero at the beginning.
    let with_colon = |time: &str| {
        let time: u32 = time.trim().parse().ok()?;
        (time <= 2400).then(|| format!("{:02}:{:02}", time / 100, time % 100))
    };
    let pair = hours.split_once('-');
    let pair = pair.and_then(|(from, to)| Some((with_colon(from)?, with_colon(to)?)));
    pair.map_or_else(|| hours.to_owned(), |(from, to)| format!("{from}-{to}"))
}
