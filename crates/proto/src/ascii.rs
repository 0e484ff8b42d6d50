//! Line ends of `TYPE A` (RFC 959 §3.1.1.1): LF in files, CR LF on the network.

use memchr::memchr;

/// Converts a file's text for the network, piece by piece: LF becomes CR LF.
///
/// A CR LF that is in the file stays as it is, so that text from Windows is not doubled. How the
/// input is cut into pieces makes no difference.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToNetwork {
    /// The piece before ended in CR.
    after_cr: bool,
}

impl ToNetwork {
    /// A converter at the start of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `input` converted to `out`; at most twice as many bytes.
    pub fn convert(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut rest = input;
        while let Some(at) = memchr(b'\n', rest) {
            let (before, from) = rest.split_at_checked(at).unwrap_or((rest, b""));
            out.extend_from_slice(before);
            let has_cr = before.last().map_or(self.after_cr, |&byte| byte == b'\r');
            out.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
            self.after_cr = false;
            rest = from.get(1..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
        self.after_cr = rest.last().map_or(self.after_cr, |&byte| byte == b'\r');
    }
}

/// Converts text from the network for a file, piece by piece: CR LF becomes LF.
///
/// A CR without LF stays. A CR at the end of a piece is held back until the next piece, or until
/// [`FromNetwork::finish`]. How the input is cut into pieces makes no difference.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromNetwork {
    holds_cr: bool,
}

impl FromNetwork {
    /// A converter at the start of a transfer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `input` converted to `out`; at most one byte more than `input` has.
    pub fn convert(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let Some(first) = input.first() else { return };
        if self.holds_cr && *first != b'\n' {
            out.push(b'\r');
        }
        self.holds_cr = false;
        let mut rest = input;
        while let Some(at) = memchr(b'\r', rest) {
            let (before, from) = rest.split_at_checked(at).unwrap_or((rest, b""));
            out.extend_from_slice(before);
            rest = from.get(1..).unwrap_or_default();
            match rest.first() {
                Some(b'\n') => {}
                Some(_) => out.push(b'\r'),
                None => self.holds_cr = true,
            }
        }
        out.extend_from_slice(rest);
    }

    /// Appends what was held back, at the end of the transfer.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.holds_cr {
            out.push(b'\r');
            self.holds_cr = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to_network<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let (mut converter, mut out) = (ToNetwork::new(), Vec::new());
        pieces.into_iter().for_each(|piece| converter.convert(piece, &mut out));
        out
    }

    fn from_network<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let (mut converter, mut out) = (FromNetwork::new(), Vec::new());
        pieces.into_iter().for_each(|piece| converter.convert(piece, &mut out));
        converter.finish(&mut out);
        out
    }

    #[test]
    fn line_feeds_get_a_carriage_return_once() {
        assert_eq!(to_network([&b"a\nb\r\nc\rd\n"[..]]), b"a\r\nb\r\nc\rd\r\n");
        assert_eq!(to_network([&b"\n\n"[..]]), b"\r\n\r\n");
        assert_eq!(to_network([&b"\r\r\n\n"[..]]), b"\r\r\n\r\n");
        assert_eq!(to_network([&b"a\r"[..], b"", b"\nb"]), b"a\r\nb");
    }

    #[test]
    fn only_a_whole_line_end_loses_its_carriage_return() {
        assert_eq!(from_network([&b"a\r\nb\nc\rd\r\r\n"[..]]), b"a\nb\nc\rd\r\n");
        assert_eq!(from_network([&b"a\r"[..], b"", b"\nb\r"]), b"a\nb\r");
        assert_eq!(from_network([&b"\r"[..], b"\r", b"\n"]), b"\r\n");
        assert_eq!(from_network([&b"a\r\0b"[..]]), b"a\r\0b");
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(&b"\r\n\na"[..]), 0..60)
    }

    proptest! {
        #[test]
        fn how_text_is_cut_makes_no_difference(text in text(), size in 1_usize..8) {
            let whole = text.as_slice();
            prop_assert_eq!(to_network(text.chunks(size)), to_network([whole]));
            prop_assert_eq!(from_network(text.chunks(size)), from_network([whole]));
        }

        #[test]
        fn both_agree_with_a_simple_reading(text in text()) {
            let string = String::from_utf8(text.clone()).unwrap();
            let plain = string.replace("\r\n", "\n");
            prop_assert_eq!(from_network([text.as_slice()]), plain.as_bytes());
            let network = plain.replace('\n', "\r\n");
            prop_assert_eq!(to_network([text.as_slice()]), network.as_bytes());
        }

        #[test]
        fn text_without_carriage_returns_makes_the_round_trip(mut text: Vec<u8>) {
            text.retain(|&byte| byte != b'\r');
            prop_assert_eq!(from_network([to_network([text.as_slice()]).as_slice()]), text);
        }
    }
}
