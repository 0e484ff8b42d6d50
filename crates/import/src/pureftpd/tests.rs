//! Imports of Pure-FTPd configurations.

use proptest::prelude::*;

use super::*;
use crate::testing::{lines, text};

fn passwd(content: &str) -> Result<ImportResult, ImportError> {
    let mut found = ImportResult::default();
    accounts(&text("p", content), Permissions::FULL, &mut found).map(|()| found)
}

fn conf(content: &str) -> (ImportResult, Permissions) {
    let mut found = ImportResult::default();
    let permissions = conf::read(&conf::directives(&text("p", content)), "p", &mut found).unwrap();
    (found, permissions)
}

/// As pure-pw 1.0.50 writes it.
const FULL: &str = "anna:$6$salt$hash:1001:1001:Anna:/srv/anna/./:102400:204800:1:2:5:1000:\
                    1073741824:10.0.0.1:10.0.0.2:192.168.0.0/16:192.168.9.0/24:900-1800\n";

#[test]
fn every_field_is_imported_or_reported() {
    let found = passwd(FULL).unwrap();
    let account = &found.accounts[0];
    assert_eq!((account.name.as_str(), account.comment.as_str()), ("anna", "Anna"));
    assert_eq!(account.home, Path::new("/srv/anna"));
    assert_eq!(account.secret, ImportedPassword::Hash("$6$salt$hash".into()));
    assert_eq!(account.upload_rate, Some(Rate::from_bytes_per_second(102_400)));
    assert_eq!(account.download_rate, Some(Rate::from_bytes_per_second(204_800)));
    assert_eq!(account.sessions, Some(Count::from_number(5)));
    assert_eq!(
        account.facts,
        [
            AccountProperty::QuotaFiles(1000),
            AccountProperty::Quota(1 << 30),
            AccountProperty::Allow("192.168.0.0/16".into()),
            AccountProperty::Deny("192.168.9.0/24".into()),
            AccountProperty::Hours("09:00-18:00".into()),
        ]
    );
    let reported = lines(&found);
    for part in ["upload ratio", "restriction to server addresses", "files belonged to the uid"] {
        assert!(reported.contains(part), "{part}: {reported}");
    }
}

#[test]
fn chroot_marks_are_removed_from_homes_and_reported() {
    for (home, path, part) in [
        ("/srv/a/./", "/srv/a", ""),
        ("/srv/./a", "/srv", "sessions began in a"),
        ("/srv/a", "/srv/a", "could leave its home"),
    ] {
        let found = passwd(&format!("a:$6$s$h:1:1::{home}::::::::::::\n")).unwrap();
        assert_eq!(found.accounts[0].home, Path::new(path), "{home}");
        assert!(lines(&found).contains(part), "{home}: {}", lines(&found));
    }
}

#[test]
fn invalid_lines_are_reported_and_other_files_are_rejected() {
    let found =
        passwd(&format!("# x\n\nhello\n{FULL}ben:XoNgMVd5QHvkQ:1:1::/b/./:fast\n")).unwrap();
    assert_eq!(found.accounts.len(), 2);
    assert_eq!(found.accounts[1].secret, ImportedPassword::None);
    let reported = lines(&found);
    for part in ["Lost p:3 invalid account: 1 fields", "DES", "upload rate `fast`"] {
        assert!(reported.contains(part), "{part}: {reported}");
    }
    for wrong in ["hello\n", "root:x:0:0:root:/:/bin/sh\n"] {
        assert!(passwd(wrong).unwrap_err().what.starts_with("p:1: no valid"), "{wrong}");
    }
}

#[test]
fn directives_are_imported() {
    let (found, permissions) = conf(
        "# x\nBind 127.0.0.1,2121\nPassivePortRange  30000 50000\nMaxClientsNumber 50\n\
         MaxIdleTime 15\nUserBandwidth 100:200\nPerUserLimits 3:20\nUmask 133:022\nTLS 2\n\
         CertFileAndKey \"/etc/a.pem\" \"/etc/b.pem\"\nVerboseLog yes\nNoChmod yes\n\
         AltLog clf:/var/log/x\nNoAnonymous no\nAllowUserFXP yes\nMaxCleintsPerIP 8\nTLS many\n",
    );
    for (path, expected) in [
        ("listen.0.address", "\"127.0.0.1\""),
        ("listen.0.port", "2121"),
        ("passive.ports", "\"30000-50000\""),
        ("limits.connections", "50"),
        ("limits.idle_timeout", "\"15m\""),
        ("limits.user_upload_rate", "102400"),
        ("limits.user_download_rate", "204800"),
        ("limits.sessions_per_user", "3"),
        ("files.umask", "\"022\""),
        ("tls.require", "\"login\""),
        ("tls.private_key", "\"/etc/b.pem\""),
        ("log.commands", "true"),
    ] {
        assert_eq!(found.imported_settings[path].raw.to_toml(), expected, "{path}");
    }
    assert!(!permissions.contains(Permissions::CHMOD) && permissions.contains(Permissions::DELETE));
    let reported = lines(&found);
    for part in [
        "format clf",
        "anonymous access",
        "`AllowUserFXP` is not supported",
        "unknown directive `MaxCleintsPerIP`",
        "`TLS`: invalid value `many`",
    ] {
        assert!(reported.contains(part), "{part}: {reported}");
    }
    assert!(
        conf::read(&conf::directives(&text("p", "x y\n")), "p", &mut ImportResult::default())
            .is_err()
    );
}

proptest! {
    #[test]
    fn arbitrary_text_does_not_panic(
        source in "(\\PC|\\n){0,60}|([a-z$0-9./-]{0,8}:){5,17}[0-9-]{0,10}\\n",
        word in "Bind|PassivePortRange|Umask|AltLog|UserBandwidth|PerUserLimits|TLS|CertFile",
        value in "\\PC{0,20}|[0-9:,. -]{0,12}",
    ) {
        let _ = passwd(&source);
        let directives = conf::directives(&text("p", &format!("{source}\n{word} {value}\n")));
        let _ = conf::read(&directives, "p", &mut ImportResult::default());
    }
}
