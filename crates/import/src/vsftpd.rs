//! vsftpd: its configuration, per-user files, and a list of logins.
//!
//! Its accounts are those of the system or of PAM, so their passwords cannot be read. Accounts are
//! imported from a list of alternating names and passwords only (`logins.txt`, from which such
//! databases are built); for the others the commands to add them are printed.

mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wharf_config::outcome::Failure;
use wharf_config::raw::Raw;
use wharf_core::account::Rate;
use wharf_core::permission::Permissions;
use wharf_users::name::check_name;

use super::directives::{Directive, ValueFormat, apply};
use super::model::{ImportError, ImportResult, ImportedAccount, ImportedPassword, SourceLocation};
use super::text::{self, ACCOUNTS_BYTES_MAX, SETTINGS_BYTES_MAX, SourceEncoding, SourceText};

/// Maximum number of per-user files.
const USER_FILES_MAX: usize = 10_000;
/// Maximum number of denied user names.
const DENIED_MAX: usize = 10_000;

/// Reads the configuration and the other given files.
pub fn import(
    conf: &Path,
    user_config_dir: Option<&Path>,
    logins: Option<&Path>,
    encoding: SourceEncoding,
) -> Result<ImportResult, Failure> {
    let text = text::read(conf, SETTINGS_BYTES_MAX, encoding)?;
    let mut found = ImportResult::default();
    let main = read(&text, &mut found)?;
    deny_users(&main, encoding, &mut found);
    let users = match user_config_dir {
        Some(folder) => user_files(folder, encoding)?,
        None => BTreeMap::new(),
    };
    if let Some(logins) = logins {
        let text = text::read(logins, ACCOUNTS_BYTES_MAX, encoding)?;
        accounts(&text, &main, &users, &mut found)?;
    }
    note_accounts(&text, &main, &users, &mut found);
    Ok(found)
}

/// The directives of a file by name; the last one wins, as in vsftpd.
#[derive(Clone, Debug, Default)]
struct Conf(BTreeMap<String, Directive>);

impl Conf {
    /// Parses a text. Invalid lines are reported.
    fn of(text: &SourceText, found: &mut ImportResult) -> Self {
        let mut conf = Self::default();
        for (number, line) in text.lines() {
            let location = text.location(number);
            let line = line.trim_end();
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                found.lost(&location, "invalid line: missing `=`", "correct it and import again");
                continue;
            };
            let name = name.trim().to_owned();
            let value = value.trim().to_owned();
            conf.0.insert(name.clone(), Directive { name, value, location });
        }
        conf
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|one| one.value.as_str()).filter(|value| !value.is_empty())
    }

    /// A boolean, with the default of vsftpd.
    fn is_on(&self, name: &str, default: bool) -> bool {
        self.0.get(name).and_then(Directive::truth).unwrap_or(default)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Directive::number)
    }

    fn location(&self, name: &str) -> Option<&SourceLocation> {
        self.0.get(name).map(|one| &one.location)
    }
}

/// Reads `vsftpd.conf`.
fn read(text: &SourceText, found: &mut ImportResult) -> Result<Conf, ImportError> {
    let conf = Conf::of(text, found);
    let is_known =
        |name: &String| table::TABLE.iter().any(|(names, _)| names.contains(&name.as_str()));
    if !conf.0.keys().any(is_known) {
        let what = format!("{} contains no vsftpd settings", text.shown);
        return Err(ImportError::new(what, "give vsftpd.conf, with lines such as listen_port=21"));
    }
    for directive in conf.0.values() {
        apply(directive, table::TABLE, found);
    }
    listeners(&conf, found);
    passive(&conf, found);
    tls(&conf, found);
    rates(&conf, found);
    anonymous(&conf, text, found);
    defaults(&conf, text, found);
    Ok(conf)
}

