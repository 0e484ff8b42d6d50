//! The access policy of a server: plain data, computed from its configuration and accounts.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use wharf_config::Config;
use wharf_config::choice::Symlinks;
use wharf_config::value::{ListenPort, PublicAddress};
use wharf_login::endpoint::Endpoint;

/// Everything that a sandboxed server may access; the kernel denies the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPolicy {
    /// Files.
    pub(crate) files: FileAccess,
    /// Ports to listen on.
    pub(crate) ports: RangeInclusive<u16>,
    /// Additional source ports: active mode connects from the port below that of its listener.
    pub(crate) sources: BTreeSet<u16>,
    /// Outgoing connections.
    pub(crate) connections: ConnectionPolicy,
    /// Whether other programs may be started.
    pub(crate) programs: ProgramAccess,
}

/// Accessible files and folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileAccess {
    /// These, and everything below them.
    Only(Vec<PathRule>),
    /// All files, for this reason.
    Anywhere(&'static str),
}

/// A file, or a folder with everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRule {
    /// The path.
    pub path: PathBuf,
    /// The permitted access.
    pub(crate) usage: PathAccess,
}

/// The access to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PathAccess {
    /// Reading.
    Read,
    /// Removing files.
    Remove,
    /// Writing to files, and creating new ones.
    Append,
    /// The same, and rotating them: reading, renaming, removing.
    Rotate,
    /// Everything except executing programs and creating devices.
    Change,
}

/// Outgoing connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionPolicy {
    /// To any port: in active mode the client chooses the port.
    Made,
    /// To these ports: of webhooks, external authentication, and account databases.
    Only(BTreeSet<u16>),
    /// No connections.
    Never,
}

/// What the account store needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreAccess {
    /// Its file.
    pub file: Option<PathBuf>,
    /// The ports of its server.
    pub ports: Vec<u16>,
}

/// Whether other programs may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgramAccess {
    /// None: event programs are started by a process that is not sandboxed.
    Never,
}

/// Files of the time zone, for times in logs and listings.
const CLOCK: &[&str] = &[
    "/etc/localtime", "/etc/timezone", "/etc/zoneinfo", "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
];
/// Files of the resolver, if the configuration contains host names.
const NAME_LOOKUP: &[&str] = &[
    "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/resolv.conf",
    "/run/systemd/resolve",
];
/// Long answers of DNS servers use TCP.
const DNS_PORT: u16 = 53;
/// Folders with more entries than this are not examined as folders of homes.
const SIBLINGS_MAX: usize = 10_000;

impl AccessPolicy {
    /// The policy for this configuration and these homes. Reads the disk to find folders that
    /// contain homes only.
    pub fn of(config: &Config, homes: &[PathBuf], store: &StoreAccess) -> Self {
        Self {
            files: match config.files.follow_symlinks {
                Symlinks::Always => FileAccess::Anywhere("files.follow_symlinks is `always`"),
                Symlinks::Inside | Symlinks::Never => {
                    FileAccess::Only(places(config, homes, store))
                }
            },
            ports: config.passive.ports.0.clone(),
            sources: sources(config),
            connections: connections(config, store),
            programs: ProgramAccess::Never,
        }
    }

    /// Adds access to this path, if it exists.
    pub(crate) fn and(mut self, path: &Path, usage: PathAccess) -> Self {
        if let (FileAccess::Only(places), Ok(path)) = (&mut self.files, std::fs::canonicalize(path))
        {
            places.push(PathRule { path, usage });
        }
        self
    }

    /// Adds connections to these ports; with `has_names`, host names are resolved too.
    pub(crate) fn and_services(
        mut self,
        ports: impl IntoIterator<Item = u16>,
        has_names: bool,
    ) -> Self {
        let ports = ports.into_iter();
        self.connections = match self.connections {
            ConnectionPolicy::Made => ConnectionPolicy::Made,
            ConnectionPolicy::Only(known) => {
                ConnectionPolicy::Only(known.into_iter().chain(ports).collect())
            }
            ConnectionPolicy::Never => ConnectionPolicy::Only(ports.collect()),
        };
        let files = NAME_LOOKUP.iter().filter(|_| has_names);
        files.fold(self, |reach, file| reach.and(Path::new(file), PathAccess::Read))
    }

