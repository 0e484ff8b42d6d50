//! Explains TLS failures to the administrator: what the client offered, and which setting would
//! help.

use std::io;

use rustls::server::ClientHello;
use rustls::{AlertDescription, CipherSuite, Error, PeerIncompatible};

use super::hello_info::ClientHelloInfo;
use crate::settings::TlsVersion;

/// Names of a list in one line of the log.
const NAMES_MAX: usize = 8;
/// Cipher suites and signature schemes that are stored of a handshake.
const SHOWN_MAX: usize = 64;

/// What a client offers in its `ClientHello`.
#[derive(Debug, Default)]
pub(super) struct ClientOffer {
    versions: Vec<&'static str>,
    suites: Vec<String>,
    schemes: Vec<String>,
}

impl ClientOffer {
    pub(super) fn of(hello: &ClientHello<'_>, shown: &ClientHelloInfo) -> Self {
        let schemes = hello.signature_schemes().iter().take(SHOWN_MAX);
        let schemes = schemes.map(|scheme| name(scheme.as_str(), u16::from(*scheme))).collect();
        Self { schemes, ..Self::shown(shown) }
    }

    /// From a message that rustls rejects.
    pub(super) fn shown(shown: &ClientHelloInfo) -> Self {
        let suites = shown.suites.iter().take(SHOWN_MAX);
        let suites = suites.map(|suite| name(CipherSuite::from(*suite).as_str(), *suite));
        Self {
            versions: shown.versions.iter().filter_map(|version| version_name(*version)).collect(),
            suites: suites.collect(),
            schemes: Vec::new(),
        }
    }

    /// The key exchanges of its cipher suites, if none is supported. Unknown suites are ignored.
    fn unsupported_key_exchanges(&self) -> Option<Vec<&'static str>> {
        let mut kinds = Vec::new();
        for suite in self.suites.iter().filter(|suite| is_known(suite)) {
            let kind = key_exchange(suite)?;
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        (!kinds.is_empty()).then_some(kinds)
    }

    /// The reason, if the client offers no enabled version.
    fn too_old(&self, version_min: TlsVersion) -> Option<String> {
        let has = |version| self.versions.contains(&version);
        let is_too_old = match version_min {
            TlsVersion::V1_2 => !has("TLS 1.2") && !has("TLS 1.3"),
            TlsVersion::V1_3 => !has("TLS 1.3"),
        };
        if self.versions.is_empty() || !is_too_old {
            return None;
        }
        let offered = self.versions.join(", ");
        Some(if has("TLS 1.2") {
            format!(
                "the client offers {offered} only; tls.min_version = \"1.2\" would accept TLS 1.2"
            )
        } else {
            format!(
                "the client offers {offered} only, which is insecure and not supported: no setting \
                 helps, update the client to TLS 1.2 or newer"
            )
        })
    }

    /// Explains a failed handshake that began with this offer.
    pub(super) fn explained(&self, error: &io::Error, version_min: TlsVersion) -> io::Error {
        let describe = match of_library(error) {
            Some(Error::PeerIncompatible(why)) => self.incompatible(why, version_min),
            _ => describe(error),
        };
        io::Error::new(error.kind(), describe)
    }

    fn incompatible(&self, why: &PeerIncompatible, version_min: TlsVersion) -> String {
        if let Some(reason) = self.too_old(version_min) {
            return reason;
        }
        let unsupported = self.unsupported_key_exchanges();
        match why {
            // A client without ECDHE offers no groups either.
            PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NamedGroupsExtensionRequired
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::EcPointsExtensionRequired
                if unsupported.is_some() =>
            {
                format!(
                    "the client offers {} key exchange only ({}), which is not supported: no \
                     setting helps, the client needs cipher suites with ECDHE",
                    unsupported.unwrap_or_default().join(" and "),
                    list(&self.suites)
                )
            }
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::SupportedVersionsExtensionRequired
                if version_min == TlsVersion::V1_3 =>
            {
                "the client offers TLS 1.2 or older only; tls.min_version = \"1.2\" would accept \
                 TLS 1.2"
                    .to_owned()
            }
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired => {
                "the client offers TLS 1.1 or older only, which is insecure and not supported; \
                 update the client"
                    .to_owned()
            }
            PeerIncompatible::NoCipherSuitesInCommon => format!(
                "no cipher suite in common: the client offers {} and signatures {}; it needs ECDHE \
                 with AES-GCM or ChaCha20, and tls.certificate a key of a kind that these name",
                list(&self.suites),
                list(&self.schemes)
            ),
            PeerIncompatible::NoSignatureSchemesInCommon => format!(
                "the client accepts no signature of this certificate: it offers {}; \
                 tls.certificate needs a certificate with a key of that kind (RSA suits most)",
                list(&self.schemes)
            ),
            PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NamedGroupsExtensionRequired
            | PeerIncompatible::EcPointsExtensionRequired
            | PeerIncompatible::UncompressedEcPointsRequired => {
                "no group for the key exchange in common: X25519, P-256 and P-384 are supported; \
                 update the client"
                    .to_owned()
            }
            PeerIncompatible::ExtendedMasterSecretExtensionRequired => {
                "the client does not offer the extended master secret; update the client".to_owned()
            }
            _ => format!(
                "the client and this server have no TLS in common; the client offers {}",
                list(&self.suites)
            ),
        }
    }
}

