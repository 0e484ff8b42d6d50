//! Passive mode, for the program that embeds the server.

use std::net::Ipv4Addr;

use super::Handle;
use crate::diagnostics::DiagnosticsReport;

impl Handle {
    /// The passive-mode diagnostics: failed data connections by cause, and the number of successful
    /// ones.
    pub fn diagnosis(&self) -> DiagnosticsReport {
        let config = self.shared.config();
        self.shared.diagnostics.report(&config.settings.passive, self.shared.now())
    }

    /// Sets the address that PASV announces to clients outside `passive.local_networks`, in place
    /// of `passive.public_address`: for a host name of which the address has changed.
    /// [`Handle::adopt`] sets it again.
    pub fn set_public_address(&self, address: Option<Ipv4Addr>) {
        self.shared.set_public_address(address);
    }

    /// The address that PASV announces to clients outside `passive.local_networks`; `None` if it
    /// announces the same as to the others.
    pub fn public_address(&self) -> Option<Ipv4Addr> {
        self.shared.public_address()
    }
}
