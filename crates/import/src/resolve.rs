//! Validates the result on this computer: keys are valid, folders and certificates exist, keys do
//! not conflict. Invalid parts are removed and reported.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use wharf_config::gather::{Flag, Inputs};
use wharf_config::outcome::Failure;
use wharf_config::password::check_password;
use wharf_config::problem::Severity;
use wharf_config::raw::Raw;
use wharf_config::value::ListenPort;
use wharf_config::{Config, Loaded};

use super::model::{
    ImportResult, ImportedAccount, ImportedPassword, ImportedSetting, LAST_PORT, NoteKind,
};

/// Checks that the certificate of a configuration can be used.
pub type CertificateCheck<'a> = &'a dyn Fn(&Config) -> Result<(), Failure>;

/// Removes what `wharf check` would reject. Relative paths of the result are below `folder`.
pub fn resolve(found: &mut ImportResult, folder: &Path, check: CertificateCheck<'_>) {
    read_each(found, folder);
    resolve_anonymous(found);
    resolve_certificate(found, folder, check);
    resolve_logs(found, folder);
    resolve_ports(found, folder);
    note_tls_policy(found);
    resolve_accounts(found);
}

/// Loads a configuration with these keys.
pub fn load(found: &ImportResult, paths: &[&str], folder: &Path) -> Loaded {
    let wanted = found.imported_settings.iter().filter(|(path, _)| {
        paths.is_empty() || paths.iter().any(|wanted| path.starts_with(wanted))
    });
    let flags = wanted.map(|(path, setting)| Flag {
        shown: format!("{} {}", setting.location, setting.word),
        path: path.clone(),
        raw: setting.raw.clone(),
    });
    Loaded::load(&Inputs {
        base: folder.to_owned(),
        current_folder: folder.to_owned(),
        flags: flags.collect(),
        ..Inputs::default()
    })
}

/// Removes keys with invalid values.
fn read_each(found: &mut ImportResult, folder: &Path) {
    let paths: Vec<String> = found.imported_settings.keys().cloned().collect();
    for path in paths {
        let Some(setting) = found.imported_settings.get(&path).cloned() else { continue };
        // Each key is checked alone, and the first listener represents all. Conflicts between keys
        // are checked later: only problems that begin with the key's name concern its value.
        let alone = match path.strip_prefix("listen.").and_then(|rest| rest.split_once('.')) {
            Some((_, key)) => format!("listen.0.{key}"),
            None => path.clone(),
        };
        let about = format!("`{alone}`: ");
        let mut one = ImportResult::default();
        one.imported_settings.insert(alone, setting.clone());
        let problems = load(&one, &[], folder).problems;
        let wrong = problems.iter().find_map(|problem| {
            (problem.severity == Severity::Error).then_some(problem.title.strip_prefix(&about)?)
        });
        if let Some(why) = wrong {
            remove_setting(found, &path, &format!("`{}`: {why}", setting.word.escape_debug()));
        }
    }
}

/// Removes a key and reports the reason.
fn remove_setting(found: &mut ImportResult, path: &str, what: &str) {
    if let Some(setting) = found.imported_settings.remove(path) {
        let key = path.replace("listen.0.", "[[listen]] ").replace("listen.1.", "[[listen]] ");
        found.lost(&setting.location, what, format!("set it manually: {key}"));
    }
}

/// Anonymous access requires an existing folder; else it is removed.
fn resolve_anonymous(found: &mut ImportResult) {
    let is_on = |setting: &ImportedSetting| setting.raw == Raw::Boolean(true);
    if !found.imported_settings.get("login.anonymous").is_some_and(is_on) {
        for path in ["login.anonymous_home", "login.anonymous_permissions"] {
            found.imported_settings.remove(path);
        }
        return;
    }
    let home = found.text_of("login.anonymous_home").map(str::to_owned);
    let why = match home {
        None => "anonymous access: no folder is set".to_owned(),
        Some(home) if !Path::new(&home).is_dir() => {
            format!("anonymous access: the folder {home} does not exist")
        }
        Some(_) => return,
    };
    for path in ["login.anonymous_home", "login.anonymous_permissions"] {
        found.imported_settings.remove(path);
    }
    if let Some(setting) = found.imported_settings.remove("login.anonymous") {
        let hint = "create the folder, then set login.anonymous and login.anonymous_home";
        found.lost(&setting.location, why, hint);
    }
}

/// An unusable certificate would prevent the server from starting.
fn resolve_certificate(found: &mut ImportResult, folder: &Path, check: CertificateCheck<'_>) {
    let has = |found: &ImportResult, path: &str| found.imported_settings.contains_key(path);
    let (certificate, key) = ("tls.certificate", "tls.private_key");
    let why = match (has(found, certificate), has(found, key)) {
        (false, false) => return,
        (true, false) => "tls.private_key is not set".to_owned(),
        (false, true) => "tls.certificate is not set".to_owned(),
        (true, true) => {
            let loaded = load(found, &[certificate, key], folder);
            match check(&loaded.config) {
                Ok(()) if loaded.is_valid() => return,
                // One of the two is set, but empty.
                Ok(()) => "tls.certificate and tls.private_key must be set together".to_owned(),
                Err(failure) => failure.message,
            }
        }
    };
    let location = [certificate, key].iter().find_map(|path| found.imported_settings.remove(*path));
    found.imported_settings.remove(key);
    if let Some(setting) = location {
        let hint = "wharf generates a self-signed certificate; to use this one, set \
                    tls.certificate and tls.private_key, then run:  wharf check";
        found.lost(&setting.location, why, hint);
    }
}

