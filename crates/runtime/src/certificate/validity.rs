//! The validity and the names of a certificate, parsed from its DER.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The end of the certificate's validity; `None` if it does not follow RFC 5280 §4.1.
///
/// `SEQUENCE { SEQUENCE tbs { [0] version, INTEGER serial, SEQUENCE algorithm, SEQUENCE issuer,
/// SEQUENCE validity { time notBefore, time notAfter }, … } … }`
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (_, outer, _) = element(certificate)?;
    let (_, mut rest, _) = element(outer)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    for _ in ["serial", "algorithm", "issuer"] {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, rest) = element(validity)?;
    let (tag, time, _) = element(rest)?;
    time_of(tag, std::str::from_utf8(time).ok()?)
}

/// The names and addresses that the certificate is for (RFC 5280 §4.2.1.6); empty if it contains
/// none.
///
/// Behind the validity come `SEQUENCE subject, SEQUENCE key, … [3] { SEQUENCE { extensions } }`.
pub(super) fn names(certificate: &[u8]) -> Vec<String> {
    subject_names(certificate)
        .map(|list| each(list).filter_map(name_of).collect())
        .unwrap_or_default()
}

/// The list within the extension `subjectAltName`.
fn subject_names(certificate: &[u8]) -> Option<&[u8]> {
    let (_, outer, _) = element(certificate)?;
    let (_, fields, _) = element(outer)?;
    let (_, extensions) = each(fields).find(|(tag, _)| *tag == EXTENSIONS)?;
    let (_, extensions, _) = element(extensions)?;
    let is_it = |(_, extension): &(u8, &[u8])| {
        element(extension).is_some_and(|(_, id, _)| id == SUBJECT_ALT_NAME)
    };
    let (_, extension) = each(extensions).find(is_it)?;
    let (_, text) = each(extension).last()?;
    element(text).map(|(_, list, _)| list)
}

fn name_of((tag, name): (u8, &[u8])) -> Option<String> {
    match tag {
        DNS_NAME => Some(String::from_utf8_lossy(name).into_owned()),
        IP_ADDRESS => {
            let four = <[u8; 4]>::try_from(name).map(|ip| Ipv4Addr::from(ip).to_string());
            let six = || <[u8; 16]>::try_from(name).map(|ip| Ipv6Addr::from(ip).to_string());
            four.or_else(|_| six()).ok()
        }
        _ => None,
    }
}

/// Iterates over consecutive elements, as tag and content.
pub(super) fn each(mut der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, content, rest) = element(der)?;
        der = rest;
        Some((tag, content))
    })
}

const EXTENSIONS: u8 = 0xa3;
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The first element: its tag, its content, and what follows it.
pub(super) fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (digits, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
        // A length of four bytes is far more than a certificate has.
        if digits.len() > 4 {
            return None;
        }
        length = digits.iter().fold(0, |sum, digit| sum * 256 + usize::from(*digit));
        rest = behind;
    }
    let (content, behind) = rest.split_at_checked(length)?;
    Some((tag, content, behind))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`; two digits mean 1950 to 2049 (RFC 5280 §4.1.2.5.1).
pub(super) fn time_of(tag: u8, text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z')?;
    let whole = match tag {
        UTC_TIME if text.as_bytes() < b"50".as_slice() => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%S", &whole).ok()?;
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_both_time_formats() {
        let shown = |tag, text| time_of(tag, text).unwrap().to_string();
        assert_eq!(shown(UTC_TIME, "360101000000Z"), "2036-01-01T00:00:00Z");
        assert_eq!(shown(UTC_TIME, "990101000000Z"), "1999-01-01T00:00:00Z");
        assert_eq!(shown(GENERALIZED_TIME, "20500131235959Z"), "2050-01-31T23:59:59Z");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = not_after(&bytes);
            let _ = names(&bytes);
        }
    }
}
