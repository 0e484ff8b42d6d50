//! Character sets of file names on the control and data connections.
//!
//! Inside the server, a name is the bytes on disk, UTF-8 in all but old file systems. A session
//! begins in UTF-8 (RFC 2640) and, if the settings allow it, switches to a legacy character set
//! once its client sends a name that is not UTF-8. The set is detected by `guess`, with the models
//! in `weigh`; `utf8` handles names that are valid UTF-8 by chance. Every name in a listing can be
//! sent back and finds the same file, also one that is not valid text; and a session gets back the
//! bytes that it sent (`sent_names`), in whichever set they were read.

#[cfg(test)]
mod account_tests;
mod certainty;
mod charset_memory;
mod guess;
mod letters;
mod login;
mod sent_names;
#[cfg(test)]
mod tests;
mod utf8;
mod weigh;

use std::borrow::Cow;
use std::sync::Arc;

use encoding_rs::{Encoding as Charset, UTF_8, WINDOWS_1252};

use self::certainty::Certainty;
use self::guess::{Hint, HintOrigin, OTHERWISE};
use self::sent_names::SentNames;
use self::utf8::{Utf8Verdict, is_doubtful, judge};
use self::weigh::weigh;
use crate::settings::{Backslash, Encoding, Names as NamesSettings};

pub(crate) use self::charset_memory::CharsetMemory;
pub(crate) use self::login::Credentials;

/// U+2400: the first control picture; those of the bytes 0 to 0x1f follow.
const PICTURES: u32 = 0x2400;
/// U+2421: the control picture of DEL.
const PICTURE_OF_DELETE: char = '\u{2421}';
/// The most bytes of names that are used to detect a set.
const OBSERVED_BYTES_MAX: usize = 512;

/// How this session spells names.
#[derive(Clone, Debug)]
pub(crate) struct NameCodec {
    wire_encoding: WireEncoding,
    is_pinned: bool,
    /// The legacy set of this session, as far as is known.
    set: &'static Charset,
    certainty: Certainty,
    /// The set in the settings.
    configured: Option<&'static Charset>,
    /// The set that this account's sessions settled on, or that its password is in.
    account_hint: Option<Hint>,
    /// Names that are not UTF-8, one a line, until the set is settled.
    observed: Vec<u8>,
    utf8: Utf8,
    sent_names: Arc<SentNames>,
    backslash: Backslash,
}

/// What is known about a client that has sent only valid UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Utf8 {
    /// Its names may be in an old set, and only happen to be valid UTF-8.
    Assumed,
    /// The same, and it was reported that a name has two plausible readings.
    Doubted,
    /// It said so (OPTS UTF8 ON), or sent a name that is plausible in UTF-8 only.
    Shown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WireEncoding {
    Utf8,
    Legacy,
}

/// What the bytes after a command may mean as a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Readings {
    /// Each is tried in turn; the first that exists is meant.
    pub(crate) tried: Vec<Reading>,
    /// What is meant when none of them exists.
    pub(crate) otherwise: Reading,
}

/// One meaning of the bytes after a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) path: Vec<u8>,
    /// The set in which the bytes were decoded; `None` if they were not decoded.
    pub(crate) set: Option<&'static Charset>,
    /// Whether the set is far more likely than the others.
    is_clear: bool,
}

/// The set of a session is known now, or another one than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecognisedCharset {
    pub(crate) set: &'static Charset,
    pub(crate) is_settled: bool,
}

impl NameCodec {
    pub(crate) fn new(settings: &NamesSettings) -> Self {
        let is_pinned = settings.encoding != Encoding::Auto;
        let otherwise = if is_pinned { WINDOWS_1252 } else { OTHERWISE };
        Self {
            wire_encoding: match settings.encoding {
                Encoding::Auto | Encoding::Utf8 => WireEncoding::Utf8,
                Encoding::Legacy => WireEncoding::Legacy,
            },
            is_pinned,
            set: settings.legacy_encoding.unwrap_or(otherwise),
            certainty: Certainty::Open,
            configured: settings.legacy_encoding,
            account_hint: None,
            observed: Vec::new(),
            utf8: Utf8::Assumed,
            sent_names: Arc::default(),
            backslash: settings.backslash_as_slash,
        }
    }

