//! What a server must be able to reach: plain data, made of its configuration and accounts.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::config::choice::Symlinks;
use crate::config::hook::Address;
use crate::config::value::{ListenPort, PublicAddress};
use crate::place;

/// Everything that a confined server may reach; the kernel refuses the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessPolicy {
    /// Which files.
    pub(crate) files: Files,
    /// Which ports may be listened on.
    pub(crate) ports: RangeInclusive<u16>,
    /// Which ports besides may be connected from: active mode comes from the port below that of
    /// its listener.
    pub(crate) sources: BTreeSet<u16>,
    /// Whether connections may be made.
    pub(crate) connections: ConnectionPolicy,
    /// Whether other programs may be started.
    pub(crate) programs: Programs,
}

/// Which files and folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// These, and what lies below them.
    Only(Vec<PathRule>),
    /// All, for this reason.
    Anywhere(&'static str),
}

/// A file, or a folder with all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathRule {
    /// Where.
    pub(crate) path: PathBuf,
    /// What may be done there.
    pub(crate) usage: PathAccess,
}

/// What may be done in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PathAccess {
    /// Reading.
    Read,
    /// Removing files.
    Remove,
    /// Writing to files, and making new ones.
    Append,
    /// The same, and putting them aside: reading, renaming, removing them.
    Rotate,
    /// Everything but starting programs and making devices.
    Change,
}

/// Whether connections may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionPolicy {
    /// To any port: active mode goes where the client asks.
    Made,
    /// To these: web servers are told of events, others prove passwords, or keep accounts.
    Only(BTreeSet<u16>),
    /// None.
    Never,
}

/// What the store of accounts needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreAccess {
    /// The file that it is.
    pub(crate) file: Option<PathBuf>,
    /// The ports of the server that it is.
    pub(crate) ports: Vec<u16>,
}

/// Whether other programs may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Programs {
    /// None: those that events start are started by a process that began before.
    Never,
}

/// What the clock and its zone are read from, for times in logs and listings.
const CLOCK: &[&str] = &[
    "/etc/localtime",
    "/etc/timezone",
    "/etc/zoneinfo",
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
];
/// What looks up a host name, where the configuration has one.
const NAME_LOOKUP: &[&str] = &[
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/resolv.conf",
    "/run/systemd/resolve",
];
/// What is too long for a datagram of a name server comes by TCP.
const DNS_PORT: u16 = 53;
/// A folder with more entries than this is no folder of homes that is worth reading.
const SIBLINGS_MAX: usize = 10_000;

impl AccessPolicy {
    /// For this configuration and these homes. Looks at the disk, for folders made of homes only.
    pub(crate) fn of(config: &Config, homes: &[PathBuf], store: &StoreAccess) -> Self {
        Self {
            files: match config.files.follow_symlinks {
                Symlinks::Always => Files::Anywhere("files.follow_symlinks is \"always\""),
                Symlinks::Inside | Symlinks::Never => Files::Only(places(config, homes, store)),
            },
            ports: config.passive.ports.0.clone(),
            sources: sources(config),
            connections: connections(config, store),
            programs: Programs::Never,
        }
    }

    /// The same, and this place, if it is there.
    pub(crate) fn and(mut self, path: &Path, usage: PathAccess) -> Self {
        if let (Files::Only(places), Ok(path)) = (&mut self.files, std::fs::canonicalize(path)) {
            places.push(PathRule { path, usage });
        }
        self
    }

    /// The same, and connections to these ports; with `has_names`, names are looked up for them.
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

    /// The same, and what is read anew when the configuration is: files may have been replaced by
    /// others of their name, so that their folders must be readable.
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

    /// The folders below which homes can be opened; nothing if all can.
    pub(crate) fn home_folders(&self) -> Option<Vec<PathBuf>> {
        let Files::Only(places) = &self.files else { return None };
        let changing = places.iter().filter(|place| place.usage == PathAccess::Change);
        Some(changing.map(|place| place.path.clone()).collect())
    }

    /// Whether an account's home lies where it can be opened.
    pub(crate) fn covers(&self, home: &Path) -> bool {
        let Files::Only(places) = &self.files else { return true };
        let changing = places.iter().filter(|place| place.usage == PathAccess::Change);
        let real = std::fs::canonicalize(home).unwrap_or_else(|_| home.to_owned());
        let mut roots = changing.map(|place| &place.path);
        roots.any(|root| real.starts_with(root) || home.starts_with(root))
    }
}

/// The ports below those that clients come to. Of one that the system chooses none is known yet.
fn sources(config: &Config) -> BTreeSet<u16> {
    let listeners = config.listen.iter().filter(|_| config.active.enabled);
    let ports = listeners.flat_map(|listen| match listen.port {
        ListenPort::Auto => vec![20, 989, 2120, 2989],
        ListenPort::Fixed(port) => vec![port.saturating_sub(1)],
    });
    ports.filter(|port| *port > 0).collect()
}

