//! `wharf why` shows what the server does, and which rule decides it.

use serde_json::Value;

use crate::support::{Client, TestFolder};

/// The question, and the commands of a client that verify the answer.
struct Case {
    action: &'static str,
    path: &'static str,
    line: Line,
}

/// How a client tries it.
enum Line {
    /// One command; 2xx or 350 is a yes.
    Command(&'static str),
    /// A command that moves data.
    Moves(&'static str),
}

use Line::{Command, Moves};

const CASES: &[Case] = &[
    case("enter", "/", Command("CWD /")),
    case("enter", "/sub", Command("CWD /sub")),
    case("enter", "/a.txt", Command("CWD /a.txt")),
    case("enter", "/secret", Command("CWD /secret")),
    case("list", "/sub", Moves("NLST /sub")),
    case("list", "/secret", Moves("NLST /secret")),
    case("list", "/a.txt", Command("MLST /a.txt")),
    case("list", "/missing", Command("MLST /missing")),
    case("read", "/a.txt", Moves("RETR /a.txt")),
    case("read", "/missing", Moves("RETR /missing")),
    case("read", "/sub", Moves("RETR /sub")),
    case("read", "/in/x", Moves("RETR /in/x")),
    case("read", "/secret/x", Moves("RETR /secret/x")),
    case("read", "/out/x", Moves("RETR /out/x")),
    case("hash", "/a.txt", Command("HASH /a.txt")),
    case("hash", "/secret/x", Command("HASH /secret/x")),
    case("upload", "/new.txt", Moves("STOR /new.txt")),
    case("upload", "/in/new.txt", Moves("STOR /in/new.txt")),
    case("upload", "/in/x", Moves("STOR /in/x")),
    case("upload", "/all/over.txt", Moves("STOR /all/over.txt")),
    case("upload", "/all/none/x", Moves("STOR /all/none/x")),
    case("upload", "/all/sub", Moves("STOR /all/sub")),
    case("append", "/in/x", Moves("APPE /in/x")),
    case("append", "/a.txt", Moves("APPE /a.txt")),
    case("delete", "/all/gone.txt", Command("DELE /all/gone.txt")),
    case("delete", "/all/sub", Command("DELE /all/sub")),
    case("delete", "/a.txt", Command("DELE /a.txt")),
    case("rmdir", "/all/sub", Command("RMD /all/sub")),
    case("rmdir", "/all/full", Command("RMD /all/full")),
    case("rmdir", "/all/f.txt", Command("RMD /all/f.txt")),
    case("rmdir", "/sub", Command("RMD /sub")),
    case("rename", "/all/f.txt", Command("RNFR /all/f.txt")),
    case("rename", "/all/missing", Command("RNFR /all/missing")),
    case("rename", "/a.txt", Command("RNFR /a.txt")),
    case("rename", "/all", Command("RNFR /all")),
    case("mkdir", "/all/fresh", Command("MKD /all/fresh")),
    case("mkdir", "/all/full", Command("MKD /all/full")),
    case("mkdir", "/all/no/deep", Command("MKD /all/no/deep")),
    case("mkdir", "/fresh", Command("MKD /fresh")),
    case("chmod", "/all/f.txt", Command("SITE CHMOD 600 /all/f.txt")),
    case("chmod", "/a.txt", Command("SITE CHMOD 600 /a.txt")),
    case("mtime", "/all/f.txt", Command("MFMT 20200101000000 /all/f.txt")),
    case("mtime", "/a.txt", Command("MFMT 20200101000000 /a.txt")),
];

const fn case(action: &'static str, path: &'static str, line: Line) -> Case {
    Case { action, path, line }
}

impl Case {
    /// Whether the server lets the client do it.
    fn is_done(&self, client: &mut Client) -> bool {
        match self.line {
            Command(line) => client.command_lines(line).starts_with(['2', '3']),
            Moves(line) => {
                let data = client.data();
                let reply = client.command(line);
                drop(data);
                // If there is nothing to send, the first reply may be the last.
                reply.starts_with("150 ") && client.reply().starts_with("226 ")
            }
        }
    }
}

/// anna may read, drop files into /in, do all in /all and nothing in /secret.
fn place() -> TestFolder {
    let place = TestFolder::new();
    // A locally configured server must not be used.
    place.write("wharf.toml", "config_version = 1\n[control]\nsocket = \"run/control.sock\"\n");
    for folder in ["sub", "in", "secret", "all/sub", "all/full"] {
        std::fs::create_dir_all(place.path("home").join(folder)).unwrap();
    }
    for file in ["a.txt", "in/x", "secret/x", "all/full/x", "all/gone.txt", "all/f.txt"] {
        place.write(&format!("home/{file}"), "text");
    }
    place.write("home/all/over.txt", "text");
    place.write("outside", "text");
    std::os::unix::fs::symlink("../outside", place.path("home/out")).unwrap();
    let permissions = ["--path", "/in=upload", "--path", "/all=full", "--path", "/secret=none"];
    let words = ["user", "add", "anna", "--home", "home", "--permissions", "read"];
    let words = [&words[..], &permissions, &["--password-file", "-"]].concat();
    place.run_with(&words, "secret\n").exits(0);
    place
}

fn why(place: &TestFolder, words: &[&str]) -> Value {
    let ran = place.run(&[&["why", "--json"][..], words].concat());
    assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn why_reports_what_the_server_does() {
    let place = place();
    let server = place.serve(&["serve"]);
    let reported: Vec<_> =
        CASES.iter().map(|case| why(&place, &["anna", case.path, case.action])).collect();
    // Asking changes nothing.
    assert!(place.path("home/all/gone.txt").exists() && !place.path("home/all/fresh").exists());
    let mut anna = server.login("anna", "secret");
    for (case, reported) in CASES.iter().zip(&reported) {
        let verdict = if case.is_done(&mut anna) { "allow" } else { "deny" };
        assert_eq!(reported["verdict"], verdict, "{} {}: {reported}", case.action, case.path);
    }
    let denied = reported.iter().filter(|reported| reported["verdict"] == "deny").count();
    assert!(denied > 10 && denied < CASES.len() - 10, "{denied}");
}

#[test]
fn the_deciding_rule_is_reported_with_its_line() {
    let place = place();
    let ran = place.run(&["why", "anna", "/in/new.txt", "read"]).exits(1);
    assert_eq!(
        ran.out,
        "deny: anna may not download /in/new.txt\n  \
         permission paths.\"/in\" = \"upload\", without `read`\n  \
         origin     users.toml:10\n  \
         hint       wharf user edit anna --path /in=upload,read\n  \
         note       no running server was found: limits of sessions were not checked\n",
        "{}",
        place.read("users.toml")
    );
    let reported = why(&place, &["anna", "/a.txt", "RETR"]);
    assert_eq!((&reported["verdict"], &reported["kind"]), (&"allow".into(), &"permission".into()));
    assert_eq!(reported["what"], "permissions = \"read\"");
    assert_eq!(why(&place, &["anna", "/", "login"])["verdict"], "allow");
}

#[test]
fn every_reason_that_rejects_a_login_is_reported() {
    let place = place();
    let kind = |words: &[&str]| {
        let reported = why(&place, words);
        assert_eq!(reported["verdict"], "deny", "{reported}");
        (
            reported["kind"].as_str().unwrap().to_owned(),
            reported["what"].as_str().unwrap().to_owned(),
        )
    };
    let (of, what) = kind(&["anna", "/", "login", "--ip", "203.0.113.9", "--plain"]);
    assert_eq!(
        (&*of, &*what),
        ("tls", "tls.require = \"public\", and the client does not use TLS")
    );
    place.run(&["ban", "add", "203.0.113.9", "--reason", "scanner"]).exits(0);
    let (of, what) = kind(&["anna", "/", "login", "--ip", "203.0.113.9"]);
    assert_eq!((&*of, &*what), ("ban", "203.0.113.9 is banned: scanner"));
    place.run(&["user", "edit", "anna", "--quota-files", "1"]).exits(0);
    let (of, what) = kind(&["anna", "/all/new.txt", "upload"]);
    assert_eq!((&*of, &*what), ("quota", "quota_files = 1, and 13 are in use"));
    assert_eq!(why(&place, &["anna", "/all/over.txt", "upload"])["verdict"], "allow");
    // A virtual folder has a quota of its own, or none.
    let music = place.path("music");
    std::fs::create_dir(&music).unwrap();
    std::fs::write(music.join("one"), b"").unwrap();
    for (limit, verdict) in [("", "allow"), (":quota_files=1", "deny"), (":quota_files=2", "allow")]
    {
        let folder = format!("/music={}:read-write{limit}", music.display());
        place.run(&["user", "edit", "anna", "--folder", &folder]).exits(0);
        let reported = why(&place, &["anna", "/music/two", "upload"]);
        assert_eq!(reported["verdict"], verdict, "{limit}: {reported}");
        if verdict == "deny" {
            assert_eq!(reported["what"], "quota_files of /music = 1, and 1 are in use");
        }
    }
    let folder = format!("/music/in={}:read-write:quota_files=1", music.display());
    place.run(&["user", "edit", "anna", "--folder", &folder]).exits(0);
    let (_, what) = kind(&["anna", "/music/in/two", "upload"]);
    assert_eq!(what, "quota_files of /music/in = 1, and 1 are in use");
    place.run(&["user", "edit", "anna", "--folder", "/music/in="]).exits(0);
    let (of, what) = kind(&["anna", "/all/new.txt", "upload"]);
    assert_eq!((&*of, &*what), ("quota", "quota_files = 1, and 13 are in use"));
    place.run(&["user", "edit", "anna", "--folder", "/music="]).exits(0);
    place.write("wharf.toml", "config_version = 1\n[files]\noverwrite = false\n");
    let (of, what) = kind(&["anna", "/all/over.txt", "upload"]);
    assert_eq!((&*of, &*what), ("setting", "files.overwrite = false, and the file exists"));
    let off = "config_version = 1\n[compat]\ndisable_commands = [\"RETR\"]\n";
    place.write("wharf.toml", off);
    let (of, what) = kind(&["anna", "/a.txt", "read"]);
    assert_eq!((&*of, &*what), ("setting", "compat.disable_commands = [… \"RETR\" …]"));
    assert_eq!(why(&place, &["anna", "/a.txt", "read"])["origin"], "wharf.toml:3");
    place.run(&["user", "disable", "anna"]).exits(0);
    let (of, what) = kind(&["anna", "/a.txt", "list"]);
    assert_eq!((&*of, &*what), ("account", "enabled = false"));
}

#[test]
fn sessions_of_a_running_server_count() {
    let place = place();
    place.run(&["user", "edit", "anna", "--sessions", "1"]).exits(0);
    let server = place.serve(&["serve"]);
    assert_eq!(why(&place, &["anna", "/", "login"])["verdict"], "allow");
    let _anna = server.login("anna", "secret");
    let reported = why(&place, &["anna", "/", "login"]);
    assert_eq!(
        (&reported["kind"], &reported["what"]),
        (&"limit".into(), &"sessions = 1, and 1 are in use".into())
    );
}

#[test]
fn invalid_settings_are_rejected_with_a_hint() {
    let place = place();
    place.run(&["why", "ann", "/", "login"]).exits(4).reports("anna");
    place.run(&["why", "anonymous", "/", "list"]).exits(4).reports("anonymous access is off");
    place.run(&["why", "anna", "/", "fly"]).exits(2).reports("use login, enter, list");
    let odd = place.run(&["why", "anna", "/a\u{1}\n", "list"]).exits(1).out;
    assert!(odd.contains("\n  origin     home/a\\u{1}\\n\n"), "{odd}");
    place.write("users.toml", "[users.anna\n");
    place.run(&["why", "anna", "/", "login"]).exits(78).reports("users.toml");
}
