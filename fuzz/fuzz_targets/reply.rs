//! Replies: no input panics, and a parsed reply is written and parsed again to the same value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_proto::reply::{Code, Reply};

fuzz_target!(|input: (u16, Vec<Vec<u8>>, &[u8])| {
    let (number, lines, bytes) = input;
    if let Ok(Some((reply, used))) = Reply::parse(bytes) {
        assert!(used <= bytes.len() && !reply.lines.is_empty());
        assert_eq!(Reply::parse(&bytes[..used]), Ok(Some((reply, used))));
        assert_eq!(Reply::parse(&bytes[..used - 1]), Ok(None));
    }

    let code = Code::from_number(100 + number % 500).expect("it is from 100 to 599");
    let reply = Reply::lines(code, lines);
    let mut out = Vec::new();
    reply.write(&mut out);
    let line_ends = out.windows(2).filter(|pair| *pair == b"\r\n").count();
    assert_eq!(line_ends, reply.lines.len());
    out.extend_from_slice(b"220 next\r\n");
    let (parsed, used) = Reply::parse(&out).expect("it is a reply").expect("it is whole");
    assert_eq!(used, out.len() - b"220 next\r\n".len());
    assert_eq!(parsed.code, code);
    // Reading leaves telnet's doubled 0xFF to the line decoder, so it is doubled here as well.
    let shown = |line: &[u8]| -> Vec<u8> {
        line.iter()
            .flat_map(|&byte| match byte {
                b'\r' | b'\n' => vec![b' '],
                0xff => vec![0xff, 0xff],
                byte => vec![byte],
            })
            .collect()
    };
    let expected: Vec<Vec<u8>> = reply.lines.iter().map(|line| shown(line)).collect();
    assert_eq!(parsed.lines, expected);
});
