//! Linux: who this process is, and how it becomes somebody with fewer rights, for good.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{
    Gid, Group, Uid, User, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid, setuid,
};
use rustix::fs::FileType;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use crate::config::keys;
use crate::os::{TrustedPath, open_to_group};
use crate::outcome::{Exit, Failure};

/// An account of the system to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    name: String,
    user: Uid,
    group: Gid,
}

/// What root may still do as root without an account of its own: files of all, and low ports.
const KEPT_OF_ROOT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID);

/// Files in the state folder that are given away; nobody keeps more there.
const STATE_FILES_MAX: usize = 1000;

impl Identity {
    /// The account that the configuration names, if it names one and this process is not it.
    ///
    /// # Errors
    /// There is no such account, it is root, or this process may not become it.
    pub(crate) fn wanted(server: &keys::Server) -> Result<Option<Self>, Failure> {
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
                "server.user is {}, and only root can become somebody else; this is {}",
                server.user,
                current_name()
            );
            return Err(Failure { exit: Exit::Forbidden, ..Failure::new(message) }
                .help("start it as root or as that user, or leave server.user out"));
        }
        Ok(Some(identity))
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The number of the account, and that of its group.
    pub(crate) fn numbers(&self) -> (u32, u32) {
        (self.user.as_raw(), self.group.as_raw())
    }

    fn find(user: &str, group: &str) -> Result<Self, Failure> {
        let found = match user.parse() {
            Ok(number) => User::from_uid(Uid::from_raw(number)),
            Err(_) => User::from_name(user),
        };
        let Some(found) = found.map_err(|error| unknown("user", user, Some(error)))? else {
            let help =
                format!("make it:  useradd --system --no-create-home --shell /bin/false {user}");
            return Err(unknown("user", user, None).help(help));
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
            ..Failure::new(format!("server.user is {}, which is root itself", self.name))
        }
        .help("name an account with few rights, or leave server.user out")
    }

    /// Gives it the state folder with its files, so that they can be read and replaced. Only what
    /// nobody else may enter is given away: a folder that others use is none of ours.
    pub(crate) fn give_state(&self, folder: &Path) {
        let Ok(facts) = fs::symlink_metadata(folder) else { return };
        if !facts.is_dir() || facts.permissions().mode() & 0o077 != 0 {
            return;
        }
        // The folder may be theirs since an earlier start: names in it may come to mean others at
        // any time, so each is opened first, and what was opened is judged and given.
        let give = |path: &Path, kind| {
            if let Ok(trusted_path) = TrustedPath::find(path) {
                trusted_path.give(kind, Some(self.user.as_raw()), Some(self.group.as_raw()));
            }
        };
        for entry in fs::read_dir(folder).into_iter().flatten().take(STATE_FILES_MAX).flatten() {
            give(&entry.path(), FileType::RegularFile);
        }
        give(folder, FileType::Directory);
    }

    /// Gives it the events that root kept for web servers.
    pub(crate) fn give_spool(&self, folder: &Path) {
        super::spool::give(folder, self.user.as_raw(), self.group.as_raw());
    }

    /// Gives it an open log of root's, so that it can be opened anew after a rotation.
    pub(crate) fn give_log(&self, log: &File) {
        let is_roots = |facts: &fs::Metadata| facts.is_file() && facts.uid() == 0;
        if log.metadata().is_ok_and(|facts| is_roots(&facts) && facts.nlink() == 1) {
            let _ = fchown(log, Some(self.user.as_raw()), Some(self.group.as_raw()));
        }
    }

    /// Gives it the control socket. The folder made for it stays root's, so that no other socket
    /// can be put in its place, and lets the account's group in, unless another group has it.
    pub(crate) fn give_socket(&self, socket: &Path, folder: Option<&Path>, keeps_group: bool) {
        let group = (!keeps_group).then_some(self.group.as_raw());
        if let (Some(folder), Some(group)) = (folder, group) {
            let _ = open_to_group(folder, group);
        }
        if let Ok(trusted_path) = TrustedPath::find(socket) {
            trusted_path.give(FileType::Socket, Some(self.user.as_raw()), group);
        }
    }

    /// Becomes this account. Nothing leads back; that is tried before this returns.
    ///
    /// # Errors
    /// If any part of it fails: then the process must end.
    pub(crate) fn assume(&self) -> Result<(), Failure> {
        let name = &self.name;
        let failed = |what: &str, error: Errno| {
            Failure::new(format!("cannot become {name}: {what}: {}", error.desc()))
        };
        setgroups(&[]).map_err(|error| failed("leaving all groups", error))?;
        let (user, group) = (self.user, self.group);
        setresgid(group, group, group).map_err(|error| failed("taking its group", error))?;
        setresuid(user, user, user).map_err(|error| failed("taking its user", error))?;
        let _ = set_no_new_privs(true);
        self.check().map_err(|what| {
            Failure::new(format!("this process is not quite {name}: {what}"))
                .help("please report this; serving like that would not be safe")
        })
    }

    /// Asks the kernel whether everything is as it should be.
    fn check(&self) -> Result<(), &'static str> {
        let users = getresuid().map_err(|_| "its user cannot be asked for")?;
        let groups = getresgid().map_err(|_| "its group cannot be asked for")?;
        if [users.real, users.effective, users.saved].iter().any(|user| *user != self.user) {
            return Err("a user of before is left");
        }
        if [groups.real, groups.effective, groups.saved].iter().any(|group| *group != self.group) {
            return Err("a group of before is left");
        }
        if !getgroups().is_ok_and(|groups| groups.is_empty()) {
            return Err("it is in further groups");
        }
        let sets = capabilities(None).map_err(|_| "its capabilities cannot be asked for")?;
        if !(sets.effective | sets.permitted).is_empty() {
            return Err("capabilities are left");
        }
        if setuid(Uid::from_raw(0)).is_ok() {
            return Err("it could become root again");
        }
        Ok(())
    }
}

