//! Password hashes of other servers: which can be imported, and why others cannot.

use wharf_users::password::{
    STORED_BCRYPT_COST_MAX, STORED_MEMORY_KIB_MAX, STORED_PASSES_MAX, STORED_SHA_CRYPT_ROUNDS_MAX,
    looks_like_hash,
};

use super::model::{ImportResult, ImportedPassword, SourceLocation};

/// Imports a hash. If wharf cannot verify it, the account gets no password, which is reported.
pub(crate) fn import(
    hash: &str,
    name: &str,
    location: &SourceLocation,
    found: &mut ImportResult,
) -> ImportedPassword {
    let shown = name.escape_debug();
    match refusal(hash) {
        None => ImportedPassword::Hash(hash.to_owned()),
        Some(why) => {
            let what = format!("account `{shown}`: cannot import its password hash: {why}");
            let hint = format!("set a password:  wharf user passwd {shown}");
            found.lost(location, what, hint);
            ImportedPassword::None
        }
    }
}

/// Why a hash cannot be imported.
fn refusal(hash: &str) -> Option<String> {
    let is_old_crypt = |text: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
        text.len() == 13 && text.bytes().all(is_letter)
    };
    let number = |prefix: &str| {
        let (_, rest) = hash.split_once(prefix)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end)?.parse::<u64>().ok()
    };
    let is_above = |prefix: &str, max: u32| number(prefix).is_some_and(|n| n > u64::from(max));
    let work = number("m=").zip(number("t="));
    let work_max = u64::from(STORED_MEMORY_KIB_MAX) * u64::from(STORED_PASSES_MAX);
    let is_long_work = work.is_some_and(|(kib, passes)| kib.saturating_mul(passes) > work_max);
    let why = match hash {
        "" => "it is empty",
        _ if hash.starts_with(['!', '*']) || hash == "x" => {
            "the account is locked or its hash is stored elsewhere"
        }
        _ if hash.starts_with("$argon2id$") && is_above("m=", STORED_MEMORY_KIB_MAX) => {
            let kib = number("m=").unwrap_or_default();
            return Some(format!("each login would take {} MiB of memory", kib / 1024));
        }
        _ if hash.starts_with("$argon2id$") && is_long_work => "each login would take seconds",
        _ if hash.starts_with("$2") && is_above_cost(hash) => "each login would take seconds",
        _ if is_above("$rounds=", STORED_SHA_CRYPT_ROUNDS_MAX) => "each login would take seconds",
        _ if looks_like_hash(hash) => return None,
        _ if is_old_crypt(hash) => {
            "DES crypt is insecure: it uses eight characters only and is broken in minutes"
        }
        _ if hash.starts_with("$7$") => "scrypt is not supported",
        _ if hash.starts_with("$argon2i$") => "Argon2i is not supported",
        _ => "unknown hash format",
    };
    Some(why.to_owned())
}

fn is_above_cost(hash: &str) -> bool {
    let cost = hash.split('$').nth(2).and_then(|cost| cost.parse::<u32>().ok());
    cost.is_some_and(|cost| cost > STORED_BCRYPT_COST_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn supported_hashes_are_imported_and_others_are_reported() {
        for (hash, why) in [
            ("$argon2id$v=19$m=65536,t=3,p=1$c2FsdHNhbHQ$aGFzaA", None),
            ("$6$salt$hash", None),
            ("$1$salt$hash", None),
            ("$2y$10$hash", None),
            ("$argon2id$v=19$m=1048576,t=3,p=1$c2FsdA$aGFzaA", Some("1024 MiB")),
            ("$argon2id$v=19$m=8192,t=255,p=1$c2FsdHNhbHQ$aGFzaA", None),
            ("$argon2id$v=19$m=8192,t=300,p=1$c2FsdHNhbHQ$aGFzaA", Some("seconds")),
            ("$6$rounds=9999999$salt$hash", Some("seconds")),
            ("$2y$20$hash", Some("seconds")),
            ("XoNgMVd5QHvkQ", Some("DES")),
            ("$7$C6..../....salt$hash", Some("scrypt")),
            ("$argon2i$v=19$m=1,t=1,p=1$a$b", Some("Argon2i")),
            ("", Some("it is empty")),
            ("*", Some("locked")),
            ("x", Some("locked")),
            ("secret", Some("unknown hash")),
        ] {
            let found = refusal(hash);
            assert_eq!(found.is_none(), why.is_none(), "{hash}: {found:?}");
            assert!(found.unwrap_or_default().contains(why.unwrap_or_default()), "{hash}");
        }
    }

    proptest! {
        #[test]
        fn any_text_does_not_panic(hash in "\\PC{0,30}|\\$[0-9a-z]{1,8}\\$[a-z0-9=,$]{0,20}") {
            let _ = refusal(&hash);
        }
    }
}
