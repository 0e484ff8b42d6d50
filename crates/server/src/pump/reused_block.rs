//! A block of memory in which data is received. It is used again once all of its data is stored, so
//! that a fast upload does not allocate, and the system does not clear, new memory for each piece.

use std::cell::RefCell;

use wharf_core::{Bytes, BytesMut};

/// The largest block: together with the copy of its data it stays in the cache of a processor.
pub(super) const BLOCK_BYTES: usize = 128 * 1024;
/// Less room than this is not worth a read.
const FREE_BYTES_MIN: usize = 4 * 1024;

thread_local! {
    /// The block of the last large upload on this thread, for the next one.
    static SPARE: RefCell<Option<BytesMut>> = const { RefCell::new(None) };
}

#[derive(Default)]
pub(super) struct ReusedBlock(BytesMut);

impl ReusedBlock {
    /// Makes room for a read, in a block of `size` bytes if a new one is needed. Returns the room.
    pub(super) fn prepare(&mut self, size: usize) -> usize {
        let left = self.0.capacity() - self.0.len();
        if left >= FREE_BYTES_MIN || self.0.try_reclaim(size) {
            return self.0.capacity() - self.0.len();
        }
        let spare = || SPARE.with_borrow_mut(Option::take);
        self.0 = if size < BLOCK_BYTES { None } else { spare() }
            .unwrap_or_else(|| BytesMut::with_capacity(size));
        self.0.capacity()
    }

    /// Where the next bytes are stored.
    pub(super) fn bytes(&mut self) -> &mut BytesMut {
        &mut self.0
    }

    /// The bytes that were received since the last call.
    pub(super) fn filled(&mut self) -> Bytes {
        self.0.split().freeze()
    }

    /// Whether the block has hardly any room left.
    pub(super) fn is_full(&self) -> bool {
        self.0.capacity() - self.0.len() < FREE_BYTES_MIN
    }
}

impl Drop for ReusedBlock {
    fn drop(&mut self) {
        if self.0.try_reclaim(BLOCK_BYTES) {
            let block = std::mem::take(&mut self.0);
            // At the end of the thread there is no next upload.
            let _ = SPARE.try_with(|spare| spare.replace(Some(block)));
        }
    }
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
        let place = receive(&mut block, BLOCK_BYTES, BLOCK_BYTES).as_ptr();
        drop(block);
        let mut small = ReusedBlock::default();
        assert_ne!(receive(&mut small, FREE_BYTES_MIN, 10).as_ptr(), place);
        let mut large = ReusedBlock::default();
        assert_eq!(receive(&mut large, BLOCK_BYTES, 10).as_ptr(), place);
        let kept = receive(&mut large, BLOCK_BYTES, 10);
        // Its data is not stored yet, so it cannot be used again.
        drop(large);
        let mut next = ReusedBlock::default();
        receive(&mut next, BLOCK_BYTES, BLOCK_BYTES);
        assert_eq!(kept, vec![7; 10]);
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
