//! User names and passwords of USER and PASS, decoded in the same character set.

use encoding_rs::Encoding as Charset;
use wharf_proto::path::escaped;

use super::guess::{Hint, rank};
use super::{NameCodec, WireEncoding};

/// The most decodings of one attempt: each costs a password hash.
pub(crate) const SPELLINGS_MAX: usize = 2;

/// One decoding of the arguments of USER and PASS.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) secret: Vec<u8>,
    /// The set in which this was decoded; `None` if it was not decoded.
    pub(crate) set: Option<&'static Charset>,
}

impl NameCodec {
    /// The user name in the argument of USER.
    pub(crate) fn user(&self, typed: &[u8]) -> String {
        let first = self.credentials(typed, b"").into_iter().next();
        first.map_or_else(|| escaped(typed), |first| first.user)
    }

    /// The possible user names and passwords, the more likely first; at least one, at most
    /// [`SPELLINGS_MAX`].
    ///
    /// Valid UTF-8 is read as UTF-8. A password in a legacy set is tried in UTF-8, from which
    /// most hashes were made, and as it was sent, which is what old servers hashed.
    pub(crate) fn credentials(&self, user: &[u8], secret: &[u8]) -> Vec<Credentials> {
        let mut all = Vec::new();
        let text = std::str::from_utf8(user).ok().map(str::to_owned);
        let sets = if self.is_pinned {
            let is_legacy = self.wire_encoding == WireEncoding::Legacy;
            if is_legacy { vec![self.set] } else { Vec::new() }
        } else if text.is_none() {
            rank(user, self.hint(), self.configured).sets
        } else if std::str::from_utf8(secret).is_err() {
            let hint = self.settled().map(Hint::assumed).or_else(|| self.hint());
            rank(secret, hint, self.configured).sets
        } else {
            Vec::new()
        };
        let needs_one = text.is_some();
        for set in sets {
            let user = text.clone().filter(|_| !self.is_pinned).or_else(|| decoded(user, set));
            let secret = decoded(secret, set).map(String::into_bytes);
            if let (Some(user), Some(secret)) = (user, secret) {
                all.push(Credentials { user, secret, set: Some(set) });
            }
            if all.len() >= SPELLINGS_MAX || (needs_one && !all.is_empty()) {
                break;
            }
        }
        let name = all.first().map(|first| first.user.clone()).or(text);
        let name = name.unwrap_or_else(|| escaped(user));
        let raw = Credentials { user: name, secret: secret.to_vec(), set: None };
        let is_known = |one: &Credentials| one.user == raw.user && one.secret == raw.secret;
        if all.len() < SPELLINGS_MAX && !all.iter().any(is_known) {
            all.push(raw);
        }
        all
    }
}

fn decoded(typed: &[u8], set: &'static Charset) -> Option<String> {
    set.decode_without_bom_handling_and_without_replacement(typed).map(std::borrow::Cow::into_owned)
}
