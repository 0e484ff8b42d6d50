//! Authentication by PAM, as configured.

use std::sync::Arc;

use wharf_config::Config;
use wharf_config::outcome::Failure;
use wharf_login::pam::{PamSettings, open};
use wharf_login::source::AuthBackend;

use super::{at_once, not_opened};

/// Starts the helper, which keeps the initial privileges.
pub(super) fn start(config: &Config) -> Result<Arc<dyn AuthBackend>, Failure> {
    let settings = PamSettings {
        service: config.pam.service.clone(),
        at_once: at_once(config.pam.connections.0),
        time_max: config.pam.timeout.0,
    };
    let program = std::env::current_exe()
        .map_err(|error| Failure::io("cannot determine the path of this program", &error))?;
    open(&settings, &program).map_err(|error| not_opened("accounts.auth_backends", &error))
}
