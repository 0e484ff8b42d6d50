//! The content of test files: pseudorandom bytes with a long period.

use std::sync::Arc;

use crate::random::Random;

/// Pseudorandom bytes that do not compress: the same `PERIOD` bytes over and over.
///
/// The period is 1021 pages of 4 KiB. 1021 is a prime number, so a block that a server puts in the
/// wrong place differs from what should be there.
#[derive(Clone, Debug)]
pub struct Pattern(Arc<[u8]>);

impl Pattern {
    /// Makes the bytes; takes a few milliseconds.
    pub fn new() -> Self {
        let mut random = Random::new(SEED);
        let mut bytes = Vec::with_capacity(PERIOD);
        while bytes.len() < PERIOD {
            bytes.extend_from_slice(&random.number().to_le_bytes());
        }
        Self(bytes.into())
    }

    /// The content from `at` on, up to the end of the period: at least 1 byte.
    pub fn at(&self, at: u64) -> &[u8] {
        let period = u64::try_from(PERIOD).unwrap_or(u64::MAX);
        let start = usize::try_from(at % period).unwrap_or_default();
        self.0.get(start..).unwrap_or_default()
    }

    /// Writes the content of a file of this length.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl std::io::Write, length: u64) -> std::io::Result<()> {
        let mut at = 0;
        while at < length {
            let piece = upto(self.at(at), length - at);
            out.write_all(piece)?;
            at += len(piece);
        }
        Ok(())
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::new()
    }
}

const PERIOD: usize = 1021 * 4096;
const SEED: u64 = 1;

/// The beginning of `bytes`, at most `most` of them.
pub(crate) fn upto(bytes: &[u8], most: u64) -> &[u8] {
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(..most).unwrap_or_default()
}

/// The length of `bytes` as a file size.
pub(crate) fn len(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_repeats_after_its_period() {
        let pattern = Pattern::new();
        let mut file = Vec::new();
        pattern.write(&mut file, len(&pattern.0) + 10).unwrap();
        assert_eq!(file.len(), PERIOD + 10);
        assert_eq!(file[PERIOD..], file[..10]);
        assert_eq!(pattern.at(len(&file)), &file[10..PERIOD]);
    }

    #[test]
    fn blocks_of_one_size_differ_from_each_other() {
        let pattern = Pattern::new();
        for block in [512, 4096, 16_384, 65_536, 1 << 20] {
            assert_ne!(pattern.at(0)[..512], pattern.at(block)[..512], "{block}");
        }
    }
}
