//! The header with the client's address that a proxy sends (PROXY protocol, versions 1 and 2).
//!
//! Version 1 is a line: `PROXY TCP4 192.0.2.7 203.0.113.1 40000 21\r\n`. Version 2 is binary:
//!
//! ```text
//! 0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a   signature, 12 bytes
//! 21                                    version 2, command 1 (0: LOCAL, 1: PROXY)
//! 11                                    family 1 (1: IPv4, 2: IPv6), transport 1 (1: TCP)
//! 00 0c                                 bytes that follow: addresses, ports, then extensions
//! ```
//!
//! The bytes after the header are from the client and must not be read with it. So [`parse`]
//! returns a lower bound of the missing bytes, and a reader that never reads more does not read too
//! much.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest line of version 1, its end included, as its specification has it.
pub const LINE_BYTES_MAX: usize = 107;
/// The longest header of version 2 that is taken. Addresses need 36 bytes; the rest is room for
/// extensions, which are passed over. The form itself would permit 64 KiB.
pub const BINARY_BYTES_MAX: usize = 2048;

/// How the binary form begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and transport, length.
const BINARY_HEAD_BYTES: usize = 16;
/// How the line begins.
const WORD: &[u8] = b"PROXY";
/// The shortest line there is, `PROXY UNKNOWN`, without its end.
const LINE_BYTES_MIN: usize = 13;

/// The origin of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// A client, at this address, which reached the proxy at that one.
    Behind {
        /// The client's end.
        source: SocketAddr,
        /// The proxy's end.
        destination: SocketAddr,
    },
    /// The proxy itself, for a health check; or an unknown origin.
    Proxy,
}

/// The progress of parsing a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// At least this many bytes are missing, and may be read without reading beyond the header.
    Needs(usize),
    /// It is whole.
    Done(Client),
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// They do not begin with a header: the client connects directly.
    NoHeader,
    /// The version or the command is unknown.
    Unknown,
    /// It is longer than a header may be.
    TooLong,
    /// Its addresses or ports are invalid.
    Malformed,
}

/// Reads a header as far as it is there. `bytes` must not hold more than the header: read as
/// [`Progress::Needs`] contains, from nothing on.
///
/// # Errors
/// As soon as the bytes cannot become a header.
pub fn parse(bytes: &[u8]) -> Result<Progress, ProxyError> {
    if begins_alike(bytes, SIGNATURE) && !bytes.is_empty() {
        return parse_binary(bytes);
    }
    if begins_alike(bytes, WORD) {
        return parse_line(bytes);
    }
    Err(ProxyError::NoHeader)
}

/// Whether one of them is the beginning of the other.
fn begins_alike(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.iter().zip(wanted).all(|(byte, wanted)| byte == wanted)
}

fn parse_line(bytes: &[u8]) -> Result<Progress, ProxyError> {
    if bytes.len() < LINE_BYTES_MIN {
        return Ok(Progress::Needs(LINE_BYTES_MIN - bytes.len()));
    }
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        if bytes.len() >= LINE_BYTES_MAX {
            return Err(ProxyError::TooLong);
        }
        let is_almost = bytes.ends_with(b"\r") || bytes.len() + 1 == LINE_BYTES_MAX;
        return Ok(Progress::Needs(if is_almost { 1 } else { 2 }));
    };
    let text = str::from_utf8(line).map_err(|_| ProxyError::Malformed)?;
    let mut words = text.split(' ');
    let family = (words.next(), words.next());
    let wants_ipv4 = match family {
        (Some("PROXY"), Some("TCP4")) => true,
        (Some("PROXY"), Some("TCP6")) => false,
        // The rest of the line is to be ignored.
        (Some("PROXY"), Some("UNKNOWN")) => return Ok(Progress::Done(Client::Proxy)),
        (Some("PROXY"), _) => return Err(ProxyError::Unknown),
        _ => return Err(ProxyError::NoHeader),
    };
    let mut address = || words.next().and_then(|word| line_address(word, wants_ipv4));
    let addresses = address().zip(address());
    let mut port = || words.next().and_then(line_port);
    let ports = port().zip(port());
    match (addresses, ports, words.next()) {
        (Some((from, to)), Some((from_port, to_port)), None) => {
            let source = SocketAddr::new(from, from_port);
            let destination = SocketAddr::new(to, to_port);
            Ok(Progress::Done(Client::Behind { source, destination }))
        }
        _ => Err(ProxyError::Malformed),
    }
}

fn line_address(word: &str, wants_ipv4: bool) -> Option<IpAddr> {
    let address: IpAddr = word.parse().ok()?;
    (address.is_ipv4() == wants_ipv4).then_some(address)
}

/// Digits alone: no sign, and no zero in front.
fn line_port(word: &str) -> Option<u16> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = is_plain && (word == "0" || !word.starts_with('0'));
    if is_plain { word.parse().ok() } else { None }
}

