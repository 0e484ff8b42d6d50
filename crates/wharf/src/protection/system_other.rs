//! Systems without Landlock and seccomp.

use super::ProtectionReport;
use super::reach::AccessPolicy;

/// Reports that no sandbox is available.
pub(super) fn confine(_reach: &AccessPolicy) -> ProtectionReport {
    ProtectionReport::off("wharf supports no sandbox on this system")
}

/// Not available.
pub(crate) fn has_openat2() -> bool {
    false
}
