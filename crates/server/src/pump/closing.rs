//! How an upload may end: with `close_notify`, or without it where something else shows that it is
//! complete.

use rustls::ServerConnection;

/// The buffer of rustls for incomplete records: the largest record of TLS 1.2 (RFC 5246 §6.2.3)
/// with its header.
const RECORD_BYTES_MAX: usize = 16_384 + 2048 + 5;

/// How an upload ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Closing {
    /// TLS `close_notify`, or FIN where there is no TLS.
    #[default]
    Orderly,
    /// FIN alone under TLS, and [`EndRule`] accepts it. Never a reset.
    WithoutNotify,
}

/// When an upload over TLS may end by FIN alone, which anything on the network path can send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndRule {
    /// The setting `tls.require_close_notify`.
    pub(crate) requires_close_notify: bool,
    /// Whether the bytes that come are the file as it is, from its beginning (TYPE I, MODE S, no
    /// REST): only then does ALLO count the same bytes.
    pub(crate) is_exact: bool,
    /// The size that ALLO announced for this transfer under the same TLS; none for 0, which has no
    /// meaning.
    pub(crate) allo: Option<u64>,
}

impl EndRule {
    /// Whether FIN is enough after so many bytes. Without any byte more must hold, which only the
    /// target shows: see `transfer`.
    pub(crate) fn accepts(&self, received: u64) -> bool {
        let stated = match received {
            0 => self.allo.is_none(),
            bytes => self.allo == Some(bytes),
        };
        !self.requires_close_notify || self.is_exact && stated
    }
}

/// Whether a connection that the peer has ended by FIN ended between two records; in the middle of
/// one, more was on its way. Nothing can be read from it afterwards.
///
/// rustls does not show whether it holds a part of a record. But its room for records is limited,
/// and a part takes some of that.
pub(super) fn ended_between_records(tls: &mut ServerConnection) -> bool {
    let mut taken = 0;
    while taken < RECORD_BYTES_MAX
        && let Ok(more @ 1..) = tls.read_tls(&mut std::io::repeat(0))
    {
        taken += more;
    }
    taken == RECORD_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_33_only_exactly_the_bytes_of_allo_replace_close_notify() {
        let rule = EndRule { requires_close_notify: true, is_exact: true, allo: Some(5) };
        let accepted: Vec<_> = (0..8).filter(|bytes| rule.accepts(*bytes)).collect();
        assert_eq!(accepted, [5]);
        let silent = EndRule { allo: None, ..rule };
        assert!(silent.accepts(0) && !silent.accepts(1));
        let inexact = EndRule { is_exact: false, ..rule };
        assert!(!inexact.accepts(5) && !EndRule { allo: None, ..inexact }.accepts(0));
        let lenient = EndRule { requires_close_notify: false, ..inexact };
        assert!(lenient.accepts(0) && lenient.accepts(3) && lenient.accepts(5));
    }
}
