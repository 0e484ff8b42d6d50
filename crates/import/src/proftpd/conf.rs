//! `proftpd.conf`: directives, some in sections that apply to a part of the server.

use wharf_config::raw::Raw;

use crate::directives::DirectiveAction::{By, Lost, LostIf, Silent, To};
use crate::directives::ValueFormat::{Boolean, Number, Path, Text};
use crate::directives::{Directive, DirectiveTable, NEVER, apply};
use crate::model::{ImportError, ImportResult};
use crate::text::SourceText;

const NO_RULE: &str = "wharf has no such rule";
const OWN_FORMAT: &str = "wharf has its own log format: log.format";
const ACCOUNTS: &str = "only AuthUserFile is imported; add other accounts:  wharf user add";

/// How each directive is imported.
const TABLE: &DirectiveTable = &[
    (&["Port"], To("listen.0.port", Number)),
    (&["DefaultAddress"], To("listen.0.address", Text)),
    (&["UseIPv6"], By(use_ipv6)),
    (&["PassivePorts"], By(passive_ports)),
    (&["MasqueradeAddress"], To("passive.public_address", Text)),
    (&["MaxClients"], By(|one, found| first_number("limits.connections", one, found))),
    (&["MaxInstances"], By(instances)),
    (&["MaxClientsPerHost"], By(per_host)),
    (&["MaxClientsPerUser"], By(per_user)),
    (&["MaxLoginAttempts"], To("login.max_attempts", Number)),
    (&["TimeoutIdle"], By(|one, found| seconds("limits.idle_timeout", one, found))),
    (&["TimeoutLogin"], By(|one, found| seconds("login.timeout", one, found))),
    (&["TimeoutStalled"], By(|one, found| seconds("limits.transfer_stall_timeout", one, found))),
    (&["TimeoutNoTransfer", "TimeoutSession"], Lost("see limits.idle_timeout")),
    (&["ServerIdent"], By(ident)),
    (&["AccessGrantMsg"], By(login_message)),
    (&["DisplayConnect", "DisplayLogin"], Lost("see server.greeting, server.login_message")),
    (&["DisplayChdir", "DisplayQuit", "DisplayGoAway"], Lost("wharf has no such messages")),
    (&["Umask"], By(umask)),
    (&["AllowOverwrite"], To("files.overwrite", Boolean)),
    (&["DefaultRoot"], By(root)),
    (&["TransferLog"], By(|one, found| log("log.transfer_log", one, found))),
    (&["SystemLog"], By(|one, found| log("log.file", one, found))),
    (&["ExtendedLog", "LogFormat", "TLSLog", "SQLLogFile", "BanLog"], Lost(OWN_FORMAT)),
    (&["TransferRate"], By(transfer_rate)),
    (&["TimesGMT"], By(times)),
    (&["TLSRSACertificateFile", "TLSECCertificateFile"], To("tls.certificate", Path)),
    (&["TLSRSACertificateKeyFile", "TLSECCertificateKeyFile"], To("tls.private_key", Path)),
    (
        &["TLSCertificateChainFile", "TLSCACertificateFile"],
        Lost("append the chain to the file of tls.certificate"),
    ),
    (&["TLSRequired"], By(tls_required)),
    (&["TLSOptions"], By(tls_options)),
    (&["TLSVerifyClient"], LostIf(true, "client certificates are not supported")),
    (&["TLSCipherSuite"], Lost("only secure cipher suites are offered; see tls.min_version")),
    (&["AllowForeignAddress"], LostIf(true, NEVER)),
    (&["AuthPAM"], LostIf(true, ACCOUNTS)),
    (
        &["AuthOrder", "AuthPAMConfig", "SQLConnectInfo", "LDAPServer", "RadiusServer"],
        Lost(ACCOUNTS),
    ),
    (
        &[
            "AllowFilter", "DenyFilter", "PathAllowFilter", "PathDenyFilter", "HideFiles",
            "HideNoAccess",
        ],
        Lost(NO_RULE),
    ),
    (
        &["Include"],
        Lost("the included file was not read; import it with --conf, or insert its lines here"),
    ),
    (&["QuotaEngine"], LostIf(true, "set quotas per account:  wharf user edit NAME --quota SIZE")),
    (
        &["QuotaLimitTable", "QuotaTallyTable"],
        Lost("set quotas per account:  wharf user edit NAME --quota SIZE"),
    ),
    (&["BanEngine"], LostIf(true, "see the [ban] settings:  wharf config default")),
    (&["BanOnEvent", "BanTable"], Lost("see the [ban] settings:  wharf config default")),
    (&["Ratios"], LostIf(true, "upload ratios are not supported")),
    (&["AllowClass", "DenyClass", "Class"], Lost(NO_RULE)),
    // Not needed, or handled elsewhere.
    (
        &[
            "TLSEngine", "TLSProtocol", "TLSRenegotiate", "RootLogin", "HiddenStores",
            "AllowStoreRestart", "AllowRetrieveRestart", "DeleteAbortedStores", "ListOptions",
            "DirFakeUser", "DirFakeGroup", "DirFakeMode", "ShowSymlinks", "RequireValidShell",
            "UseFtpUsers", "UseReverseDNS", "IdentLookups", "DeferWelcome", "ServerName",
            "ServerType", "ServerAdmin", "DefaultServer", "MultilineRFC2228",
            "DefaultTransferMode", "User", "Group", "PersistentPasswd", "LoadModule", "ModulePath",
            "AuthUserFile", "AuthGroupFile", "PidFile", "ScoreboardFile", "ControlsEngine",
            "ControlsMaxClients", "ControlsLog", "ControlsInterval", "ControlsSocket",
            "DelayEngine", "UseSendfile", "WtmpLog", "SocketBindTight", "CreateHome",
            "AuthAliasOnly", "UserAlias", "SyslogLevel", "SyslogFacility", "UseEncoding",
            "LangEngine", "MaxConnectionRate", "TCPBacklog", "DebugLevel", "AdminControlsEngine",
            "RewriteEngine", "WrapEngine", "RequireFtpUser", "UseGlobbing",
        ],
        Silent,
    ),
];

