//! Reproducible pseudorandom numbers (splitmix64).

/// A pseudorandom number generator.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Another generator, independent of how much is taken from this one later.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// From 0 to below `end`; 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    /// True once in `times` times on average.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }

    /// Below `end`, each order of magnitude with equal probability: small values are frequent.
    pub(crate) fn skewed_below(&mut self, end: usize) -> usize {
        let bits = usize::try_from(usize::BITS - end.leading_zeros()).unwrap_or(0);
        let shift = u32::try_from(self.below(bits + 1)).unwrap_or(0);
        self.below((end >> shift.min(usize::BITS - 1)).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_below_the_end() {
        let (mut one, mut other) = (Random::new(7), Random::new(7));
        for end in [1, 2, 10, 1 << 20] {
            let number = one.below(end);
            assert_eq!(number, other.below(end));
            assert!(number < end);
            assert!(one.skewed_below(end) < end);
            assert!(other.skewed_below(end) < end);
        }
        assert_eq!(one.below(0), 0);
    }
}
