//! The address of a store of accounts: `sqlite:/var/lib/wharf/users.db`, `postgres://…`.

use std::fmt;
use std::path::{Path, PathBuf};

/// A database of accounts.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseAddress {
    /// A file.
    Sqlite(PathBuf),
    /// A server.
    Postgres(Postgres),
}

/// A server of PostgreSQL. Neither `Display` nor `Debug` show its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Postgres {
    url: String,
    root: Option<PathBuf>,
}

/// Why a text is not a valid database address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidDatabaseAddress {
    /// The reason. Contains no password.
    pub why: String,
    /// What would be right.
    pub hint: String,
}

impl DatabaseAddress {
    /// Parses an address; a relative file is resolved against `base`.
    ///
    /// Of the options after `?`, `sslrootcert` is the PEM file of the authority that signed the
    /// server's certificate; with it, and only with it, TLS is used, and certificate and host name
    /// are verified.
    ///
    /// # Errors
    /// The reason.
    pub fn parse(text: &str, base: &Path) -> Result<Self, InvalidDatabaseAddress> {
        if let Some(file) = text.strip_prefix("sqlite:") {
            // `sqlite:///x` is how some write `/x`.
            let file = file.strip_prefix("//").unwrap_or(file);
            if file.is_empty() || file.contains('\0') {
                return Err(InvalidDatabaseAddress {
                    why: "the file name is missing".to_owned(),
                    hint: "write it as sqlite:/var/lib/wharf/users.db".to_owned(),
                });
            }
            return Ok(Self::Sqlite(base.join(file)));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Postgres::parse(text, base).map(Self::Postgres);
        }
        let kind = text.split(':').next().unwrap_or_default();
        Err(InvalidDatabaseAddress {
            why: format!("unknown kind of store `{}`", kind.escape_debug()),
            hint: "write file, sqlite:/path/users.db or postgres://user@host:5432/database"
                .to_owned(),
        })
    }
}

impl Postgres {
    fn parse(text: &str, base: &Path) -> Result<Self, InvalidDatabaseAddress> {
        let bad = |why: &str, hint: &str| InvalidDatabaseAddress {
            why: why.to_owned(),
            hint: hint.to_owned(),
        };
        let (url, options) = text.split_once('?').unwrap_or((text, ""));
        let mut root = None;
        let mut mode = None;
        let mut others = Vec::new();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sslrootcert", file)) if !file.is_empty() => root = Some(base.join(file)),
                Some(("sslmode", word)) => mode = Some(word),
                _ => others.push(option),
            }
        }
        let authority =
            "sslrootcert=/etc/ssl/certs/ca-certificates.crt is the list of authorities of Debian";
        match (mode, &root) {
            (None | Some("disable" | "prefer" | "allow"), None)
            | (None | Some("require" | "verify-ca" | "verify-full"), Some(_)) => {}
            (Some("require" | "verify-ca" | "verify-full"), None) => {
                let why = "TLS needs sslrootcert: without it any certificate would be accepted";
                return Err(bad(why, authority));
            }
            (Some("disable" | "prefer" | "allow"), Some(_)) => {
                let why = "sslrootcert conflicts with an sslmode without TLS";
                return Err(bad(why, "write sslmode=verify-full, or leave one of them out"));
            }
            (Some(_), _) => {
                return Err(bad("unknown sslmode", "write sslmode=verify-full"));
            }
        }
        let end = if others.is_empty() { String::new() } else { format!("?{}", others.join("&")) };
        Ok(Self { url: format!("{url}{end}"), root })
    }

    /// The address for the library, with the password if it has one.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The PEM file of the authority that signed the server's certificate.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }
}

/// The address without its options and without the password.
pub fn without_password(text: &str) -> String {
    let Some((kind, rest)) = text.split_once("://") else { return text.to_owned() };
    let rest = rest.split('?').next().unwrap_or_default();
    // A password may hold a slash that its owner did not encode: the last sign counts.
    let Some((owner, place)) = rest.rsplit_once('@') else { return format!("{kind}://{rest}") };
    let user = owner.split(':').next().unwrap_or_default();
    format!("{kind}://{user}@{place}")
}

impl fmt::Display for Postgres {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&without_password(&self.url))
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Postgres({self})")
    }
}

impl fmt::Display for DatabaseAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(out, "{}", path.display()),
            Self::Postgres(server) => server.fmt(out),
        }
    }
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatabaseAddress, InvalidDatabaseAddress> {
        DatabaseAddress::parse(text, Path::new("/etc/wharf"))
    }

    #[test]
    fn a_file_is_found_in_every_spelling() {
        for (text, path) in [
            ("sqlite:/var/lib/users.db", "/var/lib/users.db"),
            ("sqlite:///var/lib/users.db", "/var/lib/users.db"),
            ("sqlite:users.db", "/etc/wharf/users.db"),
        ] {
            assert_eq!(parse(text), Ok(DatabaseAddress::Sqlite(path.into())), "{text}");
        }
    }

    #[test]
    fn an_invalid_address_is_rejected_with_a_hint() {
        for (text, part) in [
            ("", "unknown kind of store"),
            ("mysql://a@b/c", "`mysql`"),
            ("sqlite:", "file name"),
            ("postgres://a@b/c?sslmode=require", "needs sslrootcert"),
            ("postgres://a@b/c?sslmode=disable&sslrootcert=/x", "conflicts"),
            ("postgres://a@b/c?sslmode=perhaps", "unknown sslmode"),
        ] {
            let bad = parse(text).unwrap_err();
            assert!(bad.why.contains(part) && !bad.hint.is_empty(), "{text}: {bad:?}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for text in [
            "postgres://wharf:se/cr:et@127.0.0.1:5432/users?password=secret",
            "postgresql://wharf:secret@db/users?application_name=secret",
        ] {
            let address = parse(text).unwrap();
            let shown = format!("{address} {address:?}");
            assert!(!shown.contains("cr") && shown.contains("wharf@"), "{shown}");
        }
        assert_eq!(without_password("postgres://db/users"), "postgres://db/users");
        assert_eq!(without_password("sqlite:/a"), "sqlite:/a");
    }

    #[test]
    fn an_authority_is_taken_out_of_the_address() {
        let address = parse("postgres://a@b/c?sslmode=verify-full&sslrootcert=ca.pem&x=y").unwrap();
        let DatabaseAddress::Postgres(server) = address else { panic!("a server") };
        assert_eq!(server.url, "postgres://a@b/c?x=y");
        assert_eq!(server.root(), Some(Path::new("/etc/wharf/ca.pem")));
    }
}
