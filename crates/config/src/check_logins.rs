//! Checks of the settings of authentication backends.

use wharf_login::endpoint::Scheme;

use super::Config;
use super::layers::Layers;
use super::login_sources::LoginSource;
use super::problem::{ConfigProblem, ProblemLocation};

/// Checks `[accounts]` and the tables below it.
pub(super) fn check(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    check_built(config, layers, problems);
    check_unused_backends(config, layers, problems);
    let order = &config.accounts.auth_backends;
    if order.has(LoginSource::Pam) {
        check_pam(config, layers, problems);
    }
    if order.has(LoginSource::Ldap) {
        check_ldap(config, layers, problems);
        check_ldap_secrecy(config, layers, problems);
    }
    if order.has(LoginSource::Http) {
        check_http(config, layers, problems);
    }
    check_homes(config, layers, problems);
}

/// Optional backends: name, cargo feature, and whether it is compiled in.
const BUILT: [(LoginSource, &str, &str, bool); 3] = [
    (LoginSource::Pam, "PAM", "pam", cfg!(feature = "pam")),
    (LoginSource::Ldap, "LDAP", "ldap", cfg!(feature = "ldap")),
    (LoginSource::Http, "HTTP logins", "http-login", cfg!(feature = "http-login")),
];

fn check_built(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    for (source, name, feature, is_built) in BUILT {
        if config.accounts.auth_backends.has(source) && !is_built {
            let title = format!("{name} is not available: wharf was built without it");
            let problem = ConfigProblem::error(title, layers.place_of("accounts.auth_backends"));
            problems.push(problem.hint(format!(
                "install a build with it, or build it:  cargo build --release --features {feature}"
            )));
        }
    }
}

/// A backend that is configured but not used.
fn check_unused_backends(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let described = [
        (LoginSource::Ldap, "accounts.ldap.urls", !config.ldap.urls.0.is_empty()),
        (LoginSource::Http, "accounts.http.url", config.http.url.0.is_some()),
    ];
    for (source, path, is_described) in described {
        if is_described && !config.accounts.auth_backends.has(source) {
            let title =
                format!("`{path}` has no effect: the backend is not in `accounts.auth_backends`");
            let problem = ConfigProblem::warning(title, layers.place_of(path));
            let word = source.word();
            problems.push(
                problem.hint(format!("write auth_backends = [\"file\", \"{word}\"] in [accounts]")),
            );
        }
    }
}

fn check_pam(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let service = &config.pam.service;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if service.is_empty() || service.starts_with('.') || !service.bytes().all(is_plain) {
        let title = format!("invalid PAM service `{}`", service.escape_debug());
        let problem = ConfigProblem::error(title, layers.place_of("accounts.pam.service"));
        problems.push(problem.hint("write the name of a file in /etc/pam.d, such as `wharf`"));
    }
}

