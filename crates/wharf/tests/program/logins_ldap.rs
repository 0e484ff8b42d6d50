//! Authentication by a directory: slapd, started by the test without privileges.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::support::{Serving, TestFolder, own_port};

/// A directory that runs, in a folder of its own.
struct Slapd {
    place: TestFolder,
    child: Option<Child>,
    ldap: u16,
    ldaps: u16,
}

const PEOPLE: &str = "
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=others,dc=example,dc=org
objectClass: organizationalUnit
ou: others

dn: cn=reader,dc=example,dc=org
objectClass: person
cn: reader
sn: reader
userPassword: reads

dn: cn=policy,dc=example,dc=org
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdLockout: TRUE

dn: cn=ftp,dc=example,dc=org
objectClass: groupOfNames
cn: ftp
member: uid=anna,ou=people,dc=example,dc=org
member: uid=a*b\\2c,ou=people,dc=example,dc=org
";

fn person(name: &str, dn: &str, ou: &str, more: &str) -> String {
    format!(
        "\ndn: uid={dn},ou={ou},dc=example,dc=org\nobjectClass: inetOrgPerson\n\
         objectClass: posixAccount\nuid: {name}\ncn: x\nsn: x\nuidNumber: 20001\n\
         gidNumber: 20001\nhomeDirectory: /nowhere/{name}\nuserPassword: right\n{more}"
    )
}

/// How often slapd is tried until it responds: a minute in total.
const ANSWER_TRIES_MAX: usize = 6_000;

/// Debian installs it outside of the default PATH.
fn program(name: &str) -> PathBuf {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/libexec"];
    let mut files = folders.iter().map(|folder| PathBuf::from(folder).join(name));
    files
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is missing: cargo xtask setup installs it"))
}

impl Slapd {
    fn start() -> Self {
        let place = TestFolder::new();
        fs::create_dir(place.path("data")).unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        place.write("ca.pem", &made.cert.pem());
        place.write("key.pem", &made.signing_key.serialize_pem());
        let path = |name: &str| place.path(name).display().to_string();
        let config = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\ninclude /etc/ldap/schema/nis.schema\n\
             modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload ppolicy\n\
             pidfile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * by dn.exact=\"cn=reader,dc=example,dc=org\" read by self read by * none\n\
             database mdb\nmaxsize 16777216\nsuffix \"dc=example,dc=org\"\n\
             rootdn \"cn=admin,dc=example,dc=org\"\nrootpw secret\ndirectory {}\n\
             overlay ppolicy\nppolicy_default \"cn=policy,dc=example,dc=org\"\n",
            path("pid"),
            path("ca.pem"),
            path("key.pem"),
            path("data"),
        );
        place.write("slapd.conf", &config);
        let people = [
            PEOPLE.to_owned(),
            person("anna", "anna", "people", "description: read-write\nemployeeNumber: 1MiB\n"),
            person("ben", "ben", "people", ""),
            person("a*b,", "a*b\\2c", "people", ""),
            person("twin", "twin", "people", ""),
            person("twin", "twin", "others", ""),
            person("gone", "gone", "people", "pwdAccountLockedTime: 000001010000Z\n"),
            person("odd", "odd", "people", "description: everything\n"),
        ];
        place.write("people.ldif", &people.concat());
        let mut add = Command::new(program("slapadd"));
        add.arg("-f").arg(place.path("slapd.conf")).arg("-l").arg(place.path("people.ldif"));
        let added = add.output().unwrap();
        assert!(added.status.success(), "{added:?}");
        let mut slapd = Self { place, child: None, ldap: own_port(), ldaps: own_port() };
        slapd.run();
        slapd
    }

    /// Starts it, and waits until it responds.
    fn run(&mut self) {
        let urls = format!("ldap://127.0.0.1:{} ldaps://127.0.0.1:{}", self.ldap, self.ldaps);
        let mut command = Command::new(program("slapd"));
        command.arg("-f").arg(self.place.path("slapd.conf")).args(["-h", &urls, "-d", "0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let answers = (0..ANSWER_TRIES_MAX).any(|_| {
            assert!(child.try_wait().unwrap().is_none(), "slapd ended");
            std::thread::sleep(std::time::Duration::from_millis(10));
            TcpStream::connect(("127.0.0.1", self.ldaps)).is_ok()
        });
        self.child = Some(child);
        assert!(answers, "slapd does not answer");
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// A server that uses it; `more` is added to `[accounts.ldap]`.
    fn place(&self, more: &str) -> TestFolder {
        let place = TestFolder::new();
        fs::create_dir(place.path("homes")).unwrap();
        fs::create_dir(place.path("kept")).unwrap();
        place.write("password", "reads\n");
        fs::set_permissions(place.path("password"), PermissionsExt::from_mode(0o600)).unwrap();
        place.write("ca.pem", &self.place.read("ca.pem"));
        let config = format!(
            "[accounts]\nauth_backends = [\"file\", \"ldap\"]\n\
             home = \"homes/%u\"\ncreate_home = true\n\
             [accounts.ldap]\nurls = [\"ldap://127.0.0.1:{}\"]\nca_file = \"ca.pem\"\n\
             timeout = \"20s\"\n{more}\n\
             [login]\nfailure_delay = \"0s\"\n[ban]\nenabled = false\n",
            self.ldap
        );
        place.write("wharf.toml", &config);
        let words = ["user", "add", "file", "--home", "kept", "--password-file", "-"];
        place.run_with(&words, "secret\n").exits(0);
        place
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.end();
    }
}

