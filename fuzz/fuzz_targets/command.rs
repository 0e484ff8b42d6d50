//! Commands and their arguments: nothing panics, and parsed commands equal the input.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_proto::args::{self, TransferType};
use wharf_proto::command::{Command, VERB_BYTES_MAX, Verb};
use wharf_proto::facts::FactSet;
use wharf_proto::time::Timestamp;

fuzz_target!(|line: &[u8]| {
    let Ok(Command { verb, arg }) = Command::parse(line) else { return };
    assert!((1..=VERB_BYTES_MAX).contains(&verb.as_str().len()));
    assert_eq!(Verb::parse(verb.as_str().as_bytes()), Some(verb));
    assert!(line.ends_with(arg));
    let rebuilt = format!("{verb} ");
    let start = line.len() - line.trim_ascii_start().len();
    let head = &line[start..line.len() - arg.len()];
    assert!(rebuilt.as_bytes().get(..head.len()).is_some_and(|own| own.eq_ignore_ascii_case(head)));

    let _ = (TransferType::parse(arg), args::parse_mode(arg), args::parse_structure(arg));
    let _ = (args::parse_prot(arg), args::parse_pbsz(arg), args::parse_allo(arg));
    if let Ok(offset) = args::parse_offset(arg) {
        assert!(i64::try_from(offset).is_ok());
    }
    if let Ok((mode, name)) = args::parse_chmod(arg) {
        assert!(mode <= 0o777 && !name.is_empty() && arg.ends_with(name));
    }
    if let Ok((time, name)) = args::parse_mfmt(arg) {
        assert!(!name.is_empty() && arg.ends_with(name));
        let mut text = Vec::new();
        time.write(&mut text);
        assert_eq!(Timestamp::parse(&text).map(|again| again.seconds), Some(time.seconds));
    }
    if let Ok((_, rest)) = args::parse_opts(arg) {
        assert!(arg.ends_with(rest));
    }
    let list = args::parse_list_args(arg);
    assert!(arg.ends_with(list.path));
    assert_eq!(list.literal, arg);
    let facts = FactSet::parse_opts(arg);
    assert_eq!(FactSet::parse_opts(facts.selected().as_bytes()), facts);
});