/// Gives up every capability that serving does not need: all of them, unless this is root, and
/// those for low ports where `keeps_low_ports` says that some will be opened yet.
pub(crate) fn give_up_capabilities(keeps_low_ports: bool) {
    let mut kept = CapabilitySet::empty();
    if Uid::effective().is_root() {
        kept |= KEPT_OF_ROOT;
    }
    if keeps_low_ports {
        kept |= CapabilitySet::NET_BIND_SERVICE;
    }
    // Each of these can only fail where there is nothing to give up.
    let _ = clear_ambient_capability_set();
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if !kept.contains(one) && remove_capability_from_bounding_set(one).is_err() {
            break;
        }
    }
    if let Ok(sets) = capabilities(None) {
        let _ = set_capabilities(
            None,
            CapabilitySets {
                effective: sets.effective & kept,
                permitted: sets.permitted & kept,
                inheritable: CapabilitySet::empty(),
            },
        );
    }
}

/// The number of a group of the system, if there is such a group.
pub(crate) fn group_number(name: &str) -> Option<u32> {
    let found = match name.parse() {
        Ok(number) => return Some(number),
        Err(_) => Group::from_name(name).ok().flatten(),
    };
    found.map(|group| group.gid.as_raw())
}

/// Whether this process is root now.
pub(crate) fn is_root() -> bool {
    Uid::effective().is_root()
}

/// The name of the account that this process runs as.
pub(crate) fn current_name() -> String {
    let user = Uid::effective();
    match User::from_uid(user) {
        Ok(Some(found)) => found.name,
        _ => format!("user {user}"),
    }
}

fn unknown(what: &str, name: &str, error: Option<Errno>) -> Failure {
    let why = error.map(|error| format!(" ({})", error.desc())).unwrap_or_default();
    Failure {
        exit: Exit::ConfigInvalid,
        ..Failure::new(format!("server.{what} is {name}, but there is no such {what} here{why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(user: &str, group: &str) -> keys::Server {
        let config = crate::config::Loaded::load(&crate::config::gather::Inputs::default()).config;
        keys::Server { user: user.into(), group: group.into(), ..config.server }
    }

    #[test]
    fn row_46_root_is_no_account_to_become() {
        assert_eq!(Identity::wanted(&server("", "")), Ok(None));
        for root in ["root", "0"] {
            let failure = Identity::wanted(&server(root, "")).unwrap_err();
            assert!(failure.message.contains("root itself"), "{}", failure.message);
        }
    }

    #[test]
    fn row_46_accounts_that_do_not_exist_are_named() {
        let failure = Identity::wanted(&server("no-such-user", "")).unwrap_err();
        assert_eq!(failure.exit, Exit::ConfigInvalid);
        assert!(failure.help.unwrap().starts_with("make it:  useradd"));
        let failure = Identity::wanted(&server("nobody", "no-such-group")).unwrap_err();
        assert!(failure.message.starts_with("server.group is no-such-group"));
    }
}
