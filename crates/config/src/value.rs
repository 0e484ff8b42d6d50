//! Types of configuration values, and parsing of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use wharf_core::account::{Count, Rate, Size};
use wharf_users::file::network_fault;
use wharf_users::nearest::nearest;
use wharf_users::units::{parse_quota, parse_rate, parse_size};

use super::raw::Raw;

/// The type of a configuration value.
pub trait ConfigValue: Sized {
    /// Its description, as it completes the sentence "expected …".
    const KIND: &'static str;

    /// Parses a raw value. Relative paths are resolved against `base`.
    fn read(raw: &Raw, base: &Path) -> Result<Self, InvalidValue>;
}

/// Why a value is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue {
    /// The reason.
    pub why: String,
    /// How to fix it.
    pub hint: Option<String>,
}

impl InvalidValue {
    /// A value that is invalid for this reason.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), hint: None }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// A value of the wrong type.
    pub fn kind<T: ConfigValue>(raw: &Raw) -> Self {
        Self::new(format!("expected {}, found {}", T::KIND, raw.what()))
    }
}

/// Parses `text` from a flag.
pub fn parse<T: ConfigValue>(text: &str) -> Result<T, InvalidValue> {
    T::read(&Raw::Plain(text.into()), Path::new(""))
}

impl ConfigValue for bool {
    const KIND: &'static str = "true or false";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        raw.boolean().ok_or_else(|| {
            let wrong = InvalidValue::kind::<Self>(raw);
            match raw.text() {
                Some("true" | "yes" | "on" | "YES") => wrong.hint("write true, without quotes"),
                Some("false" | "no" | "off" | "NO") => wrong.hint("write false, without quotes"),
                _ => wrong,
            }
        })
    }
}

impl ConfigValue for String {
    const KIND: &'static str = "text";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        Ok(text.into())
    }
}

/// The version of the format of the configuration: only 1 exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version;

impl ConfigValue for Version {
    const KIND: &'static str = "the number 1";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        match raw.integer() {
            Some(1) => Ok(Self),
            Some(other) => Err(InvalidValue::new(format!("unsupported version {other}")).hint(
                "this version of wharf supports version 1; upgrade wharf to use a newer file",
            )),
            None => Err(InvalidValue::kind::<Self>(raw)),
        }
    }
}

/// A whole number above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positive(pub u32);

impl ConfigValue for Positive {
    const KIND: &'static str = "a whole number of at least 1";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let number = raw.integer().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        u32::try_from(number)
            .ok()
            .filter(|number| *number > 0)
            .map(Self)
            .ok_or_else(|| InvalidValue::new(format!("expected {}, found {number}", Self::KIND)))
    }
}

impl ConfigValue for Count {
    const KIND: &'static str = "a whole number, or 0 or `unlimited`";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        if raw.text() == Some("unlimited") {
            return Ok(Self::Unlimited);
        }
        let number = raw.integer().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        u32::try_from(number).map(Self::from_number).map_err(|_| {
            InvalidValue::new(format!("{number} is out of range: 0 to {}", u32::MAX))
                .hint("0 or `unlimited` means no limit")
        })
    }
}

impl ConfigValue for Rate {
    const KIND: &'static str = "a rate such as `2MiB/s`, or 0 or `unlimited`";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        if let Some(number) = raw.integer() {
            return u64::try_from(number).map(Self::from_bytes_per_second).map_err(|_| {
                InvalidValue::new(format!("invalid rate {number}: below 0"))
                    .hint("0 means no limit")
            });
        }
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        parse_rate(text).map_err(|error| {
            InvalidValue::new(format!("invalid rate `{text}`: {}", error.reason()))
                .hint(error.hint())
        })
    }
}

impl ConfigValue for Size {
    const KIND: &'static str = "a size such as `20GiB`, or 0 or `unlimited`";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        if let Some(number) = raw.integer() {
            return u64::try_from(number).map(Self::from_bytes).map_err(|_| {
                InvalidValue::new(format!("invalid size {number}: below 0"))
                    .hint("0 means no limit")
            });
        }
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        parse_quota(text).map_err(|error| {
            InvalidValue::new(format!("invalid size `{text}`: {}", error.reason()))
                .hint(error.hint())
        })
    }
}

