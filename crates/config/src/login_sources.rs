//! Configuration values of authentication backends and their servers.

use std::path::Path;

use wharf_core::permission::Permissions;
use wharf_login::endpoint::{Endpoint, Scheme};
use wharf_login::template::{HomeTemplate, TemplateError};
use wharf_users::nearest::nearest;
use wharf_users::permissions::parse_permissions;

use super::raw::Raw;
use super::value::{ConfigValue, InvalidValue};

/// An authentication backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginSource {
    /// The account store.
    File,
    /// PAM.
    Pam,
    /// LDAP.
    Ldap,
    /// An HTTP service.
    Http,
}

impl LoginSource {
    const ALL: [Self; 4] = [Self::File, Self::Pam, Self::Ldap, Self::Http];

    /// Its name in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Pam => "pam",
            Self::Ldap => "ldap",
            Self::Http => "http",
        }
    }
}

/// The authentication backends, in the order in which they are queried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginOrder(pub Vec<LoginSource>);

impl LoginOrder {
    /// Whether it contains this backend.
    pub fn has(&self, source: LoginSource) -> bool {
        self.0.contains(&source)
    }

    /// Whether it contains a backend other than the account store.
    pub fn has_others(&self) -> bool {
        self.0.iter().any(|source| *source != LoginSource::File)
    }
}

impl ConfigValue for LoginOrder {
    const KIND: &'static str = "a list of `file`, `pam`, `ldap`, `http`";

    fn read(raw: &Raw, base: &Path) -> Result<Self, InvalidValue> {
        let words: Vec<String> =
            Vec::read(raw, base).map_err(|_| InvalidValue::kind::<Self>(raw))?;
        let known = || LoginSource::ALL.into_iter().map(LoginSource::word);
        let mut order = Vec::new();
        for word in words {
            let found = LoginSource::ALL.into_iter().find(|source| source.word() == word);
            let source = found.ok_or_else(|| {
                let wrong = InvalidValue::new(format!("unknown authentication backend `{word}`"));
                match nearest(&word, known()) {
                    Some(near) => wrong.hint(format!("did you mean `{near}`?")),
                    None => wrong.hint(format!("expected {}", Self::KIND)),
                }
            })?;
            if order.contains(&source) {
                return Err(InvalidValue::new(format!(
                    "authentication backend `{word}` is listed twice"
                )));
            }
            order.push(source);
        }
        if order.is_empty() {
            return Err(
                InvalidValue::new("no authentication backend is listed").hint("write [\"file\"]")
            );
        }
        Ok(Self(order))
    }
}

/// Pattern for homes of users that are not in the account store, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomePattern(pub Option<HomeTemplate>);

impl ConfigValue for HomePattern {
    const KIND: &'static str = "a path such as `/srv/ftp/%u`, or `\"\"` for none";

    fn read(raw: &Raw, base: &Path) -> Result<Self, InvalidValue> {
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        let whole = base.join(text);
        let template = HomeTemplate::parse(&whole.to_string_lossy());
        template.map(|template| Self(Some(template))).map_err(|error| {
            let wrong = InvalidValue::new(format!("invalid pattern for homes `{text}`"));
            wrong.hint(match error {
                TemplateError::UnknownMark => {
                    "%u stands for the user name; other % are not supported"
                }
                TemplateError::NotAbsolute => "write an absolute path, such as `/srv/ftp/%u`",
                TemplateError::Climbs => "a home must be below / and must not contain `..`",
            })
        })
    }
}

/// Permissions of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermissionSet(pub Permissions);

impl ConfigValue for PermissionSet {
    const KIND: &'static str = "permissions such as `read-write` or `list,read,upload`";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        parse_permissions(text)
            .map(Self)
            .map_err(|bad| InvalidValue::new(bad.message()).hint(bad.hint()))
    }
}

/// LDAP servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls(pub Vec<Endpoint>);

/// Maximum number of LDAP servers: each gets its share of the login timeout.
const URLS_MAX: usize = 8;

impl ConfigValue for Urls {
    const KIND: &'static str = "a list of URLs such as [\"ldaps://dc1.example.com\"]";

    fn read(raw: &Raw, base: &Path) -> Result<Self, InvalidValue> {
        let words: Vec<String> =
            Vec::read(raw, base).map_err(|_| InvalidValue::kind::<Self>(raw))?;
        if words.len() > URLS_MAX {
            return Err(InvalidValue::new(format!("at most {URLS_MAX} servers are supported")));
        }
        let schemes = [Scheme::Ldap, Scheme::Ldaps];
        words.iter().map(|word| endpoint(word, &schemes)).collect::<Result<_, _>>().map(Self)
    }
}

/// URL of an HTTP service, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionalUrl(pub Option<Endpoint>);

impl ConfigValue for OptionalUrl {
    const KIND: &'static str =
        "a URL such as `https://login.example.com/wharf`, or `\"\"` for none";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        endpoint(text, &[Scheme::Http, Scheme::Https]).map(Some).map(Self)
    }
}

pub(crate) fn endpoint(text: &str, schemes: &[Scheme]) -> Result<Endpoint, InvalidValue> {
    let words: Vec<_> = schemes.iter().map(|scheme| format!("{}://", scheme.word())).collect();
    let all: Vec<_> =
        words.iter().flat_map(|word| [format!("{word}HOST"), format!("{word}HOST:PORT")]).collect();
    let hint = format!("use one of {}", all.join(", "));
    // The URL may contain a password, which must not be printed.
    let shown = if text.contains('@') { "the URL" } else { text };
    match Endpoint::parse(text) {
        Ok(endpoint) if schemes.contains(&endpoint.scheme) => Ok(endpoint),
        Ok(_) => Err(InvalidValue::new(format!(
            "invalid URL `{shown}`: expected one of {}",
            words.join(" ")
        ))
        .hint(hint)),
        Err(error) => Err(InvalidValue::new(format!("`{shown}` {error}")).hint(hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::parse;
    use super::*;

    #[test]
    fn the_order_is_kept_and_each_one_is_queried_once() {
        let order = parse::<LoginOrder>("ldap, file").unwrap();
        assert_eq!(order.0, [LoginSource::Ldap, LoginSource::File]);
        assert!(order.has_others() && !parse::<LoginOrder>("file").unwrap().has_others());
        for (text, part) in
            [("", "no authentication backend"), ("ldap,ldap", "twice"), ("ldapp", "`ldapp`")]
        {
            assert!(parse::<LoginOrder>(text).unwrap_err().why.contains(part), "{text}");
        }
        let hint = parse::<LoginOrder>("ldapp").unwrap_err().hint;
        assert_eq!(hint.as_deref(), Some("did you mean `ldap`?"));
    }

    #[test]
    fn urls_are_of_their_kind_and_hold_no_password() {
        assert!(parse::<Urls>("ldaps://a, ldap://b:1389").is_ok());
        assert!(parse::<Urls>("https://a").is_err());
        assert!(parse::<OptionalUrl>("https://a/b").is_ok() && parse::<OptionalUrl>("").is_ok());
        let wrong = parse::<OptionalUrl>("https://me:hunter2@a/").unwrap_err();
        assert!(!wrong.why.contains("hunter2"), "{}", wrong.why);
    }

    #[test]
    fn a_home_without_a_root_begins_at_the_configuration() {
        let raw = Raw::Text("homes/%u".into());
        assert!(HomePattern::read(&raw, Path::new("/etc/wharf")).is_ok());
        let wrong = parse::<HomePattern>("/srv/%n").unwrap_err();
        assert!(wrong.hint.unwrap().contains("%u stands for the user name"));
    }
}
