//! The subject `tls`: certificate and key, and whether clients accept them.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::{ClientConnection, ServerConnection};
use rustls_pki_types::ServerName;
use wharf_config::choice::TlsMode;
use wharf_config::outcome::{Exit, Failure, counted};
use wharf_config::standard_paths;
use wharf_config::value::PublicAddress;
use wharf_load::{Trust, client_config};
use wharf_runtime::certificate::{
    CertificateSummary, ParsedCertificate, PublicKey, covers, has_stored,
};
use wharf_runtime::wire::{self, Encryption};
use wharf_server::server_config;
use wharf_server::settings::TlsVersion;

use super::Subjects;
use super::page::CheckPage;
use crate::remote_server::system_roots;

/// Fewer days before the expiry of a certificate are a warning.
const DAYS_LEFT_FEW: i64 = 14;
/// Fewer days are a note: certificates of 90 days are usually renewed by then.
const DAYS_LEFT_SOME: i64 = 25;
const RSA_BITS_MIN: usize = 2048;
/// Maximum number of flights of a handshake.
const FLIGHTS_MAX: usize = 10;

pub(super) fn inspect(subjects: &Subjects<'_>, page: &mut CheckPage) -> Result<(), Failure> {
    let config = subjects.config;
    if config.listen.iter().all(|listen| listen.tls == TlsMode::Off) {
        page.row("tls", "not offered by any listener");
        page.note(
            "passwords and files are sent unencrypted",
            "write tls = \"explicit\" in [[listen]]: clients without TLS still work",
        );
        return Ok(());
    }
    let is_self_signed = config.tls.certificate.0.is_none();
    if is_self_signed && !has_stored(&config.state_folder()) {
        page.row("certificate", "self-signed, created at the first start");
        return Ok(());
    }
    let encryption = wire::encryption(config)?;
    let Some(encryption) = encryption else { return Ok(()) };
    let chain = wire::chain(config)?;
    let Some(parts) =
        chain.iter().map(|one| ParsedCertificate::of(one)).collect::<Option<Vec<_>>>()
    else {
        page.fail(
            "invalid certificate: it does not conform to RFC 5280",
            "request a new certificate from the CA",
        );
        return Ok(());
    };
    let Some(own) = parts.first() else { return Ok(()) };
    inspect_key(own, page);
    inspect_dates(&parts, page);
    inspect_names(subjects, &encryption.facts, page);
    inspect_chain(&parts, &encryption.facts, page);
    shake_hands(&encryption, page);
    if !is_self_signed {
        verify_as_client(&encryption, own, page);
    }
    Ok(())
}

fn inspect_key(own: &ParsedCertificate<'_>, page: &mut CheckPage) {
    page.row("key", &format!("{}, matches the certificate", own.key.shown()));
    if let PublicKey::Rsa(bits) = own.key
        && bits < RSA_BITS_MIN
    {
        page.warn(
            format!("weak private key: RSA with {bits} bits"),
            "create a new one with at least 2048 bits, or ECDSA P-256, with a new \
             certificate",
        );
    }
    if own.has_weak_signature {
        page.warn(
            "the certificate's signature uses MD5 or SHA-1, which can be forged",
            "request a new certificate from the CA; current clients reject this one",
        );
    }
}

