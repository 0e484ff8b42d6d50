//! How command lines read, and the help that people see.

use wharf_config::Loaded;
use wharf_config::gather::Inputs;
use wharf_testkit::assert_same;

use super::*;
use crate::setup::flags_as_file;

fn words(line: &str) -> Vec<OsString> {
    std::iter::once("wharf").chain(line.split_whitespace()).map(OsString::from).collect()
}

fn serve(line: &str) -> ServeArgs {
    match parse(words(line)).unwrap_or_else(|error| panic!("{line}: {error}")).command {
        CliCommand::Serve(serve) => *serve,
        other => panic!("{line}: {other:?}"),
    }
}

fn rejected(line: &str) -> String {
    let error = parse(words(line)).expect_err(line);
    let failure = mistake::failure(&error, &words(line)).expect(line);
    assert_eq!(failure.exit, wharf_config::outcome::Exit::Usage, "{line}");
    format!("{} | {}", failure.message, failure.hint.unwrap_or_default())
}

#[test]
fn a_command_line_without_command_means_serve() {
    for line in
        ["", "serve", "-w", "/srv", "./user", "-c x.toml", "--set a.b=c -w", "--color never"]
    {
        serve(line);
    }
    assert_eq!(serve("/srv").folder, Some("/srv".into()));
    assert_eq!(serve("./user").folder, Some("./user".into()));
    assert_eq!(serve("serve user").folder, Some("user".into()));
    assert_eq!(serve("-d user").directory, Some("user".into()));
}

#[test]
fn options_are_accepted_at_any_position() {
    for line in ["-c a check", "check -c a", "--config=a check", "-ca check", "--set x=1 check -ca"]
    {
        let cli = parse(words(line)).unwrap();
        assert_eq!(cli.global.config, Some("a".into()), "{line}");
        assert!(matches!(cli.command, CliCommand::Check(_)), "{line}");
    }
}

#[test]
fn the_letters_are_those_of_pyftpdlib() {
    let options = serve("-w -p 2121 -d /share -u a -P b -i 127.0.0.1 -r 8000-9000 -n 203.0.113.7");
    assert!(options.write);
    assert_eq!(options.port.as_deref(), Some("2121"));
    assert_eq!(options.directory, Some("/share".into()));
    assert_eq!(options.username.as_deref(), Some("a"));
    assert_eq!(options.password.as_deref(), Some("b"));
    assert_eq!(options.addresses, ["127.0.0.1"]);
    assert_eq!(options.passive_ports.as_deref(), Some("8000-9000"));
    assert_eq!(options.public_address.as_deref(), Some("203.0.113.7"));
}

#[test]
fn invalid_options_are_rejected_with_the_reason() {
    for (line, part) in [
        ("-p 70000", "invalid --port `70000`: out of range"),
        ("-r 9000-8000", "write `8000-9000`"),
        ("-i everywhere", "invalid --address `everywhere`: not a valid IP address"),
        (
            "--tls maybe",
            "invalid --tls `maybe`: unknown value | expected explicit, implicit or off",
        ),
        ("--upload-rate fast", "invalid --upload-rate `fast`: not a number"),
        ("--for 0s", "must be above 0"),
        ("--legacy-encoding klingon", "unknown character set"),
        ("-A -u me", "cannot be used with"),
        ("--dropbox", "--anonymous"),
        ("--certificate c.pem", "--private-key"),
        ("/a -d /b", "cannot be used with"),
        ("--set nonsense", "expected KEY=VALUE"),
        ("-w --nope", "unknown option `--nope` | list options:  wharf serve --help"),
        ("check everything", "invalid CHECK `everything`: unknown value | expected config, "),
        ("user add", "missing argument: <NAME> | usage:  wharf user add"),
        ("user add x --generate --hash y", "cannot be used with"),
    ] {
        let reported = rejected(line);
        assert!(reported.contains(part), "{line}: {reported}");
    }
}

#[test]
fn options_of_accounts_select_a_share_and_settings_do_not() {
    for line in ["-w", "-u me", "-P x", "-A", "/srv", "-d /srv", "--password-file -"] {
        assert!(serve(line).is_share(), "{line}");
    }
    for line in ["", "-p 2121", "-i ::1", "--tls off", "--for 2h", "--upload-rate 1MiB/s", "-q"] {
        assert!(!serve(line).is_share(), "{line}");
    }
}

