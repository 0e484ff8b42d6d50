//! What each key alone cannot know: contradictions between keys, and things that must exist.

use super::check_logins;
use super::choice::{AnonymousPermissions, Sandbox, Symlinks, TlsMode, TlsRequire};
use super::layers::Layers;
use super::problem::{Place, Problem};
use super::units::show_duration;
use super::value::ListenPort;
use super::{Config, keys};

/// Everything that is wrong with a configuration whose values are right each by itself. Where a
/// key in `wrong` is concerned nothing is checked: its value is not what its author meant.
pub(crate) fn check(config: &Config, layers: &Layers, wrong: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (prefixes, check) in CHECKS {
        if !wrong.iter().any(|path| prefixes.iter().any(|prefix| path.starts_with(prefix))) {
            check(config, layers, &mut problems);
        }
    }
    problems
}

type Check = fn(&Config, &Layers, &mut Vec<Problem>);

/// Each check, with the beginnings of the keys that it looks at.
const CHECKS: &[(&[&str], Check)] = &[
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

/// Where a listener was written: its port if it has one, else whatever it has.
fn listener_place(layers: &Layers, index: usize) -> Place {
    ["port", "address", "tls"]
        .iter()
        .map(|name| layers.place_of(&format!("listen.{index}.{name}")))
        .find(|place| *place != Place::Nowhere)
        .unwrap_or(Place::Nowhere)
}

fn check_listeners(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    for (index, one) in config.listen.iter().enumerate() {
        let earlier = config.listen.iter().take(index).position(|other| {
            other.address == one.address
                && other.port == one.port
                && one.port != ListenPort::Fixed(0)
        });
        if let Some(earlier) = earlier {
            let title = "this address and port are listened on already";
            let problem = Problem::error(title, listener_place(layers, index));
            let problem = problem.also(listener_place(layers, earlier), "the first time");
            problems.push(problem.help("give each [[listen]] a port or an address of its own"));
        }
    }
}

/// A header that anybody may send is worth nothing, so whose it may be must be said.
fn check_proxies(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    for (index, listen) in config.listen.iter().enumerate() {
        let place = |key| layers.place_of(&format!("listen.{index}.{key}"));
        let has_networks = !listen.proxy_from.0.is_empty();
        if listen.proxy && !has_networks {
            let title = "this listener takes PROXY headers, but it is not said from whom";
            let problem = Problem::error(title, place("proxy"));
            problems.push(problem.help("name the proxies: proxy_from = [\"10.0.0.5\"]"));
        }
        if !listen.proxy && has_networks {
            let title = "proxy_from does nothing as long as `proxy` is false";
            let problem = Problem::error(title, place("proxy_from"));
            problems.push(problem.help("write proxy = true there, or leave proxy_from out"));
        }
    }
}

fn check_policy(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
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
                "nobody could log in at this listener: it has no TLS, and `tls.require` is \
                 \"{require}\""
            );
            let place = layers.place_of(&format!("listen.{index}.tls"));
            let problem = Problem::error(title, place).also(require_place.clone(), "asks for TLS");
            problems.push(problem.help("write tls = \"explicit\" there, or require = \"off\""));
        }
    }
    let is_off = config.listen.iter().all(|listen| listen.tls == TlsMode::Off);
    // A share for everybody has no password that could be overheard.
    let is_for_all = layers.place_of("login.anonymous") == Place::Given("the option -A".into());
    if is_off && require == TlsRequire::Public && !is_for_all {
        let place = layers.place_of("listen.0.tls");
        let problem = if require_place == Place::Nowhere {
            Problem::warning("passwords from outside the local networks will be refused", place)
        } else {
            Problem::error("`tls.require` is \"public\", but no listener offers TLS", place)
                .also(require_place, "asks for TLS")
        };
        problems.push(problem.help(
            "without TLS they would cross the internet in the clear; tls.require = \"off\" \
             (--require-tls off) lets them",
        ));
    }
}

fn check_certificate(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    let (certificate, key) = (&config.tls.certificate.0, &config.tls.private_key.0);
    if certificate.is_none() && key.is_some() {
        let place = layers.place_of("tls.private_key");
        let problem = Problem::error("`tls.private_key` has no certificate to go with", place);
        problems.push(problem.help("name the certificate too: tls.certificate (--cert)"));
    }
    if certificate.is_some() && key.is_none() {
        let place = layers.place_of("tls.certificate");
        let problem = Problem::error("`tls.certificate` has no private key to go with", place);
        problems.push(problem.help(
            "name the key too: tls.private_key (--key); it may be the same file if both are in it",
        ));
    }
}

