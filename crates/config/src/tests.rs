//! Layers, every kind of problem as it is shown, and the pages made from the table.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use wharf_testkit::assert_same;

use super::gather::{Flag, Inputs};
use super::keys::keys;
use super::problem::{count, render};
use super::raw::Raw;
use super::value::{ListenPort, PortRange};
use super::wait::Wait;
use super::*;

/// A configuration of a file, `NAME=value` variables and `--set` flags.
struct Layered {
    folder: tempfile::TempDir,
    inputs: Inputs,
}

impl Layered {
    fn file(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wharf.toml");
        std::fs::write(&file, text).unwrap();
        let inputs = Inputs {
            file: Some(file),
            base: folder.path().into(),
            current_folder: "/current".into(),
            ..Inputs::default()
        };
        Self { folder, inputs }
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.inputs.environment.push((name.into(), value.into()));
        self
    }

    fn set(mut self, path: &str, value: &str) -> Self {
        self.inputs.flags.push(Flag {
            shown: format!("--set {path}={value}"),
            path: path.into(),
            raw: Raw::Plain(value.into()),
        });
        self
    }

    fn load(&self) -> Loaded {
        Loaded::load(&self.inputs)
    }

    /// The problems as they are shown, without the folder of this run.
    fn shown(&self) -> String {
        let loaded = self.load();
        let shown = render(&loaded.problems, loaded.layers.source.as_ref(), false);
        shown.replace(&format!("{}{}", self.folder.path().display(), std::path::MAIN_SEPARATOR), "")
    }
}

fn ports(loaded: &Loaded) -> PortRange {
    assert_eq!(loaded.problems, []);
    loaded.config.passive.ports.clone()
}

#[test]
fn the_command_line_overrides_the_environment_which_overrides_the_file() {
    let given = Layered::file("[passive]\nports = \"5000-5001\"\n");
    assert_eq!(ports(&given.load()), PortRange(5000..=5001));
    let given = given.variable("WHARF__PASSIVE__PORTS", "6000-6001");
    assert_eq!(ports(&given.load()), PortRange(6000..=6001));
    let given = given.set("passive.ports", "7000-7001");
    assert_eq!(ports(&given.load()), PortRange(7000..=7001));
}

#[test]
fn the_variable_of_the_log_replaces_both_keys_and_options_override_it() {
    let shown = |given: &Layered| {
        let log = given.load().config.log;
        let filter = log.filter.0.iter().map(|(name, level)| format!("{name}={level}"));
        format!("{} {}", log.level, filter.collect::<Vec<_>>().join(","))
    };
    let file = || Layered::file("[log]\nlevel = \"warn\"\nfilter = [\"rustls=debug\"]\n");
    assert_eq!(shown(&file()), "warn rustls=debug");
    assert_eq!(shown(&file().variable("WHARF_LOG", " ")), "warn rustls=debug");
    assert_eq!(shown(&file().variable("WHARF_LOG", "debug")), "debug ");
    let target = file().variable("WHARF_LOG", "wharf_server=trace");
    assert_eq!(shown(&target), "warn wharf_server=trace");
    let both = file()
        .variable("WHARF_LOG", "info,wharf_server=trace")
        .variable("WHARF__LOG__LEVEL", "error");
    assert_eq!(shown(&both), "info wharf_server=trace");
    assert_eq!(shown(&both.set("log.level", "debug")), "debug wharf_server=trace");
    let wrong = file().variable("WHARF_LOG", "loud").shown();
    assert!(wrong.contains("unknown value `loud`") && wrong.contains("WHARF_LOG"), "{wrong}");
}

#[test]
fn a_missing_key_means_the_default() {
    let loaded = Layered::file("").load();
    assert_eq!(ports(&loaded), PortRange(30_000..=30_999));
    assert_eq!(loaded.config.listen.len(), 1);
    assert_eq!(loaded.config.listen[0].port, ListenPort::Auto);
}

