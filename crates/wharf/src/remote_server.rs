//! Remote servers: parsing, resolving and connecting, and the trusted root certificates.

use std::io::Read;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use wharf_config::outcome::Failure;

/// Parses `HOST`, `HOST:PORT` or `[IPv6]:PORT`; `usual` is the default port.
pub(crate) fn split(text: &str, usual: u16) -> Result<(String, u16), Failure> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok((address.ip().to_string(), address.port()));
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok((bare.to_owned(), usual));
    }
    let wrong = || {
        Failure::usage(format!("invalid server `{text}`: not a host with a port"))
            .hint("write HOST, HOST:PORT or [IPv6]:PORT, such as ftp.example.com:2121")
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

/// Resolves a host to an address that can be connected to: of several, the first that answers, or
/// the first of all if none does; connecting then reports the error.
pub(crate) fn resolve(host: &str, port: u16) -> Result<SocketAddr, Failure> {
    let unknown = || {
        Failure::new(format!("unknown host `{host}`"))
            .hint("check the spelling and the DNS settings")
    };
    let addresses: Vec<_> =
        (host, port).to_socket_addrs().map_err(|_| unknown())?.take(ADDRESSES_MAX).collect();
    first_that_answers(&addresses).ok_or_else(unknown)
}

/// Maximum number of addresses tried for one name.
const ADDRESSES_MAX: usize = 8;
/// Connection timeout for one address: networks that drop IPv6 send no error.
const CONNECT_MAX: Duration = Duration::from_secs(3);

fn first_that_answers(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let [only] = addresses else {
        let answers =
            |address: &&SocketAddr| TcpStream::connect_timeout(address, CONNECT_MAX).is_ok();
        return addresses.iter().find(answers).or_else(|| addresses.first()).copied();
    };
    Some(*only)
}

/// Maximum size of a certificate file.
const ROOTS_BYTES_MAX: u64 = 16 << 20;

/// Reads the root certificates in a file.
pub(crate) fn roots(file: &Path) -> Result<RootCertStore, Failure> {
    let shown = file.display();
    let mut text = Vec::new();
    wharf_core::trusted_file::open(file)
        .and_then(|file| file.take(ROOTS_BYTES_MAX).read_to_end(&mut text))
        .map_err(|error| Failure::io(format!("cannot read certificates from {shown}"), &error))?;
    let certificates = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
    let mut roots = RootCertStore::empty();
    // An unreadable certificate does not make the others untrusted.
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(Failure::new(format!("{shown} contains no certificate"))
            .hint("it must be PEM, with lines such as -----BEGIN CERTIFICATE-----"));
    }
    Ok(roots)
}

/// The root certificates that the system trusts: the system store on Windows and macOS, files
/// elsewhere, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
pub(crate) fn system_roots() -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    // An unreadable certificate does not make the others untrusted.
    let (added, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(Failure::new("cannot find the trusted root certificates of this system")
            .hint("name them with --ca-file FILE, or accept any certificate with --insecure"));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use wharf_config::outcome::Exit;

    use super::*;

    #[test]
    fn the_first_address_that_answers_is_used() {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let alive = listening.local_addr().unwrap();
        // Bound but not listening, so that no other process can use the port.
        let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let silent = silent.unwrap();
        silent.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        let dead = silent.local_addr().unwrap().as_socket().unwrap();
        assert_eq!(first_that_answers(&[dead, alive]), Some(alive));
        assert_eq!(first_that_answers(&[alive, dead]), Some(alive));
        assert_eq!(first_that_answers(&[dead, dead]), Some(dead));
        assert_eq!(first_that_answers(&[dead]), Some(dead));
        assert_eq!(first_that_answers(&[]), None);
    }

    #[test]
    fn parses_all_forms_of_server_addresses() {
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