fn parse_binary(bytes: &[u8]) -> Result<Progress, ProxyError> {
    let Some((head, rest)) = bytes.split_first_chunk::<BINARY_HEAD_BYTES>() else {
        // The line is the shorter form, so this is never reached by mistake.
        return Ok(Progress::Needs(BINARY_HEAD_BYTES - bytes.len()));
    };
    let [.., version_and_command, family, high, low] = *head;
    let command = match version_and_command {
        0x20 => ProxyCommand::Local,
        0x21 => ProxyCommand::Proxy,
        _ => return Err(ProxyError::Unknown),
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if BINARY_HEAD_BYTES + length > BINARY_BYTES_MAX {
        return Err(ProxyError::TooLong);
    }
    if let Some(missing) = length.checked_sub(rest.len()).filter(|missing| *missing > 0) {
        return Ok(Progress::Needs(missing));
    }
    let body = rest.get(..length).ok_or(ProxyError::Malformed)?;
    match (command, family) {
        // LOCAL is the proxy itself, whatever addresses it carries; so is an unspecified family.
        (ProxyCommand::Local, _) | (ProxyCommand::Proxy, 0x00) => Ok(Progress::Done(Client::Proxy)),
        (ProxyCommand::Proxy, 0x11) => addresses::<4>(body),
        (ProxyCommand::Proxy, 0x21) => addresses::<16>(body),
        // UDP, and sockets with a path: no client of FTP comes by those.
        (ProxyCommand::Proxy, _) => Err(ProxyError::Unknown),
    }
}

enum ProxyCommand {
    Local,
    Proxy,
}

/// Two addresses of `N` bytes and two ports; extensions behind them are passed over.
fn addresses<const N: usize>(body: &[u8]) -> Result<Progress, ProxyError>
where
    IpAddr: From<[u8; N]>,
{
    let read = || {
        let (from, rest) = body.split_first_chunk::<N>()?;
        let (to, rest) = rest.split_first_chunk::<N>()?;
        let (from_port, rest) = rest.split_first_chunk::<2>()?;
        let (to_port, _) = rest.split_first_chunk::<2>()?;
        let source = SocketAddr::new((*from).into(), u16::from_be_bytes(*from_port));
        let destination = SocketAddr::new((*to).into(), u16::from_be_bytes(*to_port));
        Some(Client::Behind { source, destination })
    };
    read().map(Progress::Done).ok_or(ProxyError::Malformed)
}

impl Client {
    /// The header of version 2 for it, as a proxy sends it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        let Self::Behind { source, destination } = self else {
            bytes.extend_from_slice(&[0x20, 0, 0, 0]);
            return bytes;
        };
        bytes.push(0x21);
        let family = match (source.ip(), destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                bytes.extend_from_slice(&[0x11, 0, 12]);
                [from.octets(), to.octets()].concat()
            }
            (from, to) => {
                bytes.extend_from_slice(&[0x21, 0, 36]);
                [ipv6(from).octets(), ipv6(to).octets()].concat()
            }
        };
        bytes.extend_from_slice(&family);
        bytes.extend_from_slice(&source.port().to_be_bytes());
        bytes.extend_from_slice(&destination.port().to_be_bytes());
        bytes
    }
}

fn ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::to_ipv6_mapped(&address),
        IpAddr::V6(address) => address,
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NoHeader => "no PROXY header came first",
            Self::Unknown => "its PROXY header has a version, command or family that is not known",
            Self::TooLong => "its PROXY header is too long",
            Self::Malformed => "its PROXY header has an address or port that is none",
        })
    }
}