#[test]
fn listeners_repeat_and_variables_reach_each() {
    let given =
        Layered::file("[[listen]]\nport = 21\n[[listen]]\nport = 990\ntls = \"implicit\"\n")
            .variable("WHARF__LISTEN__1__PORT", "991")
            .set("listen.2.port", "2121");
    let loaded = given.load();
    assert_eq!(loaded.problems, []);
    let ports: Vec<_> = loaded.config.listen.iter().map(|listen| listen.port).collect();
    let fixed = [21, 991, 2121].map(ListenPort::Fixed);
    assert_eq!(ports, fixed);
}

#[test]
fn row_13_proxy_headers_require_addresses_of_proxies() {
    const ONE: &str = "[[listen]]\nport = 21\n";
    let whole = Layered::file(&format!("{ONE}proxy = true\nproxy_from = [\"10.0.0.5\"]\n"));
    assert_eq!(whole.shown(), "");
    let reported = Layered::file(&format!("{ONE}proxy = true\n")).shown();
    assert!(reported.contains("`proxy_from` is missing") && reported.contains(":3:"), "{reported}");
    let reported = Layered::file(&format!("{ONE}proxy_from = [\"10.0.0.5\"]\n")).shown();
    assert!(
        reported.contains("`proxy_from` has no effect") && reported.contains(":3:"),
        "{reported}"
    );
}

#[test]
fn a_listener_option_is_ambiguous_with_several_listeners() {
    const ONE: &str = "[[listen]]\naddress = \"127.0.0.1\"\n";
    let one = Layered::file(ONE).set("listen.*.port", "2222");
    assert_eq!(one.shown(), "");
    let two = format!("{ONE}port = 1\n{ONE}port = 2\n");
    let two = Layered::file(&two).set("listen.*.port", "2222").shown();
    assert!(two.contains("is ambiguous: there are 2 listeners"), "{two}");
    assert!(two.contains("--set listen.0.port=2222"), "{two}");
}

#[test]
fn time_max_is_at_least_the_time_of_the_first_ban() {
    let shown = Layered::file("[ban]\ntime = \"2d\"\n").shown();
    assert!(shown.contains("`ban.time_max` is shorter than `ban.time`"), "{shown}");
    assert!(shown.contains("at least 2d"), "{shown}");
    let shown = Layered::file("[ban]\ntime = 0\n").shown();
    assert!(shown.contains("write  ban.enabled = false"), "{shown}");
}

#[test]
fn relative_paths_start_at_their_source() {
    let given = Layered::file("[server]\nstate_dir = \"state\"\n").set("log.file", "log");
    let loaded = given.load();
    let file_folder = given.folder.path();
    assert_eq!(loaded.config.server.state_dir.0, Some(file_folder.join("state")));
    assert_eq!(loaded.config.server.users_file.0, file_folder.join("users.toml"));
    assert_eq!(loaded.config.log.file.0, Some(PathBuf::from("/current/log")));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    let loaded = Layered::file("\u{feff}[passive]\r\naccept_timeout = \"5s\"\r\n").load();
    assert_eq!(loaded.problems, []);
    assert_eq!(loaded.config.passive.accept_timeout, Wait(std::time::Duration::from_secs(5)));
}

#[test]
fn other_wharf_variables_are_not_keys() {
    let given = Layered::file("").variable("WHARF_CONFIG", "x").variable("PATH", "y");
    assert_eq!(given.load().problems, []);
}

