//! A build without an HTTP client.

use std::convert::Infallible;

use super::{Spooled, WebhookSettings};

/// The server's response to an event.
#[expect(dead_code, reason = "the other build has them")]
pub(super) enum DeliveryResult {
    Accepted,
    Rejected(String),
    Retry(String),
}

/// Never constructed.
pub(super) struct Sender(Infallible);

impl Sender {
    pub(super) fn new(_settings: &WebhookSettings) -> Result<Self, String> {
        Err("webhooks are not available: built without the feature `webhooks`".to_owned())
    }

    pub(super) fn send(&self, _spooled: &Spooled, _signature: Option<&str>) -> DeliveryResult {
        match self.0 {}
    }
}
