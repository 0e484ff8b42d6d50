//! `pure-ftpd.conf`, or Debian's folder with a file for each directive.

use std::path::Path;

use wharf_config::outcome::Failure;
use wharf_config::raw::Raw;
use wharf_core::permission::Permissions;

use crate::directives::DirectiveAction::{By, Lost, LostIf, Silent, To};
use crate::directives::ValueFormat::{Boolean, Minutes, Number, Text};
use crate::directives::{Directive, DirectiveTable, NEVER, apply};
use crate::model::{ImportError, ImportResult, NoteKind};
use crate::text::{self, SETTINGS_BYTES_MAX, SourceEncoding, SourceText};

/// Maximum number of files read in a folder.
const FILES_MAX: usize = 200;

const ACCOUNTS: &str = "only accounts of pure-pw are imported; add other accounts:  wharf user add";

/// How each directive is imported.
const TABLE: &DirectiveTable = &[
    (&["Bind"], By(bind)),
    (&["PassivePortRange"], By(passive_ports)),
    (&["ForcePassiveIP"], To("passive.public_address", Text)),
    (&["MaxClientsNumber"], To("limits.connections", Number)),
    (&["MaxClientsPerIP"], To("limits.connections_per_ip", Number)),
    (&["MaxIdleTime"], To("limits.idle_timeout", Minutes)),
    (&["UserBandwidth"], By(bandwidth)),
    (&["AnonymousBandwidth"], Lost("anonymous users have the rates of limits.user_upload_rate")),
    (&["PerUserLimits"], By(per_user)),
    (&["Umask"], By(umask)),
    (&["NoAnonymous"], By(|directive, found| anonymous(directive, found, true))),
    (&["AnonymousOnly"], By(|directive, found| anonymous(directive, found, false))),
    (&["AnonymousCantUpload"], LostIf(false, "see login.anonymous_permissions")),
    (&["AnonymousCanCreateDirs"], LostIf(true, "see login.anonymous_permissions")),
    (&["AnonymousRatio", "UserRatio"], Lost("upload ratios are not supported")),
    (&["TLS"], By(tls)),
    (&["CertFile"], By(certificate)),
    (&["CertFileAndKey"], By(certificate)),
    (&["TLSCipherSuite"], Lost("only secure cipher suites are offered; see tls.min_version")),
    (&["VerboseLog"], To("log.commands", Boolean)),
    (&["AltLog"], By(alt_log)),
    (&["ClientCharset"], By(charset)),
    (&["FileSystemCharset", "FSCharset"], By(disk_charset)),
    (&["IPV4Only"], By(only_ipv4)),
    (&["IPV6Only"], LostIf(true, "listen on IPv6 addresses only: [[listen]] address")),
    (&["AllowUserFXP", "AllowAnonymousFXP"], LostIf(true, NEVER)),
    (&["UnixAuthentication", "PAMAuthentication"], LostIf(true, ACCOUNTS)),
    (&["MySQLConfigFile", "LDAPConfigFile", "PGSQLConfigFile", "ExtAuth"], Lost(ACCOUNTS)),
    (&["TrustedGID"], Lost("now every account is confined to its home")),
    (&["ChrootEveryone"], LostIf(false, "now every account is confined to its home")),
    (&["Quota"], Lost("set quotas per account:  wharf user edit NAME --quota SIZE")),
    (&["MaxDiskUsage", "MaxLoad"], Lost("wharf has no such limit")),
    (&["CallUploadScript"], LostIf(true, "the script is not imported; set events.on_upload")),
    (&["AutoRename"], LostIf(true, "to protect existing files: files.overwrite = false")),
    (&["ProhibitDotFilesWrite", "ProhibitDotFilesRead"], LostIf(true, "wharf has no such rule")),
    (&["CreateHomeDir"], LostIf(true, "wharf user add NAME --home DIR --create-home")),
    (&["FortunesFile"], Lost("for a fixed greeting: server.greeting")),
    (&["NATmode"], LostIf(true, "behind NAT: passive.public_address")),
    // Not needed, or handled elsewhere.
    (
        &[
            "NoRename", "NoChmod", "KeepAllFiles", "LimitRecursion", "SyslogFacility", "PureDB",
            "Daemonize", "BrokenClientsCompatibility", "DisplayDotFiles", "DontResolve", "LogPID",
            "MinUID", "PIDFile", "UseFtpUsers", "AntiWarez", "AllowDotFiles", "CustomerProof",
            "NoTruncate", "PureFTPdUser", "ForcePassiveIPv4", "IPv6",
        ],
        Silent,
    ),
];

/// Reads a file or a folder of files, and returns the permissions of accounts.
pub(super) fn import(
    path: &Path,
    encoding: SourceEncoding,
    found: &mut ImportResult,
) -> Result<Permissions, Failure> {
    let directives = if path.is_dir() {
        folder(path, encoding)?
    } else {
        directives(&text::read(path, SETTINGS_BYTES_MAX, encoding)?)
    };
    Ok(read(&directives, &path.display().to_string(), found)?)
}

