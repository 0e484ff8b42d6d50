//! `wharf service`, `wharf man`, `wharf completions`, and the notifications to systemd.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use crate::support::TestFolder;

/// A place with a config and one account.
fn set_up() -> TestFolder {
    let place = TestFolder::new();
    std::fs::create_dir(place.path("files")).expect("it is a new place");
    let files = place.path("files");
    let users = place.path("users.toml");
    place.write("wharf.toml", &format!("[server]\nusers_file = '{}'\n", users.display()));
    let words = [
        "user",
        "add",
        "anna",
        "--home",
        files.to_str().expect("it is text"),
        "--password-file",
        "-",
    ];
    place.run_with(&words, "secret\n").exits(0);
    place
}

fn analyzed(words: &[&str]) -> (Option<i32>, String) {
    let output =
        Command::new("systemd-analyze").args(words).output().expect("systemd is installed");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("it is text"))
}

#[test]
fn systemd_reports_no_problem_in_the_units() {
    let place = set_up();
    for (name, kind) in [("wharf.service", "systemd"), ("wharf.socket", "socket")] {
        let ran = place.run(&["service", "unit", "--kind", kind]).exits(0);
        place.write(name, &ran.out);
    }
    let service = place.path("wharf.service");
    let socket = place.path("wharf.socket");
    let (code, printed) =
        analyzed(&["verify", service.to_str().unwrap(), socket.to_str().unwrap()]);
    assert_eq!((code, printed.as_str()), (Some(0), ""));
    let words = ["security", "--offline=true", "--no-pager", service.to_str().unwrap()];
    let (_, printed) = analyzed(&words);
    let score = printed.rsplit_once("wharf.service: ").unwrap().1.split(' ').next().unwrap();
    assert!(score.parse::<f64>().unwrap() < 2.0, "{printed}");
}

#[test]
fn a_unit_lists_every_place_that_the_running_server_writes_to() {
    let place = TestFolder::new();
    let world = tempfile::tempdir().expect("it can be written");
    let at = |name: &str| world.path().join(name).display().to_string();
    for folder in ["homes/anna", "more", "music/all", "quarantine", "logs", "run", "own", "read"] {
        std::fs::create_dir_all(at(folder)).expect("it is a new place");
    }
    let config = format!(
        "[server]\nusers_file = '{}'\nhomes = ['{}']\n[log]\naudit_file = '{}'\n[events]\n\
         quarantine = '{}'\ncheck_upload = ['/bin/true']\n[control]\nsocket = '{}'\n",
        at("own/users.toml"),
        at("more"),
        at("logs/audit.log"),
        at("quarantine"),
        at("run/control.sock")
    );
    place.write("wharf.toml", &config);
    let (home, music) = (at("homes/anna"), format!("/music={}", at("music/all")));
    let words =
        ["user", "add", "anna", "--home", &home, "--folder", &music, "--password-file", "-"];
    place.run_with(&words, "secret\n").exits(0);
    let text = place.run(&["service", "unit"]).exits(0).out;
    let lists = |path: &str| {
        let is_listed = |line: &str| {
            let listed = line.strip_prefix("ReadWritePaths=-");
            listed.is_some_and(|listed| Path::new(path).starts_with(listed.trim_matches('"')))
        };
        text.lines().any(is_listed)
    };
    for name in ["homes/anna", "more", "music/all", "quarantine", "logs", "run", "own"] {
        assert!(lists(&at(name)), "{name}: {text}");
    }
    assert!(text.contains("ReadWritePaths=-state\n"), "{text}");
    assert!(!lists(&at("read")) && !lists("/etc"), "{text}");
}

#[test]
fn a_service_needs_a_sound_config() {
    let place = TestFolder::new();
    place
        .run(&["service", "unit"])
        .exits(1)
        .reports("configuration file not found: a service requires one");
    place.write("wharf.toml", "[limits]\nconnections = \"many\"\n");
    place.run(&["service", "unit"]).exits(78).reports("connections");
    let place = set_up();
    place.run(&["service", "unit", "--user", "an na"]).exits(2).reports("not a valid account name");
}

