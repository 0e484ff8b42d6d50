//! `pure-ftpd.conf`, or the folder of Debian with a file for each directive.

use std::path::Path;

use wharf_core::permission::Permissions;

use crate::config::raw::Raw;
use crate::import::directives::{As, Directive, Fate, NEVER, Table, apply};
use crate::import::model::{Found, Kind, Refused};
use crate::import::text::{self, SETTINGS_BYTES_MAX, SourceEncoding, Text};
use crate::outcome::Failure;

/// The most files that are read in a folder.
const FILES_MAX: usize = 200;

const ACCOUNTS: &str = "only accounts of pure-pw are read; make others with: wharf user add";

/// What becomes of each directive.
const TABLE: &Table = &[
    (&["Bind"], Fate::By(bind)),
    (&["PassivePortRange"], Fate::By(passive_ports)),
    (&["ForcePassiveIP"], Fate::To("passive.public_address", As::Text)),
    (&["MaxClientsNumber"], Fate::To("limits.connections", As::Number)),
    (&["MaxClientsPerIP"], Fate::To("limits.connections_per_ip", As::Number)),
    (&["MaxIdleTime"], Fate::To("limits.idle_timeout", As::Minutes)),
    (&["UserBandwidth"], Fate::By(bandwidth)),
    (&["AnonymousBandwidth"], Fate::Lost("visitors have the rates of limits.user_upload_rate")),
    (&["PerUserLimits"], Fate::By(per_user)),
    (&["Umask"], Fate::By(umask)),
    (&["NoAnonymous"], Fate::By(|directive, found| visitors(directive, found, true))),
    (&["AnonymousOnly"], Fate::By(|directive, found| visitors(directive, found, false))),
    (&["AnonymousCantUpload"], Fate::LostIf(false, "see login.anonymous_permissions")),
    (&["AnonymousCanCreateDirs"], Fate::LostIf(true, "see login.anonymous_permissions")),
    (&["AnonymousRatio", "UserRatio"], Fate::Lost("wharf has no ratios")),
    (&["TLS"], Fate::By(tls)),
    (&["CertFile"], Fate::By(certificate)),
    (&["CertFileAndKey"], Fate::By(certificate)),
    (&["TLSCipherSuite"], Fate::Lost("only safe ciphers are offered; see tls.min_version")),
    (&["VerboseLog"], Fate::To("log.commands", As::Truth)),
    (&["AltLog"], Fate::By(alt_log)),
    (&["ClientCharset"], Fate::By(charset)),
    (&["FileSystemCharset", "FSCharset"], Fate::By(disk_charset)),
    (&["IPV4Only"], Fate::By(only_ipv4)),
    (&["IPV6Only"], Fate::LostIf(true, "name the IPv6 addresses: [[listen]] address")),
    (&["NoRename", "NoChmod", "KeepAllFiles"], Fate::Silent),
    (&["AllowUserFXP", "AllowAnonymousFXP"], Fate::LostIf(true, NEVER)),
    (&["UnixAuthentication", "PAMAuthentication"], Fate::LostIf(true, ACCOUNTS)),
    (&["MySQLConfigFile", "LDAPConfigFile", "PGSQLConfigFile", "ExtAuth"], Fate::Lost(ACCOUNTS)),
    (&["TrustedGID"], Fate::Lost("now nobody leaves his home")),
    (&["ChrootEveryone"], Fate::LostIf(false, "now nobody leaves his home")),
    (&["Quota"], Fate::Lost("there is no quota for all accounts")),
    (&["MaxDiskUsage", "MaxLoad"], Fate::Lost("there is no such limit")),
    (&["LimitRecursion"], Fate::Silent),
    (&["CallUploadScript"], Fate::LostIf(true, "no programs are run")),
    (&["AutoRename"], Fate::LostIf(true, "to keep files that are there: files.overwrite = false")),
    (
        &["ProhibitDotFilesWrite", "ProhibitDotFilesRead"],
        Fate::LostIf(true, "there is no such rule"),
    ),
    (&["CreateHomeDir"], Fate::LostIf(true, "wharf user add NAME --home DIR --create-home")),
    (&["FortunesFile"], Fate::Lost("a text for everybody: server.greeting")),
    (&["SyslogFacility"], Fate::Silent),
    (&["NATmode"], Fate::LostIf(true, "behind NAT: passive.public_address")),
    (
        &[
            "PureDB",
            "Daemonize",
            "BrokenClientsCompatibility",
            "DisplayDotFiles",
            "DontResolve",
            "LogPID",
            "MinUID",
            "PIDFile",
            "UseFtpUsers",
            "AntiWarez",
            "AllowDotFiles",
            "CustomerProof",
            "NoTruncate",
            "PureFTPdUser",
            "ForcePassiveIPv4",
            "IPv6",
        ],
        Fate::Silent,
    ),
];

