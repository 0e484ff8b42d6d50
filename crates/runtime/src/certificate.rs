//! The server's certificate: read from PEM files, or generated on first use and stored.

mod parsed;
mod validity;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use jiff::Timestamp;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256,
    RsaKeySize,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use wharf_config::outcome::{Exit, Failure, plain};
use wharf_core::trusted_file;

pub use self::parsed::{ParsedCertificate, PublicKey, covers};
use crate::os::{Access, TrustedPath, mode_if_open, private_folder, sync_folder};

/// A certificate chain and its key, read but not yet checked against each other.
#[derive(Debug)]
pub(crate) struct CertificateAndKey {
    /// The chain, the server's own certificate first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub(crate) key: PrivateKeyDer<'static>,
    /// Another chain and its key, for clients that cannot use the first.
    pub(crate) other: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// Whether wharf generated it.
    pub(crate) is_self_signed: bool,
    /// Warnings for the administrator.
    pub(crate) warnings: Vec<String>,
}

/// Summary of a certificate for the start panel, `wharf status` and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSummary {
    /// The SHA-256 fingerprint.
    pub(crate) fingerprint: [u8; 32],
    /// The DNS names and IP addresses it is valid for.
    pub names: Vec<String>,
    /// The end of its validity, if it can be parsed.
    pub(crate) not_after: Option<Timestamp>,
    /// Whether wharf generated it.
    pub is_self_signed: bool,
}

impl CertificateSummary {
    /// The fingerprint as hexadecimal pairs, as in `9A:41:…`.
    pub(crate) fn shown_fingerprint(&self) -> String {
        let hex: Vec<_> = self.fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
        hex.join(":")
    }

    /// Summarises the first certificate of a chain.
    pub(crate) fn of(pair: &CertificateAndKey) -> Self {
        let first = pair.chain.first().map_or(&[][..], AsRef::as_ref);
        Self {
            fingerprint: Sha256::digest(first).into(),
            names: validity::names(first),
            not_after: validity::not_after(first),
            is_self_signed: pair.is_self_signed,
        }
    }
}

/// Prefix of every warning about the certificate itself.
pub(crate) const CERTIFICATE_WARNING: &str = "the certificate ";

/// The file with the self-signed certificate and its key: one file, so that a crash cannot leave a
/// certificate and a key that do not match.
const STORED_NAME: &str = "self-signed.pem";
/// The same with an RSA key, for TLS 1.2 clients that support RSA certificates only.
const STORED_RSA_NAME: &str = "self-signed-rsa.pem";
/// Validity of a self-signed certificate in years: clients pin it and warn about a new one.
const YEARS: i16 = 10;
/// Maximum size of a PEM file; a chain and a key take some thousand bytes.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// Reads a certificate and its key from PEM files, which may be the same file.
pub(crate) fn from_files(certificate: &Path, key: &Path) -> Result<CertificateAndKey, Failure> {
    let invalid = |message: String| Failure { exit: Exit::ConfigInvalid, ..Failure::new(message) };
    let chain = chain_of(&read(certificate, "certificate", FileReaders::AllUsers)?);
    if chain.is_empty() {
        return Err(invalid(format!("{} contains no PEM certificate", certificate.display()))
            .hint("it must contain -----BEGIN CERTIFICATE-----"));
    }
    let text = read(key, "private key", FileReaders::OwnerOnly)?;
    let key_der = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
        let failure = invalid(format!("{} contains no PEM private key", key.display()));
        if text.contains("ENCRYPTED") {
            failure.hint(format!(
                "it is encrypted with a passphrase; decrypt it:  openssl pkey -in {0} -out \
                 plain.pem",
                key.display()
            ))
        } else {
            failure.hint("it must contain -----BEGIN PRIVATE KEY-----")
        }
    })?;
    let warnings = expiry_warning(&chain, certificate).into_iter().collect();
    Ok(CertificateAndKey { chain, key: key_der, other: None, is_self_signed: false, warnings })
}

/// The key type of a self-signed certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyKind {
    /// ECDSA over P-256: small and fast, for nearly all clients.
    Ecdsa,
    /// RSA of 2048 bits, for the others.
    Rsa,
}

/// Loads the self-signed certificates stored in `folder`: one with an ECDSA key, and one with an
/// RSA key for clients that need it. Missing ones are generated for these names; an RSA certificate
/// added to the ECDSA one of an earlier release gets the names of that one.
///
/// If they cannot be stored, they are used until the server stops, with a warning.
pub(crate) fn self_signed(folder: &Path, names: &[String]) -> Result<CertificateAndKey, Failure> {
    let mut warnings = Vec::new();
    let (chain, key) = load_or_generate(folder, KeyKind::Ecdsa, names, &mut warnings)?;
    let stored_names = chain.first().map(|first| validity::names(first)).unwrap_or_default();
    let names = if stored_names.is_empty() { names } else { &stored_names };
    let other = load_or_generate(folder, KeyKind::Rsa, names, &mut warnings)?;
    Ok(CertificateAndKey { chain, key, other: Some(other), is_self_signed: true, warnings })
}

/// Loads or generates one self-signed certificate. Each kind of warning is given once.
fn load_or_generate(
    folder: &Path,
    kind: KeyKind,
    names: &[String],
    warnings: &mut Vec<String>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
    let path = folder.join(kind.file_name());
    let text = if let Some(text) = stored(&path)? {
        text
    } else {
        let made = make(names, kind)?;
        match store(folder, &path, &made) {
            // Another wharf process may have stored one first; all processes serve that one.
            Ok(()) => stored(&path)?.unwrap_or(made),
            Err(error) => {
                let warning = format!(
                    "the certificate cannot be stored in {} ({}): a new one is generated at the \
                     next start",
                    folder.display(),
                    plain(&error)
                );
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
                made
            }
        }
    };
    let chain = chain_of(&text);
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).ok().filter(|_| !chain.is_empty());
    let key = key.ok_or_else(|| {
        Failure::new(format!("{} is damaged", path.display()))
            .hint("delete it; a new certificate is generated at the next start")
    })?;
    warnings.extend(expiry_warning(&chain, &path));
    Ok((chain, key))
}

