//! Reports the outcome of each data port to the passive-mode diagnostics.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use wharf_core::event::Event;

use crate::data::{DataPort, OpenError, PassiveOffer};
use crate::diagnostics::{Cause, Observation, is_private};
use crate::session::Session;

/// A client that aborts its transfer sooner has not waited for its data connection.
const WAITED_MIN: Duration = Duration::from_secs(1);

/// The outcome of a data connection for which a transfer waited.
pub(crate) enum Opened<'a> {
    /// It was opened.
    Yes,
    /// It failed.
    No(&'a OpenError),
    /// The client aborted or disconnected while the server waited.
    GivenUp,
    /// The server ended it, which shows nothing about the network.
    Unknown,
}

impl Session {
    /// Releases the port for the next transfer. A port without a connection counts as a failure
    /// unless a transfer command was rejected: many clients connect first and send the command only
    /// then.
    pub(crate) fn give_up_port(&mut self) {
        let Some(DataPort::Passive { lease, offer, .. }) = self.data.take().map(|port| *port)
        else {
            return;
        };
        if !offer.was_rejected && !lease.has_arrived() {
            self.no_connection(offer);
        }
    }

    /// Notes that a transfer command was rejected: the client has no reason to connect.
    pub(crate) fn note_rejected_command(&mut self) {
        if let Some(DataPort::Passive { offer, .. }) = self.data.as_deref_mut() {
            offer.was_rejected = true;
        }
    }

    /// Learns from a transfer; `offer` is of its passive port, if it had one.
    pub(crate) fn observe(
        &self,
        offer: Option<PassiveOffer>,
        opened: &Opened<'_>,
        unexpected: &[IpAddr],
    ) {
        for peer in unexpected {
            self.shared.diagnostics.unexpected_peer(*peer);
        }
        let announced = offer.and_then(|offer| offer.announced);
        match (opened, offer) {
            (Opened::Yes, Some(_)) => {
                self.shared.diagnostics.arrived(self.handle.peer.ip(), self.shared.now());
            }
            (Opened::Yes | Opened::GivenUp, None) | (Opened::Unknown, _) => {}
            (Opened::GivenUp, Some(offer)) if offer.at.elapsed() < WAITED_MIN => {}
            (Opened::No(OpenError::TimedOut) | Opened::GivenUp, Some(offer)) => {
                match unexpected.first() {
                    Some(first) => {
                        self.diagnose(Cause::OtherAddress, first.to_string(), announced);
                    }
                    None => self.no_connection(offer),
                }
            }
            (Opened::No(error), offer) => {
                let (cause, detail) = cause_of(error, offer.is_some());
                self.diagnose(cause, detail, announced);
            }
        }
    }

    fn no_connection(&self, offer: PassiveOffer) {
        let peer = self.handle.peer.ip();
        let is_far = |announced: Ipv4Addr| is_private(announced.into()) && !is_private(peer);
        let cause = match offer.announced {
            _ if self.shared.diagnostics.was_unexpected_elsewhere(peer, offer.at) => {
                Cause::OtherPort
            }
            Some(announced) if is_far(announced) => Cause::AnnouncedPrivate,
            _ => Cause::NoConnection,
        };
        let detail = match (offer.announced, cause) {
            (None, _) => String::new(),
            (Some(announced), Cause::AnnouncedPrivate) => announced.to_string(),
            (Some(announced), _) => format!("PASV announced {announced}"),
        };
        self.diagnose(cause, detail, offer.announced);
    }

    /// Counts a failed data connection, and emits an event at most once per interval.
    pub(crate) fn diagnose(&self, cause: Cause, detail: String, announced: Option<Ipv4Addr>) {
        let observation = Observation { cause, detail, announced };
        let (peer, now) = (self.handle.peer.ip(), self.shared.now());
        let passive = &self.settings.passive;
        let Some(failure) = self.shared.diagnostics.failed(peer, &observation, passive, now) else {
            return;
        };
        let network = failure.network.to_string();
        let seen = cause.words();
        let reason = match failure.detail.as_str() {
            "" => seen.to_owned(),
            detail => format!("{seen} ({detail})"),
        };
        self.emit(&Event::DataConnectionDiagnosis {
            network: &network,
            cause: cause.name(),
            reason: &reason,
            failed: failure.failed,
            established: failure.arrived,
            hint: &failure.hint,
        });
    }
}

fn cause_of(error: &OpenError, is_passive: bool) -> (Cause, String) {
    match error {
        OpenError::TimedOut => (Cause::NoConnection, String::new()),
        OpenError::OtherAddress(first) => (Cause::OtherAddress, first.to_string()),
        OpenError::NotIdentified { .. } => (Cause::AmbiguousSession, String::new()),
        OpenError::Tls(error) => (Cause::TlsFailed, error.to_string()),
        OpenError::NotResumed => (Cause::NotResumed, String::new()),
        OpenError::Network(error) if is_passive => (Cause::System, error.to_string()),
        OpenError::Network(error) => (Cause::NotReached, error.to_string()),
    }
}
