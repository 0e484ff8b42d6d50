//! The fields of a certificate that clients check, parsed from its DER.

use jiff::Timestamp;
use wharf_proto::path::is_deceptive;

use super::validity::{each, element, time_of};

/// The fields of a certificate (RFC 5280 §4.1) that decide whether clients accept it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedCertificate<'a> {
    /// The issuer name, as DER.
    pub issuer: &'a [u8],
    /// The subject name, as DER.
    pub subject: &'a [u8],
    /// The start of its validity.
    pub not_before: Option<Timestamp>,
    /// The end of its validity.
    pub not_after: Option<Timestamp>,
    /// The public key.
    pub key: PublicKey,
    /// Whether its signature uses a broken hash algorithm.
    pub has_weak_signature: bool,
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA, with the modulus size in bits.
    Rsa(usize),
    /// A key on this elliptic curve.
    Curve(&'static str),
    /// Any other algorithm.
    Other,
}

impl<'a> ParsedCertificate<'a> {
    /// Parses a certificate; `None` if it does not have the structure of the RFC.
    ///
    /// `SEQUENCE { SEQUENCE tbs { [0] version, INTEGER serial, SEQUENCE algorithm, SEQUENCE issuer,
    /// SEQUENCE validity, SEQUENCE subject, SEQUENCE key, … } … }`
    pub fn of(certificate: &'a [u8]) -> Option<Self> {
        let (_, outer, _) = element(certificate)?;
        let (_, fields, _) = element(outer)?;
        let mut fields = each(fields).filter(|(tag, _)| *tag != VERSION);
        let _serial = fields.next()?;
        let (_, algorithm) = fields.next()?;
        let (_, issuer) = fields.next()?;
        let (_, validity) = fields.next()?;
        let (_, subject) = fields.next()?;
        let (_, key) = fields.next()?;
        let (_, signature, _) = element(algorithm)?;
        let mut times =
            each(validity).map(|(tag, time)| time_of(tag, std::str::from_utf8(time).ok()?));
        Some(Self {
            issuer,
            subject,
            not_before: times.next().flatten(),
            not_after: times.next().flatten(),
            key: key_of(key).unwrap_or(PublicKey::Other),
            has_weak_signature: WEAK_SIGNATURES.contains(&signature),
        })
    }

    /// Whether it is self-signed: the issuer equals the subject.
    pub fn is_self_signed(&self) -> bool {
        self.issuer == self.subject
    }

    /// The issuer name, to be displayed.
    pub fn issuer_shown(&self) -> String {
        shown(self.issuer)
    }

    /// The subject name, to be displayed.
    pub fn subject_shown(&self) -> String {
        shown(self.subject)
    }
}

impl PublicKey {
    /// A short description.
    pub fn shown(self) -> String {
        match self {
            Self::Rsa(bits) => format!("RSA {bits}"),
            Self::Curve(name) => name.to_owned(),
            Self::Other => "of an unknown algorithm".to_owned(),
        }
    }
}

/// The common name, or else the last attribute.
fn shown(name: &[u8]) -> String {
    let parts = each(name).filter_map(|(_, set)| {
        let (_, pair, _) = element(set)?;
        let mut pair = each(pair);
        let ((_, kind), (_, text)) = (pair.next()?, pair.next()?);
        Some((kind == COMMON_NAME, String::from_utf8_lossy(text).into_owned()))
    });
    let parts: Vec<_> = parts.collect();
    let common = parts.iter().find(|(is_common, _)| *is_common).or_else(|| parts.last());
    let letters = common.map_or("(no name)", |(_, text)| text.as_str()).chars();
    letters.filter(|letter| !is_deceptive(*letter)).take(NAME_LETTERS_MAX).collect()
}

/// `SEQUENCE { SEQUENCE { OID kind, curve }, BIT STRING { 0, SEQUENCE { INTEGER modulus, … } } }`
fn key_of(key: &[u8]) -> Option<PublicKey> {
    let mut parts = each(key);
    let ((_, algorithm), (_, bits)) = (parts.next()?, parts.next()?);
    let mut algorithm = each(algorithm);
    let (_, kind) = algorithm.next()?;
    match kind {
        RSA => {
            let (_, numbers, _) = element(bits.get(1..)?)?;
            let (_, modulus, _) = element(numbers)?;
            let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
            let first = modulus.get(zeros)?.leading_zeros();
            let bytes = modulus.len().saturating_sub(zeros);
            Some(PublicKey::Rsa((bytes * 8).saturating_sub(usize::try_from(first).ok()?)))
        }
        CURVE => Some(match algorithm.next()?.1 {
            P256 => PublicKey::Curve("ECDSA P-256"),
            P384 => PublicKey::Curve("ECDSA P-384"),
            P521 => PublicKey::Curve("ECDSA P-521"),
            _ => PublicKey::Curve("ECDSA"),
        }),
        ED25519 => Some(PublicKey::Curve("Ed25519")),
        _ => None,
    }
}

const VERSION: u8 = 0xa0;
const NAME_LETTERS_MAX: usize = 100;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.10045.2.1
const CURVE: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.132.0.34
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// 1.3.132.0.35
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
/// 1.3.101.112
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// MD5 and SHA-1 with RSA, and SHA-1 with ECDSA.
const WEAK_SIGNATURES: &[&[u8]] = &[
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01],
];

/// Whether a certificate with these names is valid for a DNS name or IP address (RFC 6125 §6.4).
pub fn covers(names: &[String], host: &str) -> bool {
    names.iter().any(|name| {
        if name.eq_ignore_ascii_case(host) {
            return true;
        }
        let (Some(rest), Some((_, domain))) = (name.strip_prefix("*."), host.split_once('.'))
        else {
            return false;
        };
        rest.eq_ignore_ascii_case(domain)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn parses_a_certificate() {
        let mut params = CertificateParams::new(vec!["ftp.example.com".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "ftp.example.com");
        params.not_before = rcgen::date_time_ymd(2020, 1, 2);
        params.not_after = rcgen::date_time_ymd(2049, 3, 4);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let certificate = ParsedCertificate::of(made.der()).unwrap();
        assert!(certificate.is_self_signed() && !certificate.has_weak_signature);
        assert_eq!(certificate.key, PublicKey::Curve("ECDSA P-256"));
        assert_eq!(certificate.not_before.unwrap().to_string(), "2020-01-02T00:00:00Z");
        assert_eq!(certificate.not_after.unwrap().to_string(), "2049-03-04T00:00:00Z");
        assert_eq!(certificate.subject_shown(), "ftp.example.com");
    }

    #[test]
    fn a_wildcard_matches_one_label() {
        let names = ["*.example.com".to_owned(), "192.0.2.1".to_owned()];
        for host in ["ftp.example.com", "FTP.EXAMPLE.COM", "192.0.2.1"] {
            assert!(covers(&names, host), "{host}");
        }
        for host in ["example.com", "a.b.example.com", "ftp.example.org", "192.0.2.2"] {
            assert!(!covers(&names, host), "{host}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(certificate) = ParsedCertificate::of(&bytes) {
                let _ = certificate.issuer_shown();
            }
        }
    }
}