fn listeners(conf: &Conf, found: &mut ImportResult) {
    let mut set = |name: &str, path: &str, number: bool| {
        if let Some(directive) = conf.0.get(name) {
            let kind = if number { ValueFormat::Number } else { ValueFormat::Text };
            if directive.put(path, kind, found).is_none() {
                found.lost(
                    &directive.location,
                    format!("`{name}`: invalid number"),
                    "set it manually",
                );
            }
        }
    };
    set("listen_address", "listen.0.address", false);
    set("listen_address6", "listen.0.address", false);
    set("listen_port", "listen.0.port", true);
    let is_implicit = conf.is_on("ssl_enable", false) && conf.is_on("implicit_ssl", false);
    if let (true, Some(location)) = (is_implicit, conf.location("implicit_ssl")) {
        found.set_text("listen.0.tls", "implicit", location, "implicit_ssl");
        if conf.text("listen_port").is_none() {
            found.set_number("listen.0.port", 21, location, "listen_port defaults to 21");
        }
    }
}

/// Both ends are required; 0 means any port.
fn passive(conf: &Conf, found: &mut ImportResult) {
    let (from, to) = (conf.number("pasv_min_port"), conf.number("pasv_max_port"));
    let Some(location) = conf.location("pasv_min_port").or_else(|| conf.location("pasv_max_port"))
    else {
        return;
    };
    match (from.unwrap_or(0), to.unwrap_or(0)) {
        (0, 0) => {}
        (from, to) if from > 0 && to > 0 => {
            let ports = format!("{from}-{to}");
            found.set_text("passive.ports", &ports, location, "pasv_min_port, pasv_max_port");
        }
        _ => {
            let what = "only one end of the passive port range is set";
            found.lost(&location.clone(), what, "set passive.ports = \"FIRST-LAST\"");
        }
    }
}

fn tls(conf: &Conf, found: &mut ImportResult) {
    let Some(location) = conf.location("ssl_enable").cloned() else { return };
    if !conf.is_on("ssl_enable", false) {
        return;
    }
    let word = "ssl_enable";
    let require = if !conf.is_on("force_local_logins_ssl", true) {
        "off"
    } else if conf.is_on("force_local_data_ssl", true) {
        "all"
    } else {
        "login"
    };
    found.set_text("tls.require", require, &location, word);
    if let Some(directive) = conf.0.get("require_ssl_reuse")
        && let Some(is_on) = directive.truth()
    {
        let reuse = if is_on { "require" } else { "off" };
        found.set_text("tls.session_reuse", reuse, &directive.location, "require_ssl_reuse");
    }
    if let Some(certificate) = conf.0.get("rsa_cert_file") {
        let key = conf.0.get("rsa_private_key_file").unwrap_or(certificate);
        let (file, key_file) = (certificate.value.clone(), key.value.clone());
        found.set_text("tls.certificate", &file, &certificate.location, "rsa_cert_file");
        found.set_text("tls.private_key", &key_file, &key.location, &key.name);
    }
}

/// One rate for both directions: per session in vsftpd, per account in wharf.
fn rates(conf: &Conf, found: &mut ImportResult) {
    let Some(directive) = conf.0.get("local_max_rate") else { return };
    let Some(bytes) = directive.number() else {
        found.lost(
            &directive.location,
            "`local_max_rate`: invalid number",
            "see limits.user_upload_rate",
        );
        return;
    };
    for path in ["limits.user_upload_rate", "limits.user_download_rate"] {
        found.set_number(path, bytes, &directive.location, "local_max_rate");
    }
    if bytes > 0 {
        let what = "local_max_rate applied to each session; now all sessions of an account share \
                    it";
        found.changed(
            &directive.location,
            what,
            "for limits per transfer: limits.transfer_upload_rate",
        );
    }
}