/// An open section.
struct OpenSection {
    name: String,
    argument: String,
    line: usize,
    kind: SectionKind,
}

/// How the directives in a section are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SectionKind {
    /// As if they were outside of it.
    Applied,
    /// Not supported: each line is reported.
    Reported,
    /// They apply to anonymous users.
    Anonymous,
}

/// Reads the configuration.
pub(super) fn read(text: &SourceText, found: &mut ImportResult) -> Result<(), ImportError> {
    let mut open: Vec<OpenSection> = Vec::new();
    let mut known = 0_usize;
    let lines = joined(text);
    for (number, line) in &lines {
        let (number, location) = (*number, text.location(*number));
        if let Some(name) = line.strip_prefix("</") {
            let name = name.trim_end_matches('>').trim();
            if open.last().is_some_and(|one| one.name.eq_ignore_ascii_case(name)) {
                open.pop();
            } else {
                let what = format!("unexpected </{}>", name.escape_debug());
                found.lost(&location, what, "correct it and import again");
            }
            continue;
        }
        if let Some(inner) = line.strip_prefix('<') {
            let inner = inner.trim_end_matches('>').trim();
            let (name, argument) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
            let outer = open.last().map_or(SectionKind::Applied, |section| section.kind);
            let mut section = OpenSection {
                name: name.to_owned(),
                argument: argument.trim().to_owned(),
                line: number,
                kind: SectionKind::Reported,
            };
            section.kind = enter(&section, outer, text, found);
            open.push(section);
            continue;
        }
        let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let (name, value) = (name.to_owned(), value.trim().to_owned());
        let directive = Directive { name, value, location };
        let is_it = |known: &&str| known.eq_ignore_ascii_case(&directive.name);
        known += usize::from(TABLE.iter().any(|(names, _)| names.iter().any(is_it)));
        inside(&directive, open.last(), found);
    }
    if let Some(section) = open.last() {
        let what = format!(
            "{}: unexpected end of file in <{}>",
            text.location(section.line),
            section.name.escape_debug()
        );
        return Err(ImportError::new(
            what,
            "the file is truncated; get a complete copy. Nothing was written",
        ));
    }
    if known == 0 {
        let what = format!("{} contains no ProFTPD directives", text.shown);
        return Err(ImportError::new(what, "name proftpd.conf"));
    }
    defaults(text, found);
    if !lines.iter().any(|(_, line)| line.to_ascii_lowercase().starts_with("defaultroot")) {
        let what = "accounts could leave their homes; now every account is confined to its home";
        found.changed(&text.location(0), what, "");
    }
    Ok(())
}

