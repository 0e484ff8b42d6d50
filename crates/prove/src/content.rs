//! Distinguishable contents of files: pieces of one pool of random bytes.

use std::ops::Range;
use std::sync::Arc;

use wharf_load::Random;

/// Random bytes, made once. All contents consist of pieces of it, so thousands of contents cost
/// nothing, and no two contents above a certain length are equal.
#[derive(Clone, Debug)]
pub(crate) struct ContentPool(Arc<[u8]>);

/// The whole content of a file: these pieces of the pool, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PooledContent(Vec<Range<usize>>);

/// The size of the pool; no content made of one piece is longer.
pub(crate) const POOL_BYTES: usize = 8 << 20;

impl ContentPool {
    pub(crate) fn new() -> Self {
        let mut random = Random::new(POOL_SEED);
        let mut bytes = Vec::with_capacity(POOL_BYTES);
        while bytes.len() < POOL_BYTES {
            bytes.extend_from_slice(&random.number().to_le_bytes());
        }
        Self(bytes.into())
    }

    /// A content of this length, from a random place.
    pub(crate) fn piece(&self, random: &mut Random, length: usize) -> PooledContent {
        let length = length.min(self.0.len());
        let start = random.index(self.0.len() - length + 1);
        PooledContent(std::iter::once(start..start + length).collect())
    }

    /// The bytes of a content.
    pub(crate) fn bytes(&self, content: &PooledContent) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(content.len());
        for range in &content.0 {
            bytes.extend_from_slice(self.0.get(range.clone()).unwrap_or_default());
        }
        bytes
    }

    /// Whether these bytes are that content.
    pub(crate) fn is(&self, content: &PooledContent, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        for range in &content.0 {
            let Some(piece) = self.0.get(range.clone()) else { return false };
            let Some(behind) = rest.strip_prefix(piece) else { return false };
            rest = behind;
        }
        rest.is_empty()
    }
}

impl PooledContent {
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(Range::len).sum()
    }

    /// The beginning of this content.
    pub(crate) fn first(&self, length: usize) -> Self {
        let mut left = length;
        let mut pieces = Vec::new();
        for range in &self.0 {
            let take = range.len().min(left);
            left -= take;
            pieces.push(range.start..range.start + take);
        }
        Self(pieces)
    }

    /// This content followed by another.
    pub(crate) fn with(&self, more: &Self) -> Self {
        Self([self.0.as_slice(), more.0.as_slice()].concat())
    }
}

const POOL_SEED: u64 = 0x0070_6965_7273; // "piers"

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_matches_only_itself() {
        let (pool, mut random) = (ContentPool::new(), Random::new(1));
        let (one, two) = (pool.piece(&mut random, 1000), pool.piece(&mut random, 1000));
        let both = one.with(&two);
        let bytes = pool.bytes(&both);
        assert_eq!(bytes.len(), both.len());
        assert!(pool.is(&both, &bytes));
        assert!(!pool.is(&both, &bytes[..1999]));
        assert!(!pool.is(&one, &bytes));
        assert!(!pool.is(&two, &pool.bytes(&one)));
        assert!(pool.is(&both.first(1500), &bytes[..1500]));
    }
}
