//! The HTTP client.

mod exchange;
mod response;

use std::sync::Arc;

use hyper::StatusCode;
use rustls::ClientConfig;
use serde::Serialize;
use wharf_core::async_trait;
use wharf_core::users::Attempt;

use super::HttpSettings;
use crate::endpoint::Scheme;
use crate::limit::ConcurrencyLimit;
use crate::source::{AuthBackend, AuthOutcome, AuthUnavailable, SourceOpenError};
use crate::tls;

/// The version of the request.
const VERSION: u32 = 1;

/// Reads the trusted certificates. Does not connect yet. Blocks.
///
/// # Errors
/// There are no trusted certificates.
pub fn open(settings: HttpSettings) -> Result<Arc<dyn AuthBackend>, SourceOpenError> {
    Ok(Arc::new(Http::new(settings)?))
}

/// A web service that authenticates users.
struct Http {
    settings: HttpSettings,
    tls: Option<Arc<ClientConfig>>,
    limit: ConcurrencyLimit,
}

/// The JSON request.
#[derive(Serialize)]
struct LoginRequest<'a> {
    version: u32,
    user: &'a str,
    password: &'a str,
    address: String,
    tls: bool,
}

impl Http {
    fn new(settings: HttpSettings) -> Result<Self, SourceOpenError> {
        let has_tls = settings.endpoint.scheme == Scheme::Https;
        let tls = has_tls.then(|| tls::client(settings.ca_file.as_deref())).transpose()?;
        Ok(Self {
            limit: ConcurrencyLimit::new(settings.connections, settings.time_max),
            settings,
            tls,
        })
    }

    async fn send(&self, request: &LoginRequest<'_>) -> Result<AuthOutcome, AuthUnavailable> {
        let failed =
            |why: String| AuthUnavailable::Broken(format!("{}: {why}", self.settings.endpoint));
        let body = serde_json::to_vec(request).map_err(|error| failed(error.to_string()))?;
        let exchanged = exchange::exchange(&self.settings, self.tls.as_ref(), body).await;
        let (status, body) = exchanged.map_err(failed)?;
        match status {
            StatusCode::OK => response::read(&body)
                .map(|external| AuthOutcome::Authenticated(Box::new(external)))
                .map_err(|why| failed(format!("invalid account in the response: {why}"))),
            StatusCode::NO_CONTENT => Ok(AuthOutcome::Unknown),
            StatusCode::UNAUTHORIZED => Ok(AuthOutcome::wrong()),
            StatusCode::FORBIDDEN => {
                Ok(AuthOutcome::rejected("rejected by the login service (403)"))
            }
            status if status.is_redirection() => {
                let number = status.as_u16();
                Err(failed(format!("unexpected status {number}: redirects are not followed")))
            }
            status => Err(failed(format!("unexpected status {}", status.as_u16()))),
        }
    }
}

#[async_trait]
impl AuthBackend for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    async fn authenticate(&self, attempt: &Attempt<'_>) -> Result<AuthOutcome, AuthUnavailable> {
        // JSON strings are UTF-8, and an empty password is always wrong.
        let password = match std::str::from_utf8(attempt.secret) {
            Ok(text) if !text.is_empty() => text,
            _ => return Ok(AuthOutcome::wrong()),
        };
        let request = LoginRequest {
            version: VERSION,
            user: attempt.user,
            password,
            address: attempt.peer.to_canonical().to_string(),
            tls: attempt.is_tls,
        };
        self.limit.run(self.send(&request)).await
    }
}
