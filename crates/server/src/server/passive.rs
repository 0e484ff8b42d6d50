//! Passive mode, as the program that runs a server sees and changes it.

use std::net::Ipv4Addr;

use super::Handle;
use crate::diagnostics::DiagnosticsReport;

impl Handle {
    /// Why data connections did not come to be, and how many did.
    pub fn diagnosis(&self) -> DiagnosticsReport {
        let config = self.shared.config();
        self.shared.diagnostics.report(&config.settings.passive, self.shared.now())
    }

    /// What PASV announces from now on to clients outside `passive.local_networks`, in place of
    /// `passive.public_address`: for a host name whose address has changed. [`Handle::adopt`] sets
    /// it anew.
    pub fn set_public_address(&self, address: Option<Ipv4Addr>) {
        self.shared.set_public_address(address);
    }

    /// What PASV announces to clients outside `passive.local_networks`; nothing if it announces
    /// the same as to the others.
    pub fn public_address(&self) -> Option<Ipv4Addr> {
        self.shared.public_address()
    }
}
