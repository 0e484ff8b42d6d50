//! `wharf service`: runs wharf as a system service.
//!
//! [`systemd`] and [`launchd`] generate the files; [`manager`] installs them and controls the
//! service manager of the system, with another implementation for Windows; [`firewall`] generates
//! firewall rules.

#[cfg_attr(not(test), expect(dead_code, reason = "each system has its own service manager"))]
mod firewall;
#[cfg_attr(windows, expect(dead_code, reason = "paths of other systems"))]
mod launchd;
#[cfg(not(windows))]
mod manager;
#[cfg(windows)]
#[path = "service_command/manager_windows.rs"]
mod manager;
#[cfg_attr(windows, expect(dead_code, reason = "paths of other systems"))]
mod systemd;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use wharf_accounts_sql::Creation;
use wharf_config::Config;
use wharf_config::choice::TlsMode;
use wharf_config::keys::Listen;
use wharf_config::outcome::{Exit, Failure, print};
use wharf_config::standard_paths;
use wharf_config::value::ListenPort;
use wharf_runtime::accounts;
use wharf_runtime::accounts::FolderUse;
use wharf_runtime::logins;
use wharf_runtime::os::{be_starter, be_successor};
use wharf_runtime::sandbox::reach::written;
use wharf_runtime::wire;

use crate::cli::GlobalArgs;
use crate::cli::service::{RunAs, ServiceCommand, ServiceFileKind};
use crate::setup::{config_file, inputs, load};

/// Runs the command.
pub(crate) fn service(global: &GlobalArgs, what: &ServiceCommand) -> Result<Exit, Failure> {
    match what {
        ServiceCommand::Install(options) => manager::install(&setup(global)?, options),
        ServiceCommand::Uninstall { root } => manager::uninstall(root.as_deref()),
        ServiceCommand::Start => manager::start(),
        ServiceCommand::Stop => manager::stop(),
        ServiceCommand::Status => manager::status(),
        ServiceCommand::Run => manager::serve(global),
        ServiceCommand::Starter { words } => ended(be_starter(words)),
        ServiceCommand::Successor { words } => ended(be_successor(words)),
        ServiceCommand::Unit { account, kind } => {
            let Some(kind) = kind.or_else(manager::own_kind) else {
                return Err(Failure::usage("this system does not have service files")
                    .hint("print one for another system:  --kind systemd | socket | launchd"));
            };
            let setup = setup(global)?;
            print(&match kind {
                ServiceFileKind::Systemd => setup.unit(account)?.text(),
                ServiceFileKind::Socket => systemd::socket(&setup.addresses()),
                ServiceFileKind::Launchd => {
                    launchd::plist(&setup.program, &setup.path, &account.user)
                }
            })?;
            Ok(Exit::Done)
        }
    }
}

/// The result of a process that only a server starts.
fn ended(how: std::io::Result<()>) -> Result<Exit, Failure> {
    how.map(|()| Exit::Done).map_err(|error| {
        Failure::io("this command is internal, started only by a server; it failed", &error)
            .hint("to serve:  wharf serve   to upgrade:  wharf reload --binary")
    })
}

/// Paths and settings of the service.
pub(super) struct ServiceSetup {
    /// This program.
    program: PathBuf,
    /// The configuration's file.
    path: PathBuf,
    config: Config,
    homes: Vec<(FolderUse, PathBuf)>,
}

/// The configuration in use: a service requires a valid one.
fn setup(global: &GlobalArgs) -> Result<ServiceSetup, Failure> {
    let Some(path) = config_file(global) else {
        return Err(Failure::new("configuration file not found: a service requires one").hint(
            "create one and use it with -c:  wharf config default > wharf.toml   and add an \
             account:  wharf -c wharf.toml user add NAME --home DIR",
        ));
    };
    let path = std::path::absolute(&path).unwrap_or(path);
    let is_coloured = global.color.is_on();
    let loaded = load(&inputs(global, Some(path.clone()), Vec::new()), is_coloured)?;
    let mut homes = wire::accounts(&loaded.config, is_coloured, Creation::No)?.homes;
    homes.extend(
        logins::example_home(&loaded.config).map(|home| (FolderUse::Home(String::new()), home)),
    );
    let program = std::env::current_exe()
        .map_err(|error| Failure::io("cannot determine the path of this program", &error))?;
    Ok(ServiceSetup { program, path, config: loaded.config, homes })
}

impl ServiceSetup {
    /// The systemd unit.
    fn unit(&self, account: &RunAs) -> Result<systemd::SystemdUnit, Failure> {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        if account.user.is_empty() || !account.user.chars().all(is_name) {
            return Err(Failure::usage(format!(
                "invalid --user `{}`: not a valid account name",
                account.user
            ))
            .hint("use letters, digits, `.`, `_` and `-`"));
        }
        Ok(systemd::SystemdUnit {
            program: self.program.clone(),
            config: self.path.clone(),
            user: account.user.clone(),
            writable: self.writable(),
            shutdown_grace: self.config.server.shutdown_grace.0,
        })
    }

    /// Folders that the service writes to, without duplicates and nested ones.
    fn writable(&self) -> Vec<PathBuf> {
        let config = &self.config;
        let homes: Vec<_> =
            self.homes.iter().map(|(_, home)| shared_folder(home).to_path_buf()).collect();
        let written = written(config, &homes, accounts::file(config));
        // The standard state folder is created by the service manager.
        let usual = config.server.state_dir.0.is_none().then(standard_paths::state_folder);
        let all = written.iter().map(|place| place.path.as_path());
        let is_meant = |path: &&Path| usual.as_deref() != Some(*path) && !path.starts_with("/dev");
        let mut folders: Vec<_> = all.filter(is_meant).collect();
        folders.sort_unstable();
        folders.dedup();
        let mut top_folders: Vec<PathBuf> = Vec::new();
        for folder in folders {
            if !top_folders.iter().any(|above| folder.starts_with(above)) {
                top_folders.push(folder.to_path_buf());
            }
        }
        top_folders
    }

    /// Its listen addresses, in the syntax of systemd.
    fn addresses(&self) -> Vec<String> {
        let listen = self.config.listen.iter();
        listen.map(|listen| SocketAddr::new(listen.address, port(listen)).to_string()).collect()
    }

    /// Ports that clients must reach.
    fn openings(&self) -> firewall::FirewallPorts {
        let control = self.config.listen.iter().map(port).collect();
        firewall::FirewallPorts { control, data: self.config.passive.ports.0.clone() }
    }
}

/// A service gets the standard port.
fn port(listen: &Listen) -> u16 {
    match (listen.port, listen.tls) {
        (ListenPort::Fixed(port), _) => port,
        (ListenPort::Auto, TlsMode::Implicit) => 990,
        (ListenPort::Auto, TlsMode::Explicit | TlsMode::Off) => 21,
    }
}

/// The parent folder of homes, so that further accounts do not need a new unit; but never all of
/// `/srv`.
fn shared_folder(home: &Path) -> &Path {
    home.parent().filter(|above| above.components().count() > 2).unwrap_or(home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_side_by_side_share_a_folder() {
        for (home, folder) in
            [("/srv/ftp/anna", "/srv/ftp"), ("/srv/ftp", "/srv/ftp"), ("/srv", "/srv"), ("/", "/")]
        {
            assert_eq!(shared_folder(Path::new(home)), Path::new(folder));
        }
    }
}
