//! The account that all servers have, and their certificate.

use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};

use crate::bench::paths::{make_folder, set_mode, write};

/// An account, and the system user that the servers run as.
#[derive(Clone, Debug)]
pub(crate) struct BenchAccount {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Whether this process runs as root, and so can change the user.
    pub(crate) is_root: bool,
}

/// The user name.
pub(crate) const USER: &str = "bench";
/// The password. It is valid only on servers on the loopback interface, for seconds.
pub(crate) const PASSWORD: &str = "quayside";
/// The same as crypt(3) with DES, which costs microseconds, so that the server is measured and not
/// the hash.
pub(crate) const PASSWORD_DES: &str = "wbq8tf4PFp4Pw";
/// The same for wharf: the cheapest hash that it reads.
pub(crate) const PASSWORD_SSHA: &str = "{SSHA}2ovpBvSFw6k8gBftxBQCAyd+Qoh3aGFyZmJlbg==";
/// `nobody` on every Linux: the user of servers that drop privileges.
const NOBODY: u32 = 65_534;

impl BenchAccount {
    /// For root it is `nobody`, since files should not be served as root; else the current user.
    pub(crate) fn find() -> Self {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        if uid.is_root() {
            return Self { uid: NOBODY, gid: NOBODY, is_root: true };
        }
        Self { uid: uid.as_raw(), gid: gid.as_raw(), is_root: false }
    }

    /// Changes the owner of a file or folder to the account.
    pub(crate) fn own(&self, path: &Path) -> Result<(), String> {
        if !self.is_root {
            return Ok(());
        }
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .map_err(|error| format!("cannot change the owner of {}: {error}", path.display()))
    }
}

/// A self-signed certificate for the loopback interface, in files.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFiles {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    /// Key and certificate in one file, for Pure-FTPd.
    pub(crate) both: PathBuf,
}

impl CertificateFiles {
    /// Makes one in `folder`, readable by the account.
    pub(crate) fn make(folder: &Path, account: &BenchAccount) -> Result<Self, String> {
        make_folder(folder)?;
        let key = KeyPair::generate().map_err(|error| format!("cannot generate a key: {error}"))?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made =
            CertificateParams::new(names).and_then(|parameters| parameters.self_signed(&key));
        let certificate =
            made.map_err(|error| format!("cannot generate a certificate: {error}"))?.pem();
        let key = key.serialize_pem();
        let files = Self {
            chain: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            both: folder.join("both.pem"),
        };
        write(&files.chain, &certificate)?;
        write_secret(&files.key, &key, account)?;
        write_secret(&files.both, &format!("{key}{certificate}"), account)?;
        Ok(files)
    }
}

/// Writes a file that only the account may read.
pub(crate) fn write_secret(path: &Path, text: &str, account: &BenchAccount) -> Result<(), String> {
    write(path, text)?;
    set_mode(path, 0o600)?;
    account.own(path)
}
