//! Converts options to settings of an account or a group.

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use wharf_config::outcome::{Failure, print_error};
use wharf_core::account::{Count, Rate, Size};
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;
use wharf_users::file::{Cleared, FolderRecord, KEYS, Setting, network_fault, parse_network};
use wharf_users::hours::{Expiry, Hours, InvalidTime};
use wharf_users::nearest::nearest;
use wharf_users::permissions::{InvalidPermissions, parse_permissions};
use wharf_users::units::{UnitError, parse_quota, parse_rate};

use crate::cli::group::GroupArgs;
use crate::cli::mistake::reason;
use crate::cli::user::{AccountArgs, SettingArgs};

/// Changes to an account or group.
#[derive(Debug, Default)]
pub(super) struct SettingChanges {
    /// Settings to write.
    pub(super) settings: Vec<Setting>,
    /// Settings to remove.
    pub(super) cleared: Vec<Cleared>,
}

impl SettingChanges {
    /// The changes given by the options of an account.
    pub(super) fn of(facts: &AccountArgs) -> Result<Self, Failure> {
        let mut change = Self::default();
        change.home(facts.home.as_deref())?;
        if let Some(names) = listed(&facts.groups) {
            change.settings.push(Setting::Groups(names.map(str::to_owned).collect()));
        }
        change.settings.extend(facts.no_password.map(Setting::NoPassword));
        change.common(&facts.common)?;
        Ok(change)
    }

    /// The changes given by the options of a group.
    pub(super) fn of_group(facts: &GroupArgs) -> Result<Self, Failure> {
        let mut change = Self::default();
        change.home(facts.home.as_deref().map(Path::new))?;
        change.common(&facts.common)?;
        Ok(change)
    }

    /// Whether there are no changes.
    pub(super) fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.cleared.is_empty()
    }

    /// Prints a note for folders that do not exist.
    pub(super) fn note_missing(&self) {
        for setting in &self.settings {
            if let Setting::Folder(folder) = setting
                && !folder.target.is_dir()
            {
                let (path, target) = (&folder.path, folder.target.display());
                print_error(&format!(
                    "note: folder not found: {target}; {path} is hidden until it exists\n"
                ));
            }
        }
    }

    fn home(&mut self, home: Option<&Path>) -> Result<(), Failure> {
        if let Some(home) = home {
            self.settings.push(Setting::Home(whole("--home", home)?));
        }
        Ok(())
    }

    fn common(&mut self, facts: &SettingArgs) -> Result<(), Failure> {
        let settings = &mut self.settings;
        if let Some(permissions) = &facts.permissions {
            settings.push(Setting::Permissions(permissions_of("--permissions", permissions)?));
        }
        if let Some(rate) = &facts.upload_rate {
            settings.push(Setting::UploadRate(rate_of("--upload-rate", rate)?));
        }
        if let Some(rate) = &facts.download_rate {
            settings.push(Setting::DownloadRate(rate_of("--download-rate", rate)?));
        }
        if let Some(sessions) = facts.sessions {
            settings.push(Setting::Sessions(Count::from_number(sessions)));
        }
        if let Some(quota) = &facts.quota {
            settings.push(Setting::Quota(size_of("--quota", quota)?));
        }
        if let Some(files) = facts.quota_files {
            settings.push(Setting::QuotaFiles(Count::from_number(files)));
        }
        if let Some(is_required) = facts.require_tls {
            settings.push(Setting::RequireTls(is_required));
        }
        if let Some(comment) = &facts.comment {
            settings.push(Setting::Comment(comment.clone()));
        }
        self.times(facts)?;
        self.entries(facts)?;
        for key in &facts.unset {
            self.cleared.push(Cleared::Key(known_key(key)?));
        }
        Ok(())
    }

    /// Allowed addresses, hours and expiry.
    fn times(&mut self, facts: &SettingArgs) -> Result<(), Failure> {
        if let Some(networks) = listed(&facts.allowed_addresses) {
            let networks: Vec<_> = networks.map(network).collect::<Result<_, _>>()?;
            self.settings.push(Setting::AllowedAddresses(networks));
        }
        if let Some(windows) = listed(&facts.hours) {
            let windows: Vec<_> = windows.collect();
            if windows.is_empty() {
                self.cleared.push(Cleared::Key("hours"));
            } else {
                let hours = Hours::parse(windows).map_err(|bad| invalid_time("--hours", &bad))?;
                self.settings.push(Setting::Hours(hours));
            }
        }
        match facts.expires.as_deref() {
            None => {}
            Some("") => self.cleared.push(Cleared::Key("expires")),
            Some(text) => {
                let expiry = Expiry::parse(text).map_err(|bad| invalid_time("--expires", &bad))?;
                self.settings.push(Setting::Expires(expiry));
            }
        }
        Ok(())
    }

    /// Permissions of paths, and virtual folders.
    fn entries(&mut self, facts: &SettingArgs) -> Result<(), Failure> {
        for text in &facts.paths {
            let (path, permissions) = text.rsplit_once('=').ok_or_else(|| {
                Failure::usage(format!("invalid --path `{text}`: expected PATH=PERMISSIONS"))
                    .hint("write it as in --path /incoming=upload")
            })?;
            let path = virtual_path("--path", path)?;
            if permissions.is_empty() {
                self.cleared.push(Cleared::Entry("paths", path));
            } else {
                self.settings.push(Setting::Path(path, permissions_of("--path", permissions)?));
            }
        }
        for text in &facts.folders {
            let (path, rest) = text.split_once('=').ok_or_else(|| {
                Failure::usage(format!("invalid --folder `{text}`: expected PATH=FOLDER"))
                    .hint("write it as in --folder /music=/srv/music:read")
            })?;
            let path = virtual_path("--folder", path)?;
            if rest.is_empty() {
                self.cleared.push(Cleared::Entry("folders", path));
            } else {
                self.settings.push(Setting::Folder(folder(path, rest)?));
            }
        }
        Ok(())
    }
}

