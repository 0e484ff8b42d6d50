//! Checks the the settings of authentication backends.

use crate::support::{Ran, TestFolder};

fn check(config: &str) -> Ran {
    let place = TestFolder::new();
    place.write("wharf.toml", config);
    place.run(&["check", "config"])
}

#[test]
fn errors_are_reported_with_location_and_hint() {
    for (config, what, hint) in [
        (
            "[accounts]\nauth_backends = [\"ldapp\"]",
            "unknown authentication backend `ldapp`",
            "did you mean `ldap`?",
        ),
        (
            "[accounts]\nauth_backends = []",
            "no authentication backend is listed",
            "write [\"file\"]",
        ),
        (
            "[accounts]\nhome = \"/srv/%n\"",
            "invalid pattern for homes",
            "%u stands for the user name",
        ),
        ("[accounts]\npermissions = \"most\"", "most", "hint: "),
        ("[accounts.ldap]\nurls = [\"http://a\"]", "invalid URL", "ldap://HOST"),
        ("[accounts.ldap]\nurl = [\"ldap://a\"]", "unknown key `accounts.ldap.url`", "urls"),
        ("[accounts]\nldap = 1", "is a section, not a key", "[accounts.ldap]"),
        (
            "[accounts.http]\nurl = \"https://a:b@c/\"",
            "the URL` contains a user name",
            "https://HOST",
        ),
    ] {
        check(config).exits(78).reports("wharf.toml:").reports(what).reports(hint);
    }
    let ran = check("[accounts.ldap]\nurls = [\"ldaps://dc1.example.com\"]\n").exits(0);
    ran.reports("has no effect: the backend is not in `accounts.auth_backends`")
        .reports("\"ldap\"]");
}

#[cfg(not(any(feature = "pam", feature = "ldap", feature = "http-login")))]
#[test]
fn a_build_without_them_reports_it_and_how_to_get_them() {
    for (word, name) in [("pam", "PAM"), ("ldap", "LDAP"), ("http", "HTTP logins")] {
        let ran = check(&format!("[accounts]\nauth_backends = [\"file\", \"{word}\"]\n")).exits(78);
        ran.reports(&format!("{name} is not available: wharf was built without it"))
            .reports("--features ");
    }
}

#[cfg(all(feature = "pam", feature = "ldap", feature = "http-login"))]
#[test]
fn conflicting_settings_are_reported() {
    let ldap =
        "[accounts]\nauth_backends = [\"ldap\"]\n[accounts.ldap]\nurls = [\"ldaps://127.0.0.1\"]\n";
    let http = "[accounts]\nauth_backends = [\"http\"]\n[accounts.http]\n";
    for (config, what, hint) in [
        (
            "[accounts]\nauth_backends = [\"ldap\"]".to_owned(),
            "`accounts.ldap.urls` is missing",
            "urls = [",
        ),
        (ldap.to_owned(), "`accounts.ldap.base` is missing", "base = "),
        (format!("{ldap}base = \"x\"\nfilter = \"(uid=a)\""), "%u is missing", "%u"),
        (
            format!("{ldap}base = \"x\"\nfilter = \"uid=%u)\""),
            "unbalanced parentheses",
            "parentheses",
        ),
        (format!("{ldap}user_dn = \"uid=a\""), "%u is missing", "%u"),
        (format!("{ldap}user_dn = \"uid=%u\"\nbase = \"x\""), "conflicts with", "remove one"),
        (
            format!("{ldap}base = \"x\"\nbind_dn = \"cn=a\""),
            "bind_password_file` is missing",
            "write the password",
        ),
        (
            format!("{ldap}base = \"x\"\nbind_password_file = \"a\""),
            "bind_dn` is missing",
            "add bind_dn",
        ),
        (format!("{ldap}base = \"x\"\nca_file = \"none.pem\""), "none.pem", "PEM file"),
        (http.to_owned(), "`accounts.http.url` is missing", "url = "),
        (format!("{http}url = \"http://192.0.2.1/\""), "unencrypted", "allow_plain"),
        (
            format!("{http}url = \"http://[::1]/\"\ntoken_file = \"no\""),
            "cannot read",
            "first line",
        ),
        (
            "[accounts]\nauth_backends = [\"pam\"]\n[accounts.pam]\nservice = \"../x\"".to_owned(),
            "invalid PAM service",
            "/etc/pam.d",
        ),
        (
            "[accounts]\nauth_backends = [\"pam\"]\nhome = \"/no/such/%u\"".to_owned(),
            "cannot use the folder for homes /no/such",
            "mkdir /no/such",
        ),
    ] {
        check(&config).exits(78).reports(what).reports(hint);
    }
    let plain = "[accounts]\nauth_backends = [\"ldap\"]\n[accounts.ldap]\nbase = \"x\"\n\
                 urls = [\"ldap://192.0.2.1\"]\nstart_tls = false\n";
    check(plain).exits(0).reports("unencrypted").reports("start_tls = true");
}

#[cfg(all(unix, feature = "http-login"))]
#[test]
fn row_45_a_secret_that_others_may_read_stops_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let place = TestFolder::new();
    place.write("token", "t0ken\n");
    place.write(
        "wharf.toml",
        "[accounts]\nauth_backends = [\"http\"]\n[accounts.http]\nurl = \"http://127.0.0.1:9/\"\n\
         token_file = \"token\"\n",
    );
    for (mode, code) in [(0o644, 78), (0o660, 78), (0o600, 0), (0o640, 0)] {
        std::fs::set_permissions(place.path("token"), PermissionsExt::from_mode(mode)).unwrap();
        let ran = place.run(&["-i", "127.0.0.1", "-p", "0", "--for", "1ms"]).exits(code);
        if code != 0 {
            ran.reports("the secret in").reports("chmod 600");
        }
    }
}
