//! Configuration values with a fixed set of words.

use std::fmt;
use std::path::Path;

use wharf_users::nearest::nearest;

use super::raw::Raw;
use super::value::{ConfigValue, InvalidValue, LegacyEncoding, parse};

macro_rules! choice {
    ($(
        $(#[doc = $about:literal])+
        $name:ident {
            $(#[doc = $first_meaning:literal])+ $first:ident = $first_word:literal,
            $($(#[doc = $meaning:literal])+ $variant:ident = $word:literal,)+
        }
    )+) => {$(
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = $first_meaning])+ $first,
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl $name {
            /// The words, in order.
            pub const WORDS: &'static [&'static str] = &[$first_word, $($word),+];
        }

        impl ConfigValue for $name {
            const KIND: &'static str = concat!("one of `", $first_word $(, "`, `", $word)+, "`");

            fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
                match raw.text() {
                    Some($first_word) => Ok(Self::$first),
                    $(Some($word) => Ok(Self::$variant),)+
                    Some(other) => Err(no_such_word(other, Self::WORDS)),
                    None => Err(InvalidValue::kind::<Self>(raw)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(match self {
                    Self::$first => $first_word,
                    $(Self::$variant => $word,)+
                })
            }
        }
    )+};
}

choice! {
    /// TLS mode of a listener.
    TlsMode {
        /// After AUTH TLS.
        Explicit = "explicit",
        /// From the first byte.
        Implicit = "implicit",
        /// No TLS.
        Off = "off",
    }

    /// Minimum version of TLS.
    TlsVersion {
        /// RFC 5246.
        V1_2 = "1.2",
        /// RFC 8446.
        V1_3 = "1.3",
    }

    /// What requires TLS.
    TlsRequire {
        /// Nothing.
        Off = "off",
        /// Password logins from outside the local networks.
        Public = "public",
        /// Every password login.
        Login = "login",
        /// Every password login and every data connection.
        All = "all",
    }

    /// Whether data connections must resume the TLS session of the control connection.
    SessionReuse {
        /// Not checked.
        Off = "off",
        /// Verified if they do.
        Prefer = "prefer",
        /// Required.
        Require = "require",
    }

    /// Permissions of anonymous users.
    AnonymousPermissions {
        /// List and download.
        Read = "read",
        /// Upload only, without listings.
        Dropbox = "dropbox",
        /// Everything except permission bits.
        ReadWrite = "read-write",
    }

    /// Which symbolic links are followed.
    Symlinks {
        /// Those with a target inside the home.
        Inside = "inside",
        /// None.
        Never = "never",
        /// All.
        Always = "always",
    }

    /// What happens to an upload if its check fails.
    OnFailure {
        /// It is not published.
        Reject = "reject",
        /// It is published.
        Allow = "allow",
    }

    /// Whether the process is sandboxed.
    Sandbox {
        /// As far as the system supports it.
        Auto = "auto",
        /// Required: without it, the server does not start.
        On = "on",
        /// Not at all.
        Off = "off",
    }

    /// Durability of an upload when its reply is sent.
    Durability {
        /// Synced to disk.
        Full = "full",
        /// Atomic, but perhaps not yet synced.
        Fast = "fast",
    }

    /// Character set of file names in FTP.
    NameEncoding {
        /// UTF-8, or a detected legacy character set.
        Auto = "auto",
        /// UTF-8.
        Utf8 = "utf-8",
        /// The legacy character set.
        Legacy = "legacy",
    }

    /// Meaning of a backslash in a path.
    Backslash {
        /// A slash unless a file has that name.
        Auto = "auto",
        /// A slash.
        Always = "always",
        /// A literal backslash.
        Never = "never",
    }

    /// Time zone of LIST.
    ListTime {
        /// The time zone of the system.
        Local = "local",
        /// UTC.
        Utc = "utc",
    }

    /// What TYPE A does.
    Ascii {
        /// Converts line endings.
        Convert = "convert",
        /// Nothing.
        Binary = "binary",
    }

    /// Minimum severity of log lines.
    LogLevel {
        /// Only errors of the server.
        Error = "error",
        /// Also failed logins and failed data connections.
        Warn = "warn",
        /// All events.
        Info = "info",
        /// Also each command, reply, connection and decision, for troubleshooting.
        Debug = "debug",
        /// Also the steps of each.
        Trace = "trace",
    }

    /// Format of log lines.
    LogFormat {
        /// Text.
        Auto = "auto",
        /// Text.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

fn no_such_word(found: &str, words: &'static [&'static str]) -> InvalidValue {
    let list: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    let wrong = InvalidValue::new(format!("unknown value `{}`", found.escape_debug()));
    if words == NameEncoding::WORDS && found != "auto" && parse::<LegacyEncoding>(found).is_ok() {
        return wrong.hint(format!(
            "for clients that send {}: encoding = \"legacy\" and legacy_encoding = \"{found}\"",
            found.to_uppercase()
        ));
    }
    match nearest(found, words.iter().copied()) {
        Some(near) => wrong.hint(format!("did you mean `{near}`?")),
        None => wrong.hint(format!("use one of {}", list.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_and_prints_as_itself() {
        for word in TlsRequire::WORDS {
            assert_eq!(parse::<TlsRequire>(word).unwrap().to_string(), *word);
        }
    }

    #[test]
    fn a_slip_is_answered_with_the_word() {
        let wrong = parse::<TlsRequire>("pubilc").unwrap_err();
        assert_eq!(wrong.hint.as_deref(), Some("did you mean `public`?"));
    }

    #[test]
    fn a_legacy_encoding_as_name_encoding_is_answered_with_both_keys() {
        let wrong = parse::<NameEncoding>("gbk").unwrap_err();
        let hint = "for clients that send GBK: encoding = \"legacy\" and legacy_encoding = \"gbk\"";
        assert_eq!(wrong.hint.as_deref(), Some(hint));
        let wrong = parse::<NameEncoding>("uft-8").unwrap_err();
        assert_eq!(wrong.hint.as_deref(), Some("did you mean `utf-8`?"));
    }
}