impl std::error::Error for ProxyError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads as an engine does: never more than is said to be missing.
    fn read(mut stream: &[u8]) -> Result<(Client, &[u8]), ProxyError> {
        let mut bytes = Vec::new();
        loop {
            match parse(&bytes)? {
                Progress::Done(client) => return Ok((client, stream)),
                Progress::Needs(missing) => {
                    assert!(missing > 0, "a reader would never come to an end");
                    let (next, rest) =
                        stream.split_at_checked(missing).ok_or(ProxyError::Malformed)?;
                    bytes.extend_from_slice(next);
                    stream = rest;
                }
            }
        }
    }

    fn behind(source: &str, destination: &str) -> Client {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        Client::Behind { source, destination }
    }

    #[test]
    fn row_13_a_line_names_the_client_and_nothing_behind_it_is_read() {
        let cases: &[(&[u8], Client)] = &[
            (
                b"PROXY TCP4 192.0.2.7 203.0.113.1 40000 21\r\n",
                behind("192.0.2.7:40000", "203.0.113.1:21"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 2001:db8::1 65535 990\r\n",
                behind("[2001:db8::7]:65535", "[2001:db8::1]:990"),
            ),
            (b"PROXY UNKNOWN\r\n", Client::Proxy),
            (b"PROXY UNKNOWN ffff:f:f:f whatever 1 2\r\n", Client::Proxy),
        ];
        for (line, client) in cases {
            let stream = [line, &b"USER anna\r\n"[..]].concat();
            let shown = String::from_utf8_lossy(line);
            assert_eq!(read(&stream), Ok((*client, &b"USER anna\r\n"[..])), "{shown}");
        }
    }

    #[test]
    fn row_13_a_binary_header_may_be_local_have_no_family_and_carry_extensions() {
        let of = |command: u8, family: u8, body: &[u8]| {
            let length = u16::try_from(body.len()).unwrap().to_be_bytes();
            [&SIGNATURE[..], &[command, family], &length, body, b"TLS"].concat()
        };
        let four = [192, 0, 2, 7, 203, 0, 113, 1, 0x9c, 0x40, 0, 21];
        let client = behind("192.0.2.7:40000", "203.0.113.1:21");
        let tail = &b"TLS"[..];
        assert_eq!(read(&of(0x21, 0x11, &four)), Ok((client, tail)));
        let extended = [&four[..], &[0x04, 0, 3, 1, 2, 3]].concat();
        assert_eq!(read(&of(0x21, 0x11, &extended)), Ok((client, tail)));
        assert_eq!(read(&of(0x20, 0x11, &four)), Ok((Client::Proxy, tail)));
        assert_eq!(read(&of(0x20, 0x00, &[])), Ok((Client::Proxy, tail)));
        assert_eq!(read(&of(0x21, 0x00, &[9; 40])), Ok((Client::Proxy, tail)));
        let most = BINARY_BYTES_MAX - BINARY_HEAD_BYTES;
        assert_eq!(read(&of(0x20, 0, &vec![0; most])), Ok((Client::Proxy, tail)));
        assert_eq!(read(&of(0x20, 0, &vec![0; most + 1])), Err(ProxyError::TooLong));
        assert_eq!(read(&of(0x21, 0x11, &four[1..])), Err(ProxyError::Malformed));
        assert_eq!(read(&of(0x21, 0x12, &four)), Err(ProxyError::Unknown), "UDP");
        assert_eq!(read(&of(0x22, 0x11, &four)), Err(ProxyError::Unknown));
        assert_eq!(read(&of(0x11, 0x11, &four)), Err(ProxyError::Unknown));
    }

    #[test]
    fn row_13_an_invalid_header_is_rejected_at_once() {
        let cases: &[(&[u8], ProxyError)] = &[
            (b"USER anna\r\n    ", ProxyError::NoHeader),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abc", ProxyError::NoHeader),
            (b"\r\n\r\n\0\r\nQUIT\r   ", ProxyError::NoHeader),
            (b"PROXYTCP4 1.1.1.1 2.2.2.2 1 2\r\n", ProxyError::NoHeader),
            (b"PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n", ProxyError::Unknown),
            (b"PROXY TCP4 ::1 2.2.2.2 1 2\r\n", ProxyError::Malformed),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", ProxyError::Malformed),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", ProxyError::Malformed),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n", ProxyError::Malformed),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 02\r\n", ProxyError::Malformed),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n", ProxyError::Malformed),
            (b"PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n", ProxyError::Malformed),
            (b"PROXY TCP4 1.1.1.1 2.2.2.\xff 1 2\r\n", ProxyError::Malformed),
        ];
        for (bytes, error) in cases {
            assert_eq!(read(bytes), Err(*error), "{}", String::from_utf8_lossy(bytes));
        }
        let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
        assert_eq!(read(&endless), Err(ProxyError::TooLong));
    }

    #[test]
    fn a_line_may_be_as_long_as_its_specification_allows() {
        let mut line = b"PROXY UNKNOWN ".to_vec();
        line.resize(LINE_BYTES_MAX - 2, b'x');
        line.extend_from_slice(b"\r\n");
        assert_eq!(read(&line), Ok((Client::Proxy, &b""[..])));
    }

    proptest! {
        #[test]
        fn row_13_no_bytes_break_the_reader(stream in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&stream);
            let _ = parse(&stream);
            let _ = read(&[&SIGNATURE[..], &stream].concat());
            let _ = read(&[WORD, b" TCP4 ", &stream].concat());
        }

        #[test]
        fn row_13_what_is_written_is_read_back(
            from in any::<(IpAddr, u16)>(), to in any::<(IpAddr, u16)>(),
            rest in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let alike = from.0.is_ipv4() == to.0.is_ipv4();
            let form = |(ip, port): (IpAddr, u16)| {
                SocketAddr::new(if alike { ip } else { ipv6(ip).into() }, port)
            };
            let client = Client::Behind { source: form(from), destination: form(to) };
            let stream = [client.to_bytes(), rest.clone()].concat();
            prop_assert_eq!(read(&stream), Ok((client, &rest[..])));
            let Client::Behind { source, destination } = client else { unreachable!() };
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let line = format!(
                "PROXY {family} {} {} {} {}\r\n",
                source.ip(), destination.ip(), source.port(), destination.port()
            );
            let stream = [line.into_bytes(), rest.clone()].concat();
            prop_assert_eq!(read(&stream), Ok((client, &rest[..])));
        }
    }
}