/// Whether this is the name of a cipher suite, not of a signalling value.
fn is_known(suite: &str) -> bool {
    suite.starts_with("TLS") && !suite.ends_with("_SCSV") && !suite.contains("GREASE")
}

/// The key exchange of a cipher suite; `None` for ECDHE and TLS 1.3, which are supported.
fn key_exchange(suite: &str) -> Option<&'static str> {
    let (kind, _) = suite.strip_prefix("TLS_")?.split_once("_WITH_")?;
    Some(match kind {
        _ if kind.contains("anon") => "anonymous",
        _ if kind.contains("PSK") => "PSK",
        _ if kind.contains("SRP") => "SRP",
        _ if kind.starts_with("ECDHE_") => return None,
        _ if kind.starts_with("ECDH_") => "static ECDH",
        _ if kind.starts_with("DHE_") => "DHE",
        _ if kind.starts_with("DH_") => "static DH",
        _ if kind.starts_with("RSA") => "RSA",
        _ => "another",
    })
}

fn version_name(version: u16) -> Option<&'static str> {
    Some(match version {
        0x0304 => "TLS 1.3",
        0x0303 => "TLS 1.2",
        0x0302 => "TLS 1.1",
        0x0301 => "TLS 1.0",
        0x0300 => "SSL 3.0",
        _ => return None,
    })
}

/// Describes an error of a connection more precisely than rustls.
pub(crate) fn describe(error: &io::Error) -> String {
    let Some(library) = of_library(error) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "the client closed the connection".to_owned(),
            io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
            io::ErrorKind::BrokenPipe => "broken pipe".to_owned(),
            io::ErrorKind::TimedOut => "connection timed out".to_owned(),
            _ => error.to_string(),
        };
    };
    match library {
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::NoApplicationProtocol => {
            "the client requested another protocol than ftp (ALPN)".to_owned()
        }
        Error::InvalidMessage(_) => "the client sent something that is not TLS".to_owned(),
        Error::DecryptError => "a TLS record was damaged or modified in transit".to_owned(),
        Error::PeerSentOversizedRecord => {
            "the client sent a TLS record that is too long".to_owned()
        }
        Error::PeerIncompatible(why) => ClientOffer::default().incompatible(why, TlsVersion::V1_2),
        Error::General(text) if text.contains("certificate") => {
            "the client accepts no signature of this certificate; tls.certificate needs one with \
             a key of another kind (RSA suits most)"
                .to_owned()
        }
        _ => "the client violated the TLS protocol".to_owned(),
    }
}

fn of_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => format!(
            "the client does not trust the certificate (alert {}); set tls.certificate to one of \
             a trusted authority, or accept this one in the client",
            alert_name(alert)
        ),
        AlertDescription::CertificateExpired => {
            "the client rejected the certificate because it has expired; renew tls.certificate"
                .to_owned()
        }
        AlertDescription::ProtocolVersion => {
            "the client rejected the TLS version; tls.min_version sets the oldest one offered"
                .to_owned()
        }
        AlertDescription::UserCanceled | AlertDescription::CloseNotify => {
            "the client cancelled the TLS handshake".to_owned()
        }
        _ => format!("the client ended TLS with the alert {}", alert_name(alert)),
    }
}

/// The name as in RFC 8446 §6: `unknown_ca`, not `UnknownCA`.
fn alert_name(alert: AlertDescription) -> String {
    let Some(name) = alert.as_str() else { return u8::from(alert).to_string() };
    let mut written = String::with_capacity(name.len() + 4);
    let mut was_upper = true;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !was_upper {
            written.push('_');
        }
        was_upper = letter.is_ascii_uppercase();
        written.push(letter.to_ascii_lowercase());
    }
    written
}

