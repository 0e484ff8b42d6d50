//! Files at the start: the state folder, the server's own files, and the served folders.

use std::path::PathBuf;

use wharf_config::Config;
use wharf_config::outcome::{Exit, Failure};
use wharf_storage::ServerFiles;

use super::ServePlan;
use super::control::ControlSockets;
use crate::logins;
use crate::os::private_folder;
use crate::sandbox::own_files::{programs_in_homes, reject_home, server_files};
use crate::sandbox::reach::{AccessPolicy, PathAccess};
use crate::wire::Accounts;

/// Creates the state folder, which is not possible later. I/O errors are reported when it is used.
pub(super) fn make_state_folder(config: &Config) -> Result<(), Failure> {
    let folder = config.state_folder();
    match private_folder(&folder) {
        // Rejected by wharf, not by the system.
        Err(error) if error.get_ref().is_some() => {
            let message = format!("cannot use the state folder {}: {error}", folder.display());
            Err(Failure { exit: Exit::ConfigInvalid, ..Failure::new(message) }
                .hint("choose a folder below folders that only root can change: server.state_dir"))
        }
        _ => Ok(()),
    }
}

/// The files that no account may access. Warns about programs in folders that accounts may write.
pub(super) fn own_files(plan: &ServePlan, accounts: &mut Accounts) -> Result<ServerFiles, Failure> {
    let (config, file) = (&plan.loaded.config, plan.file.as_deref());
    let homes = served(plan, accounts);
    let own = server_files(config, file, &plan.own_files, &homes);
    accounts.warnings.extend(programs_in_homes(config, file, &homes));
    if let Some(share) = &plan.share {
        reject_home(&own, &share.folder)?;
    }
    Ok(own)
}

/// All served folders, as far as known.
fn served(plan: &ServePlan, accounts: &Accounts) -> Vec<PathBuf> {
    let homes = accounts.homes.iter().map(|(_, home)| home.clone());
    let templated = logins::templated_homes(&plan.loaded.config);
    homes.chain(templated).chain(plan.share.as_ref().map(|share| share.folder.clone())).collect()
}

/// The access policy from now on.
pub(super) fn reach(
    plan: &ServePlan,
    accounts: &Accounts,
    control: &ControlSockets,
    has_sources: bool,
) -> AccessPolicy {
    let config = &plan.loaded.config;
    let homes: Vec<_> = accounts.homes.iter().map(|(_, home)| home.clone()).collect();
    let reach = AccessPolicy::of(config, &homes, &accounts.reached);
    let reach = control
        .folder()
        .into_iter()
        .fold(reach, |reach, folder| reach.and(folder, PathAccess::Remove));
    let reach = if has_sources { logins::extend(reach, config) } else { reach };
    reach.and_for_reloads(config, plan.file.as_deref())
}
