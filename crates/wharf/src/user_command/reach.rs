//! Warns of homes and folders that the running server can open only after a restart.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use wharf_config::outcome::print_error;
use wharf_runtime::accounts::all_records;
use wharf_users::admin::UserAdmin;
use wharf_users::file::{NAME_MARK, UserRecord};

use super::waits;
use crate::cli::GlobalArgs;
use crate::cli::running_server::SocketArgs;
use crate::running_server::{RESTART, beyond_sandbox, client, server_of};

/// Number of members of a group that are checked; one warning suffices.
const MEMBERS_MAX: usize = 1000;

/// The home and virtual folders of an account, its own or those of its groups. Errors of the store
/// are ignored, since the change itself succeeded.
pub(super) async fn of_user(store: &dyn UserAdmin, name: &str) -> Vec<PathBuf> {
    let found = store.find(name).await.ok().flatten();
    found.map(|record| shown(store, &record)).unwrap_or_default()
}

/// The folders of the members of a group, including future ones.
pub(super) async fn of_group(store: &dyn UserAdmin, name: &str) -> Vec<PathBuf> {
    let groups = store.groups().await.unwrap_or_default();
    let Some(group) = groups.iter().find(|group| group.name == name) else { return Vec::new() };
    let paths = group.folders.iter().map(|folder| folder.target.as_path());
    let paths = std::iter::once(group.home.as_path()).chain(paths);
    let mut all: Vec<PathBuf> = paths
        .filter(|path| !path.as_os_str().is_empty())
        .map(|path| store.folder().join(before_name(path)))
        .collect();
    let all_records = all_records(store).await.unwrap_or_default();
    let members =
        all_records.iter().filter(|record| record.groups.iter().any(|group| group == name));
    all.extend(members.take(MEMBERS_MAX).flat_map(|record| shown(store, record)));
    all
}

fn shown(store: &dyn UserAdmin, record: &UserRecord) -> Vec<PathBuf> {
    let account = record.account(store.folder(), Timestamp::now());
    let folders = account.folders.into_iter().map(|folder| folder.target);
    std::iter::once(account.home).chain(folders).collect()
}

/// The part of a path that is common to all members.
fn before_name(path: &Path) -> PathBuf {
    let has_name =
        |part: &std::path::Component<'_>| part.as_os_str().to_string_lossy().contains(NAME_MARK);
    path.components().take_while(|part| !has_name(part)).collect()
}

/// Warns of the first folder that the running server cannot open.
pub(super) fn note_sandbox(global: &GlobalArgs, file: Option<&Path>, folders: &[PathBuf]) {
    if folders.is_empty() {
        return;
    }
    let file = file.map(|file| {
        std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string()
    });
    let client = client(global, &SocketArgs { socket: None });
    let Ok(Some(server)) = waits(server_of(&client, file.as_deref(), false)) else { return };
    if let Some(why) = folders.iter().find_map(|folder| beyond_sandbox(&server, folder)) {
        print_error(&format!("warning: {why}; {RESTART}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_groups_folder_is_known_up_to_the_name_of_the_member() {
        for (path, before) in
            [("/srv/%u/in", "/srv"), ("/srv/x-%u", "/srv"), ("/srv/ftp", "/srv/ftp"), ("%u", "")]
        {
            assert_eq!(before_name(Path::new(path)), Path::new(before), "{path}");
        }
    }
}
