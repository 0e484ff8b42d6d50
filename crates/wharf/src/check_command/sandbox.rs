//! The subject `sandbox`: system user, sandbox, and permissions of files.

use std::collections::BTreeSet;
use std::path::PathBuf;

use wharf_config::choice::{Durability, Sandbox, Symlinks};
use wharf_config::outcome::Failure;
use wharf_runtime::logins;
use wharf_runtime::sandbox::identity::{current_name, is_root};
use wharf_runtime::sandbox::own_files::{MOVE, beneath, own_files, server_files, within};
use wharf_runtime::sandbox::reach::AccessPolicy;
use wharf_runtime::sandbox::{SandboxStatus, permissions, rehearse, system};

use super::page::CheckPage;
use super::{Subjects, homes};

pub(super) fn inspect(subjects: &Subjects<'_>, page: &mut CheckPage) -> Result<(), Failure> {
    let config = subjects.config;
    inspect_user(subjects, page)?;
    let (homes, reached) = homes(subjects)?;
    let homes: Vec<_> = homes.into_iter().map(|(_, home)| home).collect();
    let reach = AccessPolicy::of(config, &homes, &reached);
    let reach = logins::extend(reach, config);
    let report = rehearse(config.server.sandbox, &reach)?;
    for (name, part) in report.parts() {
        page.row(name, &part.described());
    }
    let open = [("files", &report.files), ("system calls", &report.calls)];
    for (what, part) in open {
        if let SandboxStatus::Off(why) = part {
            let hint = match config.server.sandbox {
                Sandbox::Off => "write sandbox = \"auto\" in [server]",
                _ if config.files.follow_symlinks == Symlinks::Always => {
                    "write follow_symlinks = \"inside\" in [files]"
                }
                _ => "use Linux 5.19 or newer with Landlock and seccomp",
            };
            page.warn(format!("access to {what} is not restricted: {why}"), hint);
        }
    }
    page.row(
        "paths",
        if system::has_openat2() {
            "restricted to each home by the kernel (openat2)"
        } else {
            "restricted to each home by resolving links in wharf; openat2 is not available"
        },
    );
    page.row(
        "uploads",
        match config.files.durability {
            Durability::Full => "synced to disk before they are confirmed",
            Durability::Fast => {
                "atomic, but not synced before they are confirmed (files.durability)"
            }
        },
    );
    let umask = config.files.umask.0;
    page.row("new files", &format!("{:04o}, folders {:04o}", 0o666 & !umask, 0o777 & !umask));
    if umask & 0o002 == 0 {
        let what = "uploaded files are writable by all users of this computer (files.umask)";
        page.warn(what, "write umask = \"022\" in [files]");
    }
    inspect_own_files(subjects, &homes, page);
    page.found(permissions::of_config(config, subjects.file.as_deref()));
    for home in &homes {
        page.found(permissions::of_home(home));
    }
    Ok(())
}

/// Reports wharf's own files inside homes.
fn inspect_own_files(subjects: &Subjects<'_>, homes: &[PathBuf], page: &mut CheckPage) {
    let (config, file) = (subjects.config, subjects.file.as_deref());
    let own = own_files(config, file, &[], homes);
    let files = server_files(config, file, &[], homes);
    let homes: BTreeSet<_> = homes.iter().chain(&config.server.homes.0).collect();
    for home in homes {
        if let Some(around) = files.folder_around(home) {
            page.warn(within(home, &around), MOVE);
            continue;
        }
        for own in beneath(&own, &files, home) {
            let (what, path, home) = (own.what, own.path.display(), home.display());
            page.warn(format!("{what} {path} is inside the home {home}"), own.hint());
        }
    }
}

fn inspect_user(subjects: &Subjects<'_>, page: &mut CheckPage) -> Result<(), Failure> {
    match subjects.identity()? {
        Some(identity) => page.row("user", &format!("switches to {} permanently", identity.name())),
        None => page.row("user", &format!("runs as {}", current_name())),
    }
    if is_root() && subjects.config.server.user.is_empty() {
        let hint = "create a system user for it and set server.user";
        page.warn("the server would run as root", hint);
    }
    Ok(())
}
