//! Port owners, on systems without support, and the port ranges reserved by Windows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::process::Command;

use super::{PortOwner, excluded_ranges};

/// Not available.
pub(super) fn port_owner(_port: u16) -> Option<String> {
    None
}

/// Not available.
pub(super) fn port_owners(_ports: &BTreeSet<u16>) -> BTreeMap<u16, PortOwner> {
    BTreeMap::new()
}

/// Not available.
pub(super) fn ephemeral_ports() -> Option<RangeInclusive<u16>> {
    None
}

/// Not available.
pub(super) fn reserved_ports() -> Vec<RangeInclusive<u16>> {
    Vec::new()
}

/// The ranges reserved by Windows for Hyper-V and others; none on other systems.
pub(super) fn rejected_ports() -> Vec<RangeInclusive<u16>> {
    if !cfg!(windows) {
        return Vec::new();
    }
    let words = ["interface", "ipv4", "show", "excludedportrange", "protocol=tcp"];
    let reported = Command::new("netsh").args(words).output();
    reported
        .map(|reported| excluded_ranges(&String::from_utf8_lossy(&reported.stdout)))
        .unwrap_or_default()
}
