//! Blocks of memory in which data is received. They are used again once all of their data is
//! stored, so that a fast upload does not allocate, and the system does not clear, new memory for
//! each piece.

use std::cell::RefCell;

use wharf_core::{Bytes, BytesMut};

/// The largest block: together with the copy of its data it stays in the cache of a processor.
pub(super) const BLOCK_BYTES: usize = 128 * 1024;
/// Smaller blocks are not kept: the allocator has them at hand.
const LARGE_BYTES_MIN: usize = 64 * 1024;
/// Blocks that a thread keeps. An upload alternates between two.
const REUSABLE_MAX: usize = 4;
/// Less room than this is not worth a read.
const FREE_BYTES_MIN: usize = 4 * 1024;

thread_local! {
    /// Large blocks of uploads on this thread, for the next ones. Bytes of some may still wait to
    /// be stored.
    static REUSABLE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
pub(super) struct ReusedBlock {
    bytes: BytesMut,
    /// Whether the block is to be kept.
    is_large: bool,
}

impl ReusedBlock {
    /// Makes room for a read, in a block of at least `size` bytes if another one is needed. Returns
    /// the room.
    pub(super) fn prepare(&mut self, size: usize) -> usize {
        let left = self.bytes.capacity() - self.bytes.len();
        if left >= FREE_BYTES_MIN || self.bytes.try_reclaim(size) {
            return self.bytes.capacity() - self.bytes.len();
        }
        self.keep();
        self.is_large = size >= LARGE_BYTES_MIN;
        self.bytes = if self.is_large {
            reusable().unwrap_or_else(|| BytesMut::with_capacity(BLOCK_BYTES))
        } else {
            BytesMut::with_capacity(size)
        };
        self.bytes.capacity()
    }

    /// Keeps the block for another upload.
    fn keep(&mut self) {
        let block = std::mem::take(&mut self.bytes);
        if self.is_large {
            // At the end of the thread there is no next upload.
            let _ = REUSABLE.try_with(|reusable| {
                let mut reusable = reusable.borrow_mut();
                if reusable.len() < REUSABLE_MAX {
                    reusable.push(block);
                }
            });
        }
    }

    /// Where the next bytes are stored.
    pub(super) fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// The bytes that were received since the last call.
    pub(super) fn filled(&mut self) -> Bytes {
        self.bytes.split().freeze()
    }

    /// Whether the block has hardly any room left.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.capacity() - self.bytes.len() < FREE_BYTES_MIN
    }
}

impl Drop for ReusedBlock {
    fn drop(&mut self) {
        self.keep();
    }
}

/// A kept block of which all data is stored.
fn reusable() -> Option<BytesMut> {
    REUSABLE.with_borrow_mut(|reusable| {
        let free = reusable.iter_mut().position(|block| block.try_reclaim(BLOCK_BYTES))?;
        Some(reusable.swap_remove(free))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(block: &mut ReusedBlock, size: usize, bytes: usize) -> Bytes {
        assert!(block.prepare(size) >= bytes);
        block.bytes().extend_from_slice(&vec![7; bytes]);
        block.filled()
    }

    #[test]
    fn a_block_is_used_again_once_its_data_is_stored() {
        let mut block = ReusedBlock::default();
        let first = receive(&mut block, BLOCK_BYTES, BLOCK_BYTES);
        assert!(block.is_full());
        let place = first.as_ptr();
        // Still in use: another block.
        let second = receive(&mut block, BLOCK_BYTES, BLOCK_BYTES);
        assert_ne!(second.as_ptr(), place);
        assert_eq!(first, second);
        let place = second.as_ptr();
        drop(second);
        assert_eq!(receive(&mut block, BLOCK_BYTES, 10).as_ptr(), place);
    }

    #[test]
    fn the_next_upload_on_a_thread_uses_the_block_of_the_last_one() {
        let mut block = ReusedBlock::default();
        let last = receive(&mut block, BLOCK_BYTES, BLOCK_BYTES - 1);
        let place = last.as_ptr();
        // The last bytes are stored after the end of the data.
        drop(block);
        drop(last);
        let mut small = ReusedBlock::default();
        assert_ne!(receive(&mut small, FREE_BYTES_MIN, 10).as_ptr(), place);
        let mut large = ReusedBlock::default();
        assert_eq!(receive(&mut large, LARGE_BYTES_MIN, 10).as_ptr(), place);
        let reusable = receive(&mut large, BLOCK_BYTES, 10);
        // Its data is not stored yet, so it cannot be used again.
        drop(large);
        let mut next = ReusedBlock::default();
        receive(&mut next, BLOCK_BYTES, BLOCK_BYTES);
        assert_eq!(reusable, vec![7; 10]);
    }

    #[test]
    fn an_upload_alternates_between_two_blocks() {
        let mut block = ReusedBlock::default();
        let mut last = receive(&mut block, BLOCK_BYTES, BLOCK_BYTES);
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..8 {
            places.insert(last.as_ptr());
            // The last piece is stored after the next one was received.
            last = receive(&mut block, BLOCK_BYTES, BLOCK_BYTES);
        }
        assert_eq!(places.len(), 2);
    }

    #[test]
    fn pieces_share_a_block_while_it_has_free_bytes() {
        let mut block = ReusedBlock::default();
        let first = receive(&mut block, BLOCK_BYTES, 100);
        let second = receive(&mut block, BLOCK_BYTES, 100);
        assert_eq!(second.as_ptr(), first.as_ptr().wrapping_add(100));
        assert!(!block.is_full());
    }
}