    /// The name of the set in use, for STAT and replies.
    pub(crate) fn charset(&self) -> &'static str {
        match self.wire_encoding {
            WireEncoding::Utf8 => "UTF-8",
            WireEncoding::Legacy => self.set.name(),
        }
    }

    /// Whether FEAT may name UTF8.
    pub(crate) fn offers_utf8(&self) -> bool {
        !(self.is_pinned && self.wire_encoding == WireEncoding::Legacy)
    }

    /// OPTS UTF8 ON or OFF; `false` if the set is pinned to the other.
    pub(crate) fn choose_utf8(&mut self, is_on: bool) -> bool {
        let wanted = if is_on { WireEncoding::Utf8 } else { WireEncoding::Legacy };
        if self.is_pinned {
            return self.wire_encoding == wanted;
        }
        self.wire_encoding = wanted;
        self.utf8 = if is_on { Utf8::Shown } else { Utf8::Assumed };
        if is_on {
            // It requested UTF-8, also of what it sent before.
            self.sent_names = Arc::default();
        }
        true
    }

    /// What `typed` may mean. One reading is the usual case and needs no disk access.
    pub(crate) fn readings(&self, typed: &[u8]) -> Readings {
        let is_utf8 = std::str::from_utf8(typed).is_ok();
        let mut found = ReadingList { names: self, tried: Vec::new(), otherwise: None };
        match (self.wire_encoding, self.is_pinned) {
            _ if typed.is_ascii() => found.means(Reading::literal(typed)),
            (WireEncoding::Utf8, true) => found.means(Reading::literal(typed)),
            (WireEncoding::Utf8, false) if is_utf8 => self.doubtful_readings(typed, &mut found),
            (_, true) => {
                if let Some(path) = self.decoded(typed, self.set) {
                    found.means(Reading { path, set: Some(self.set), is_clear: true });
                }
            }
            (_, false) if is_utf8 && is_surely_utf8(typed, self.set) => {
                found.means(Reading::literal(typed));
                found.means_in(typed, self.set, true);
            }
            (_, false) => {
                // A name that was listed as on disk is sent back as on disk.
                found.is_tried(Reading::literal(typed));
                self.legacy_readings(typed, &mut found);
            }
        }
        if self.wire_encoding == WireEncoding::Legacy {
            found.is_tried(Reading::literal(typed));
        }
        let otherwise = found.otherwise.unwrap_or_else(|| Reading::literal(typed));
        if found.tried.is_empty() {
            found.tried.push(otherwise.clone());
        }
        Readings { tried: found.tried, otherwise }
    }

    /// The readings of `typed` that is valid UTF-8, perhaps by chance.
    fn doubtful_readings(&self, typed: &[u8], found: &mut ReadingList<'_>) {
        let text = std::str::from_utf8(typed).unwrap_or_default();
        let unknown = self.unknown(typed);
        let unknown = std::str::from_utf8(&unknown).unwrap_or_default();
        if self.utf8 == Utf8::Shown || unknown.is_empty() || !is_doubtful(text) {
            return found.means(Reading::literal(typed));
        }
        match judge(unknown, self.account_hint, self.configured) {
            Utf8Verdict::Utf8 { is_clear: true, .. } => found.means(Reading::literal(typed)),
            Utf8Verdict::Utf8 { others, .. } => {
                found.means(Reading { is_clear: false, ..Reading::literal(typed) });
                for set in others.sets {
                    found.means_in(typed, set, false);
                }
            }
            Utf8Verdict::Legacy(ranking) => {
                found.is_tried(Reading::literal(typed));
                let mut is_clear = ranking.is_clear;
                for set in ranking.sets {
                    found.means_in(typed, set, is_clear);
                    is_clear = false;
                }
            }
        }
    }

    /// The readings in each set that `typed` can be in, the most likely first.
    fn legacy_readings(&self, typed: &[u8], found: &mut ReadingList<'_>) {
        let names = self.unknown(typed);
        let is_settled = self.certainty == Certainty::Settled;
        if names.is_empty() || (is_settled && weigh(self.set, &names).is_some()) {
            return found.means_in(typed, self.set, is_settled);
        }
        let ranking = self.ranking(&names);
        // With a full memory, what was sent under one set could not be given back under another.
        let is_stuck = self.sent_names.is_full() && self.certainty != Certainty::Open;
        let mut is_clear = ranking.is_clear;
        for set in ranking.sets {
            if !is_stuck || set == self.set {
                found.means_in(typed, set, is_clear);
            }
            is_clear = false;
        }
    }

    /// Records what `typed` was found to mean. `exists`: something has that name, or the
    /// folder around it has. Returns the set if it is a new one.
    pub(crate) fn chose(
        &mut self,
        typed: &[u8],
        reading: &Reading,
        exists: bool,
    ) -> Option<RecognisedCharset> {
        if self.is_pinned || typed.is_ascii() {
            return None;
        }
        let is_utf8 = std::str::from_utf8(typed).is_ok();
        let names = self.unknown(typed);
        let shown = reading.set.map(|set| self.shown(&names, set, reading.is_clear, exists));
        if reading.set.is_some() || is_utf8 {
            self.record(typed, reading);
        }
        if is_utf8 && self.wire_encoding == WireEncoding::Utf8 && reading.set.is_none() {
            return self.assume_utf8(reading, exists);
        }
        let (set, certainty) =
            shown.filter(|_| !is_utf8 || self.wire_encoding == WireEncoding::Utf8)?;
        // A name that is sent again shows nothing new.
        if !names.is_empty() && self.observed.len() + names.len() < OBSERVED_BYTES_MAX {
            self.observed.extend_from_slice(&names);
            self.observed.push(b'\n');
        }
        self.turns_to(set, certainty)
    }

    /// A name was read as UTF-8. Reported once if another reading was plausible too.
    fn assume_utf8(&mut self, reading: &Reading, exists: bool) -> Option<RecognisedCharset> {
        let has_changed = !reading.is_clear && !exists && self.utf8 == Utf8::Assumed;
        self.utf8 = match self.utf8 {
            // A literal that exists may be there only because it was stored in a wrong reading.
            utf8 if exists => utf8,
            _ if reading.is_clear => Utf8::Shown,
            Utf8::Assumed => Utf8::Doubted,
            utf8 => utf8,
        };
        has_changed.then_some(RecognisedCharset { set: UTF_8, is_settled: false })
    }

    /// Adopts `set` for this client, since its user name is in it.
    pub(crate) fn adopt_charset(&mut self, set: &'static Charset) -> Option<RecognisedCharset> {
        if self.is_pinned { None } else { self.turns_to(set, Certainty::Settled) }
    }

    fn turns_to(
        &mut self,
        set: &'static Charset,
        certainty: Certainty,
    ) -> Option<RecognisedCharset> {
        let before = (self.certainty, self.set);
        self.wire_encoding = WireEncoding::Legacy;
        self.utf8 = Utf8::Assumed;
        self.set = set;
        self.certainty = if before.1 == set { certainty.max(before.0) } else { certainty };
        let is_settled = self.certainty == Certainty::Settled;
        if is_settled {
            self.account_hint = Some(Hint { set, origin: HintOrigin::Remembered });
        }
        let has_changed = before.0 == Certainty::Open || before.1 != set;
        has_changed.then_some(RecognisedCharset { set, is_settled })
    }

    /// Records each part of a path with what was sent for it.
    fn record(&mut self, typed: &[u8], reading: &Reading) {
        let is_alike = parts(typed).count() == parts(&reading.path).count();
        let sent_names = Arc::make_mut(&mut self.sent_names);
        if is_alike {
            for (typed, disk) in parts(typed).zip(parts(&reading.path)) {
                if !typed.is_ascii() {
                    sent_names.record(typed, disk);
                }
            }
        } else if let Some(set) = reading.set {
            // Backslashes became slashes, and may be parts of letters as well.
            for disk in parts(&reading.path) {
                if let Some(typed) = encoded(disk, set) {
                    sent_names.record(&typed, disk);
                }
            }
        }
    }

    /// A name, or text with names, in the form for this client: as it sent it, else in its
    /// character set where that has all the letters, else as it is. Control bytes become their
    /// pictures, so that no name can forge a line.
    pub(crate) fn wire<'a>(&self, name: &'a [u8]) -> Cow<'a, [u8]> {
        if self.wire_encoding == WireEncoding::Utf8 || name.is_ascii() {
            return with_pictures(name);
        }
        if self.sent_names.is_empty() {
            return self.encoded(name);
        }
        let mut shown = Vec::with_capacity(name.len());
        let mut is_own = false;
        for part in name.split_inclusive(|byte| matches!(byte, b'/' | b'"')) {
            let (end, inner) = match part.split_last() {
                Some((end @ (b'/' | b'"'), inner)) => (Some(*end), inner),
                _ => (None, part),
            };
            match self.sent_names.typed(inner) {
                Some(typed) => {
                    is_own = true;
                    shown.extend(with_question_marks(typed.to_vec()));
                }
                None => shown.extend_from_slice(&self.encoded(inner)),
            }
            shown.extend(end);
        }
        if is_own { Cow::Owned(shown) } else { self.encoded(name) }
    }

    fn encoded<'a>(&self, name: &'a [u8]) -> Cow<'a, [u8]> {
        if name.is_ascii() {
            return with_pictures(name);
        }
        match encoded(name, self.set) {
            Some(bytes) => Cow::Owned(with_question_marks(bytes)),
            None => with_pictures(name),
        }
    }

    /// `typed` in UTF-8, if it is of the set. Parts that this session sent before are what they
    /// were then.
    fn decoded(&self, typed: &[u8], set: &'static Charset) -> Option<Vec<u8>> {
        let mut path = Vec::with_capacity(typed.len() * 2);
        for part in typed.split_inclusive(|byte| *byte == b'/') {
            let (end, inner) = match part.split_last() {
                Some((b'/', inner)) => (b"/".as_slice(), inner),
                _ => (b"".as_slice(), part),
            };
            if let Some(disk) = self.sent_names.disk(inner) {
                path.extend_from_slice(disk);
            } else {
                let text = set.decode_without_bom_handling_and_without_replacement(inner)?;
                let is_lost = self.sent_names.is_full()
                    && encoded(text.as_bytes(), set).is_none_or(|back| back != inner);
                if is_lost && !self.is_pinned {
                    return None;
                }
                path.extend_from_slice(text.as_bytes());
            }
            path.extend_from_slice(end);
        }
        Some(path)
    }

    fn slashed(&self, name: &[u8]) -> Option<Vec<u8>> {
        if self.backslash == Backslash::Literal || !name.contains(&b'\\') {
            return None;
        }
        Some(name.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect())
    }
}

