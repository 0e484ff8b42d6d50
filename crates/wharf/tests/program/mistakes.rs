//! Mistakes of users, and the message that each one gets: what is wrong, where, and what to do.
//!
//! The messages are in `crates/wharf/snapshots/mistakes-*.txt`, to be read as a whole.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use crate::support::TestFolder;
use wharf_testkit::assert_same;

/// One run of the program that must fail.
struct Mistake {
    title: &'static str,
    place: TestFolder,
    words: Vec<String>,
    input: &'static str,
    environment: Vec<(&'static str, &'static str)>,
}

/// The text of all mistakes of one kind.
struct Page {
    name: &'static str,
    text: String,
}

/// Starts a mistake with the words of its command line.
fn mistake(title: &'static str, line: &str) -> Mistake {
    let words = line.split(' ').filter(|word| !word.is_empty());
    Mistake {
        title,
        place: TestFolder::new(),
        words: words.map(str::to_owned).collect(),
        input: "",
        environment: Vec::new(),
    }
}

impl Mistake {
    /// With a file.
    fn file(self, name: &str, text: &str) -> Self {
        let path = self.place.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        self.private(name)
    }

    /// With a folder.
    fn folder(self, name: &str) -> Self {
        std::fs::create_dir_all(self.place.path(name)).unwrap();
        self
    }

    /// With an empty configuration file and one account.
    fn server(self) -> Self {
        self.folder("home").file("wharf.toml", SOCKET).file("users.toml", ACCOUNTS)
    }

    /// A file that only its owner may read.
    fn private(self, name: &str) -> Self {
        self.mode(name, 0o600)
    }

