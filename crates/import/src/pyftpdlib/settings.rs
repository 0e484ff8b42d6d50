//! The settings of the published script and of pyftpdlib itself.

use std::path::Path;

use wharf_config::choice::AnonymousPermissions;
use wharf_config::raw::Raw;
use wharf_core::permission::Permissions;
use wharf_users::nearest::nearest;

use super::{cut, folder, number, truth};
use crate::model::{ImportError, ImportResult, LAST_PORT, SourceLocation};
use crate::python::{PythonValue, StatementKind, read as read_python};
use crate::text::SourceText;

/// Reads `settings.py`.
pub(super) fn read(
    text: &SourceText,
    base: &Path,
    found: &mut ImportResult,
) -> Result<(), ImportError> {
    let statements = read_python(&text.content).map_err(|end| cut(text, &end))?;
    let mut known = 0_usize;
    let count = statements.len();
    for (index, statement) in statements.into_iter().enumerate() {
        let location = text.location(statement.line);
        match statement.kind {
            StatementKind::Assign(names, value) => {
                for name in &names {
                    let about = SettingValue { name, value: &value, location: &location, base };
                    known += usize::from(about.take(found));
                }
                if statement.is_nested {
                    let what = "this is conditional; it was imported as if the condition were true";
                    found.changed(&location, what, "check whether this is what you want");
                }
            }
            StatementKind::Program(name) if index + 1 == count && nearest_name(&name).is_some() => {
                let what = format!("{location}: unexpected end of file in `{name}`");
                let hint = "the file is truncated; get a complete copy. Nothing was written";
                return Err(ImportError::new(what, hint));
            }
            StatementKind::Program(word) if word == "import" || word == "from" => {}
            StatementKind::Value(_) => {}
            StatementKind::Program(word) | StatementKind::Call(word, _) => {
                let what = format!("`{word}` is program code, which is not executed");
                found.lost(&location, what, "if it computes a setting, replace it by the value");
            }
            StatementKind::Broken(why) => {
                found.lost(
                    &location,
                    format!("invalid Python: {why}"),
                    "correct it and import again",
                );
            }
        }
    }
    if known == 0 {
        let what = format!("{} contains no known settings", text.shown);
        let hint = "expected settings such as ip, port, max_cons, passive_ports";
        return Err(ImportError::new(what, hint));
    }
    end(found);
    Ok(())
}

/// Handles combinations of two settings.
pub(super) fn end(found: &mut ImportResult) {
    // The log file is not used while logging is off.
    let Some(imported) = found.imported_settings.remove(LOGGING) else { return };
    if imported.raw == Raw::Boolean(false)
        && let Some(file) = found.imported_settings.remove("log.file")
    {
        let what = format!("{} is not used, since {} is off", file.word, imported.word);
        found.lost(
            &file.location,
            what,
            "for a log file set log.file; by default the log goes to the console",
        );
    }
}

/// A key that does not exist in `wharf.toml`, for [`end`].
const LOGGING: &str = "(logging)";

/// A setting and its value.
pub(super) struct SettingValue<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a PythonValue,
    pub(super) location: &'a SourceLocation,
    pub(super) base: &'a Path,
}

