//! What a start finds on the disk: its folder for state, what is its own, and what it serves.

use std::path::PathBuf;

use wharf_storage::ServerFiles;

use super::Plan;
use super::control::ControlSockets;
use crate::config::Config;
use crate::logins;
use crate::os::private_folder;
use crate::outcome::{Exit, Failure};
use crate::protection::own_files::{programs_in_homes, refuse_home, server_files};
use crate::protection::reach::{self, AccessPolicy, PathAccess};
use crate::wire::Accounts;

/// Makes what could not be made later. Where it cannot be made, whoever needs it says.
pub(super) fn make_state_folder(config: &Config) -> Result<(), Failure> {
    let folder = reach::state_folder(config);
    match private_folder(&folder) {
        // Not the system refuses it, but this program.
        Err(error) if error.get_ref().is_some() => {
            let message = format!("cannot use the state folder {}: {error}", folder.display());
            Err(Failure { exit: Exit::ConfigInvalid, ..Failure::new(message) }
                .help("name a folder below folders of root's alone: server.state_dir"))
        }
        _ => Ok(()),
    }
}

/// What is denied to every account. Warns of programs that lie where accounts write.
pub(super) fn own_files(plan: &Plan, accounts: &mut Accounts) -> Result<ServerFiles, Failure> {
    let (config, file) = (&plan.loaded.config, plan.file.as_deref());
    let homes = served(plan, accounts);
    let own = server_files(config, file, &plan.own_files, &homes);
    accounts.warnings.extend(programs_in_homes(config, file, &homes));
    if let Some(share) = &plan.share {
        refuse_home(&own, &share.folder)?;
    }
    Ok(own)
}

/// Every folder that is served, as far as that is known.
fn served(plan: &Plan, accounts: &Accounts) -> Vec<PathBuf> {
    let homes = accounts.homes.iter().map(|(_, home)| home.clone());
    let templated = logins::templated_homes(&plan.loaded.config);
    homes.chain(templated).chain(plan.share.as_ref().map(|share| share.folder.clone())).collect()
}

/// Everything that is reached from now on.
pub(super) fn reach(
    plan: &Plan,
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
