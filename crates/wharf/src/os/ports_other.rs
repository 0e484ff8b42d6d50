//! Who has a port, where the system is not asked; and which ones Windows keeps for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::process::Command;

use super::{PortOwner, excluded_ranges};

/// Not known here.
pub(super) fn port_owner(_port: u16) -> Option<String> {
    None
}

/// Not known here.
pub(super) fn port_owners(_ports: &BTreeSet<u16>) -> BTreeMap<u16, PortOwner> {
    BTreeMap::new()
}

/// Not known here.
pub(super) fn ephemeral_ports() -> Option<RangeInclusive<u16>> {
    None
}

/// Not known here.
pub(super) fn reserved_ports() -> Vec<RangeInclusive<u16>> {
    Vec::new()
}

/// The ranges that Windows keeps for Hyper-V and others; none elsewhere.
pub(super) fn refused_ports() -> Vec<RangeInclusive<u16>> {
    if !cfg!(windows) {
        return Vec::new();
    }
    let words = ["interface", "ipv4", "show", "excludedportrange", "protocol=tcp"];
    let told = Command::new("netsh").args(words).output();
    told.map(|told| excluded_ranges(&String::from_utf8_lossy(&told.stdout))).unwrap_or_default()
}
