//! Converts properties of imported accounts to settings of `users.toml`.

use wharf_config::outcome::counted;
use wharf_core::account::{Count, Size};
use wharf_users::file::{GROUPS_MAX, Setting, parse_network};
use wharf_users::hours::{Expiry, Hours};
use wharf_users::name::check_name;
use wharf_users::units::format_size;

use super::model::{AccountProperty, ImportResult, ImportedAccount};

/// Converts the properties of an account to settings. Those that cannot be converted are reported.
pub fn settings(account: &ImportedAccount, found: &mut ImportResult) -> Vec<Setting> {
    let mut settings = Vec::new();
    for fact in &account.facts {
        if let Some(setting) = setting(fact) {
            settings.push(setting);
        } else {
            let name = account.name.escape_debug();
            let what = format!("account `{name}`: {}", described(fact));
            found.lost(&account.location, what, hint(fact));
        }
    }
    settings
}

/// The setting of `users.toml`, if there is one.
fn setting(fact: &AccountProperty) -> Option<Setting> {
    match fact {
        AccountProperty::Quota(bytes) => Some(Setting::Quota(Size::from_bytes(*bytes))),
        AccountProperty::QuotaFiles(files) => {
            let files = u32::try_from(*files).unwrap_or(u32::MAX);
            Some(Setting::QuotaFiles(Count::from_number(files)))
        }
        AccountProperty::Allow(networks) => {
            let networks = networks.split([',', ';', ' ']).filter(|text| !text.is_empty());
            let networks: Option<Vec<_>> = networks.map(parse_network).collect();
            networks.filter(|networks| !networks.is_empty()).map(Setting::AllowedAddresses)
        }
        AccountProperty::Hours(hours) => {
            Hours::parse(hours.split(';').map(str::trim)).ok().map(Setting::Hours)
        }
        AccountProperty::Expires(day) => Expiry::parse(day).ok().map(Setting::Expires),
        AccountProperty::Groups(groups) => {
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
        AccountProperty::Deny(_) => None,
    }
}

/// The hint for a property that is not imported.
fn hint(fact: &AccountProperty) -> &'static str {
    match fact {
        AccountProperty::Deny(_) => {
            "set `allowed_addresses` of the account, or ban:  wharf ban add ADDRESS"
        }
        AccountProperty::Groups(_) => {
            "too many groups, or an invalid group name: set `groups` manually"
        }
        AccountProperty::Allow(_) => {
            "host names are not supported: set IP addresses in `allowed_addresses`"
        }
        AccountProperty::Hours(_) => "set `hours`, as in \"mon-fri 08:00-18:00\"",
        AccountProperty::Expires(_) => "set `expires` to the last day, as in \"2027-01-31\"",
        AccountProperty::Quota(_) | AccountProperty::QuotaFiles(_) => {
            "set `quota` or `quota_files`"
        }
    }
}

fn described(fact: &AccountProperty) -> String {
    match fact {
        AccountProperty::Quota(bytes) => format!("a quota of {}", format_size(*bytes)),
        AccountProperty::QuotaFiles(files) => format!("a quota of {}", counted(*files, "file")),
        AccountProperty::Allow(networks) => format!("logins from {} only", networks.escape_debug()),
        AccountProperty::Deny(networks) => format!("no logins from {}", networks.escape_debug()),
        AccountProperty::Hours(hours) => format!("logins from {} only", hours.escape_debug()),
        AccountProperty::Expires(day) => format!("no logins after {}", day.escape_debug()),
        AccountProperty::Groups(groups) => format!("the groups {}", groups.escape_debug()),
    }
}
