//! `proftpd.conf`: directives, in sections that stand for a part of the server.

use crate::config::raw::Raw;
use crate::import::directives::{As, Directive, Fate, NEVER, Table, apply};
use crate::import::model::{Found, Refused};
use crate::import::text::Text;

const NO_RULE: &str = "there is no such rule";
const OWN_FORMAT: &str = "the log has a format of its own: log.format";
const ACCOUNTS: &str = "only AuthUserFile is read; make others with: wharf user add";

/// What becomes of each directive.
const TABLE: &Table = &[
    (&["Port"], Fate::To("listen.0.port", As::Number)),
    (&["DefaultAddress"], Fate::To("listen.0.address", As::Text)),
    (&["UseIPv6"], Fate::By(use_ipv6)),
    (&["PassivePorts"], Fate::By(passive_ports)),
    (&["MasqueradeAddress"], Fate::To("passive.public_address", As::Text)),
    (&["MaxClients"], Fate::By(|one, found| first_number("limits.connections", one, found))),
    (&["MaxInstances"], Fate::By(instances)),
    (&["MaxClientsPerHost"], Fate::By(per_host)),
    (&["MaxClientsPerUser"], Fate::By(per_user)),
    (&["MaxLoginAttempts"], Fate::To("login.max_attempts", As::Number)),
    (&["TimeoutIdle"], Fate::By(|one, found| seconds("limits.idle_timeout", one, found))),
    (&["TimeoutLogin"], Fate::By(|one, found| seconds("login.timeout", one, found))),
    (
        &["TimeoutStalled"],
        Fate::By(|one, found| seconds("limits.transfer_stall_timeout", one, found)),
    ),
    (&["TimeoutNoTransfer", "TimeoutSession"], Fate::Lost("see limits.idle_timeout")),
    (&["ServerIdent"], Fate::By(ident)),
    (&["AccessGrantMsg"], Fate::By(login_message)),
    (&["DisplayConnect", "DisplayLogin"], Fate::Lost("see server.greeting, server.login_message")),
    (&["DisplayChdir", "DisplayQuit", "DisplayGoAway"], Fate::Lost("there are no such texts")),
    (&["Umask"], Fate::By(umask)),
    (&["AllowOverwrite"], Fate::To("files.overwrite", As::Truth)),
    (&["DefaultRoot"], Fate::By(root)),
    (&["TransferLog"], Fate::By(|one, found| log("log.transfer_log", one, found))),
    (&["SystemLog"], Fate::By(|one, found| log("log.file", one, found))),
    (&["ExtendedLog", "LogFormat", "TLSLog", "SQLLogFile", "BanLog"], Fate::Lost(OWN_FORMAT)),
    (&["TransferRate"], Fate::By(transfer_rate)),
    (&["TimesGMT"], Fate::By(times)),
    (&["TLSEngine", "TLSProtocol", "TLSRenegotiate"], Fate::Silent),
    (&["TLSRSACertificateFile", "TLSECCertificateFile"], Fate::To("tls.certificate", As::Path)),
    (
        &["TLSRSACertificateKeyFile", "TLSECCertificateKeyFile"],
        Fate::To("tls.private_key", As::Path),
    ),
    (
        &["TLSCertificateChainFile", "TLSCACertificateFile"],
        Fate::Lost("put the chain into the file of tls.certificate"),
    ),
    (&["TLSRequired"], Fate::By(tls_required)),
    (&["TLSOptions"], Fate::By(tls_options)),
    (&["TLSVerifyClient"], Fate::LostIf(true, "clients show no certificates")),
    (&["TLSCipherSuite"], Fate::Lost("only safe ciphers are offered; see tls.min_version")),
    (&["AllowForeignAddress"], Fate::LostIf(true, NEVER)),
    (&["AuthPAM"], Fate::LostIf(true, ACCOUNTS)),
    (
        &["AuthOrder", "AuthPAMConfig", "SQLConnectInfo", "LDAPServer", "RadiusServer"],
        Fate::Lost(ACCOUNTS),
    ),
    (&["RootLogin"], Fate::Silent),
    (
        &["HiddenStores", "AllowStoreRestart", "AllowRetrieveRestart", "DeleteAbortedStores"],
        Fate::Silent,
    ),
    (
        &[
            "AllowFilter",
            "DenyFilter",
            "PathAllowFilter",
            "PathDenyFilter",
            "HideFiles",
            "HideNoAccess",
        ],
        Fate::Lost(NO_RULE),
    ),
    (&["ListOptions", "DirFakeUser", "DirFakeGroup", "DirFakeMode", "ShowSymlinks"], Fate::Silent),
    (
        &["RequireValidShell", "UseFtpUsers", "UseReverseDNS", "IdentLookups", "DeferWelcome"],
        Fate::Silent,
    ),
    (
        &["Include"],
        Fate::Lost(
            "that file was not read; import it on its own with --conf, or put its lines here",
        ),
    ),
    (&["QuotaEngine"], Fate::LostIf(true, "there is no quota for all accounts")),
    (&["QuotaLimitTable", "QuotaTallyTable"], Fate::Lost("there is no quota for all accounts")),
    (&["BanEngine"], Fate::LostIf(true, "see which bans there are: wharf config default")),
    (&["BanOnEvent", "BanTable"], Fate::Lost("see which bans there are: wharf config default")),
    (&["Ratios"], Fate::LostIf(true, "wharf has no ratios")),
    (&["AllowClass", "DenyClass", "Class"], Fate::Lost(NO_RULE)),
    (
        &[
            "ServerName",
            "ServerType",
            "ServerAdmin",
            "DefaultServer",
            "MultilineRFC2228",
            "DefaultTransferMode",
            "User",
            "Group",
            "PersistentPasswd",
            "LoadModule",
            "ModulePath",
            "AuthUserFile",
            "AuthGroupFile",
            "PidFile",
            "ScoreboardFile",
            "ControlsEngine",
            "ControlsMaxClients",
            "ControlsLog",
            "ControlsInterval",
            "ControlsSocket",
            "DelayEngine",
            "UseSendfile",
            "WtmpLog",
            "SocketBindTight",
            "CreateHome",
            "AuthAliasOnly",
            "UserAlias",
            "SyslogLevel",
            "SyslogFacility",
            "UseEncoding",
            "LangEngine",
            "MaxConnectionRate",
            "TCPBacklog",
            "DebugLevel",
            "AdminControlsEngine",
            "RewriteEngine",
            "WrapEngine",
            "RequireFtpUser",
            "UseGlobbing",
        ],
        Fate::Silent,
    ),
];

