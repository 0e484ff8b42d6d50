//! Listings: one entry is one line, whatever its name and numbers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_proto::entry::{Entry, Kind, Perm};
use wharf_proto::facts::FactSet;
use wharf_proto::listing::{Format, Long, MachineListing, Offset, Short};
use wharf_proto::time::Timestamp;

/// Numbers of an entry: size, links, mode, kind, permissions.
type Numbers = (u64, u64, u32, u8, u8);
/// Times: the current time, the modification, the creation.
type Moments = (i64, i64, Option<i64>);
/// Device and inode.
type Ids = Option<(u64, u64)>;

fuzz_target!(|input: (Numbers, Moments, Ids, &[u8], &[u8])| {
    let ((size, links, mode, kind, perm), moments, unique, facts, name) = input;
    let at = |seconds| Timestamp { seconds, nanos: 0 };
    let (now, modified, created) = moments;
    let kind = match kind % 4 {
        0 => Kind::File,
        1 => Kind::Dir,
        2 => Kind::Link,
        _ => Kind::Other,
    };
    let entry = Entry {
        name: name.to_vec(),
        kind,
        size,
        modified: at(modified),
        created: created.map(at),
        mode,
        links,
        unique,
        via_link: false,
        perm: Perm::default().with(perm),
    };
    let shown: Vec<u8> = name
        .iter()
        .map(|&byte| if matches!(byte, b'\r' | b'\n' | 0) { b'?' } else { byte })
        .collect();
    let mut long = Long::new(at(now), |moment| Offset {
        seconds: if moment.seconds % 2 == 0 { i32::MAX } else { i32::MIN },
        ..Offset::UTC
    });
    let mut facts = MachineListing::new(FactSet::parse_opts(facts));
    let formats: [(&mut dyn Format, usize); 4] =
        [(&mut long, 8), (&mut Short, 0), (&mut facts, 0), (&mut MachineListing::default(), 0)];
    for (format, columns) in formats {
        let mut out = b"line before\r\n".to_vec();
        format.line(&entry, &mut out);
        let line = out.strip_prefix(b"line before\r\n").expect("the buffer is kept");
        let line = line.strip_suffix(b"\r\n").expect("the line ends in CR LF");
        assert!(!line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        let head = line.strip_suffix(shown.as_slice()).expect("the name is at the end");
        assert!(head.is_ascii());
        if columns > 0 {
            assert_eq!(
                head.split(|&byte| byte == b' ').filter(|text| !text.is_empty()).count(),
                columns
            );
        }
    }
    let mut only = Vec::new();
    facts.facts_only(&entry, &mut only);
    assert!(only.is_empty() || only.ends_with(b";"));
    assert!(!only.contains(&b' '));
});