    /// Adds what is read on a reload: files may have been replaced by new ones, so their folders
    /// must be readable.
    pub(crate) fn and_for_reloads(self, config: &Config, file: Option<&Path>) -> Self {
        let pems = [&config.tls.certificate.0, &config.tls.private_key.0].into_iter().flatten();
        let files: Vec<&Path> = pems.map(PathBuf::as_path).chain(file).collect();
        let folders = files.into_iter().flat_map(|file| {
            let real = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
            let named = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
            [folder_of(&real), folder_of(&named)]
        });
        folders.fold(self, |reach, folder| reach.and(&folder, PathAccess::Read))
    }

    /// The folders below which homes can be opened; `None` if unrestricted.
    pub(crate) fn sandbox_folders(&self) -> Option<Vec<PathBuf>> {
        let FileAccess::Only(places) = &self.files else { return None };
        let changing = places.iter().filter(|place| place.usage == PathAccess::Change);
        Some(changing.map(|place| place.path.clone()).collect())
    }

    /// Whether a home can be opened.
    pub(crate) fn covers(&self, home: &Path) -> bool {
        let FileAccess::Only(places) = &self.files else { return true };
        let changing = places.iter().filter(|place| place.usage == PathAccess::Change);
        let real = std::fs::canonicalize(home).unwrap_or_else(|_| home.to_owned());
        let mut roots = changing.map(|place| &place.path);
        roots.any(|root| real.starts_with(root) || home.starts_with(root))
    }
}

/// The source ports of active mode, one below each listen port. A port that the system chooses is
/// not known yet.
fn sources(config: &Config) -> BTreeSet<u16> {
    let listeners = config.listen.iter().filter(|_| config.active.enabled);
    let ports = listeners.flat_map(|listen| match listen.port {
        ListenPort::Auto => vec![20, 989, 2120, 2989],
        ListenPort::Fixed(port) => vec![port.saturating_sub(1)],
    });
    ports.filter(|port| *port > 0).collect()
}

/// Outgoing connections of this server.
fn connections(config: &Config, store: &StoreAccess) -> ConnectionPolicy {
    if config.active.enabled {
        return ConnectionPolicy::Made;
    }
    let addresses =
        || config.webhooks.iter().filter_map(|webhook| Some(&webhook.url.0.as_ref()?.server));
    let mut ports: BTreeSet<_> = addresses().map(|address| address.port).collect();
    ports.extend(&store.ports);
    if addresses().any(Endpoint::has_name) || !store.ports.is_empty() {
        ports.insert(DNS_PORT);
    }
    if ports.is_empty() { ConnectionPolicy::Never } else { ConnectionPolicy::Only(ports) }
}

fn places(config: &Config, homes: &[PathBuf], store: &StoreAccess) -> Vec<PathRule> {
    let mut places = Vec::new();
    let mut add = |path: PathBuf, usage| {
        // The kernel accepts only existing paths; one that is created later stays denied.
        let Ok(path) = std::fs::canonicalize(path) else { return };
        let place = PathRule { path, usage };
        if !places.contains(&place) {
            places.push(place);
        }
    };
    for place in written(config, homes, store.file.as_deref()) {
        add(place.path, place.usage);
    }
    for folder in folders_of_homes(homes) {
        add(folder, PathAccess::Change);
    }
    for pem in [&config.tls.certificate.0, &config.tls.private_key.0].into_iter().flatten() {
        add(pem.clone(), PathAccess::Read);
    }
    for path in CLOCK {
        add(path.into(), PathAccess::Read);
    }
    for variable in ["TZ", "TZDIR"] {
        if let Some(path) = std::env::var_os(variable).as_deref().and_then(absolute) {
            add(path, PathAccess::Read);
        }
    }
    let webhooks =
        config.webhooks.iter().filter_map(|webhook| Some(&webhook.url.0.as_ref()?.server));
    let resolves_names = matches!(config.passive.public_address, PublicAddress::Name(_));
    if resolves_names || !store.ports.is_empty() || webhooks.into_iter().any(Endpoint::has_name) {
        for path in NAME_LOOKUP {
            add(path.into(), PathAccess::Read);
        }
    }
    places
}

