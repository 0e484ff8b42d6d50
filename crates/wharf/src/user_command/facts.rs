//! What options say of an account, as settings of its table.

use std::path::Path;

use wharf_core::account::Count;
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;
use wharf_users::file::Setting;
use wharf_users::rights::{BadRights, parse_rights};
use wharf_users::units::{parse_quota, parse_rate};

use crate::cli::user::Facts;
use crate::outcome::Failure;

/// What is to be done to an account's table.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// What it is to say.
    pub(super) settings: Vec<Setting>,
    /// Paths whose own rights are taken away.
    pub(super) cleared_paths: Vec<VPath>,
}

impl Change {
    /// What the options ask for.
    pub(super) fn of(facts: &Facts) -> Result<Self, Failure> {
        let mut change = Self::default();
        let settings = &mut change.settings;
        if let Some(home) = &facts.home {
            let whole = std::path::absolute(home)
                .map_err(|error| Failure::io(format!("--home {}", home.display()), &error))?;
            settings.push(Setting::Home(whole));
        }
        if let Some(rights) = &facts.perm {
            settings.push(Setting::Permissions(rights_of("--perm", rights)?));
        }
        if let Some(rate) = &facts.up {
            settings.push(Setting::UploadRate(rate_of("--up", rate)?));
        }
        if let Some(rate) = &facts.down {
            settings.push(Setting::DownloadRate(rate_of("--down", rate)?));
        }
        if let Some(sessions) = facts.sessions {
            settings.push(Setting::Sessions(Count::from_number(sessions)));
        }
        if let Some(quota) = &facts.quota {
            let size = parse_quota(quota)
                .map_err(|error| Failure::usage(format!("--quota {quota}: {error}")))?;
            settings.push(Setting::Quota(size));
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
        for path in &facts.paths {
            let (path, rights) = path.rsplit_once('=').ok_or_else(|| {
                Failure::usage(format!("--path {path}: write PATH=RIGHTS"))
                    .help("such as --path /incoming=upload")
            })?;
            let path = virtual_path(path)?;
            if rights.is_empty() {
                change.cleared_paths.push(path);
            } else {
                settings.push(Setting::Path(path, rights_of("--path", rights)?));
            }
        }
        Ok(change)
    }
}

/// Refuses a folder that is missing and is not to be made.
pub(super) fn check_home(facts: &Facts) -> Result<(), Failure> {
    match &facts.home {
        None if facts.create_home => Err(Failure::usage("--create-home needs --home DIR")),
        Some(home) if !facts.create_home => require_folder(home),
        _ => Ok(()),
    }
}

/// Makes the account's folder if that was asked for.
pub(super) fn make_home(facts: &Facts) -> Result<(), Failure> {
    match &facts.home {
        Some(home) if facts.create_home => std::fs::create_dir_all(home)
            .map_err(|error| Failure::io(format!("cannot make {}", home.display()), &error)),
        _ => Ok(()),
    }
}

fn require_folder(home: &Path) -> Result<(), Failure> {
    let shown = home.display();
    match std::fs::metadata(home) {
        Ok(facts) if facts.is_dir() => Ok(()),
        Ok(_) => Err(Failure::new(format!("--home {shown}: this is a file, not a folder"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("--home {shown}: there is no such folder"))
                .help("add --create-home to have it made"))
        }
        Err(error) => Err(Failure::io(format!("--home {shown}"), &error)),
    }
}

fn rights_of(option: &str, text: &str) -> Result<Permissions, Failure> {
    let wrong = |bad: BadRights| {
        Failure::usage(format!("{option} {text}: {}", bad.message())).help(bad.help())
    };
    parse_rights(text).map_err(wrong)
}

fn rate_of(option: &str, text: &str) -> Result<wharf_core::account::Rate, Failure> {
    parse_rate(text).map_err(|error| Failure::usage(format!("{option} {text}: {error}")))
}

fn virtual_path(text: &str) -> Result<VPath, Failure> {
    let shown = text.escape_debug();
    if !text.starts_with('/') {
        return Err(Failure::usage(format!("--path {shown}: a path begins with a slash"))
            .help("it is a path as clients see it: / is the account's home"));
    }
    VPath::root()
        .resolve(text.as_bytes())
        .map_err(|_| Failure::usage(format!("--path {shown}: this cannot be a path")))
}
