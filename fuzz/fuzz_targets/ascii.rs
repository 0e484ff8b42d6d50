//! Text conversion: splitting its input changes nothing, and only line ends change.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_proto::ascii::{FromNetwork, ToNetwork};

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let size = usize::from(size).max(1);
    let (mut to, mut from) = (ToNetwork::new(), FromNetwork::new());
    let (mut network, mut file) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(size) {
        to.convert(piece, &mut network);
        from.convert(piece, &mut file);
    }
    from.finish(&mut file);

    let mut plain = Vec::new();
    for (at, &byte) in bytes.iter().enumerate() {
        if byte != b'\r' || bytes.get(at + 1) != Some(&b'\n') {
            plain.push(byte);
        }
    }
    assert_eq!(file, plain);
    let mut back = Vec::new();
    let mut from = FromNetwork::new();
    network.chunks(size).for_each(|piece| from.convert(piece, &mut back));
    from.finish(&mut back);
    assert_eq!(back, plain);
    assert!(network.len() <= 2 * bytes.len() && file.len() <= bytes.len());
});