/// All paths that a running server writes to, also missing ones. Service units are generated from
/// the same list.
pub fn written(config: &Config, homes: &[PathBuf], store: Option<&Path>) -> Vec<PathRule> {
    let change = |path: PathBuf| PathRule { path, usage: PathAccess::Change };
    let homes = homes.iter().chain(&config.server.homes.0).cloned();
    let mut places: Vec<_> = homes.map(change).collect();
    places.push(change(config.state_folder()));
    if let Some(file) = store {
        // It is replaced when a hash is renewed, by a temporary file in the same folder; SQLite
        // stores its journal there too.
        let real = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        places.push(change(folder_of(&real)));
    }
    for log in log_files(config) {
        // A log is reopened after it was renamed. Other targets, such as /dev/null, are not.
        let is_file = std::fs::metadata(&log).map_or(true, |facts| facts.is_file());
        let is_rotated = config.log.rotate_daily || config.log.rotate_size.bytes().is_some();
        let usage = if is_rotated && is_file { PathAccess::Rotate } else { PathAccess::Append };
        places.push(PathRule { path: if is_file { folder_of(&log) } else { log }, usage });
    }
    places.extend(config.events.quarantine.0.clone().map(change));
    // The socket is removed at the end.
    let socket = config.control.socket.0.as_deref();
    places.extend(socket.map(|path| PathRule { path: folder_of(path), usage: PathAccess::Remove }));
    places
}

/// All log files.
pub(crate) fn log_files(config: &Config) -> Vec<PathBuf> {
    let log = &config.log;
    let files = [&log.file.0, &log.transfer_log.0, &log.audit_file.0];
    files.into_iter().flatten().cloned().collect()
}

/// The path in `TZ=:/path` or `TZ=/path`.
fn absolute(value: &OsStr) -> Option<PathBuf> {
    let text = value.to_str()?;
    let path = PathBuf::from(text.strip_prefix(':').unwrap_or(text));
    path.is_absolute().then_some(path)
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
}

/// The folders that contain homes of accounts only. An account that is added later most likely gets
/// its home there too, and must not require a restart; since there is nothing else in them, this
/// gives access to nothing else.
fn folders_of_homes(homes: &[PathBuf]) -> BTreeSet<PathBuf> {
    let homes: BTreeSet<PathBuf> =
        homes.iter().filter_map(|home| std::fs::canonicalize(home).ok()).collect();
    let parents = homes.iter().filter_map(|home| home.parent());
    let parents: BTreeSet<PathBuf> = parents.map(Path::to_path_buf).collect();
    parents.into_iter().filter(|parent| has_only(parent, &homes)).collect()
}

fn has_only(folder: &Path, homes: &BTreeSet<PathBuf>) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    let mut count = 0;
    for entry in entries {
        count += 1;
        let is_home = entry.is_ok_and(|entry| homes.contains(&entry.path()));
        if !is_home || count > SIBLINGS_MAX {
            return false;
        }
    }
    // The root folder is never a folder of homes.
    count > 0 && folder.parent().is_some()
}

#[cfg(test)]
mod tests {
    use wharf_config::Loaded;
    use wharf_config::gather::Inputs;

    use super::*;

    fn config() -> Config {
        Loaded::load(&Inputs::default()).config
    }

    #[test]
    fn row_46_new_homes_are_accessible_in_folders_that_contain_homes_only() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        for name in ["ftp/anna", "ftp/ben", "own/share", "own/diary"] {
            std::fs::create_dir_all(top.join(name)).unwrap();
        }
        let homes = ["ftp/anna", "ftp/ben", "own/share"].map(|name| top.join(name));
        let reach = AccessPolicy::of(&config(), &homes, &StoreAccess::default());
        assert!(reach.covers(&top.join("ftp/carl")));
        assert!(reach.covers(&top.join("own/share/deeper")));
        assert!(!reach.covers(&top.join("own/diary")));
        assert!(!reach.covers(&top.join("ftpx")));
        assert!(!reach.covers(Path::new("/")));
    }

    #[test]
    fn row_46_following_all_links_leaves_files_unrestricted() {
        let mut config = config();
        config.files.follow_symlinks = Symlinks::Always;
        let reach = AccessPolicy::of(&config, &[], &StoreAccess::default());
        assert!(
            matches!(reach.files, FileAccess::Anywhere(why) if why.contains("follow_symlinks"))
        );
        assert!(reach.covers(Path::new("/anywhere")));
    }

    #[test]
    fn row_46_a_device_as_log_does_not_give_access_to_its_folder() {
        let mut config = config();
        config.log.file.0 = Some("/dev/null".into());
        let FileAccess::Only(places) =
            AccessPolicy::of(&config, &[], &StoreAccess::default()).files
        else {
            panic!("confined")
        };
        assert!(places.iter().all(|place| place.path != Path::new("/dev")));
        assert!(places.contains(&PathRule { path: "/dev/null".into(), usage: PathAccess::Append }));
    }
}