fn anonymous(conf: &Conf, text: &SourceText, found: &mut ImportResult) {
    let Some(location) = conf.location("anonymous_enable").cloned() else {
        let what = "vsftpd allows anonymous logins unless anonymous_enable=NO; wharf does not";
        found.changed(&text.location(0), what, "to allow them: login.anonymous = true");
        return;
    };
    if !conf.is_on("anonymous_enable", true) {
        return;
    }
    found.set("login.anonymous", Raw::Boolean(true), &location, "anonymous_enable");
    if let Some(root) = conf.text("anon_root") {
        let at = conf.location("anon_root").unwrap_or(&location).clone();
        found.set_text("login.anonymous_home", root, &at, "anon_root");
    }
    let writes = conf.is_on("write_enable", false);
    if writes && conf.is_on("anon_other_write_enable", false) {
        let permissions = "login.anonymous_permissions";
        found.set_text(permissions, "read-write", &location, "anon_other_write_enable");
    } else if writes && conf.is_on("anon_upload_enable", false) {
        let at = conf.location("anon_upload_enable").unwrap_or(&location).clone();
        let what = "anonymous users could upload files without changing them; now they may only \
                    read";
        let hint = "login.anonymous_permissions = \"dropbox\" (store, see nothing) or \
                    \"read-write\"";
        found.changed(&at, what, hint);
    }
}

/// Defaults of vsftpd that differ from those of wharf.
fn defaults(conf: &Conf, text: &SourceText, found: &mut ImportResult) {
    let nowhere = text.location(0);
    if conf.text("local_umask").is_none() {
        found.set_text("files.umask", "077", &nowhere, "local_umask defaults to 077");
    }
    if !conf.is_on("use_localtime", false) {
        let location = conf.location("use_localtime").unwrap_or(&nowhere).clone();
        found.set_text("names.list_time", "utc", &location, "use_localtime defaults to NO");
    }
    if !conf.is_on("chroot_local_user", false) || conf.is_on("chroot_list_enable", false) {
        let location = conf.location("chroot_local_user").unwrap_or(&nowhere).clone();
        let what = "accounts could leave their homes; now every account is confined to its home";
        found.changed(&location, what, "");
    }
}

/// The names in `userlist_file`, which are denied unless `userlist_deny=NO`.
fn deny_users(conf: &Conf, encoding: SourceEncoding, found: &mut ImportResult) {
    let Some(location) = conf.location("userlist_enable").cloned() else { return };
    if !conf.is_on("userlist_enable", false) {
        return;
    }
    if !conf.is_on("userlist_deny", true) {
        let what = "only listed users could log in";
        found.lost(&location, what, "now every account can log in; add only those accounts");
        return;
    }
    let file = conf.text("userlist_file").unwrap_or("/etc/vsftpd.user_list");
    let Ok(text) = text::read(Path::new(file), SETTINGS_BYTES_MAX, encoding) else {
        let what = format!("cannot read the list of denied users: {}", file.escape_debug());
        found.lost(&location, what, "set login.deny_users");
        return;
    };
    let names = text.lines().map(|(_, line)| line.trim().to_owned());
    let names = names.filter(|name| !name.is_empty() && !name.starts_with('#'));
    let names: Vec<_> = names.take(DENIED_MAX).map(Raw::Text).collect();
    found.set("login.deny_users", Raw::List(names), &location, "userlist_file");
}

/// The per-user files by user name.
fn user_files(
    folder: &Path,
    encoding: SourceEncoding,
) -> Result<BTreeMap<String, SourceText>, Failure> {
    let failed = |error| Failure::io(format!("cannot read {}", folder.display()), &error);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .map_err(failed)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files.truncate(USER_FILES_MAX);
    let mut users = BTreeMap::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        users.insert(name, text::read(&file, SETTINGS_BYTES_MAX, encoding)?);
    }
    Ok(users)
}

/// Settings of an account from its per-user file and the main configuration.
struct UserFileSettings {
    home: Option<PathBuf>,
    permissions: Permissions,
    rate: Option<u64>,
}

