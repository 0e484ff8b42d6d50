//! Certificates made, kept and read.

use std::path::PathBuf;

use super::*;

fn names() -> Vec<String> {
    vec!["host.example".into(), "localhost".into(), "127.0.0.1".into()]
}

fn is_matching(pair: CertificateAndKey) -> bool {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    rustls::sign::CertifiedKey::from_der(pair.chain, pair.key, &provider).is_ok()
}

#[test]
fn a_certificate_is_generated_once_and_stored() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("new/state");
    let first = self_signed(&state, &names()).unwrap();
    let second = self_signed(&state, &names()).unwrap();
    assert_eq!(first.chain, second.chain);
    assert_eq!(first.warnings, Vec::<String>::new());
    assert!(first.is_self_signed && is_matching(first));
    let mut left: Vec<_> =
        fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [STORED_RSA_NAME, STORED_NAME]);
}

#[test]
fn an_rsa_certificate_with_the_same_names_is_added_to_that_of_an_earlier_release() {
    let folder = tempfile::tempdir().unwrap();
    let of_before = ["old.example".to_owned(), "192.0.2.7".to_owned()];
    let text = make(&of_before, KeyKind::Ecdsa).unwrap();
    write_synced(&TrustedPath::find(&folder.path().join(STORED_NAME)).unwrap(), &text).unwrap();
    let first = self_signed(folder.path(), &names()).unwrap();
    assert_eq!(first.chain, chain_of(&text));
    let (chain, key) = first.other.unwrap();
    assert_eq!(validity::names(&chain[0]), of_before);
    let again = self_signed(folder.path(), &names()).unwrap();
    assert_eq!(again.other.unwrap().0, chain);
    let kind = |chain: &[CertificateDer<'_>]| ParsedCertificate::of(&chain[0]).unwrap().key;
    assert!(matches!(kind(&chain), PublicKey::Rsa(_)), "{:?}", kind(&chain));
    assert!(!matches!(kind(&first.chain), PublicKey::Rsa(_)));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    assert!(rustls::sign::CertifiedKey::from_der(chain, key, &provider).is_ok());
}

#[test]
fn its_summary_is_parsed_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<_> = names().into_iter().chain(["2001:db8::7".to_owned()]).collect();
    let facts = CertificateSummary::of(&self_signed(folder.path(), &names).unwrap());
    assert_eq!(facts.names, names);
    assert!(facts.not_after.is_some() && facts.is_self_signed);
}

#[test]
fn it_is_valid_for_ten_years() {
    let text = make(&names(), KeyKind::Ecdsa).unwrap();
    let until = validity::not_after(&chain_of(&text)[0]).unwrap();
    let years = until.to_zoned(jiff::tz::TimeZone::UTC).year() - jiff::Zoned::now().year();
    assert_eq!(years, YEARS);
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    self_signed(&state, &names()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&state.join(STORED_NAME))), (0o700, 0o600));
    fs::set_permissions(state.join(STORED_NAME), fs::Permissions::from_mode(0o640)).unwrap();
    let failure = self_signed(&state, &names()).unwrap_err();
    assert_eq!(failure.exit, Exit::ConfigInvalid);
    assert!(failure.hint.unwrap().starts_with("chmod 600 "));
}

#[test]
fn if_it_cannot_be_stored_it_is_used_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let pair = self_signed(&file, &names()).unwrap();
    assert!(pair.warnings[0].contains("cannot be stored in"), "{:?}", pair.warnings);
    assert_eq!(pair.warnings.len(), 1, "{:?}", pair.warnings);
    assert!(is_matching(pair));
}

/// Splits `text` into a certificate file and a key file.
fn files(folder: &Path, text: &str) -> (PathBuf, PathBuf) {
    let (certificate, key) = text.split_at(text.find("-----BEGIN PRIVATE").unwrap());
    let (at, key_at) = (folder.join("cert.pem"), folder.join("key.pem"));
    write_synced(&TrustedPath::find(&at).unwrap(), certificate).unwrap();
    write_synced(&TrustedPath::find(&key_at).unwrap(), key).unwrap();
    (at, key_at)
}

#[test]
fn row_45_certificate_files_are_read_and_errors_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = files(folder.path(), &make(&names(), KeyKind::Ecdsa).unwrap());
    assert!(is_matching(from_files(&certificate, &key).unwrap()));
    let reported = |certificate: &Path, key: &Path| {
        let failure = from_files(certificate, key).unwrap_err();
        assert_eq!(failure.exit, Exit::ConfigInvalid);
        failure
            .message
            .replace(&format!("{}{}", folder.path().display(), std::path::MAIN_SEPARATOR), "")
    };
    assert_eq!(reported(&key, &key), "key.pem contains no PEM certificate");
    assert_eq!(reported(&certificate, &certificate), "cert.pem contains no PEM private key");
    let missing = folder.path().join("none.pem");
    assert_eq!(
        reported(&missing, &key),
        "cannot read the certificate none.pem: no such file or directory"
    );
    let binary = folder.path().join("cert.der");
    fs::write(&binary, [0x30, 0x82, 0xff, 0xfe]).unwrap();
    assert_eq!(
        reported(&binary, &key),
        "invalid certificate cert.der: DER (binary) instead of PEM"
    );
}

#[test]
fn an_expired_certificate_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(names()).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let text = params.self_signed(&key).unwrap().pem() + &key.serialize_pem();
    let (certificate, key) = files(folder.path(), &text);
    let pair = from_files(&certificate, &key).unwrap();
    assert!(pair.warnings[0].ends_with("cert.pem expired on 2021-01-01"), "{:?}", pair.warnings);
}
