//! Types of values of an account.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use sha2::{Digest as _, Sha256};
use wharf_core::account::{Count, Size};
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;

/// A folder outside of the home, seen in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderRecord {
    /// Where clients see it.
    pub path: VPath,
    /// The target as written, relative to the folder of the file.
    pub target: PathBuf,
    /// The permissions there; if absent, the rules of the account for this path.
    pub permissions: Option<Permissions>,
    /// How many bytes it may store, counted separately from the home.
    pub quota: Option<Size>,
    /// How many files and folders it may hold.
    pub quota_files: Option<Count>,
}

/// A password's hash. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHash(String);

impl StoredHash {
    /// The hash as text, for storing and verifying.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Distinguishes accounts of one name: a new account has a password hash with another salt.
    pub(super) fn instance(&self) -> [u8; 16] {
        let digest = Sha256::new().chain_update("instance").chain_update(&self.0).finalize();
        let mut instance = [0; 16];
        instance.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        instance
    }

    /// Whether it can ever be met: it is a hash, not a mark for "no password" such as `!`.
    pub fn is_usable(&self) -> bool {
        crate::password::looks_like_hash(&self.0)
    }
}

impl From<String> for StoredHash {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("StoredHash(…)")
    }
}

/// A single address as such.
pub fn shown_network(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// A network, or an address as a network of one.
pub fn parse_network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    address.ok().or_else(|| text.parse::<IpNet>().map(|network| network.trunc()).ok())
}

/// Why a text is neither an address nor a network.
#[must_use]
pub fn network_fault(text: &str) -> &'static str {
    let parts = text.trim().split_once('/');
    let parts = parts.and_then(|(address, length)| {
        length.parse::<u32>().ok().and_then(|_| address.parse::<IpAddr>().ok())
    });
    match parts {
        Some(IpAddr::V4(_)) => "the prefix length is above 32",
        Some(IpAddr::V6(_)) => "the prefix length is above 128",
        None => "not an address or network",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_length_out_of_range_is_named() {
        assert_eq!(network_fault("10.0.0.0/99"), "the prefix length is above 32");
        assert_eq!(network_fault("2001:db8::/129"), "the prefix length is above 128");
        for text in ["somewhere", "10.0.0", "10.0.0.0/", "10.0.0.0/8x", "x/99"] {
            assert_eq!(network_fault(text), "not an address or network", "{text}");
        }
        assert!(parse_network("10.0.0.0/32").is_some() && parse_network("10.0.0.0/33").is_none());
    }
}
