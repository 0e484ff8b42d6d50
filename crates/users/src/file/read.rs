//! Reads the text of `users.toml`, and says everything that is wrong with it at once.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, Key, TableLike};
use wharf_core::account::{Count, Rate, Size};
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;

use super::problem::{FileProblems, Problem};
use super::record::{KEYS, StoredHash, UserRecord};
use crate::name::check_name;
use crate::nearest::nearest;
use crate::password::looks_like_hash;
use crate::rights::parse_rights;
use crate::units::{UNLIMITED, parse_quota, parse_rate};

/// The most problems told at once. Whoever has more has the wrong file.
pub const PROBLEMS_MAX: usize = 200;

/// Reads the accounts, in the order of the file; `path` is for the messages.
pub(super) fn read(path: &Path, source: &str) -> Result<Vec<UserRecord>, FileProblems> {
    let mut reader = Reader { source, problems: Vec::new(), secrets: Vec::new() };
    let records = match Document::parse(source) {
        Ok(document) => reader.document(document.as_table()),
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            reader.blame(span, String::new(), error.message().to_owned(), None);
            reader.secrets = likely_secrets(source);
            Vec::new()
        }
    };
    if reader.problems.is_empty() {
        return Ok(records);
    }
    reader.problems.sort_by_key(|problem| problem.span.start);
    reader.secrets.sort_by_key(|span| span.start);
    let source = masked(source, &reader.secrets);
    Err(FileProblems { path: path.to_owned(), source, problems: reader.problems })
}

/// What was found so far.
struct Reader<'a> {
    source: &'a str,
    problems: Vec<Problem>,
    /// Where passwords stand.
    secrets: Vec<Range<usize>>,
}

/// A value, with what a message about it needs.
struct Found<'a> {
    /// The key alone.
    name: &'a str,
    /// The key with those above it, as the messages have it.
    key: String,
    item: &'a Item,
    key_span: Range<usize>,
    span: Range<usize>,
}

