//! Sends one request over HTTP or HTTPS.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::{Spooled, WebhookSettings};

/// The server's response to an event.
pub(super) enum DeliveryResult {
    /// Accepted (2xx).
    Accepted,
    /// Rejected as invalid (4xx), or redirected.
    Rejected(String),
    /// No response, or a temporary failure.
    Retry(String),
}

/// An HTTP client for one address.
pub(super) struct Sender {
    agent: Agent,
    url: String,
}

impl Sender {
    /// Reads the CA certificates, which a sandboxed process could not read later.
    pub(super) fn new(settings: &WebhookSettings) -> Result<Self, String> {
        let roots = if settings.url.starts_with("https:") {
            let roots = match &settings.authorities {
                Some(pem) => from_pem(pem)?,
                None => of_system()?,
            };
            RootCerts::Specific(Arc::new(roots))
        } else {
            RootCerts::Specific(Arc::new(Vec::new()))
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(roots)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(settings.time_max))
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(None)
            .user_agent(&settings.agent)
            .build();
        Ok(Self { agent: Agent::new_with_config(config), url: settings.url.clone() })
    }

    /// Sends one event. The body of the response is not read.
    pub(super) fn send(&self, spooled: &Spooled, signature: Option<&str>) -> DeliveryResult {
        let mut request = self
            .agent
            .post(&self.url)
            .header("Content-Type", "application/json")
            .header("Wharf-Event", &spooled.event)
            .header("Wharf-Delivery", &spooled.id);
        if let Some(signature) = signature {
            request = request.header("Wharf-Signature", signature);
        }
        let status = match request.send(&spooled.body) {
            Ok(response) => response.status().as_u16(),
            Err(error) => return DeliveryResult::Retry(error.to_string()),
        };
        match status {
            200..=299 => DeliveryResult::Accepted,
            300..=399 => {
                DeliveryResult::Rejected(format!("status {status}; redirects are not followed"))
            }
            408 | 425 | 429 => DeliveryResult::Retry(format!("status {status}")),
            400..=499 => DeliveryResult::Rejected(format!("status {status}")),
            _ => DeliveryResult::Retry(format!("status {status}")),
        }
    }
}

fn from_pem(pem: &[u8]) -> Result<Vec<Certificate<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| format!("invalid PEM in ca_file: {error}"))?;
    if certificates.is_empty() {
        return Err("no certificate in ca_file".to_owned());
    }
    Ok(certificates.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
}

fn of_system() -> Result<Vec<Certificate<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(format!(
            "cannot read the CA certificates of this system{why}; install them \
             (ca-certificates), or set ca_file"
        ));
    }
    Ok(found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
}
