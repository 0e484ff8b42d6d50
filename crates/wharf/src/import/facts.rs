//! Facts of accounts for which `users.toml` has no key. This is the one place to add a key to.

use wharf_users::file::Setting;
use wharf_users::units::format_size;

use super::model::{Account, Fact, Found};

/// The settings that an account's facts become. Those that become none are told.
pub(crate) fn settings(account: &Account, found: &mut Found) -> Vec<Setting> {
    let mut settings = Vec::new();
    for fact in &account.facts {
        if let Some(setting) = setting(fact) {
            settings.push(setting);
        } else {
            let name = account.name.escape_debug();
            let what = format!("account `{name}`: {}", described(fact));
            found.lost(&account.spot, what, "wharf has no such setting for an account yet");
        }
    }
    settings
}

/// What `users.toml` can say of it.
fn setting(fact: &Fact) -> Option<Setting> {
    match fact {
        Fact::Quota(_)
        | Fact::QuotaFiles(_)
        | Fact::Allow(_)
        | Fact::Deny(_)
        | Fact::Hours(_)
        | Fact::Expires(_)
        | Fact::Groups(_) => None,
    }
}

fn described(fact: &Fact) -> String {
    match fact {
        Fact::Quota(bytes) => format!("a quota of {}", format_size(*bytes)),
        Fact::QuotaFiles(files) => format!("a quota of {files} files"),
        Fact::Allow(networks) => format!("logins from {} only", networks.escape_debug()),
        Fact::Deny(networks) => format!("no logins from {}", networks.escape_debug()),
        Fact::Hours(hours) => format!("logins from {} only", hours.escape_debug()),
        Fact::Expires(day) => format!("no logins after {}", day.escape_debug()),
        Fact::Groups(groups) => format!("the groups {}", groups.escape_debug()),
    }
}
