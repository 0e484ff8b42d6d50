//! Parses `users.toml`, and reports all its problems at once.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use toml_edit::{Document, TableLike};
use wharf_core::account::{Count, Rate, Size};
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;

use super::change::Holder;
use super::entry::{TomlEntry, entries, found_at, kind};
use super::key_value::ValueReader;
use super::keys::{KEYS, KEYS_OF_ACCOUNTS, UserRecord, account_key};
use super::masked::{likely_secrets, masked};
use super::problem::{Fault, FileProblems, UsersFileProblem};
use super::values::{FolderRecord, StoredHash, parse_network};
use crate::hours::{Expiry, Hours};
use crate::name::check_name;
use crate::nearest::nearest;
use crate::password::looks_like_hash;
use crate::permissions::parse_permissions;
use crate::units::{UNLIMITED, UnitError, parse_quota, parse_rate};

/// The most problems that are reported. More of them mean that it is the wrong file.
pub const PROBLEMS_MAX: usize = 200;

/// The keys of a folder's table.
const KEYS_OF_FOLDERS: [&str; 4] = ["target", "permissions", "quota", "quota_files"];
/// Other names of keys that are too different to be recognised as misspelt.
const OTHER_NAMES: [(&str, &str); 6] = [
    ("perm", "permissions"),
    ("perms", "permissions"),
    ("rights", "permissions"),
    ("dir", "home"),
    ("pass", "password"),
    ("hash", "password"),
];

/// The most groups of one account.
pub const GROUPS_MAX: usize = 20;

/// The content of a file, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct ParsedFile {
    pub(super) groups: Vec<UserRecord>,
    pub(super) users: Vec<UserRecord>,
}

impl ParsedFile {
    /// The accounts, with what they take from their groups.
    pub(super) fn effective_records(&self) -> Vec<UserRecord> {
        let groups = |name: &str| self.groups.iter().find(|group| group.name == name);
        self.users.iter().map(|user| user.with_groups(groups)).collect()
    }
}

/// An additional validation for one kind of store; returns key, message and hint.
pub type RecordCheck = fn(&UserRecord) -> Option<(&'static str, String, String)>;

/// Takes the valid records of tables, and returns the others as faults, without positions. A member
/// of an invalid group is invalid.
pub(super) fn read_valid(root: &dyn TableLike, check: RecordCheck) -> (ParsedFile, Vec<Fault>) {
    let collector = Some(FaultCollector { check, faults: Vec::new() });
    let mut reader = UserRecordReader { collector, ..UserRecordReader::new("") };
    let parsed = reader.document(root);
    (parsed, reader.collector.map(|collector| collector.faults).unwrap_or_default())
}

/// Reads the accounts and groups; `path` is for the messages.
pub(super) fn read(path: &Path, source: &str) -> Result<ParsedFile, FileProblems> {
    let mut reader = UserRecordReader::new(source);
    let parsed = match Document::parse(source) {
        Ok(document) => reader.document(document.as_table()),
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            let hint = match error.message() {
                "duplicate key" => "keep only one of the two",
                _ => "write [users.NAME] on its own line, and the keys of the account below it",
            };
            let what = format!("invalid TOML: {}", error.message());
            reader.report(span, String::new(), what, Some(hint.to_owned()));
            reader.secrets = likely_secrets(source);
            ParsedFile::default()
        }
    };
    if reader.problems.is_empty() {
        return Ok(parsed);
    }
    reader.problems.sort_by_key(|problem| problem.span.start);
    reader.secrets.sort_by_key(|span| span.start);
    let source = masked(source, &reader.secrets);
    Err(FileProblems { path: path.to_owned(), source, problems: reader.problems })
}

/// What was found so far.
struct UserRecordReader<'a> {
    source: &'a str,
    problems: Vec<UsersFileProblem>,
    /// The positions of passwords.
    secrets: Vec<Range<usize>>,
    collector: Option<FaultCollector>,
}

/// Collects the faults of invalid records, so that the valid ones can be used.
struct FaultCollector {
    check: RecordCheck,
    faults: Vec<Fault>,
}

impl<'a> UserRecordReader<'a> {
    fn new(source: &'a str) -> Self {
        Self { source, problems: Vec::new(), secrets: Vec::new(), collector: None }
    }