/// Each kind of mistake, with what makes it.
fn mistakes() -> Vec<(&'static str, Layered)> {
    let (_, old_value, _) = renamed::RENAMED_VALUES[0];
    vec![
        ("unknown key", Layered::file("[passive]\nprots = \"1-2\"\n")),
        ("unknown key, another server's name", Layered::file("max_cons = 5\n")),
        ("unknown key, sessions of an address", Layered::file("[limits]\nsessions_per_ip = 5\n")),
        ("encoding of old clients", Layered::file("[names]\nencoding = \"gbk\"\n")),
        ("unknown key, of another section", Layered::file("[server]\nidle_timeout = \"5m\"\n")),
        ("unknown key, of listeners", Layered::file("[server]\n").set("server.port", "21")),
        ("renamed value of --set", Layered::file("").set("events.check_on_error", old_value)),
        ("renamed value", Layered::file(&format!("[events]\ncheck_on_error = \"{old_value}\"\n"))),
        ("unknown key, like nothing", Layered::file("[server]\nbanana = 1\n")),
        ("unknown section", Layered::file("[pasive]\nports = \"1024-2000\"\n")),
        ("a section with a plain value", Layered::file("passive = 3\n")),
        ("a list written as one table", Layered::file("[listen]\nport = 21\n")),
        ("not TOML", Layered::file("[server\ngreeting = \"hi\n")),
        ("wrong kind", Layered::file("[login]\nanonymous = \"yes\"\nmax_attempts = [3]\n")),
        ("out of range", Layered::file("[login]\nmax_attempts = 0\n[limits]\nconnections = -1\n")),
        ("not one of the words", Layered::file("[tls]\nrequire = \"pubilc\"\n")),
        ("range reversed", Layered::file("[passive]\nports = \"31000-30000\"\n")),
        ("no unit", Layered::file("[limits]\nidle_timeout = 300\n")),
        ("no rate", Layered::file("[limits]\nupload_rate = \"2 Mbit/s\"\n")),
        ("newer version", Layered::file("config_version = 2\n")),
        ("unknown variable", Layered::file("").variable("WHARF__PASSIVE__PRTS", "1")),
        ("wrong variable", Layered::file("").variable("WHARF__PASSIVE__PORTS", "80000")),
        ("wrong --set", Layered::file("").set("limits.connections", "many")),
        ("--set without a listener's number", Layered::file("").set("listen.port", "21")),
        ("--set with a number too high", Layered::file("").set("listen.3.port", "21")),
        (
            "same listener twice",
            Layered::file("[[listen]]\nport = 2121\n[[listen]]\nport = 2121\n"),
        ),
        (
            "TLS required where there is none",
            Layered::file("[[listen]]\ntls = \"off\"\n\n[tls]\nrequire = \"login\"\n"),
        ),
        (
            "TLS for the public where there is none",
            Layered::file("[[listen]]\ntls = \"off\"\n\n[tls]\nrequire = \"public\"\n"),
        ),
        ("no TLS and the default policy", Layered::file("[[listen]]\ntls = \"off\"\n")),
        ("key without certificate", Layered::file("[tls]\nprivate_key = \"key.pem\"\n")),
        ("certificate without key", Layered::file("[tls]\ncertificate = \"cert.pem\"\n")),
        ("anonymous without folder", Layered::file("[login]\nanonymous = true\n")),
        (
            "anonymous folder missing",
            Layered::file("[login]\nanonymous = true\nanonymous_home = \"/no/such/folder\"\n"),
        ),
        (
            "anonymous may change everything",
            Layered::file(
                "[login]\nanonymous = true\nanonymous_home = \"/\"\n\
                 anonymous_permissions = \"read-write\"\n",
            ),
        ),
        ("low data ports", Layered::file("[passive]\nports = \"1000-2000\"\n")),
        (
            "data port that is listened on",
            Layered::file("[[listen]]\nport = 2121\n[passive]\nports = \"2000-3000\"\n"),
        ),
        ("control characters", Layered::file("[server]\ngreeting = \"a\\u0007b\"\n")),
        ("unknown word in braces", Layered::file("[server]\nlogin_message = \"Hello {name}\"\n")),
        ("one file for both logs", Layered::file("[log]\nfile = \"a\"\ntransfer_log = \"a\"\n")),
    ]
}

