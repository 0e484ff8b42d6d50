//! Installs the service files, and controls the service manager of the system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wharf_config::outcome::{Exit, Failure, plain, print, print_error};
use wharf_runtime::accounts;
use wharf_runtime::os::{change_owner, is_administrator, private_folder};

use super::{ServiceSetup, launchd, systemd};
use crate::cli::GlobalArgs;
use crate::cli::service::{InstallArgs, ServiceFileKind};

const SERVICE: &str = "wharf.service";
/// The account that is created if it is missing.
const OWN_USER: &str = "wharf";

/// The kind of this system.
#[expect(clippy::unnecessary_wraps, reason = "Windows does not have service files")]
pub(super) fn own_kind() -> Option<ServiceFileKind> {
    Some(file_kind())
}

fn file_kind() -> ServiceFileKind {
    if std::env::consts::OS == "macos" {
        ServiceFileKind::Launchd
    } else {
        ServiceFileKind::Systemd
    }
}

/// Only Windows starts services in this way.
pub(super) fn serve(_global: &GlobalArgs) -> Result<Exit, Failure> {
    Err(Failure::usage(
        "this command is internal, started only by the Windows service control manager",
    )
    .hint("to serve:  wharf serve   to install a service:  wharf service install"))
}

/// Writes the unit, enables and starts it.
pub(super) fn install(setup: &ServiceSetup, options: &InstallArgs) -> Result<Exit, Failure> {
    let root = options.root.clone().unwrap_or_else(|| "/".into());
    let program = setup.program.display();
    let command = format!("{program} -c {} service install", setup.path.display());
    require_privileges(options.root.is_some(), &command)?;
    if options.firewall {
        print_error(&format!("open these ports in the firewall:\n{}", setup.openings().of_linux()));
    }
    let user = &options.account.user;
    let (place, text) = match file_kind() {
        ServiceFileKind::Launchd => {
            (launchd::PLIST, launchd::plist(&setup.program, &setup.path, user))
        }
        ServiceFileKind::Systemd | ServiceFileKind::Socket => {
            (systemd::UNIT, setup.unit(&options.account)?.text())
        }
    };
    let file = root.join(place);
    if file.exists() && !options.force {
        return Err(Failure::new(format!("file exists: {}", file.display()))
            .hint("replace it:  wharf service install --force"));
    }
    if file_kind() == ServiceFileKind::Launchd {
        return install_launchd(setup, &file, &text, options);
    }
    if user == OWN_USER {
        make_account(&root)?;
    }
    let owner = owner_of(&root, user)?;
    write(&file, &text)?;
    let notes = hand_over(setup, &root, user, owner);
    print_error(&format!("wrote {}\n", file.display()));
    for note in notes {
        print_error(&format!("warning: {note}\n"));
    }
    if options.root.is_some() {
        systemctl(&[&format!("--root={}", root.display()), "enable", SERVICE])?;
        return Ok(Exit::Done);
    }
    if !is_systemd_running() {
        print_error("systemd is not running; wharf will start at the next boot with systemd\n");
        systemctl(&["enable", SERVICE])?;
        return Ok(Exit::Done);
    }
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", SERVICE])?;
    if !options.no_start {
        systemctl(&["restart", SERVICE])?;
        print_error("wharf is running and starts at boot; to check:  wharf service status\n");
    }
    Ok(Exit::Done)
}

fn install_launchd(
    setup: &ServiceSetup,
    file: &Path,
    text: &str,
    options: &InstallArgs,
) -> Result<Exit, Failure> {
    let user = &options.account.user;
    let mut notes = Vec::new();
    if options.root.is_none() {
        let owner = match owner_on_mac(user) {
            Some(owner) => owner,
            None if user == OWN_USER => make_account_on_mac(user)?,
            None => {
                return Err(Failure::new(format!("unknown system account `{user}`"))
                    .hint("without --user, the account `wharf` is created"));
            }
        };
        notes = hand_over(setup, Path::new("/"), user, owner);
    } else if user == OWN_USER {
        notes.push(format!("the account `{user}` was not created: create it in the image"));
    }
    write(file, text)?;
    print_error(&format!("wrote {}\n", file.display()));
    for note in notes {
        print_error(&format!("warning: {note}\n"));
    }
    if options.root.is_none() && !options.no_start {
        run("launchctl", &["bootstrap", "system", &file.to_string_lossy()])?;
    }
    Ok(Exit::Done)
}