/// Free disk space reserved from uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeSpaceReserve {
    /// 1 % of the disk, with a maximum.
    Auto,
    /// A number of bytes.
    Bytes(u64),
    /// A percentage of the disk.
    Percent(u8),
}

impl ConfigValue for FreeSpaceReserve {
    const KIND: &'static str = "`auto`, a size such as `1GiB`, a percentage such as `5%`, or 0";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        if let Some(number) = raw.integer() {
            let bytes = u64::try_from(number).map_err(|_| InvalidValue::kind::<Self>(raw))?;
            return Ok(Self::Bytes(bytes));
        }
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let wrong =
            |why: String| InvalidValue::new(format!("invalid free space `{text}`")).hint(why);
        match text.strip_suffix('%') {
            Some(share) => match share.trim().parse() {
                Ok(share @ 0..=99) => Ok(Self::Percent(share)),
                _ => Err(wrong("a percentage is a whole number from 0% to 99%".to_owned())),
            },
            None => parse_size(text).map(Self::Bytes).map_err(|error| {
                let why = format!("invalid free space `{text}`: {}", error.reason());
                InvalidValue::new(why).hint(error.hint())
            }),
        }
    }
}

/// A range of ports, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRange(pub RangeInclusive<u16>);

impl ConfigValue for PortRange {
    const KIND: &'static str = "a range of ports such as `30000-30999`";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let text = match raw {
            Raw::Integer(port) => port.to_string(),
            _ => raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?.to_owned(),
        };
        let (from, to) = text.split_once('-').unwrap_or((&text, &text));
        let range_hint = "write the first and the last port, such as `30000-30999`";
        let (from, to) = match (port(from), port(to)) {
            (Ok(from), Ok(to)) => (from, to),
            (Err(invalid), _) | (_, Err(invalid)) => return Err(invalid.hint(range_hint)),
        };
        if from == 0 || to == 0 {
            return Err(InvalidValue::new("invalid port 0").hint(range_hint));
        }
        if from > to {
            return Err(InvalidValue::new(format!("invalid port range: {to} is below {from}"))
                .hint(format!("write `{to}-{from}`")));
        }
        Ok(Self(from..=to))
    }
}

/// The port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenPort {
    /// 21 (990 for implicit TLS) if the system permits it, else 2121 (2990).
    Auto,
    /// This one; 0 lets the system choose.
    Fixed(u16),
}

impl ConfigValue for ListenPort {
    const KIND: &'static str = "`auto` or a port from 0 to 65535";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        if raw.text() == Some("auto") {
            return Ok(Self::Auto);
        }
        let text = match raw {
            Raw::Integer(port) => port.to_string(),
            _ => raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?.to_owned(),
        };
        port(&text).map(Self::Fixed)
    }
}

fn port(text: &str) -> Result<u16, InvalidValue> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| {
            InvalidValue::new(format!("invalid port {text}: out of range 1 to 65535"))
                .hint("write a number such as 2121")
        });
    }
    Err(InvalidValue::new(format!("invalid port `{text}`: not a number"))
        .hint("write a number such as 2121"))
}

impl ConfigValue for IpAddr {
    const KIND: &'static str = "an IP address such as `0.0.0.0` or `[::]`";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?.trim();
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        bare.parse().map_err(|_| {
            let wrong = InvalidValue::new(format!("invalid IP address `{text}`"));
            match text {
                "" | "*" | "all" => wrong.hint("for all interfaces write `[::]`"),
                "localhost" => wrong.hint("for this computer only write `127.0.0.1` or `[::1]`"),
                _ => wrong.hint(format!("expected {}", Self::KIND)),
            }
        })
    }
}

/// An address with a port, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionalAddress(pub Option<SocketAddr>);

impl ConfigValue for OptionalAddress {
    const KIND: &'static str = "an IP address with a port, such as `127.0.0.1:9121`, or `\"\"`";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?.trim();
        if text.is_empty() {
            return Ok(Self(None));
        }
        text.parse().map(|address| Self(Some(address))).map_err(|_| {
            let wrong = InvalidValue::new(format!(
                "invalid address `{text}`: expected IP address and port"
            ));
            let port = text.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok());
            let port = port.unwrap_or("9121");
            wrong.hint(format!("for this computer only write `127.0.0.1:{port}`"))
        })
    }
}

