//! Character sets, at the two edges where names go over the wire.
//!
//! Inside, a name is the bytes on disk, UTF-8 in all but old file systems. A session begins with
//! UTF-8 (RFC 2640) and, where settings allow, goes over to an old character set once its client
//! shows that it does not know UTF-8. Every name that a listing shows can be sent back and finds
//! the same file, also one that is no text at all.

use std::borrow::Cow;

use encoding_rs::Encoding as Charset;

use crate::settings::{Backslash, Encoding, Names as NamesSettings};

/// U+2400: the pictures of the control bytes 0 to 0x1f begin here.
const PICTURES: u32 = 0x2400;
/// U+2421: the picture of DEL.
const PICTURE_OF_DELETE: char = '\u{2421}';

/// How this session spells names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    spelling: Spelling,
    is_pinned: bool,
    legacy: &'static Charset,
    backslash: Backslash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    Utf8,
    Legacy,
}

/// What the bytes after a command may mean as a path, most literal first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Readings {
    /// Each is tried in turn; the first that exists is meant.
    pub(crate) tried: Vec<Vec<u8>>,
    /// What is meant when none of them exists.
    pub(crate) otherwise: Vec<u8>,
    /// Whether choosing `otherwise` shows that the client speaks the legacy set.
    pub(crate) shows_legacy: bool,
}

impl Names {
    pub(crate) fn new(settings: &NamesSettings) -> Self {
        Self {
            spelling: match settings.encoding {
                Encoding::Auto | Encoding::Utf8 => Spelling::Utf8,
                Encoding::Legacy => Spelling::Legacy,
            },
            is_pinned: settings.encoding != Encoding::Auto,
            legacy: settings.legacy,
            backslash: settings.backslash,
        }
    }

    /// The name of the set in use, for STAT and replies.
    pub(crate) fn charset(&self) -> &'static str {
        match self.spelling {
            Spelling::Utf8 => "UTF-8",
            Spelling::Legacy => self.legacy.name(),
        }
    }

    /// Whether FEAT may name UTF8.
    pub(crate) fn offers_utf8(&self) -> bool {
        !(self.is_pinned && self.spelling == Spelling::Legacy)
    }

    /// OPTS UTF8 ON or OFF; `false` if the set is pinned to the other.
    pub(crate) fn choose_utf8(&mut self, is_on: bool) -> bool {
        let wanted = if is_on { Spelling::Utf8 } else { Spelling::Legacy };
        if self.is_pinned {
            return self.spelling == wanted;
        }
        self.spelling = wanted;
        true
    }

    /// From now on this client speaks the legacy set.
    pub(crate) fn go_legacy(&mut self) {
        if !self.is_pinned {
            self.spelling = Spelling::Legacy;
        }
    }

    /// What `typed` may mean. One reading is the usual case and costs no look at the disk.
    pub(crate) fn readings(&self, typed: &[u8]) -> Readings {
        let mut shows_legacy = false;
        let meant = match (self.spelling, std::str::from_utf8(typed)) {
            (Spelling::Utf8, Err(_)) if !self.is_pinned => {
                let decoded = self.decoded(typed);
                shows_legacy = decoded.is_some();
                decoded
            }
            (Spelling::Utf8, _) => None,
            (Spelling::Legacy, _) => self.decoded(typed),
        };
        let mut tried = Vec::new();
        if shows_legacy {
            // Listed as it stands on disk, this name came back as it stands on disk.
            tried.push(typed.to_vec());
        }
        let meant = meant.unwrap_or_else(|| typed.to_vec());
        let unpictured = without_pictures(&meant);
        let slashed = self.slashed(&meant);
        let otherwise = slashed.clone().unwrap_or_else(|| meant.clone());
        if self.backslash != Backslash::Slash || slashed.is_none() {
            tried.push(meant);
        }
        tried.extend(slashed);
        tried.extend(unpictured);
        if self.spelling == Spelling::Legacy && !tried.iter().any(|known| known == typed) {
            tried.push(typed.to_vec());
        }
        Readings { tried, otherwise, shows_legacy }
    }

    /// A user name or other plain text from the client.
    pub(crate) fn text(&self, typed: &[u8]) -> String {
        match (self.spelling, std::str::from_utf8(typed)) {
            (Spelling::Utf8, Ok(text)) => text.to_owned(),
            _ => String::from_utf8(self.decoded(typed).unwrap_or_else(|| typed.to_vec()))
                .unwrap_or_else(|error| wharf_proto::path::escaped(error.as_bytes())),
        }
    }

    /// A name, or text that holds names, as this client is to see it: in its character set where
    /// that has all the letters, else as it is. Control bytes become their pictures, so that no
    /// name can forge a line.
    pub(crate) fn wire(self, name: &[u8]) -> Cow<'_, [u8]> {
        if self.spelling == Spelling::Utf8 || name.is_ascii() {
            return with_pictures(name);
        }
        let Ok(text) = std::str::from_utf8(name) else { return with_pictures(name) };
        match self.legacy.encode(text) {
            (bytes, _, false) => Cow::Owned(with_question_marks(bytes.into_owned())),
            (_, _, true) => with_pictures(name),
        }
    }

    /// From the legacy set to UTF-8; nothing if the bytes are not of that set.
    fn decoded(&self, typed: &[u8]) -> Option<Vec<u8>> {
        let text = self.legacy.decode_without_bom_handling_and_without_replacement(typed)?;
        Some(text.into_owned().into_bytes())
    }

    fn slashed(&self, name: &[u8]) -> Option<Vec<u8>> {
        if self.backslash == Backslash::Literal || !name.contains(&b'\\') {
            return None;
        }
        Some(name.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect())
    }
}