/// Where this server connects to.
fn connections(config: &Config, store: &StoreAccess) -> ConnectionPolicy {
    if config.active.enabled {
        return ConnectionPolicy::Made;
    }
    let addresses = || config.webhooks.iter().filter_map(|webhook| webhook.url.0.as_ref());
    let mut ports: BTreeSet<_> = addresses().map(|address| address.port).collect();
    ports.extend(&store.ports);
    if addresses().any(is_name) || !store.ports.is_empty() {
        ports.insert(DNS_PORT);
    }
    if ports.is_empty() { ConnectionPolicy::Never } else { ConnectionPolicy::Only(ports) }
}

fn is_name(address: &Address) -> bool {
    !address.host.starts_with('[') && address.host.parse::<IpAddr>().is_err()
}

fn places(config: &Config, homes: &[PathBuf], store: &StoreAccess) -> Vec<PathRule> {
    let mut places = Vec::new();
    let mut add = |path: PathBuf, usage| {
        // What is missing cannot be named to the kernel, and stays closed when it is made later.
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
    let webhooks = config.webhooks.iter().filter_map(|webhook| webhook.url.0.as_ref());
    let looks_up = matches!(config.passive.public_address, PublicAddress::Name(_));
    if looks_up || !store.ports.is_empty() || webhooks.into_iter().any(is_name) {
        for path in NAME_LOOKUP {
            add(path.into(), PathAccess::Read);
        }
    }
    places
}

/// Every place that a running server writes to, also those that are not there yet. Units of
/// services are made of the same list.
pub(crate) fn written(config: &Config, homes: &[PathBuf], store: Option<&Path>) -> Vec<PathRule> {
    let change = |path: PathBuf| PathRule { path, usage: PathAccess::Change };
    let homes = homes.iter().chain(&config.server.homes.0).cloned();
    let mut places: Vec<_> = homes.map(change).collect();
    places.push(change(state_folder(config)));
    if let Some(file) = store {
        // It is replaced when a hash is renewed, which takes a new file beside it; SQLite keeps
        // what is not in a database yet beside that.
        let real = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        places.push(change(folder_of(&real)));
    }
    for log in log_files(config) {
        // A log is opened anew after it was renamed. What is no file, such as /dev/null, is not.
        let is_file = std::fs::metadata(&log).map_or(true, |facts| facts.is_file());
        let is_rotated = config.log.rotate_daily || config.log.rotate_size.bytes().is_some();
        let usage = if is_rotated && is_file { PathAccess::Rotate } else { PathAccess::Append };
        places.push(PathRule { path: if is_file { folder_of(&log) } else { log }, usage });
    }
    places.extend(config.events.quarantine.0.clone().map(change));
    // Its name is taken away at the end.
    let socket = config.control.socket.0.as_deref();
    places.extend(socket.map(|path| PathRule { path: folder_of(path), usage: PathAccess::Remove }));
    places
}

/// Where certificates and other state are kept.
pub(crate) fn state_folder(config: &Config) -> PathBuf {
    config.server.state_dir.0.clone().unwrap_or_else(place::state_folder)
}

/// Every file that lines are appended to.
pub(crate) fn log_files(config: &Config) -> Vec<PathBuf> {
    let log = &config.log;
    let files = [&log.file.0, &log.transfer_log.0, &log.audit_file.0];
    files.into_iter().flatten().cloned().collect()
}

/// The path in `TZ=:/path`, or in a variable that is one.
fn absolute(value: &OsStr) -> Option<PathBuf> {
    let text = value.to_str()?;
    let path = PathBuf::from(text.strip_prefix(':').unwrap_or(text));
    path.is_absolute().then_some(path)
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
}

/// The folders in which there is nothing but homes of accounts. An account that is added later
/// most likely gets its home there too, and must not wait for a restart; nothing else can be
/// reached by it, for there is nothing else.
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
    // The top of everything is no folder of homes, whatever lies in it.
    count > 0 && folder.parent().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loaded;
    use crate::config::gather::Inputs;

    fn config() -> Config {
        Loaded::load(&Inputs::default()).config
    }

    #[test]
    fn row_46_a_folder_of_nothing_but_homes_takes_new_ones_and_another_does_not() {
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
    fn row_46_links_out_of_homes_leave_files_open_and_are_the_reason() {
        let mut config = config();
        config.files.follow_symlinks = Symlinks::Always;
        let reach = AccessPolicy::of(&config, &[], &StoreAccess::default());
        assert!(matches!(reach.files, Files::Anywhere(why) if why.contains("follow_symlinks")));
        assert!(reach.covers(Path::new("/anywhere")));
    }

    #[test]
    fn row_46_a_device_as_a_log_opens_no_folder_of_devices() {
        let mut config = config();
        config.log.file.0 = Some("/dev/null".into());
        let Files::Only(places) = AccessPolicy::of(&config, &[], &StoreAccess::default()).files
        else {
            panic!("confined")
        };
        assert!(places.iter().all(|place| place.path != Path::new("/dev")));
        assert!(places.contains(&PathRule { path: "/dev/null".into(), usage: PathAccess::Append }));
    }
}
