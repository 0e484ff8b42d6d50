//! Linux: the user of this process, and permanently changing to an unprivileged one.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::unistd::{
    Gid, Group, Uid, User, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid, setuid,
};
use rustix::fs::FileType;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use wharf_config::keys;
use wharf_config::outcome::{Exit, Failure};

use crate::os::{TrustedPath, open_to_group};

/// A system user to change to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemUser {
    name: String,
    user: Uid,
    group: Gid,
}

/// The capabilities that root keeps without `server.user`: files of all users, and privileged
/// ports.
const CAPABILITIES_OF_ROOT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID);

/// Maximum number of files in the state folder that change their owner.
const STATE_FILES_MAX: usize = 1000;

impl SystemUser {
    /// The configured user, if there is one and this process does not already run as it.
    ///
    /// # Errors
    /// The user does not exist, is root, or this process may not change to it.
    pub fn wanted(server: &keys::Server) -> Result<Option<Self>, Failure> {
        if server.user.is_empty() {
            return Ok(None);
        }
        let identity = Self::find(&server.user, &server.group)?;
        if identity.user == Uid::effective() && identity.group == Gid::effective() {
            return if identity.user.is_root() { Err(identity.is_root()) } else { Ok(None) };
        }
        if identity.user.is_root() {
            return Err(identity.is_root());
        }
        if !Uid::effective().is_root() {
            let message = format!(
                "cannot change to server.user {}: only root can change the user; running as {}",
                server.user,
                current_name()
            );
            return Err(Failure { exit: Exit::Forbidden, ..Failure::new(message) }
                .hint("start it as root or as that user, or remove server.user"));
        }
        Ok(Some(identity))
    }

    /// The user name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The UID and GID.
    pub fn numbers(&self) -> (u32, u32) {
        (self.user.as_raw(), self.group.as_raw())
    }

    fn find(user: &str, group: &str) -> Result<Self, Failure> {
        let found = match user.parse() {
            Ok(number) => User::from_uid(Uid::from_raw(number)),
            Err(_) => User::from_name(user),
        };
        let Some(found) = found.map_err(|error| unknown("user", user, Some(error)))? else {
            let hint =
                format!("create it:  useradd --system --no-create-home --shell /bin/false {user}");
            return Err(unknown("user", user, None).hint(hint));
        };
        let group = if group.is_empty() {
            found.gid
        } else {
            let named = match group.parse() {
                Ok(number) => Group::from_gid(Gid::from_raw(number)),
                Err(_) => Group::from_name(group),
            };
            let named = named.map_err(|error| unknown("group", group, Some(error)))?;
            named.ok_or_else(|| unknown("group", group, None))?.gid
        };
        Ok(Self { name: found.name, user: found.uid, group })
    }

    fn is_root(&self) -> Failure {
        Failure {
            exit: Exit::ConfigInvalid,
            ..Failure::new(format!("invalid server.user {}: it is root", self.name))
        }
        .hint("set an unprivileged user, or remove server.user")
    }

    /// Changes the owner of the state folder and its files, so that they can be read and replaced.
    /// Only folders with mode 0700 are changed: a folder that other users can access is not wharf's
    /// own.
    pub(crate) fn change_state_owner(&self, folder: &Path) {
        let Ok(facts) = fs::symlink_metadata(folder) else { return };
        if !facts.is_dir() || facts.permissions().mode() & 0o077 != 0 {
            return;
        }
        // The folder may belong to the user since an earlier start, who may replace entries at any
        // time; so each is opened first, and the open file is checked and changed.
        let change_owner = |path: &Path, kind| {
            if let Ok(trusted_path) = TrustedPath::find(path) {
                trusted_path.change_owner(
                    kind,
                    Some(self.user.as_raw()),
                    Some(self.group.as_raw()),
                );
            }
        };
        for entry in fs::read_dir(folder).into_iter().flatten().take(STATE_FILES_MAX).flatten() {
            change_owner(&entry.path(), FileType::RegularFile);
        }
        change_owner(folder, FileType::Directory);
    }

    /// Changes the owner of webhook events that root stored.
    pub(crate) fn change_spool_owner(&self, folder: &Path) {
        super::spool::change_owner(folder, self.user.as_raw(), self.group.as_raw());
    }

    /// Changes the owner of an open log of root, so that it can be reopened after rotation.
    pub(crate) fn change_log_owner(&self, log: &File) {
        let is_roots = |facts: &fs::Metadata| facts.is_file() && facts.uid() == 0;
        if log.metadata().is_ok_and(|facts| is_roots(&facts) && facts.nlink() == 1) {
            let _ = fchown(log, Some(self.user.as_raw()), Some(self.group.as_raw()));
        }
    }

    /// Changes the owner of the control socket. The folder created for it stays root's, so that the
    /// socket cannot be replaced, and is accessible to the user's group, unless another group is
    /// set.
    pub(crate) fn change_socket_owner(
        &self,
        socket: &Path,
        folder: Option<&Path>,
        keeps_group: bool,
    ) {
        let group = (!keeps_group).then_some(self.group.as_raw());
        if let (Some(folder), Some(group)) = (folder, group) {
            let _ = open_to_group(folder, group);
        }
        if let Ok(trusted_path) = TrustedPath::find(socket) {
            trusted_path.change_owner(FileType::Socket, Some(self.user.as_raw()), group);
        }
    }