fn check_anonymous(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    if !config.login.anonymous {
        return;
    }
    let Some(home) = &config.login.anonymous_home.0 else {
        let place = layers.place_of("login.anonymous");
        let problem = Problem::error("anonymous visitors have no folder", place);
        problems.push(problem.help("name one: anonymous_home = \"/srv/ftp/public\""));
        return;
    };
    let place = layers.place_of("login.anonymous_home");
    let shown = home.display();
    match std::fs::metadata(home) {
        Ok(facts) if facts.is_dir() => check_anonymous_writes(config, layers, problems),
        Ok(_) => problems.push(Problem::error(format!("{shown} is not a folder"), place)),
        Err(error) => {
            let title = format!("the anonymous folder {shown} cannot be used: {error}");
            let problem = Problem::error(title, place);
            problems.push(match error.kind() {
                std::io::ErrorKind::NotFound => problem.help(format!("make it:  mkdir {shown}")),
                _ => problem,
            });
        }
    }
}

/// Whoever writes it into a file should know what it means; whoever types it for a while does.
fn check_anonymous_writes(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    let place = layers.place_of("login.anonymous_permissions");
    let is_typed = matches!(place, Place::Given(_));
    if config.login.anonymous_permissions == AnonymousPermissions::ReadWrite && !is_typed {
        let title = "anybody may replace and remove everything in the anonymous folder";
        let problem = Problem::warning(title, place);
        problems.push(problem.help(
            "\"read\" only shows it; \"dropbox\" only takes files, and shows and replaces none",
        ));
    }
}

fn check_passive(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    let ports = &config.passive.ports.0;
    let place = layers.place_of("passive.ports");
    if *ports.start() < FIRST_UNPRIVILEGED_PORT {
        let title = "data ports below 1024 need special rights, and many firewalls drop them";
        let problem = Problem::warning(title, place.clone());
        problems.push(problem.help("a range such as \"30000-30999\" works everywhere"));
    }
    for (index, listen) in config.listen.iter().enumerate() {
        if let ListenPort::Fixed(port) = listen.port
            && ports.contains(&port)
        {
            let title = format!("port {port} is both listened on and a data port");
            let problem = Problem::error(title, place.clone());
            let problem = problem.also(listener_place(layers, index), "listened on");
            problems.push(problem.help("choose a range of data ports without it"));
        }
    }
}

const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

fn check_bans(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    let (first, longest) = (config.ban.time.0, config.ban.time_max.0);
    if first.is_zero() {
        let title = "with `ban.time` = 0 every ban would be over at once";
        let problem = Problem::warning(title, layers.place_of("ban.time"));
        problems.push(problem.help("to ban nobody by tries write  ban.enabled = false"));
    }
    if longest < first {
        let title = "`ban.time_max` is shorter than the first ban";
        let problem = Problem::warning(title, layers.place_of("ban.time_max"));
        let problem = problem.also(layers.place_of("ban.time"), "the first ban");
        problems.push(problem.help(format!(
            "each ban lasts twice as long as the one before, up to time_max: at least {}",
            show_duration(first)
        )));
    }
}

fn check_texts(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    let texts = [
        ("server.greeting", &config.server.greeting),
        ("server.login_message", &config.server.login_message),
    ];
    for (path, text) in texts {
        if text.chars().any(|letter| letter.is_control() && letter != '\n') {
            let title = format!("`{path}`: it has control characters");
            let problem = Problem::error(title, layers.place_of(path));
            problems.push(problem.help("only line feeds (\\n) are possible, for several lines"));
        }
        if text.len() > TEXT_BYTES_MAX {
            let title = format!("`{path}`: it is longer than {TEXT_BYTES_MAX} bytes");
            problems.push(Problem::error(title, layers.place_of(path)));
        }
    }
    let message = config.server.login_message.replace("{user}", "").replace("{ip}", "");
    if let Some((_, rest)) = message.split_once('{')
        && let Some((word, _)) = rest.split_once('}')
    {
        let title = format!("`server.login_message`: {{{word}}} is not filled in");
        let problem = Problem::warning(title, layers.place_of("server.login_message"));
        problems.push(problem.help("{user} and {ip} are"));
    }
}

