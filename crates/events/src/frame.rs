//! Messages between the server and the process that starts programs: lists of byte strings.
//!
//! `total length | length | bytes | length | bytes …`; each length has four bytes, little-endian.

use std::io::{self, Read, Write};

/// The longest frame; an event with two long paths is far shorter.
const FRAME_BYTES_MAX: usize = 1 << 20;
/// The most parts of one frame.
const PARTS_MAX: usize = 512;

/// Writes one frame in one call.
pub(crate) fn write(to: &mut impl Write, parts: &[&[u8]]) -> io::Result<()> {
    let mut frame = vec![0; 4];
    for part in parts {
        frame.extend_from_slice(&length(part.len())?.to_le_bytes());
        frame.extend_from_slice(part);
    }
    let bytes = frame.len().saturating_sub(4);
    if bytes > FRAME_BYTES_MAX || parts.len() > PARTS_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the event is too large"));
    }
    let (head, _) = frame.split_at_mut(4);
    head.copy_from_slice(&length(bytes)?.to_le_bytes());
    to.write_all(&frame)?;
    to.flush()
}

/// Reads one frame; `None` at the end of the stream, between two frames.
pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Vec<Vec<u8>>>> {
    let mut head = [0; 4];
    let mut got = 0;
    while got < head.len() {
        let Some(rest) = head.get_mut(got..) else { break };
        match from.read(rest) {
            Ok(0) if got == 0 => return Ok(None),
            Ok(0) => return Err(broken()),
            Ok(count) => got += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let bytes = number(head)?;
    if bytes > FRAME_BYTES_MAX {
        return Err(broken());
    }
    let mut frame = vec![0; bytes];
    from.read_exact(&mut frame)?;
    let mut rest = frame.as_slice();
    let mut parts = Vec::new();
    while !rest.is_empty() && parts.len() < PARTS_MAX {
        let (head, behind) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
        let (part, behind) = behind.split_at_checked(number(*head)?).ok_or_else(broken)?;
        parts.push(part.to_vec());
        rest = behind;
    }
    if rest.is_empty() { Ok(Some(parts)) } else { Err(broken()) }
}

fn length(bytes: usize) -> io::Result<u32> {
    u32::try_from(bytes).map_err(io::Error::other)
}

fn number(bytes: [u8; 4]) -> io::Result<usize> {
    usize::try_from(u32::from_le_bytes(bytes)).map_err(io::Error::other)
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "invalid frame")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_read_back(
            frames in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
                0..5,
            ),
        ) {
            let mut bytes = Vec::new();
            for frame in &frames {
                let parts: Vec<&[u8]> = frame.iter().map(Vec::as_slice).collect();
                write(&mut bytes, &parts).unwrap();
            }
            let mut from = bytes.as_slice();
            for frame in &frames {
                prop_assert_eq!(&read(&mut from).unwrap().unwrap(), frame);
            }
            prop_assert_eq!(read(&mut from).unwrap(), None);
        }

        #[test]
        fn anything_else_is_an_error_and_never_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut from = bytes.as_slice();
            while let Ok(Some(_)) = read(&mut from) {}
        }
    }

    #[test]
    fn too_large_frames_are_rejected_on_both_ends() {
        let large = vec![0; FRAME_BYTES_MAX];
        assert!(write(&mut Vec::new(), &[&large]).is_err());
        assert!(read(&mut &u32::MAX.to_le_bytes()[..]).is_err());
    }
}