    /// Permanently changes to this user; verifies that root cannot be regained.
    ///
    /// # Errors
    /// If any step fails; the process must exit then.
    pub fn assume(&self) -> Result<(), Failure> {
        let name = &self.name;
        let failed = |what: &str, error: Errno| {
            Failure::new(format!("cannot change to user {name}: {what}: {}", error.desc()))
        };
        setgroups(&[]).map_err(|error| failed("setgroups", error))?;
        let (user, group) = (self.user, self.group);
        setresgid(group, group, group).map_err(|error| failed("setresgid", error))?;
        setresuid(user, user, user).map_err(|error| failed("setresuid", error))?;
        let _ = set_no_new_privs(true);
        self.check().map_err(|what| {
            Failure::new(format!("changing to user {name} was incomplete: {what}"))
                .hint("please report this as a bug; serving would not be safe")
        })
    }

    /// Verifies the credentials of this process.
    fn check(&self) -> Result<(), &'static str> {
        let users = getresuid().map_err(|_| "cannot read its user IDs")?;
        let groups = getresgid().map_err(|_| "cannot read its group IDs")?;
        if [users.real, users.effective, users.saved].iter().any(|user| *user != self.user) {
            return Err("a previous user ID remains");
        }
        if [groups.real, groups.effective, groups.saved].iter().any(|group| *group != self.group) {
            return Err("a previous group ID remains");
        }
        if !getgroups().is_ok_and(|groups| groups.is_empty()) {
            return Err("supplementary groups remain");
        }
        let sets = capabilities(None).map_err(|_| "cannot read its capabilities")?;
        if !(sets.effective | sets.permitted).is_empty() {
            return Err("capabilities remain");
        }
        if setuid(Uid::from_raw(0)).is_ok() {
            return Err("root can be regained");
        }
        Ok(())
    }
}

/// Drops all capabilities that serving does not need: all of them unless this is root, except those
/// for privileged ports if `keeps_low_ports`.
pub(crate) fn drop_capabilities(keeps_low_ports: bool) {
    let mut retained = CapabilitySet::empty();
    if Uid::effective().is_root() {
        retained |= CAPABILITIES_OF_ROOT;
    }
    if keeps_low_ports {
        retained |= CapabilitySet::NET_BIND_SERVICE;
    }
    // These fail only if there is nothing to drop.
    let _ = clear_ambient_capability_set();
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if !retained.contains(one) && remove_capability_from_bounding_set(one).is_err() {
            break;
        }
    }
    if let Ok(sets) = capabilities(None) {
        let _ = set_capabilities(
            None,
            CapabilitySets {
                effective: sets.effective & retained,
                permitted: sets.permitted & retained,
                inheritable: CapabilitySet::empty(),
            },
        );
    }
}

/// The GID of a system group, if it exists.
pub(crate) fn group_number(name: &str) -> Option<u32> {
    let found = match name.parse() {
        Ok(number) => return Some(number),
        Err(_) => Group::from_name(name).ok().flatten(),
    };
    found.map(|group| group.gid.as_raw())
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// The name of the user that this process runs as, or its number if it has none.
pub fn current_name() -> String {
    remembered_name().get().cloned().unwrap_or_else(find_name)
}

/// Finds the name for [`current_name`], before the sandbox hides the user database.
pub(crate) fn remember_name() {
    remembered_name().get_or_init(find_name);
}

fn remembered_name() -> &'static OnceLock<String> {
    static NAME: OnceLock<String> = OnceLock::new();
    &NAME
}

fn find_name() -> String {
    let user = Uid::effective();
    match User::from_uid(user) {
        Ok(Some(found)) => found.name,
        _ => user.to_string(),
    }
}

fn unknown(what: &str, name: &str, error: Option<Errno>) -> Failure {
    let why = error.map(|error| format!(" ({})", error.desc())).unwrap_or_default();
    Failure {
        exit: Exit::ConfigInvalid,
        ..Failure::new(format!("unknown server.{what} {name}{why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(user: &str, group: &str) -> keys::Server {
        let config = wharf_config::Loaded::load(&wharf_config::gather::Inputs::default()).config;
        keys::Server { user: user.into(), group: group.into(), ..config.server }
    }

    #[test]
    fn row_46_root_is_rejected_as_server_user() {
        assert_eq!(SystemUser::wanted(&server("", "")), Ok(None));
        for root in ["root", "0"] {
            let failure = SystemUser::wanted(&server(root, "")).unwrap_err();
            assert!(failure.message.contains("it is root"), "{}", failure.message);
        }
    }

    #[test]
    fn row_46_unknown_users_and_groups_are_reported() {
        let failure = SystemUser::wanted(&server("no-such-user", "")).unwrap_err();
        assert_eq!(failure.exit, Exit::ConfigInvalid);
        assert!(failure.hint.unwrap().starts_with("create it:  useradd"));
        let failure = SystemUser::wanted(&server("nobody", "no-such-group")).unwrap_err();
        assert!(failure.message.starts_with("unknown server.group no-such-group"));
    }
}
