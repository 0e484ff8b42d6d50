//! Replies: three digits, one space, and text (RFC 959 §4.2).

use std::borrow::Cow;
use std::fmt;

/// The longest reply that [`Reply::parse`] takes, in lines. Writing has no such limit.
pub const PARSED_LINES_MAX: usize = 100_000;

/// A reply code of three digits, each constant named after its meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(u16);

macro_rules! codes {
    ($($(#[doc = $about:literal])+ $name:ident = $digits:literal;)*) => {
        impl Code {
            $($(#[doc = $about])+ pub const $name: Self = Self($digits);)*
        }
    };
}

codes! {
    /// 125: the data connection is already open; the transfer starts.
    DATA_ALREADY_OPEN = 125;
    /// 150: the file is fine; about to open the data connection.
    OPENING_DATA = 150;
    /// 200: the command is fine.
    OK = 200;
    /// 202: not needed here.
    SUPERFLUOUS = 202;
    /// 211: system status, or the feature list (RFC 2389 §3.2).
    SYSTEM = 211;
    /// 212: the status of a directory.
    DIRECTORY_STATUS = 212;
    /// 213: the status of a file; the answer of SIZE, MDTM and MFMT (RFC 3659).
    FILE_STATUS = 213;
    /// 214: help.
    HELP = 214;
    /// 215: the system type.
    SYSTEM_TYPE = 215;
    /// 220: ready for a new user.
    READY = 220;
    /// 221: closing the control connection.
    GOODBYE = 221;
    /// 225: the data connection is open and no transfer is running.
    DATA_OPEN_IDLE = 225;
    /// 226: the file action succeeded; the data connection is closed.
    TRANSFER_DONE = 226;
    /// 227: entering passive mode (RFC 959).
    PASSIVE = 227;
    /// 229: entering extended passive mode (RFC 2428 §3).
    EXTENDED_PASSIVE = 229;
    /// 230: logged in.
    LOGGED_IN = 230;
    /// 232: logged in, as authorised by the security exchange (RFC 2228).
    LOGGED_IN_SECURE = 232;
    /// 234: the security exchange is done; TLS begins (RFC 4217 §4).
    SECURITY_DONE = 234;
    /// 250: the file action is done.
    FILE_DONE = 250;
    /// 251: a checksum (draft-twine-ftpmd5 §3.1).
    CHECKSUM = 251;
    /// 257: the quoted path.
    PATHNAME = 257;
    /// 331: a password is needed.
    NEED_PASSWORD = 331;
    /// 332: an account is needed.
    NEED_ACCOUNT = 332;
    /// 350: more is needed for this action.
    PENDING = 350;
    /// 421: the service is closing the control connection.
    CLOSING = 421;
    /// 425: the data connection cannot be opened.
    NO_DATA_CONNECTION = 425;
    /// 426: the transfer was aborted.
    TRANSFER_ABORTED = 426;
    /// 431: a resource of the security mechanism is not available (RFC 2228).
    SECURITY_UNAVAILABLE = 431;
    /// 450: the file is not available now.
    FILE_BUSY = 450;
    /// 451: the action was aborted by a fault on our side.
    LOCAL_ERROR = 451;
    /// 452: not enough space.
    NO_SPACE = 452;
    /// 500: not understood, or the line was too long.
    NOT_UNDERSTOOD = 500;
    /// 501: the argument is not right.
    BAD_ARGUMENT = 501;
    /// 502: not implemented.
    NOT_IMPLEMENTED = 502;
    /// 503: the wrong moment for this command.
    BAD_SEQUENCE = 503;
    /// 504: not implemented for that argument.
    BAD_PARAMETER = 504;
    /// 521: not with this protection of data (RFC 4217 §9).
    PROTECTION_REJECTED = 521;
    /// 522: the protocol of the address is not supported, or TLS rejected (RFC 2428 §2, RFC 4217).
    PROTOCOL_REJECTED = 522;
    /// 530: not logged in.
    NOT_LOGGED_IN = 530;
    /// 533: the protection level is denied for policy reasons (RFC 2228).
    PROTECTION_DENIED = 533;
    /// 534: the request is denied for policy reasons (RFC 2228).
    POLICY_DENIED = 534;
    /// 536: the protection level is not supported by the mechanism (RFC 2228).
    PROTECTION_UNSUPPORTED = 536;
    /// 550: the file is not available, or this may not be done with it.
    FILE_UNAVAILABLE = 550;
    /// 551: the page type is unknown.
    PAGE_TYPE_UNKNOWN = 551;
    /// 552: more than the account may store.
    OVER_QUOTA = 552;
    /// 553: the name is not allowed.
    NAME_REJECTED = 553;
    /// 554: the restart point is not within the file (RFC 3659 §5.2).
    BAD_RESTART = 554;
}

impl Code {
    /// The number, 100 to 599.
    pub fn number(self) -> u16 {
        self.0
    }

    /// A code from its number, if it is 100 to 599.
    pub fn from_number(number: u16) -> Option<Self> {
        (100..=599).contains(&number).then_some(Self(number))
    }

    /// Whether the command is not over yet (1yz).
    pub fn is_preliminary(self) -> bool {
        self.0 < 200
    }

    /// Whether the command succeeded (2yz).
    pub fn is_success(self) -> bool {
        (200..300).contains(&self.0)
    }

    /// Whether the command failed, for now (4yz) or for good (5yz).
    pub fn is_failure(self) -> bool {
        self.0 >= 400
    }
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// A reply of the server: a code and one or more lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The three digits.
    pub code: Code,
    /// The text, line by line, in the character set of the session. Never empty.
    pub lines: Vec<Cow<'static, [u8]>>,
}

impl Reply {
    /// A reply of one line.
    pub fn new(code: Code, text: impl Into<Text>) -> Self {
        Self { code, lines: vec![text.into().0] }
    }

    /// A reply of several lines; the first and the last carry the code. At least one is needed:
    /// none gives one empty line.
    pub fn lines(code: Code, lines: impl IntoIterator<Item = impl Into<Text>>) -> Self {
        let mut lines: Vec<_> = lines.into_iter().map(|line| line.into().0).collect();
        if lines.is_empty() {
            lines.push(Cow::Borrowed(b""));
        }
        Self { code, lines }
    }

    /// Appends the reply in wire format.
    ///
    /// `226 Done.` or `211-Features:`, ` MDTM`, `211 End`: every line ends in CR LF. A line between
    /// the first and the last gets one space in front, so that no client can take it for the last
    /// (RFC 959 §4.2). CR and LF within a line become spaces, and 0xFF is doubled for telnet.
    pub fn write(&self, out: &mut Vec<u8>) {
        let last = self.lines.len().saturating_sub(1);
        for (at, line) in self.lines.iter().enumerate() {
            if at == 0 || at == last {
                out.extend_from_slice(self.code.to_string().as_bytes());
                out.push(if at == last { b' ' } else { b'-' });
            } else {
                out.push(b' ');
            }
            for &byte in line.iter() {
                match byte {
                    b'\r' | b'\n' => out.push(b' '),
                    0xff => out.extend_from_slice(&[0xff, 0xff]),
                    byte => out.push(byte),
                }
            }
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Takes one whole reply from the front of `bytes` and returns its length in bytes; `None` if
    /// it is not all there yet.
    ///
    /// # Errors
    /// The input is not a reply: no three digits, or too many lines.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ReplyError> {
        let mut lines = Vec::new();
        let mut used = 0;
        let mut opened: Option<Code> = None;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let Some(text) = line.strip_suffix(b"\n") else { return Ok(None) };
            used += line.len();
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let (code, mark) = head(text);
            let rest = || Cow::Owned(text.get(4..).unwrap_or(b"").to_vec());
            match (opened, code) {
                (None, Some(code)) if mark == b'-' => {
                    opened = Some(code);
                    lines.push(rest());
                }
                (None, Some(code)) => return Ok(Some((Self { code, lines: vec![rest()] }, used))),
                (None, None) => return Err(ReplyError::NoCode),
                (Some(open), Some(code)) if open == code && mark == b' ' => {
                    lines.push(rest());
                    return Ok(Some((Self { code, lines }, used)));
                }
                (Some(_), _) => {
                    lines.push(Cow::Owned(text.strip_prefix(b" ").unwrap_or(text).to_vec()));
                }
            }
            if lines.len() > PARSED_LINES_MAX {
                return Err(ReplyError::TooManyLines);
            }
        }
        Ok(None)
    }
}

/// Why bytes are not a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// The line does not begin with a code from 100 to 599 and a space, a hyphen or its end.
    NoCode,
    /// More than [`PARSED_LINES_MAX`] lines.
    TooManyLines,
}

/// One line of reply text: made from a `&'static str`, a `String` or bytes.
#[derive(Clone, Debug)]
pub struct Text(Cow<'static, [u8]>);

impl Text {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text.into_bytes()))
    }
}

impl From<Vec<u8>> for Text {
    fn from(text: Vec<u8>) -> Self {
        Self(Cow::Owned(text))
    }
}

fn head(line: &[u8]) -> (Option<Code>, u8) {
    let digits = line
        .get(..3)
        .filter(|digits| digits.iter().all(u8::is_ascii_digit))
        .map(|digits| digits.iter().fold(0, |sum, &digit| sum * 10 + u16::from(digit - b'0')));
    let mark = line.get(3).copied().unwrap_or(b' ');
    let code = digits.and_then(Code::from_number).filter(|_| matches!(mark, b' ' | b'-'));
    (code, mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn one_line_and_many() {
        assert_eq!(written(&Reply::new(Code::TRANSFER_DONE, "Done.")), "226 Done.\r\n");
        let many = Reply::lines(Code::SYSTEM, ["Features:", "MDTM", "End"]);
        assert_eq!(written(&many), "211-Features:\r\n MDTM\r\n211 End\r\n");
    }

    #[test]
    fn text_cannot_forge_a_reply() {
        let reply = Reply::new(Code::PATHNAME, "\"/a\r\n230 in\"".to_owned());
        assert_eq!(written(&reply), "257 \"/a  230 in\"\r\n");
    }

    #[test]
    fn half_a_reply_waits_and_nonsense_fails() {
        assert_eq!(Reply::parse(b"211-Fea"), Ok(None));
        assert_eq!(Reply::parse(b"211-Features:\r\n MDTM\r\n"), Ok(None));
        assert_eq!(Reply::parse(b"HTTP/1.1 400\r\n"), Err(ReplyError::NoCode));
    }

    proptest! {
        #[test]
        fn what_is_written_parses_back(
            number in 100_u16..600,
            lines in proptest::collection::vec("[^\r\n\u{ff}]{0,40}", 1..6),
        ) {
            let code = Code::from_number(number).unwrap();
            let reply = Reply::lines(code, lines);
            let mut out = Vec::new();
            reply.write(&mut out);
            let (parsed, used) = Reply::parse(&out).unwrap().unwrap();
            prop_assert_eq!(parsed, reply);
            prop_assert_eq!(used, out.len());
        }

        #[test]
        fn no_bytes_make_parsing_panic(bytes: Vec<u8>) {
            let _ = Reply::parse(&bytes);
        }
    }
}