impl UserFileSettings {
    fn of(name: &str, main: &Conf, own: Option<&SourceText>, found: &mut ImportResult) -> Self {
        let own = own.map(|text| Conf::of(text, found)).unwrap_or_default();
        for directive in own.0.values() {
            let is_read = table::USER_SETTINGS.contains(&directive.name.as_str());
            if !is_read {
                let what = format!("`{}` for a single user", directive.name.escape_debug());
                found.lost(&directive.location, what, "not supported per account");
            }
        }
        let text = |name: &str| own.text(name).or_else(|| main.text(name));
        let is_on = |name: &str, default: bool| own.is_on(name, main.is_on(name, default));
        let token = text("user_sub_token").unwrap_or_default();
        let home = text("local_root").map(|root| {
            PathBuf::from(if token.is_empty() {
                root.to_owned()
            } else {
                root.replace(token, name)
            })
        });
        let mut permissions =
            if is_on("write_enable", false) { Permissions::FULL } else { Permissions::READ_ONLY };
        for (name, taken) in
            [("download_enable", Permissions::READ), ("dirlist_enable", Permissions::LIST)]
        {
            if !is_on(name, true) {
                let kept = Permissions::EACH.iter().map(|(permission, ..)| *permission);
                permissions = kept
                    .filter(|one| permissions.contains(*one) && *one != taken)
                    .fold(Permissions::NONE, Permissions::union);
            }
        }
        Self { home, permissions, rate: own.number("local_max_rate") }
    }
}

/// Reads a list of alternating names and passwords, one per line.
fn accounts(
    text: &SourceText,
    main: &Conf,
    users: &BTreeMap<String, SourceText>,
    found: &mut ImportResult,
) -> Result<(), ImportError> {
    let lines: Vec<_> = text.lines().filter(|(_, line)| !line.trim().is_empty()).collect();
    if let Some((number, _)) = lines.last().filter(|_| lines.len() % 2 == 1) {
        return Err(ImportError::new(
            format!("{}: missing password for this name", text.location(*number)),
            "the list must alternate between a line with a name and a line with its password",
        ));
    }
    for pair in lines.chunks_exact(2) {
        let [(number, name), (_, password)] = pair else { continue };
        let (name, location) = (name.trim(), text.location(*number));
        let facts = UserFileSettings::of(name, main, users.get(name), found);
        let Some(home) = facts.home else {
            let shown = name.escape_debug();
            let what = format!("account `{shown}`: unknown home");
            found.lost(&location, what, format!("wharf user add {shown} --home DIR"));
            continue;
        };
        let secret = ImportedPassword::Plain((*password).to_owned());
        let mut account = ImportedAccount::new(name, secret, home, location);
        account.permissions = Some(facts.permissions);
        account.upload_rate = facts.rate.map(Rate::from_bytes_per_second);
        account.download_rate = account.upload_rate;
        found.add(account);
    }
    Ok(())
}

/// Reports the commands that add accounts with passwords elsewhere.
fn note_accounts(
    text: &SourceText,
    main: &Conf,
    users: &BTreeMap<String, SourceText>,
    found: &mut ImportResult,
) {
    for (name, own) in users {
        if found.accounts.iter().any(|account| account.name == *name) || check_name(name).is_err() {
            continue;
        }
        let facts = UserFileSettings::of(name, main, Some(own), found);
        let home = facts.home.map_or_else(|| "DIR".into(), |home| home.display().to_string());
        let permissions = wharf_users::permissions::format_permissions(facts.permissions);
        let what = format!("account `{}`: its password is not in these files", name.escape_debug());
        let command = format!("wharf user add {name} --home {home} --permissions {permissions}");
        found.lost(&own.location(0), what, command);
    }
    if main.is_on("local_enable", false) && found.accounts.is_empty() {
        let what = "system accounts were used; their passwords are not in these files";
        let hint = "add each of them:  wharf user add NAME --home DIR --permissions read-write";
        let location = main.location("local_enable").cloned().unwrap_or_else(|| text.location(0));
        found.lost(&location, what, hint);
    }
}
