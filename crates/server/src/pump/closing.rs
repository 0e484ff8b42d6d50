//! How an upload may end: with `close_notify`, or without it where something else shows that it is
//! whole.

/// What ended an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// TLS `close_notify`, or FIN where there is no TLS.
    Orderly,
    /// FIN alone under TLS, and [`EndRule`] accepts it. Never a reset.
    WithoutNotify,
}

/// When an upload over TLS may end by FIN alone, which anything on the way can send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndRule {
    /// The setting `tls.require_close_notify`.
    pub(crate) requires_close_notify: bool,
    /// Whether the bytes that come are the file as it is, from its beginning (TYPE I, MODE S, no
    /// REST): only then does ALLO count the same bytes.
    pub(crate) is_exact: bool,
    /// What ALLO said under this TLS for this transfer; none for 0, which says nothing.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_33_only_exactly_the_bytes_of_allo_stand_in_for_close_notify() {
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
