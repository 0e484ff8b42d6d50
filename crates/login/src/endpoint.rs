//! Where a server is, out of its URL.

use std::fmt;
use std::net::IpAddr;

/// The longest URL that is accepted.
const URL_BYTES_MAX: usize = 2048;

/// A server: protocol, address and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The protocol.
    pub scheme: Scheme,
    /// Its name or address; that of IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The path with its query, from the first slash on.
    pub path: String,
}

/// The protocol of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `ldap://`.
    Ldap,
    /// `ldaps://`, with TLS from the start.
    Ldaps,
    /// `http://`.
    Http,
    /// `https://`.
    Https,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Ldap, Self::Ldaps, Self::Http, Self::Https];

    /// The word before `://`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ldap => "ldap",
            Self::Ldaps => "ldaps",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Whether the connection starts with TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Ldaps | Self::Https)
    }

    fn port(self) -> u16 {
        match self {
            Self::Ldap => 389,
            Self::Ldaps => 636,
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The error of an invalid URL, to follow its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlError(&'static str);

impl fmt::Display for UrlError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

impl std::error::Error for UrlError {}

impl Endpoint {
    /// Parses a URL: `scheme://host[:port][/path]`.
    ///
    /// # Errors
    /// The reason. User names and passwords in URLs are rejected: URLs end up in logs.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let is_odd = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'"' | b'<' | b'>');
        if url.len() > URL_BYTES_MAX || url.bytes().any(is_odd) {
            return Err(UrlError(
                "is not a URL: it is too long, or contains spaces or invalid characters",
            ));
        }
        let (word, rest) = url
            .split_once("://")
            .ok_or(UrlError("is not a URL: the scheme is missing, such as ldaps:// or https://"))?;
        let scheme = Scheme::ALL.into_iter().find(|scheme| scheme.word() == word);
        let scheme = scheme.ok_or(UrlError("has an unknown scheme"))?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(UrlError("contains a user name or password, which would end up in logs"));
        }
        if path.contains('#') {
            return Err(UrlError("has a fragment (#), which is never sent to a server"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(UrlError("has no `]`"))?;
                if host.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err(UrlError("has an invalid IPv6 address between its brackets"));
                }
                (host, if port.is_empty() { Some("") } else { port.strip_prefix(':') })
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, Some("")),
            },
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err(UrlError("has no host"));
        }
        let port = match port {
            Some("") => scheme.port(),
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                let port = port.parse().ok().filter(|port| *port > 0);
                port.ok_or(UrlError("has an invalid port"))?
            }
            _ => return Err(UrlError("has a port that is not a number")),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { scheme, host: host.to_owned(), port, path })
    }

    /// Whether it is on this computer, judging by its name.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Whether its address must be resolved by DNS.
    pub fn has_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }

    /// The host with its port, as in a URL.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Omits the path, whose query may contain a secret.
impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", self.scheme.word(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_have_ports_of_their_own_and_usual_ones() {
        for (url, shown, path) in [
            ("ldap://dc1.example.com", "ldap://dc1.example.com:389", "/"),
            ("ldaps://10.0.0.5:3269/", "ldaps://10.0.0.5:3269", "/"),
            ("http://[::1]:8080/login?x=1", "http://[::1]:8080", "/login?x=1"),
            ("https://login.example.com/wharf", "https://login.example.com:443", "/wharf"),
            ("https://a?x", "https://a:443", "/?x"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!((endpoint.to_string().as_str(), endpoint.path.as_str()), (shown, path));
        }
    }

    #[test]
    fn an_invalid_url_is_rejected_with_the_reason() {
        for (url, part) in [
            ("example.com", "scheme is missing"),
            ("ftp://example.com", "unknown scheme"),
            ("ldap://", "no host"),
            ("ldap://a b", "invalid characters"),
            ("http://me:secret@example.com/", "password"),
            ("http://a:0/", "invalid port"),
            ("http://a:x/", "not a number"),
            ("http://a:99999/", "invalid port"),
            ("http://[::1/", "no `]`"),
            ("http://[a]/", "IPv6"),
            ("http://[::1]x/", "not a number"),
            ("https://a/#t", "fragment"),
        ] {
            let error = Endpoint::parse(url).unwrap_err().to_string();
            assert!(error.contains(part), "{url}: {error}");
        }
    }

    #[test]
    fn loopback_is_known_by_address_and_name() {
        let is_loopback = |url| Endpoint::parse(url).unwrap().is_loopback();
        assert!(is_loopback("http://127.0.0.1:1/") && is_loopback("http://[::1]/"));
        assert!(is_loopback("http://localhost/"));
        assert!(!is_loopback("http://10.0.0.1/") && !is_loopback("http://localhost.evil.com/"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser_and_what_is_shown_reads_back(text in "\\PC{0,40}") {
            for url in [text.clone(), format!("http://{text}"), format!("ldap://{text}")] {
                if let Ok(endpoint) = Endpoint::parse(&url) {
                    let again = Endpoint::parse(&endpoint.to_string()).unwrap();
                    prop_assert_eq!(
                        (again.scheme, again.host, again.port),
                        (endpoint.scheme, endpoint.host, endpoint.port)
                    );
                }
            }
        }
    }
}
