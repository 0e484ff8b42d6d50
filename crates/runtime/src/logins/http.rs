//! Authentication by an HTTP service, as configured.

use std::sync::Arc;

use wharf_config::Config;
use wharf_config::outcome::Failure;
use wharf_login::http::{HttpSettings, open};
use wharf_login::source::AuthBackend;
use zeroize::Zeroizing;

use super::{at_once, invalid, not_opened, secret};

/// Reads its files; no connection is opened yet.
pub(super) fn source(config: &Config) -> Result<Arc<dyn AuthBackend>, Failure> {
    let http = &config.http;
    let missing = || invalid("accounts.http.url is not set".to_owned());
    let key = secret::read_optional("accounts.http.secret_file", http.secret_file.0.as_deref())?;
    let settings = HttpSettings {
        endpoint: http.url.0.clone().ok_or_else(missing)?,
        ca_file: http.ca_file.0.clone(),
        token: secret::read_optional("accounts.http.token_file", http.token_file.0.as_deref())?,
        secret: key.map(|key| Zeroizing::new(key.as_bytes().to_vec())),
        connections: at_once(http.connections.0),
        time_max: http.timeout.0,
    };
    open(settings).map_err(|error| not_opened("accounts.http.ca_file", &error))
}