    fn mode(self, name: &str, mode: u32) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.place.path(name), mode).unwrap();
        self
    }

    fn input(mut self, input: &'static str) -> Self {
        self.input = input;
        self
    }

    fn environment(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// Runs it, and appends its exit code and output to the page.
    #[track_caller]
    fn on(self, page: &mut Page) {
        let words: Vec<_> = self.words.iter().map(String::as_str).collect();
        let mut command = self.place.command(&words);
        command.envs(self.environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that does not read its input may have ended.
        let _ = child.stdin.take().unwrap().write_all(self.input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let code = output.status.code().unwrap();
        let folder = self.place.path("");
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            let text = text.replace(folder.to_str().unwrap(), "DIR/");
            text.replace(folder.to_str().unwrap().trim_end_matches('/'), "DIR")
        };
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert!(code != 0 && !err.contains("panicked"), "{}: {out}{err}", self.title);
        let shown: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        let shown = text(shown.join(" ").into_bytes());
        let _ = writeln!(page.text, "## {}\n\n$ wharf {shown}", self.title);
        for part in [&out, &err] {
            for line in part.lines() {
                let _ = writeln!(page.text, "{}", line.trim_end());
            }
        }
        let _ = writeln!(page.text, "exit code {code}\n");
    }
}

impl Page {
    fn new(name: &'static str) -> Self {
        Self { name, text: String::new() }
    }

    #[track_caller]
    fn is_as_read_last(&self) {
        assert_same(&format!("crates/wharf/snapshots/mistakes-{}.txt", self.name), &self.text);
    }
}

fn quoted(word: &str) -> String {
    if word.is_empty() || word.contains([' ', '$', '*', ';']) {
        format!("'{word}'")
    } else {
        word.to_owned()
    }
}

/// Configuration files with a mistake.
pub(crate) const CONFIGURATIONS: &[(&str, &str)] = &[
    ("not TOML", "[server\n"),
    ("text without quotes", "[passive]\nports = 30000-30999\n"),
    ("same key twice", "[server]\ngreeting = \"a\"\ngreeting = \"b\"\n"),
    ("same section twice", "[server]\n[tls]\n[server]\n"),
    ("not UTF-8 text", "# \u{1}\n[server]\ngreeting = \"\u{7f}\"\n"),
    ("old name of a key", "[files]\nkeep_partials = \"1h\"\n"),
    ("key of another server", "anonymous_enable = true\n"),
    ("yes instead of true", "[login]\nanonymous = yes\n"),
    ("rate in bits", "[limits]\nupload_rate = \"10Mbit/s\"\n"),
    ("quota that is a word", "[limits]\nuser_quota = \"much\"\n"),
    ("unknown time zone style", "[names]\nlist_time = \"berlin\"\n"),
    ("invalid network", "[passive]\nlocal_networks = [\"10.0.0.0/40\"]\n"),
    ("public address with a port", "[passive]\npublic_address = \"203.0.113.7:21\"\n"),
    ("listener without a list", "[listen]\nport = 21\n"),
    ("unknown account store", "[accounts]\nstore = \"mysql://db/ftp\"\n"),
    ("unknown login backend", "[accounts]\nauth_backends = [\"kerberos\"]\n"),
    ("unknown event of a hook", "[events]\non_uploaded = [\"/bin/true\"]\n"),
    ("hook as text", "[events]\non_upload = \"/bin/true\"\n"),
    ("hook program missing", "[events]\non_upload = [\"/no/such\"]\n"),
    ("unknown placeholder of a hook", "[events]\non_upload = [\"/bin/true\", \"{pfad}\"]\n"),
    ("webhook URL without scheme", "[[webhook]]\nurl = \"example.com/x\"\n"),
    ("maximum below zero", "[limits]\nconnections = -3\n"),
    ("number as text", "[limits]\nconnections = \"many\"\n"),
    ("number too high", "[events]\nworkers = 61\n"),
    ("unknown log level", "[log]\nlevel = \"verbose\"\n"),
    ("newer file", "config_version = 9\n"),
];

/// Files of accounts with a mistake.
pub(crate) const STORES: &[(&str, &str)] = &[
    ("accounts not TOML", "[users.anna\n"),
    ("unknown key", "[users.anna]\nhome = \"home\"\npasword = \"x\"\n"),
    ("plain password", "[users.anna]\nhome = \"home\"\npassword = \"secret\"\n"),
    ("home key missing", "[users.anna]\npassword = \"!\"\n"),
    ("wrong type", "[users.anna]\nhome = \"home\"\nsessions = \"three\"\n"),
    ("unknown permissions", "[users.anna]\nhome = \"home\"\npermissions = \"all\"\n"),
    ("unknown group", "[users.anna]\nhome = \"home\"\ngroups = [\"staff\"]\n"),
    ("no_password without addresses", "[users.anna]\nhome = \"home\"\nno_password = true\n"),
    ("hours invalid in the file", "[users.anna]\nhome = \"home\"\nhours = [\"monday\"]\n"),
];

/// A control socket of its own: the usual one may be that of another server.
pub(crate) const SOCKET: &str = "[control]\nsocket = \"control.sock\"\n";

/// One account, whose password is `secret`.
pub(crate) const ACCOUNTS: &str = "[users.anna]\n\
    password = \"$1$kx5A4Jm7$pRFSKIuWSPuMmAvh9EI32/\"\n\
    home = \"home\"\npermissions = \"read-write\"\n";

/// A new certificate and its key, as PEM.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn mistakes_in_command_lines() {
    let mut page = Page::new("command-line");
    for (title, line) in [
        ("command with a typo", "usr"),
        ("command with a typo, and its arguments", "usr list"),
        ("command of another program", "delete anna --yes"),
        ("start, a command of another program", "start"),
        ("help, a command of another program", "help"),
        ("value of an option that has none", "check --strict=yes"),
        ("option with a typo", "--foregroundlog"),
        ("unknown subcommand", "user create anna"),
        ("subcommand with a typo", "config shwo"),
        ("value without =", "user edit anna --require-tls false"),
        ("subcommand missing", "user"),
        ("argument missing", "user add"),
        ("folder that does not exist", "-d none"),
        ("port too high", "-p 70000"),
        ("port that is a word", "-p ftp"),
        ("passive port range reversed", "-r 31000-30000"),
        ("passive port range with a colon", "-r 30000:31000"),
        ("listen address that is a host name", "-i localhost"),
        ("option without its value", "-p"),
        ("option given twice", "-p 2121 -p 2122"),
        ("rate in bits", "--upload-rate 10Mbit/s"),
        ("rate without unit", "--download-rate fast"),
        ("time without unit", "--for 90"),
        ("time of zero", "--for 0s"),
        ("unknown TLS mode", "--tls on"),
        ("unknown TLS requirement", "--require-tls yes"),
        ("certificate without its key", "--certificate cert.pem"),
        ("character set unknown", "--legacy-encoding latin9000"),
        ("options that exclude each other", "-A -u me"),
        ("dropbox without anonymous", "--dropbox"),
        ("configuration value without =", "--set passive.ports"),
        ("configuration key with a typo", "config show --set passive.prots=1-2"),
        ("value of a key with a wrong type", "check config --set limits.connections=many"),
        ("value of a key out of range", "check config --set limits.connections=-3"),
        ("value of a key that is not a word", "check config --set log.level=verbose"),
        ("maximum that is negative", "--connections=-1"),
        ("invalid user name", "-u a/b"),
        ("invalid user name in a printed configuration", "-u a/b --print-config"),
        ("password file missing", "-u me --password-file none"),
        ("anonymous write access without confirmation", "-A -w"),
        ("unknown check", "check everything"),
        ("shell of completions unknown", "completions csh"),
        ("unknown color setting", "--color sometimes check"),
        ("two folders", "-d a b"),
    ] {
        mistake(title, line).on(&mut page);
    }
    mistake("password file empty", "-u me --password-file pw").file("pw", "").on(&mut page);
    mistake("password on empty standard input", "-u me --password-file -").on(&mut page);
    mistake("folder that is a file", "-d notes.txt").file("notes.txt", "x").on(&mut page);
    mistake("password file is a folder", "-u me --password-file pw").folder("pw").on(&mut page);
    mistake("man pages into a file", "man notes.txt").file("notes.txt", "x").on(&mut page);
    mistake("hash of an empty password", "hash --password-file -").input("\n").on(&mut page);
    page.is_as_read_last();
}

