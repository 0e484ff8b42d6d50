//! `ProFTPD`: `AuthUserFile`, `AuthGroupFile` and the configuration.

mod conf;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wharf_config::outcome::Failure;
use wharf_core::permission::Permissions;

use super::hashes;
use super::model::{
    AccountProperty, ImportError, ImportResult, ImportedAccount, ImportedPassword, NoteKind,
};
use super::text::{self, ACCOUNTS_BYTES_MAX, SETTINGS_BYTES_MAX, SourceEncoding, SourceText};

/// Number of fields of a line: name, hash, uid, gid, comment, home, shell.
const FIELDS: usize = 7;
/// Shells that disable an account, by the end of their paths.
const CLOSED_SHELLS: &[&str] = &["/disabled"];

/// Reads the accounts, and the groups and the configuration if they are given.
pub fn import(
    passwd: &Path,
    group: Option<&Path>,
    conf: Option<&Path>,
    encoding: SourceEncoding,
) -> Result<ImportResult, Failure> {
    let mut found = ImportResult::default();
    if let Some(conf) = conf {
        conf::read(&text::read(conf, SETTINGS_BYTES_MAX, encoding)?, &mut found)?;
    }
    let groups = match group {
        Some(group) => groups(&text::read(group, ACCOUNTS_BYTES_MAX, encoding)?, &mut found)?,
        None => SystemGroups::default(),
    };
    accounts(&text::read(passwd, ACCOUNTS_BYTES_MAX, encoding)?, &groups, &mut found)?;
    Ok(found)
}

/// Groups by member name, and group names by GID.
#[derive(Clone, Debug, Default)]
struct SystemGroups {
    of_member: BTreeMap<String, Vec<String>>,
    by_number: BTreeMap<String, String>,
}

/// Reads `name:x:number:member,member`.
fn groups(text: &SourceText, found: &mut ImportResult) -> Result<SystemGroups, ImportError> {
    let mut groups = SystemGroups::default();
    let mut has_bad = None;
    for (number, line) in content(text) {
        let fields: Vec<_> = line.split(':').collect();
        let [name, _, id, members] = fields[..] else {
            has_bad.get_or_insert(number);
            let what = format!("invalid group: {} fields instead of 4", fields.len());
            found.lost(&text.location(number), what, "the format is  name:x:gid:members");
            continue;
        };
        groups.by_number.insert(id.trim().to_owned(), name.to_owned());
        for member in members.split(',').map(str::trim).filter(|member| !member.is_empty()) {
            groups.of_member.entry(member.to_owned()).or_default().push(name.to_owned());
        }
    }
    match has_bad {
        Some(line) if groups.by_number.is_empty() => Err(ImportError::new(
            format!("{}: no valid group line", text.location(line)),
            "name the file of AuthGroupFile, which ftpasswd --group writes",
        )),
        _ => Ok(groups),
    }
}

/// The lines that are not empty or comments.
fn content(text: &SourceText) -> impl Iterator<Item = (usize, &str)> {
    text.lines().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
}

/// Reads the account lines.
fn accounts(
    text: &SourceText,
    groups: &SystemGroups,
    found: &mut ImportResult,
) -> Result<(), ImportError> {
    let before = found.accounts.len();
    let mut first_bad = None;
    for (number, line) in content(text) {
        let location = text.location(number);
        let fields: Vec<_> = line.split(':').collect();
        let [name, hash, _, gid, remark, home, shell] = fields[..] else {
            first_bad.get_or_insert(number);
            let what = format!("invalid account: {} fields instead of {FIELDS}", fields.len());
            let hint = match fields.len() {
                18 => "for a Pure-FTPd file use:  wharf import pureftpd",
                _ => "the format is  name:hash:uid:gid:comment:home:shell",
            };
            found.lost(&location, what, hint);
            continue;
        };
        if home.is_empty() {
            first_bad.get_or_insert(number);
            let what = format!("account `{}`: missing home", name.escape_debug());
            found.lost(&location, what, "wharf user add NAME --home DIR");
            continue;
        }
        let home = PathBuf::from(home.trim_end_matches("/."));
        let mut account = ImportedAccount::new(name, ImportedPassword::None, home, location);
        account.permissions = Some(Permissions::FULL);
        remark.trim().clone_into(&mut account.comment);
        account.is_enabled = !CLOSED_SHELLS.iter().any(|closed| shell.ends_with(closed));
        let mut named: Vec<String> =
            groups.by_number.get(gid.trim()).cloned().into_iter().collect();
        named.extend(groups.of_member.get(name).cloned().unwrap_or_default());
        named.dedup();
        if !named.is_empty() {
            account.facts.push(AccountProperty::Groups(named.join(", ")));
        }
        // `!` before a hash locks the account; the hash is kept, so that enabling restores the
        // password.
        let (hash, is_locked) = hash
            .strip_prefix('!')
            .filter(|rest| !rest.is_empty())
            .map_or((hash, false), |rest| (rest, true));
        account.is_enabled &= !is_locked;
        account.secret = hashes::import(hash, name, &account.location, found);
        found.add(account);
    }
    if let Some(line) = first_bad.filter(|_| found.accounts.len() == before) {
        return Err(ImportError::new(
            format!("{}: no valid ProFTPD account line", text.location(line)),
            "name the file of AuthUserFile, which ftpasswd writes",
        ));
    }
    if found.accounts.len() > before {
        let what = "files belonged to the uid and gid of each account; new files belong to the \
                    user that runs wharf, and each account has full permissions in its home";
        let hint = "give that user access to the homes (chown -R, or an ACL); restrict permissions \
                    with:  wharf user edit NAME --permissions read";
        found.note(NoteKind::Changed, None, what, hint);
    }
    Ok(())
}
