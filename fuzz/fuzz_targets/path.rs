//! Paths: for any input, the result is normalized and below its root.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_proto::path::{NAME_BYTES_MAX, PATH_BYTES_MAX, VPath, escaped};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (cwd, typed) = input;
    let root = VPath::root();
    let start = root.resolve(cwd).unwrap_or_else(|_| VPath::root());
    assert!(!escaped(typed).contains(char::is_control));
    let Ok(path) = start.resolve(typed) else { return };

    let bytes = path.as_bytes();
    assert_eq!(bytes.first(), Some(&b'/'));
    assert!(path.is_root() || bytes.last() != Some(&b'/'));
    assert!(bytes.len() <= PATH_BYTES_MAX && !bytes.contains(&0));
    for name in path.names() {
        assert!(!matches!(name, b"" | b"." | b"..") && name.len() <= NAME_BYTES_MAX);
    }
    assert!(path.is_within(&root));
    assert_eq!(root.resolve(bytes).as_ref(), Ok(&path));
    assert_eq!(start.resolve(bytes).as_ref(), Ok(&path));
    assert_eq!(path.is_root(), path.name().is_none());
    if let (Some(parent), Some(name)) = (path.parent(), path.name()) {
        assert_eq!(parent.join(name).as_ref(), Ok(&path));
        assert!(path.is_within(&parent) && !parent.is_within(&path));
        assert_eq!(path.resolve(b"..").as_ref(), Ok(&parent));
    }
    assert!(!path.to_string().contains(char::is_control));
});