#[test]
fn row_23_every_mistake_is_shown_with_place_and_remedy() {
    let mut page = String::new();
    for (name, given) in mistakes() {
        let shown = given.shown();
        assert!(!shown.is_empty(), "{name}");
        let _ = write!(page, "## {name}\n\n{shown}");
    }
    assert_same("crates/config/snapshots/config-problems.txt", &page);
}

#[test]
fn all_problems_are_reported_together() {
    let given = Layered::file("[server]\ngreting = \"\"\n[passive]\nports = \"x\"\n")
        .variable("WHARF__LIMITS__CONNECTIONS", "many");
    let loaded = given.load();
    assert_eq!(count(&loaded.problems), "3 errors");
    assert!(!loaded.is_valid());
}

#[test]
fn a_warning_does_not_keep_wharf_from_starting() {
    let loaded = Layered::file("[passive]\nports = \"1000-2000\"\n").load();
    assert_eq!(count(&loaded.problems), "1 warning");
    assert!(loaded.is_valid());
}

#[test]
fn a_file_that_is_not_utf8_is_reported() {
    let given = Layered::file("");
    let path = given.inputs.file.clone().unwrap();
    std::fs::write(&path, b"[server]\ngreeting = \"\xbb\xb6\xd3\xad\"\n").unwrap();
    assert!(given.shown().contains("invalid UTF-8 in wharf.toml, line 2"), "{}", given.shown());
}

#[test]
fn a_missing_file_is_reported_with_the_command_to_create_it() {
    let inputs = Inputs { file: Some("/no/such.toml".into()), ..Inputs::default() };
    let loaded = Loaded::load(&inputs);
    assert!(!loaded.is_valid());
    let hint = loaded.problems[0].hint.clone().unwrap();
    assert_eq!(hint, "create it:  wharf config default > /no/such.toml");
}

#[test]
fn the_default_file_is_a_file_of_defaults() {
    let text = show::default_file();
    let given = Layered::file(&text);
    let loaded = given.load();
    assert_eq!(loaded.problems, []);
    for key in keys() {
        assert!(text.contains(&format!("\n{}", key.name)), "{}", key.path());
    }
    let bare = Loaded::load(&Inputs { file: None, ..given.inputs.clone() });
    assert_eq!(format!("{:?}", loaded.config), format!("{:?}", bare.config));
}

#[test]
fn what_is_in_force_is_a_config_file_again() {
    let given =
        Layered::file("[passive]\nports = \"5000-5009\"\n[login]\ndeny_users = [\"root\"]\n")
            .variable("WHARF__LIMITS__UPLOAD_RATE", "2MiB/s")
            .set("compat.disable_commands", "EPSV,MLSD")
            .set("server.greeting", "42");
    let loaded = given.load();
    assert_eq!(loaded.problems, []);
    let text = show::in_force(&loaded.layers, true);
    assert!(text.contains("# environment WHARF__LIMITS__UPLOAD_RATE"), "{text}");
    assert!(text.contains("wharf.toml:2"), "{text}");
    let again = Layered::file(&text).load();
    assert_eq!(again.problems, []);
    assert_eq!(again.config.server.greeting, "42");
    assert_eq!(again.config.compat.disable_commands.0, ["EPSV", "MLSD"]);
    assert_eq!(again.config.limits.upload_rate, loaded.config.limits.upload_rate);
}

#[test]
fn the_reference_of_the_configuration_is_up_to_date() {
    assert_same("docs/reference/config.md", &show::reference());
}

#[test]
fn nothing_in_a_file_breaks_the_reader() {
    use proptest::prelude::*;
    let texts = prop_oneof![any::<String>(), "[a-z\\[\\]=\" .0-9\n]{0,80}"];
    proptest!(|(text in texts)| {
        let mut layers = Layers::default();
        let mut problems = Vec::new();
        file::take_apart(&text, &mut layers, &mut problems);
        let source = problem::ConfigText { path: Path::new("wharf.toml").into(), text };
        render(&problems, Some(&source), false);
    });
}