fn of_library(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn name(known: Option<&str>, number: u16) -> String {
    known.map_or_else(|| format!("0x{number:04x}"), str::to_owned)
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<_> = names.iter().take(NAMES_MAX).map(String::as_str).collect();
    match names.len().checked_sub(NAMES_MAX) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(suites: &[&str], why: PeerIncompatible, version_min: TlsVersion) -> String {
        let suites = suites.iter().map(|&suite| suite.to_owned()).collect();
        let offer = ClientOffer { versions: Vec::new(), suites, schemes: vec!["ED448".to_owned()] };
        let error = io::Error::new(io::ErrorKind::InvalidData, Error::PeerIncompatible(why));
        offer.explained(&error, version_min).to_string()
    }

    #[test]
    fn a_client_with_rsa_key_exchange_only_is_distinguished_from_one_with_other_suites() {
        let rsa = ["TLS_RSA_WITH_AES_128_GCM_SHA256", "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"];
        let why = || PeerIncompatible::NoCipherSuitesInCommon;
        let only = explained(&rsa, why(), TlsVersion::V1_2);
        assert!(only.starts_with("the client offers RSA key exchange only (TLS_RSA_"), "{only}");
        assert!(only.contains("no setting helps"), "{only}");
        let finite = ["TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"];
        let only = explained(&finite, why(), TlsVersion::V1_2);
        assert!(only.starts_with("the client offers DHE key exchange only (TLS_DHE_"), "{only}");
        assert!(only.contains("ECDHE"), "{only}");
        let both = explained(&[finite[0], rsa[0], rsa[1]], why(), TlsVersion::V1_2);
        assert!(both.starts_with("the client offers DHE and RSA key exchange only"), "{both}");
        let other =
            explained(&["TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", rsa[0]], why(), TlsVersion::V1_2);
        assert!(other.starts_with("no cipher suite in common"), "{other}");
        assert!(other.contains("tls.certificate"), "{other}");
    }

    #[test]
    fn the_setting_that_would_let_an_old_version_in_is_named_where_there_is_one() {
        let why = || PeerIncompatible::SupportedVersionsExtensionRequired;
        assert!(explained(&[], why(), TlsVersion::V1_3).contains("tls.min_version = \"1.2\""));
        assert!(!explained(&[], why(), TlsVersion::V1_2).contains("tls."));
        // rustls rejects such a message for another reason than its version.
        let why = || PeerIncompatible::SignatureAlgorithmsExtensionRequired;
        for (versions, version_min, expected) in [
            (&[0x0302][..], TlsVersion::V1_2, "the client offers TLS 1.1 only, which"),
            (&[0x0302, 0x0301], TlsVersion::V1_3, "the client offers TLS 1.1, TLS 1.0 only, which"),
            (&[0x0303], TlsVersion::V1_3, "the client offers TLS 1.2 only; tls.min_version"),
            (&[0x0303], TlsVersion::V1_2, "the client and this server have no TLS in common"),
        ] {
            let shown = ClientHelloInfo { versions: versions.to_vec(), suites: vec![0xc02f] };
            let error = io::Error::new(io::ErrorKind::InvalidData, Error::PeerIncompatible(why()));
            let reported = ClientOffer::shown(&shown).explained(&error, version_min).to_string();
            assert!(reported.starts_with(expected), "{reported}");
        }
        let signatures =
            explained(&[], PeerIncompatible::NoSignatureSchemesInCommon, TlsVersion::V1_2);
        assert!(signatures.contains("ED448") && signatures.contains("tls.certificate"));
    }

    #[test]
    fn errors_of_the_library_are_replaced() {
        let alerts = [AlertDescription::UnknownCA, AlertDescription::HandshakeFailure];
        for error in alerts.map(Error::AlertReceived).into_iter().chain([
            Error::DecryptError,
            Error::NoApplicationProtocol,
            Error::HandshakeNotComplete,
            Error::General("no server certificate chain resolved".into()),
        ]) {
            let library = error.to_string();
            let shown = describe(&io::Error::new(io::ErrorKind::InvalidData, error));
            assert!(shown.starts_with("the client") || shown.starts_with("a TLS"), "{shown}");
            assert!(!shown.contains(&library), "{shown}");
        }
        assert_eq!(alert_name(AlertDescription::UnknownCA), "unknown_ca");
        assert_eq!(alert_name(AlertDescription::HandshakeFailure), "handshake_failure");
        let system = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(describe(&system), "connection reset by peer");
        let other = io::Error::from(io::ErrorKind::AddrInUse);
        assert_eq!(describe(&other), other.to_string());
    }

    #[test]
    fn a_long_list_is_truncated_with_a_count() {
        let names: Vec<_> = (0..10).map(|number| number.to_string()).collect();
        assert_eq!(list(&names), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
        assert_eq!(list(&names[..8]), "0, 1, 2, 3, 4, 5, 6, 7");
    }
}
