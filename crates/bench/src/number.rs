//! Conversions between number types; measured values are never near their limits.

pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;

/// A count as a figure. Above 2^53 the last digits are lost, which no figure shows.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "std has no other conversion, and figures have four digits"
)]
pub(crate) fn figure(count: u64) -> f64 {
    count as f64
}

/// The length of a list as a figure.
pub(crate) fn length(count: usize) -> f64 {
    figure(u64::try_from(count).unwrap_or(u64::MAX))
}

/// A count as a size in memory.
pub(crate) fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// `part` of `whole`; 0 if `whole` is 0.
pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
