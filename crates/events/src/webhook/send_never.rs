//! A build without an HTTP client.

use std::convert::Infallible;

use super::{Settings, Spooled};

/// What a server made of an event.
#[expect(dead_code, reason = "the other build has them")]
pub(super) enum Answer {
    Taken,
    Wrong(String),
    Later(String),
}

/// Nobody.
pub(super) struct Sender(Infallible);

impl Sender {
    pub(super) fn new(_settings: &Settings) -> Result<Self, String> {
        Err("this wharf was built without webhooks (the feature `webhooks`)".to_owned())
    }

    pub(super) fn send(&self, _spooled: &Spooled, _signature: Option<&str>) -> Answer {
        match self.0 {}
    }
}
