//! Authentication by an LDAP directory, as configured.

use std::sync::Arc;

use wharf_config::Config;
use wharf_config::outcome::Failure;
use wharf_login::ldap::{Attributes, BindPassword, EntryLookup, LdapSettings, open};
use wharf_login::source::AuthBackend;

use super::{at_once, not_opened, secret};

/// Reads its files; no connection is opened yet.
pub(super) fn source(config: &Config) -> Result<Arc<dyn AuthBackend>, Failure> {
    let ldap = &config.ldap;
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    let password = secret::read_optional(
        "accounts.ldap.bind_password_file",
        ldap.bind_password_file.0.as_deref(),
    )?;
    let lookup = match text(&ldap.user_dn) {
        Some(template) => EntryLookup::Template(template),
        None => EntryLookup::Search {
            binder: text(&ldap.bind_dn)
                .zip(password.map(|password| BindPassword::new(password.as_str().to_owned()))),
            base: ldap.base.clone(),
            filter: ldap.filter.clone(),
        },
    };
    let settings = LdapSettings {
        servers: ldap.urls.0.clone(),
        starts_tls: ldap.start_tls,
        ca_file: ldap.ca_file.0.clone(),
        lookup,
        group: text(&ldap.group),
        name_attribute: ldap.name_attribute.clone(),
        attributes: Attributes {
            home: ldap.home_attribute.clone(),
            permissions: ldap.permissions_attribute.clone(),
            quota: ldap.quota_attribute.clone(),
        },
        connections: at_once(ldap.connections.0),
        time_max: ldap.timeout.0,
    };
    open(settings).map_err(|error| not_opened("accounts.ldap.ca_file", &error))
}