#[test]
fn mistakes_in_configuration_files() {
    let mut page = Page::new("configuration");
    mistake("file missing", "-c none.toml check config").on(&mut page);
    mistake("file is a folder", "-c conf check config").folder("conf").on(&mut page);
    mistake("file named by the environment is missing", "config show")
        .environment("WHARF_CONFIG", "none.toml")
        .on(&mut page);
    mistake("value of the environment wrong", "check config")
        .environment("WHARF__LIMITS__CONNECTIONS", "many")
        .on(&mut page);
    mistake("key of the environment unknown", "check config")
        .environment("WHARF__TLS__CERT", "a.pem")
        .on(&mut page);
    for (title, text) in CONFIGURATIONS {
        mistake(title, "-c wharf.toml check config").file("wharf.toml", text).on(&mut page);
    }
    mistake("webhook secret missing", "-c wharf.toml serve --for 10s")
        .server()
        .file("wharf.toml", "[[webhook]]\nurl = \"http://localhost/\"\nsecret_file = \"none\"\n")
        .on(&mut page);
    mistake("migrate a missing file", "-c none.toml config migrate").on(&mut page);
    mistake("migrate a file that is not TOML", "-c wharf.toml config migrate --write")
        .file("wharf.toml", "[server\n")
        .on(&mut page);
    page.is_as_read_last();
}

