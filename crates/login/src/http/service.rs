//! The service asked.

mod answer;
mod exchange;

use std::sync::Arc;

use hyper::StatusCode;
use rustls::ClientConfig;
use serde::Serialize;
use wharf_core::async_trait;
use wharf_core::users::Attempt;

use super::Settings;
use crate::endpoint::Scheme;
use crate::gate::Gate;
use crate::source::{OpenError, Source, Stopped, Verdict};
use crate::tls;

/// The version of what is asked.
const VERSION: u32 = 1;

/// Reads the certificates to trust. Connects to nobody yet. Blocks.
///
/// # Errors
/// There is nobody to trust.
pub fn open(settings: Settings) -> Result<Arc<dyn Source>, OpenError> {
    Ok(Arc::new(Http::new(settings)?))
}

/// A web service that proves passwords.
struct Http {
    settings: Settings,
    tls: Option<Arc<ClientConfig>>,
    gate: Gate,
}

/// What is asked.
#[derive(Serialize)]
struct Question<'a> {
    version: u32,
    user: &'a str,
    password: &'a str,
    address: String,
    tls: bool,
}

impl Http {
    fn new(settings: Settings) -> Result<Self, OpenError> {
        let has_tls = settings.endpoint.scheme == Scheme::Https;
        let tls = has_tls.then(|| tls::client(settings.ca_file.as_deref())).transpose()?;
        Ok(Self { gate: Gate::new(settings.connections, settings.time_max), settings, tls })
    }

    async fn ask(&self, question: &Question<'_>) -> Result<Verdict, Stopped> {
        let broken = |why: String| Stopped::Broken(format!("{}: {why}", self.settings.endpoint));
        let body = serde_json::to_vec(question).map_err(|error| broken(error.to_string()))?;
        let answered = exchange::exchange(&self.settings, self.tls.as_ref(), body).await;
        let (status, body) = answered.map_err(broken)?;
        match status {
            StatusCode::OK => answer::read(&body)
                .map(|proven| Verdict::Proven(Box::new(proven)))
                .map_err(|why| broken(format!("its answer is no account: {why}"))),
            StatusCode::NO_CONTENT => Ok(Verdict::Unknown),
            StatusCode::UNAUTHORIZED => Ok(Verdict::wrong()),
            StatusCode::FORBIDDEN => Ok(Verdict::refused("the login service forbids it")),
            status if status.is_redirection() => {
                let number = status.as_u16();
                Err(broken(format!("it answered {number}, and redirects are not followed")))
            }
            status => Err(broken(format!("it answered {}", status.as_u16()))),
        }
    }
}

#[async_trait]
impl Source for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    async fn prove(&self, attempt: &Attempt<'_>) -> Result<Verdict, Stopped> {
        // JSON holds text alone, and an empty password is nobody's.
        let password = match std::str::from_utf8(attempt.secret) {
            Ok(text) if !text.is_empty() => text,
            _ => return Ok(Verdict::wrong()),
        };
        let question = Question {
            version: VERSION,
            user: attempt.user,
            password,
            address: attempt.peer.to_canonical().to_string(),
            tls: attempt.is_tls,
        };
        self.gate.pass(self.ask(&question)).await
    }
}