/// What the options amount to, read back from the file that they print.
fn printed(line: &str) -> (String, Loaded) {
    let flags = serve(line).flags();
    let inputs = Inputs { flags, ..Inputs::default() };
    let loaded = Loaded::load(&inputs);
    let text = flags_as_file(&loaded.layers);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wharf.toml");
    std::fs::write(&file, &text).unwrap();
    let again = Loaded::load(&Inputs { file: Some(file), ..Inputs::default() });
    assert_eq!(format!("{:?}", again.config), format!("{:?}", loaded.config), "{line}\n{text}");
    (text, again)
}

#[test]
fn a_printed_config_equals_the_options() {
    for line in [
        "",
        "-p 2121",
        "-i 127.0.0.1 -i [::1] -p 2121 --tls implicit",
        "-r 5000-5100 -n ftp.example.com",
        "--encoding gbk",
        "--legacy-encoding gbk --connections 5 --connections-per-ip 0",
        "--upload-rate 2MiB/s --download-rate 100000",
        "--tls off --require-tls off",
        "--certificate certs/a.pem --private-key certs/b.pem",
        "-v",
        "-vv",
        "-q",
    ] {
        printed(line);
    }
    let (text, _) = printed("-i 127.0.0.1 -p 2121 -r 5000-5100");
    assert_eq!(
        text,
        "config_version = 1\n\n[[listen]]\naddress = \"127.0.0.1\"\nport = 2121\n\n\
         [passive]\nports = \"5000-5100\"\n"
    );
}

#[test]
fn each_v_is_more_detailed_with_and_without_the_command() {
    for (line, level) in
        [("", None), ("-v", Some("debug")), ("-vv", Some("trace")), ("-v -v -v", Some("trace"))]
    {
        for line in [line.to_owned(), format!("serve {line}")] {
            let flags = serve(&line).flags();
            let set = flags.iter().find(|flag| flag.path == "log.level");
            assert_eq!(set.and_then(|flag| flag.raw.text()), level, "{line}");
        }
    }
    assert!(parse(words("-q -v")).is_err());
}

/// Earlier names of options, and those of `python -m pyftpdlib`.
#[test]
fn the_old_name_of_a_check_and_of_an_option_mean_the_new_ones_and_are_hidden() {
    let parsed = |line: &str| format!("{:?}", parse(words(line)).unwrap());
    for (old, new, help) in [
        ("check protection", "check sandbox", "check x"),
        ("bench a --ca b.pem", "bench a --ca-file b.pem", "bench --help"),
    ] {
        assert_eq!(parsed(old), parsed(new));
        let shown = parse(words(help)).expect_err(help).to_string();
        assert!(!shown.contains("protection") && !shown.contains("--ca "), "{shown}");
    }
}

#[test]
fn old_names_of_options_mean_the_new_ones_and_are_hidden() {
    for (old, new) in [
        ("--interface ::1", "--address ::1"),
        ("--range 5000-5100", "--passive-ports 5000-5100"),
        ("--nat-address 203.0.113.7", "--public-address 203.0.113.7"),
        ("--cert a.pem --key b.pem", "--certificate a.pem --private-key b.pem"),
        ("--certfile a.pem --keyfile b.pem", "--certificate a.pem --private-key b.pem"),
        ("--max-cons 5 --max-cons-per-ip 2", "--connections 5 --connections-per-ip 2"),
        ("--limit-up 1MiB/s --limit-down 2MiB/s", "--upload-rate 1MiB/s --download-rate 2MiB/s"),
    ] {
        assert_eq!(format!("{:?}", serve(old)), format!("{:?}", serve(new)), "{old}");
        assert_ne!(format!("{:?}", serve(new)), format!("{:?}", serve("")), "{new}");
    }
    let user = |options: &str| format!("{:?}", parse(words(&format!("user edit a {options}"))));
    for (old, new) in [
        ("--perm read", "--permissions read"),
        ("--up 1MiB/s --down 2MiB/s", "--upload-rate 1MiB/s --download-rate 2MiB/s"),
        ("--allow ::1", "--allowed-address ::1"),
        ("--allowed-addresses ::1", "--allowed-address ::1"),
        ("--max-files 5", "--quota-files 5"),
    ] {
        assert_eq!(user(old), user(new), "{old}");
        assert_ne!(user(new), user(""), "{new}");
    }
    for line in ["serve --help", "user edit --help", "group add --help"] {
        let help = Cli::command().try_get_matches_from(words(line)).unwrap_err().to_string();
        for old in ["--perm ", "--allow ", "max-", "--limit", "--range", "--interface", "--cert "] {
            assert!(!help.contains(old), "{line}: {old}");
        }
    }
}