/// A section that is open.
struct Section {
    name: String,
    argument: String,
    line: usize,
    fate: Inside,
}

/// What becomes of what stands in a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// It is as if it stood outside.
    Taken,
    /// It is told, line by line.
    Told,
    /// It is for visitors without password.
    Visitors,
}

/// Reads the configuration.
pub(super) fn read(text: &Text, found: &mut Found) -> Result<(), Refused> {
    let mut open: Vec<Section> = Vec::new();
    let mut known = 0_usize;
    let lines = joined(text);
    for (number, line) in &lines {
        let (number, spot) = (*number, text.spot(*number));
        if let Some(name) = line.strip_prefix("</") {
            let name = name.trim_end_matches('>').trim();
            if open.last().is_some_and(|one| one.name.eq_ignore_ascii_case(name)) {
                open.pop();
            } else {
                let what = format!("</{}> closes nothing", name.escape_debug());
                found.lost(&spot, what, "mend it and import again");
            }
            continue;
        }
        if let Some(inner) = line.strip_prefix('<') {
            let inner = inner.trim_end_matches('>').trim();
            let (name, argument) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
            let outer = open.last().map_or(Inside::Taken, |section| section.fate);
            let mut section = Section {
                name: name.to_owned(),
                argument: argument.trim().to_owned(),
                line: number,
                fate: Inside::Told,
            };
            section.fate = enter(&section, outer, text, found);
            open.push(section);
            continue;
        }
        let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let (name, value) = (name.to_owned(), value.trim().to_owned());
        let directive = Directive { name, value, spot };
        let is_it = |known: &&str| known.eq_ignore_ascii_case(&directive.name);
        known += usize::from(TABLE.iter().any(|(names, _)| names.iter().any(is_it)));
        inside(&directive, open.last(), found);
    }
    if let Some(section) = open.last() {
        let what = format!(
            "{}: the file ends in the middle of <{}>",
            text.spot(section.line),
            section.name.escape_debug()
        );
        return Err(Refused::new(what, "it was cut; get a whole copy of it. Nothing was written"));
    }
    if known == 0 {
        let what = format!("{} has no directive of ProFTPD", text.shown);
        return Err(Refused::new(what, "name proftpd.conf"));
    }
    defaults(text, found);
    if !lines.iter().any(|(_, line)| line.to_ascii_lowercase().starts_with("defaultroot")) {
        let what = "accounts could leave their homes; now nobody leaves his home";
        found.changed(&text.spot(0), what, "");
    }
    Ok(())
}

