//! Numbers that look random and are the same each time.

/// Xorshift with 64 bits (Marsaglia 2003): not secret, but fast, with a period of 2^64 - 1.
#[derive(Clone, Debug)]
pub(crate) struct Xorshift(u64);

impl Xorshift {
    /// Starts with `seed`. Zero would be followed by zeros only, so another number takes its place.
    pub(crate) fn new(seed: u64) -> Self {
        Self(if seed == 0 { SEED } else { seed })
    }

    /// The next number; never 0.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`; 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or_default()
    }
}

/// The golden ratio in 64 bits: about as many ones as zeros.
pub(crate) const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_the_seed_and_stay_below_the_end() {
        let numbers = |seed| {
            let mut random = Xorshift::new(seed);
            (0..100).map(|_| random.below(7)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        assert_eq!(numbers(0), numbers(SEED));
        assert!((0..7).all(|number| numbers(1).contains(&number)));
        assert!(numbers(1).iter().all(|number| *number < 7));
        assert_eq!(Xorshift::new(3).below(0), 0);
    }
}
