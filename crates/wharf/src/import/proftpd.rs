//! `ProFTPD`: `AuthUserFile`, `AuthGroupFile` and the configuration.

mod conf;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wharf_core::permission::Permissions;

use super::hashes;
use super::model::{Account, Fact, Found, Kind, Refused, Secret};
use super::text::{self, ACCOUNTS_BYTES_MAX, SETTINGS_BYTES_MAX, SourceEncoding, Text};
use crate::outcome::Failure;

/// The fields of a line: name, hash, uid, gid, remark, home, shell.
const FIELDS: usize = 7;
/// The shells with which nobody may log in, by the end of their paths.
const CLOSED_SHELLS: &[&str] = &["/disabled"];

/// Reads the accounts, and the groups and the configuration if they are named.
pub(crate) fn import(
    passwd: &Path,
    group: Option<&Path>,
    conf: Option<&Path>,
    encoding: SourceEncoding,
) -> Result<Found, Failure> {
    let mut found = Found::default();
    if let Some(conf) = conf {
        conf::read(&text::read(conf, SETTINGS_BYTES_MAX, encoding)?, &mut found)?;
    }
    let groups = match group {
        Some(group) => groups(&text::read(group, ACCOUNTS_BYTES_MAX, encoding)?, &mut found)?,
        None => Groups::default(),
    };
    accounts(&text::read(passwd, ACCOUNTS_BYTES_MAX, encoding)?, &groups, &mut found)?;
    Ok(found)
}

/// The groups of each name, and the name of each number.
#[derive(Clone, Debug, Default)]
struct Groups {
    of_member: BTreeMap<String, Vec<String>>,
    by_number: BTreeMap<String, String>,
}

/// Reads `name:x:number:member,member`.
fn groups(text: &Text, found: &mut Found) -> Result<Groups, Refused> {
    let mut groups = Groups::default();
    let mut has_bad = None;
    for (number, line) in content(text) {
        let fields: Vec<_> = line.split(':').collect();
        let [name, _, id, members] = fields[..] else {
            has_bad.get_or_insert(number);
            let what = format!("this is no group: it has {} fields", fields.len());
            found.lost(&text.spot(number), what, "a group is a line  name:x:number:members");
            continue;
        };
        groups.by_number.insert(id.trim().to_owned(), name.to_owned());
        for member in members.split(',').map(str::trim).filter(|member| !member.is_empty()) {
            groups.of_member.entry(member.to_owned()).or_default().push(name.to_owned());
        }
    }
    match has_bad {
        Some(line) if groups.by_number.is_empty() => Err(Refused::new(
            format!("{}: no line of it is a group", text.spot(line)),
            "name the file of AuthGroupFile, which ftpasswd --group writes",
        )),
        _ => Ok(groups),
    }
}

/// The lines with something in them.
fn content(text: &Text) -> impl Iterator<Item = (usize, &str)> {
    text.lines().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
}

/// Reads the lines of accounts.
fn accounts(text: &Text, groups: &Groups, found: &mut Found) -> Result<(), Refused> {
    let before = found.accounts.len();
    let mut first_bad = None;
    for (number, line) in content(text) {
        let spot = text.spot(number);
        let fields: Vec<_> = line.split(':').collect();
        let [name, hash, _, gid, remark, home, shell] = fields[..] else {
            first_bad.get_or_insert(number);
            let what = format!("this is no account: it has {} of {FIELDS} fields", fields.len());
            let remedy = match fields.len() {
                18 => "wharf import pureftpd reads it",
                _ => "an account is a line  name:hash:uid:gid:remark:home:shell",
            };
            found.lost(&spot, what, remedy);
            continue;
        };
        if home.is_empty() {
            first_bad.get_or_insert(number);
            let what = format!("account `{}` has no home", name.escape_debug());
            found.lost(&spot, what, "wharf user add NAME --home DIR");
            continue;
        }
        let home = PathBuf::from(home.trim_end_matches("/."));
        let mut account = Account::new(name, Secret::None, home, spot);
        account.permissions = Some(Permissions::FULL);
        remark.trim().clone_into(&mut account.comment);
        account.is_enabled = !CLOSED_SHELLS.iter().any(|closed| shell.ends_with(closed));
        let mut named: Vec<String> =
            groups.by_number.get(gid.trim()).cloned().into_iter().collect();
        named.extend(groups.of_member.get(name).cloned().unwrap_or_default());
        named.dedup();
        if !named.is_empty() {
            account.facts.push(Fact::Groups(named.join(", ")));
        }
        // `!` before a hash is how accounts are locked; unlocked, they have their password again.
        let (hash, is_locked) = hash
            .strip_prefix('!')
            .filter(|rest| !rest.is_empty())
            .map_or((hash, false), |rest| (rest, true));
        account.is_enabled &= !is_locked;
        account.secret = hashes::keep(hash, name, &account.spot, found);
        found.add(account);
    }
    if let Some(line) = first_bad.filter(|_| found.accounts.len() == before) {
        return Err(Refused::new(
            format!("{}: no line of it is an account of ProFTPD", text.spot(line)),
            "name the file of AuthUserFile, which ftpasswd writes",
        ));
    }
    if found.accounts.len() > before {
        let what = "files belonged to the user and group of each account; now they belong to the \
                    user that runs wharf, and each account may do everything in its home";
        let remedy = "let that user read and write the homes (chown -R, or an ACL); take rights \
                      away with: wharf user edit NAME --perm read";
        found.note(Kind::Changed, None, what, remedy);
    }
    Ok(())
}
