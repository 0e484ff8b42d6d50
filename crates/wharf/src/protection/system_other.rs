//! Systems without Landlock and seccomp.

use super::Report;
use super::reach::AccessPolicy;

/// Confines nothing, and says so.
pub(super) fn confine(_reach: &AccessPolicy) -> Report {
    Report::off("this system has no sandbox that wharf knows")
}

/// No such call is known here.
pub(crate) fn has_openat2() -> bool {
    false
}
