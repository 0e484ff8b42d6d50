//! Checks of the whole configuration: conflicts between keys, and files that must exist.

use super::check_logins;
use super::choice::{AnonymousPermissions, Sandbox, Symlinks, TlsMode, TlsRequire};
use super::layers::Layers;
use super::problem::{ConfigProblem, ProblemLocation};
use super::value::ListenPort;
use super::{Config, keys};
use crate::units::show_duration;
use wharf_core::io_error_text::plain;

/// Checks a configuration whose values are valid individually. Checks that involve a key in `wrong`
/// are skipped, since its value is only a default.
pub(crate) fn check(config: &Config, layers: &Layers, wrong: &[String]) -> Vec<ConfigProblem> {
    let mut problems = Vec::new();
    for (prefixes, check) in CHECKS {
        if !wrong.iter().any(|path| prefixes.iter().any(|prefix| path.starts_with(prefix))) {
            check(config, layers, &mut problems);
        }
    }
    problems
}

type ConfigCheckFn = fn(&Config, &Layers, &mut Vec<ConfigProblem>);

/// The checks, each with prefixes of the keys that it uses.
const CHECKS: &[(&[&str], ConfigCheckFn)] = &[
    (&["listen."], check_listeners),
    (&["listen."], check_proxies),
    (&["listen.", "tls.require", "login.anonymous"], check_policy),
    (&["tls."], check_certificate),
    (&["login.anonymous"], check_anonymous),
    (&["passive.ports", "listen."], check_passive),
    (&["ban."], check_bans),
    (&["server."], check_texts),
    (&["server.user", "server.group", "passive.ports"], check_identity),
    (&["server.sandbox", "files.follow_symlinks"], check_sandbox),
    (&["log."], check_logs),
    (&["accounts."], check_logins::check),
    (&["events."], check_programs),
    (&["webhook."], check_webhooks),
];

/// The location of a listener: its port if it is set, else another of its keys.
fn listener_place(layers: &Layers, index: usize) -> ProblemLocation {
    ["port", "address", "tls"]
        .iter()
        .map(|name| layers.place_of(&format!("listen.{index}.{name}")))
        .find(|place| *place != ProblemLocation::Nowhere)
        .unwrap_or(ProblemLocation::Nowhere)
}

fn check_listeners(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    for (index, one) in config.listen.iter().enumerate() {
        let earlier = config.listen.iter().take(index).position(|other| {
            other.address == one.address
                && other.port == one.port
                && one.port != ListenPort::Fixed(0)
        });
        if let Some(earlier) = earlier {
            let title = "duplicate listener: same address and port";
            let problem = ConfigProblem::error(title, listener_place(layers, index));
            let problem = problem.also(listener_place(layers, earlier), "first listener");
            problems.push(problem.hint("give each [[listen]] a different port or address"));
        }
    }
}

/// A PROXY header can be forged by any client, so the addresses of proxies must be configured.
fn check_proxies(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    for (index, listen) in config.listen.iter().enumerate() {
        let place = |key| layers.place_of(&format!("listen.{index}.{key}"));
        let has_networks = !listen.proxy_from.0.is_empty();
        if listen.proxy && !has_networks {
            let title = "`proxy_from` is missing: any client could forge a PROXY header";
            let problem = ConfigProblem::error(title, place("proxy"));
            problems.push(
                problem.hint("add the addresses of the proxies: proxy_from = [\"10.0.0.5\"]"),
            );
        }
        if !listen.proxy && has_networks {
            let title = "`proxy_from` has no effect: `proxy` is false";
            let problem = ConfigProblem::error(title, place("proxy_from"));
            problems.push(problem.hint("write proxy = true there, or remove proxy_from"));
        }
    }
}

fn check_policy(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let require = config.tls.require;
    let require_place = layers.place_of("tls.require");
    let is_needed = match require {
        TlsRequire::Off | TlsRequire::Public => false,
        TlsRequire::Login => !config.login.anonymous,
        TlsRequire::All => true,
    };
    for (index, listen) in config.listen.iter().enumerate() {
        if listen.tls == TlsMode::Off && is_needed {
            let title = format!(
                "logins are impossible at this listener: it has no TLS, and `tls.require` is \
                 `{require}`"
            );
            let place = layers.place_of(&format!("listen.{index}.tls"));
            let problem =
                ConfigProblem::error(title, place).also(require_place.clone(), "requires TLS");
            problems.push(problem.hint("write tls = \"explicit\" there, or require = \"off\""));
        }
    }
    let is_off = config.listen.iter().all(|listen| listen.tls == TlsMode::Off);
    // Anonymous users have no password that could be intercepted.
    let is_for_all =
        layers.place_of("login.anonymous") == ProblemLocation::Given("the option -A".into());
    if is_off && require == TlsRequire::Public && !is_for_all {
        let place = layers.place_of("listen.0.tls");
        let problem = if require_place == ProblemLocation::Nowhere {
            ConfigProblem::warning(
                "password logins from outside the local networks will be denied",
                place,
            )
        } else {
            ConfigProblem::error("`tls.require` is `public`, but no listener offers TLS", place)
                .also(require_place, "requires TLS")
        };
        problems.push(problem.hint(
            "enable TLS, or accept unencrypted passwords with tls.require = \"off\" \
             (--require-tls off)",
        ));
    }
}