impl KeyKind {
    fn file_name(self) -> &'static str {
        match self {
            Self::Ecdsa => STORED_NAME,
            Self::Rsa => STORED_RSA_NAME,
        }
    }

    fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Self::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        }
    }
}

/// The DNS names and IP addresses for a new certificate.
pub fn names_of(certificate: &[u8]) -> Vec<String> {
    validity::names(certificate)
}

/// Whether `folder` contains a self-signed certificate.
pub fn has_stored(folder: &Path) -> bool {
    folder.join(STORED_NAME).exists()
}

fn chain_of(text: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text.as_bytes()).filter_map(Result::ok).collect()
}

fn expiry_warning(chain: &[CertificateDer<'_>], path: &Path) -> Option<String> {
    let until = validity::not_after(chain.first()?)?;
    let day = until.strftime("%Y-%m-%d");
    (until < Timestamp::now())
        .then(|| format!("{CERTIFICATE_WARNING}{} expired on {day}", path.display()))
}

/// Which users may be able to read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FileReaders {
    AllUsers,
    OwnerOnly,
}

fn read(path: &Path, what: &str, readers: FileReaders) -> Result<String, Failure> {
    let file = trusted_file::open(path);
    if let Ok(file) = &file
        && readers == FileReaders::OwnerOnly
    {
        reject_readable_key(file, path)?;
    }
    let read = || {
        let mut text = String::new();
        file?.take(PEM_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    read().map_err(|error: io::Error| {
        let shown = path.display();
        let failure = match error.kind() {
            io::ErrorKind::InvalidData => Failure::new(format!(
                "invalid {what} {shown}: DER (binary) instead of PEM"
            ))
            .hint(format!(
                "convert it:  openssl x509 -inform der -in {shown} -out certificate.pem"
            )),
            io::ErrorKind::NotFound => {
                Failure::io(format!("cannot read the {what} {shown}"), &error).hint(
                    "check tls.certificate and tls.private_key (--certificate, --private-key)",
                )
            }
            _ => Failure::io(format!("cannot read the {what} {shown}"), &error),
        };
        match failure.exit {
            Exit::Forbidden => failure,
            _ => Failure { exit: Exit::ConfigInvalid, ..failure },
        }
    })
}

fn stored(path: &Path) -> Result<Option<String>, Failure> {
    // If the metadata cannot be read, storing fails too, with the reason.
    if fs::symlink_metadata(path).is_err() {
        return Ok(None);
    }
    let file = TrustedPath::find(path).and_then(|trusted_path| trusted_path.open(Access::Read));
    if let Ok(file) = &file {
        reject_readable_key(file, path)?;
    }
    let read = || {
        let mut text = String::new();
        file?.take(PEM_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    read().map(Some).map_err(|error: io::Error| {
        Failure::io(format!("cannot read the certificate {}", path.display()), &error)
    })
}

/// Rejects a private key that other users can read.
fn reject_readable_key(file: &File, path: &Path) -> Result<(), Failure> {
    let Some(mode) = mode_if_open(file) else { return Ok(()) };
    let shown = path.display();
    let title = format!("the private key {shown} is readable by other users (mode {mode:04o})");
    let failure = Failure { exit: Exit::ConfigInvalid, ..Failure::new(title) };
    Err(failure.hint(format!("chmod 600 '{shown}'")))
}

/// Generates a key and a certificate for these names, as PEM.
fn make(names: &[String], kind: KeyKind) -> Result<String, Failure> {
    let failed =
        |error: rcgen::Error| Failure::new(format!("cannot generate a certificate: {error}"));
    let today = jiff::Zoned::now().date();
    let day = |date: jiff::civil::Date| {
        let number = |number: i8| u8::try_from(number).unwrap_or(1);
        rcgen::date_time_ymd(i32::from(date.year()), number(date.month()), number(date.day()))
    };
    let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    let name = names.first().map_or("wharf", String::as_str);
    params.distinguished_name.push(DnType::CommonName, name);
    // Valid since yesterday, since the clocks of cameras and scanners are often slow.
    params.not_before = day(today.yesterday().unwrap_or(today));
    // 29 February does not exist in every year.
    let until = jiff::civil::Date::new(today.year() + YEARS, today.month(), today.day().min(28));
    params.not_after = day(until.unwrap_or(today));
    let key = kind.generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
}

/// Writes the text to `path` atomically with mode 0600. An existing file is not replaced.
fn store(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    private_folder(folder)?;
    // The folder may belong to the server's user while this process is root, so the name is random
    // and the file is created exclusively.
    let temporary = TrustedPath::find(&folder.join(temporary_name()?))?;
    let stored = TrustedPath::find(path)?;
    let written = write_synced(&temporary, text).and_then(|()| temporary.rename_to_free(&stored));
    if written.is_err() {
        let _ = temporary.remove();
    }
    match written {
        // A file that another wharf process has stored meanwhile stays.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(folder),
    }
}

fn temporary_name() -> io::Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(format!(".{STORED_NAME}.{:016x}", u64::from_ne_bytes(random)))
}

fn write_synced(trusted_path: &TrustedPath, text: &str) -> io::Result<()> {
    let mut file = trusted_path.open(Access::New(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
