//! MODE Z: a data connection that carries a zlib stream (draft-preston-ftpext-deflate, RFC 1950).
//!
//! Compression is CPU-bound. Small blocks are compressed at once, others on blocking workers, so
//! that other clients of the reactor do not wait.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use wharf_core::Bytes;

use super::{INLINE_BYTES, TransferError, broken, run_blocking};
use crate::blocking_pool::BlockingPool;

/// Up to this size any ratio is accepted: empty disk images are legitimate files.
const RATIO_FREE_BYTES: u64 = 16 * 1024 * 1024;
/// Above it, an upload that decompresses to more than this many times its size is treated as a
/// decompression bomb: zlib reaches 1032 at most, and ordinary files stay far below.
const RATIO_MAX: u64 = 100;

/// Compresses a download.
pub(super) struct Compressor {
    deflate: Box<Compress>,
    /// Compressed data too small to be sent alone: the second of two small writes would wait until
    /// the first is acknowledged (Nagle).
    held: Vec<u8>,
}

impl Compressor {
    /// At a level from 0 (fast) to 9 (small).
    pub(super) fn new(level: u8) -> Self {
        let deflate = Box::new(Compress::new(Compression::new(level.into()), true));
        Self { deflate, held: Vec::new() }
    }

    /// Compresses the next piece. Returns the output so far, which may be empty.
    pub(super) async fn compress(
        self,
        piece: Bytes,
        blocking_pool: &BlockingPool,
    ) -> Result<(Self, Vec<u8>), TransferError> {
        run_blocking(piece.len(), blocking_pool, move || self.work(&piece, FlushCompress::None))
            .await
    }

    /// The output after the last piece.
    pub(super) fn finish(self) -> Result<Vec<u8>, TransferError> {
        Ok(self.work(&[], FlushCompress::Finish)?.1)
    }

    fn work(
        mut self,
        piece: &[u8],
        flush: FlushCompress,
    ) -> Result<(Self, Vec<u8>), TransferError> {
        let before = self.deflate.total_in();
        let mut out = std::mem::take(&mut self.held);
        out.reserve(piece.len() / 2 + 1024);
        loop {
            let taken = usize::try_from(self.deflate.total_in() - before).unwrap_or(usize::MAX);
            let rest = piece.get(taken..).unwrap_or_default();
            let status = self.deflate.compress_vec(rest, &mut out, flush).map_err(broken)?;
            let has_space = out.len() < out.capacity();
            if status == Status::StreamEnd {
                return Ok((self, out));
            }
            if has_space && flush == FlushCompress::None {
                if out.len() < INLINE_BYTES {
                    self.held = std::mem::take(&mut out);
                }
                return Ok((self, out));
            }
            out.reserve(piece.len() / 2 + 1024);
        }
    }
}

/// Decompresses an upload.
pub(super) struct Decompressor {
    inflate: Box<Decompress>,
    is_over: bool,
}

impl Decompressor {
    pub(super) fn new() -> Self {
        Self { inflate: Box::new(Decompress::new(true)), is_over: false }
    }

    /// Decompresses the beginning of `compressed` to `most` bytes at most. Returns the rest of
    /// `compressed` with it.
    pub(super) async fn decompress(
        self,
        compressed: Bytes,
        most: usize,
        blocking_pool: &BlockingPool,
    ) -> Result<Decompressed, TransferError> {
        run_blocking(most, blocking_pool, move || self.work(&compressed, most)).await
    }

    fn work(mut self, compressed: &Bytes, most: usize) -> Result<Decompressed, TransferError> {
        if self.is_over {
            return Err(TransferError::InvalidZlib("data after the end of the zlib stream"));
        }
        let (taken, given) = (self.inflate.total_in(), self.inflate.total_out());
        let mut piece = vec![0; most];
        let status = self
            .inflate
            .decompress(compressed, &mut piece, FlushDecompress::None)
            .map_err(|_| TransferError::InvalidZlib("invalid zlib stream"))?;
        let count = |from: u64, to: u64| usize::try_from(to - from).unwrap_or(usize::MAX);
        piece.truncate(count(given, self.inflate.total_out()));
        let rest = compressed.slice(count(taken, self.inflate.total_in()).min(compressed.len())..);
        self.is_over = status == Status::StreamEnd;
        if piece.is_empty() && rest.len() == compressed.len() && !compressed.is_empty() {
            return Err(TransferError::InvalidZlib("invalid zlib stream"));
        }
        if self.is_over && !rest.is_empty() {
            return Err(TransferError::InvalidZlib("data after the end of the zlib stream"));
        }
        if self.is_over_expanded() {
            return Err(TransferError::ExpansionLimit);
        }
        // If the output is full, more may follow although all input is consumed.
        let is_done = rest.is_empty() && piece.len() < most;
        let rest = (!is_done && !self.is_over).then_some(rest);
        Ok(Decompressed { decompressor: self, piece, rest })
    }

    fn is_over_expanded(&self) -> bool {
        let (taken, given) = (self.inflate.total_in(), self.inflate.total_out());
        given > RATIO_FREE_BYTES && given > taken.saturating_mul(RATIO_MAX)
    }