fn check_certificate(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let (certificate, key) = (&config.tls.certificate.0, &config.tls.private_key.0);
    if certificate.is_none() && key.is_some() {
        let place = layers.place_of("tls.private_key");
        let problem =
            ConfigProblem::error("`tls.certificate` is missing for `tls.private_key`", place);
        problems.push(problem.hint("set tls.certificate (--certificate)"));
    }
    if certificate.is_some() && key.is_none() {
        let place = layers.place_of("tls.certificate");
        let problem =
            ConfigProblem::error("`tls.private_key` is missing for `tls.certificate`", place);
        problems.push(problem.hint(
            "set tls.private_key (--private-key); it can be the same file if it contains both",
        ));
    }
}

fn check_anonymous(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    if !config.login.anonymous {
        return;
    }
    let Some(home) = &config.login.anonymous_home.0 else {
        let place = layers.place_of("login.anonymous");
        let problem = ConfigProblem::error("`login.anonymous_home` is missing", place);
        problems.push(
            problem.hint("set the folder of anonymous users: anonymous_home = \"/srv/ftp/public\""),
        );
        return;
    };
    let place = layers.place_of("login.anonymous_home");
    let shown = home.display();
    match std::fs::metadata(home) {
        Ok(facts) if facts.is_dir() => check_anonymous_writes(config, layers, problems),
        Ok(_) => problems.push(ConfigProblem::error(format!("{shown} is not a folder"), place)),
        Err(error) => {
            let why = plain(&error);
            let title = format!("cannot use the folder of anonymous users {shown}: {why}");
            let problem = ConfigProblem::error(title, place);
            problems.push(match error.kind() {
                std::io::ErrorKind::NotFound => problem.hint(format!("create it:  mkdir {shown}")),
                _ => problem,
            });
        }
    }
}

/// Warns about write access for anonymous users in a file; on the command line it was confirmed.
fn check_anonymous_writes(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let place = layers.place_of("login.anonymous_permissions");
    let is_typed = matches!(place, ProblemLocation::Given(_));
    if config.login.anonymous_permissions == AnonymousPermissions::ReadWrite && !is_typed {
        let title = "anonymous users can replace and delete all files in the anonymous folder";
        let problem = ConfigProblem::warning(title, place);
        problems
            .push(problem.hint(
                "`read` permits only downloads; `dropbox` permits only uploads of new files",
            ));
    }
}

fn check_passive(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let ports = &config.passive.ports.0;
    let place = layers.place_of("passive.ports");
    if *ports.start() < FIRST_UNPRIVILEGED_PORT {
        let title = "passive ports below 1024 require privileges, and firewalls often block them";
        let problem = ConfigProblem::warning(title, place.clone());
        problems.push(problem.hint("use a range such as `30000-30999`"));
    }
    for (index, listen) in config.listen.iter().enumerate() {
        if let ListenPort::Fixed(port) = listen.port
            && ports.contains(&port)
        {
            let title = format!("port {port} is both a listening port and a passive port");
            let problem = ConfigProblem::error(title, place.clone());
            let problem = problem.also(listener_place(layers, index), "listening port");
            problems.push(problem.hint("choose a passive port range without it"));
        }
    }
}

const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

fn check_bans(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let (first, longest) = (config.ban.time.0, config.ban.time_max.0);
    if first.is_zero() {
        let title = "`ban.time` is 0: bans expire immediately";
        let problem = ConfigProblem::warning(title, layers.place_of("ban.time"));
        problems.push(problem.hint("to disable automatic bans write  ban.enabled = false"));
    }
    if longest < first {
        let title = "`ban.time_max` is shorter than `ban.time`";
        let problem = ConfigProblem::warning(title, layers.place_of("ban.time_max"));
        let problem = problem.also(layers.place_of("ban.time"), "duration of the first ban");
        problems.push(problem.hint(format!(
            "the duration doubles with each ban, up to time_max; write at least {}",
            show_duration(first)
        )));
    }
}

fn check_texts(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let texts = [
        ("server.greeting", &config.server.greeting),
        ("server.login_message", &config.server.login_message),
    ];
    for (path, text) in texts {
        if text.chars().any(|letter| letter.is_control() && letter != '\n') {
            let title = format!("invalid `{path}`: it contains control characters");
            let problem = ConfigProblem::error(title, layers.place_of(path));
            problems.push(problem.hint("only line feeds (\\n) are permitted, to separate lines"));
        }
        if text.len() > TEXT_BYTES_MAX {
            let title = format!("invalid `{path}`: it is longer than {TEXT_BYTES_MAX} bytes");
            problems.push(ConfigProblem::error(title, layers.place_of(path)));
        }
    }
    let message = config.server.login_message.replace("{user}", "").replace("{ip}", "");
    if let Some((_, rest)) = message.split_once('{')
        && let Some((word, _)) = rest.split_once('}')
    {
        let title = format!("unknown placeholder {{{word}}} in `server.login_message`");
        let problem = ConfigProblem::warning(title, layers.place_of("server.login_message"));
        problems.push(problem.hint("{user} and {ip} are supported"));
    }
}