#[test]
fn mistakes_with_accounts() {
    let mut page = Page::new("accounts");
    for (title, line) in [
        ("account that does not exist", "user show ana"),
        ("account unlike any other", "user show zoe"),
        ("account exists", "user add anna --home home --generate"),
        ("name with a slash", "user add a/b --home home --generate"),
        ("home missing in the command", "user add ben --generate"),
        ("home folder missing", "user add ben --home none --generate"),
        ("home is a file", "user add ben --home users.toml --generate"),
        ("unknown permission", "user edit anna --permissions writable"),
        ("unknown permission letter", "user edit anna --permissions elrz"),
        ("path without slash", "user edit anna --path incoming=read"),
        ("path without permissions", "user edit anna --path /incoming"),
        ("virtual folder without target", "user edit anna --folder /music"),
        ("quota without unit", "user edit anna --quota lots"),
        ("sessions that are a word", "user edit anna --sessions many"),
        ("rate in bits", "user edit anna --upload-rate 10Mbit/s"),
        ("hours invalid", "user edit anna --hours 25:00-26:00"),
        ("expiry date in another order", "user edit anna --expires 31.01.2027"),
        ("allowed address invalid", "user edit anna --allowed-address 10.0.0"),
        ("no password and no address", "user edit anna --no-password"),
        ("unknown key to unset", "user edit anna --unset qota"),
        ("nothing to change", "user edit anna"),
        ("group that does not exist", "user edit anna --group staf"),
        ("password hash invalid", "user passwd anna --hash secret"),
        ("password file missing", "user passwd anna --password-file none"),
        ("deletion without confirmation", "user del anna"),
        ("deletion of an unknown account", "user del zoe --yes"),
        ("copy to the same store", "user copy --to file"),
        ("copy to an unknown kind of store", "user copy --to mysql:db"),
        ("copy from a missing database", "user copy --from sqlite:none.db"),
        ("group unknown", "group show staff"),
        ("group unknown, to be changed", "group edit staff"),
        ("group name invalid", "group add a/b"),
    ] {
        mistake(title, &format!("-c wharf.toml {line}")).server().on(&mut page);
    }
    mistake("deletion of a group with members", "-c wharf.toml group del staff")
        .server()
        .file("users.toml", &format!("{ACCOUNTS}groups = [\"staff\"]\n[groups.staff]\n"))
        .on(&mut page);
    page.is_as_read_last();
}

#[test]
fn mistakes_in_stores_of_accounts() {
    let mut page = Page::new("account-stores");
    for (title, text) in STORES {
        mistake(title, "-c wharf.toml check users").server().file("users.toml", text).on(&mut page);
    }
    mistake("accounts readable by every user", "-c wharf.toml check users")
        .server()
        .mode("users.toml", 0o644)
        .on(&mut page);
    mistake("accounts file missing", "-c wharf.toml serve --for 10s")
        .file("wharf.toml", "")
        .on(&mut page);
    mistake("database is not a database", "-c wharf.toml user list")
        .file("wharf.toml", "[accounts]\nstore = \"sqlite:accounts.db\"\n")
        .file("accounts.db", &"not a database ".repeat(100))
        .on(&mut page);
    mistake("database in a missing folder", "-c wharf.toml user list")
        .file("wharf.toml", "[accounts]\nstore = \"sqlite:none/accounts.db\"\n")
        .on(&mut page);
    for (title, store) in [
        ("database URL without a user", "postgres://db"),
        ("database port is a word", "postgres://me@127.0.0.1:port/ftp"),
    ] {
        mistake(title, "-c wharf.toml user list")
            .file("wharf.toml", &format!("[accounts]\nstore = \"{store}\"\n"))
            .on(&mut page);
    }
    mistake("database server not running", "-c wharf.toml user list")
        .file("wharf.toml", "[accounts]\nstore = \"postgres://me@127.0.0.1:1/ftp\"\n")
        .on(&mut page);
    page.is_as_read_last();
}