/// The options that set a key carry its name: `--connections` is `limits.connections`.
#[test]
fn options_have_the_names_of_their_keys() {
    let line = "--passive-ports 5-6 --public-address 192.0.2.1 --certificate a --private-key b \
                --connections 5 --connections-per-ip 5 --upload-rate 5 --download-rate 5";
    for flag in serve(line).flags() {
        let name = flag.path.rsplit('.').next().unwrap().replace('_', "-");
        let option = flag.shown.split(' ').next().unwrap();
        assert!(option == "-r" || option == "-n" || option == format!("--{name}"), "{option}");
    }
}

#[test]
fn the_help_of_csv_names_every_column() {
    let line = words("import csv --help");
    let help = Cli::command().try_get_matches_from(line).unwrap_err().to_string();
    let shown = |name: &str| help.split([' ', ',', '\n']).any(|word| word == name);
    for column in wharf_import::csv::COLUMNS.into_iter().chain(["groups"]) {
        assert!(shown(column), "{column}: {help}");
    }
    assert!(!shown("allow"), "{help}");
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_is_listed_in_the_top_level_help() {
    let help = Cli::command().render_help().to_string();
    let is_hidden = |name: &String| name == wharf_runtime::deliver::WORKER_COMMAND;
    for name in command_names().filter(|name| !is_hidden(name)) {
        assert!(help.contains(&format!("\n  {name} ")), "{name}");
    }
}

#[test]
fn help_is_as_it_was_read_last() {
    for (line, name) in [
        ("--help", "help"),
        ("serve -h", "serve-short"),
        ("serve --help", "serve"),
        ("user --help", "user"),
        ("user add -h", "user-add"),
        ("config --help", "config"),
        ("bench --help", "bench"),
        ("import --help", "import"),
        ("import pyftpdlib -h", "import-pyftpdlib"),
        ("import csv --help", "import-csv"),
    ] {
        let mut command = Cli::command();
        let error = command.try_get_matches_from_mut(words(line)).unwrap_err();
        assert_same(&format!("crates/wharf/snapshots/{name}.txt"), &error.to_string());
    }
}

/// Calls `visit` with each command and its subcommands, with its words in front.
fn visit(command: &clap::Command, line: &str, inspect: &mut impl FnMut(&clap::Command, &str)) {
    inspect(command, line);
    for inner in command.get_subcommands() {
        visit(inner, &format!("{line} {}", inner.get_name()), inspect);
    }
}

#[test]
fn no_line_of_any_help_is_wider_than_80_columns() {
    let mut root = Cli::command();
    root.build();
    let mut count = 0;
    visit(&root, "", &mut |command, line| {
        // Text with its own line ends would be divided in the wrong places.
        for text in [command.get_after_help(), command.get_after_long_help()].into_iter().flatten()
        {
            for text in text.to_string().lines() {
                assert!(wharf_config::table::text_width(text) <= HELP_WIDTH_MAX, "{line}: {text}");
            }
        }
        for option in ["-h", "--help"] {
            let line = format!("{line} {option}");
            let error = Cli::command().try_get_matches_from(words(&line)).unwrap_err();
            for text in error.to_string().lines() {
                let width = wharf_config::table::text_width(text);
                assert!(width <= HELP_WIDTH_MAX, "{line}: {width} columns: {text}");
            }
            count += 1;
        }
    });
    assert!(count > 80, "{count}");
}