/// Stops the service and removes its files.
pub(super) fn uninstall(root: Option<&Path>) -> Result<Exit, Failure> {
    require_privileges(root.is_some(), "wharf service uninstall")?;
    let below = root.unwrap_or_else(|| Path::new("/"));
    let is_launchd = file_kind() == ServiceFileKind::Launchd;
    let file = below.join(if is_launchd { launchd::PLIST } else { systemd::UNIT });
    if !file.exists() {
        return Err(Failure::new(format!(
            "service is not installed: {} does not exist",
            file.display()
        ))
        .hint("install it:  wharf service install"));
    }
    match (root, is_launchd) {
        (None, true) => run("launchctl", &["bootout", "system", &file.to_string_lossy()])?,
        (Some(_), true) => {}
        (Some(_), false) => {
            systemctl(&[&format!("--root={}", below.display()), "disable", SERVICE])?;
        }
        (None, false) if Path::new("/run/systemd/system").is_dir() => {
            systemctl(&["disable", "--now", SERVICE])?;
        }
        (None, false) => systemctl(&["disable", SERVICE])?,
    }
    for file in [file, below.join(systemd::SYSUSERS)] {
        match fs::remove_file(&file) {
            Ok(()) => print_error(&format!("removed {}\n", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Failure::io(format!("cannot remove {}", file.display()), &error));
            }
        }
    }
    print_error("configuration, accounts and files were kept\n");
    Ok(Exit::Done)
}

pub(super) fn start() -> Result<Exit, Failure> {
    match file_kind() {
        ServiceFileKind::Launchd => run("launchctl", &["kickstart", LAUNCHD_SERVICE])?,
        ServiceFileKind::Systemd | ServiceFileKind::Socket => by_systemd("start")?,
    }
    Ok(Exit::Done)
}

pub(super) fn stop() -> Result<Exit, Failure> {
    match file_kind() {
        ServiceFileKind::Launchd => run("launchctl", &["kill", "SIGTERM", LAUNCHD_SERVICE])?,
        ServiceFileKind::Systemd | ServiceFileKind::Socket => by_systemd("stop")?,
    }
    Ok(Exit::Done)
}

const LAUNCHD_SERVICE: &str = "system/io.github.wharf-ftp.wharf";

/// Prints in one line whether it is installed and running; exit code 0 if it runs, 3 if not.
pub(super) fn status() -> Result<Exit, Failure> {
    let file = Path::new("/").join(match file_kind() {
        ServiceFileKind::Launchd => launchd::PLIST,
        ServiceFileKind::Systemd | ServiceFileKind::Socket => systemd::UNIT,
    });
    let is_packaged = Path::new("/lib/systemd/system").join(SERVICE).exists();
    if !file.exists() && !is_packaged {
        print("not installed; to install it:  wharf service install\n")?;
        return Ok(Exit::NotRunning);
    }
    let words: &[&str] = match file_kind() {
        ServiceFileKind::Launchd => &["launchctl", "print", LAUNCHD_SERVICE],
        ServiceFileKind::Systemd | ServiceFileKind::Socket => &["systemctl", "is-active", SERVICE],
    };
    let [program, arguments @ ..] = words else { return Ok(Exit::NotRunning) };
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| Failure::io(format!("cannot run {program}"), &error))?;
    if output.status.success() {
        print("installed and running\n")?;
        return Ok(Exit::Done);
    }
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let printed = if printed.is_empty() { "inactive".to_owned() } else { printed };
    print(&format!("installed, not running ({printed}); start it:  wharf service start\n"))?;
    Ok(Exit::NotRunning)
}

fn require_privileges(is_elsewhere: bool, command: &str) -> Result<(), Failure> {
    if is_elsewhere || is_administrator() {
        return Ok(());
    }
    Err(Failure {
        exit: Exit::Forbidden,
        ..Failure::new("permission denied: system services require root")
            .hint(format!("sudo {command}   (or print the file:  wharf service unit)"))
    })
}

/// Creates the account of the service with systemd, if it is missing.
fn make_account(root: &Path) -> Result<(), Failure> {
    let file = root.join(systemd::SYSUSERS);
    write(&file, &systemd::sysusers(OWN_USER))?;
    run("systemd-sysusers", &[&format!("--root={}", root.display()), &file.to_string_lossy()])
}

