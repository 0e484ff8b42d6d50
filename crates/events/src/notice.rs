//! An event that is ready to be told.

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
    /// An event by its name, as one JSON object, and as names and values. `id` is of this event
    /// alone; neither it nor `event` has spaces or control characters, and `body` is one line.
    pub fn new(id: String, event: &str, body: String, variables: Vec<(String, Vec<u8>)>) -> Self {
        Self(Arc::new(Parts { id, event: event.to_owned(), body, variables }))
    }

    /// What tells it from every other event.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Its name.
    pub fn event(&self) -> &str {
        &self.0.event
    }

    /// All of it as JSON.
    pub fn body(&self) -> &str {
        &self.0.body
    }

    /// All of it as names and values.
    pub fn variables(&self) -> &[(String, Vec<u8>)] {
        &self.0.variables
    }
}
