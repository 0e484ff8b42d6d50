//! The transfer log in the xferlog format of wu-ftpd, which statistics tools read.
//!
//! `Sun Nov 22 15:07:41 2026 2 192.0.2.7 4299000 /photo.jpg b _ i r anna ftp 0 * c`: time, seconds,
//! client, bytes, name, `a`scii or `b`inary, no special action, `i`ncoming or `o`utgoing, `r`eal or
//! `a`nonymous, account, service, no authentication service, no user of it, `c`omplete or not.
//! Names are percent-encoded where they would break the columns, so that they can be decoded.

use std::fmt::Write as _;

use wharf_core::event::{ClientInfo, Direction, Transferred};
use wharf_users::anonymous::ANONYMOUS_NAMES;

use super::line::address;
use super::time::LogTime;

/// Formats the line of a transfer, with its line end.
pub(crate) fn line(now: &LogTime, client: &ClientInfo, transfer: &Transferred<'_>) -> String {
    let user = client.user.as_deref().unwrap_or("-");
    let is_anonymous = ANONYMOUS_NAMES.iter().any(|name| name.eq_ignore_ascii_case(user));
    // At least one second, since some tools divide by it.
    let seconds = transfer.took.as_secs().max(1);
    format!(
        "{} {seconds} {} {} {} {} _ {} {} {} ftp 0 * {}\n",
        now.xferlog(),
        address(client.peer.ip()),
        transfer.bytes,
        encoded(transfer.path.as_bytes()),
        if transfer.is_ascii { 'a' } else { 'b' },
        match transfer.direction {
            Direction::Upload => 'i',
            Direction::Download => 'o',
        },
        if is_anonymous { 'a' } else { 'r' },
        encoded(user.as_bytes()),
        if transfer.is_complete { 'c' } else { 'i' },
    )
}

/// Keeps visible ASCII except `%`; every other byte becomes `%NN`.
fn encoded(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for &byte in name {
        if byte.is_ascii_graphic() && byte != b'%' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