    /// At the end of the connection: checks that the zlib stream has ended. An empty stream is an
    /// empty file, as some clients send it.
    pub(super) fn finish(&self) -> Result<(), TransferError> {
        if self.is_over || self.inflate.total_in() == 0 {
            return Ok(());
        }
        Err(TransferError::InvalidZlib("incomplete zlib stream"))
    }
}

/// The result of decompression.
pub(super) struct Decompressed {
    pub(super) decompressor: Decompressor,
    pub(super) piece: Vec<u8>,
    /// Remaining input. It may be empty although more output follows.
    pub(super) rest: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::PIECE_BYTES;
    use super::*;
    use crate::net::Tcp;

    async fn compressed(content: &[u8], size: usize) -> Vec<u8> {
        let blocking_pool = BlockingPool::new(Arc::new(Tcp));
        let (mut compressor, mut out) = (Compressor::new(6), Vec::new());
        for piece in content.chunks(size) {
            let (back, more) =
                compressor.compress(Bytes::copy_from_slice(piece), &blocking_pool).await.unwrap();
            compressor = back;
            out.extend(more);
        }
        out.extend(compressor.finish().unwrap());
        out
    }

    async fn decompressed(compressed: &[u8], size: usize) -> Result<Vec<u8>, TransferError> {
        let blocking_pool = BlockingPool::new(Arc::new(Tcp));
        let (mut decompressor, mut out) = (Decompressor::new(), Vec::new());
        for piece in compressed.chunks(size) {
            let (piece, most) = (Bytes::copy_from_slice(piece), INLINE_BYTES);
            let mut step = decompressor.decompress(piece, most, &blocking_pool).await?;
            out.extend_from_slice(&step.piece);
            while let Some(rest) = step.rest {
                step = step.decompressor.decompress(rest, PIECE_BYTES, &blocking_pool).await?;
                assert!(step.piece.len() <= PIECE_BYTES);
                out.extend_from_slice(&step.piece);
            }
            decompressor = step.decompressor;
        }
        decompressor.finish()?;
        Ok(out)
    }

    fn content(len: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..len).map(|at| if at % 3 == 0 { next() } else { b'x' }).collect()
    }

    #[tokio::test]
    async fn row_16_compressed_data_is_decompressed_in_pieces_of_any_size() {
        for len in [0, 1, 1000, PIECE_BYTES, 3 * PIECE_BYTES + 7] {
            let content = content(len);
            for size in [1024, 100_000, PIECE_BYTES] {
                let compressed = compressed(&content, size).await;
                assert!(len < 1000 || compressed.len() < len);
                for size in [777, INLINE_BYTES, PIECE_BYTES] {
                    assert!(
                        decompressed(&compressed, size).await.unwrap() == content,
                        "{len} {size}"
                    );
                }
            }
        }
        let small = compressed(&content(300), 300).await;
        assert!(decompressed(&small, 1).await.unwrap() == content(300));
    }

    #[tokio::test]
    async fn row_16_a_zlib_stream_without_its_end_is_cut_and_so_is_a_damaged_one() {
        let whole = compressed(&content(100_000), PIECE_BYTES).await;
        for len in [1, 2, whole.len() / 2, whole.len() - 4, whole.len() - 1] {
            let cut = decompressed(&whole[..len], 5000).await;
            assert!(matches!(cut, Err(TransferError::InvalidZlib(_))), "{len}");
        }
        for at in [0, 1, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            assert!(
                matches!(decompressed(&damaged, 5000).await, Err(TransferError::InvalidZlib(_))),
                "{at}"
            );
        }
        for more in [vec![0], b"DELE a".to_vec(), whole.clone()] {
            let longer = [whole.clone(), more].concat();
            assert!(matches!(
                decompressed(&longer, 5000).await,
                Err(TransferError::InvalidZlib(_))
            ));
            assert!(matches!(
                decompressed(&longer, longer.len()).await,
                Err(TransferError::InvalidZlib(_))
            ));
        }
        assert!(decompressed(b"", 1).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn row_16_a_bomb_is_cut_and_a_small_one_is_a_file() {
        let free = usize::try_from(RATIO_FREE_BYTES).unwrap();
        let zeros = vec![0; free];
        assert!(
            decompressed(&compressed(&zeros, PIECE_BYTES).await, PIECE_BYTES).await.unwrap()
                == zeros
        );
        let bomb = compressed(&vec![0; 2 * free], PIECE_BYTES).await;
        for size in [1, INLINE_BYTES, PIECE_BYTES] {
            assert!(
                matches!(decompressed(&bomb, size).await, Err(TransferError::ExpansionLimit)),
                "{size}"
            );
        }
        let honest = content(2 * free);
        assert!(
            decompressed(&compressed(&honest, PIECE_BYTES).await, PIECE_BYTES).await.unwrap()
                == honest
        );
    }

    mod arbitrary {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn row_16_no_bytes_make_unpacking_fall(bytes: Vec<u8>, has_header: bool) {
                let bytes = if has_header { [&[0x78, 0x9c], &bytes[..]].concat() } else { bytes };
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let _ = runtime.block_on(decompressed(&bytes, 50));
            }
        }
    }
}
