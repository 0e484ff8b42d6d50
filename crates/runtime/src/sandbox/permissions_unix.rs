//! Unix: checks whether other users may change files that this server relies on.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use wharf_config::Config;
use wharf_config::outcome::{Exit, Failure};

use super::reach::log_files;
use crate::accounts;
use crate::os::only_root_changes;

/// A problem with the permissions of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionFinding {
    what: String,
    hint: String,
    severity: PermissionSeverity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PermissionSeverity {
    /// Informational.
    Info,
    /// Any user of this computer can misuse it.
    Warning,
    /// wharf does not start.
    Fatal,
}

impl PermissionFinding {
    /// Whether it is reported at the start.
    pub fn is_warning(&self) -> bool {
        self.severity >= PermissionSeverity::Warning
    }

    /// One line, with the hint.
    pub(crate) fn described(&self) -> String {
        format!("{}: {}", self.what, self.hint)
    }

    /// The problem.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// How to fix it.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

/// The write permission of other users.
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
/// The sticky bit: users cannot remove or rename files of other users.
const STICKY: u32 = 0o1000;

/// Rejects files that any user could use against the server.
///
/// # Errors
/// `ConfigInvalid`, with the command that fixes the first problem.
pub fn reject_insecure(config: &Config, file: Option<&Path>) -> Result<(), Failure> {
    let findings = of_config(config, file);
    match findings.into_iter().find(|finding| finding.severity == PermissionSeverity::Fatal) {
        None => Ok(()),
        Some(finding) => {
            Err(Failure { exit: Exit::ConfigInvalid, ..Failure::new(finding.what) }
                .hint(finding.hint))
        }
    }
}

/// Checks configuration, state and logs. Certificates and accounts are checked where they are read.
pub fn of_config(config: &Config, file: Option<&Path>) -> Vec<PermissionFinding> {
    let mut findings = Vec::new();
    if let Some((path, facts)) = file.and_then(facts) {
        findings.extend(of_config_file(config, &path, &facts));
    }
    if let Some((path, facts)) = facts(config.state_folder()) {
        let shown = path.display();
        let mode = mode(&facts);
        let is_writable = mode & (OTHERS_WRITE | GROUP_WRITES) != 0;
        if is_writable || mode & 0o077 != 0 {
            let access = if is_writable { "writable" } else { "readable" };
            findings.push(PermissionFinding {
                what: format!(
                    "the state folder {shown} is {access} by other users (mode {mode:04o})"
                ),
                hint: format!("chmod 700 '{shown}'"),
                severity: if is_writable {
                    PermissionSeverity::Fatal
                } else {
                    PermissionSeverity::Info
                },
            });
        }
    }
    let users_file = accounts::file(config).map(Path::to_path_buf);
    for path in users_file.iter().chain(config.tls.private_key.0.as_ref()) {
        findings.extend(facts(path).and_then(|(path, facts)| foreign_owner(&path, &facts)));
    }
    findings.extend(config.login_secret_files().filter_map(facts).filter_map(open_secret));
    let programs = config.events.programs().into_iter();
    let programs: BTreeSet<_> = programs.filter_map(|(_, line)| line.0.first()).collect();
    for (path, facts) in programs.into_iter().filter_map(facts) {
        let mode = mode(&facts);
        if mode & OTHERS_WRITE != 0 {
            let shown = path.display();
            findings.push(PermissionFinding {
                what: format!("the program {shown}, which wharf starts, is writable by all users"),
                hint: format!("chmod o-w '{shown}'"),
                severity: PermissionSeverity::Fatal,
            });
        }
    }
    for (path, facts) in log_files(config).iter().filter_map(facts) {
        let mode = mode(&facts);
        if facts.is_file() && mode & OTHERS_WRITE != 0 {
            let shown = path.display();
            findings.push(PermissionFinding {
                what: format!("the log {shown} is writable by all users (mode {mode:04o})"),
                hint: format!("chmod o-w '{shown}'"),
                severity: PermissionSeverity::Warning,
            });
        }
    }
    findings
}

fn of_config_file(config: &Config, path: &Path, facts: &Metadata) -> Vec<PermissionFinding> {
    let mut findings = Vec::new();
    let shown = path.display();
    let mode = mode(facts);
    if mode & OTHERS_WRITE != 0 {
        findings.push(PermissionFinding {
            what: format!(
                "the configuration file {shown} is writable by all users (mode {mode:04o})"
            ),
            hint: format!("chmod o-w '{shown}'"),
            severity: PermissionSeverity::Fatal,
        });
    } else if mode & GROUP_WRITES != 0 {
        findings.push(PermissionFinding {
            what: format!(
                "the configuration file {shown} is writable by its group (mode {mode:04o})"
            ),
            hint: format!("chmod g-w '{shown}', unless all its members may administer this server"),
            severity: PermissionSeverity::Info,
        });
    }
    findings.extend(foreign_owner(path, facts));
    let is_exposed = !config.server.user.is_empty() && only_root_changes(path).is_err();
    if is_exposed {
        findings.push(PermissionFinding {
            what: format!("another user than root may change {shown} or a folder above it"),
            hint: "make it owned by root: else a server that has dropped root's privileges could \
                     regain them, so wharf reload --binary rejects it; keep users.toml in a \
                     separate folder"
                .to_owned(),
            severity: PermissionSeverity::Warning,
        });
    }
    findings
}

/// Checks whether other users may replace a home.
pub fn of_home(home: &Path) -> Vec<PermissionFinding> {
    let Ok(home) = fs::canonicalize(home) else { return Vec::new() };
    let mut findings = Vec::new();
    for folder in home.ancestors() {
        let Ok(facts) = fs::metadata(folder) else { continue };
        let mode = mode(&facts);
        if mode & OTHERS_WRITE == 0 || mode & STICKY != 0 {
            continue;
        }
        let shown = folder.display();
        let what = if folder == home {
            format!("{shown} is writable by all users of this computer (mode {mode:04o})")
        } else {
            let home = home.display();
            format!("any user may replace {home}: {shown} is world-writable")
        };
        let hint = format!("chmod o-w '{shown}'");
        findings.push(PermissionFinding { what, hint, severity: PermissionSeverity::Warning });
    }
    if let Ok(facts) = fs::metadata(&home) {
        findings.extend(foreign_owner(&home, &facts));
    }
    findings
}

/// Checks that the server's user can read the accounts file, with the command that fixes it.
///
/// # Errors
/// It cannot be read.
pub(crate) fn readable_by(name: &str, users_file: &Path) -> Result<(), Failure> {
    match File::open(users_file) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let shown = users_file.display();
            let message = format!("server.user {name} cannot read {shown}");
            let hint = format!("change its owner:  chown {name} '{shown}'");
            Err(Failure { exit: Exit::Forbidden, ..Failure::new(message) }.hint(hint))
        }
        _ => Ok(()),
    }
}