/// Logs of different formats cannot share a file: the first keeps it.
fn resolve_logs(found: &mut ImportResult, folder: &Path) {
    let logs = [
        ("log.file", "the server log"),
        ("log.transfer_log", "the transfer log"),
        ("log.audit_file", "the audit log"),
    ];
    let mut used: Vec<(PathBuf, &str)> = Vec::new();
    for (path, log) in logs {
        let Some(file) = found.text_of(path).map(|file| folder.join(file)) else { continue };
        if file.parent().is_some_and(|parent| !parent.is_dir()) {
            remove_setting(found, path, "the folder of this log does not exist");
        } else if let Some((_, other)) = used.iter().find(|(other, _)| *other == file) {
            let what = format!("{other} and {log} cannot use the same file");
            remove_setting(found, path, &what);
        } else {
            used.push((file, log));
        }
    }
}

/// The passive ports must not contain the port of the control connection.
fn resolve_ports(found: &mut ImportResult, folder: &Path) {
    let config = load(found, &["listen.", "passive.ports"], folder).config;
    let whole = config.passive.ports.0.clone();
    let mut ports = Some(whole.clone());
    for listen in &config.listen {
        if let (ListenPort::Fixed(port), Some(range)) = (listen.port, ports.clone())
            && range.contains(&port)
        {
            ports = larger_part(&range, port);
        }
    }
    if ports.as_ref() == Some(&whole) {
        return;
    }
    let setting = found
        .imported_settings
        .get("passive.ports")
        .or_else(|| found.imported_settings.get("listen.0.port"));
    let Some(setting) = setting.cloned() else { return };
    let (from, to) = (whole.start(), whole.end());
    let Some(part) = ports else {
        let what = format!("the passive ports {from}-{to} are the listen port");
        return remove_setting(found, "passive.ports", &what);
    };
    if part.end() != whole.end() {
        // The note about the last port is obsolete.
        found.notes.retain(|note| !note.what.starts_with(LAST_PORT));
    }
    let part = format!("{}-{}", part.start(), part.end());
    let what = format!(
        "the passive ports {from}-{to} contain the listen port; imported is the \
         larger part, {part}"
    );
    found.changed(&setting.location, what, "better set a separate range: passive.ports");
    found.set_text("passive.ports", &part, &setting.location, &setting.word);
}

/// What remains of a range without one port of it: the part before or the part behind.
fn larger_part(range: &RangeInclusive<u16>, without: u16) -> Option<RangeInclusive<u16>> {
    let below = without.checked_sub(1).map(|end| *range.start()..=end);
    let above = without.checked_add(1).map(|start| start..=*range.end());
    let larger = below.into_iter().chain(above).max_by_key(ExactSizeIterator::len);
    larger.filter(|part| !part.is_empty())
}

/// Reports the TLS requirement, if the old configuration did not set one.
fn note_tls_policy(found: &mut ImportResult) {
    if !found.imported_settings.is_empty() && !found.imported_settings.contains_key("tls.require") {
        let what = "logins from outside of the local networks now require TLS";
        let hint = "for clients without TLS support: tls.require = \"off\"";
        found.note(NoteKind::Changed, None, what, hint);
    }
}

/// Checks passwords and homes of accounts.
fn resolve_accounts(found: &mut ImportResult) {
    let mut accounts = std::mem::take(&mut found.accounts);
    accounts.retain(|account| {
        let home = account.home.to_string_lossy();
        let has_home = !home.is_empty() && !home.starts_with('~');
        if !has_home {
            let name = account.name.escape_debug();
            let what = format!("account `{name}`: invalid home `{home}`");
            found.lost(&account.location, what, format!("wharf user add {name} --home DIR"));
        }
        has_home
    });
    for account in &mut accounts {
        settle_password(account, found);
        let name = account.name.escape_debug().to_string();
        if !account.home.is_dir() {
            let shown = account.home.display().to_string();
            let what = format!("account `{name}`: the home {shown} does not exist");
            let hint = if is_of_windows(&shown) && !account.home.is_absolute() {
                format!(
                    "it is a path of another operating system; set one:  wharf user edit {name} \
                     --home DIR"
                )
            } else {
                format!("create it before the account logs in:  mkdir -p '{shown}'")
            };
            found.note(NoteKind::Advice, Some(&account.location), what, hint);
        }
    }
    found.accounts = accounts;
}

/// Whether a path begins with a drive or a share of Windows.
fn is_of_windows(path: &str) -> bool {
    let mut letters = path.chars();
    let is_drive = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
        && letters.next() == Some(':');
    is_drive || path.starts_with("\\\\")
}