    /// The record; `None` if it is invalid and faults are collected.
    fn valid(
        &mut self,
        holder: Holder,
        key: &str,
        record: Option<UserRecord>,
    ) -> Option<UserRecord> {
        let Some(collector) = &mut self.collector else { return record };
        if let Some((of, message, hint)) = record.as_ref().and_then(collector.check) {
            let key = format!("{key}.{of}");
            let (line, column, span, hint) = (1, 1, 0..0, Some(hint));
            self.problems.push(UsersFileProblem { line, column, span, key, message, hint });
        }
        let problems = std::mem::take(&mut self.problems);
        if problems.is_empty() {
            return record;
        }
        let password = record.and_then(|record| record.password);
        collector.faults.push(Fault { holder, password, problems });
        None
    }

    fn fault_of_group(&self, name: &str) -> Option<&str> {
        let faults = &self.collector.as_ref()?.faults;
        let group = Holder::Group(name.to_owned());
        faults.iter().find(|fault| fault.holder == group)?.problems.first().map(|one| &*one.message)
    }
}

impl UserRecordReader<'_> {
    fn document(&mut self, root: &dyn TableLike) -> ParsedFile {
        const HELP: &str =
            "accounts are tables such as [users.anna], groups such as [groups.staff]";
        let mut parsed = ParsedFile::default();
        let mut users = Vec::new();
        for found in entries(root, "") {
            if !matches!(found.name, "users" | "groups") {
                self.unknown(&found, &["users", "groups"], HELP);
                continue;
            }
            let Some(table) = self.table(&found, HELP) else { continue };
            if found.name == "users" {
                users = entries(table, "users");
                continue;
            }
            for group in entries(table, "groups") {
                let record = self.group(&group);
                let holder = Holder::Group(group.name.to_owned());
                parsed.groups.extend(self.valid(holder, &group.key, record));
            }
        }
        // After all groups, wherever the file defines them.
        for user in users {
            let record = self.user(&user, &parsed.groups);
            let holder = Holder::User(user.name.to_owned());
            parsed.users.extend(self.valid(holder, &user.key, record));
        }
        parsed
    }

    fn group(&mut self, group: &TomlEntry<'_>) -> Option<UserRecord> {
        let known: Vec<_> =
            KEYS.iter().copied().filter(|key| !KEYS_OF_ACCOUNTS.contains(key)).collect();
        self.record(group, "a group is a table such as [groups.staff]", &known)
    }

    fn user(&mut self, user: &TomlEntry<'_>, groups: &[UserRecord]) -> Option<UserRecord> {
        let record = self.record(user, "an account is a table such as [users.anna]", KEYS)?;
        let of_record = |name: &String| groups.iter().find(|group| group.name == *name);
        let mut has_home = record
            .groups
            .iter()
            .filter_map(of_record)
            .any(|group| !group.home.as_os_str().is_empty());
        let table = user.item.as_table_like()?;
        if let Some((key, item)) = table.get_key_value("groups") {
            let found = found_at(key, item, &user.key);
            for name in record.groups.iter().filter(|name| of_record(name).is_none()) {
                if let Some(why) = self.fault_of_group(name) {
                    let message = format!("the group `{}` is invalid: {why}", name.escape_debug());
                    self.report_value(&found, message, None);
                    has_home = true;
                    continue;
                }
                let known = groups.iter().map(|group| group.name.as_str());
                let hint = nearest(name, known).map_or_else(
                    || format!("create it:  wharf group add {name}"),
                    |meant| format!("did you mean `{meant}`?"),
                );
                let message = format!("unknown group `{}`", name.escape_debug());
                self.report_value(&found, message, Some(hint));
            }
        }
        if !table.contains_key("home") && !has_home {
            let hint = "add the folder of its files, such as: home = \"/srv/ftp/anna\"";
            self.report_key(user, "missing `home`".to_owned(), Some(hint.to_owned()));
        }
        self.check_no_password(user, &record, groups);
        Some(record)
    }

    /// An account without a password is open to its addresses, so they must be set.
    fn check_no_password(
        &mut self,
        user: &TomlEntry<'_>,
        record: &UserRecord,
        groups: &[UserRecord],
    ) {
        if record.no_password != Some(true) {
            return;
        }
        let Some(table) = user.item.as_table_like() else { return };
        let Some((key, item)) = table.get_key_value("no_password") else { return };
        let found = found_at(key, item, &user.key);
        if record.password.is_some() {
            let hint = "remove one of the two".to_owned();
            self.report_key(&found, "conflicts with `password`".to_owned(), Some(hint));
        }
        let whole = record.with_groups(|name| groups.iter().find(|group| group.name == name));
        if whole.allowed_addresses.is_none_or(|addresses| addresses.is_empty()) {
            let message = "an account without a password needs `allowed_addresses`".to_owned();
            let hint = "list the allowed client addresses, such as: allowed_addresses = \
                        [\"192.0.2.7\"] (--allowed-address 192.0.2.7)";
            self.report_key(&found, message, Some(hint.to_owned()));
        }
    }

    /// Parses the table of an account or group.
    fn record(&mut self, found: &TomlEntry<'_>, hint: &str, known: &[&str]) -> Option<UserRecord> {
        if let Err(problem) = check_name(found.name) {
            let hint = "names have 1 to 64 bytes, without `/`, `\\`, `:` and control characters";
            self.report_key(found, problem.to_string(), Some(hint.to_owned()));
        }
        let table = self.table(found, hint)?;
        let mut record = UserRecord { name: found.name.to_owned(), ..UserRecord::default() };
        for entry in entries(table, &found.key) {
            if known.contains(&entry.name) {
                self.setting(&mut record, &entry);
            } else {
                self.unknown(&entry, known, &format!("known keys: {}", known.join(", ")));
            }
        }
        Some(record)
    }

    fn setting(&mut self, record: &mut UserRecord, found: &TomlEntry<'_>) {
        match found.name {
            "home" => record.home = self.home(found).unwrap_or_default(),
            "groups" => record.groups = self.groups(found),
            "paths" => record.paths = self.paths(found),
            "folders" => record.folders = self.folders(found),
            // The caller has checked that it is a known key.
            name => {
                if let Some(key) = account_key(name) {
                    (key.read)(self, found, record);
                }
            }
        }
    }

    fn home(&mut self, found: &TomlEntry<'_>) -> Option<PathBuf> {
        let text = self.text(found)?;
        let message = match text {
            "" => "the path is empty",
            text if text.contains('\0') => "invalid path: it contains NUL",
            text if text == "~" || text.starts_with("~/") => "`~` is not supported",
            text => return Some(PathBuf::from(text)),
        };
        let hint = "write an absolute path, or one relative to the folder of this file";
        self.report_value(found, message.to_owned(), Some(hint.to_owned()));
        None
    }

    /// A number of bytes, or a text with a unit.
    fn amount<T>(
        &mut self,
        found: &TomlEntry<'_>,
        what: &str,
        hint: &str,
        of_bytes: fn(u64) -> T,
        parse: fn(&str) -> Result<T, UnitError>,
    ) -> Option<T> {
        let (text, read) = if let Some(number) = found.item.as_integer() {
            let bytes = u64::try_from(number).map_err(|_| UnitError::Negative);
            (number.to_string(), bytes.map(of_bytes))
        } else {
            let text = self.text_or(found, "a string or an integer", hint)?;
            (text.escape_debug().to_string(), parse(text))
        };
        let reported = |error: UnitError| {
            let message = format!("invalid {what} `{text}`: {}", error.reason());
            self.report_value(found, message, Some(error.hint().to_owned()));
        };
        read.map_err(reported).ok()
    }

    fn paths(&mut self, found: &TomlEntry<'_>) -> Vec<(VPath, Permissions)> {
        let hint = "permissions of paths are a table such as: \"/incoming\" = \"upload\"";
        let mut paths: Vec<(VPath, Permissions)> = Vec::new();
        let Some(table) = self.table(found, hint) else { return paths };
        for entry in entries(table, &found.key) {
            let path = self.virtual_path(&entry);
            let permissions = self.permissions(&entry);
            let Some((path, permissions)) = path.zip(permissions) else { continue };
            if paths.iter().any(|(known, _)| *known == path) {
                let message = format!("duplicate path `{path}`");
                self.report_key(&entry, message, Some("remove one of them".to_owned()));
            } else {
                paths.push((path, permissions));
            }
        }
        paths
    }

    fn groups(&mut self, found: &TomlEntry<'_>) -> Vec<String> {
        let names = self.texts(found, "group names, as in [\"staff\"]");
        if names.len() > GROUPS_MAX {
            let message = format!("an account has at most {GROUPS_MAX} groups");
            self.report_value(found, message, None);
        }
        names.into_iter().map(str::to_owned).collect()
    }

    fn folders(&mut self, found: &TomlEntry<'_>) -> Vec<FolderRecord> {
        let hint = "virtual folders are a table such as: \"/music\" = \"/srv/music\"";
        let mut folders: Vec<FolderRecord> = Vec::new();
        let Some(table) = self.table(found, hint) else { return folders };
        for entry in entries(table, &found.key) {
            let path = self.virtual_path(&entry);
            let folder = self.folder(&entry);
            let Some((path, folder)) = path.zip(folder) else { continue };
            if folders.iter().any(|known| known.path == path) {
                let message = format!("duplicate path `{path}`");
                self.report_key(&entry, message, Some("remove one of them".to_owned()));
            } else {
                folders.push(FolderRecord { path, ..folder });
            }
        }
        folders
    }

    /// A target alone, or a table with more.
    fn folder(&mut self, entry: &TomlEntry<'_>) -> Option<FolderRecord> {
        let mut folder = FolderRecord {
            path: VPath::root(),
            target: PathBuf::new(),
            permissions: None,
            quota: None,
            quota_files: None,
        };
        let Some(table) = entry.item.as_table_like() else {
            folder.target = self.home(entry)?;
            return Some(folder);
        };
        for found in entries(table, &entry.key) {
            match found.name {
                "target" => folder.target = self.home(&found).unwrap_or_default(),
                "permissions" => folder.permissions = self.permissions(&found),
                "quota" => folder.quota = self.size(&found),
                "quota_files" => folder.quota_files = self.count(&found),
                _ => self.unknown(
                    &found,
                    &KEYS_OF_FOLDERS,
                    &format!("known keys: {}", KEYS_OF_FOLDERS.join(", ")),
                ),
            }
        }
        if !table.contains_key("target") {
            let hint = "add the target folder, such as: target = \"/srv/music\"";
            self.report_key(entry, "missing `target`".to_owned(), Some(hint.to_owned()));
        }
        Some(folder)
    }

    /// The texts of a list; one text alone is a list of it.
    fn texts<'a>(&mut self, found: &TomlEntry<'a>, wanted: &str) -> Vec<&'a str> {
        if let Some(text) = found.item.as_str() {
            return vec![text];
        }
        let list = found.item.as_array();
        let texts: Option<Vec<_>> =
            list.and_then(|list| list.iter().map(toml_edit::Value::as_str).collect());
        texts.unwrap_or_else(|| {
            let message = format!("expected a list of {wanted}, found {}", kind(found.item));
            let hint = "write strings in quotes, in brackets: [\"…\", \"…\"]";
            self.report_value(found, message, Some(hint.to_owned()));
            Vec::new()
        })
    }

    fn virtual_path(&mut self, entry: &TomlEntry<'_>) -> Option<VPath> {
        let (problem, hint) = if entry.name.starts_with('/') {
            match VPath::root().resolve(entry.name.as_bytes()) {
                Ok(path) if path.is_root() => (
                    "invalid path: it is the home itself",
                    "for the whole home, set `permissions` of the account",
                ),
                Ok(path) => return Some(path),
                Err(_) => (
                    "invalid path: too long, or it contains NUL",
                    "write a path below the home, such as `/incoming`",
                ),
            }
        } else {
            (
                "invalid path: it must start with `/`, the account's home",
                "write a path below the home, such as `/incoming`",
            )
        };
        self.report_key(entry, problem.to_owned(), Some(hint.to_owned()));
        None
    }

    fn text<'a>(&mut self, found: &TomlEntry<'a>) -> Option<&'a str> {
        self.text_or(found, "a string", "write it in quotes: \"…\"")
    }

    fn text_or<'a>(&mut self, found: &TomlEntry<'a>, wanted: &str, hint: &str) -> Option<&'a str> {
        let text = found.item.as_str();
        if text.is_none() {
            let message = format!("expected {wanted}, found {}", kind(found.item));
            self.report_value(found, message, Some(hint.to_owned()));
        }
        text
    }

    fn table<'a>(&mut self, found: &TomlEntry<'a>, hint: &str) -> Option<&'a dyn TableLike> {
        let table = found.item.as_table_like();
        if table.is_none() {
            let message = format!("expected a table, found {}", kind(found.item));
            self.report_value(found, message, Some(hint.to_owned()));
        }
        table
    }

    fn unknown(&mut self, found: &TomlEntry<'_>, known: &[&str], otherwise: &str) {
        let word = found.name;
        let other = OTHER_NAMES.iter().find(|(other, _)| *other == word).map(|(_, name)| *name);
        let hint = other
            .filter(|name| known.contains(name))
            .or_else(|| nearest(word, known.iter().copied()))
            .map_or_else(|| otherwise.to_owned(), |meant| format!("did you mean `{meant}`?"));
        // The message contains the key.
        let message = format!("unknown key `{}`", found.key);
        self.report(found.key_span.clone(), String::new(), message, Some(hint));
    }

    fn report_key(&mut self, found: &TomlEntry<'_>, message: String, hint: Option<String>) {
        self.report(found.key_span.clone(), found.key.clone(), message, hint);
    }

    fn report_value(&mut self, found: &TomlEntry<'_>, message: String, hint: Option<String>) {
        self.report(found.span.clone(), found.key.clone(), message, hint);
    }

    fn report(&mut self, span: Range<usize>, key: String, message: String, hint: Option<String>) {
        if self.problems.len() == PROBLEMS_MAX {
            return;
        }
        let before = self.source.get(..span.start).unwrap_or(self.source);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        self.problems.push(UsersFileProblem { line, column, span, key, message, hint });
    }
}