/// The lines with something in them; a backslash at the end joins the next.
fn joined(text: &Text) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut is_open = false;
    for (number, line) in text.lines() {
        let line = line.trim();
        let (part, goes_on) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some((_, last)) if is_open => last.push_str(part),
            _ if line.is_empty() || line.starts_with('#') => continue,
            _ => lines.push((number, part.to_owned())),
        }
        is_open = goes_on;
    }
    lines
}

/// What becomes of a section, and what is told at its beginning.
fn enter(section: &Section, outer: Inside, text: &Text, found: &mut Found) -> Inside {
    let spot = text.spot(section.line);
    let name = section.name.to_ascii_lowercase();
    match name.as_str() {
        "global" | "ifmodule" | "ifdefine" if outer != Inside::Told => {
            let is_negative = section.argument.starts_with('!');
            if is_negative { Inside::Told } else { outer }
        }
        "anonymous" if outer == Inside::Taken => {
            let home = section.argument.trim_matches('"');
            found.set("login.anonymous", Raw::Boolean(true), &spot, "<Anonymous>");
            if home.starts_with('/') {
                found.set_text("login.anonymous_home", home, &spot, "<Anonymous>");
            }
            Inside::Visitors
        }
        // Visitors may only read anyway.
        "limit" if outer == Inside::Visitors && section.argument.eq_ignore_ascii_case("WRITE") => {
            Inside::Visitors
        }
        _ => {
            let shown = format!("<{} {}>", section.name, section.argument);
            let remedy = match name.as_str() {
                "virtualhost" => "run another wharf for it, with its own wharf.toml",
                "directory" | "limit" => {
                    "rights below a path: wharf user edit NAME --path /DIR=RIGHTS"
                }
                _ => NO_RULE,
            };
            found.lost(&spot, format!("{} is not carried over", shown.escape_debug()), remedy);
            Inside::Told
        }
    }
}

/// Does what a directive says, or tells it.
fn inside(directive: &Directive, section: Option<&Section>, found: &mut Found) {
    let Some(section) = section.filter(|section| section.fate != Inside::Taken) else {
        return apply(directive, TABLE, found);
    };
    let name = directive.name.to_ascii_lowercase();
    let for_visitors =
        ["user", "group", "useralias", "requirevalidshell", "denyall", "order", "deny"];
    if section.fate == Inside::Visitors && for_visitors.contains(&name.as_str()) {
        return;
    }
    let what = format!("`{}` in <{}>", directive.name.escape_debug(), section.name.escape_debug());
    found.lost(&directive.spot, what, "it holds for a part of the server only");
}

/// Where the server does something else than wharf when nothing is written.
fn defaults(text: &Text, found: &mut Found) {
    let nowhere = text.spot(0);
    if !found.wishes.contains_key("files.overwrite") {
        let word = "AllowOverwrite is off unless set";
        found.set("files.overwrite", Raw::Boolean(false), &nowhere, word);
    }
    if !found.wishes.contains_key("names.list_time") {
        found.set_text("names.list_time", "utc", &nowhere, "TimesGMT is on unless set");
    }
    if found.wishes.contains_key("tls.certificate")
        && !found.wishes.contains_key("tls.private_key")
        && let Some(wish) = found.wishes.get("tls.certificate").cloned()
    {
        found.wishes.insert("tls.private_key".into(), wish);
    }
}

fn use_ipv6(directive: &Directive, found: &mut Found) -> Option<()> {
    if !directive.truth()? && !found.wishes.contains_key("listen.0.address") {
        directive.set("listen.0.address", "0.0.0.0", found);
    }
    Some(())
}

fn passive_ports(directive: &Directive, found: &mut Found) -> Option<()> {
    let words = directive.words();
    let [from, to] = &words[..] else { return None };
    let (from, to): (u16, u16) = (from.parse().ok()?, to.parse().ok()?);
    directive.set("passive.ports", &format!("{from}-{to}"), found);
    Some(())
}

/// A number, then perhaps a text for those who are refused. `none` is no limit.
fn first_number(path: &str, directive: &Directive, found: &mut Found) -> Option<()> {
    let words = directive.words();
    let first = words.first()?;
    let number: u32 = if first.eq_ignore_ascii_case("none") { 0 } else { first.parse().ok()? };
    found.set_number(path, number.into(), &directive.spot, &directive.name);
    Some(())
}

fn instances(directive: &Directive, found: &mut Found) -> Option<()> {
    if found.wishes.get("limits.connections").is_some_and(|wish| wish.word == "MaxClients") {
        return Some(());
    }
    first_number("limits.connections", directive, found)
}

fn per_host(directive: &Directive, found: &mut Found) -> Option<()> {
    first_number("limits.connections_per_ip", directive, found)
}