type SettingHandler = fn(&SettingValue<'_>, &mut ImportResult) -> Option<()>;

/// All supported names. A handler returns `None` if the value is invalid.
const NAMES: &[(&[&str], SettingHandler)] = &[
    (&["ip", "host"], |about, found| about.address(found)),
    (&["port"], |about, found| about.port(found)),
    (&["max_upload", "read_limit"], |about, found| about.rate("limits.user_upload_rate", found)),
    (&["max_download", "write_limit"], |about, found| {
        about.rate("limits.user_download_rate", found)
    }),
    (&["max_cons"], |about, found| about.count("limits.connections", found)),
    (&["max_per_ip", "max_cons_per_ip"], |about, found| {
        about.count("limits.connections_per_ip", found)
    }),
    (&["passive_ports"], |about, found| about.passive_ports(found)),
    (&["masquerade_address", "nat_address"], |about, found| {
        about.text_unless_none("passive.public_address", found)
    }),
    (&["enable_anonymous"], |about, found| about.truth("login.anonymous", found)),
    (&["anonymous_path"], |about, found| about.path("login.anonymous_home", found)),
    (&["enable_logging"], |about, found| about.truth(LOGGING, found)),
    (&["loging_name", "logging_name", "log_name"], |about, found| about.path("log.file", found)),
    (&["welcome_msg", "banner"], |about, found| about.text_unless_none("server.greeting", found)),
    (&["timeout"], |about, found| about.seconds("limits.idle_timeout", found)),
    (&["max_login_attempts"], |about, found| about.count("login.max_attempts", found)),
    (&["auth_failed_timeout"], |about, found| about.seconds("login.failure_delay", found)),
    (&["certfile"], |about, found| about.path("tls.certificate", found)),
    (&["keyfile"], |about, found| about.path("tls.private_key", found)),
    (&["tls_control_required"], |about, found| about.tls("login", found)),
    (&["tls_data_required"], |about, found| about.tls("all", found)),
    (&["use_gmt_times"], |about, found| {
        let is_utc = truth(about.value)?;
        let word = if is_utc { "utc" } else { "local" };
        found.set_text("names.list_time", word, about.location, about.name);
        Some(())
    }),
    (&["encoding"], |about, found| about.encoding(found)),
    (&["permit_foreign_addresses"], |about, found| {
        about.never(found, "data connections to third hosts (FXP) are not supported")
    }),
    (&["permit_privileged_ports"], |about, found| {
        about.never(found, "data connections to ports below 1024 are not supported")
    }),
    // Internals of pyftpdlib without an equivalent setting.
    (&["use_sendfile", "tcp_no_delay", "backlog", "dtp_handler", "authorizer"], |_, _| Some(())),
];

/// The supported name nearest to a misspelled one.
pub(super) fn nearest_name(name: &str) -> Option<&'static str> {
    let names = || NAMES.iter().flat_map(|(names, _)| names.iter().copied());
    let begun = |known: &&str| !name.is_empty() && known.starts_with(name);
    names().find(begun).or_else(|| nearest(name, names()))
}