#[test]
fn a_service_is_installed_into_an_image_and_taken_out_again() {
    let place = set_up();
    let image = place.path("image");
    std::fs::create_dir_all(image.join("etc")).unwrap();
    std::fs::write(image.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    std::fs::write(image.join("etc/group"), "root:x:0:\n").unwrap();
    let root = image.to_str().unwrap();
    let inside = |name: &str| image.join(place.path(name).strip_prefix("/").unwrap());
    std::fs::create_dir_all(inside("users.toml").parent().unwrap()).unwrap();
    for name in ["users.toml", "users.toml.lock"] {
        std::fs::copy(place.path(name), inside(name)).unwrap();
    }
    place.run(&["service", "install", "--root", root]).exits(0).reports("wrote");
    // The service renews hashes in the file, for which it locks the other one.
    let owner = |name: &str| inside(name).metadata().unwrap().uid();
    assert_eq!(owner("users.toml"), owner("users.toml.lock"));
    let is_root = place.path("").metadata().unwrap().uid() == 0;
    assert_eq!(owner("users.toml") != place.path("users.toml").metadata().unwrap().uid(), is_root);
    let unit = std::fs::read_to_string(image.join("etc/systemd/system/wharf.service")).unwrap();
    assert!(unit.contains(" serve\n"), "{unit}");
    let wanted = image.join("etc/systemd/system/multi-user.target.wants/wharf.service");
    assert!(wanted.symlink_metadata().is_ok(), "it starts with the computer");
    let accounts = std::fs::read_to_string(image.join("etc/passwd")).unwrap();
    assert!(accounts.contains("\nwharf:"), "{accounts}");
    place.run(&["service", "install", "--root", root]).exits(1).reports("file exists");
    place.run(&["service", "install", "--root", root, "--force"]).exits(0);
    place.run(&["service", "uninstall", "--root", root]).exits(0).reports("were kept");
    assert!(wanted.symlink_metadata().is_err());
    place
        .run(&["service", "uninstall", "--root", root])
        .exits(1)
        .reports("service is not installed");
}

#[test]
fn systemd_is_notified_of_ready_watchdog_reloading_and_stopping() {
    let place = set_up();
    let socket = place.path("notify");
    let received = UnixDatagram::bind(&socket).unwrap();
    received.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let mut command = place.command(&["--set", "listen.0.port=0", "serve", "-i", "127.0.0.1"]);
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "100000");
    // With a terminal, SIGHUP means that the terminal was closed.
    let null = std::process::Stdio::null;
    let mut child = command.stdin(null()).stdout(null()).stderr(null()).spawn().unwrap();
    let next = || {
        let mut bytes = [0; 256];
        let count = received.recv(&mut bytes).expect("systemd is notified");
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    };
    assert_eq!(next().trim(), "READY=1");
    assert_eq!(next().trim(), "WATCHDOG=1");
    assert_eq!(next().trim(), "WATCHDOG=1");
    let pid = child.id().to_string();
    let signal = |name| {
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    };
    let notification =
        || std::iter::repeat_with(next).find(|reported| reported.trim() != "WATCHDOG=1").unwrap();
    signal("HUP");
    let reported = notification();
    let time = reported.trim().strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(time.parse::<u64>().unwrap() > 0);
    assert_eq!(notification().trim(), "READY=1");
    signal("TERM");
    assert_eq!(notification().trim(), "STOPPING=1");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn there_is_a_man_page_for_each_command_and_completions_for_each_shell() {
    let place = TestFolder::new();
    place.run(&["man", "pages"]).exits(0);
    for page in ["wharf.1", "wharf-serve.1", "wharf-user-add.1", "wharf-service-install.1"] {
        let text = place.read(&format!("pages/{page}"));
        assert!(text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
    assert!(place.read("pages/wharf.1").contains("DESCRIPTION"));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = place.run(&["completions", shell]).exits(0);
        assert!(ran.out.contains("passwd"), "{shell}");
    }
    place.run(&["completions", "tcsh"]).exits(2);
    let file = Path::new("pages/wharf.1/deeper");
    place.run(&["man", file.to_str().unwrap()]).exits(1).reports("cannot write man pages");
}