impl Reader<'_> {
    fn document(&mut self, root: &dyn TableLike) -> Vec<UserRecord> {
        let mut records = Vec::new();
        for found in entries(root, "") {
            if found.name != "users" {
                self.unknown(&found, &["users"], "accounts are tables such as [users.anna]");
                continue;
            }
            let Some(users) = self.table(&found, "accounts are tables such as [users.anna]") else {
                continue;
            };
            for user in entries(users, "users") {
                records.extend(self.user(&user));
            }
        }
        records
    }

    fn user(&mut self, user: &Found<'_>) -> Option<UserRecord> {
        if let Err(problem) = check_name(user.name) {
            self.blame(user.key_span.clone(), user.key.clone(), problem.to_string(), None);
        }
        let table = self.table(user, "an account is a table such as [users.anna]")?;
        let mut record = UserRecord { name: user.name.to_owned(), ..UserRecord::default() };
        for found in entries(table, &user.key) {
            self.setting(&mut record, &found);
        }
        if !table.contains_key("home") {
            let help = "add where its files are, such as: home = \"/srv/ftp/anna\"";
            self.blame_key(user, "it has no `home`".to_owned(), Some(help.to_owned()));
        }
        Some(record)
    }

    fn setting(&mut self, record: &mut UserRecord, found: &Found<'_>) {
        match found.name {
            "password" => record.password = self.password(found),
            "home" => record.home = self.home(found).unwrap_or_default(),
            "permissions" => record.permissions = self.permissions(found),
            "enabled" => record.enabled = self.truth(found),
            "upload_rate" => record.upload_rate = self.rate(found),
            "download_rate" => record.download_rate = self.rate(found),
            "transfer_upload_rate" => record.transfer_upload_rate = self.rate(found),
            "transfer_download_rate" => record.transfer_download_rate = self.rate(found),
            "sessions" => record.sessions = self.count(found),
            "quota" => record.quota = self.size(found),
            "quota_files" => record.quota_files = self.count(found),
            "require_tls" => record.require_tls = self.truth(found),
            "comment" => record.comment = self.text(found).map(str::to_owned),
            "paths" => record.paths = self.paths(found),
            _ => self.unknown(found, &KEYS, &format!("known keys: {}", KEYS.join(", "))),
        }
    }

    fn password(&mut self, found: &Found<'_>) -> Option<StoredHash> {
        self.secrets.push(found.span.clone());
        let text = self.text(found)?;
        // `!` and `*` are the marks of /etc/shadow for an account without password login.
        let is_locked = text.is_empty() || text.starts_with(['!', '*']);
        if !is_locked && !looks_like_hash(text) {
            let help = "make a hash with `wharf hash`, or use `wharf user passwd NAME`";
            let message = "this is no password hash of a known kind".to_owned();
            self.blame_key(found, message, Some(help.to_owned()));
        }
        Some(StoredHash::from(text.to_owned()))
    }

    fn home(&mut self, found: &Found<'_>) -> Option<PathBuf> {
        let text = self.text(found)?;
        let message = match text {
            "" => "the path is empty",
            text if text.contains('\0') => "a path holds no NUL",
            text if text == "~" || text.starts_with("~/") => "`~` means nothing here",
            text => return Some(PathBuf::from(text)),
        };
        let help = "write the whole path, or one relative to the folder of this file";
        self.blame_value(found, message.to_owned(), Some(help.to_owned()));
        None
    }

    fn permissions(&mut self, found: &Found<'_>) -> Option<Permissions> {
        let text = self.text(found)?;
        let rights = parse_rights(text);
        rights.map_err(|bad| self.blame_value(found, bad.message(), Some(bad.help()))).ok()
    }

    fn rate(&mut self, found: &Found<'_>) -> Option<Rate> {
        if let Some(number) = found.item.as_integer() {
            let bytes = u64::try_from(number).ok();
            if bytes.is_none() {
                self.blame_value(found, "a speed is not below zero".to_owned(), None);
            }
            return bytes.map(Rate::from_bytes_per_second);
        }
        let help = "write a speed such as \"2MiB/s\", or 0 for no limit";
        let text = self.text_or(found, "a text or a whole number", help)?;
        let rate = parse_rate(text);
        rate.map_err(|error| self.blame_value(found, error.to_string(), None)).ok()
    }

    fn size(&mut self, found: &Found<'_>) -> Option<Size> {
        if let Some(number) = found.item.as_integer() {
            let bytes = u64::try_from(number).ok();
            if bytes.is_none() {
                self.blame_value(found, "a size is not below zero".to_owned(), None);
            }
            return bytes.map(Size::from_bytes);
        }
        let help = "write a size such as \"20GiB\", or 0 for no limit";
        let text = self.text_or(found, "a text or a whole number", help)?;
        parse_quota(text).map_err(|error| self.blame_value(found, error.to_string(), None)).ok()
    }

    fn count(&mut self, found: &Found<'_>) -> Option<Count> {
        let number = match (found.item.as_integer(), found.item.as_str()) {
            (Some(number), _) => u32::try_from(number).ok(),
            (None, Some(text)) if text.eq_ignore_ascii_case(UNLIMITED) => Some(0),
            _ => None,
        };
        if number.is_none() {
            let message = format!("expected a whole number from 0 to {}", u32::MAX);
            let help = "0 or \"unlimited\" means no limit".to_owned();
            self.blame_value(found, message, Some(help));
        }
        number.map(Count::from_number)
    }

    fn truth(&mut self, found: &Found<'_>) -> Option<bool> {
        let truth = found.item.as_bool();
        if truth.is_none() {
            let message = format!("expected true or false, found {}", kind(found.item));
            self.blame_value(found, message, Some("write true or false, without quotes".into()));
        }
        truth
    }

    fn paths(&mut self, found: &Found<'_>) -> Vec<(VPath, Permissions)> {
        let help = "rights below paths are a table such as: \"/incoming\" = \"upload\"";
        let mut paths: Vec<(VPath, Permissions)> = Vec::new();
        let Some(table) = self.table(found, help) else { return paths };
        for entry in entries(table, &found.key) {
            let path = self.virtual_path(&entry);
            let rights = self.permissions(&entry);
            let Some((path, rights)) = path.zip(rights) else { continue };
            if paths.iter().any(|(known, _)| *known == path) {
                let message = format!("`{path}` has its rights above already");
                self.blame_key(&entry, message, Some("keep one of them".to_owned()));
            } else {
                paths.push((path, rights));
            }
        }
        paths
    }

    fn virtual_path(&mut self, entry: &Found<'_>) -> Option<VPath> {
        let problem = if entry.name.starts_with('/') {
            match VPath::root().resolve(entry.name.as_bytes()) {
                Ok(path) if path.is_root() => "the rights of the whole home stand in `permissions`",
                Ok(path) => return Some(path),
                Err(_) => "it is too long or holds a NUL",
            }
        } else {
            "a path begins with `/`, the top of the account's home"
        };
        self.blame_key(entry, problem.to_owned(), None);
        None
    }

    fn text<'a>(&mut self, found: &Found<'a>) -> Option<&'a str> {
        self.text_or(found, "a text", "write it in quotes: \"…\"")
    }

    fn text_or<'a>(&mut self, found: &Found<'a>, wanted: &str, help: &str) -> Option<&'a str> {
        let text = found.item.as_str();
        if text.is_none() {
            let message = format!("expected {wanted}, found {}", kind(found.item));
            self.blame_value(found, message, Some(help.to_owned()));
        }
        text
    }

    fn table<'a>(&mut self, found: &Found<'a>, help: &str) -> Option<&'a dyn TableLike> {
        let table = found.item.as_table_like();
        if table.is_none() {
            let message = format!("expected a table, found {}", kind(found.item));
            self.blame_value(found, message, Some(help.to_owned()));
        }
        table
    }

    fn unknown(&mut self, found: &Found<'_>, known: &[&str], otherwise: &str) {
        let word = found.name;
        let help = nearest(word, known.iter().copied())
            .map_or_else(|| otherwise.to_owned(), |meant| format!("did you mean `{meant}`?"));
        self.blame_key(found, format!("`{word}` is no known key"), Some(help));
    }

    fn blame_key(&mut self, found: &Found<'_>, message: String, help: Option<String>) {
        self.blame(found.key_span.clone(), found.key.clone(), message, help);
    }

    fn blame_value(&mut self, found: &Found<'_>, message: String, help: Option<String>) {
        self.blame(found.span.clone(), found.key.clone(), message, help);
    }

    fn blame(&mut self, span: Range<usize>, key: String, message: String, help: Option<String>) {
        if self.problems.len() == PROBLEMS_MAX {
            return;
        }
        let before = self.source.get(..span.start).unwrap_or(self.source);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        self.problems.push(Problem { line, column, span, key, message, help });
    }
}

