//! The password hash of old Unix systems, `$1$salt$result`, which `ftpasswd` of `ProFTPD` creates.
//!
//! It is weak: a thousand rounds of MD5 that need no memory. It is verified so that accounts can be
//! migrated with their passwords, and replaced at the first login.

use md5::{Digest, Md5};

/// The most letters of the salt that count.
const SALT_BYTES_MAX: usize = 8;
/// The letters of the result, six bits each.
const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// How many letters the result has.
pub(crate) const RESULT_LETTERS: usize = 22;
const ROUNDS: usize = 1000;
const MAGIC: &[u8] = b"$1$";

/// The result letters for this password and salt.
pub(crate) fn result(secret: &[u8], salt: &[u8]) -> String {
    let salt = salt.get(..SALT_BYTES_MAX).unwrap_or(salt);
    let inner = Md5::new().chain_update(secret).chain_update(salt).chain_update(secret).finalize();
    let mut first = Md5::new().chain_update(secret).chain_update(MAGIC).chain_update(salt);
    let repeated = inner.iter().copied().cycle().take(secret.len());
    first.update(repeated.collect::<Vec<u8>>());
    // One byte for each bit of the length, from the lowest: a NUL, or the password's first.
    let mut bits = secret.len();
    while bits > 0 {
        first.update([if bits % 2 == 1 { 0 } else { secret.first().copied().unwrap_or(0) }]);
        bits /= 2;
    }
    let mut digest = first.finalize();
    for round in 0..ROUNDS {
        let is_odd = round % 2 == 1;
        let mut next = Md5::new();
        if is_odd {
            next.update(secret);
        } else {
            next.update(digest);
        }
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(secret);
        }
        if is_odd {
            next.update(digest);
        } else {
            next.update(secret);
        }
        digest = next.finalize();
    }
    written(&digest.into())
}

/// Sixteen bytes as letters, in an order of their own.
fn written(digest: &[u8; 16]) -> String {
    let [a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, last, c0, c1, c2, c3] = *digest;
    let groups = [(a0, b0, c0), (a1, b1, c1), (a2, b2, c2), (a3, b3, c3), (a4, b4, a5)];
    let mut text = String::with_capacity(RESULT_LETTERS);
    for (high, middle, low) in groups {
        let bits = u32::from(high) << 16 | u32::from(middle) << 8 | u32::from(low);
        text.extend((0..4).map(|place| letter(bits >> (6 * place))));
    }
    text.extend((0..2).map(|place| letter(u32::from(last) >> (6 * place))));
    text
}

/// The letter for the lowest six bits.
fn letter(bits: u32) -> char {
    let index = usize::try_from(bits % 64).unwrap_or_default();
    LETTERS.get(index).copied().map_or('.', char::from)
}
