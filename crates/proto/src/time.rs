//! Moments as FTP writes them (RFC 3659 §2.3).

/// A moment in UTC, as seconds since 1970-01-01 00:00:00 and a fraction.
///
/// `seconds` may be negative; `nanos` is always below 1,000,000,000 and counts forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds since the epoch, leap seconds not counted.
    pub seconds: i64,
    /// The fraction, in billionths of a second.
    pub nanos: u32,
}