/// The usual settings of a directory.
const SEARCH: &str = "
base = \"dc=example,dc=org\"
filter = \"(&(objectClass=person)(uid=%u))\"
bind_dn = \"cn=reader,dc=example,dc=org\"
bind_password_file = \"password\"
permissions_attribute = \"description\"
quota_attribute = \"employeeNumber\"
";

#[track_caller]
fn rejects(server: &Serving, user: &str, password: &str) {
    let reply = server.tries(user, password);
    assert!(reply.starts_with("530 "), "{user} {password}: {reply}");
}

#[track_caller]
fn has(log: &str, parts: &[&str]) {
    for part in parts {
        assert!(log.contains(part), "{part} is not in {log}");
    }
}

#[test]
fn the_directory_accepts_rejects_and_does_not_know_a_user() {
    let slapd = Slapd::start();
    let place = slapd.place(SEARCH);
    let server = place.serve(&[]);
    let mut client = server.login("anna", "right");
    assert!(client.stores("a.txt", "hello").starts_with("226 "));
    assert_eq!(place.read("homes/anna/a.txt"), "hello");
    let reply = client.stores("large", &"x".repeat(2 << 20));
    assert!(reply.starts_with("552 "), "the quota is the directory's: {reply}");
    assert!(server.login("ben", "right").stores("a", "x").starts_with("553 "), "read by default");
    // Another spelling is the same account, with the same home.
    assert_eq!(server.login("ANNA", "right").downloads("RETR a.txt"), "hello");
    assert!(!place.path("homes/ANNA").exists());
    server.login("file", "secret");
    for (user, password) in [
        ("anna", "wrong"),
        ("anna", ""),
        ("ben", ""),
        ("nobody", "right"),
        ("nobody", ""),
        ("gone", "right"),
        ("twin", "right"),
        ("odd", "right"),
        ("file", "right"),
    ] {
        rejects(&server, user, password);
    }
    let (_, log) = server.stop();
    has(
        &log,
        &[
            "attempted_user=\"anna\" reason=\"wrong password\"",
            "attempted_user=\"nobody\" reason=\"unknown account\"",
            "attempted_user=\"gone\" reason=\"wrong password\"",
            "attempted_user=\"twin\" reason=\"several entries match this name",
            "attempted_user=\"odd\" reason=\"invalid attribute description: ",
        ],
    );
    assert!(!log.contains("auth-backend-unavailable") && !log.contains("\"right\""), "{log}");
}

#[test]
fn row_21_no_name_is_more_than_a_name() {
    let slapd = Slapd::start();
    for more in [SEARCH, "user_dn = \"uid=%u,ou=people,dc=example,dc=org\""] {
        let place = slapd.place(more);
        let server = place.serve(&[]);
        server.login("a*b,", "right");
        for user in [
            "*", "an*", "anna)(uid=*", "*)(uid=anna", "anna)(|(uid=*", "anna,ou=people", "a*b\\2c",
            "anna+uid=ben", "(&)",
        ] {
            for password in ["right", ""] {
                let reply = server.tries(user, password);
                assert!(reply.starts_with("530 ") || reply.starts_with("503 "), "{user}: {reply}");
            }
        }
        let (_, log) = server.stop();
        assert!(!log.contains("auth-backend-unavailable"), "{log}");
    }
}

#[test]
fn a_group_can_be_required_and_a_dn_built_without_a_search() {
    let slapd = Slapd::start();
    let group = format!("{SEARCH}\ngroup = \"cn=ftp,dc=example,dc=org\"");
    let place = slapd.place(&group);
    let server = place.serve(&[]);
    server.login("anna", "right");
    server.login("a*b,", "right");
    rejects(&server, "ben", "right");
    let (_, log) = server.stop();
    has(
        &log,
        &["attempted_user=\"ben\" reason=\"the user is not a member of accounts.ldap.group\""],
    );
    let place = slapd.place("user_dn = \"uid=%u,ou=people,dc=example,dc=org\"");
    let server = place.serve(&["--set", "accounts.ldap.permissions_attribute=description"]);
    assert!(server.login("anna", "right").stores("a", "x").starts_with("226 "));
    for (user, password) in [("anna", "wrong"), ("anna", ""), ("nobody", "right")] {
        rejects(&server, user, password);
    }
}

