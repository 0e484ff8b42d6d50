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
