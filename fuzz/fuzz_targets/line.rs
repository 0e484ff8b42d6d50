//! The line decoder: cutting its input changes nothing, and no line passes the cap.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_proto::line::{LineDecoder, LineTooLong};

type Lines = Vec<Result<Vec<u8>, LineTooLong>>;

fn drain(decoder: &mut LineDecoder, lines: &mut Lines) {
    lines.extend(std::iter::from_fn(|| decoder.next_line()));
}

fuzz_target!(|input: (u8, Vec<u8>, &[u8])| {
    let (max, cuts, bytes) = input;
    let mut whole = Lines::new();
    let mut one = LineDecoder::new(max.into());
    one.feed(bytes);
    drain(&mut one, &mut whole);

    let mut pieces = Lines::new();
    let mut many = LineDecoder::new(max.into());
    let mut rest = bytes;
    for cut in cuts {
        let (piece, behind) = rest.split_at(usize::from(cut).min(rest.len()));
        many.feed(piece);
        drain(&mut many, &mut pieces);
        rest = behind;
    }
    many.feed(rest);
    drain(&mut many, &mut pieces);

    assert_eq!(whole, pieces);
    assert_eq!(one.has_buffered(), many.has_buffered());
    for line in whole.iter().flatten() {
        assert!(line.len() <= usize::from(max));
        assert!(!line.contains(&b'\n'));
    }

    // Whatever came before: with the line feed of a subnegotiation's end or of a line, the next
    // line is a fresh one.
    many.feed(b"\xff\xf0\n\xff\xf0\n");
    drain(&mut many, &mut pieces);
    assert!(!many.has_buffered());
});
