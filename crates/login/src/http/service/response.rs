//! The account in a response: a JSON object, every member optional.
//!
//! ```json
//! {
//!   "name": "anna",
//!   "home": "/srv/ftp/anna",
//!   "permissions": "read-write",
//!   "paths": { "/incoming": "upload" },
//!   "quota": "20GiB",
//!   "quota_files": 10000,
//!   "upload_rate": "2MiB/s",
//!   "download_rate": 0,
//!   "sessions": 5,
//!   "require_tls": true
//! }
//! ```
//!
//! Members and values are those of an accounts file. An unknown member is an error: it may be a
//! misspelt restriction.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use wharf_core::account::{AccountLimits, Count, Rate, Size};
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;
use wharf_users::permissions::parse_permissions;
use wharf_users::units::{parse_quota, parse_rate};

use crate::source::ExternalAccount;

/// The most paths with own permissions in a response.
const PATHS_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginResponse {
    name: Option<String>,
    home: Option<PathBuf>,
    permissions: Option<String>,
    #[serde(default)]
    paths: BTreeMap<String, String>,
    quota: Option<Amount>,
    quota_files: Option<u32>,
    upload_rate: Option<Amount>,
    download_rate: Option<Amount>,
    sessions: Option<u32>,
    #[serde(default)]
    require_tls: bool,
}

/// A number of bytes, or a text such as `20GiB`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Amount {
    Bytes(u64),
    Text(String),
}

/// Parses the account in a response; the error is for the log.
pub(super) fn read(body: &[u8]) -> Result<ExternalAccount, String> {
    // A list would be taken for the members in order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err("not a JSON object".to_owned());
    }
    let response: LoginResponse =
        serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if response.paths.len() > PATHS_MAX {
        return Err(format!("paths: more than {PATHS_MAX}"));
    }
    let paths: Result<Vec<_>, String> = response.paths.iter().map(path).collect();
    Ok(ExternalAccount {
        name: response.name,
        home: response.home,
        system_home: None,
        permissions: response.permissions.as_deref().map(permissions).transpose()?,
        paths: paths?,
        limits: AccountLimits {
            upload_rate: response
                .upload_rate
                .map(|rate| self::rate("upload_rate", rate))
                .transpose()?,
            download_rate: response
                .download_rate
                .map(|rate| self::rate("download_rate", rate))
                .transpose()?,
            sessions: response.sessions.map(Count::from_number),
            quota: response.quota.map(size).transpose()?,
            quota_files: response.quota_files.map(Count::from_number),
            ..AccountLimits::default()
        },
        requires_tls: response.require_tls,
    })
}

fn permissions(text: &str) -> Result<Permissions, String> {
    parse_permissions(text).map_err(|bad| format!("permissions: {}", bad.message()))
}

fn path((path, permissions): (&String, &String)) -> Result<(VPath, Permissions), String> {
    let place = path
        .starts_with('/')
        .then(|| VPath::root().resolve(path.as_bytes()).ok())
        .flatten()
        .ok_or_else(|| {
            format!("paths: {} does not start with /, or is invalid", path.escape_debug())
        })?;
    Ok((place, self::permissions(permissions)?))
}

fn rate(name: &str, amount: Amount) -> Result<Rate, String> {
    match amount {
        Amount::Bytes(bytes) => Ok(Rate::from_bytes_per_second(bytes)),
        Amount::Text(text) => parse_rate(&text).map_err(|error| format!("{name}: {error}")),
    }
}

fn size(amount: Amount) -> Result<Size, String> {
    match amount {
        Amount::Bytes(bytes) => Ok(Size::from_bytes(bytes)),
        Amount::Text(text) => parse_quota(&text).map_err(|error| format!("quota: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_member_of_an_account_is_optional() {
        assert_eq!(read(b"{}"), Ok(ExternalAccount::default()));
        let external = read(
            br#"{"name": "anna", "home": "/srv/a", "permissions": "read-write",
                 "paths": {"/in": "upload"}, "quota": "1GiB", "quota_files": 10,
                 "upload_rate": "2MiB/s", "download_rate": 0, "sessions": 5, "require_tls": true}"#,
        )
        .unwrap();
        assert_eq!(external.limits.quota.and_then(Size::bytes), Some(1 << 30));
        assert_eq!(external.limits.upload_rate.and_then(Rate::bytes_per_second), Some(2 << 20));
        assert_eq!(external.limits.download_rate, Some(Rate::Unlimited));
        assert_eq!((external.paths.len(), external.requires_tls), (1, true));
    }

    #[test]
    fn an_invalid_response_is_an_error_with_the_reason() {
        for (text, part) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("null", "not a JSON object"),
            ("{", "EOF"),
            (r#"{"permision": "read"}"#, "permision"),
            (r#"{"permissions": "everything"}"#, "permissions: "),
            (r#"{"paths": {"in": "read"}}"#, "path"),
            (r#"{"paths": {"/in": "x"}}"#, "permissions: "),
            (r#"{"quota": "much"}"#, "quota: "),
            (r#"{"upload_rate": "fast"}"#, "upload_rate: "),
            (r#"{"sessions": -1}"#, "invalid value"),
            (r"{} {}", "trailing"),
        ] {
            let why = read(text.as_bytes()).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }

    proptest! {
        #[test]
        fn no_response_breaks_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
        }
    }
}