/// The values of a repeatable option; none if it was not given, and an empty list if one of them is
/// empty.
fn listed(values: &[String]) -> Option<impl Iterator<Item = &str>> {
    let is_none = values.iter().any(String::is_empty);
    let count = if is_none { 0 } else { values.len() };
    (!values.is_empty()).then(|| values.iter().take(count).map(String::as_str))
}

/// `DIR[:P][:quota=SIZE][:quota_files=N]`. A part with a slash belongs to the path of the folder,
/// as in `C:\music`.
fn folder(path: VPath, text: &str) -> Result<FolderRecord, Failure> {
    let mut folder = FolderRecord {
        path,
        target: PathBuf::new(),
        permissions: None,
        quota: None,
        quota_files: None,
    };
    let mut rest = text;
    while let Some((before, part)) =
        rest.rsplit_once(':').filter(|(_, part)| !part.contains(['/', '\\']))
    {
        if let Some(size) = part.strip_prefix("quota=") {
            folder.quota = Some(size_of("--folder: quota", size)?);
        } else if let Some(files) = part.strip_prefix("quota_files=") {
            let count = files.parse().map(Count::from_number).map_err(|_| {
                Failure::usage(format!(
                    "invalid --folder: quota_files `{files}` is not a whole number"
                ))
            })?;
            folder.quota_files = Some(count);
        } else {
            folder.permissions = Some(permissions_of("--folder", part)?);
        }
        rest = before;
    }
    if rest.is_empty() {
        return Err(Failure::usage(format!("invalid --folder `{text}`: the folder is missing"))
            .hint("write it as in --folder /music=/srv/music:read"));
    }
    folder.target = whole("--folder", Path::new(rest))?;
    Ok(folder)
}

fn whole(option: &str, path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::io(format!("{option} {}", path.display()), &error))
}

/// A key that can be removed. The password cannot; to prevent logins, use `disable`.
fn known_key(text: &str) -> Result<&'static str, Failure> {
    let known = || KEYS.iter().copied().filter(|key| *key != "password");
    known().find(|key| *key == text).ok_or_else(|| {
        let failure = Failure::usage(format!("invalid --unset `{text}`: unknown key"));
        match nearest(text, known()) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint(known().collect::<Vec<_>>().join(", ")),
        }
    })
}

/// The home of a new account.
pub(super) struct NewHome {
    pub(super) path: PathBuf,
    /// The group that sets it; none if the option `--home` does.
    pub(super) group: Option<String>,
}

/// Rejects a home that is missing and is not to be created.
pub(super) fn check_home(home: &NewHome, is_made: bool) -> Result<(), Failure> {
    let shown = home.path.display();
    let invalid = |reason: &str| match &home.group {
        None => Failure::new(format!("invalid --home `{shown}`: {reason}")),
        Some(group) => Failure::new(format!("{reason}: {shown} (home, from group `{group}`)")),
    };
    match std::fs::metadata(&home.path) {
        _ if is_made => Ok(()),
        Ok(facts) if facts.is_dir() => Ok(()),
        Ok(_) => Err(invalid("not a folder").hint("name the folder of the files of the account")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(invalid("folder not found").hint("to create it, add --create-home"))
        }
        Err(error) if home.group.is_none() => Err(Failure::io(format!("--home {shown}"), &error)),
        Err(error) => Err(Failure::io(format!("cannot access {shown}"), &error)),
    }
}

