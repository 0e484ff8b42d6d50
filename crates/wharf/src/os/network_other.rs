//! Where this system stands, where Linux does not say it.

use super::Firewall;

/// Not known here.
pub(super) fn container() -> Option<&'static str> {
    None
}

/// Not known here.
pub(super) fn cloud() -> Option<&'static str> {
    None
}

/// The one that comes with the system.
pub(super) fn firewall() -> Option<Firewall> {
    cfg!(windows).then_some(Firewall::Windows)
}
