//! Arguments of SITE commands that set times, umasks and idle times.

use crate::args::{ArgError, number, trim, word_and_rest};
use crate::time::Timestamp;

/// Reads the argument of `SITE UTIME`: a time and a name, in one of the two forms of other servers.
///
/// `20260101120000 name` or, without seconds, `202601011200 name`; and `name ATIME MTIME CTIME UTC`
/// with three times, of which the second counts. The name is never empty.
pub fn parse_utime(arg: &[u8]) -> Result<(Timestamp, &[u8]), ArgError> {
    if let Some(found) = parse_utime_of_three(arg) {
        return Ok(found);
    }
    let (time, name) = word_and_rest(arg)?;
    Ok((parse_minute(time).ok_or(ArgError::Malformed)?, name))
}

/// `name ATIME MTIME CTIME UTC`; none if it is not that.
fn parse_utime_of_three(arg: &[u8]) -> Option<(Timestamp, &[u8])> {
    let mut words = trim(arg).rsplitn(5, |&byte| byte == b' ');
    let zone = words.next()?;
    let (changed, modified, used) = (words.next()?, words.next()?, words.next()?);
    let name = words.next().filter(|name| !name.is_empty())?;
    let times = [used, modified, changed].map(parse_minute);
    let [Some(_), Some(modified), Some(_)] = times else { return None };
    zone.eq_ignore_ascii_case(b"UTC").then_some((modified, name))
}

/// A time as in [`Timestamp::parse`], which may lack its seconds.
fn parse_minute(text: &[u8]) -> Option<Timestamp> {
    match text.len() {
        12 => Timestamp::parse(&[text, b"00"].concat()),
        _ => Timestamp::parse(text),
    }
}

/// Reads the argument of `SITE UMASK`: one to four octal digits, `777` at most.
pub fn parse_umask(arg: &[u8]) -> Result<u32, ArgError> {
    let digits = trim(arg);
    if digits.is_empty() {
        return Err(ArgError::Missing);
    }
    if digits.len() > 4 || !digits.iter().all(|byte| (b'0'..=b'7').contains(byte)) {
        return Err(ArgError::Malformed);
    }
    let umask = digits.iter().fold(0, |sum, &byte| sum * 8 + u32::from(byte - b'0'));
    if umask > 0o777 { Err(ArgError::Malformed) } else { Ok(umask) }
}

/// Reads the argument of `SITE IDLE`: seconds, at least 1.
pub fn parse_seconds(arg: &[u8]) -> Result<u64, ArgError> {
    match number(trim(arg), u32::MAX.into())? {
        0 => Err(ArgError::Malformed),
        seconds => Ok(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ArgError::{Malformed, Missing};
    use proptest::prelude::*;

    #[test]
    fn row_26_site_utime_has_the_forms_of_two_servers() {
        let at = |text: &str| Timestamp::parse(text.as_bytes()).unwrap();
        let (noon, name) = (at("20260102120000"), &b"a b"[..]);
        assert_eq!(parse_utime(b"20260102120000 a b"), Ok((noon, name)));
        assert_eq!(parse_utime(b"202601021200 a b"), Ok((noon, name)));
        let three = b"a b 20200101000000 20260102120000 20200101000000 UTC";
        assert_eq!(parse_utime(three), Ok((noon, name)));
        let three = b"a b 202001010000 202601021200 202001010000 utc";
        assert_eq!(parse_utime(three), Ok((noon, name)));
        assert_eq!(parse_utime(b"20260102120000"), Err(Missing));
        for arg in [
            &b"a b"[..],
            b"20260132120000 a",
            b"a 20200101000000 20260132120000 20200101000000 UTC",
            b"a 20200101000000 20260102120000 20200101000000 CET",
            b" 20200101000000 20260102120000 20200101000000 UTC",
        ] {
            assert!(parse_utime(arg).is_err() || parse_utime(arg).unwrap().1 != b"a", "{arg:?}");
        }
    }

    #[test]
    fn a_umask_is_octal_and_an_idle_time_is_not_0() {
        assert_eq!(parse_umask(b"022"), Ok(0o022));
        assert_eq!(parse_umask(b" 7 "), Ok(7));
        assert_eq!(parse_umask(b"0777"), Ok(0o777));
        assert_eq!(parse_umask(b""), Err(Missing));
        for arg in [&b"8"[..], b"1777", b"00022", b"-1", b"u=rwx"] {
            assert_eq!(parse_umask(arg), Err(Malformed), "{arg:?}");
        }
        assert_eq!(parse_seconds(b"900"), Ok(900));
        assert_eq!(parse_seconds(b" "), Err(Missing));
        for arg in [&b"0"[..], b"-1", b"9m", b"4294967296"] {
            assert_eq!(parse_seconds(arg), Err(Malformed), "{arg:?}");
        }
    }

    proptest! {
        #[test]
        fn row_47_no_site_argument_makes_a_parser_panic(
            arg: Vec<u8>,
            text in "[0-9 aUTC]{0,60}",
        ) {
            for arg in [&arg[..], text.as_bytes()] {
                let _ = (parse_utime(arg), parse_umask(arg), parse_seconds(arg));
            }
        }
    }
}
