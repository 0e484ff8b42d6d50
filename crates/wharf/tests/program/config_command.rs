//! `wharf check`, `wharf config` and what a bad configuration does to a start.

use crate::support::TestFolder;

#[test]
fn the_default_file_is_accepted() {
    let place = TestFolder::new();
    let file = place.run(&["config", "default"]).exits(0).out;
    place.write("wharf.toml", &file);
    let ran = place.run(&["check", "config"]).exits(0);
    assert_eq!(ran.out, "wharf.toml: the configuration is valid\n");
    assert_eq!(ran.err, "");
    place.run(&["check"]).exits(0);
}

#[test]
fn row_45_all_errors_are_reported_at_once_and_nothing_starts() {
    let place = TestFolder::new();
    place.write("bad.toml", "[server]\ngreting = \"x\"\n[limits]\nidle_timeout = 5\n");
    for words in
        [&["-c", "bad.toml", "check"][..], &["-c", "bad.toml"], &["config", "show", "-cbad.toml"]]
    {
        place
            .run(words)
            .exits(78)
            .reports("did you mean `server.greeting`?")
            .reports("--> bad.toml:4:16")
            .reports("error: invalid configuration in bad.toml: 2 errors");
    }
}

#[test]
fn a_named_config_file_must_exist() {
    let place = TestFolder::new();
    place
        .run(&["-c", "none.toml", "check"])
        .exits(78)
        .reports("configuration file not found: none.toml")
        .reports("wharf config default > none.toml");
}

#[test]
fn variables_and_settings_are_named_when_they_are_wrong() {
    let place = TestFolder::new();
    let mut command = place.command(&["check"]);
    let output = command.env("WHARF__PASSIVE__PORTS", "high").output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(err.contains("the environment variable WHARF__PASSIVE__PORTS"), "{err}");
    place
        .run(&["check", "--set", "passive.ports=high"])
        .exits(78)
        .reports("the option --set passive.ports=high");
}

#[test]
fn the_file_in_use_is_the_named_one_or_the_one_here() {
    let place = TestFolder::new();
    place.write("wharf.toml", "");
    place.write("other.toml", "");
    assert_eq!(place.run(&["config", "path"]).exits(0).out, "wharf.toml\n");
    assert_eq!(place.run(&["config", "path", "-c", "other.toml"]).exits(0).out, "other.toml\n");
    let output =
        place.command(&["config", "path"]).env("WHARF_CONFIG", "other.toml").output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().ends_with("/other.toml\n"));
}

#[test]
fn effective_settings_are_shown_with_their_origin() {
    let place = TestFolder::new();
    place.write("wharf.toml", "[passive]\nports = \"5000-5009\"\n");
    let shown =
        place.run(&["config", "show", "--origin", "--set", "limits.connections=7"]).exits(0);
    for part in [
        "ports = \"5000-5009\"                 # wharf.toml:2\n",
        "connections = 7                     # option --set limits.connections=7\n",
        "idle_timeout = \"5m\"                 # default\n",
    ] {
        assert!(shown.out.contains(part), "{part} is not in {}", shown.out);
    }
    let json = place.run(&["config", "show", "--json"]).exits(0).out;
    assert!(json.contains("\"passive.ports\":\"5000-5009\""), "{json}");
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let place = TestFolder::new();
    let output = place.command(&["config", "default"]).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"");
}

#[test]
fn colour_is_used_only_where_it_is_supported() {
    let place = TestFolder::new();
    let plain = place.run(&["-c", "none.toml", "check"]).err;
    assert!(!plain.contains('\x1b'), "{plain}");
    let always = place.run(&["-c", "none.toml", "check", "--color", "always"]).err;
    assert!(always.contains("\x1b["), "{always}");
    let mut command = place.command(&["-c", "none.toml", "check"]);
    let forced = command.env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR").output().unwrap().stderr;
    assert!(String::from_utf8(forced).unwrap().contains("\x1b["));
}

#[test]
fn help_and_version_exit_with_0_and_invalid_arguments_with_2() {
    let place = TestFolder::new();
    assert!(place.run(&["--help"]).exits(0).out.contains("Usage: wharf"));
    assert!(place.run(&["--version"]).exits(0).out.starts_with("wharf "));
    assert!(place.run(&["version"]).exits(0).out.starts_with("wharf "));
    place.run(&["--nonsense"]).exits(2).reports("--nonsense");
    place.run(&["usr"]).exits(2).reports("unknown command `usr`\nhint: did you mean `user`?");
}

#[test]
fn row_23_a_config_with_old_names_of_keys_is_an_error_that_names_the_command_and_is_migrated() {
    let place = TestFolder::new();
    let old = "# keep this\n[files]\nkeep_partials = \"1h\"   # and this\numask = \"027\"\n";
    place.write("wharf.toml", old);
    place
        .run(&["check", "config"])
        .exits(78)
        .reports("unknown key `files.keep_partials`")
        .reports("files.partial_upload_retention")
        .reports("wharf config migrate --write");
    // The command in the hint can be copied.
    place.write("my server.toml", old);
    let file = ["-c", "my server.toml"];
    let migrate = "wharf -c 'my server.toml' config migrate --write";
    place.run(&[&file[..], &["check", "config"]].concat()).exits(78).reports(migrate);
    let shown = place.run(&[&file[..], &["config", "migrate"]].concat()).exits(0).out;
    assert!(shown.contains(migrate), "{shown}");
    // Without --write nothing is changed.
    let shown = place.run(&["config", "migrate"]).exits(0).out;
    assert!(
        shown.contains("wharf.toml:3: files.keep_partials -> files.partial_upload_retention"),
        "{shown}"
    );
    let read = |name| std::fs::read_to_string(place.path(name)).unwrap();
    assert_eq!(read("wharf.toml"), old);
    place.run(&["config", "migrate", "--write"]).exits(0);
    assert_eq!(read("wharf.toml"), old.replace("keep_partials", "partial_upload_retention"));
    assert_eq!(read("wharf.toml.old"), old);
    place.run(&["check", "config"]).exits(0);
    let again = place.run(&["config", "migrate", "--write"]).exits(0).out;
    assert!(again.contains("needs no migration"), "{again}");
    assert!(!place.path("wharf.toml.old1").exists());
}
