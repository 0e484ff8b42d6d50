//! How single values read.

use super::*;
use crate::keys::keys;

#[test]
fn every_default_is_a_value_of_its_key() {
    let loaded = crate::Loaded::load(&crate::gather::Inputs::default());
    assert_eq!(loaded.problems, []);
    for key in keys() {
        assert!(Raw::parse_toml(key.default).is_some(), "{}", key.path());
    }
}

#[test]
fn port_ranges_have_both_ends() {
    assert_eq!(parse("30000-30999"), Ok(PortRange(30_000..=30_999)));
    assert_eq!(parse("5000"), Ok(PortRange(5000..=5000)));
    let wrong = parse::<PortRange>("31000-30000").unwrap_err();
    assert_eq!(wrong.hint.as_deref(), Some("write `30000-31000`"));
    for text in ["", "-", "1-", "0-10", "70000", "a-b", "1-2-3", "+1-5"] {
        assert!(parse::<PortRange>(text).is_err(), "{text}");
    }
}

#[test]
fn listen_ports_and_addresses_are_parsed_in_usual_notation() {
    assert_eq!(parse("auto"), Ok(ListenPort::Auto));
    assert_eq!(parse("2121"), Ok(ListenPort::Fixed(2121)));
    assert_eq!(ListenPort::read(&Raw::Text("21".into()), Path::new("")), Ok(ListenPort::Fixed(21)));
    assert!(ListenPort::read(&Raw::Integer(65_536), Path::new("")).is_err());
    assert!(ListenPort::read(&Raw::Integer(-1), Path::new("")).is_err());
    assert_eq!(parse::<IpAddr>("[::]"), parse::<IpAddr>("::"));
    let wrong = parse::<IpAddr>("*").unwrap_err();
    assert_eq!(wrong.hint.as_deref(), Some("for all interfaces write `[::]`"));
}

#[test]
fn an_address_for_metrics_has_a_port_and_no_name() {
    let address = |text: &str| parse::<OptionalAddress>(text).map(|OptionalAddress(one)| one);
    assert_eq!(address(""), Ok(None));
    assert_eq!(address("127.0.0.1:9121"), Ok(Some("127.0.0.1:9121".parse().unwrap())));
    assert_eq!(address("[::1]:9121"), Ok(Some("[::1]:9121".parse().unwrap())));
    for (text, port) in [("9000", "9000"), (":9000", "9000"), ("localhost:9", "9"), ("x", "9121")] {
        let hint = format!("for this computer only write `127.0.0.1:{port}`");
        assert_eq!(address(text).unwrap_err().hint, Some(hint));
    }
}

#[test]
fn networks_are_words_addresses_and_prefixes() {
    let Networks(networks) = parse("loopback, 192.168.1.77/24, 2001:db8::1").unwrap();
    let shown: Vec<_> = networks.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["127.0.0.0/8", "::1/128", "192.168.1.0/24", "2001:db8::1/128"]);
    assert!(parse::<Networks>("privat").is_err());
    assert!(parse::<Networks>("10.0.0.0/33").is_err());
}

#[test]
fn the_public_address_is_an_address_or_a_name() {
    assert_eq!(parse(""), Ok(PublicAddress::None));
    assert_eq!(parse("ftp.example.com"), Ok(PublicAddress::Name("ftp.example.com".into())));
    assert!(matches!(parse("203.0.113.7"), Ok(PublicAddress::Address(_))));
    for text in ["http://a.example", "2001:db8::1", "1.2.3", "a b"] {
        assert!(parse::<PublicAddress>(text).is_err(), "{text}");
    }
}

#[test]
fn commands_are_verbs_and_some_must_stay() {
    assert_eq!(parse("epsv, MLSD"), Ok(Commands(vec!["EPSV".into(), "MLSD".into()])));
    assert!(parse::<Commands>("user").is_err());
    assert!(parse::<Commands>("E P").is_err());
}

#[test]
fn the_umask_is_octal() {
    assert_eq!(parse("022"), Ok(Umask(0o022)));
    assert_eq!(parse("0o077"), Ok(Umask(0o077)));
    for text in ["", "8", "1000", "+22", "-1"] {
        assert!(parse::<Umask>(text).is_err(), "{text}");
    }
}

#[test]
fn legacy_encodings_go_by_their_labels() {
    assert_eq!(parse("GBK"), Ok(LegacyEncoding::Fixed(encoding_rs::GBK)));
    assert_eq!(parse("latin1"), Ok(LegacyEncoding::Fixed(encoding_rs::WINDOWS_1252)));
    assert!(parse::<LegacyEncoding>("utf-8").is_err());
    assert!(parse::<LegacyEncoding>("utf-16").is_err());
    let wrong = parse::<LegacyEncoding>("shift-jsi").unwrap_err();
    assert_eq!(wrong.hint.as_deref(), Some("did you mean `shift_jis`?"));
}

#[test]
fn relative_paths_begin_at_the_base() {
    let raw = Raw::Text("users.toml".into());
    let read = FilePath::read(&raw, Path::new("/etc/wharf"));
    assert_eq!(read, Ok(FilePath("/etc/wharf/users.toml".into())));
    assert!(FilePath::read(&Raw::Text(String::new()), Path::new("/")).is_err());
    assert_eq!(AutoPath::read(&Raw::Text("auto".into()), Path::new("/")), Ok(AutoPath(None)));
}

#[test]
fn words_for_yes_are_answered_with_the_right_one() {
    let wrong = bool::read(&Raw::Text("yes".into()), Path::new("")).unwrap_err();
    assert_eq!(wrong.why, "expected true or false, found `yes`");
    assert_eq!(wrong.hint.as_deref(), Some("write true, without quotes"));
}