fn check_ldap(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let ldap = &config.ldap;
    let place = |key: &str| match layers.place_of(&format!("accounts.ldap.{key}")) {
        ProblemLocation::Nowhere => layers.place_of("accounts.auth_backends"),
        place => place,
    };
    let mut blame = |key: &str, title: &str, hint: &str| {
        problems.push(ConfigProblem::error(title, place(key)).hint(hint));
    };
    if ldap.urls.0.is_empty() {
        let hint = "add to [accounts.ldap]: urls = [\"ldaps://dc1.example.com\"]";
        blame("urls", "`accounts.ldap.urls` is missing", hint);
    }
    if ldap.user_dn.is_empty() {
        if ldap.base.is_empty() {
            let hint = "write base = \"ou=people,dc=example,dc=org\", or user_dn for no search";
            blame("base", "`accounts.ldap.base` is missing", hint);
        }
        if !ldap.filter.contains("%u") {
            let hint = "%u stands for the user name: filter = \"(uid=%u)\"";
            blame("filter", "invalid `accounts.ldap.filter`: %u is missing", hint);
        } else if !is_balanced(&ldap.filter) {
            let hint = "a filter is in parentheses: filter = \"(&(objectClass=person)(uid=%u))\"";
            blame("filter", "invalid `accounts.ldap.filter`: unbalanced parentheses", hint);
        }
    } else {
        if !ldap.user_dn.contains("%u") {
            let hint =
                "%u stands for the user name: user_dn = \"uid=%u,ou=people,dc=example,dc=org\"";
            blame("user_dn", "invalid `accounts.ldap.user_dn`: %u is missing", hint);
        }
        for (key, text) in [("base", &ldap.base), ("bind_dn", &ldap.bind_dn)] {
            if !text.is_empty() {
                let title = format!(
                    "`accounts.ldap.{key}` conflicts with `accounts.ldap.user_dn`, without a search"
                );
                blame(key, &title, "remove one of the two");
            }
        }
    }
    if ldap.bind_dn.is_empty() && ldap.bind_password_file.0.is_some() {
        let hint = "add bind_dn = \"cn=wharf,dc=example,dc=org\"";
        blame("bind_password_file", "`accounts.ldap.bind_dn` is missing", hint);
    }
    if !ldap.bind_dn.is_empty() && ldap.bind_password_file.0.is_none() {
        let hint = "write the password to a file: bind_password_file = \"ldap.password\"";
        blame("bind_dn", "`accounts.ldap.bind_password_file` is missing", hint);
    }
}

/// Whether the parentheses are balanced and enclose the whole filter.
fn is_balanced(filter: &str) -> bool {
    let mut depth = 0_usize;
    for letter in filter.chars() {
        match letter {
            '(' => depth += 1,
            ')' if depth == 0 => return false,
            ')' => depth -= 1,
            _ if depth == 0 => return false,
            _ => {}
        }
    }
    depth == 0
}

fn check_ldap_secrecy(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let ldap = &config.ldap;
    let is_open = |server: &&wharf_login::endpoint::Endpoint| {
        server.scheme == Scheme::Ldap && !ldap.start_tls && !server.is_loopback()
    };
    if let Some(server) = ldap.urls.0.iter().find(is_open) {
        let title = format!("passwords are sent to {server} unencrypted");
        let problem = ConfigProblem::warning(title, layers.place_of("accounts.ldap.start_tls"));
        problems.push(problem.hint("write start_tls = true, or ldaps:// in urls"));
    }
}

fn check_http(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let Some(url) = &config.http.url.0 else {
        let title = "`accounts.http.url` is missing";
        let problem = ConfigProblem::error(title, layers.place_of("accounts.auth_backends"));
        let hint = "add to [accounts.http]: url = \"https://login.example.com/wharf\"";
        problems.push(problem.hint(hint));
        return;
    };
    if url.scheme == Scheme::Http && !url.is_loopback() && !config.http.allow_plain {
        let title = format!("passwords would be sent to {url} unencrypted");
        let problem = ConfigProblem::error(title, layers.place_of("accounts.http.url"));
        let hint = "write https://, or allow_plain = true in a trusted network";
        problems.push(problem.hint(hint));
    }
}

fn check_homes(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let accounts = &config.accounts;
    let place = || layers.place_of("accounts.home");
    if let Some(home) = accounts.home.0.as_ref().filter(|_| accounts.auth_backends.has_others()) {
        let folder = home.folder();
        let shown = folder.display();
        match std::fs::metadata(&folder) {
            Ok(facts) if facts.is_dir() => {}
            Ok(_) => {
                problems.push(ConfigProblem::error(format!("{shown} is not a folder"), place()));
            }
            Err(error) => {
                let title = format!("cannot use the folder for homes {shown}: {error}");
                problems.push(
                    ConfigProblem::error(title, place()).hint(format!("create it:  mkdir {shown}")),
                );
            }
        }
    }
    if accounts.create_home && accounts.home.0.is_none() {
        let title = "`accounts.create_home` has no effect: `accounts.home` is empty";
        let problem = ConfigProblem::warning(title, layers.place_of("accounts.create_home"));
        problems.push(problem.hint("write home = \"/srv/ftp/%u\", or remove create_home"));
    }
}