/// Creates a home.
pub(super) fn make_home(home: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(home)
        .map_err(|error| Failure::io(format!("cannot create {}", home.display()), &error))
}

fn network(text: &str) -> Result<IpNet, Failure> {
    parse_network(text).ok_or_else(|| {
        Failure::usage(format!("invalid --allowed-address `{text}`: {}", network_fault(text)))
            .hint("write an address or a network, such as 192.0.2.7 or 10.0.0.0/8")
    })
}

fn permissions_of(option: &str, text: &str) -> Result<Permissions, Failure> {
    let wrong = |bad: InvalidPermissions| {
        let why = reason(&bad.message(), text);
        Failure::usage(format!("invalid {option} `{text}`: {why}")).hint(bad.hint())
    };
    parse_permissions(text).map_err(wrong)
}

fn rate_of(option: &str, text: &str) -> Result<Rate, Failure> {
    parse_rate(text).map_err(|error| invalid_unit(option, text, &error))
}

fn size_of(option: &str, text: &str) -> Result<Size, Failure> {
    parse_quota(text).map_err(|error| invalid_unit(option, text, &error))
}

fn invalid_unit(option: &str, text: &str, error: &UnitError) -> Failure {
    Failure::usage(format!("invalid {option} `{text}`: {}", error.reason())).hint(error.hint())
}

/// The error of a time.
fn invalid_time(option: &str, error: &InvalidTime) -> Failure {
    let why = error.reason();
    let why =
        why.strip_prefix("invalid date ").or_else(|| why.strip_prefix("invalid time window "));
    let failure = Failure::usage(why.map_or_else(
        || format!("invalid {option}: {}", error.reason()),
        |why| format!("invalid {option} {why}"),
    ));
    Failure { hint: error.hint(), ..failure }
}

fn virtual_path(option: &str, text: &str) -> Result<VPath, Failure> {
    let shown = text.escape_debug();
    if !text.starts_with('/') {
        return Err(Failure::usage(format!(
            "invalid {option} `{shown}`: the path must begin with a slash"
        ))
        .hint("use the path that clients see: / is the home of the account"));
    }
    match VPath::root().resolve(text.as_bytes()) {
        Ok(path) if path.is_root() => {
            Err(Failure::usage(format!("invalid {option} `{shown}`: it is the home itself"))
                .hint("for the home use --permissions and --home"))
        }
        Ok(path) => Ok(path),
        Err(_) => Err(Failure::usage(format!("invalid {option} `{shown}`: not a valid path"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<FolderRecord, Failure> {
        folder(VPath::root().resolve(b"/a").unwrap(), text)
    }

    #[test]
    fn a_folder_is_read_with_its_permissions_and_quota() {
        let plain = read("/srv/a").unwrap();
        assert_eq!((plain.target, plain.permissions), ("/srv/a".into(), None));
        let odd = read("/srv/a:b/c").unwrap();
        assert_eq!(odd.target, Path::new("/srv/a:b/c"));
        let whole = read("/srv/a:list,read:quota=5GiB:quota_files=7").unwrap();
        assert_eq!(whole.target, Path::new("/srv/a"));
        assert_eq!(whole.permissions, Permissions::parse("list,read").ok());
        assert_eq!(whole.quota, Some(Size::from_bytes(5 << 30)));
        assert_eq!(whole.quota_files, Some(Count::from_number(7)));
        for wrong in ["/srv/a:raed", "/srv/a:quota=5Gb", "/srv/a:quota_files=x", ":read"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_empty_value_takes_a_list_away() {
        let change = |common: SettingArgs| {
            SettingChanges::of(&AccountArgs { common, ..AccountArgs::default() }).unwrap()
        };
        let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (allowed_addresses, hours) = (texts(&[""]), texts(&[""]));
        let expires = Some(String::new());
        let cleared =
            change(SettingArgs { allowed_addresses, hours, expires, ..SettingArgs::default() });
        assert_eq!(cleared.settings, [Setting::AllowedAddresses(Vec::new())]);
        assert_eq!(cleared.cleared, [Cleared::Key("hours"), Cleared::Key("expires")]);
        let unset = change(SettingArgs { unset: texts(&["quota"]), ..SettingArgs::default() });
        assert_eq!(unset.cleared, [Cleared::Key("quota")]);
        for wrong in ["qouta", "password"] {
            let common = SettingArgs { unset: texts(&[wrong]), ..SettingArgs::default() };
            assert!(
                SettingChanges::of(&AccountArgs { common, ..AccountArgs::default() }).is_err(),
                "{wrong}"
            );
        }
    }
}