/// The address announced by PASV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced(pub Option<Ipv4Addr>);

impl ConfigValue for Announced {
    const KIND: &'static str = "`auto` or an IPv4 address";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?.trim();
        if text == "auto" {
            return Ok(Self(None));
        }
        text.parse().map(|address| Self(Some(address))).map_err(|_| {
            InvalidValue::new(format!(
                "invalid address `{text}`: expected `auto` or an IPv4 address"
            ))
            .hint("PASV supports only IPv4; IPv6 clients use EPSV, which needs no address")
        })
    }
}

/// The public address of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicAddress {
    /// None: the address that the client connected to is announced.
    None,
    /// This address.
    Address(Ipv4Addr),
    /// The address of this host name.
    Name(String),
}

impl ConfigValue for PublicAddress {
    const KIND: &'static str = "an IPv4 address or a host name";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?.trim();
        if text.is_empty() {
            return Ok(Self::None);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        let is_name = text.bytes().all(is_letter)
            && text.bytes().any(|byte| byte.is_ascii_alphabetic())
            && text.len() <= 253;
        if is_name {
            return Ok(Self::Name(text.into()));
        }
        let wrong = InvalidValue::new(format!(
            "invalid address `{text}`: expected an IPv4 address or a host name"
        ));
        Err(match text.parse::<IpAddr>() {
            Ok(_) => {
                wrong.hint("PASV supports only IPv4; IPv6 clients use EPSV, which needs no address")
            }
            Err(_) => wrong.hint("write only the address, such as `203.0.113.7`"),
        })
    }
}

/// Networks, with `"private"` and `"loopback"` expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks(pub Vec<IpNet>);

impl ConfigValue for Networks {
    const KIND: &'static str =
        "a list of networks such as [\"private\", \"203.0.113.0/24\", \"2001:db8::/48\"]";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let mut networks = Vec::new();
        for member in raw.list().ok_or_else(|| InvalidValue::kind::<Self>(raw))? {
            let text = member.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?.trim();
            match text {
                "private" => networks.extend(wharf_server::settings::private_networks()),
                "loopback" => networks.extend(
                    wharf_server::settings::private_networks()
                        .into_iter()
                        .filter(|network| network.network().is_loopback()),
                ),
                _ => networks.push(network(text)?),
            }
        }
        Ok(Self(networks))
    }
}

fn network(text: &str) -> Result<IpNet, InvalidValue> {
    let found = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    found.map(|network| network.trunc()).map_err(|_| {
        InvalidValue::new(format!("invalid network `{text}`: {}", network_fault(text))).hint(
            "write `private`, `loopback`, an address, or address/length such as \
             `192.168.1.0/24`",
        )
    })
}

/// A list of text.
impl ConfigValue for Vec<String> {
    const KIND: &'static str = "a list of text such as [\"a\", \"b\"]";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let members = raw.list().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        members
            .iter()
            .map(|member| {
                member.text().map(str::to_owned).ok_or_else(|| InvalidValue::kind::<Self>(raw))
            })
            .collect()
    }
}

/// FTP commands, in upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands(pub Vec<String>);

impl ConfigValue for Commands {
    const KIND: &'static str = "a list of FTP commands such as [\"EPSV\", \"MLSD\"]";

    fn read(raw: &Raw, base: &Path) -> Result<Self, InvalidValue> {
        let words: Vec<String> =
            Vec::read(raw, base).map_err(|_| InvalidValue::kind::<Self>(raw))?;
        let mut commands = Vec::new();
        for word in words {
            let verb = word.trim().to_ascii_uppercase();
            if !(3..=4).contains(&verb.len()) || !verb.bytes().all(|byte| byte.is_ascii_uppercase())
            {
                return Err(InvalidValue::new(format!("unknown FTP command `{word}`")));
            }
            if matches!(verb.as_str(), "USER" | "PASS" | "QUIT") {
                return Err(InvalidValue::new(format!("{verb} cannot be disabled"))
                    .hint("clients need USER, PASS and QUIT to log in and out"));
            }
            commands.push(verb);
        }
        Ok(Self(commands))
    }
}

