//! The signature by which a receiver verifies a request: an HMAC over time and body.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wharf_core::hex;

/// The value of the header `Wharf-Signature`: `t=1700000000,v1=<64 hexadecimal digits>`, the
/// HMAC-SHA256 of `1700000000.<body>`. The time lets a receiver reject replays.
pub fn header(secret: &[u8], time: u64, body: &str) -> String {
    let mut out = format!("t={time},v1=");
    // A key may have any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) {
        mac.update(format!("{time}.").as_bytes());
        mac.update(body.as_bytes());
        out += &hex(&mac.finalize().into_bytes());
    }
    out
}

/// The folder name for an address: a hash, since addresses may contain secrets.
pub(super) fn folder_name(url: &str) -> String {
    let digest = Sha256::digest(url.as_bytes());
    hex(digest.get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by Python: `hmac.new(b"secret", b"1700000000.{}", "sha256")`.
    #[test]
    fn the_signature_equals_that_of_another_implementation() {
        assert_eq!(
            header(b"secret", 1_700_000_000, "{}"),
            "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
        );
        assert_ne!(header(b"secret", 1, "{}"), header(b"secreT", 1, "{}"));
    }
}
