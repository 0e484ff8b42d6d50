//! Detection of containers, cloud providers and firewalls on other systems.

use super::Firewall;

/// Not detected.
pub(super) fn container() -> Option<&'static str> {
    None
}

/// Not detected.
pub(super) fn cloud() -> Option<&'static str> {
    None
}

/// The firewall of the system.
pub(super) fn firewall() -> Option<Firewall> {
    cfg!(windows).then_some(Firewall::Windows)
}