/// A path; relative ones are resolved against the folder of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath(pub PathBuf);

impl ConfigValue for FilePath {
    const KIND: &'static str = "a path";

    fn read(raw: &Raw, base: &Path) -> Result<Self, InvalidValue> {
        OptionalPath::read(raw, base)?
            .0
            .map(Self)
            .ok_or_else(|| InvalidValue::new("expected a path, found empty text"))
    }
}

/// A path, or empty text for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionalPath(pub Option<PathBuf>);

impl ConfigValue for OptionalPath {
    const KIND: &'static str = "a path, or `\"\"` for none";

    fn read(raw: &Raw, base: &Path) -> Result<Self, InvalidValue> {
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        if text.contains('\0') {
            return Err(InvalidValue::new("invalid path: it contains a NUL character"));
        }
        Ok(Self((!text.is_empty()).then(|| base.join(text))))
    }
}

/// Folders; relative ones are resolved against the folder of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders(pub Vec<PathBuf>);

impl ConfigValue for Folders {
    const KIND: &'static str = "a list of folders such as [\"/srv/ftp\"]";

    fn read(raw: &Raw, base: &Path) -> Result<Self, InvalidValue> {
        let members: Vec<String> =
            Vec::read(raw, base).map_err(|_| InvalidValue::kind::<Self>(raw))?;
        if members.iter().any(|member| member.is_empty() || member.contains('\0')) {
            return Err(InvalidValue::new(
                "invalid folder: it is empty or contains a NUL character",
            ));
        }
        Ok(Self(members.iter().map(|member| base.join(member)).collect()))
    }
}

/// A path, or `auto`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoPath(pub Option<PathBuf>);

impl ConfigValue for AutoPath {
    const KIND: &'static str = "`auto` or a path";

    fn read(raw: &Raw, base: &Path) -> Result<Self, InvalidValue> {
        if raw.text() == Some("auto") {
            return Ok(Self(None));
        }
        if raw.text().is_none() {
            return Err(InvalidValue::kind::<Self>(raw));
        }
        let FilePath(path) = FilePath::read(raw, base)?;
        Ok(Self(Some(path)))
    }
}

/// Permission bits that are removed from new files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Umask(pub u32);

impl ConfigValue for Umask {
    const KIND: &'static str = "three octal digits in quotes such as \"022\"";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        let digits = text.strip_prefix("0o").unwrap_or(text);
        u32::from_str_radix(digits, 8)
            .ok()
            .filter(|bits| *bits <= 0o777 && !digits.starts_with('+'))
            .map(Self)
            .ok_or_else(|| InvalidValue::new(format!("expected {}, found `{text}`", Self::KIND)))
    }
}

/// The character set of clients that do not support UTF-8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LegacyEncoding {
    /// By the system locale.
    Auto,
    /// This one.
    Fixed(&'static encoding_rs::Encoding),
}

impl ConfigValue for LegacyEncoding {
    const KIND: &'static str = "`auto` or a character set such as `gbk` or `windows-1252`";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let found = encoding_rs::Encoding::for_label(text.as_bytes());
        match found {
            Some(set) if set == encoding_rs::UTF_8 => {
                Err(InvalidValue::new("invalid legacy character set: UTF-8")
                    .hint("for UTF-8 only write  encoding = \"utf-8\""))
            }
            Some(set) if set.output_encoding() == set => Ok(Self::Fixed(set)),
            _ => {
                let wrong = InvalidValue::new(format!("unknown character set `{text}`"));
                Err(match nearest(text, LABELS.iter().copied()) {
                    Some(near) => wrong.hint(format!("did you mean `{near}`?")),
                    None => wrong.hint(format!("common ones: {}", LABELS.join(", "))),
                })
            }
        }
    }
}

const LABELS: &[&str] = &[
    "gbk", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr", "windows-1250", "windows-1251",
    "windows-1252", "koi8-r",
];

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