#[test]
fn tls_is_requested_and_its_authority_is_verified() {
    let slapd = Slapd::start();
    let place = slapd.place(SEARCH);
    let ldaps = format!("accounts.ldap.urls=ldaps://127.0.0.1:{}", slapd.ldaps);
    place.serve(&["--set", &ldaps]).login("anna", "right");
    place.serve(&["--set", "accounts.ldap.start_tls=false"]).login("anna", "right");
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    place.write("ca.pem", &other.cert.pem());
    for words in [&[][..], &["--set", &ldaps]] {
        let server = place.serve(words);
        let reply = server.tries("anna", "right");
        assert!(!reply.starts_with('2'), "{reply}");
        let (_, log) = server.stop();
        has(&log, &["invalid peer certificate"]);
    }
}

#[test]
fn an_unavailable_directory_is_reported_once_the_next_one_is_tried_and_the_file_works() {
    let mut slapd = Slapd::start();
    let place = slapd.place(SEARCH);
    let nobody = own_port();
    let two =
        format!("accounts.ldap.urls=ldap://127.0.0.1:{nobody}, ldap://127.0.0.1:{}", slapd.ldap);
    let mut server = place.serve(&["--set", &two]);
    server.login("anna", "right");
    slapd.end();
    let first = server.tries("anna", "right");
    assert!(!first.starts_with('2'), "{first}");
    assert_eq!(server.tries("nobody", "right"), first, "an unknown name gets the same reply");
    server.login("file", "secret");
    server.waits_for("event=auth-backend-unavailable backend=\"ldap\" reason=\"ldap://127.0.0.1:");
    assert_eq!(server.tries("anna", "right"), first);
    slapd.run();
    server.login("anna", "right");
    server.waits_for("event=auth-backend-recovered backend=\"ldap\"");
    let (_, rest) = server.stop();
    assert!(!rest.contains("auth-backend-unavailable"), "once: {rest}");
}

#[test]
fn wrong_ldap_settings_are_reported_and_are_not_failed_attempts() {
    let slapd = Slapd::start();
    let place = slapd.place(SEARCH);
    for (setting, why) in [
        (
            "accounts.ldap.bind_dn=cn=nobody,dc=example,dc=org",
            "cannot bind as accounts.ldap.bind_dn: code 49",
        ),
        ("accounts.ldap.base=dc=elsewhere,dc=org", "accounts.ldap.base does not exist"),
        ("accounts.ldap.group=cn=none,dc=example,dc=org", "accounts.ldap.group does not exist"),
    ] {
        let server = place.serve(&["--set", setting]);
        let reply = server.tries("anna", "right");
        assert!(!reply.starts_with('2'), "{setting}: {reply}");
        server.login("file", "secret");
        let (_, log) = server.stop();
        has(&log, &[why]);
        assert!(!log.contains("reads"), "{log}");
    }
}

#[test]
fn many_names_are_answered_and_the_transfer_continues() {
    const NAMES: usize = 60;
    let slapd = Slapd::start();
    let place = slapd.place(SEARCH);
    let server = &place.serve(&[
        "--set",
        "accounts.ldap.connections=2",
        "--set",
        "limits.connections_per_ip=0",
        "--set",
        "limits.connections_before_login=0",
    ]);
    std::thread::scope(|scope| {
        let storm: Vec<_> = (0..NAMES)
            .map(|number| scope.spawn(move || server.tries(&format!("name{number}"), "right")))
            .collect();
        server.login("file", "secret");
        for login in storm {
            let reply = login.join().unwrap();
            assert!(reply.starts_with('5') || reply.starts_with('4'), "{reply}");
        }
    });
    server.login("anna", "right");
}

#[test]
fn row_17_57_an_account_is_denied_and_locked_by_the_name_that_the_directory_has() {
    let slapd = Slapd::start();
    // `read-write` is a second name of anna's entry.
    let alias = SEARCH.replace("(uid=%u)", "(|(uid=%u)(description=%u))");
    let place = slapd.place(&alias);
    place.serve(&[]).login("read-write", "right");
    let config = place.read("wharf.toml");
    place.write("wharf.toml", &config.replace("[login]", "[login]\ndeny_users = [\"anna\"]"));
    let server = place.serve(&[]);
    for user in ["anna", "ANNA", "read-write"] {
        rejects(&server, user, "right");
    }
    server.login("ben", "right");
    let (_, log) = server.stop();
    has(&log, &["attempted_user=\"read-write\" reason=\"the name is in login.deny_users\""]);
    let bans = "[ban]\nenabled = true\nallow = []\naccount_attempts = 3\n";
    place.write("wharf.toml", &config.replace("[ban]\nenabled = false\n", bans));
    let server = place.serve(&[]);
    for user in ["read-write", "ANNA", "read-write"] {
        rejects(&server, user, "wrong");
    }
    for user in ["anna", "read-write"] {
        rejects(&server, user, "right");
    }
    server.login("ben", "right");
    let (_, log) = server.stop();
    has(
        &log,
        &["event=account-locked", "attempted_user=\"read-write\" reason=\"the account is locked"],
    );
}