/// Enough for a page of text; some clients keep the whole greeting in a small buffer.
const TEXT_BYTES_MAX: usize = 4096;

fn check_identity(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    let server = &config.server;
    if server.user.is_empty() && !server.group.is_empty() {
        let place = layers.place_of("server.group");
        let problem = Problem::error("`server.group` has no user to go with", place);
        problems.push(problem.help("name the account of the system too: server.user"));
    }
    if !server.user.is_empty() && *config.passive.ports.0.start() < FIRST_UNPRIVILEGED_PORT {
        let title = "data ports below 1024 cannot be opened any more by `server.user`";
        let problem = Problem::error(title, layers.place_of("passive.ports"));
        let problem = problem.also(layers.place_of("server.user"), "who opens them");
        problems.push(problem.help("choose data ports from 1024 up, such as \"30000-30999\""));
    }
}

fn check_sandbox(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    let is_anywhere = config.files.follow_symlinks == Symlinks::Always;
    if config.server.sandbox == Sandbox::On && is_anywhere {
        let title = "links that lead anywhere cannot be followed from within a sandbox";
        let problem = Problem::error(title, layers.place_of("server.sandbox"));
        let problem = problem.also(layers.place_of("files.follow_symlinks"), "follows all");
        problems.push(
            problem.help(
                "write follow_symlinks = \"inside\", or sandbox = \"auto\" to confine the rest",
            ),
        );
    }
}

fn check_logs(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    let logs = [
        ("log.file", &config.log.file.0),
        ("log.transfer_log", &config.log.transfer_log.0),
        ("log.audit_file", &config.log.audit_file.0),
    ];
    for (index, (path, file)) in logs.iter().enumerate() {
        let earlier = logs.iter().take(index).find(|(_, other)| file.is_some() && other == file);
        if let Some((other, _)) = earlier {
            let title = "both logs would write into one file";
            let problem = Problem::error(title, layers.place_of(path))
                .also(layers.place_of(other), "the other log");
            problems.push(problem.help(format!("their lines differ: give `{path}` its own file")));
        }
    }
}

/// What is missing is found now, and not when the first event comes.
fn check_programs(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    let events = &config.events;
    for (name, line) in events.programs() {
        let place = || layers.place_of(&format!("events.{name}"));
        if let Some(program) = line.0.first()
            && !std::fs::metadata(program).is_ok_and(|facts| facts.is_file())
        {
            let title = format!("`events.{name}`: there is no program {program}");
            problems.push(Problem::error(title, place()));
        }
        let is_draft = |word: &String| word == "{draft}";
        if name != "check_upload" && line.0.iter().any(is_draft) {
            let title = format!("`events.{name}`: only check_upload has a {{draft}}");
            let help = "{file} is where the operating system has the file";
            problems.push(Problem::error(title, place()).help(help));
        }
    }
    if let Some(folder) = events.quarantine.0.as_deref().filter(|folder| !folder.is_dir()) {
        let shown = folder.display();
        let place = layers.place_of("events.quarantine");
        let problem =
            Problem::error(format!("there is no folder {shown} to put files into"), place);
        problems
            .push(problem.help(format!("make it, for the server's user:  mkdir -m 700 {shown}")));
    }
}

fn check_webhooks(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    for (index, webhook) in config.webhooks.iter().enumerate() {
        let Some(address) = &webhook.url.0 else { continue };
        let place = layers.place_of(&format!("webhook.{index}.url"));
        let is_same = |other: &&keys::Webhook| other.url.0.as_ref() == Some(address);
        if config.webhooks.iter().take(index).any(|other| is_same(&other)) {
            let problem = Problem::error("two webhooks have this address", place.clone());
            problems.push(problem.help("name all events in one of them"));
        }
        let host = address.host.trim_matches(['[', ']']);
        let is_here = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if !address.is_tls && !is_here {
            let title = "names of accounts and files would cross the network in the clear";
            let problem = Problem::warning(title, place.clone());
            problems.push(problem.help("write https:// if the web server has a certificate"));
        }
        if index >= WEBHOOKS_MAX {
            let title = format!("more than {WEBHOOKS_MAX} webhooks");
            problems.push(Problem::error(title, place));
        }
    }
}

/// Each has a thread and a folder of its own.
const WEBHOOKS_MAX: usize = 16;
