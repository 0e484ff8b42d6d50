//! Facts of accounts, as settings of `users.toml`; the one place to add another to.

use wharf_core::account::{Count, Size};
use wharf_users::file::{GROUPS_MAX, Setting, parse_network};
use wharf_users::hours::{Expiry, Hours};
use wharf_users::name::check_name;
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
            found.lost(&account.spot, what, remedy(fact));
        }
    }
    settings
}

/// What `users.toml` can say of it.
fn setting(fact: &Fact) -> Option<Setting> {
    match fact {
        Fact::Quota(bytes) => Some(Setting::Quota(Size::from_bytes(*bytes))),
        Fact::QuotaFiles(files) => {
            let files = u32::try_from(*files).unwrap_or(u32::MAX);
            Some(Setting::QuotaFiles(Count::from_number(files)))
        }
        Fact::Allow(networks) => {
            let networks = networks.split([',', ';', ' ']).filter(|text| !text.is_empty());
            let networks: Option<Vec<_>> = networks.map(parse_network).collect();
            networks.filter(|networks| !networks.is_empty()).map(Setting::AllowedAddresses)
        }
        Fact::Hours(hours) => {
            Hours::parse(hours.split(';').map(str::trim)).ok().map(Setting::Hours)
        }
        Fact::Expires(day) => Expiry::parse(day).ok().map(Setting::Expires),
        Fact::Groups(groups) => {
            let mut names: Vec<String> = Vec::new();
            for name in groups.split([',', ';']).map(str::trim).filter(|name| !name.is_empty()) {
                if check_name(name).is_err() {
                    return None;
                }
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
            let is_some = (1..=GROUPS_MAX).contains(&names.len());
            is_some.then_some(Setting::Groups(names))
        }
        Fact::Deny(_) => None,
    }
}

/// Why it is not carried over.
fn remedy(fact: &Fact) -> &'static str {
    match fact {
        Fact::Deny(_) => "wharf knows the addresses from which an account may log in, and bans",
        Fact::Groups(_) => {
            "they are too many, or one cannot be a name: write those that matter in `groups`"
        }
        Fact::Allow(_) => "names of hosts cannot be given: write addresses in `allowed_addresses`",
        Fact::Hours(_) => "write them in `hours`, as in \"mon-fri 08:00-18:00\"",
        Fact::Expires(_) => "write the last day in `expires`, as in \"2027-01-31\"",
        Fact::Quota(_) | Fact::QuotaFiles(_) => "write it in `quota` or `quota_files`",
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
