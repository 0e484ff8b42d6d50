//! Which server is meant, as whom, and whom to trust; and what went wrong, with a remedy.

use std::io::IsTerminal;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use wharf_load::{Error, ErrorKind, Target, Tls, TlsMode, Trust};

use crate::cli::bench::{Bench, Mode};
use crate::outcome::{Exit, Failure};
use crate::share::{ask_password, check_password, read_password_file};

/// Finds the server and asks for what is missing.
pub(super) fn target(options: &Bench) -> Result<Target, Failure> {
    let (host, port) = split(&options.server, options.tls)?;
    let tls = tls(options, &host)?;
    let address = resolve(&host, port)?;
    let user = options.username.as_deref().unwrap_or(ANONYMOUS);
    let mut target = Target::new(address, user, password(options)?);
    target.tls = tls;
    Ok(target)
}

const ANONYMOUS: &str = "anonymous";

fn split(text: &str, mode: Mode) -> Result<(String, u16), Failure> {
    let usual = if mode == Mode::Implicit { 990 } else { 21 };
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

fn resolve(host: &str, port: u16) -> Result<SocketAddr, Failure> {
    let unknown = || Failure::new(format!("there is no server `{host}`")).help("is it spelled so?");
    let mut addresses = (host, port).to_socket_addrs().map_err(|_| unknown())?;
    addresses.next().ok_or_else(unknown)
}

fn password(options: &Bench) -> Result<String, Failure> {
    if let Some(file) = &options.password_file {
        return read_password_file(file);
    }
    match (&options.password, &options.username) {
        (Some(text), _) => check_password(text).map(|()| text.clone()),
        // What anonymous servers want to hear (RFC 1635).
        (None, None) => Ok("wharf@".to_owned()),
        (None, Some(_)) if std::io::stdin().is_terminal() => ask_password("Password: "),
        (None, Some(_)) => Err(Failure::usage("there is no terminal to ask for the password")
            .help("use --password-file FILE, or --password-file - for standard input")),
    }
}

fn tls(options: &Bench, host: &str) -> Result<Option<Tls>, Failure> {
    let mode = match options.tls {
        Mode::Off => return Ok(None),
        Mode::Explicit => TlsMode::Explicit,
        Mode::Implicit => TlsMode::Implicit,
    };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::usage(format!("`{host}` is no name that a certificate can have")))?;
    let trust = match &options.ca {
        _ if options.insecure => Trust::Any,
        Some(file) => Trust::Roots(Arc::new(roots(file)?)),
        None => Trust::Roots(Arc::new(system_roots()?)),
    };
    Ok(Some(Tls { mode, trust, name }))
}

/// The certificates in a file.
fn roots(file: &Path) -> Result<RootCertStore, Failure> {
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
fn system_roots() -> Result<RootCertStore, Failure> {
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

/// An error at the start, with what would help.
pub(super) fn failure(error: &Error, options: &Bench) -> Failure {
    let told = Failure::new(error.to_string());
    let is_tls = options.tls != Mode::Off;
    match &error.kind {
        ErrorKind::Tls(_) => told.help(
            "for a certificate that the system does not trust: --ca FILE, or --insecure for any",
        ),
        ErrorKind::Refused { .. } if error.step.starts_with("AUTH") => {
            told.help("without TLS the password can be read on the way; if that is fine: --tls off")
        }
        ErrorKind::Refused { .. } if error.step.starts_with("USER") && !is_tls => {
            told.help("does it want TLS?  --tls explicit")
        }
        ErrorKind::Refused { .. } if error.step.starts_with("connect") => {
            told.help("is it full? with fewer clients:  --sessions 1")
        }
        ErrorKind::Refused { code: 421, .. } => {
            told.help("is it full? with fewer clients:  --sessions 1")
        }
        ErrorKind::Refused { .. } => told.help("-u NAME and --password-file FILE say who you are"),
        ErrorKind::TimedOut | ErrorKind::Closed | ErrorKind::Garbled(_) if is_tls => {
            told.help("is that its port, and does it begin with TLS?  --tls explicit or implicit")
        }
        ErrorKind::Io(std::io::ErrorKind::PermissionDenied, _) => {
            Failure { exit: Exit::Forbidden, ..told }
        }
        ErrorKind::Io(..) | ErrorKind::TimedOut => {
            told.help("does it listen there?  wharf bench HOST:PORT")
        }
        _ => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_written_in_many_ways() {
        for (text, mode, host, port) in [
            ("ftp.example.com", Mode::Explicit, "ftp.example.com", 21),
            ("ftp.example.com", Mode::Implicit, "ftp.example.com", 990),
            ("nas:2121", Mode::Implicit, "nas", 2121),
            ("192.0.2.7:2121", Mode::Off, "192.0.2.7", 2121),
            ("::1", Mode::Off, "::1", 21),
            ("[::1]", Mode::Off, "::1", 21),
            ("[2001:db8::1]:990", Mode::Off, "2001:db8::1", 990),
        ] {
            assert_eq!(split(text, mode), Ok((host.to_owned(), port)), "{text}");
        }
        for text in ["", ":21", "a:0", "a:b", "ftp://a", "a:21:21", "a:99999"] {
            assert_eq!(split(text, Mode::Off).unwrap_err().exit, Exit::Usage, "{text}");
        }
    }
}
