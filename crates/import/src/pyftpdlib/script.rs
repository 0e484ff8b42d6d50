//! A program that uses pyftpdlib: the calls and attributes whose values are literals.

use std::path::Path;

use wharf_config::raw::Raw;
use wharf_proto::path::VPath;

use super::settings::{SettingValue, anonymous, end};
use super::{ScriptSummary, cut, folder, permissions};
use crate::model::{ImportError, ImportResult, ImportedAccount, ImportedPassword, SourceLocation};
use crate::python::{Argument, PythonValue, StatementKind, read as read_python};
use crate::text::SourceText;

/// Reads a program; `others` is whether its settings and its accounts were read from separate
/// files.
pub(super) fn read(
    text: &SourceText,
    base: &Path,
    others: (bool, bool),
    found: &mut ImportResult,
    program: &mut ScriptSummary,
) -> Result<(), ImportError> {
    let statements = read_python(&text.content).map_err(|end| cut(text, &end))?;
    program.is_known = true;
    let mut reader = ScriptReader { base, others, found, program };
    for statement in statements {
        let location = text.location(statement.line);
        match statement.kind {
            StatementKind::Assign(names, value) => {
                for name in &names {
                    reader.assign(name, &value, &location);
                }
                if let PythonValue::Call(name, arguments) = &value {
                    reader.call(name, arguments, &location);
                }
            }
            StatementKind::Call(name, arguments) => reader.call(&name, &arguments, &location),
            StatementKind::Value(_) | StatementKind::Program(_) => {}
            StatementKind::Broken(why) => {
                let what = format!("invalid Python: {why}");
                reader.found.lost(&location, what, "correct it and import again");
            }
        }
    }
    end(found);
    Ok(())
}

struct ScriptReader<'a> {
    base: &'a Path,
    others: (bool, bool),
    found: &'a mut ImportResult,
    program: &'a mut ScriptSummary,
}

