//! The line decoder: splitting its input changes nothing, and no line exceeds the limit.

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

    // A line is reported once, however long it is.
    assert!(whole.len() <= bytes.split(|&byte| byte == b'\n').count());
    if !bytes.iter().any(|byte| matches!(byte, 0 | 0xff)) {
        assert_eq!(whole, simply_read(bytes, max.into()));
    }

    // After any input: with the line feed of a subnegotiation's end or of a line, the next line
    // starts afresh.
    many.feed(b"\xff\xf0\n\xff\xf0\n");
    drain(&mut many, &mut pieces);
    assert!(!many.has_buffered());
});

/// The lines of input without telnet commands.
fn simply_read(bytes: &[u8], max: usize) -> Lines {
    let mut texts: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    let half = texts.pop().unwrap_or_default();
    let strip = |text: &[u8]| text.strip_suffix(b"\r").unwrap_or(text).to_vec();
    let check = |line: Vec<u8>| if line.len() > max { Err(LineTooLong) } else { Ok(line) };
    let mut lines: Lines = texts.into_iter().map(|text| check(strip(text))).collect();
    if strip(half).len() > max {
        lines.push(Err(LineTooLong));
    }
    lines
}