fn per_user(directive: &Directive, found: &mut Found) -> Option<()> {
    first_number("limits.sessions_per_user", directive, found)
}

fn seconds(path: &str, directive: &Directive, found: &mut Found) -> Option<()> {
    let words = directive.words();
    let seconds: u32 = words.first()?.parse().ok()?;
    found.set_seconds(path, seconds.into(), &directive.spot, &directive.name);
    Some(())
}

/// `on "text"`
fn ident(directive: &Directive, found: &mut Found) -> Option<()> {
    let words = directive.words();
    let is_on = words.first()? == "on";
    if let Some(text) = words.get(1).filter(|_| is_on) {
        directive.set("server.greeting", text, found);
    }
    Some(())
}

fn login_message(directive: &Directive, found: &mut Found) -> Option<()> {
    directive.words().first()?;
    let text = directive.unquoted().replace("%u", "{user}").replace("%a", "{ip}");
    if text.contains('%') {
        let what = "a text with variables that are not known here";
        found.lost(&directive.spot, what, "server.login_message knows {user} and {ip}");
    } else {
        directive.set("server.login_message", &text, found);
    }
    Some(())
}

/// One mask for files, perhaps one for folders.
fn umask(directive: &Directive, found: &mut Found) -> Option<()> {
    let words = directive.words();
    let mask = |text: &String| u32::from_str_radix(text, 8).ok().filter(|mask| *mask <= 0o777);
    let files = mask(words.first()?)?;
    let folders = words.get(1).map_or(Some(files), mask)?;
    if files != folders {
        let what = "files and folders had different masks; now both have that of files";
        found.changed(&directive.spot, what, "see files.umask");
    }
    directive.set("files.umask", &format!("{files:03o}"), found);
    Some(())
}

/// `~` is what wharf always does.
fn root(directive: &Directive, found: &mut Found) -> Option<()> {
    let words = directive.words();
    if words.first()? != "~" || words.len() > 1 {
        let what = format!("DefaultRoot {}", directive.value.escape_debug());
        found.changed(&directive.spot, what, "now the top of each account is its home");
    }
    Some(())
}

fn log(path: &str, directive: &Directive, found: &mut Found) -> Option<()> {
    if directive.value.eq_ignore_ascii_case("none") {
        return Some(());
    }
    directive.put(path, As::Path, found)
}

/// `RETR 100` or `STOR,APPE,STOU 50`, in kilobytes a second; more words make exceptions.
fn transfer_rate(directive: &Directive, found: &mut Found) -> Option<()> {
    let words = directive.words();
    let verbs = words.first()?.to_ascii_uppercase();
    let kib = words.get(1)?.split(':').next()?;
    let bytes = match kib.split_once('.') {
        None => kib.parse::<u64>().ok()?.checked_mul(1024)?,
        Some((whole, tenths)) => {
            let digit: u64 = tenths.get(..1)?.parse().ok()?;
            whole.parse::<u64>().ok()?.checked_mul(1024)?.checked_add(digit * 1024 / 10)?
        }
    };
    let (spot, name) = (&directive.spot, directive.name.as_str());
    for verb in verbs.split(',') {
        match verb {
            "RETR" => found.set_number("limits.transfer_download_rate", bytes, spot, name),
            "STOR" | "APPE" | "STOU" => {
                found.set_number("limits.transfer_upload_rate", bytes, spot, name);
            }
            _ => return None,
        }
    }
    if words.len() > 2 {
        let what = "the rate was for some users only; now it is for all";
        found.changed(spot, what, "for one account: wharf user edit NAME --up RATE --down RATE");
    }
    Some(())
}

fn times(directive: &Directive, found: &mut Found) -> Option<()> {
    let word = if directive.truth()? { "utc" } else { "local" };
    directive.set("names.list_time", word, found);
    Some(())
}

fn tls_required(directive: &Directive, found: &mut Found) -> Option<()> {
    let require = match directive.value.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "data" | "auth+data" | "ctrl+data" => "all",
        "ctrl" | "auth" | "ctrl+!data" | "auth+!data" => "login",
        "off" | "false" | "no" | "!data" => return Some(()),
        _ => return None,
    };
    directive.set("tls.require", require, found);
    Some(())
}

fn tls_options(directive: &Directive, found: &mut Found) -> Option<()> {
    let is_free = |word: &String| word.eq_ignore_ascii_case("NoSessionReuseRequired");
    let words = directive.words();
    words.first()?;
    if words.iter().any(is_free) {
        directive.set("tls.session_reuse", "off", found);
    }
    Some(())
}
