//! Parsing of supported syntax, and of arbitrary text without panics.

use proptest::prelude::*;

use super::*;

fn value(source: &str) -> PythonValue {
    match read(&format!("x = {source}\n")).unwrap().pop().unwrap().kind {
        StatementKind::Assign(_, value) => value,
        other => panic!("{source}: {other:?}"),
    }
}

fn text(text: &str) -> PythonValue {
    PythonValue::Text(text.to_owned())
}

#[test]
fn numbers_are_computed() {
    for (source, number) in [
        ("300 * 1024", 307_200),
        ("300*1024 # three hundred", 307_200),
        ("(1 + 2) * 3", 9),
        ("2 ** 10 - 24", 1000),
        ("1_000", 1000),
        ("0x10 + 0o17 + 0b1", 32),
        ("-5 // 2", -3),
        ("1024 / 2", 512),
        ("int('2121')", 2121),
        ("10 \\\n  * 2", 20),
        ("(10 *\n 2)", 20),
    ] {
        assert_eq!(value(source), PythonValue::Number(number), "{source}");
    }
}

#[test]
fn strings_have_prefixes_escapes_and_concatenation() {
    for (source, expected) in [
        ("'a' \"b\"", "ab"),
        ("'a' + 'b'", "ab"),
        ("u'欢迎'", "欢迎"),
        ("r'E:\\work'", "E:\\work"),
        ("'E:\\\\work'", "E:\\work"),
        ("'E:\\data'", "E:\\data"),
        ("'\\u6b22\\x41\\101\\n'", "欢AA\n"),
        ("'''two\nlines'''", "two\nlines"),
        ("\"it's # no comment\"", "it's # no comment"),
        ("f'plain'", "plain"),
        ("str(21)", "21"),
    ] {
        assert_eq!(value(source), text(expected), "{source}");
    }
}

#[test]
fn lists_ranges_and_names_are_values() {
    let pair = PythonValue::List(vec![PythonValue::Number(2000), PythonValue::Number(2200)]);
    for source in ["(2000, 2200)", "[2000,2200,]", "2000, 2200", "(2000,\n  2200)"] {
        assert_eq!(value(source), pair, "{source}");
    }
    assert_eq!(value("range(2000, 2200)"), PythonValue::Range(2000, 2200));
    assert_eq!(value("list(range(2000, 2200))"), PythonValue::Range(2000, 2200));
    assert_eq!(value("True"), PythonValue::Boolean(true));
    assert_eq!(value("None"), PythonValue::None);
    assert_eq!(value("('one')"), text("one"));
    assert_eq!(value("settings.port"), PythonValue::Name("settings.port".into()));
    let statements = read("kb = 1024\nports = (1, 2)\nrate = 3 * kb\nlast = ports[1]\n").unwrap();
    let values: Vec<_> = statements
        .into_iter()
        .map(|statement| match statement.kind {
            StatementKind::Assign(names, value) => (names.concat(), value),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(values[2], ("rate".into(), PythonValue::Number(3072)));
    assert_eq!(values[3], ("last".into(), PythonValue::Number(2)));
}

#[test]
fn run_time_values_are_distinguished() {
    for source in ["open('x').read()", "{'a': 1}", "[x for x in y]", "a if b else c", "x == 1"] {
        assert!(matches!(value(source), PythonValue::Other(_) | PythonValue::Name(_)), "{source}");
    }
    assert!(matches!(value("os.getcwd()"), PythonValue::Call(name, _) if name == "os.getcwd"));
    let acts: Vec<_> = read("import os\nif x:\n    a = 1\nf'{a}'\nx[1] = 2\nx += 1\n")
        .unwrap()
        .into_iter()
        .map(|statement| (statement.line, statement.is_nested, statement.kind))
        .collect();
    assert_eq!(acts[0], (1, false, StatementKind::Program("import".into())));
    assert_eq!(acts[2], (3, true, StatementKind::Assign(vec!["a".into()], PythonValue::Number(1))));
    assert!(matches!(acts[3].2, StatementKind::Value(PythonValue::Other(_))));
}

#[test]
fn calls_have_arguments_with_and_without_names() {
    let statements = read("a.add_user('x', 'y', '/z', perm='elr')\nh.banner = 'hi'; b()").unwrap();
    let StatementKind::Call(name, arguments) = &statements[0].kind else {
        panic!("{statements:?}")
    };
    assert_eq!(name, "a.add_user");
    assert_eq!(arguments[3], Argument { name: Some("perm".into()), value: text("elr") });
    assert_eq!(statements[1].kind, StatementKind::Assign(vec!["h.banner".into()], text("hi")));
    assert_eq!(statements[2].kind, StatementKind::Call("b".into(), vec![]));
}

#[test]
fn a_truncated_file_is_reported_with_its_line() {
    for (source, line) in [
        ("a = 1\nb = (2,\n", 2),
        ("a = 1\nb = '''x\n\n", 2),
        ("a = 1\nb = 'x", 2),
        ("a = 1\nb = 300 *\n", 2),
        ("a = 1\nb =", 2),
    ] {
        assert_eq!(read(source).map_err(|cut| cut.line), Err(line), "{source}");
    }
}

#[test]
fn an_invalid_line_does_not_affect_others() {
    let statements = read("a = 'x\nb = （1，2）\nc = 3\n").unwrap();
    assert!(
        matches!(&statements[0].kind, StatementKind::Broken(why) if why.contains("closing quote"))
    );
    assert!(
        matches!(&statements[1].kind, StatementKind::Broken(why) if why.contains("full-width"))
    );
    assert_eq!(statements[2].kind, StatementKind::Assign(vec!["c".into()], PythonValue::Number(3)));
    assert_eq!(statements[2].line, 3);
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let deep = format!("a = {}1{}\nb = 2\n", "(".repeat(50_000), ")".repeat(50_000));
    let kind = &read(&deep).unwrap()[0].kind;
    assert!(matches!(kind, StatementKind::Broken(why) if why.contains("brackets")));
    let signs = format!("a = {}1\nb = 2\n", "-".repeat(50_000));
    assert_eq!(
        read(&signs).unwrap()[0].kind,
        StatementKind::Assign(vec!["a".into()], PythonValue::Number(1))
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_fall(
        source in "(\\PC|\\n){0,60}|[-+*/%=()\\[\\]{}'\"\\\\#:;,.a0 \\n\\r\\t]{0,80}",
    ) {
        let _ = read(&source);
    }

    #[test]
    fn any_start_of_a_file_is_read_or_rejected(
        at in 0..400_usize,
    ) {
        let whole = "# 设置\nip = '0.0.0.0'\nport='2121'\nmax_upload = 300 * 1024\n\
                     passive_ports=(2000,2200)\nwelcome_msg = \"\"\"欢迎\n\"\"\"\n";
        let cut: String = whole.chars().take(at).collect();
        let _ = read(&cut);
    }

    #[test]
    fn a_quoted_text_round_trips(text in "[ -~&&[^'\\\\]]{0,30}") {
        prop_assert_eq!(value(&format!("'{text}'")), PythonValue::Text(text));
    }
}