/// Creates the account of the service with its own group, and its home.
fn make_account_on_mac(user: &str) -> Result<(u32, u32), Failure> {
    let list = |record: &str, key: &str| output_of("dscl", &[".", "-list", record, key]);
    let (users, groups) = (list("/Users", "UniqueID")?, list("/Groups", "PrimaryGroupID")?);
    let number = launchd::free_number(&[&users, &groups]).ok_or_else(|| {
        Failure::new("cannot create the account: no free user id from 400 to 499")
    })?;
    for call in launchd::account(user, number) {
        run("dscl", &call.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    let home = Path::new(launchd::HOME);
    let failed = |error| Failure::io(format!("cannot create {}", home.display()), &error);
    private_folder(home).and_then(|()| change_owner(home, (number, number))).map_err(failed)?;
    Ok((number, number))
}

/// User and group id of an account, if it exists.
fn owner_on_mac(user: &str) -> Option<(u32, u32)> {
    let number = |what| output_of("id", &[what, user]).ok()?.trim().parse().ok();
    Some((number("-u")?, number("-g")?))
}

/// User and group id of an account, from the list of the system.
fn owner_of(root: &Path, user: &str) -> Result<(u32, u32), Failure> {
    let list = fs::read_to_string(root.join("etc/passwd")).unwrap_or_default();
    let own = |text: &str| numbers(text, user);
    if let Some(found) = own(&list) {
        return Ok(found);
    }
    let entry = Command::new("getent").args(["passwd", user]).output();
    let entry = entry.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    entry.ok().as_deref().and_then(own).ok_or_else(|| {
        Failure::new(format!("unknown system account `{user}`")).hint(format!(
            "create it:  useradd --system {user}   (without --user, the account `wharf` is created)"
        ))
    })
}

/// Parses lines of `/etc/passwd`.
fn numbers(list: &str, user: &str) -> Option<(u32, u32)> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then_some(())?;
        let (id, group) = (fields.nth(1)?, fields.next()?);
        Some((id.parse().ok()?, group.parse().ok()?))
    })
}

/// Makes the service user the owner of the accounts file, in which it renews hashes, and returns
/// warnings about missing permissions.
fn hand_over(setup: &ServiceSetup, root: &Path, user: &str, owner: (u32, u32)) -> Vec<String> {
    let mut notes = Vec::new();
    let users_file = accounts::file(&setup.config);
    let own_folder = Path::new("/etc/wharf");
    let folder = users_file.and_then(Path::parent).filter(|folder| *folder == own_folder);
    let lock = users_file.map(wharf_users::file::lock_file);
    for path in [users_file, lock.as_deref(), folder].into_iter().flatten() {
        let path = below(root, path);
        if path.exists()
            && let Err(error) = change_owner(&path, owner)
        {
            notes.push(format!("cannot change the owner of {}: {}", path.display(), plain(&error)));
        }
    }
    for (used, home) in &setup.homes {
        if !wharf_runtime::os::may_write(&below(root, home), owner) {
            let (name, home) = (used.account(), home.display());
            notes.push(format!(
                "the service user {user} cannot write to {home} of {name}; to fix it: \
                 chown -R {user} '{home}'"
            ));
        }
    }
    notes
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Writes a world-readable file atomically.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::io(format!("cannot write {}", file.display()), &error);
    let fresh = file.with_extension("new");
    file.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, file)).map_err(failed)
}

/// Starts or stops the service.
fn by_systemd(action: &str) -> Result<(), Failure> {
    if !is_systemd_running() {
        return Err(Failure::new(format!("cannot {action} the service: systemd is not running"))
            .hint("run wharf in the foreground:  wharf serve"));
    }
    systemctl(&[action, SERVICE])
}

fn is_systemd_running() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn systemctl(arguments: &[&str]) -> Result<(), Failure> {
    run("systemctl", arguments)
}

/// The output of a system program.
fn output_of(program: &str, arguments: &[&str]) -> Result<String, Failure> {
    let failed = |error| Failure::io(format!("cannot run {program}"), &error);
    let output = Command::new(program).args(arguments).output().map_err(failed)?;
    if !output.status.success() {
        let printed = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Failure::new(format!("{program} {} failed: {printed}", arguments.join(" "))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a system program; its output is part of the error.
fn run(program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let line = format!("{program} {}", arguments.join(" "));
    let output = Command::new(program).args(arguments).output().map_err(|error| {
        Failure::io(format!("cannot run {line}"), &error)
            .hint("this system has another service manager; wharf service unit prints a template")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::new(format!("{line} failed: {printed}"))
        .hint("see the log of the service:  journalctl -u wharf -n 20"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_accounts_is_read_by_name_alone() {
        let list = "root:x:0:0::/root:/bin/sh\nwharfish:x:1:1::/:/\nwharf:x:998:997::/:/\nhalf:x\n";
        assert_eq!(numbers(list, "wharf"), Some((998, 997)));
        assert_eq!(numbers(list, "half"), None);
        assert_eq!(numbers(list, "nobody"), None);
    }
}