fn inspect_dates(parts: &[ParsedCertificate<'_>], page: &mut CheckPage) {
    const DAY: i64 = 24 * 60 * 60;
    let now = Timestamp::now();
    for (place, part) in parts.iter().enumerate() {
        let what = if place == 0 {
            "the certificate".to_owned()
        } else {
            format!("certificate {} of the chain, {},", place + 1, part.subject_shown())
        };
        if let Some(begin) = part.not_before.filter(|begin| *begin > now) {
            page.failed(
                Failure {
                    exit: Exit::ConfigInvalid,
                    ..Failure::new(format!("{what} is not valid before {}", day(begin)))
                }
                .hint("check the clock of this computer"),
            );
        }
        let Some(end) = part.not_after else { continue };
        let left = (end.as_second() - now.as_second()).div_euclid(DAY);
        let days = counted(left.unsigned_abs(), "day");
        let hint = "replace it, then:  wharf reload";
        if left < 0 {
            let message = format!("{what} expired on {}: clients reject it", day(end));
            let failure = Failure { exit: Exit::ConfigInvalid, ..Failure::new(message) };
            page.failed(failure.hint(hint));
        } else if left < DAYS_LEFT_FEW {
            page.warn(format!("{what} expires in {days}, on {}", day(end)), hint);
        } else if left < DAYS_LEFT_SOME {
            page.note(format!("{what} expires in {days}, on {}", day(end)), hint);
        } else if place == 0 {
            page.row("dates", &format!("until {}, {days}", day(end)));
        }
    }
}

fn day(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d").to_string()
}

/// Whether the certificate contains the host names of this server.
fn inspect_names(subjects: &Subjects<'_>, facts: &CertificateSummary, page: &mut CheckPage) {
    let names = &facts.names;
    if names.is_empty() {
        page.warn(
            "the certificate contains no host names (subjectAltName)",
            "have it issued with the host names that clients use; the common name is ignored",
        );
        return;
    }
    page.row("names", &names.join(", "));
    if facts.is_self_signed {
        page.note(
            "the certificate is self-signed by wharf: clients ask once whether to trust it",
            "compare the fingerprint that `wharf status` shows, or use a certificate of a CA: \
             tls.certificate",
        );
        return;
    }
    let config = subjects.config;
    let public = match &config.passive.public_address {
        PublicAddress::Name(name) => Some(name),
        PublicAddress::None | PublicAddress::Address(_) => None,
    };
    let wanted = config.tls.server_names.iter().map(|name| ("tls.server_names", name));
    let wanted = wanted.chain(public.map(|name| ("passive.public_address", name)));
    let mut is_fine = true;
    for (key, name) in wanted.filter(|(_, name)| !covers(names, name)) {
        is_fine = false;
        page.warn(
            format!("the certificate is not valid for {name}, which {key} contains"),
            "have it issued for that name, too; clients that use it get a warning",
        );
    }
    let host = standard_paths::host_name().filter(|host| host.contains('.') && is_fine);
    if let Some(host) = host.filter(|host| !covers(names, host)) {
        page.note(
            format!("the certificate is not valid for {host}, the name of this computer"),
            "clients must use one of its names",
        );
    }
}

fn inspect_chain(
    parts: &[ParsedCertificate<'_>],
    facts: &CertificateSummary,
    page: &mut CheckPage,
) {
    for (place, pair) in parts.windows(2).enumerate() {
        if let [one, next] = pair
            && one.issuer != next.subject
        {
            let (number, issuer) = (place + 1, one.issuer_shown());
            page.warn(
                format!(
                    "invalid order of the certificate chain: certificate {number} was issued by \
                     {issuer}, but is followed by {}",
                    next.subject_shown()
                ),
                "write the certificate of the server first, then that of its issuer, and so on",
            );
            return;
        }
    }
    if !facts.is_self_signed {
        let shown: Vec<_> = parts.iter().map(ParsedCertificate::subject_shown).collect();
        page.row("chain", &shown.join(" <- "));
    }
}

/// A handshake in memory for each version.
fn shake_hands(encryption: &Encryption, page: &mut CheckPage) {
    let versions: &[_] = match encryption.tls.min_version {
        TlsVersion::V1_2 => &[&rustls::version::TLS12, &rustls::version::TLS13],
        TlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let mut agreed = Vec::new();
    for version in versions {
        match handshake(encryption, &Trust::Any, Some(version)) {
            Ok(how) => agreed.push(how),
            Err(HandshakeError::Rustls(error)) => page.fail(
                format!("a test handshake failed: {error}"),
                "create certificate and key again; clients would fail likewise",
            ),
            Err(HandshakeError::Endless) => {
                page.fail("a test handshake does not finish", "create certificate and key again");
            }
        }
    }
    if !agreed.is_empty() {
        page.row("handshake", &agreed.join(", "));
    }
}

/// Whether a client with the trusted CAs of this system would accept the certificate.
fn verify_as_client(encryption: &Encryption, own: &ParsedCertificate<'_>, page: &mut CheckPage) {
    let Ok(roots) = system_roots() else { return };
    let Err(HandshakeError::Rustls(error)) =
        handshake(encryption, &Trust::Roots(Arc::new(roots)), None)
    else {
        return page.row("trust", "trusted by this system");
    };
    match error {
        // A certificate made with OpenSSL is marked as one of a CA, which is another error.
        rustls::Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer | rustls::CertificateError::Other(_),
        ) if own.is_self_signed() => page.note(
            "the certificate is self-signed: clients ask once whether to trust it",
            "use a certificate of a trusted CA to avoid this",
        ),
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => page.warn(
            format!(
                "the certificate chain ends at an issuer that this system does not trust: {}",
                own.issuer_shown()
            ),
            "append the intermediate certificates (\"full chain\") to tls.certificate, unless \
             the clients trust that issuer",
        ),
        // Dates and names were reported above.
        rustls::Error::InvalidCertificate(
            rustls::CertificateError::Expired
            | rustls::CertificateError::ExpiredContext { .. }
            | rustls::CertificateError::NotValidYet
            | rustls::CertificateError::NotValidYetContext { .. }
            | rustls::CertificateError::NotValidForName
            | rustls::CertificateError::NotValidForNameContext { .. },
        ) => {}
        other => page.warn(
            format!("clients with the trusted CAs of this system would reject it: {other}"),
            "request a new certificate from the CA",
        ),
    }
}

/// Why a handshake in memory failed.
enum HandshakeError {
    Rustls(rustls::Error),
    Endless,
}

impl From<rustls::Error> for HandshakeError {
    fn from(error: rustls::Error) -> Self {
        Self::Rustls(error)
    }
}

/// The parameters negotiated by a client and a server with this certificate, in memory.
fn handshake(
    encryption: &Encryption,
    trust: &Trust,
    version: Option<&'static rustls::SupportedProtocolVersion>,
) -> Result<String, HandshakeError> {
    let name = encryption.facts.names.iter().find_map(|name| {
        let plain = name.replacen("*.", "ftp.", 1);
        ServerName::try_from(plain).ok()
    });
    let any = || ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
    let name = name.unwrap_or_else(any);
    let versions: Vec<_> = match version {
        Some(version) => vec![version],
        None => rustls::ALL_VERSIONS.to_vec(),
    };
    let config = client_config(trust, &versions)?;
    let mut client = ClientConnection::new(Arc::new(config), name)?;
    let mut server = ServerConnection::new(server_config(&encryption.tls)?)?;
    for _ in 0..FLIGHTS_MAX {
        if !client.is_handshaking() && !server.is_handshaking() {
            let version = client.protocol_version().and_then(|version| version.as_str());
            let version = version.unwrap_or_default().replace('_', ".");
            let suite = client.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
            return Ok(format!("{version} {}", suite.unwrap_or_default()));
        }
        let mut flight = Vec::new();
        while client.wants_write() && client.write_tls(&mut flight).is_ok() {}
        feed(&flight, |bytes| server.read_tls(bytes).map(drop))?;
        server.process_new_packets()?;
        let mut flight = Vec::new();
        while server.wants_write() && server.write_tls(&mut flight).is_ok() {}
        feed(&flight, |bytes| client.read_tls(bytes).map(drop))?;
        client.process_new_packets()?;
    }
    Err(HandshakeError::Endless)
}

fn feed(
    mut flight: &[u8],
    mut read: impl FnMut(&mut &[u8]) -> io::Result<()>,
) -> Result<(), HandshakeError> {
    while !flight.is_empty() {
        let before = flight.len();
        if read(&mut flight).is_err() || flight.len() == before {
            return Err(HandshakeError::Endless);
        }
    }
    Ok(())
}
