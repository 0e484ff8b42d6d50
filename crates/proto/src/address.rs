//! Addresses of data connections: `PORT`, `EPRT`, `EPSV` and the replies 227 and 229.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use crate::args::ArgError;
use crate::digits;

/// Reads the argument of `PORT` (RFC 959 §5.3.2): `127,0,0,1,117,48`, four bytes of the address
/// and two of the port. Spaces around the numbers are taken.
///
/// Whether that address and port may be connected to is for the engine to decide (RFC 2577 §3).
pub fn parse_port(arg: &[u8]) -> Result<SocketAddrV4, ArgError> {
    if arg.trim_ascii().is_empty() {
        return Err(ArgError::Missing);
    }
    let mut bytes = [0; 6];
    let mut numbers = arg.split(|&byte| byte == b',');
    for byte in &mut bytes {
        *byte = numbers.next().and_then(byte_number).ok_or(ArgError::Malformed)?;
    }
    let [a, b, c, d, high, low] = bytes;
    if numbers.next().is_some() {
        return Err(ArgError::Malformed);
    }
    let port = u16::from_be_bytes([high, low]);
    Ok(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port))
}

/// Why the argument of `EPRT` or `EPSV` cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EprtError {
    /// It does not have the right form. The engine answers 501.
    Syntax,
    /// Its family is a number and neither 1 nor 2. The engine answers 522 (RFC 2428 §2).
    UnknownFamily,
}

/// Reads the argument of `EPRT` (RFC 2428 §2).
///
/// `|1|127.0.0.1|30000|` or `|2|::1|30000|`: family, address, port, each between a delimiter that
/// is any byte from 33 to 126. Whether that address and port may be connected to is for the engine
/// to decide.
pub fn parse_eprt(arg: &[u8]) -> Result<SocketAddr, EprtError> {
    let arg = arg.trim_ascii();
    let delimiter = *arg.first().ok_or(EprtError::Syntax)?;
    if !(33..=126).contains(&delimiter) {
        return Err(EprtError::Syntax);
    }
    let mut parts = arg.split(|&byte| byte == delimiter);
    let mut next = || parts.next().ok_or(EprtError::Syntax);
    let (before, family, address, port, behind) = (next()?, next()?, next()?, next()?, next()?);
    if !before.is_empty() || !behind.is_empty() || parts.next().is_some() {
        return Err(EprtError::Syntax);
    }
    let family = parse_family(family)?;
    let address = str::from_utf8(address).map_err(|_| EprtError::Syntax)?;
    let address = match family {
        Family::V4 => address.parse::<Ipv4Addr>().map(IpAddr::V4),
        Family::V6 => address.parse::<Ipv6Addr>().map(IpAddr::V6),
    };
    let address = address.map_err(|_| EprtError::Syntax)?;
    Ok(SocketAddr::new(address, port_number(port).ok_or(EprtError::Syntax)?))
}

/// What `EPSV` requests (RFC 2428 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpsvArg {
    /// No argument: the family of the control connection.
    Any,
    /// `ALL`: from here on the client uses `EPSV` only, and everything else is to be rejected.
    All,
    /// `1`: IPv4.
    V4,
    /// `2`: IPv6.
    V6,
}

/// Reads the argument of `EPSV`: nothing, `ALL` in any case, `1` or `2`. Anything else names a
/// protocol that is not known here.
pub fn parse_epsv(arg: &[u8]) -> Result<EpsvArg, EprtError> {
    let arg = arg.trim_ascii();
    if arg.is_empty() {
        return Ok(EpsvArg::Any);
    }
    if arg.eq_ignore_ascii_case(b"ALL") {
        return Ok(EpsvArg::All);
    }
    Ok(match parse_family(arg).map_err(|_| EprtError::UnknownFamily)? {
        Family::V4 => EpsvArg::V4,
        Family::V6 => EpsvArg::V6,
    })
}