fn with_pictures(name: &[u8]) -> Cow<'_, [u8]> {
    // Without a way out of the loop, many bytes are looked at in one step: this is done for every
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(encoding: Encoding) -> Names {
        Names::new(&NamesSettings {
            encoding,
            legacy: encoding_rs::GBK,
            backslash: Backslash::Auto,
            ..NamesSettings::default()
        })
    }

    const GBK_ZHONG: &[u8] = &[0xd6, 0xd0];

    #[test]
    fn utf8_is_read_as_it_is_and_once() {
        let readings = names(Encoding::Auto).readings("中".as_bytes());
        assert_eq!(readings.tried, ["中".as_bytes()]);
        assert!(!readings.shows_legacy);
    }

    #[test]
    fn bytes_that_are_not_utf8_show_a_legacy_client() {
        let mut names = names(Encoding::Auto);
        let readings = names.readings(GBK_ZHONG);
        assert_eq!(readings.tried, [GBK_ZHONG, "中".as_bytes()]);
        assert_eq!(readings.otherwise, "中".as_bytes());
        assert!(readings.shows_legacy);
        names.go_legacy();
        assert_eq!(names.wire("中".as_bytes()), GBK_ZHONG);
        assert_eq!(names.charset(), "GBK");
    }

    #[test]
    fn a_pin_holds() {
        let mut utf8 = names(Encoding::Utf8);
        assert_eq!(utf8.readings(GBK_ZHONG).otherwise, GBK_ZHONG);
        assert!(!utf8.choose_utf8(false));
        let mut legacy = names(Encoding::Legacy);
        assert_eq!(legacy.readings(GBK_ZHONG).otherwise, "中".as_bytes());
        assert!(!legacy.offers_utf8());
        assert!(!legacy.choose_utf8(true));
        assert_eq!(legacy.charset(), "GBK");
    }

    #[test]
    fn letters_outside_the_legacy_set_go_out_as_they_are_and_come_back() {
        let legacy = names(Encoding::Legacy);
        let name = "naïve😀".as_bytes();
        assert_eq!(legacy.wire(name), name);
        assert!(legacy.readings(name).tried.iter().any(|tried| tried == name));
    }

    #[test]
    fn control_bytes_become_pictures_and_come_back() {
        let names = names(Encoding::Auto);
        let shown = names.wire(b"a\nb\x7f").into_owned();
        assert_eq!(shown, "a␊b␡".as_bytes());
        assert!(names.readings(&shown).tried.contains(&b"a\nb\x7f".to_vec()));
    }

    #[test]
    fn a_backslash_is_a_slash_unless_the_name_exists() {
        let readings = names(Encoding::Auto).readings(b"dir\\file");
        assert_eq!(readings.tried, [b"dir\\file".to_vec(), b"dir/file".to_vec()]);
        assert_eq!(readings.otherwise, b"dir/file");
    }

    #[test]
    fn the_backslash_within_a_gbk_letter_is_no_slash() {
        // U+8A95 is 0xD5 0x5C in GBK: its second byte is that of a backslash.
        let readings = names(Encoding::Legacy).readings(&[0xd5, 0x5c]);
        assert!(!readings.otherwise.contains(&b'/'));
        assert!(std::str::from_utf8(&readings.otherwise).is_ok());
    }
}
