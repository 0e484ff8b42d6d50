//! Shows the effective settings of an account or the settings of a group, with their origin.

use std::fmt::{Display, Write as _};
use std::path::Path;

use jiff::Timestamp;
use wharf_config::Loaded;
use wharf_config::account_error::AccountError;
use wharf_config::outcome::{counted, print};
use wharf_config::raw::quoted;
use wharf_config::show::origin_of;
use wharf_config::table::harmless;
use wharf_core::account::{Count, Rate};
use wharf_proto::path::VPath;
use wharf_users::admin::UserAdmin;
use wharf_users::file::{
    AccountValue, FolderRecord, KEYS, PERMISSIONS_DEFAULT, StoredHash, UserRecord, shown_network,
};
use wharf_users::permissions::format_permissions;
use wharf_users::units::{format_quota, format_rate};

use super::origins::Origins;
use super::{json, missing_user};

/// Maximum width of the value column.
const VALUE_WIDTH_MAX: usize = 48;
/// The origin of a built-in default.
const DEFAULT: &str = "default";

/// Shows one account.
pub(super) async fn show(
    store: &dyn UserAdmin,
    loaded: &Loaded,
    name: &str,
    is_json: bool,
) -> Result<(), AccountError> {
    let origins = Origins::of_user(store, &loaded.config, name).await?;
    let (Some(record), Some(origins)) = (store.find(name).await?, origins) else {
        return Err(missing_user(store, name).await?.into());
    };
    if is_json {
        let more = [("origins", origins_json(&record, &origins))];
        return Ok(print(&(json::of(&record, store.folder(), &more) + "\n"))?);
    }
    let mut sheet =
        SettingsTable { record: &record, folder: store.folder(), origins, rows: Vec::new() };
    sheet.login();
    sheet.settings_rows();
    sheet.of_server(loaded);
    Ok(print(&sheet.text())?)
}

/// The settings of a group, as rows.
pub(super) fn of_group(
    group: &UserRecord,
    folder: &Path,
    origins: Origins,
    members: &str,
) -> String {
    let mut sheet = SettingsTable { record: group, folder, origins, rows: Vec::new() };
    sheet.rows.push(("name", group.name.clone(), String::new()));
    if let Some(is_enabled) = group.enabled {
        sheet.row("login", "enabled", if is_enabled { "yes" } else { "disabled" });
    }
    sheet.settings_rows();
    sheet.rows.push(("accounts", members.to_owned(), String::new()));
    sheet.text()
}