fn entries<'a>(table: &'a dyn TableLike, parent: &str) -> Vec<Found<'a>> {
    let keys = table.iter().filter_map(|(key, _)| table.get_key_value(key));
    keys.map(|(key, item)| found_at(key, item, parent)).collect()
}

fn found_at<'a>(key: &'a Key, item: &'a Item, parent: &str) -> Found<'a> {
    let dot = if parent.is_empty() { "" } else { "." };
    let key_span = key.span().unwrap_or(0..0);
    let span = item.span().unwrap_or_else(|| key_span.clone());
    let path = format!("{parent}{dot}{}", key.display_repr());
    Found { name: key.get(), key: path, item, key_span, span }
}

/// The kind of a value in plain words.
fn kind(item: &Item) -> &'static str {
    match item.type_name() {
        "string" => "a text",
        "integer" => "a whole number",
        "float" => "a number with a fraction",
        "boolean" => "true or false",
        "datetime" => "a date",
        "array" => "a list",
        "array of tables" => "a list of tables",
        _ => "a table",
    }
}

/// Where passwords stand in a text that is no TOML: after `password` and a sign, to the line's end.
fn likely_secrets(source: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut secrets = Vec::new();
    for line in source.split_inclusive('\n') {
        let end = start + line.trim_end().len();
        if let Some(at) = line.to_ascii_lowercase().find("passw") {
            let value = line.get(at..).and_then(|rest| rest.find(['=', ':', ' ']));
            secrets.extend(value.map(|offset| start + at + offset + 1..end));
        }
        start += line.len();
    }
    secrets
}

/// The text with a star for each byte of the secrets, which are in order. Every place keeps its
/// number.
fn masked(source: &str, secrets: &[Range<usize>]) -> String {
    let mut secrets = secrets.iter().peekable();
    let mut text = String::with_capacity(source.len());
    for (at, letter) in source.char_indices() {
        while secrets.next_if(|span| span.end <= at).is_some() {}
        let is_secret = secrets.peek().is_some_and(|span| span.contains(&at));
        if is_secret && !matches!(letter, '"' | '\'' | '\n' | '\r') {
            text.extend(std::iter::repeat_n('*', letter.len_utf8()));
        } else {
            text.push(letter);
        }
    }
    text
}
