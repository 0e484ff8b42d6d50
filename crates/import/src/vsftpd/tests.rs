//! Imports of vsftpd configurations.

use proptest::prelude::*;

use super::*;
use crate::testing::{lines, text, value};

fn conf(content: &str) -> (ImportResult, Conf) {
    let mut found = ImportResult::default();
    let conf = read(&text("v", content), &mut found).unwrap();
    (found, conf)
}

#[test]
fn all_settings_of_the_table_are_imported() {
    let (found, _) = conf(
        "# x\nlisten_port=2121\nlisten_address=192.0.2.1\npasv_min_port=40000\npasv_max_port=40100\n\
         pasv_address=203.0.113.7\nport_enable=NO\nanonymous_enable=YES\nanon_root=/srv/pub\n\
         write_enable=YES\nlocal_umask=027\nftpd_banner=Hi there\nssl_enable=YES\n\
         force_local_data_ssl=NO\nrequire_ssl_reuse=NO\nrsa_cert_file=/etc/a.pem\n\
         local_max_rate=512000\nmax_clients=20\nmax_per_ip=2\nidle_session_timeout=600\n\
         use_localtime=YES\nxferlog_file=/var/log/x\ncmds_denied=SITE,stou\npasv_enable=NO\n\
         chroot_local_user=YES\n",
    );
    for (path, expected) in [
        ("listen.0.port", "2121"),
        ("listen.0.address", "\"192.0.2.1\""),
        ("passive.ports", "\"40000-40100\""),
        ("passive.public_address", "\"203.0.113.7\""),
        ("active.enabled", "false"),
        ("login.anonymous", "true"),
        ("login.anonymous_home", "\"/srv/pub\""),
        ("files.umask", "\"027\""),
        ("server.greeting", "\"Hi there\""),
        ("tls.require", "\"login\""),
        ("tls.session_reuse", "\"off\""),
        ("tls.private_key", "\"/etc/a.pem\""),
        ("limits.user_download_rate", "512000"),
        ("limits.connections", "20"),
        ("limits.connections_per_ip", "2"),
        ("limits.idle_timeout", "\"10m\""),
        ("names.list_time", "-"),
        ("log.transfer_log", "\"/var/log/x\""),
        ("compat.disable_commands", "[\"SITE\", \"STOU\", \"PASV\", \"EPSV\"]"),
    ] {
        assert_eq!(value(&found, path), expected, "{path}");
    }
    assert!(lines(&found).contains("Changed v:17 local_max_rate applied to each session"));
    assert_eq!(found.notes.len(), 1, "{}", lines(&found));
}

#[test]
fn defaults_of_vsftpd_are_kept_or_reported() {
    let (found, _) = conf("listen=YES\n");
    assert_eq!(value(&found, "files.umask"), "\"077\"");
    assert_eq!(value(&found, "names.list_time"), "\"utc\"");
    assert_eq!(value(&found, "tls.require"), "-");
    let reported = lines(&found);
    assert!(
        reported.contains("could leave their homes") && reported.contains("anonymous_enable=NO")
    );
    let (found, _) = conf("ssl_enable=YES\nimplicit_ssl=YES\nanonymous_enable=NO\n");
    assert_eq!(value(&found, "tls.require"), "\"all\"");
    assert_eq!(value(&found, "listen.0.tls"), "\"implicit\"");
    assert_eq!(value(&found, "listen.0.port"), "21");
}

#[test]
fn invalid_and_unknown_settings_are_reported_with_their_line() {
    let (found, _) = conf(
        "anonymous_enable=NO\npasv_promiscuous=YES\nport_promiscuous=NO\nlisten_prot=3\nhello\n\
         max_clients=many\ndeny_file={*.mp3}\npasv_min_port=5000\nssl_sslv3=YES\n",
    );
    let reported = lines(&found);
    for part in [
        "Lost v:2 `pasv_promiscuous` is not supported | never",
        "Lost v:4 unknown directive `listen_prot` | did you mean `listen_port`?",
        "Lost v:5 invalid line",
        "Lost v:6 `max_clients`: invalid value `many`",
        "Lost v:7 `deny_file`",
        "Lost v:8 only one end",
        "Lost v:9 `ssl_sslv3`",
    ] {
        assert!(reported.contains(part), "{part}: {reported}");
    }
    assert!(!reported.contains("v:3 "), "{reported}");
    assert!(read(&text("v", "hello=1\n"), &mut ImportResult::default()).is_err());
}

#[test]
fn a_list_of_logins_is_imported_with_per_user_settings() {
    let (mut found, main) = conf(
        "write_enable=NO\nuser_sub_token=$USER\nlocal_root=/srv/ftp/$USER\nlocal_enable=YES\n",
    );
    let own = "write_enable=YES\nlocal_max_rate=1000\nanon_umask=022\n";
    let users: BTreeMap<_, _> = [
        ("ben".to_owned(), text("u/ben", own)),
        ("cleo".to_owned(), text("u/cleo", "local_root=/srv/c\n")),
    ]
    .into();
    accounts(&text("l", "anna\nsecret\nben\nx y\n"), &main, &users, &mut found).unwrap();
    note_accounts(&text("v", ""), &main, &users, &mut found);
    let [anna, ben] = &found.accounts[..] else { panic!("{:?}", found.accounts) };
    assert_eq!(
        (anna.home.to_str(), anna.permissions),
        (Some("/srv/ftp/anna"), Some(Permissions::READ_ONLY))
    );
    assert_eq!(ben.permissions, Some(Permissions::FULL));
    assert_eq!(ben.upload_rate, Some(Rate::from_bytes_per_second(1000)));
    assert_eq!(ben.secret, ImportedPassword::Plain("x y".into()));
    let reported = lines(&found);
    assert!(
        reported.contains("wharf user add cleo --home /srv/c --permissions read"),
        "{reported}"
    );
    assert!(reported.contains("Lost u/ben:3 `anon_umask` for a single user"), "{reported}");
    let odd = accounts(&text("l", "anna\n"), &main, &users, &mut found).unwrap_err();
    assert!(odd.what.contains("l:1: missing password for this name"), "{odd:?}");
}

proptest! {
    #[test]
    fn arbitrary_text_does_not_panic(
        source in "(\\PC|\\n){0,60}",
        which in 0..table::TABLE.len(),
        value in "\\PC{0,20}|[0-9,YESNO]{0,6}",
    ) {
        let (names, _) = &table::TABLE[which];
        let whole = text("v", &format!("{source}\n{}={value}\nssl_enable=YES\n", names[0]));
        let mut found = ImportResult::default();
        let main = read(&whole, &mut found).unwrap();
        let _ = accounts(&whole, &main, &BTreeMap::new(), &mut found);
    }
}