/// Reads a file or a folder of files, and returns the rights that accounts have.
pub(super) fn import(
    path: &Path,
    encoding: SourceEncoding,
    found: &mut Found,
) -> Result<Permissions, Failure> {
    let directives = if path.is_dir() {
        folder(path, encoding)?
    } else {
        directives(&text::read(path, SETTINGS_BYTES_MAX, encoding)?)
    };
    Ok(read(&directives, &path.display().to_string(), found)?)
}

/// Does what the directives say.
pub(super) fn read(
    directives: &[Directive],
    shown: &str,
    found: &mut Found,
) -> Result<Permissions, Refused> {
    let is_known = |directive: &&Directive| {
        let is_it = |name: &&str| name.eq_ignore_ascii_case(&directive.name);
        TABLE.iter().any(|(names, _)| names.iter().any(is_it))
    };
    if !directives.iter().any(|directive| is_known(&directive)) {
        let what = format!("{shown} has no directive of Pure-FTPd");
        let help = "name pure-ftpd.conf, or the folder /etc/pure-ftpd/conf";
        return Err(Refused::new(what, help));
    }
    for directive in directives {
        apply(directive, TABLE, found);
    }
    let is_on = |name: &str| {
        let named = directives.iter().rfind(|one| one.name.eq_ignore_ascii_case(name));
        named.and_then(Directive::truth) == Some(true)
    };
    let taken = [
        ("NoChmod", Permissions::CHMOD),
        ("NoRename", Permissions::RENAME),
        (
            "KeepAllFiles",
            Permissions::DELETE
                .union(Permissions::RMDIR)
                .union(Permissions::RENAME)
                .union(Permissions::OVERWRITE),
        ),
    ];
    let lost = taken.iter().filter(|(name, _)| is_on(name)).map(|(_, rights)| *rights);
    let lost = lost.fold(Permissions::NONE, Permissions::union);
    let kept = Permissions::EACH.iter().map(|(right, ..)| *right);
    Ok(kept.filter(|right| !lost.contains(*right)).fold(Permissions::NONE, Permissions::union))
}

/// The directives of a file: a name, blanks, the value.
pub(super) fn directives(text: &Text) -> Vec<Directive> {
    text.lines()
        .filter_map(|(number, line)| {
            let line = line.trim();
            let is_none = line.is_empty() || line.starts_with('#');
            let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            // A remark may follow the value.
            let value = value.split(" #").next().unwrap_or_default().trim();
            (!is_none).then(|| Directive {
                name: name.to_owned(),
                value: value.to_owned(),
                spot: text.spot(number),
            })
        })
        .collect()
}

/// A file for each directive, with its value.
fn folder(path: &Path, encoding: SourceEncoding) -> Result<Vec<Directive>, Failure> {
    let below = path.join("conf");
    let path = if below.is_dir() { below } else { path.to_owned() };
    let failed = |error| Failure::io(format!("cannot read {}", path.display()), &error);
    let mut files: Vec<_> = std::fs::read_dir(&path)
        .map_err(failed)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files.truncate(FILES_MAX);
    let mut directives = Vec::new();
    for file in files {
        let text = text::read(&file, SETTINGS_BYTES_MAX, encoding)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let line = text.lines().find(|(_, line)| !line.trim().is_empty());
        let (number, value) = line.unwrap_or((1, ""));
        directives.push(Directive { name, value: value.trim().into(), spot: text.spot(number) });
    }
    Ok(directives)
}

/// `127.0.0.1,21`, each half optional.
fn bind(directive: &Directive, found: &mut Found) -> Option<()> {
    let (address, port) = directive.value.split_once(',').unwrap_or((&directive.value, ""));
    if !address.trim().is_empty() {
        directive.set("listen.0.address", address.trim(), found);
    }
    let port = port.trim();
    if !port.is_empty() {
        let port: u16 = if port == "ftp" { 21 } else { port.parse().ok()? };
        found.set_number("listen.0.port", port.into(), &directive.spot, &directive.name);
    }
    Some(())
}

fn passive_ports(directive: &Directive, found: &mut Found) -> Option<()> {
    let words: Vec<_> = directive.value.split([' ', '\t', ':', '-']).collect();
    let ports: Option<Vec<u16>> =
        words.into_iter().filter(|word| !word.is_empty()).map(|word| word.parse().ok()).collect();
    let [from, to] = ports?[..] else { return None };
    directive.set("passive.ports", &format!("{from}-{to}"), found);
    Some(())
}