impl ScriptReader<'_> {
    /// Assignments such as `handler.banner = "…"`. Plain names are variables of the program.
    fn assign(&mut self, name: &str, value: &PythonValue, location: &SourceLocation) {
        let Some((_, attribute)) = name.rsplit_once('.') else { return };
        if attribute == "dtp_handler" {
            self.program.has_limits = true;
        }
        let taken = match value {
            PythonValue::Name(taken) => taken.as_str(),
            _ => "",
        };
        self.program.is_swapped |= attribute == "read_limit" && taken.ends_with("download")
            || attribute == "write_limit" && taken.ends_with("upload");
        let about = SettingValue { name: attribute, value, location, base: self.base };
        if !about.is_known() {
            return;
        }
        if is_computed(value) {
            self.computed(attribute, self.others.0, location);
        } else {
            about.take(self.found);
        }
    }

    /// Reports that a value is computed by the program, unless a settings file contains it.
    fn computed(&mut self, what: &str, is_elsewhere: bool, location: &SourceLocation) {
        if is_elsewhere || matches!(what, "authorizer" | "dtp_handler") {
            return;
        }
        let what = format!("`{what}` is computed by the program, which is not executed");
        let hint = "if it comes from settings.py or user.py, give their folder; else set it in \
                    wharf.toml";
        self.found.lost(location, what, hint);
    }

    fn call(&mut self, name: &str, arguments: &[Argument], location: &SourceLocation) {
        let call = CallArguments { arguments, location };
        match name.rsplit('.').next().unwrap_or(name) {
            "add_user" => self.add_user(&call),
            "add_anonymous" => self.add_anonymous(&call),
            "override_perm" => self.override_permissions(&call),
            "basicConfig" => {
                if let Some(value) = call.get("filename", usize::MAX) {
                    let about = SettingValue { name: "filename", value, location, base: self.base };
                    if is_computed(value) {
                        self.computed("filename", self.others.0, location);
                    } else if about.path("log.file", self.found).is_none() {
                        self.found.lost(location, "`filename` is not a string", "set log.file");
                    }
                }
            }
            "FTPServer" | "ThreadedFTPServer" | "MultiprocessFTPServer" => self.listen(&call),
            "UnixAuthorizer" | "WindowsAuthorizer" => {
                let what = "system accounts were used; their passwords are not in this file";
                self.found.lost(
                    location,
                    what,
                    "add each of them:  wharf user add NAME --home DIR",
                );
            }
            _ => {}
        }
    }

    /// `FTPServer((address, port), handler)`
    fn listen(&mut self, call: &CallArguments<'_>) {
        match call.get("address_or_socket", 0) {
            Some(PythonValue::List(pair)) if pair.len() == 2 => {
                for (name, value) in ["ip", "port"].iter().zip(pair) {
                    let about =
                        SettingValue { name, value, location: call.location, base: self.base };
                    if is_computed(value) {
                        self.computed(name, self.others.0, call.location);
                    } else {
                        about.take(self.found);
                    }
                }
            }
            Some(_) => self.computed("address", self.others.0, call.location),
            None => {}
        }
    }

    /// `add_user(name, password, home, perm="elr", msg_login="…", msg_quit="…")`
    fn add_user(&mut self, call: &CallArguments<'_>) {
        let (name, password, home) =
            (call.text("username", 0), call.text("password", 1), call.text("homedir", 2));
        let (Some(name), Some(password), Some(home)) = (name, password, home) else {
            return self.computed("add_user", self.others.1, call.location);
        };
        let letters = match call.get("perm", 3) {
            None => "elr",
            Some(PythonValue::Text(letters)) => letters,
            Some(_) => return self.computed("perm", false, call.location),
        };
        let permissions = match permissions(letters) {
            Ok(permissions) => permissions,
            Err(letter) => {
                let shown = name.escape_debug();
                let what =
                    format!("account `{shown}`: invalid permission `{}`", letter.escape_debug());
                self.found.lost(
                    call.location,
                    what,
                    "valid permissions are the letters elradfmwMT",
                );
                return;
            }
        };
        for message in ["msg_login", "msg_quit"] {
            if call.get(message, usize::MAX).is_some() {
                let what = format!("`{message}`: messages per account are not supported");
                self.found.lost(call.location, what, "for all accounts, set server.login_message");
            }
        }
        let secret = ImportedPassword::Plain(password.to_owned());
        let mut account =
            ImportedAccount::new(name, secret, folder(home, self.base), call.location.clone());
        account.permissions = Some(permissions);
        self.found.add(account);
    }

    /// `add_anonymous(home, perm="elr")`
    fn add_anonymous(&mut self, call: &CallArguments<'_>) {
        let letters = match call.get("perm", usize::MAX) {
            None => Some("elr"),
            Some(value) => value.text(),
        };
        let (Some(home), Some(letters)) = (call.text("homedir", 0), letters) else {
            return self.computed("add_anonymous", self.others.0, call.location);
        };
        let Ok(permissions) = permissions(letters) else {
            let hint = "valid permissions are the letters elradfmwMT";
            self.found.lost(call.location, "add_anonymous: invalid permission letter", hint);
            return;
        };
        let (level, is_same) = anonymous(permissions);
        if !is_same {
            let what = format!(
                "anonymous users had the permissions `{letters}`; the nearest preset is {level}"
            );
            self.found.changed(call.location, what, "see login.anonymous_permissions");
        }
        let home = folder(home, self.base);
        let word = "add_anonymous";
        self.found.set("login.anonymous", Raw::Boolean(true), call.location, word);
        self.found.set_text("login.anonymous_home", &home.to_string_lossy(), call.location, word);
        let level = level.to_string();
        self.found.set_text("login.anonymous_permissions", &level, call.location, word);
    }

    /// `override_perm(name, folder, perm, recursive=False)`
    fn override_permissions(&mut self, call: &CallArguments<'_>) {
        let (name, below, letters) =
            (call.text("username", 0), call.text("directory", 1), call.text("perm", 2));
        let (Some(name), Some(below), Some(letters)) = (name, below, letters) else {
            return self.computed("override_perm", self.others.1, call.location);
        };
        let below = folder(below, self.base);
        let account = self.found.accounts.iter_mut().find(|account| account.name == name);
        let path = account.as_ref().and_then(|account| {
            let inner = below.strip_prefix(&account.home).ok()?;
            VPath::root().resolve(inner.to_string_lossy().replace('\\', "/").as_bytes()).ok()
        });
        match (account, path, permissions(letters)) {
            (Some(account), Some(path), Ok(permissions)) if !path.is_root() => {
                account.paths.push((path, permissions));
                if !matches!(call.get("recursive", 3), Some(PythonValue::Boolean(true))) {
                    let what = "these permissions applied to the folder only; now also to its \
                                subfolders";
                    self.found.changed(call.location, what, "");
                }
            }
            _ => {
                let what = "override_perm: unknown account, folder outside of its home, or invalid \
                            permissions";
                self.found.lost(
                    call.location,
                    what,
                    "wharf user edit NAME --path /FOLDER=PERMISSIONS",
                );
            }
        }
    }
}

/// The arguments of a call.
struct CallArguments<'a> {
    arguments: &'a [Argument],
    location: &'a SourceLocation,
}

impl CallArguments<'_> {
    /// An argument by name or by position.
    fn get(&self, name: &str, place: usize) -> Option<&PythonValue> {
        let named = self.arguments.iter().find(|one| one.name.as_deref() == Some(name));
        let placed = || self.arguments.get(place).filter(|one| one.name.is_none());
        named.or_else(placed).map(|one| &one.value)
    }

    fn text(&self, name: &str, place: usize) -> Option<&str> {
        self.get(name, place).and_then(PythonValue::text)
    }
}

/// Whether the value is computed at run time.
fn is_computed(value: &PythonValue) -> bool {
    match value {
        PythonValue::Name(_) | PythonValue::Call(..) | PythonValue::Other(_) => true,
        PythonValue::List(members) => members.iter().any(is_computed),
        _ => false,
    }
}