/// The lines that are not empty or comments; a backslash at the end joins the next line.
fn joined(text: &SourceText) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut is_open = false;
    for (number, line) in text.lines() {
        let line = line.trim();
        let (part, is_continued) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some((_, last)) if is_open => last.push_str(part),
            _ if line.is_empty() || line.starts_with('#') => continue,
            _ => lines.push((number, part.to_owned())),
        }
        is_open = is_continued;
    }
    lines
}

/// How a section is handled; unsupported ones are reported.
fn enter(
    section: &OpenSection,
    outer: SectionKind,
    text: &SourceText,
    found: &mut ImportResult,
) -> SectionKind {
    let location = text.location(section.line);
    let name = section.name.to_ascii_lowercase();
    match name.as_str() {
        "global" | "ifmodule" | "ifdefine" if outer != SectionKind::Reported => {
            let is_negative = section.argument.starts_with('!');
            if is_negative { SectionKind::Reported } else { outer }
        }
        "anonymous" if outer == SectionKind::Applied => {
            let home = section.argument.trim_matches('"');
            found.set("login.anonymous", Raw::Boolean(true), &location, "<Anonymous>");
            if home.starts_with('/') {
                found.set_text("login.anonymous_home", home, &location, "<Anonymous>");
            }
            SectionKind::Anonymous
        }
        // Anonymous users may only read by default.
        "limit"
            if outer == SectionKind::Anonymous
                && section.argument.eq_ignore_ascii_case("WRITE") =>
        {
            SectionKind::Anonymous
        }
        _ => {
            let shown = format!("<{} {}>", section.name, section.argument);
            let hint = match name.as_str() {
                "virtualhost" => "run a separate wharf for it, with its own wharf.toml",
                "directory" | "limit" => {
                    "set permissions for a folder:  wharf user edit NAME --path /DIR=PERMISSIONS"
                }
                _ => NO_RULE,
            };
            found.lost(&location, format!("{} is not imported", shown.escape_debug()), hint);
            SectionKind::Reported
        }
    }
}

/// Imports a directive, or reports it.
fn inside(directive: &Directive, section: Option<&OpenSection>, found: &mut ImportResult) {
    let Some(section) = section.filter(|section| section.kind != SectionKind::Applied) else {
        return apply(directive, TABLE, found);
    };
    let name = directive.name.to_ascii_lowercase();
    let for_anonymous =
        ["user", "group", "useralias", "requirevalidshell", "denyall", "order", "deny"];
    if section.kind == SectionKind::Anonymous && for_anonymous.contains(&name.as_str()) {
        return;
    }
    let what = format!("`{}` in <{}>", directive.name.escape_debug(), section.name.escape_debug());
    found.lost(&directive.location, what, "it applies to a part of the server only");
}

/// Defaults of ProFTPD that differ from those of wharf.
fn defaults(text: &SourceText, found: &mut ImportResult) {
    let nowhere = text.location(0);
    if !found.imported_settings.contains_key("files.overwrite") {
        let word = "AllowOverwrite defaults to off";
        found.set("files.overwrite", Raw::Boolean(false), &nowhere, word);
    }
    if !found.imported_settings.contains_key("names.list_time") {
        found.set_text("names.list_time", "utc", &nowhere, "TimesGMT defaults to on");
    }
    if found.imported_settings.contains_key("tls.certificate")
        && !found.imported_settings.contains_key("tls.private_key")
        && let Some(imported) = found.imported_settings.get("tls.certificate").cloned()
    {
        found.imported_settings.insert("tls.private_key".into(), imported);
    }
}

fn use_ipv6(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    if !directive.truth()? && !found.imported_settings.contains_key("listen.0.address") {
        directive.set("listen.0.address", "0.0.0.0", found);
    }
    Some(())
}

fn passive_ports(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let words = directive.words();
    let [from, to] = &words[..] else { return None };
    let (from, to): (u16, u16) = (from.parse().ok()?, to.parse().ok()?);
    directive.set("passive.ports", &format!("{from}-{to}"), found);
    Some(())
}

