//! Values that are one of a few words.

use std::fmt;
use std::path::Path;

use wharf_users::nearest::nearest;

use super::raw::Raw;
use super::value::{Value, Wrong};

macro_rules! choice {
    ($(
        $(#[doc = $about:literal])+
        $name:ident {
            $($(#[doc = $meaning:literal])+ $variant:ident = $word:literal,)+
        }
    )+) => {$(
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl $name {
            /// The words, in order.
            pub(crate) const WORDS: &'static [&'static str] = &[$($word),+];
        }

        impl Value for $name {
            const KIND: &'static str = concat!("one of" $(, " \"", $word, "\"")+);

            fn read(raw: &Raw, _base: &Path) -> Result<Self, Wrong> {
                match raw.text() {
                    $(Some($word) => Ok(Self::$variant),)+
                    Some(other) => Err(no_such_word(other, Self::WORDS)),
                    None => Err(Wrong::kind::<Self>(raw)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(match self {
                    $(Self::$variant => $word,)+
                })
            }
        }
    )+};
}

choice! {
    /// How TLS begins on a listener.
    TlsMode {
        /// When the client asks for it.
        Explicit = "explicit",
        /// At once.
        Implicit = "implicit",
        /// Never.
        Off = "off",
    }

    /// The oldest version of TLS.
    TlsVersion {
        /// RFC 5246.
        V1_2 = "1.2",
        /// RFC 8446.
        V1_3 = "1.3",
    }

    /// Who must use TLS.
    TlsRequire {
        /// Nobody.
        Off = "off",
        /// Passwords from outside the local networks.
        Public = "public",
        /// Every password.
        Login = "login",
        /// Data connections too.
        All = "all",
    }

    /// Whether data connections must resume the control session's TLS.
    SessionReuse {
        /// They need not.
        Off = "off",
        /// Proven where they do.
        Prefer = "prefer",
        /// They must.
        Require = "require",
    }

    /// What anonymous visitors may do.
    AnonymousPermissions {
        /// Look and fetch.
        Read = "read",
        /// Leave files, and see nothing.
        Dropbox = "dropbox",
        /// Everything but permission bits.
        ReadWrite = "read-write",
    }

    /// Where symbolic links may lead.
    Symlinks {
        /// Within the account's home.
        Inside = "inside",
        /// Nowhere.
        Never = "never",
        /// Anywhere the server's user may go.
        Always = "always",
    }

    /// What becomes of uploads that could not be looked at.
    OnFailure {
        /// They are not published.
        Refuse = "refuse",
        /// They are.
        Allow = "allow",
    }

    /// Whether the process is confined.
    Sandbox {
        /// As far as the system can.
        Auto = "auto",
        /// Or it does not start.
        On = "on",
        /// Not at all.
        Off = "off",
    }

    /// What the answer to an upload promises.
    Durability {
        /// On disk.
        Full = "full",
        /// Whole, but perhaps not on disk yet.
        Fast = "fast",
    }

    /// How names go over the wire.
    NameEncoding {
        /// UTF-8 until a client shows that it does not know it.
        Auto = "auto",
        /// UTF-8.
        Utf8 = "utf-8",
        /// The legacy set.
        Legacy = "legacy",
    }

    /// What a backslash in a path means.
    Backslash {
        /// A slash unless a file has that name.
        Auto = "auto",
        /// A slash.
        Always = "always",
        /// Itself.
        Never = "never",
    }

    /// The clock of LIST.
    ListTime {
        /// The computer's time zone.
        Local = "local",
        /// UTC.
        Utc = "utc",
    }

    /// What TYPE A does.
    Ascii {
        /// Converts line ends.
        Convert = "convert",
        /// Nothing.
        Binary = "binary",
    }

    /// What is worth a line.
    LogLevel {
        /// Only faults of the server.
        Error = "error",
        /// Refused logins and broken data connections too.
        Warn = "warn",
        /// All that happens.
        Info = "info",
    }

    /// What a line looks like.
    LogFormat {
        /// Text.
        Auto = "auto",
        /// Words for people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

fn no_such_word(found: &str, words: &'static [&'static str]) -> Wrong {
    let list: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let wrong = Wrong::new(format!("expected one of {}", list.join(", ")));
    match nearest(found, words.iter().copied()) {
        Some(near) => wrong.help(format!("did you mean \"{near}\"?")),
        None => wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::parse;
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
        assert_eq!(wrong.help.as_deref(), Some("did you mean \"public\"?"));
    }
}