/// The origin of each key, as one JSON object.
pub(super) fn origins_json(record: &UserRecord, origins: &Origins) -> String {
    let entries = |key: &str, paths: Vec<&VPath>| {
        let entries = paths.into_iter().filter_map(|path| {
            let origin = origins.json(key, Some(path))?;
            Some(format!("{}:{origin}", quoted(&path.to_string())))
        });
        format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
    };
    let members = KEYS.iter().filter_map(|key| {
        let origin = origins.json(key, None)?;
        let origin = match *key {
            "paths" => entries(key, record.paths.iter().map(|(path, _)| path).collect()),
            "folders" => entries(key, record.folders.iter().map(|folder| &folder.path).collect()),
            _ => origin,
        };
        Some(format!("{}:{origin}", quoted(key)))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Rows of title, value and origin.
struct SettingsTable<'a> {
    record: &'a UserRecord,
    folder: &'a Path,
    origins: Origins,
    rows: Vec<(&'static str, String, String)>,
}

impl SettingsTable<'_> {
    /// A row of a key.
    fn row(&mut self, title: &'static str, key: &str, value: impl Display) {
        let origin = self.origins.text(key, None).unwrap_or_else(|| DEFAULT.to_owned());
        self.rows.push((title, value.to_string(), origin));
    }

    /// A row of a key, if it is set.
    fn row_if_set(&mut self, title: &'static str, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.row(title, key, value);
        }
    }

    /// Rows about logins.
    fn login(&mut self) {
        let record = self.record;
        self.rows.push(("name", record.name.clone(), String::new()));
        match login(record) {
            LoginStatus::Ended => self.row("login", "expires", "expired"),
            login => self.row("login", "enabled", login.word()),
        }
        self.row("password", "password", password(record));
        if record.home.as_os_str().is_empty() {
            self.row("home", "home", "none");
        }
        if record.permissions.is_none() {
            self.row("permissions", "permissions", format_permissions(PERMISSIONS_DEFAULT));
        }
    }

    /// Settings of the account or its groups.
    fn settings_rows(&mut self) {
        let record = self.record;
        let groups = (!record.groups.is_empty()).then(|| record.groups.join(", "));
        self.row_if_set("groups", "groups", groups);
        if !record.home.as_os_str().is_empty() {
            self.row("home", "home", self.folder.join(&record.home).display());
        }
        self.row_if_set("permissions", "permissions", record.permissions.map(format_permissions));
        for (path, permissions) in &record.paths {
            let origin = self.origins.text("paths", Some(path)).unwrap_or_default();
            let value = format!("below {path}: {}", format_permissions(*permissions));
            self.rows.push(("", value, origin));
        }
        for folder in &record.folders {
            let origin = self.origins.text("folders", Some(&folder.path)).unwrap_or_default();
            self.rows.push(("folder", shown_folder(folder, self.folder), origin));
        }
        for key in json::restriction_keys().chain(json::limit_keys()) {
            self.row_if_set(key.name, key.name, (key.value)(record).map(shown_value));
        }
        let tls = record.require_tls;
        let tls = tls.map(|is_required| if is_required { "required" } else { "not required" });
        self.row_if_set("require_tls", "require_tls", tls);
        self.row_if_set("comment", "comment", record.comment.as_ref());
    }

    /// Settings of the configuration that apply because the account does not set them.
    fn of_server(&mut self, loaded: &Loaded) {
        let (record, limits) = (self.record, &loaded.config.limits);
        let mut rows = Vec::new();
        let mut row = |is_set: bool, title: &'static str, key: &str, value: String| {
            if !is_set {
                let origin = match origin_of(&loaded.layers, key) {
                    origin if origin == DEFAULT => format!("{key}, default"),
                    origin => format!("{key}, {origin}"),
                };
                rows.push((title, value, origin));
            }
        };
        let rate = |rate: Rate| format_rate(rate);
        let is_set = record.upload_rate.is_some();
        row(is_set, "upload_rate", "limits.user_upload_rate", rate(limits.user_upload_rate));
        let is_set = record.download_rate.is_some();
        row(is_set, "download_rate", "limits.user_download_rate", rate(limits.user_download_rate));
        let is_set = record.sessions.is_some();
        row(is_set, "sessions", "limits.sessions_per_user", count(limits.sessions_per_user));
        let is_set = record.quota.is_some();
        row(is_set, "quota", "limits.user_quota", format_quota(limits.user_quota));
        let is_set = record.quota_files.is_some();
        row(is_set, "quota_files", "limits.user_quota_files", count(limits.user_quota_files));
        // The server can require TLS even if the account does not.
        let is_set = record.require_tls == Some(true);
        row(is_set, "require_tls", "tls.require", loaded.config.tls.require.to_string());
        self.rows.append(&mut rows);
    }

    fn text(&self) -> String {
        let rows = self.rows.iter();
        let rows: Vec<_> =
            rows.map(|(title, value, origin)| (title, harmless(value), harmless(origin))).collect();
        let widths = rows.iter().map(|(_, value, _)| value.chars().count());
        let width = widths.filter(|width| *width <= VALUE_WIDTH_MAX).max().unwrap_or_default();
        let titles = rows.iter().map(|(title, ..)| title.len()).max().unwrap_or_default();
        let mut text = String::new();
        for (title, value, origin) in &rows {
            let line = format!("{title:<titles$}  {value:<width$}  {origin}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

/// Whether an account can log in, according to the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LoginStatus {
    Open,
    Disabled,
    Ended,
}

impl LoginStatus {
    /// As shown in tables.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Open => "yes",
            Self::Disabled => "disabled",
            Self::Ended => "expired",
        }
    }
}

/// Whether an account is open.
pub(super) fn login(record: &UserRecord) -> LoginStatus {
    if !record.is_enabled() {
        LoginStatus::Disabled
    } else if record.expires.is_some_and(|expires| expires.end() <= Timestamp::now()) {
        LoginStatus::Ended
    } else {
        LoginStatus::Open
    }
}

/// The quota of an account or a group, if set.
pub(super) fn quota(record: &UserRecord) -> Option<String> {
    let files = record.quota_files.map(|files| match files {
        Count::Unlimited => "any number of files".to_owned(),
        Count::AtMost(most) => counted(most.get(), "file"),
    });
    let parts: Vec<_> = record.quota.map(format_quota).into_iter().chain(files).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn shown_folder(folder: &FolderRecord, base: &Path) -> String {
    let target = base.join(&folder.target);
    let mut parts = vec![format!("{} = {}", folder.path, target.display())];
    parts.extend(folder.permissions.map(format_permissions));
    parts.extend(folder.quota.map(format_quota));
    parts.extend(folder.quota_files.map(|files| format!("{} files", count(files))));
    if !target.is_dir() {
        parts.push("not found".to_owned());
    }
    parts.join(", ")
}

/// A value for people.
fn shown_value(value: AccountValue<'_>) -> String {
    match value {
        AccountValue::Count(number) => count(number),
        AccountValue::Networks(all) => joined(all.iter().map(shown_network)),
        other => other.text(),
    }
}

fn count(count: Count) -> String {
    count.number().map_or_else(|| "unlimited".to_owned(), |number| number.to_string())
}

fn password(record: &UserRecord) -> &'static str {
    match &record.password {
        None if record.is_open() => "not required from its addresses (no_password)",
        Some(hash) if StoredHash::is_usable(hash) => "set",
        Some(_) => "locked: invalid password hash",
        None => "none: logins are impossible",
    }
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(", ")
}