/// Enough for a page of text; some clients read the greeting into a small buffer.
const TEXT_BYTES_MAX: usize = 4096;

fn check_identity(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let server = &config.server;
    if server.user.is_empty() && !server.group.is_empty() {
        let place = layers.place_of("server.group");
        let problem = ConfigProblem::error("`server.user` is missing for `server.group`", place);
        problems.push(problem.hint("set the system user: server.user"));
    }
    if !server.user.is_empty() && *config.passive.ports.0.start() < FIRST_UNPRIVILEGED_PORT {
        let title = "passive ports below 1024 cannot be opened by `server.user`";
        let problem = ConfigProblem::error(title, layers.place_of("passive.ports"));
        let problem = problem.also(layers.place_of("server.user"), "opens them");
        problems.push(problem.hint("choose a range above 1023, such as `30000-30999`"));
    }
}

fn check_sandbox(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let is_anywhere = config.files.follow_symlinks == Symlinks::Always;
    if config.server.sandbox == Sandbox::On && is_anywhere {
        let title = "`server.sandbox` = \"on\" conflicts with `files.follow_symlinks` = \"always\"";
        let problem = ConfigProblem::error(title, layers.place_of("server.sandbox"));
        let problem =
            problem.also(layers.place_of("files.follow_symlinks"), "follows links to any folder");
        problems.push(problem.hint("write follow_symlinks = \"inside\", or sandbox = \"auto\""));
    }
}

fn check_logs(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let logs = [
        ("log.file", &config.log.file.0),
        ("log.transfer_log", &config.log.transfer_log.0),
        ("log.audit_file", &config.log.audit_file.0),
    ];
    for (index, (path, file)) in logs.iter().enumerate() {
        let earlier = logs.iter().take(index).find(|(_, other)| file.is_some() && other == file);
        if let Some((other, _)) = earlier {
            let title = "two logs have the same file";
            let problem = ConfigProblem::error(title, layers.place_of(path))
                .also(layers.place_of(other), "other log");
            problems
                .push(problem.hint(format!("the formats differ: set `{path}` to another file")));
        }
    }
}

/// Finds a missing program or folder before the first event.
fn check_programs(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    let events = &config.events;
    for (name, line) in events.programs() {
        let place = || layers.place_of(&format!("events.{name}"));
        if let Some(program) = line.0.first()
            && !std::fs::metadata(program).is_ok_and(|facts| facts.is_file())
        {
            let title = format!("`events.{name}`: program not found: {program}");
            let hint = "write the full path of the program, or remove the key";
            problems.push(ConfigProblem::error(title, place()).hint(hint));
        }
        let is_partial_file = |word: &String| word == "{partial_file}";
        if name != "check_upload" && line.0.iter().any(is_partial_file) {
            let title =
                format!("`events.{name}`: {{partial_file}} is available only in check_upload");
            let hint = "use {file}, the path of the file in the file system";
            problems.push(ConfigProblem::error(title, place()).hint(hint));
        }
    }
    if let Some(folder) = events.quarantine.0.as_deref().filter(|folder| !folder.is_dir()) {
        let shown = folder.display();
        let place = layers.place_of("events.quarantine");
        let problem =
            ConfigProblem::error(format!("`events.quarantine`: folder not found: {shown}"), place);
        problems.push(
            problem.hint(format!("create it as the user of the server:  mkdir -m 700 {shown}")),
        );
    }
}

fn check_webhooks(config: &Config, layers: &Layers, problems: &mut Vec<ConfigProblem>) {
    for (index, webhook) in config.webhooks.iter().enumerate() {
        let Some(address) = &webhook.url.0 else { continue };
        let place = layers.place_of(&format!("webhook.{index}.url"));
        let is_same = |other: &&keys::Webhook| other.url.0.as_ref() == Some(address);
        if config.webhooks.iter().take(index).any(|other| is_same(&other)) {
            let problem =
                ConfigProblem::error("duplicate webhook: another one has this URL", place.clone());
            problems.push(problem.hint("list all events in one of them"));
        }
        if !address.server.scheme.is_tls() && !address.server.is_loopback() {
            let title = "events with names of accounts and files are sent unencrypted";
            let problem = ConfigProblem::warning(title, place.clone());
            problems.push(problem.hint("write https:// if the web server supports TLS"));
        }
        if index >= WEBHOOKS_MAX {
            let title = format!("at most {WEBHOOKS_MAX} webhooks are supported");
            problems.push(ConfigProblem::error(title, place));
        }
    }
}

/// Each has a thread and a folder.
const WEBHOOKS_MAX: usize = 16;
