//! Numbers that look random: the same seed gives the same ones on every system.

/// A small generator (`SplitMix64`), for test content and choices in tests; never for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that starts at `seed`. Adjacent seeds give unrelated numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number().checked_rem(end).unwrap_or(0)
    }

    /// An index below `end`; 0 if `end` is 0.
    pub fn index(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(self.below(end)).unwrap_or(0)
    }

    /// An index below `end`, each order of magnitude with equal probability: small ones are
    /// frequent.
    pub fn small_index(&mut self, end: usize) -> usize {
        let bits = usize::try_from(usize::BITS - end.leading_zeros()).unwrap_or(0);
        let shift = u32::try_from(self.index(bits + 1)).unwrap_or(0);
        self.index((end >> shift.min(usize::BITS - 1)).max(1))
    }

    /// A number from `first` to `last`, both included.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first).saturating_add(1))
    }

    /// Like `between`, for sizes.
    pub fn size(&mut self, first: usize, last: usize) -> usize {
        let wide = |size| u64::try_from(size).unwrap_or(u64::MAX);
        usize::try_from(self.between(wide(first), wide(last))).unwrap_or(first)
    }

    /// Returns true with probability `times` / `of`.
    pub fn chance(&mut self, times: u64, of: u64) -> bool {
        self.below(of) < times
    }

    /// Returns true once in `times` times on average.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A random element.
    ///
    /// # Panics
    /// If the slice is empty.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let at = self.index(choices.len());
        choices.get(at).expect("the slice is not empty")
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            let number = self.number().to_le_bytes();
            piece.iter_mut().zip(number).for_each(|(to, from)| *to = from);
        }
    }

    /// An independent generator, seeded from this one.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_numbers() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| random.between(3, 9)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        assert!(numbers(7).iter().all(|number| (3..=9).contains(number)));
        assert_eq!(Random::new(0).number(), 0xe220_a839_7b1d_cdaf);
    }
    #[test]
    fn indices_stay_below_the_end() {
        let mut random = Random::new(7);
        for end in [1, 2, 10, 1 << 20] {
            assert!(random.index(end) < end);
            assert!(random.small_index(end) < end);
        }
        assert_eq!((random.below(0), random.index(0)), (0, 0));
        assert!((0..7).all(|number| (0..100).any(|_| random.below(7) == number)));
    }
}