impl Reading {
    fn literal(typed: &[u8]) -> Self {
        Self { path: typed.to_vec(), set: None, is_clear: true }
    }
}

/// The readings that were found so far.
struct ReadingList<'a> {
    names: &'a NameCodec,
    tried: Vec<Reading>,
    otherwise: Option<Reading>,
}

impl ReadingList<'_> {
    fn is_tried(&mut self, reading: Reading) {
        if !self.tried.iter().any(|known| known.path == reading.path) {
            self.tried.push(reading);
        }
    }

    /// The same with backslashes and control pictures replaced by what they may represent. The
    /// first that comes here is what is meant where nothing exists.
    fn means(&mut self, meant: Reading) {
        let with = |path| Reading { path, ..meant.clone() };
        let unpictured = without_pictures(&meant.path).map(with);
        let slashed = self.names.slashed(&meant.path).map(with);
        let otherwise = slashed.clone().unwrap_or_else(|| meant.clone());
        if self.names.backslash != Backslash::Slash || slashed.is_none() {
            self.is_tried(meant);
        }
        for reading in slashed.into_iter().chain(unpictured) {
            self.is_tried(reading);
        }
        self.otherwise.get_or_insert(otherwise);
    }

    fn means_in(&mut self, typed: &[u8], set: &'static Charset, is_clear: bool) {
        if let Some(path) = self.names.decoded(typed, set) {
            self.means(Reading { path, set: Some(set), is_clear });
        }
    }
}

