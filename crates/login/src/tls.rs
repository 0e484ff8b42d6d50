//! The trusted certificate authorities.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::source::SourceOpenError;

/// TLS that trusts the authorities of `ca_file` alone, or those of the system. Blocks.
pub(crate) fn client(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, SourceOpenError> {
    let roots = match ca_file {
        Some(path) => of_file(path)?,
        None => of_system()?,
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SourceOpenError::NoRoots { why: error.to_string() })?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn of_file(path: &Path) -> Result<RootCertStore, SourceOpenError> {
    let wrong = |why: String| SourceOpenError::Roots { path: path.to_owned(), why };
    let mut roots = RootCertStore::empty();
    let file = wharf_core::trusted_file::open(path).map_err(|error| wrong(error.to_string()))?;
    for certificate in CertificateDer::pem_reader_iter(file) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("no certificate found".to_owned()));
    }
    Ok(roots)
}

fn of_system() -> Result<RootCertStore, SourceOpenError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(|| "none was found".into(), ToString::to_string);
        return Err(SourceOpenError::NoRoots { why });
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_reported_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert!(client(Some(&path)).unwrap_err().to_string().contains("ca.pem"));
        std::fs::write(&path, "hello").unwrap();
        let error = client(Some(&path)).unwrap_err().to_string();
        assert!(error.ends_with("ca.pem: no certificate found"), "{error}");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&path, made.cert.pem()).unwrap();
        assert!(client(Some(&path)).is_ok());
    }
}