fn foreign_owner(path: &Path, facts: &Metadata) -> Option<PermissionFinding> {
    let owner = facts.uid();
    let is_ours = owner == 0 || owner == geteuid().as_raw();
    (!is_ours).then(|| PermissionFinding {
        what: format!("{} belongs to another user (UID {owner})", path.display()),
        hint: format!(
            "that user can change it; to prevent this:  chown {} '{}'",
            super::identity::current_name(),
            path.display()
        ),
        severity: PermissionSeverity::Info,
    })
}

/// A file with one of our passwords that other users may read or change.
fn open_secret((path, facts): (PathBuf, Metadata)) -> Option<PermissionFinding> {
    let (shown, mode) = (path.display(), mode(&facts));
    (facts.is_file() && mode & 0o077 != 0).then(|| PermissionFinding {
        what: format!("the secret in {shown} is accessible to other users (mode {mode:04o})"),
        hint: format!("chmod 600 '{shown}'"),
        // Another program may need access through a dedicated group.
        severity: if mode & 0o027 == 0 {
            PermissionSeverity::Info
        } else {
            PermissionSeverity::Fatal
        },
    })
}

fn facts(path: impl AsRef<Path>) -> Option<(PathBuf, Metadata)> {
    let path = path.as_ref();
    fs::metadata(path).ok().map(|facts| (path.to_owned(), facts))
}

fn mode(facts: &Metadata) -> u32 {
    facts.permissions().mode() & 0o7777
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn row_29_world_writable_homes_are_reported_but_sticky_folders_are_not() {
        let top = tempfile::tempdir().unwrap();
        let home = top.path().join("share/home");
        fs::create_dir_all(&home).unwrap();
        assert_eq!(of_home(&home), []);
        for (folder, mode, is_reported) in [
            ("share/home", 0o777, true),
            ("share/home", 0o1777, false),
            ("share/home", 0o775, false),
            ("share", 0o777, true),
            ("share", 0o1777, false),
        ] {
            let folder = top.path().join(folder);
            set(&folder, mode);
            let grave = of_home(&home).iter().any(PermissionFinding::is_warning);
            assert_eq!(grave, is_reported, "{} {mode:o}", folder.display());
            set(&folder, 0o755);
        }
    }
}