#[test]
fn mistakes_with_certificates_files_and_ports() {
    let mut page = Page::new("start");
    let (certificate, key) = certificate();
    let (_, other_key) = self::certificate();
    let (certificate, key) = (certificate.as_str(), key.as_str());
    let (begin, _) = certificate.split_at(certificate.len() / 2);
    let damaged = format!("{begin}\n-----END CERTIFICATE-----\n");
    let tls = |name: &str| format!("[tls]\ncertificate = \"{name}\"\nprivate_key = \"key.pem\"\n");
    for (title, certificate, key) in [
        ("certificate missing", None, Some(key)),
        ("key missing", Some(certificate), None),
        ("certificate is not PEM", Some("hello\n"), Some(key)),
        ("certificate file has a key only", Some(key), Some(key)),
        ("key file has no key", Some(certificate), Some(certificate)),
        ("key belongs to another certificate", Some(certificate), Some(other_key.as_str())),
        ("certificate damaged", Some(damaged.as_str()), Some(key)),
    ] {
        let mut one = mistake(title, "-c wharf.toml check tls").server();
        one = one.file("wharf.toml", &tls("cert.pem"));
        if let Some(text) = certificate {
            one = one.file("cert.pem", text);
        }
        if let Some(text) = key {
            one = one.file("key.pem", text);
        }
        one.on(&mut page);
    }
    mistake("key readable by every user", "-c wharf.toml check tls")
        .server()
        .file("wharf.toml", &tls("cert.pem"))
        .file("cert.pem", certificate)
        .file("key.pem", key)
        .mode("key.pem", 0o644)
        .on(&mut page);
    for (title, text) in [
        ("log in a missing folder", "[log]\nfile = \"none/wharf.log\"\n"),
        ("log is a folder", "[log]\nfile = \"home\"\n"),
        ("audit log is a device", "[log]\naudit_file = \"/dev/null\"\n"),
        ("anonymous folder missing", "[login]\nanonymous = true\nanonymous_home = \"none\"\n"),
        ("address of another computer", "[[listen]]\naddress = \"192.0.2.1\"\nport = 0\n"),
    ] {
        mistake(title, "-c wharf.toml serve --for 10s")
            .server()
            .file("wharf.toml", text)
            .on(&mut page);
    }
    let is_list = |line: &&str| line.starts_with("hint: its addresses are ");
    let own = page.text.lines().find(is_list).unwrap().to_owned();
    page.text = page.text.replace(&own, "hint: its addresses are ADDRESSES");
    page.is_as_read_last();
}

#[test]
fn mistakes_with_ports_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut page = Page::new("ports");
    let line = format!("-i 127.0.0.1 -p {port} -P secret -u me");
    mistake("port in use", &line).on(&mut page);
    mistake("port in use, with a configuration", "-c wharf.toml serve --for 10s")
        .server()
        .file("wharf.toml", &format!("[[listen]]\naddress = \"127.0.0.1\"\nport = {port}\n"))
        .on(&mut page);
    let check = mistake("check of a port in use", "-c wharf.toml check ports").server();
    let range = check.place.range();
    let listen = format!("[[listen]]\naddress = \"127.0.0.1\"\nport = {port}\n");
    let config = format!("{listen}[passive]\nports = \"{range}\"\n");
    check.file("wharf.toml", &config).on(&mut page);
    page.text = page.text.replace(&range, "FIRST-LAST");
    mistake("the same port twice", "-c wharf.toml check config")
        .file("wharf.toml", "[[listen]]\nport = 2121\n[[listen]]\nport = 2121\n")
        .on(&mut page);
    mistake("bench of a port without server", "bench 127.0.0.1:1 --tls off").on(&mut page);
    let closed = "check --ask 127.0.0.1:1";
    mistake("check of a port without server", closed).on(&mut page);
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    let holder = format!("pid {} ({})", std::process::id(), name.trim_end());
    page.text = page.text.replace(&port, "PORT").replace(&holder, "pid PID (PROGRAM)");
    page.is_as_read_last();
}