fn settle_password(account: &mut ImportedAccount, found: &mut ImportResult) {
    if let ImportedPassword::Plain(password) = &account.secret
        && let Err(failure) = check_password(password)
    {
        account.secret = ImportedPassword::None;
        let name = account.name.escape_debug();
        let what = format!("account `{name}`: invalid password: {}", failure.message);
        found.lost(&account.location, what, format!("wharf user passwd {name}"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wharf_config::keys::{ConfigKey, keys};

    use super::*;
    use crate::model::SourceLocation;

    fn found(imported_settings: &[(&str, Raw)]) -> ImportResult {
        let location = SourceLocation { file: "x".into(), line: 1 };
        let mut found = ImportResult::default();
        for (path, raw) in imported_settings {
            found.set(path, raw.clone(), &location, "word");
        }
        resolve(&mut found, Path::new("/"), &|_| Ok(()));
        found
    }

    fn text(text: &str) -> Raw {
        Raw::Text(text.into())
    }

    #[test]
    fn the_listen_port_is_excluded_from_a_range_and_the_larger_part_is_kept() {
        for (range, part) in [
            ("2000-2200", Some("2000-2120")),
            ("2100-2200", Some("2122-2200")),
            ("2121-2130", Some("2122-2130")),
            ("2121-2121", None),
            ("2122-2130", Some("2122-2130")),
        ] {
            let found =
                found(&[("listen.0.port", Raw::Integer(2121)), ("passive.ports", text(range))]);
            assert_eq!(found.text_of("passive.ports"), part, "{range}");
        }
        let found = found(&[("listen.0.port", Raw::Integer(30_500))]);
        assert_eq!(found.text_of("passive.ports"), Some("30000-30499"));
    }

    #[test]
    fn invalid_values_are_removed_and_reported() {
        let found = found(&[
            ("listen.0.address", text("ftp.example.com")),
            ("passive.ports", text("9-8")),
            ("login.anonymous", Raw::Boolean(true)),
            ("login.anonymous_home", text("/nowhere/at/all")),
            ("tls.certificate", text("/nowhere/at/all.pem")),
            ("log.file", text("/nowhere/at/all.log")),
            ("limits.connections", Raw::Integer(7)),
        ]);
        let keys: Vec<_> = found.imported_settings.keys().collect();
        assert_eq!(keys, ["limits.connections"]);
        let lost = found.notes.iter().filter(|note| note.kind == NoteKind::Lost);
        assert_eq!(lost.count(), 5, "{:?}", found.notes);
        assert!(load(&found, &[], Path::new("/")).is_valid());
    }

    #[test]
    fn of_logs_with_one_file_the_first_keeps_it() {
        let mut found = found(&[
            ("log.file", text("ftp.log")),
            ("log.transfer_log", text("/ftp.log")),
            ("log.audit_file", text("audit.log")),
        ]);
        resolve(&mut found, Path::new("/"), &|_| Ok(()));
        let left: Vec<_> = found.imported_settings.keys().map(String::as_str).collect();
        assert_eq!(left, ["log.audit_file", "log.file"]);
        let notes = format!("{:?}", found.notes);
        assert!(notes.contains("the server log and the transfer log cannot"), "{notes}");
    }

    #[test]
    fn an_account_without_a_folder_is_skipped() {
        let location = SourceLocation { file: "x".into(), line: 1 };
        let mut found = ImportResult::default();
        for (name, home) in [("anna", "/srv"), ("ben", ""), ("cleo", "~"), ("dora", "~/d")] {
            found.add(ImportedAccount::new(
                name,
                ImportedPassword::None,
                home.into(),
                location.clone(),
            ));
        }
        resolve(&mut found, Path::new("/"), &|_| Ok(()));
        assert_eq!(found.accounts.len(), 1);
    }

    fn raw() -> impl Strategy<Value = Raw> {
        prop_oneof![
            "[a-z0-9./-]{0,8}".prop_map(Raw::Text),
            "(20[0-9]{2}-21[0-9]{2}|all|login|off|utc|implicit|[0-9]{1,4}s|/)".prop_map(Raw::Text),
            (-1i64..70_000).prop_map(Raw::Integer),
            any::<bool>().prop_map(Raw::Boolean),
        ]
    }

    proptest! {
        #[test]
        fn whatever_was_found_the_result_is_sound(
            wanted in prop::collection::vec((any::<prop::sample::Index>(), raw()), 0..12),
            port in prop::option::of(2000i64..2200),
        ) {
            let known: Vec<_> = keys()
                .filter(|key| !["", "listen", "events", "webhook"].contains(&key.section))
                // The system user is not imported.
                .filter(|key| !["server.user", "server.group"].contains(&&*key.path()))
                .map(ConfigKey::path)
                .collect();
            let mut imported_settings: Vec<_> = wanted
                .iter()
                .map(|(index, raw)| (index.get(&known).as_str(), raw.clone()))
                .collect();
            imported_settings.extend(port.map(|port| ("listen.0.port", Raw::Integer(port))));
            let found = found(&imported_settings);
            let loaded = load(&found, &[], Path::new("/"));
            prop_assert!(loaded.is_valid(), "{:?}", loaded.problems);
        }
    }
}
