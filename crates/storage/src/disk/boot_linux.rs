//! Which run of the system this is.

use std::sync::LazyLock;

/// An identity that is new each time the system is started; empty where it cannot be read.
pub(super) fn identity() -> &'static [u8] {
    static IDENTITY: LazyLock<Vec<u8>> =
        LazyLock::new(|| std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default());
    &IDENTITY
}