impl SettingValue<'_> {
    /// Whether the name is supported.
    pub(super) fn is_known(&self) -> bool {
        self.entry().is_some()
    }

    fn entry(&self) -> Option<SettingHandler> {
        let name = self.name.to_ascii_lowercase();
        NAMES.iter().find(|(names, _)| names.contains(&name.as_str())).map(|(_, take)| *take)
    }

    /// Imports the setting, or reports it. Returns whether its name is known.
    pub(super) fn take(&self, found: &mut ImportResult) -> bool {
        let name = self.name.escape_debug();
        let Some(take) = self.entry() else {
            if self.name.starts_with('_') || matches!(self.value, PythonValue::Call(..)) {
                return false;
            }
            let hint = match nearest_name(self.name) {
                Some(near) => format!("is `{near}` meant? then correct it and import again"),
                None => "ignore this if it is a variable of your own program".into(),
            };
            found.lost(self.location, format!("unknown setting `{name}`"), hint);
            return false;
        };
        if take(self, found).is_none() {
            let what = format!("`{name}`: unsupported value: {}", self.value.what());
            found.lost(self.location, what, "correct the value and import again");
        }
        true
    }

    fn set_text(&self, path: &str, text: &str, found: &mut ImportResult) {
        found.set_text(path, text, self.location, self.name);
    }

    /// The listen address.
    pub(super) fn address(&self, found: &mut ImportResult) -> Option<()> {
        let text = match self.value {
            PythonValue::None => "",
            PythonValue::Text(text) => text.trim(),
            PythonValue::Call(..) | PythonValue::Name(_) => {
                let what = format!("`{}` is computed by the program", self.name);
                found.changed(
                    self.location,
                    what,
                    "wharf listens on all addresses: [[listen]] address",
                );
                return Some(());
            }
            _ => return None,
        };
        match text {
            "" | "*" | "::" | "[::]" => {}
            "localhost" => self.set_text("listen.0.address", "127.0.0.1", found),
            _ => self.set_text("listen.0.address", text, found),
        }
        Some(())
    }

    /// The listen port.
    pub(super) fn port(&self, found: &mut ImportResult) -> Option<()> {
        let port = number(self.value).and_then(|number| u16::try_from(number).ok())?;
        found.set_number("listen.0.port", port.into(), self.location, self.name);
        Some(())
    }

    fn rate(&self, path: &str, found: &mut ImportResult) -> Option<()> {
        let bytes = number(self.value).and_then(|number| u64::try_from(number).ok())?;
        found.set_number(path, bytes, self.location, self.name);
        Some(())
    }

    fn count(&self, path: &str, found: &mut ImportResult) -> Option<()> {
        let count = number(self.value).and_then(|number| u32::try_from(number).ok())?;
        found.set_number(path, count.into(), self.location, self.name);
        Some(())
    }

    fn seconds(&self, path: &str, found: &mut ImportResult) -> Option<()> {
        let seconds = match self.value {
            PythonValue::None => 0,
            value => number(value).and_then(|number| u32::try_from(number).ok())?,
        };
        found.set_seconds(path, seconds.into(), self.location, self.name);
        Some(())
    }

    fn truth(&self, path: &str, found: &mut ImportResult) -> Option<()> {
        let is_on = truth(self.value)?;
        found.set(path, Raw::Boolean(is_on), self.location, self.name);
        Some(())
    }

    fn text_unless_none(&self, path: &str, found: &mut ImportResult) -> Option<()> {
        match self.value {
            PythonValue::None => {}
            PythonValue::Text(text) => self.set_text(path, &text.replace("\r\n", "\n"), found),
            _ => return None,
        }
        Some(())
    }

    pub(super) fn path(&self, path: &str, found: &mut ImportResult) -> Option<()> {
        match self.value {
            PythonValue::None => {}
            PythonValue::Text(text) if text.trim().is_empty() => {}
            PythonValue::Text(text) => {
                self.set_text(path, &folder(text, self.base).to_string_lossy(), found);
            }
            _ => return None,
        }
        Some(())
    }

    /// A pair, a list of ports, or a `range` with an exclusive end.
    fn passive_ports(&self, found: &mut ImportResult) -> Option<()> {
        let (from, to) = match self.value {
            PythonValue::None => return Some(()),
            PythonValue::Range(from, to) if *to == 65_536 => (*from, 65_535),
            PythonValue::Range(from, to) => {
                self.note_last_port(*to, found);
                (*from, *to)
            }
            PythonValue::List(members) => {
                let ports: Option<Vec<_>> = members.iter().map(number).collect();
                let ports = ports?;
                let (from, to) = (*ports.iter().min()?, *ports.iter().max()?);
                if ports.len() == 2 {
                    self.note_last_port(to, found);
                } else if ports.len() != usize::try_from(to - from + 1).ok()? {
                    let what = "the passive ports had gaps; now all ports from the first to the \
                                last are used";
                    found.changed(self.location, what, "allow all of them in the firewall");
                }
                (from, to)
            }
            _ => return None,
        };
        let (from, to) = (u16::try_from(from).ok()?, u16::try_from(to).ok()?);
        self.set_text("passive.ports", &format!("{from}-{to}"), found);
        Some(())
    }

    fn note_last_port(&self, last: i128, found: &mut ImportResult) {
        let what = format!("{LAST_PORT}; now port {last} is used too");
        found.changed(self.location, what, "allow it in the firewall");
    }

    /// Raises the TLS requirement, if the value is true.
    fn tls(&self, word: &str, found: &mut ImportResult) -> Option<()> {
        if truth(self.value)? && found.text_of("tls.require") != Some("all") {
            self.set_text("tls.require", word, found);
        }
        Some(())
    }

    fn encoding(&self, found: &mut ImportResult) -> Option<()> {
        let text = self.value.text()?;
        if text.eq_ignore_ascii_case("utf8") || text.eq_ignore_ascii_case("utf-8") {
            return Some(());
        }
        self.set_text("names.encoding", "legacy", found);
        self.set_text("names.legacy_encoding", text, found);
        Some(())
    }

    fn never(&self, found: &mut ImportResult, why: &str) -> Option<()> {
        if truth(self.value)? {
            let hint = "nothing to do: it would enable FTP bounce attacks";
            found.lost(self.location, format!("{}: {why}", self.name), hint);
        }
        Some(())
    }
}

/// The preset for anonymous users, and whether it equals the letters exactly.
pub(super) fn anonymous(permissions: Permissions) -> (AnonymousPermissions, bool) {
    let reads = permissions.contains(Permissions::READ) || permissions.contains(Permissions::LIST);
    let full = Permissions::FULL;
    if !permissions.contains(Permissions::UPLOAD) {
        (AnonymousPermissions::Read, permissions == Permissions::READ_ONLY)
    } else if reads {
        let is_same = permissions == full || permissions.union(Permissions::CHMOD) == full;
        (AnonymousPermissions::ReadWrite, is_same)
    } else {
        (AnonymousPermissions::Dropbox, true)
    }
}