/// A number, optionally followed by a message for rejected clients. `none` is unlimited.
fn first_number(path: &str, directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let words = directive.words();
    let first = words.first()?;
    let number: u32 = if first.eq_ignore_ascii_case("none") { 0 } else { first.parse().ok()? };
    found.set_number(path, number.into(), &directive.location, &directive.name);
    Some(())
}

fn instances(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    if found
        .imported_settings
        .get("limits.connections")
        .is_some_and(|imported| imported.word == "MaxClients")
    {
        return Some(());
    }
    first_number("limits.connections", directive, found)
}

fn per_host(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    first_number("limits.connections_per_ip", directive, found)
}

fn per_user(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    first_number("limits.sessions_per_user", directive, found)
}

fn seconds(path: &str, directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let words = directive.words();
    let seconds: u32 = words.first()?.parse().ok()?;
    found.set_seconds(path, seconds.into(), &directive.location, &directive.name);
    Some(())
}

/// `on "text"`
fn ident(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let words = directive.words();
    let is_on = words.first()? == "on";
    if let Some(text) = words.get(1).filter(|_| is_on) {
        directive.set("server.greeting", text, found);
    }
    Some(())
}

fn login_message(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    directive.words().first()?;
    let text = directive.unquoted().replace("%u", "{user}").replace("%a", "{ip}");
    if text.contains('%') {
        let what = "the message contains unsupported variables";
        found.lost(&directive.location, what, "server.login_message supports {user} and {ip}");
    } else {
        directive.set("server.login_message", &text, found);
    }
    Some(())
}

/// A mask for files, optionally followed by one for folders.
fn umask(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let words = directive.words();
    let mask = |text: &String| u32::from_str_radix(text, 8).ok().filter(|mask| *mask <= 0o777);
    let files = mask(words.first()?)?;
    let folders = words.get(1).map_or(Some(files), mask)?;
    if files != folders {
        let what = "files and folders had different umasks; now both use that of files";
        found.changed(&directive.location, what, "see files.umask");
    }
    directive.set("files.umask", &format!("{files:03o}"), found);
    Some(())
}

/// `~` is the behaviour of wharf.
fn root(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let words = directive.words();
    if words.first()? != "~" || words.len() > 1 {
        let what = format!("DefaultRoot {}", directive.value.escape_debug());
        found.changed(&directive.location, what, "now the root of each account is its home");
    }
    Some(())
}

fn log(path: &str, directive: &Directive, found: &mut ImportResult) -> Option<()> {
    if directive.value.eq_ignore_ascii_case("none") {
        return Some(());
    }
    directive.put(path, Path, found)
}

/// `RETR 100` or `STOR,APPE,STOU 50`, in kilobytes a second; further words are exceptions.
fn transfer_rate(directive: &Directive, found: &mut ImportResult) -> Option<()> {
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
    let (location, name) = (&directive.location, directive.name.as_str());
    for verb in verbs.split(',') {
        match verb {
            "RETR" => found.set_number("limits.transfer_download_rate", bytes, location, name),
            "STOR" | "APPE" | "STOU" => {
                found.set_number("limits.transfer_upload_rate", bytes, location, name);
            }
            _ => return None,
        }
    }
    if words.len() > 2 {
        let what = "the rate applied to some users only; now it applies to all";
        found.changed(
            location,
            what,
            "for one account:  wharf user edit NAME --upload-rate RATE --download-rate RATE",
        );
    }
    Some(())
}

fn times(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let word = if directive.truth()? { "utc" } else { "local" };
    directive.set("names.list_time", word, found);
    Some(())
}

fn tls_required(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let require = match directive.value.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "data" | "auth+data" | "ctrl+data" => "all",
        "ctrl" | "auth" | "ctrl+!data" | "auth+!data" => "login",
        "off" | "false" | "no" | "!data" => return Some(()),
        _ => return None,
    };
    directive.set("tls.require", require, found);
    Some(())
}

fn tls_options(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let is_free = |word: &String| word.eq_ignore_ascii_case("NoSessionReuseRequired");
    let words = directive.words();
    words.first()?;
    if words.iter().any(is_free) {
        directive.set("tls.session_reuse", "off", found);
    }
    Some(())
}
