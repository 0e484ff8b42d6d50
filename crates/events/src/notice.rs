//! An event that is ready to be delivered.

use std::sync::Arc;

/// One event. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice(Arc<Parts>);

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    id: String,
    event: String,
    body: String,
    variables: Vec<(String, Vec<u8>)>,
}

impl Notice {
    /// An event by its name, as one JSON object, and as names and values. `id` is unique to this
    /// event; neither it nor `event` has spaces or control characters, and `body` is one line.
    pub fn new(id: String, event: &str, body: String, variables: Vec<(String, Vec<u8>)>) -> Self {
        Self(Arc::new(Parts { id, event: event.to_owned(), body, variables }))
    }

    /// The unique id.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The event's name.
    pub fn event(&self) -> &str {
        &self.0.event
    }

    /// The event as JSON.
    pub fn body(&self) -> &str {
        &self.0.body
    }

    /// The event as names and values.
    pub fn variables(&self) -> &[(String, Vec<u8>)] {
        &self.0.variables
    }
}
