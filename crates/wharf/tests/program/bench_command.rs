//! `wharf bench`, against a wharf and against nothing.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{Ran, Serving, TestFolder, names};

/// A short suite.
const SHORT: [&str; 6] = ["--count", "12", "--size", "1MiB", "--sessions", "2"];

fn served(words: &[&str]) -> (TestFolder, Serving) {
    let place = TestFolder::new();
    std::fs::create_dir(place.path("files")).unwrap();
    place.write("files/big", &"x".repeat(100_000));
    let account = ["-u", "anna", "-P", "secret-word", "-d", "files", "--no-config"];
    let words: Vec<_> = account.iter().chain(words).copied().collect();
    let serving = place.serve(&words);
    (place, serving)
}

fn bench(place: &TestFolder, serving: &Serving, words: &[&str]) -> Ran {
    let server = serving.address.to_string();
    let first = ["bench", &server, "-u", "anna", "--password-file", "-"];
    let words: Vec<_> = first.iter().chain(&SHORT).chain(words).copied().collect();
    place.run_with(&words, "secret-word\n")
}

#[test]
fn the_whole_suite_is_measured_and_its_folder_removed() {
    let (place, serving) = served(&["-w"]);
    for words in [&["--insecure", "--verify"][..], &["--tls", "off", "--dir", "/"]] {
        let ran = bench(&place, &serving, words).exits(0);
        let lines: Vec<_> = ran.out.lines().collect();
        assert!(lines[0].starts_with(&serving.address.to_string()), "{}", ran.out);
        let cases = ["login", "noop", "small-up", "small-down", "list", "large-up", "large-down"];
        for (line, case) in lines[3..].iter().zip(cases) {
            let cells: Vec<_> = line.split_whitespace().collect();
            assert_eq!((cells[0], cells[cells.len() - 1]), (case, "0"), "{}", ran.out);
        }
        assert!(ran.out.contains("\ntotal: 54 operations, "), "{}", ran.out);
        assert_eq!(ran.err, "", "no bar where there is no terminal");
        assert_eq!(names(&place.path("files")), ["big"]);
    }
}

#[test]
fn scripts_get_one_json_object() {
    let (place, serving) = served(&["-w"]);
    let out = bench(&place, &serving, &["--insecure", "--json", "--only", "noop,large-down"]);
    let out = out.exits(0).out;
    assert!(out.starts_with('{') && out.ends_with("}\n") && out.lines().count() == 1, "{out}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["sessions"], &json["tls"]["version"]), (&2.into(), &"TLSv1.3".into()));
    for (at, case, operations, bytes) in [(0, "noop", 12, 0), (1, "large-down", 2, 2_097_152)] {
        let measured = &json["cases"][at];
        assert_eq!((&measured["case"], &measured["bytes"]), (&case.into(), &bytes.into()), "{out}");
        assert_eq!(measured["operations"], operations);
        assert_eq!((&measured["errors"], &measured["messages"]), (&0.into(), &json!([])));
    }
    assert_eq!(json["notes"], json!([]));
    assert_eq!(names(&place.path("files")), ["big"]);
}

#[test]
fn without_upload_permission_the_rest_is_measured() {
    let (place, serving) = served(&[]);
    let ran = bench(&place, &serving, &["--insecure", "--file", "big"]).exits(0);
    assert!(ran.out.contains("\nsmall-up: not measured, no write permission\n"), "{}", ran.out);
    assert!(
        ran.out.contains("\nnote: uploads are not permitted here (MKD wharf-bench-"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("\ntotal: 28 operations, "), "{}", ran.out);
}

#[test]
fn ctrl_c_ends_it_and_the_folder_is_removed_all_the_same() {
    let (place, mut serving) = served(&["-w", "--set", "log.commands=true"]);
    let server = serving.address.to_string();
    let words = ["bench", &server, "-u", "anna", "-P", "secret-word", "--insecure"];
    let endless = ["--only", "small-up", "--count", "4000000000", "--time", "1h"];
    let mut command = place.command(&[&words[..], &endless].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    serving.waits_for("small-9");
    let reader = std::thread::spawn(move || serving.waits_for("RMD"));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    reader.join().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("deleting the test files"));
    assert_eq!(names(&place.path("files")), ["big"]);
}

#[test]
fn errors_are_reported_with_a_hint() {
    let (place, serving) = served(&[]);
    let server = serving.address.to_string();
    for (words, code, part) in [
        (&["-P", "wrong"][..], 1, "--insecure"),
        (&["-P", "wrong", "--insecure"], 1, "PASS: unexpected reply 530"),
        (&["-P", "wrong", "--tls", "off"], 1, "check the user name"),
        (&[], 2, "cannot prompt for the password"),
        (&["-P", "x", "--ca-file", "nowhere.pem"], 1, "cannot read certificates from nowhere.pem"),
        (&["-P", "x", "--only", "everything"], 2, "hint: expected login, noop"),
        (&["-P", "x", "--sessions", "0"], 2, "not a whole number from 1 to 65535"),
    ] {
        let words: Vec<_> = ["bench", &server, "-u", "anna"].iter().chain(words).copied().collect();
        let ran = place.run(&words).exits(code);
        assert!(ran.err.contains(part), "{words:?}: {}", ran.err);
    }
    drop(serving);
    for (server, code, part) in [
        (server.as_str(), 1, "check host and port"),
        ("nonsense:port", 2, "write HOST, HOST:PORT"),
        ("", 2, "write HOST, HOST:PORT"),
        ("ftp://x", 2, "write HOST, HOST:PORT"),
    ] {
        place.run(&["bench", server, "--tls", "off"]).exits(code).reports(part);
    }
}