/// The address for reply 227, to be put in parentheses: `127,0,0,1,117,48`.
pub fn pasv_numbers(address: Ipv4Addr, port: u16) -> String {
    let [a, b, c, d] = address.octets();
    let [high, low] = port.to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

/// The port as reply 229 has it, with its parentheses: `(|||30000|)`.
pub fn epsv_numbers(port: u16) -> String {
    format!("(|||{port}|)")
}

/// Finds the address in the text of a reply 227, with or without parentheses: the first six
/// numbers with commas between them. This is the client's side.
pub fn parse_pasv_reply(text: &[u8]) -> Option<SocketAddrV4> {
    let mut runs = text.split(|byte| !byte.is_ascii_digit() && *byte != b',');
    runs.find_map(|run| parse_port(run).ok().filter(|address| address.port() != 0))
}

/// Finds the port in the text of a reply 229: `(|||30000|)` with any delimiter. This is the
/// client's side.
pub fn parse_epsv_reply(text: &[u8]) -> Option<u16> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    let (&delimiter, inside) = text.get(open + 1..)?.split_first()?;
    if !(33..=126).contains(&delimiter) {
        return None;
    }
    let inside = inside.strip_prefix(&[delimiter, delimiter])?;
    let mut parts = inside.splitn(2, |&byte| byte == delimiter);
    let port = port_number(parts.next()?).filter(|&port| port != 0)?;
    parts.next()?.starts_with(b")").then_some(port)
}

enum Family {
    V4,
    V6,
}

fn parse_family(text: &[u8]) -> Result<Family, EprtError> {
    match text {
        b"1" => Ok(Family::V4),
        b"2" => Ok(Family::V6),
        [_, ..] if text.iter().all(u8::is_ascii_digit) => Err(EprtError::UnknownFamily),
        _ => Err(EprtError::Syntax),
    }
}

fn port_number(text: &[u8]) -> Option<u16> {
    let port = digits::parse(text, u16::MAX.into())?;
    u16::try_from(port).ok()
}

