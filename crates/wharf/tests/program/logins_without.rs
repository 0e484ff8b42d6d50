//! Errors in the settings of authentication backends, before any login.

use crate::support::{Place, Ran};

fn check(config: &str) -> Ran {
    let place = Place::new();
    place.write("wharf.toml", config);
    place.run(&["check", "config"])
}

#[test]
fn errors_are_reported_with_their_position_and_a_hint() {
    for (config, what, remedy) in [
        ("[accounts]\nlogin = [\"ldapp\"]", "nobody called `ldapp`", "did you mean \"ldap\"?"),
        ("[accounts]\nlogin = []", "nobody would prove passwords", "write [\"file\"]"),
        ("[accounts]\nhome = \"/srv/%n\"", "is no home for accounts", "%u stands for the name"),
        ("[accounts]\npermissions = \"most\"", "most", "help: "),
        ("[accounts.ldap]\nurls = [\"http://a\"]", "begins with neither", "ldap://HOST"),
        ("[accounts.ldap]\nurl = [\"ldap://a\"]", "unknown key `accounts.ldap.url`", "urls"),
        ("[accounts]\nldap = 1", "is a section, not a key", "[accounts.ldap]"),
        ("[accounts.http]\nurl = \"https://a:b@c/\"", "the URL` holds a name", "https://HOST"),
    ] {
        check(config).exits(78).tells("wharf.toml:").tells(what).tells(remedy);
    }
    let ran = check("[accounts.ldap]\nurls = [\"ldaps://dc1.example.com\"]\n").exits(0);
    ran.tells("does nothing as long as `accounts.auth_backends` does not name it")
        .tells("\"ldap\"]");
}

#[cfg(not(any(feature = "pam", feature = "ldap", feature = "http-login")))]
#[test]
fn a_build_without_them_reports_it_and_how_to_get_them() {
    for (word, name) in [("pam", "PAM"), ("ldap", "LDAP"), ("http", "HTTP logins")] {
        let ran = check(&format!("[accounts]\nlogin = [\"file\", \"{word}\"]\n")).exits(78);
        ran.tells(&format!("this wharf was built without {name}")).tells("--features ");
    }
}

#[cfg(all(feature = "pam", feature = "ldap", feature = "http-login"))]
#[test]
fn contradictions_are_reported_too() {
    let ldap = "[accounts]\nlogin = [\"ldap\"]\n[accounts.ldap]\nurls = [\"ldaps://127.0.0.1\"]\n";
    let http = "[accounts]\nlogin = [\"http\"]\n[accounts.http]\n";
    for (config, what, remedy) in [
        ("[accounts]\nlogin = [\"ldap\"]".to_owned(), "where the directory is", "urls = ["),
        (ldap.to_owned(), "where the directory is searched", "base = "),
        (format!("{ldap}base = \"x\"\nfilter = \"(uid=a)\""), "same for every name", "%u"),
        (format!("{ldap}base = \"x\"\nfilter = \"uid=%u)\""), "is no filter", "brackets"),
        (format!("{ldap}user_dn = \"uid=a\""), "same for every name", "%u"),
        (format!("{ldap}user_dn = \"uid=%u\"\nbase = \"x\""), "needs none", "leave one"),
        (format!("{ldap}base = \"x\"\nbind_dn = \"cn=a\""), "no password", "bind_password_file"),
        (format!("{ldap}base = \"x\"\nbind_password_file = \"a\""), "whose password", "bind_dn"),
        (format!("{ldap}base = \"x\"\nca_file = \"none.pem\""), "none.pem", "PEM file"),
        (http.to_owned(), "where the login service is", "url = "),
        (format!("{http}url = \"http://192.0.2.1/\""), "in the clear", "allow_plain"),
        (
            format!("{http}url = \"http://[::1]/\"\ntoken_file = \"no\""),
            "cannot read",
            "first line",
        ),
        (
            "[accounts]\nlogin = [\"pam\"]\n[accounts.pam]\nservice = \"../x\"".to_owned(),
            "no name of PAM rules",
            "/etc/pam.d",
        ),
        (
            "[accounts]\nlogin = [\"pam\"]\nhome = \"/no/such/%u\"".to_owned(),
            "the folder of homes /no/such cannot be used",
            "mkdir /no/such",
        ),
    ] {
        check(&config).exits(78).tells(what).tells(remedy);
    }
    let plain = "[accounts]\nlogin = [\"ldap\"]\n[accounts.ldap]\nbase = \"x\"\n\
                 urls = [\"ldap://192.0.2.1\"]\nstart_tls = false\n";
    check(plain).exits(0).tells("in the clear").tells("start_tls = true");
}

#[cfg(all(unix, feature = "http-login"))]
#[test]
fn row_45_a_secret_that_others_may_read_stops_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.write("token", "t0ken\n");
    place.write(
        "wharf.toml",
        "[accounts]\nlogin = [\"http\"]\n[accounts.http]\nurl = \"http://127.0.0.1:9/\"\n\
         token_file = \"token\"\n",
    );
    for (mode, code) in [(0o644, 78), (0o660, 78), (0o600, 0), (0o640, 0)] {
        std::fs::set_permissions(place.path("token"), PermissionsExt::from_mode(mode)).unwrap();
        let ran = place.run(&["-i", "127.0.0.1", "-p", "0", "--for", "1ms"]).exits(code);
        if code != 0 {
            ran.tells("the secret in").tells("chmod 600");
        }
    }
}
