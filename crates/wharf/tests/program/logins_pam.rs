//! Authentication by PAM: the real libpam and its modules, with rules in a folder of the test
//! (libpam-wrapper redirects them, so that nothing of this computer is used or changed).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Serving, TestFolder};

/// A place with PAM rules of its own.
struct Rules {
    place: TestFolder,
    service: String,
}

/// The libraries of libpam-wrapper.
fn library(name: &str) -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let files = folders.chain(["/usr/lib".into(), "/usr/lib64".into()]).map(|to| to.join(name));
    let mut found = files.filter(|file| file.is_file());
    found.next().unwrap_or_else(|| panic!("{name} is missing: cargo xtask setup installs it"))
}

impl Rules {
    fn new(number: u32) -> Self {
        let place = TestFolder::new();
        for folder in ["homes", "kept", "pam"] {
            fs::create_dir(place.path(folder)).unwrap();
        }
        let service = format!("wharf-{}-{number}", std::process::id());
        let matrix = library("pam_wrapper/pam_matrix.so").display().to_string();
        let path = |name: &str| place.path(name).display().to_string();
        let (people, locked, expired) = (path("people"), path("locked"), path("expired"));
        let rules = format!(
            "auth required {matrix} passdb={people}\n\
             account required pam_listfile.so item=user sense=deny file={locked} onerr=fail\n\
             account [success=ignore default=1] pam_listfile.so item=user sense=allow \
             file={expired} onerr=fail\n\
             account required pam_debug.so acct=acct_expired\n\
             account required {matrix} passdb={people}\n"
        );
        place.write(&format!("pam/{service}"), &rules);
        let people = ["anna", "ben", "gone", "old"];
        let lines: Vec<_> = people.iter().map(|name| format!("{name}:right:{service}\n")).collect();
        place.write("people", &lines.concat());
        place.write("locked", "gone\n");
        place.write("expired", "old\n");
        place.write(
            "wharf.toml",
            &format!(
                "[accounts]\nauth_backends = [\"file\", \"pam\"]\nhome = \"homes/%u\"\n\
                 create_home = true\npermissions = \"read-write\"\n\
                 [accounts.pam]\nservice = \"{service}\"\ntimeout = \"10s\"\n\
                 [login]\nfailure_delay = \"0s\"\n[ban]\nenabled = false\n"
            ),
        );
        let words = ["user", "add", "file", "--home", "kept", "--password-file", "-"];
        place.run_with(&words, "secret\n").exits(0);
        Self { place, service }
    }

    fn serve(&self, words: &[&str]) -> Serving {
        let range = self.place.range();
        let words = [words, &["-i", "127.0.0.1", "-p", "0", "-r", &range]].concat();
        let mut command = self.place.command(&words);
        command
            .env("LD_PRELOAD", library("libpam_wrapper.so"))
            .env("PAM_WRAPPER", "1")
            .env("PAM_WRAPPER_SERVICE_DIR", self.place.path("pam"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Serving::start(command.spawn().unwrap())
    }

    /// The helpers that run for these rules: (number of the process, role).
    fn helpers(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words: Vec<_> =
                line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
            let is_ours = words.get(1).is_some_and(|word| word == "wharf-pam-helper")
                && words.get(3).is_some_and(|word| **word == self.service);
            if is_ours {
                let number = entry.file_name().into_string().unwrap();
                found.push((number, words[2].clone().into_owned()));
            }
        }
        found
    }

    fn kill(&self, role: &str) {
        for (number, _) in self.helpers().iter().filter(|(_, found)| found == role) {
            assert!(Command::new("kill").args(["-KILL", number]).status().unwrap().success());
        }
    }
}

#[test]
fn pam_accepts_rejects_and_honours_the_account() {
    let rules = Rules::new(1);
    let server = rules.serve(&[]);
    let mut client = server.login("anna", "right");
    assert!(client.stores("a.txt", "hello").starts_with("226 "));
    assert_eq!(rules.place.read("homes/anna/a.txt"), "hello");
    server.login("file", "secret");
    let rejected = server.tries("anna", "wrong");
    assert!(rejected.starts_with("530 "), "{rejected}");
    for (user, password) in
        [("anna", ""), ("gone", "right"), ("old", "right"), ("missing", "right")]
    {
        assert_eq!(server.tries(user, password), rejected, "{user}");
    }
    let (code, log) = server.stop();
    assert_eq!(code, Some(0));
    for part in [
        "attempted_user=\"anna\" reason=\"wrong password\"",
        "attempted_user=\"gone\" reason=\"the account is disabled\"",
        "attempted_user=\"old\" reason=\"PAM error: ",
    ] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    assert!(!log.contains("right") && !log.contains("auth-backend-unavailable"), "{log}");
    while !rules.helpers().is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn an_account_in_the_file_takes_precedence_over_the_system() {
    let rules = Rules::new(2);
    let users = rules.place.read("users.toml");
    rules.place.write("users.toml", &format!("{users}\n[users.ben]\nhome = \"kept\"\n"));
    rules.place.write("kept/mine", "kept");
    let server = rules.serve(&[]);
    assert_eq!(server.login("ben", "right").downloads("RETR mine"), "kept");
    rules.place.run(&["user", "disable", "ben"]).exits(0);
    assert!(server.tries("ben", "right").starts_with("530 "));
}

#[test]
fn a_worker_that_crashes_is_restarted_and_a_missing_helper_is_reported() {
    let rules = Rules::new(3);
    let mut server = rules.serve(&["--set", "accounts.pam.timeout=1s"]);
    server.login("anna", "right");
    rules.kill("worker");
    while !server.tries("anna", "right").starts_with("230") {}
    rules.kill("supervisor");
    rules.kill("worker");
    let reply = server.tries("anna", "right");
    assert!(!reply.starts_with('2'), "{reply}");
    server.login("file", "secret");
    server.waits_for("the PAM helper has exited; restart wharf");
}

#[test]
fn row_46_the_server_drops_privileges_and_pam_still_works() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: this is about root");
        return;
    }
    let rules = Rules::new(4);
    let own = |path: &Path| std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).unwrap();
    for name in ["", "homes", "kept", "users.toml"] {
        own(&rules.place.path(name));
    }
    // The helper stays root; only root can read the rules.
    fs::set_permissions(
        rules.place.path("people"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    let server = rules.serve(&["--set", "server.user=nobody"]);
    let user = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("Uid:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(user(&server.pid().to_string()), "65534");
    for (number, role) in rules.helpers() {
        assert_eq!(user(&number), "0", "{role}");
    }
    let mut client = server.login("anna", "right");
    assert!(client.stores("a.txt", "hello").starts_with("226 "));
    assert!(server.tries("anna", "wrong").starts_with("530 "));
}