#[test]
fn mistakes_with_imports() {
    let mut page = Page::new("import");
    for (title, line) in [
        ("pyftpdlib: folder missing", "import pyftpdlib none"),
        ("pureftpd: file missing", "import pureftpd none"),
        ("vsftpd: file missing", "import vsftpd none.conf"),
        ("csv: file missing", "import csv none.csv"),
        ("unknown server", "import filezilla x.xml"),
        ("character set unknown", "import csv none.csv --source-encoding klingon"),
    ] {
        mistake(title, line).on(&mut page);
    }
    mistake("pyftpdlib: folder without its files", "import pyftpdlib old")
        .folder("old")
        .on(&mut page);
    mistake("pyftpdlib: not Python", "import pyftpdlib old")
        .file("old/settings.py", "port = = 21\n")
        .file("old/user.py", "")
        .on(&mut page);
    for (title, text) in [
        ("csv: empty file", ""),
        ("csv: no name column", "login_name,home\nanna,home\n"),
        ("csv: no home column", "name,password\nanna,secret\n"),
        ("csv: column twice", "name,home,name\na,home,b\n"),
        ("csv: quote without its end", "name,home\n\"anna,home\n"),
        ("csv: row too short", "name,home,password\nanna\n"),
    ] {
        mistake(title, "import csv users.csv --write").file("users.csv", text).on(&mut page);
    }
    mistake("csv: account exists", "-c wharf.toml import csv users.csv --write")
        .server()
        .file("users.csv", "name,home,password\nanna,home,x\n")
        .on(&mut page);
    mistake("configuration exists", "-c wharf.toml import vsftpd vsftpd.conf --write")
        .server()
        .file("vsftpd.conf", "listen_port=2121\n")
        .on(&mut page);
    mistake("pureftpd: compiled file", "import pureftpd pureftpd.pdb")
        .file("pureftpd.pdb", "\u{0}\u{8}\u{0}\u{0}binary\u{0}\n")
        .on(&mut page);
    page.is_as_read_last();
}

#[test]
fn mistakes_with_the_running_server() {
    let mut page = Page::new("control");
    for (title, line) in [
        ("no server", "status"),
        ("no server to reload", "reload"),
        ("no server to stop", "stop"),
        ("no server for the log", "log -f"),
        ("kick of nothing", "kick"),
        ("kick of a name", "kick anna"),
        ("kick of an invalid address", "kick --ip somewhere"),
        ("lines of the log that are a word", "log -n many"),
        ("why: invalid address", "why anna / list --ip here"),
        ("bench: sessions that are a word", "bench localhost --sessions many"),
        ("state unknown", "who --state sleeping"),
        ("socket missing", "status --socket none.sock"),
        ("ban of a host name", "ban add example.com"),
        ("ban of an invalid network", "ban add 10.0.0.0/99"),
        ("ban without time unit", "ban add 10.0.0.1 --for 5"),
        ("ban for no time", "ban add 10.0.0.1 --for 0s"),
        ("ban of nothing", "ban add"),
        ("unban of nothing", "ban del"),
        ("unban of an address without a ban", "ban del 10.0.0.1"),
        ("all bans without confirmation", "ban clear"),
        ("why: unknown account", "why zoe / list"),
        ("why: unknown action", "why anna / fly"),
        ("why: path without slash", "why anna docs list"),
        ("why: denied", "why anna / chmod"),
        ("service: status without service", "service uninstall --root image"),
        ("service: unknown kind", "service unit --kind openrc"),
        ("service: unknown account", "service install --user no-such-user --root image"),
        ("bench: unknown case", "bench localhost --only speed"),
        ("bench: too many hosts", "bench a b"),
        ("ask: user without ask", "check --user anna"),
    ] {
        let line = format!("-c wharf.toml {line}");
        mistake(title, &line).server().folder("image").on(&mut page);
    }
    mistake("socket is a file", "status --socket notes").file("notes", "x").on(&mut page);
    page.is_as_read_last();
}
