//! Imports of `ProFTPD` configurations.

use proptest::prelude::*;

use super::*;
use crate::testing::{lines, text, value};

fn conf(content: &str) -> ImportResult {
    let mut found = ImportResult::default();
    conf::read(&text("p", content), &mut found).unwrap();
    found
}

#[test]
fn accounts_keep_hashes_and_groups() {
    let mut found = ImportResult::default();
    let groups = groups(&text("p", "staff:x:100:anna,ben\nother:x:200:\n"), &mut found).unwrap();
    let passwd = "anna:$1$abcdefgh$T77egsU0NMFJ6CUO2zXKK.:1:200:Anna:/srv/anna:/bin/false\n\
                  ben:!$6$s$h:1:100::/srv/ben:/bin/false\nold:XoNgMVd5QHvkQ:1:1::/srv/o:/bin/sh\n\
                  bad:x\nnone:x:1:1:::/bin/sh\n";
    accounts(&text("p", passwd), &groups, &mut found).unwrap();
    let [anna, ben, old] = &found.accounts[..] else { panic!("{:?}", found.accounts) };
    assert_eq!(anna.secret, ImportedPassword::Hash("$1$abcdefgh$T77egsU0NMFJ6CUO2zXKK.".into()));
    assert_eq!(anna.facts, [AccountProperty::Groups("other, staff".into())]);
    assert_eq!((ben.is_enabled, &ben.secret), (false, &ImportedPassword::Hash("$6$s$h".into())));
    assert_eq!(ben.facts, [AccountProperty::Groups("staff".into())]);
    assert_eq!(old.secret, ImportedPassword::None);
    let reported = lines(&found);
    for part in
        ["p:3 account `old`: cannot import its password hash: DES", "p:4 invalid account", "p:5"]
    {
        assert!(reported.contains(part), "{part}: {reported}");
    }
    for wrong in ["hello\n", "a:b\n"] {
        assert!(accounts(&text("p", wrong), &groups, &mut ImportResult::default()).is_err());
        assert!(super::groups(&text("p", wrong), &mut ImportResult::default()).is_err());
    }
}

#[test]
fn common_directives_are_imported() {
    let found = conf(
        "# x\nServerName \"x\"\nPort 2121\nUseIPv6 off\nPassivePorts 49152 49200\n\
         MasqueradeAddress 203.0.113.7\nMaxInstances 30\nMaxClients 20 \"full\"\nTimeoutIdle 600\n\
         MaxClientsPerHost 3\nServerIdent on \"Hi there\"\nAccessGrantMsg \"Hi %u\"\n\
         Umask 022 022\nDefaultRoot ~\nTransferLog /var/log/x\nTransferRate RETR 100\n\
         TransferRate STOR,APPE 50.5:0\n<IfModule mod_tls.c>\nTLSRequired on\n\
         TLSOptions NoSessionReuseRequired\nTLSRSACertificateFile /etc/a.pem\n</IfModule>\n\
         <Global>\nMaxLoginAttempts 2\n</Global>\n",
    );
    for (path, expected) in [
        ("listen.0.port", "2121"),
        ("listen.0.address", "\"0.0.0.0\""),
        ("passive.ports", "\"49152-49200\""),
        ("passive.public_address", "\"203.0.113.7\""),
        ("limits.connections", "20"),
        ("limits.connections_per_ip", "3"),
        ("limits.idle_timeout", "\"10m\""),
        ("server.greeting", "\"Hi there\""),
        ("server.login_message", "\"Hi {user}\""),
        ("files.umask", "\"022\""),
        ("log.transfer_log", "\"/var/log/x\""),
        ("limits.transfer_download_rate", "102400"),
        ("limits.transfer_upload_rate", "51712"),
        ("tls.require", "\"all\""),
        ("tls.session_reuse", "\"off\""),
        ("tls.private_key", "\"/etc/a.pem\""),
        ("login.max_attempts", "2"),
        ("files.overwrite", "false"),
        ("names.list_time", "\"utc\""),
    ] {
        assert_eq!(value(&found, path), expected, "{path}");
    }
    assert_eq!(lines(&found), "");
}

#[test]
fn unsupported_sections_are_reported_line_by_line() {
    let found = conf(
        "Port 21\nDefaultRoot ~\n\
         <VirtualHost 192.0.2.1>\n  Port 2121\n</VirtualHost>\n\
         <Anonymous /srv/pub>\n  User ftp\n  UserAlias anonymous ftp\n  MaxClients 10\n  \
         <Limit WRITE>\n    DenyAll\n  </Limit>\n  <Limit STOR>\n    AllowAll\n  </Limit>\n\
         </Anonymous>\n<Directory /srv/in>\n  Umask 077\n</Directory>\n\
         AllowForeignAddress on\nInclude /etc/proftpd/x\nPrt 2\n</Limit>\n",
    );
    assert_eq!(value(&found, "login.anonymous_home"), "\"/srv/pub\"");
    assert_eq!(value(&found, "listen.0.port"), "21");
    assert_eq!(value(&found, "limits.connections"), "-");
    let reported = lines(&found);
    for part in [
        "Lost p:3 <VirtualHost 192.0.2.1> is not imported",
        "Lost p:4 `Port` in <VirtualHost>",
        "Lost p:9 `MaxClients` in <Anonymous>",
        "Lost p:13 <Limit STOR> is not imported",
        "Lost p:14 `AllowAll` in <Limit>",
        "Lost p:17 <Directory /srv/in>",
        "Lost p:18 `Umask` in <Directory>",
        "Lost p:20 `AllowForeignAddress` is not supported",
        "Lost p:21 `Include`",
        "Lost p:22 unknown directive `Prt`",
        "Lost p:23 unexpected </Limit>",
    ] {
        assert!(reported.contains(part), "{part}: {reported}");
    }
    assert_eq!(found.notes.len(), 11, "{reported}");
}

#[test]
fn truncated_and_other_files_are_rejected() {
    let cut =
        conf::read(&text("p", "Port 21\n<Global>\nUmask 022\n"), &mut ImportResult::default());
    assert!(cut.unwrap_err().what.starts_with("p:2: unexpected end of file in <Global>"));
    assert!(conf::read(&text("p", "hello world\n"), &mut ImportResult::default()).is_err());
}

proptest! {
    #[test]
    fn arbitrary_text_does_not_panic(
        source in "(\\PC|\\n){0,60}|([a-z$0-9./-]{0,8}:){4,7}[0-9/-]{0,10}\\n|(<[a-zA-Z/! \
        ]{0,12}>?\\n){0,6}",
        word in "PassivePorts|TransferRate|Umask|ServerIdent|TLSRequired|MaxClients|DefaultRoot|Port",
        value in "\\PC{0,20}|[0-9:,. A-Z\"-]{0,12}",
    ) {
        let mut found = ImportResult::default();
        let _ = groups(&text("p", &source), &mut found);
        let _ = accounts(&text("p", &source), &SystemGroups::default(), &mut found);
        let _ = conf::read(&text("p", &format!("{word} {value}\n{source}")), &mut found);
    }
}