impl ValueReader for UserRecordReader<'_> {
    fn password(&mut self, found: &TomlEntry<'_>) -> Option<StoredHash> {
        self.secrets.push(found.span.clone());
        let text = self.text(found)?;
        // `!` and `*` are the marks of /etc/shadow for an account without password login.
        let is_locked = text.is_empty() || text.starts_with(['!', '*']);
        if !is_locked && !looks_like_hash(text) {
            let hint = "create a hash with `wharf hash`, or use `wharf user passwd NAME`";
            let message = "unknown password hash format".to_owned();
            self.report_key(found, message, Some(hint.to_owned()));
        }
        Some(StoredHash::from(text.to_owned()))
    }

    fn permissions(&mut self, found: &TomlEntry<'_>) -> Option<Permissions> {
        let text = self.text(found)?;
        let permissions = parse_permissions(text);
        permissions.map_err(|bad| self.report_value(found, bad.message(), Some(bad.hint()))).ok()
    }

    fn rate(&mut self, found: &TomlEntry<'_>) -> Option<Rate> {
        let hint = "write a rate such as `2MiB/s`, or 0 for no limit";
        self.amount(found, "rate", hint, Rate::from_bytes_per_second, parse_rate)
    }

    fn size(&mut self, found: &TomlEntry<'_>) -> Option<Size> {
        let hint = "write a size such as `20GiB`, or 0 for no limit";
        self.amount(found, "size", hint, Size::from_bytes, parse_quota)
    }

    fn count(&mut self, found: &TomlEntry<'_>) -> Option<Count> {
        let number = match (found.item.as_integer(), found.item.as_str()) {
            (Some(number), _) => u32::try_from(number).ok(),
            (None, Some(text)) if text.eq_ignore_ascii_case(UNLIMITED) => Some(0),
            _ => None,
        };
        if number.is_none() {
            let message = format!("expected an integer from 0 to {}", u32::MAX);
            self.report_value(found, message, Some("0 or `unlimited` means no limit".into()));
        }
        number.map(Count::from_number)
    }

    fn boolean(&mut self, found: &TomlEntry<'_>) -> Option<bool> {
        let boolean = found.item.as_bool();
        if boolean.is_none() {
            let message = format!("expected true or false, found {}", kind(found.item));
            self.report_value(found, message, Some("write true or false, without quotes".into()));
        }
        boolean
    }

    fn addresses(&mut self, found: &TomlEntry<'_>) -> Option<Vec<IpNet>> {
        let hint = "write addresses and networks, as in [\"192.0.2.7\", \"10.0.0.0/8\"]";
        let texts = self.texts(found, "addresses and networks, as in [\"10.0.0.0/8\"]");
        let mut networks = Vec::new();
        for text in texts {
            if let Some(network) = parse_network(text) {
                networks.push(network);
            } else {
                let message = format!("`{}` is not an address", text.escape_debug());
                self.report_value(found, message, Some(hint.to_owned()));
            }
        }
        // An empty list means what no list means, so that a list can be emptied.
        (!networks.is_empty()).then_some(networks)
    }

    fn hours(&mut self, found: &TomlEntry<'_>) -> Option<Hours> {
        let windows = self.texts(found, "time windows, as in [\"mon-fri 08:00-18:00\"]");
        if windows.is_empty() {
            return None;
        }
        let hours = Hours::parse(windows);
        hours.map_err(|bad| self.report_value(found, bad.reason(), bad.hint())).ok()
    }

    fn expires(&mut self, found: &TomlEntry<'_>) -> Option<Expiry> {
        let date = found.item.as_datetime().map(ToString::to_string);
        let text = match &date {
            Some(text) => text,
            None => self.text_or(found, "a date", "write the last valid day, as in 2027-01-31")?,
        };
        let expiry = Expiry::parse(text);
        expiry.map_err(|bad| self.report_value(found, bad.reason(), bad.hint())).ok()
    }

    fn owned_text(&mut self, found: &TomlEntry<'_>) -> Option<String> {
        self.text(found).map(str::to_owned)
    }
}
