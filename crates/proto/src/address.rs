//! Addresses of data connections: `PORT`, `EPRT`, `EPSV` and the replies 227 and 229.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use crate::args::ArgError;
use crate::digits;

/// Reads the argument of `PORT` (RFC 959 §5.3.2): `127,0,0,1,117,48`, four bytes of the address
/// and two of the port. Spaces around the numbers are taken. Port 0 is malformed.
///
/// Whether that address may be connected to is for the engine to decide (RFC 2577 §3).
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
    let port = u16::from_be_bytes([high, low]);
    if numbers.next().is_some() || port == 0 {
        return Err(ArgError::Malformed);
    }
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
/// is any byte from 33 to 126. Port 0 is an error of syntax.
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

/// What `EPSV` asks for (RFC 2428 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpsvArg {
    /// No argument: the family of the control connection.
    Any,
    /// `ALL`: from here on the client uses `EPSV` only, and everything else is to be refused.
    All,
    /// `1`: IPv4.
    V4,
    /// `2`: IPv6.
    V6,
}

/// Reads the argument of `EPSV`: nothing, `ALL` in any case, `1` or `2`.
pub fn parse_epsv(arg: &[u8]) -> Result<EpsvArg, EprtError> {
    let arg = arg.trim_ascii();
    if arg.is_empty() {
        return Ok(EpsvArg::Any);
    }
    if arg.eq_ignore_ascii_case(b"ALL") {
        return Ok(EpsvArg::All);
    }
    Ok(match parse_family(arg)? {
        Family::V4 => EpsvArg::V4,
        Family::V6 => EpsvArg::V6,
    })
}

/// The address as reply 227 has it, to stand in parentheses: `127,0,0,1,117,48`.
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
    text.split(|byte| !byte.is_ascii_digit() && *byte != b',').find_map(|run| parse_port(run).ok())
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
    let port = port_number(parts.next()?)?;
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
    u16::try_from(port).ok().filter(|&port| port != 0)
}

fn byte_number(text: &[u8]) -> Option<u8> {
    u8::try_from(digits::parse(text.trim_ascii(), u8::MAX.into())?).ok()
}
