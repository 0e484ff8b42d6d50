//! What a file of accounts must do, in three parts.

mod editing;
mod groups;
mod logins;
mod reading;

use std::path::Path;

use super::{UserFile, UsersFileError};

/// A hash of LDAP, weaker than new hashes.
const OLD_HASH: &str = "{SSHA}rkVJUMZq30PQewwp3wBrVidgFF7PfliP7fbmkQ==";
/// The password of [`OLD_HASH`].
const OLD_SECRET: &[u8] = "Pier 39, Zürich".as_bytes();

/// Parses `text` as the content of `/etc/wharf/users.toml`.
fn parse(text: &str) -> Result<UserFile, UsersFileError> {
    UserFile::parse("/etc/wharf/users.toml", text)
}

/// Writes `text` to the file in place, with the required permissions.
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}