/// Imports the directives.
pub(super) fn read(
    directives: &[Directive],
    shown: &str,
    found: &mut ImportResult,
) -> Result<Permissions, ImportError> {
    let is_known = |directive: &&Directive| {
        let is_it = |name: &&str| name.eq_ignore_ascii_case(&directive.name);
        TABLE.iter().any(|(names, _)| names.iter().any(is_it))
    };
    if !directives.iter().any(|directive| is_known(&directive)) {
        let what = format!("{shown} contains no Pure-FTPd directives");
        let hint = "give pure-ftpd.conf, or the folder /etc/pure-ftpd/conf";
        return Err(ImportError::new(what, hint));
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
    let lost = taken.iter().filter(|(name, _)| is_on(name)).map(|(_, permissions)| *permissions);
    let lost = lost.fold(Permissions::NONE, Permissions::union);
    let kept = Permissions::EACH.iter().map(|(permission, ..)| *permission);
    Ok(kept
        .filter(|permission| !lost.contains(*permission))
        .fold(Permissions::NONE, Permissions::union))
}

/// The directives of a file: name, whitespace, value.
pub(super) fn directives(text: &SourceText) -> Vec<Directive> {
    text.lines()
        .filter_map(|(number, line)| {
            let line = line.trim();
            let is_none = line.is_empty() || line.starts_with('#');
            let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            // A comment may follow the value.
            let value = value.split(" #").next().unwrap_or_default().trim();
            (!is_none).then(|| Directive {
                name: name.to_owned(),
                value: value.to_owned(),
                location: text.location(number),
            })
        })
        .collect()
}

/// Debian's format: one file per directive, which contains the value.
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
        directives.push(Directive {
            name,
            value: value.trim().into(),
            location: text.location(number),
        });
    }
    Ok(directives)
}

/// `127.0.0.1,21`, both parts optional.
fn bind(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let (address, port) = directive.value.split_once(',').unwrap_or((&directive.value, ""));
    if !address.trim().is_empty() {
        directive.set("listen.0.address", address.trim(), found);
    }
    let port = port.trim();
    if !port.is_empty() {
        let port: u16 = if port == "ftp" { 21 } else { port.parse().ok()? };
        found.set_number("listen.0.port", port.into(), &directive.location, &directive.name);
    }
    Some(())
}

fn passive_ports(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let words: Vec<_> = directive.value.split([' ', '\t', ':', '-']).collect();
    let ports: Option<Vec<u16>> =
        words.into_iter().filter(|word| !word.is_empty()).map(|word| word.parse().ok()).collect();
    let [from, to] = ports?[..] else { return None };
    directive.set("passive.ports", &format!("{from}-{to}"), found);
    Some(())
}

/// Kilobytes per second: one number for both directions, or `upload:download`.
fn bandwidth(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let (up, down) =
        directive.value.split_once(':').unwrap_or((&directive.value, &directive.value));
    for (path, text) in [("limits.user_upload_rate", up), ("limits.user_download_rate", down)] {
        if !text.trim().is_empty() {
            let kib: u32 = text.trim().parse().ok()?;
            found.set_number(path, u64::from(kib) * 1024, &directive.location, &directive.name);
        }
    }
    Some(())
}

/// `sessions per user:anonymous sessions`
fn per_user(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let (user, _) = directive.value.split_once(':')?;
    let user: u32 = user.trim().parse().ok()?;
    found.set_number("limits.sessions_per_user", user.into(), &directive.location, &directive.name);
    Some(())
}

/// `files:folders`; one umask is enough if both yield the same permissions for files.
fn umask(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let (files, folders) =
        directive.value.split_once(':').unwrap_or((&directive.value, &directive.value));
    let mask = |text: &str| u32::from_str_radix(text.trim(), 8).ok().filter(|mask| *mask <= 0o777);
    let (files, folders) = (mask(files)?, mask(folders)?);
    if 0o666 & !files != 0o666 & !folders {
        let what = "files and folders had different umasks; now both use that of folders";
        found.changed(&directive.location, what, "see files.umask");
    }
    directive.set("files.umask", &format!("{folders:03o}"), found);
    Some(())
}

/// Anonymous users need a folder; in Pure-FTPd it is the home of the system user `ftp`.
fn anonymous(directive: &Directive, found: &mut ImportResult, negated: bool) -> Option<()> {
    if directive.truth()? == negated {
        return Some(());
    }
    let what = "anonymous access to the home of the system user ftp";
    let hint = "set login.anonymous = true and login.anonymous_home to that folder";
    found.lost(&directive.location, what, hint);
    Some(())
}

/// 0 off, 1 optional, 2 required for logins, 3 required for data connections too.
fn tls(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    match directive.number()? {
        0 | 1 => {}
        2 => directive.set("tls.require", "login", found),
        3 => directive.set("tls.require", "all", found),
        _ => return None,
    }
    Some(())
}

/// One file for both, or two in quotes.
fn certificate(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let words = directive.words();
    let certificate = words.first()?;
    directive.set("tls.certificate", certificate, found);
    directive.set("tls.private_key", words.get(1).unwrap_or(certificate), found);
    Some(())
}

/// `xferlog:/path` is the format of `log.transfer_log`; `clf`, `stats` and `w3c` are not supported.
fn alt_log(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let (format, path) = directive.value.split_once(':')?;
    if format.eq_ignore_ascii_case("xferlog") {
        directive.set("log.transfer_log", path.trim(), found);
    } else {
        let hint = "for a transfer log in xferlog format: log.transfer_log";
        found.lost(&directive.location, format!("unsupported log format {format}"), hint);
    }
    Some(())
}

fn charset(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    directive.words().first()?;
    directive.set("names.legacy_encoding", &directive.value, found);
    let what = "clients that support UTF-8 get UTF-8, the others this character set";
    found.note(NoteKind::Changed, Some(&directive.location), what, "");
    Some(())
}

fn disk_charset(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    directive.words().first()?;
    if !directive.value.to_ascii_lowercase().starts_with("utf") {
        let what = format!("file names on disk in {}", directive.value.escape_debug());
        found.lost(
            &directive.location,
            what,
            "file names on disk must be UTF-8; convert them, for example with convmv",
        );
    }
    Some(())
}

fn only_ipv4(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    if directive.truth()? && !found.imported_settings.contains_key("listen.0.address") {
        found.set(
            "listen.0.address",
            Raw::Text("0.0.0.0".into()),
            &directive.location,
            &directive.name,
        );
    }
    Some(())
}
