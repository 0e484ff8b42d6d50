//! Identity of the current boot.

use std::sync::LazyLock;

/// An identifier that changes with each boot; empty if it cannot be read.
pub(super) fn identity() -> &'static [u8] {
    static IDENTITY: LazyLock<Vec<u8>> =
        LazyLock::new(|| std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default());
    &IDENTITY
}
