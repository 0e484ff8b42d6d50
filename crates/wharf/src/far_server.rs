//! A server elsewhere: how it is written, where it is, and which certificates will do.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::outcome::Failure;

/// The host and the port in `HOST`, `HOST:PORT` or `[IPv6]:PORT`; `usual` where there is none.
///
/// # Errors
/// It is none of them.
pub(crate) fn split(text: &str, usual: u16) -> Result<(String, u16), Failure> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok((address.ip().to_string(), address.port()));
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok((bare.to_owned(), usual));
    }
    let wrong = || {
        Failure::usage(format!("`{text}` is no server"))
            .help("write HOST, HOST:PORT or [IPv6]:PORT, such as ftp.example.com:2121")
    };
    let (host, port) = match text.split_once(':') {
        None => (text, usual),
        Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
    };
    if host.is_empty() || host.contains('/') || port == 0 {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}

/// The first address of a host.
///
/// # Errors
/// Nobody knows it.
pub(crate) fn resolve(host: &str, port: u16) -> Result<SocketAddr, Failure> {
    let unknown = || Failure::new(format!("there is no server `{host}`")).help("is it spelled so?");
    let mut addresses = (host, port).to_socket_addrs().map_err(|_| unknown())?;
    addresses.next().ok_or_else(unknown)
}

/// The certificates in a file.
///
/// # Errors
/// It cannot be read, or has none.
pub(crate) fn roots(file: &Path) -> Result<RootCertStore, Failure> {
    let shown = file.display();
    let text = std::fs::read(file)
        .map_err(|error| Failure::io(format!("cannot read certificates from {shown}"), &error))?;
    let certificates = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
    let mut roots = RootCertStore::empty();
    // One that cannot be read is no reason to distrust the others.
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(Failure::new(format!("there is no certificate in {shown}"))
            .help("it must be PEM, with lines such as -----BEGIN CERTIFICATE-----"));
    }
    Ok(roots)
}

/// The certificates that the system trusts, from the places where systems keep them.
///
/// # Errors
/// There are none.
pub(crate) fn system_roots() -> Result<RootCertStore, Failure> {
    let named = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    let known = SYSTEM_ROOTS.iter().map(std::path::PathBuf::from);
    let file = named.into_iter().chain(known).find(|file| file.is_file());
    let file = file.ok_or_else(|| {
        Failure::new("this system's trusted certificates were not found")
            .help("name them with --ca FILE, or take any certificate with --insecure")
    })?;
    roots(&file)
}

/// Debian, Fedora, SUSE, Alpine and macOS.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Exit;

    #[test]
    fn servers_are_written_in_many_ways() {
        for (text, usual, host, port) in [
            ("ftp.example.com", 21, "ftp.example.com", 21),
            ("ftp.example.com", 990, "ftp.example.com", 990),
            ("nas:2121", 990, "nas", 2121),
            ("192.0.2.7:2121", 21, "192.0.2.7", 2121),
            ("::1", 21, "::1", 21),
            ("[::1]", 21, "::1", 21),
            ("[2001:db8::1]:990", 21, "2001:db8::1", 990),
        ] {
            assert_eq!(split(text, usual), Ok((host.to_owned(), port)), "{text}");
        }
        for text in ["", ":21", "a:0", "a:b", "ftp://a", "a:21:21", "a:99999"] {
            assert_eq!(split(text, 21).unwrap_err().exit, Exit::Usage, "{text}");
        }
    }
}