/// The names in a path.
fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}

/// Whether text that is UTF-8 is hardly text in `set` by chance: in sets of single bytes all bytes
/// are letters, and letters of three bytes come about by chance nowhere.
fn is_surely_utf8(typed: &[u8], set: &'static Charset) -> bool {
    let text = std::str::from_utf8(typed).unwrap_or_default();
    set.is_single_byte() || text.chars().any(|letter| letter >= '\u{800}')
}

/// From UTF-8 to `set`, if it has all the letters and would take them for the same again.
fn encoded(name: &[u8], set: &'static Charset) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(name).ok()?;
    let (bytes, _, has_missing) = set.encode(text);
    if has_missing {
        return None;
    }
    let back = set.decode_without_bom_handling_and_without_replacement(&bytes)?;
    (back == text).then(|| bytes.into_owned())
}

fn with_pictures(name: &[u8]) -> Cow<'_, [u8]> {
    // Without an exit from the loop, it can be vectorized: this is done for every
    // name of a listing.
    if !name.iter().fold(false, |found, byte| found | byte.is_ascii_control()) {
        return Cow::Borrowed(name);
    }
    let mut shown = Vec::with_capacity(name.len() + 8);
    for &byte in name {
        if byte.is_ascii_control() {
            let picture = match byte {
                0x7f => PICTURE_OF_DELETE,
                byte => char::from_u32(PICTURES + u32::from(byte)).unwrap_or('?'),
            };
            let mut buffer = [0; 4];
            shown.extend_from_slice(picture.encode_utf8(&mut buffer).as_bytes());
        } else {
            shown.push(byte);
        }
    }
    Cow::Owned(shown)
}

/// Old character sets have no pictures.
fn with_question_marks(mut name: Vec<u8>) -> Vec<u8> {
    for byte in &mut name {
        if byte.is_ascii_control() {
            *byte = b'?';
        }
    }
    name
}

/// The control bytes that the pictures in `name` stand for; nothing if there is no picture.
fn without_pictures(name: &[u8]) -> Option<Vec<u8>> {
    // Every picture begins with these two bytes in UTF-8.
    if !name.windows(2).any(|pair| pair == [0xe2, 0x90]) {
        return None;
    }
    let mut bytes = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for letter in chunk.valid().chars() {
            let control = match letter {
                PICTURE_OF_DELETE => Some(0x7f),
                letter => u32::from(letter).checked_sub(PICTURES).filter(|&byte| byte < 0x20),
            };
            // NUL has a picture too, and no file has it in its name.
            match control.and_then(|byte| u8::try_from(byte).ok()).filter(|&byte| byte != 0) {
                Some(byte) => bytes.push(byte),
                None => bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        bytes.extend_from_slice(chunk.invalid());
    }
    (bytes != name).then_some(bytes)
}
