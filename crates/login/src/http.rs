//! A web service of one's own: asked with a JSON object, answers with a status and an account.
//!
//! `POST` with `{"version": 1, "user": …, "password": …, "address": …, "tls": …}`. Answers:
//! 200 with an account ([`answer`]) lets in, 401 and 403 refuse, 204 says that the name is not
//! known here, and everything else, redirects too, is a service that is broken.

pub mod answer;
mod exchange;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use rustls::ClientConfig;
use serde::Serialize;
use wharf_core::async_trait;
use wharf_core::users::Attempt;
use zeroize::Zeroizing;

use crate::endpoint::{Endpoint, Scheme};
use crate::gate::Gate;
use crate::source::{Source, Stopped, Verdict};
use crate::tls::{self, RootsError};

/// The version of what is asked.
const VERSION: u32 = 1;

/// Everything about a login service.
#[derive(Clone)]
pub struct Settings {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The authorities to trust, as PEM; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<Zeroizing<String>>,
    /// Signs what is asked, see [`SIGNATURE_HEADER`].
    pub secret: Option<Zeroizing<Vec<u8>>>,
    /// Logins at once, each with a connection.
    pub connections: NonZeroUsize,
    /// How long one login may take.
    pub time_max: Duration,
}

pub use exchange::{SIGNATURE_HEADER, TIME_HEADER};

/// A web service that proves passwords.
pub struct Http {
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
    /// Reads the certificates to trust. Connects to nobody yet. Blocks.
    ///
    /// # Errors
    /// There is nobody to trust.
    pub fn new(settings: Settings) -> Result<Self, RootsError> {
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