/// Kilobytes a second: one number for both ways, or `uploads:downloads`.
fn bandwidth(directive: &Directive, found: &mut Found) -> Option<()> {
    let (up, down) =
        directive.value.split_once(':').unwrap_or((&directive.value, &directive.value));
    for (path, text) in [("limits.user_upload_rate", up), ("limits.user_download_rate", down)] {
        if !text.trim().is_empty() {
            let kib: u32 = text.trim().parse().ok()?;
            found.set_number(path, u64::from(kib) * 1024, &directive.spot, &directive.name);
        }
    }
    Some(())
}

/// `sessions of a user:sessions of visitors`
fn per_user(directive: &Directive, found: &mut Found) -> Option<()> {
    let (user, _) = directive.value.split_once(':')?;
    let user: u32 = user.trim().parse().ok()?;
    found.set_number("limits.sessions_per_user", user.into(), &directive.spot, &directive.name);
    Some(())
}

/// `files:folders`; one mask for both is enough where it says the same of files.
fn umask(directive: &Directive, found: &mut Found) -> Option<()> {
    let (files, folders) =
        directive.value.split_once(':').unwrap_or((&directive.value, &directive.value));
    let mask = |text: &str| u32::from_str_radix(text.trim(), 8).ok().filter(|mask| *mask <= 0o777);
    let (files, folders) = (mask(files)?, mask(folders)?);
    if 0o666 & !files != 0o666 & !folders {
        let what = "files and folders had different masks; now both have that of folders";
        found.changed(&directive.spot, what, "see files.umask");
    }
    directive.set("files.umask", &format!("{folders:03o}"), found);
    Some(())
}

/// Visitors need a folder, which is the home of the system's user `ftp` there.
fn visitors(directive: &Directive, found: &mut Found, negated: bool) -> Option<()> {
    if directive.truth()? == negated {
        return Some(());
    }
    let what = "visitors without password, in the home of the system's user ftp";
    let remedy = "set login.anonymous = true and login.anonymous_home to that folder";
    found.lost(&directive.spot, what, remedy);
    Some(())
}

/// 0 none, 1 for those who want it, 2 for every login, 3 for data too.
fn tls(directive: &Directive, found: &mut Found) -> Option<()> {
    match directive.number()? {
        0 | 1 => {}
        2 => directive.set("tls.require", "login", found),
        3 => directive.set("tls.require", "all", found),
        _ => return None,
    }
    Some(())
}

/// One file for both, or two in quotes.
fn certificate(directive: &Directive, found: &mut Found) -> Option<()> {
    let words = directive.words();
    let certificate = words.first()?;
    directive.set("tls.certificate", certificate, found);
    directive.set("tls.private_key", words.get(1).unwrap_or(certificate), found);
    Some(())
}

/// `xferlog:/path` is the same format here; `clf`, `stats` and `w3c` are not.
fn alt_log(directive: &Directive, found: &mut Found) -> Option<()> {
    let (format, path) = directive.value.split_once(':')?;
    if format.eq_ignore_ascii_case("xferlog") {
        directive.set("log.transfer_log", path.trim(), found);
    } else {
        let remedy = "a line for each transfer in another format: log.transfer_log";
        found.lost(&directive.spot, format!("a log in the format {format}"), remedy);
    }
    Some(())
}

fn charset(directive: &Directive, found: &mut Found) -> Option<()> {
    directive.words().first()?;
    directive.set("names.legacy_encoding", &directive.value, found);
    let what = "clients that show they know UTF-8 get UTF-8, the others this set";
    found.note(Kind::Changed, Some(&directive.spot), what, "");
    Some(())
}

fn disk_charset(directive: &Directive, found: &mut Found) -> Option<()> {
    directive.words().first()?;
    if !directive.value.to_ascii_lowercase().starts_with("utf") {
        let what = format!("names on disk in {}", directive.value.escape_debug());
        found.lost(&directive.spot, what, "names on disk are taken as UTF-8; rename them");
    }
    Some(())
}

fn only_ipv4(directive: &Directive, found: &mut Found) -> Option<()> {
    if directive.truth()? && !found.wishes.contains_key("listen.0.address") {
        found.set(
            "listen.0.address",
            Raw::Text("0.0.0.0".into()),
            &directive.spot,
            &directive.name,
        );
    }
    Some(())
}
