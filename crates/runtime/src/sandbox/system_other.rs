//! Systems without Landlock and seccomp.

use super::SandboxReport;
use super::reach::AccessPolicy;

/// Reports that no sandbox is available.
pub(super) fn confine(_reach: &AccessPolicy) -> SandboxReport {
    SandboxReport::off("wharf supports no sandbox on this system")
}

/// Not available.
pub fn has_openat2() -> bool {
    false
}