fn byte_number(text: &[u8]) -> Option<u8> {
    u8::try_from(digits::parse(text.trim_ascii(), u8::MAX.into())?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v4(text: &str) -> SocketAddrV4 {
        text.parse().unwrap()
    }

    #[test]
    fn port_is_six_numbers() {
        assert_eq!(parse_port(b"127,0,0,1,117,48"), Ok(v4("127.0.0.1:30000")));
        assert_eq!(parse_port(b" 10, 0,0 ,1,0,21 "), Ok(v4("10.0.0.1:21")));
        assert_eq!(parse_port(b"010,000,000,001,000,021"), Ok(v4("10.0.0.1:21")));
        assert_eq!(parse_port(b"1,2,3,4,0,0"), Ok(v4("1.2.3.4:0")));
        assert_eq!(parse_port(b""), Err(ArgError::Missing));
        for text in [
            "1,2,3,4,5",
            "1,2,3,4,5,6,7",
            "1,2,3,4,5,6,",
            "256,0,0,1,1,1",
            "1,2,3,4,-1,5",
            "1,2,3,4,5,0x6",
            "1,,3,4,5,6",
            "1.2.3.4.5.6",
            "1,2,3,4,5,6x",
            ",,,,,",
            "99999999999999999999,2,3,4,5,6",
        ] {
            assert_eq!(parse_port(text.as_bytes()), Err(ArgError::Malformed), "{text}");
        }
    }

    #[test]
    fn eprt_takes_both_families_and_any_delimiter() {
        let address = |text: &str| Ok(text.parse::<SocketAddr>().unwrap());
        assert_eq!(parse_eprt(b"|1|127.0.0.1|30000|"), address("127.0.0.1:30000"));
        assert_eq!(parse_eprt(b"!2!::1!1!"), address("[::1]:1"));
        assert_eq!(parse_eprt(b"|1|127.0.0.1|0|"), address("127.0.0.1:0"));
        assert_eq!(parse_eprt(b" ~2~fe80::aB~65535~ "), address("[fe80::ab]:65535"));
        assert_eq!(parse_eprt(b"|3|whatever|1|"), Err(EprtError::UnknownFamily));
        assert_eq!(parse_eprt(b"|0|127.0.0.1|1|"), Err(EprtError::UnknownFamily));
    }

    #[test]
    fn invalid_extended_addresses_are_rejected() {
        for text in [
            "",
            "|",
            "||||",
            "|||||",
            "|1|127.0.0.1|30000",
            "1|127.0.0.1|30000|",
            "|1|127.0.0.1||",
            "|1|127.0.0.1|65536|",
            "|1|127.0.0.1|-1|",
            "|1|127.0.0.1|30000|x",
            "|1|127.0.0.1|30000||",
            "|1|::1|30000|",
            "|2|127.0.0.1|30000|",
            "|2|fe80::1%1|30000|",
            "|2|[::1]|30000|",
            "|1|127.1|30000|",
            "|1|localhost|30000|",
            "|x|127.0.0.1|1|",
            "\u{e9}1\u{e9}127.0.0.1\u{e9}1\u{e9}",
            "\u{7f}1\u{7f}127.0.0.1\u{7f}1\u{7f}",
            "1127.0.0.1111",
            ".1.127.0.0.1.1.",
        ] {
            assert_eq!(parse_eprt(text.as_bytes()), Err(EprtError::Syntax), "{text}");
        }
    }

    #[test]
    fn epsv_accepts_a_family_or_all() {
        assert_eq!(parse_epsv(b""), Ok(EpsvArg::Any));
        assert_eq!(parse_epsv(b" "), Ok(EpsvArg::Any));
        assert_eq!(parse_epsv(b"all"), Ok(EpsvArg::All));
        assert_eq!(parse_epsv(b"1"), Ok(EpsvArg::V4));
        assert_eq!(parse_epsv(b"2"), Ok(EpsvArg::V6));
        assert_eq!(parse_epsv(b"3"), Err(EprtError::UnknownFamily));
        assert_eq!(parse_epsv(b"x"), Err(EprtError::UnknownFamily));
        assert_eq!(parse_epsv(b"1 1"), Err(EprtError::UnknownFamily));
    }

    #[test]
    fn replies_are_found_in_their_text() {
        let expected = Some(v4("127.0.0.1:30000"));
        for text in [
            "Entering Passive Mode (127,0,0,1,117,48).",
            "227 Entering Passive Mode (127,0,0,1,117,48)",
            "Passive mode, 127,0,0,1,117,48",
            "=127,0,0,1,117,48",
        ] {
            assert_eq!(parse_pasv_reply(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(parse_pasv_reply(b"Entering Passive Mode (127,0,0,1)"), None);
        assert_eq!(parse_pasv_reply(b"Entering Passive Mode (127,0,0,1,0,0)"), None);
        assert_eq!(parse_epsv_reply(b"Entering Extended Passive Mode (|||30000|)"), Some(30000));
        assert_eq!(parse_epsv_reply(b"229 ok (!!!1!)."), Some(1));
        for text in ["", "(", "(|", "(|||0|)", "(|||65536|)", "(|||1)", "(||1|)", "(|||1|", "|||1|"]
        {
            assert_eq!(parse_epsv_reply(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            ip: u32,
            ip6: u128,
            port in 1_u16..,
            delimiter in 33_u8..=126,
        ) {
            let ip = Ipv4Addr::from_bits(ip);
            let address = SocketAddrV4::new(ip, port);
            let numbers = pasv_numbers(ip, port);
            prop_assert_eq!(parse_port(numbers.as_bytes()), Ok(address));
            prop_assert_eq!(parse_pasv_reply(format!("x ({numbers}).").as_bytes()), Some(address));
            prop_assert_eq!(parse_epsv_reply(epsv_numbers(port).as_bytes()), Some(port));
            let mark = char::from(delimiter);
            if !mark.is_ascii_hexdigit() && mark != ':' && mark != '.' {
                let text = format!("{mark}1{mark}{ip}{mark}{port}{mark}");
                prop_assert_eq!(parse_eprt(text.as_bytes()), Ok(SocketAddr::V4(address)));
                let ip = Ipv6Addr::from_bits(ip6);
                let text = format!("{mark}2{mark}{ip}{mark}{port}{mark}");
                prop_assert_eq!(parse_eprt(text.as_bytes()), Ok((ip, port).into()));
            }
        }

        #[test]
        fn no_bytes_make_a_parser_panic(bytes: Vec<u8>, text in "[|(),0-9:.]{0,40}") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                let _ = (parse_port(bytes), parse_eprt(bytes), parse_epsv(bytes));
                let _ = (parse_pasv_reply(bytes), parse_epsv_reply(bytes));
            }
        }
    }
}
