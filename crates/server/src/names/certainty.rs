//! How certain a session is of its character set, and what changes that.
//!
//! A clear name settles the set, and the account's next sessions prefer it. A file may have its
//! name only because an earlier session guessed wrongly: a name that exists decides what that name
//! means, and shows little about the others.

use encoding_rs::Encoding as Charset;

use super::guess::{Hint, HintOrigin, Ranking, rank};
use super::{NameCodec, parts};

/// What is known about the legacy set of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    /// Nothing was sent yet.
    Open,
    /// It is the most likely set; later names may show that it is another.
    Guessed,
    /// A doubtful name exists in this set, and a guess would have stored it in another.
    Found,
    /// A clear name, or an existing one in the set of the account, has shown it.
    Settled,
}

impl NameCodec {
    /// Uses the set that earlier sessions of the account settled on as a hint.
    pub(crate) fn expect(&mut self, remembered_charset: Option<&'static Charset>) {
        let origin = HintOrigin::Remembered;
        self.account_hint = remembered_charset.map(|set| Hint { set, origin });
        self.begin_with(remembered_charset);
    }

    /// Uses the set of a password as a hint, unless earlier sessions of the account settled on one.
    pub(crate) fn assume(&mut self, set: &'static Charset) {
        if self.account_hint.is_none() {
            self.account_hint = Some(Hint::assumed(set));
            self.begin_with(Some(set));
        }
    }

    fn begin_with(&mut self, set: Option<&'static Charset>) {
        if let (Certainty::Open, false, Some(set)) = (self.certainty, self.is_pinned, set) {
            self.set = set;
        }
    }

    /// The set that is settled, or found.
    pub(crate) fn settled(&self) -> Option<&'static Charset> {
        (self.certainty >= Certainty::Found && !self.is_pinned).then_some(self.set)
    }

    /// The set to record for the account's next sessions.
    pub(crate) fn charset_to_remember(&self) -> Option<&'static Charset> {
        (self.certainty == Certainty::Settled && !self.is_pinned).then_some(self.set)
    }

    /// The set to prefer where several are about as likely.
    pub(super) fn hint(&self) -> Option<Hint> {
        let set = self.set;
        let is_remembered = self.remembered_charset() == Some(set);
        match self.certainty {
            Certainty::Guessed if is_remembered => {
                Some(Hint { set, origin: HintOrigin::Confirmed })
            }
            Certainty::Found => Some(Hint { set, origin: HintOrigin::Confirmed }),
            _ => self.account_hint.or_else(|| self.configured.map(Hint::assumed)),
        }
    }

    /// The set that this account's sessions settled on.
    fn remembered_charset(&self) -> Option<&'static Charset> {
        self.account_hint.filter(|hint| hint.origin == HintOrigin::Remembered).map(|hint| hint.set)
    }

    /// The names in `typed` that this session did not send before and that may be in a legacy
    /// set, one a line.
    pub(super) fn unknown(&self, typed: &[u8]) -> Vec<u8> {
        let is_utf8 = std::str::from_utf8(typed).is_ok();
        let is_legacy = |part: &[u8]| {
            if is_utf8 { !part.is_ascii() } else { std::str::from_utf8(part).is_err() }
        };
        let unknown: Vec<&[u8]> = parts(typed)
            .filter(|part| is_legacy(part) && self.sent_names.disk(part).is_none())
            .collect();
        unknown.join(&b'\n')
    }

    /// Ranks the sets for `names`, together with those that were sent before.
    pub(super) fn ranking(&self, names: &[u8]) -> Ranking {
        let hint = self.hint();
        let alone = rank(names, hint, self.configured);
        // If the set is settled, `names` are in another one. And clear names outweigh a guess.
        if alone.is_clear || self.certainty == Certainty::Settled {
            return alone;
        }
        let all = rank(&[self.observed.as_slice(), names].concat(), hint, self.configured);
        if all.sets.is_empty() { alone } else { all }
    }

    /// The set of this session after `names`, which were not sent before, were read in `set`.
    pub(super) fn shown(
        &self,
        names: &[u8],
        set: &'static Charset,
        is_clear: bool,
        exists: bool,
    ) -> (&'static Charset, Certainty) {
        if is_clear {
            return (set, Certainty::Settled);
        }
        if names.is_empty() || !exists {
            return (set, Certainty::Guessed);
        }
        let ranking = self.ranking(names);
        let is_likeliest = ranking.sets.first() == Some(&set);
        match self.remembered_charset() {
            Some(remembered) if remembered == set => (set, Certainty::Settled),
            _ if is_likeliest => (set, Certainty::Guessed),
            Some(_) => (self.set, Certainty::Guessed),
            None if ranking.is_clear => {
                (ranking.sets.first().copied().unwrap_or(set), Certainty::Guessed)
            }
            None => {
                // What a session without any other name would have taken it for.
                let hint = self.configured.map(Hint::assumed);
                let is_guess = rank(names, hint, self.configured).sets.first() == Some(&set);
                (set, if is_guess { Certainty::Guessed } else { Certainty::Found })
            }
        }
    }
}
