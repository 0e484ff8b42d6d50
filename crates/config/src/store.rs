//! The account store as a configuration value, and masking of passwords in URLs.

use std::path::Path;

use wharf_accounts_sql::{DatabaseAddress, InvalidDatabaseAddress};

use super::raw::Raw;
use super::value::{ConfigValue, InvalidValue};

/// The account store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountStoreKind {
    /// The file `server.users_file`.
    File,
    /// A database.
    Database(DatabaseAddress),
}

impl AccountStoreKind {
    /// Parses `file`, `sqlite:…` or `postgres://…`; a relative path is resolved against `base`.
    ///
    /// # Errors
    /// The reason why the text is invalid.
    pub fn parse(text: &str, base: &Path) -> Result<Self, InvalidDatabaseAddress> {
        if text == "file" {
            return Ok(Self::File);
        }
        DatabaseAddress::parse(text, base).map(Self::Database)
    }
}

/// `file`, `sqlite:PATH` or `postgres://…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountStore(pub AccountStoreKind);

impl ConfigValue for AccountStore {
    const KIND: &'static str = "`file`, `sqlite:PATH` or `postgres://…`";

    fn read(raw: &Raw, base: &Path) -> Result<Self, InvalidValue> {
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        AccountStoreKind::parse(text, base)
            .map(Self)
            .map_err(|bad| InvalidValue::new(bad.why).hint(bad.hint))
    }
}

/// Replaces every password in a URL such as `postgres://user:password@host` by stars of the same
/// length.
pub fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(SIGN).map(|at| at + SIGN.len()) {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let end = after.find(|letter: char| letter.is_whitespace() || "\"'`<>".contains(letter));
        let (address, behind) = after.split_at(end.unwrap_or(after.len()));
        out.push_str(&masked_address(address));
        rest = behind;
    }
    out + rest
}

const SIGN: &str = "://";

/// Masks the part of a URL after `://`.
fn masked_address(address: &str) -> String {
    let (place, options) = address.split_at(address.find('?').unwrap_or(address.len()));
    let owner = place.rfind('@').unwrap_or(0);
    let (owner, place) = place.split_at(owner);
    let mut out = match owner.split_once(':') {
        Some((user, password)) => format!("{user}:{}", stars(password)),
        None => owner.to_owned(),
    };
    out.push_str(place);
    for (index, option) in options.split('&').enumerate() {
        out.push_str(if index == 0 { "" } else { "&" });
        match option.split_once("password=") {
            Some((name, password)) => {
                out.push_str(name);
                out.push_str("password=");
                out.push_str(&stars(password));
            }
            None => out.push_str(option),
        }
    }
    out
}

fn stars(secret: &str) -> String {
    "*".repeat(secret.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_password_becomes_stars_and_the_rest_stays() {
        for (text, shown) in [
            ("store = \"postgres://u:pw@h/d\" # x", "store = \"postgres://u:**@h/d\" # x"),
            ("postgresql://u:p@w@h:1/d?a=b", "postgresql://u:***@h:1/d?a=b"),
            ("postgres://u@h/d?a=b&password=pw&c=d", "postgres://u@h/d?a=b&password=**&c=d"),
            ("postgres://u@h/d postgres://u:é@h", "postgres://u@h/d postgres://u:**@h"),
            ("mysql://u:pw@h ftp://127.0.0.1:21", "mysql://u:**@h ftp://127.0.0.1:21"),
            ("nothing: here@all", "nothing: here@all"),
            ("postgres://", "postgres://"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall_or_grow(text in "(postgres://|[a-z:@/?&=é \"]|password=){0,12}") {
            prop_assert_eq!(masked(&text).len(), text.len());
        }
    }
}
