//! `wharf import`: parsed, shown, written, checked, served.

use crate::support::{TestFolder, names};

const SETTINGS: &str = "\
# 监听地址
ip = '0.0.0.0'
port = '2121'
# 上传速度 300kb/s
max_upload = 300 * 1024
max_download = 300 * 1024
max_cons = 150
max_per_ip = 10
passive_ports = (2000,2200)
enable_anonymous = 'on'
anonymous_path = 'public'
enable_logging = 'off'
loging_name = 'pyftp.log'
welcome_msg = '欢迎使用'
theme = 'dark'
";

/// The folder of the script, with Chinese comments in GBK.
fn old_server() -> TestFolder {
    let place = TestFolder::new();
    for folder in ["old/conf", "old/public", "old/root files"] {
        std::fs::create_dir_all(place.path(folder)).unwrap();
    }
    place.write("old/root files/a.txt", "hello");
    let users = "# 用户名 密码 权限 目录\nroot 12345 elradfmwM root files\nbad line\n";
    for (name, text) in [("old/conf/settings.py", SETTINGS), ("old/conf/user.py", users)] {
        let (bytes, ..) = encoding_rs::GBK.encode(text);
        std::fs::write(place.path(name), bytes).unwrap();
    }
    place
}

#[test]
fn the_script_with_settings_in_gbk_is_imported_and_its_account_logs_in() {
    let place = old_server();
    let ran = place.run(&["import", "pyftpdlib", "old", "--write"]).exits(0);
    ran.reports("wrote wharf.toml\n").reports("wrote users.toml, accounts: 1\n");
    let config = place.read("wharf.toml");
    for line in [
        "# Created by `wharf import pyftpdlib old`.",
        "address = \"0.0.0.0\"",
        "port = 2121                         # old/conf/settings.py:3 port",
        "ports = \"2000-2120\"                 # old/conf/settings.py:9 passive_ports",
        "user_upload_rate = \"300KiB/s\"       # old/conf/settings.py:5 max_upload",
        "greeting = \"欢迎使用\"",
        "anonymous = true",
    ] {
        assert!(config.contains(line), "{line} is not in {config}");
    }
    assert!(!config.contains("log]"), "{config}");
    assert!(!place.read("users.toml").contains("12345"));
    is_sound(&place);
    let serving = place.serve(&[]);
    let mut client = serving.login("root", "12345");
    assert_eq!(client.downloads("RETR a.txt"), "hello");
    serving.login("anonymous", "me@example.com");
}

#[test]
fn a_script_is_imported_with_its_settings_and_accounts() {
    let place = old_server();
    let program = "from pyftpdlib.servers import FTPServer\nfrom conf import settings\n\
                   users = read('conf/user.py')\nserver = FTPServer((settings.ip, 21), handler)\n";
    place.write("old/FtpServer.py", program);
    for path in ["old", "old/FtpServer.py"] {
        let shown = place.run(&["import", "pyftpdlib", path]).exits(0).out;
        assert!(shown.contains("connections = 150") && shown.contains("accounts: 1"), "{shown}");
        assert!(!shown.contains("computed by the program"), "{shown}");
    }
    let alone = place.run(&["import", "pyftpdlib", "old/conf/settings.py"]).exits(0).out;
    assert!(alone.contains("user.py were not imported"), "{alone}");
}

#[test]
fn without_write_it_is_shown_with_every_line_that_is_lost() {
    let place = old_server();
    let shown = place.run(&["import", "pyftpdlib", "old"]).exits(0);
    for part in [
        "    port = 2121 ",
        "    root  enter,list,read,",
        "Not imported: 3\n",
        "  old/conf/settings.py:13: loging_name is not used, since enable_logging is off\n",
        "  old/conf/settings.py:15: unknown setting `theme`\n",
        "  old/conf/user.py:3: invalid account: missing permissions and folder\n",
        "  old/conf/settings.py:5: max_upload and max_download had no effect",
        "Nothing was written. To write wharf.toml and users.toml: --write\n",
    ] {
        assert!(shown.out.contains(part), "{part} is not in {}", shown.out);
    }
    assert!(!shown.out.contains("12345") && !shown.out.contains("2200 is used"), "{}", shown.out);
    assert_eq!(names(&place.path("")), ["old"]);
}

#[test]
fn existing_files_are_never_overwritten_by_default() {
    let place = old_server();
    place.write("wharf.toml", "# mine\n");
    let words = ["import", "pyftpdlib", "old", "--write"];
    place.run(&words).exits(1).reports("wharf.toml already exists").reports("--force");
    assert_eq!(names(&place.path("")), ["old", "wharf.toml"]);
    let forced = ["import", "pyftpdlib", "old", "--write", "--force"];
    place.run(&forced).exits(0).reports("wharf.toml.old");
    assert_eq!(place.read("wharf.toml.old"), "# mine\n");

    let users = place.read("users.toml");
    place.run(&forced).exits(1).reports("users.toml: root").reports("--on-conflict");
    assert_eq!(place.read("users.toml"), users);
    let skip = [&forced[..], &["--on-conflict", "skip"]].concat();
    assert!(place.run(&skip).exits(0).out.contains("account `root` already exists"));
    assert_eq!(place.read("users.toml"), users);
    place.run(&["user", "edit", "root", "--permissions", "read", "--comment", "kept"]).exits(0);
    let update = [&forced[..], &["--on-conflict", "update"]].concat();
    place.run(&update).exits(0);
    let shown = place.run(&["user", "show", "root"]).exits(0).out;
    assert!(shown.contains("kept") && shown.contains("upload"), "{shown}");
}

#[test]
fn an_import_source_without_settings_exits_with_78_and_changes_nothing() {
    let place = old_server();
    place.write("cut.py", "ip='0.0.0.0'\nport='2121'\npassive_ports=(2000,");
    place.write("other.py", "DEBUG = True\n");
    place.write("user.py", "hello world\n");
    std::fs::write(place.path("program"), b"\x7fELF\x02\x01\x01\x00\x00").unwrap();
    std::fs::create_dir(place.path("empty")).unwrap();
    let before = names(&place.path(""));
    for (path, code, part) in [
        ("cut.py", 78, "cut.py:3: unexpected end of file in a bracket that is never closed"),
        ("other.py", 78, "other.py contains no known settings"),
        ("user.py", 78, "user.py:1: no valid account line"),
        ("program", 78, "program:1: neither UTF-8 nor GBK text"),
        ("empty", 1, "no pyftpdlib server found in empty"),
        ("nowhere", 1, "cannot read nowhere: no such file"),
    ] {
        for more in [&[][..], &["--write"]] {
            let words = [&["import", "pyftpdlib", path], more].concat();
            place.run(&words).exits(code).reports(part).reports("hint:");
        }
    }
    assert_eq!(names(&place.path("")), before);
    for words in [
        &["import"][..],
        &["import", "pyftpdlib"],
        &["import", "pyftpdlib", "old", "--write", "--dry-run"],
        &["import", "pyftpdlib", "old", "--force"],
        &["import", "pyftpdlib", "old", "--source-encoding", "klingon"],
        &["import", "pyftpdlib", "old", "--on-conflict", "perhaps"],
    ] {
        place.run(words).exits(2);
    }
}

#[cfg(unix)]
#[test]
fn if_one_file_cannot_be_written_neither_is() {
    use std::os::unix::fs::PermissionsExt;
    let place = old_server();
    // An accounts file that is accessible to other users is rejected, whatever the command.
    place.write("users.toml", "");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(place.path("users.toml"), open).unwrap();
    place.run(&["import", "pyftpdlib", "old", "--write"]).exits(78).reports("chmod 600");
    assert_eq!(names(&place.path("")), ["old", "users.toml"]);
    // A folder in the place of its lock lets everything go well up to the last step.
    std::fs::remove_file(place.path("users.toml")).unwrap();
    std::fs::create_dir(place.path("users.toml.lock")).unwrap();
    place.write("wharf.toml", "# mine\n");
    let words = ["import", "pyftpdlib", "old", "--write", "--force"];
    place.run(&words).exits(1).reports("users.toml");
    assert_eq!(names(&place.path("")), ["old", "users.toml.lock", "wharf.toml"]);
    assert_eq!(place.read("wharf.toml"), "# mine\n");
    std::fs::remove_dir(place.path("users.toml.lock")).unwrap();
    std::fs::remove_file(place.path("wharf.toml")).unwrap();
    place.run(&["import", "pyftpdlib", "old", "--write"]).exits(0);
    let mode = std::fs::metadata(place.path("users.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// The hash of `secret` as created by `ftpasswd --md5`.
const MD5_CRYPT: &str = "$1$qLV9T4A8$pwxAD8kpcGHpnP9tpRDTS0";
/// The hash of `secret` as created by `pure-pw` 1.0.50, with its own cost.
const PURE_PW: &str = "$argon2id$v=19$m=8192,t=255,p=1$GIEOSyLK4TdN3VAAsusBkg$\
                       OxnB7g1To1YjpJ1XgD5N9i7Ir1p4Lx5h2d5f+Q5N9HA";

/// `wharf check` finds no error and no warning in the written files, except for root.
fn is_sound(place: &TestFolder) {
    place.run(&["check"]).exits(0);
    let printed = place.run(&["check", "config", "sandbox"]).exits(0).err;
    let to_root = "warning: the server would run as root\nhint: create a system user for it and \
                   set server.user\n";
    assert_eq!(printed.replace(to_root, ""), "");
}

/// The written files are valid, and the account logs in with its old password and sees its file.
fn serves(place: &TestFolder, user: &str, password: &str) {
    is_sound(place);
    let serving = place.serve(&[]);
    let mut client = serving.login(user, password);
    assert_eq!(client.downloads("RETR a.txt"), "hello");
}

/// A test folder with the home of `anna`, and its absolute path.
fn with_home() -> (TestFolder, String) {
    let place = TestFolder::new();
    std::fs::create_dir(place.path("anna")).unwrap();
    place.write("anna/a.txt", "hello");
    let home = place.path("anna").display().to_string();
    (place, home)
}

#[test]
fn pure_ftpd_is_imported_with_its_hashes() {
    let (place, home) = with_home();
    place.write(
        "pureftpd.passwd",
        &format!(
            "anna:{PURE_PW}:1000:1000::{home}/./:204800:102400:::3:1000:10485760:::\
             127.0.0.0/8::0000-2400\n\
             ben:XoNgMVd5QHvkQ:1001:1001::{home}/./::::::::::::\n"
        ),
    );
    std::fs::create_dir_all(place.path("etc/conf")).unwrap();
    place.write("etc/conf/PassivePortRange", "40000 40100\n");
    place.write("etc/conf/MaxClientsNumber", "30\n");
    place.write("etc/conf/PureDB", "/etc/pure-ftpd/pureftpd.pdb\n");
    let words = ["import", "pureftpd", "pureftpd.passwd", "--conf", "etc", "--write"];
    let ran = place.run(&words).exits(0);
    for part in [
        "pureftpd.passwd:2: account `ben`: cannot import its password hash: DES",
        "set a password:  wharf user passwd ben\n",
    ] {
        assert!(ran.out.contains(part), "{part} is not in {}", ran.out);
    }
    let config = place.read("wharf.toml");
    assert!(config.contains("connections = 30"), "{config}");
    let users = place.read("users.toml");
    for part in [PURE_PW, "quota = \"10MiB\"", "hours = [\"00:00-24:00\"]"] {
        assert!(users.contains(part), "{part} is not in {users}");
    }
    serves(&place, "anna", "secret");
    std::fs::write(place.path("x.pdb"), b"PDB2\x00\x01\x02").unwrap();
    let ran = place.run(&["import", "pureftpd", "x.pdb"]).exits(78);
    ran.reports("compiled database").reports("pureftpd.passwd");
    place
        .run(&["import", "pureftpd", "anna/a.txt"])
        .exits(78)
        .reports("anna/a.txt:1: no valid Pure-FTPd account line");
}

#[test]
fn proftpd_is_imported_with_md5_crypt() {
    let (place, home) = with_home();
    let passwd = format!("anna:{MD5_CRYPT}:1001:100:Anna:{home}:/bin/false\n");
    place.write("ftpd.passwd", &passwd);
    place.write("ftpd.group", "staff:x:100:\n");
    place.write(
        "proftpd.conf",
        "ServerName \"x\"\nPort 2121\nPassivePorts 49152 49200\nMaxInstances 30\n\
         AllowOverwrite on\n\
         DefaultRoot ~\n<Directory /srv>\n  Umask 077\n</Directory>\n",
    );
    let words = ["import", "proftpd", "ftpd.passwd", "--group", "ftpd.group"];
    let words = [&words[..], &["--conf", "proftpd.conf", "--write"]].concat();
    let ran = place.run(&words).exits(0);
    for part in [
        "proftpd.conf:7: <Directory /srv> is not imported",
        "proftpd.conf:8: `Umask` in <Directory>",
    ] {
        assert!(ran.out.contains(part), "{part} is not in {}", ran.out);
    }
    let users = place.read("users.toml");
    for part in [MD5_CRYPT, "groups = [\"staff\"]", "[groups.staff]\n"] {
        assert!(users.contains(part), "{part} is not in {users}");
    }
    serves(&place, "anna", "secret");
    place
        .run(&["import", "proftpd", "proftpd.conf"])
        .exits(78)
        .reports("proftpd.conf:1: no valid ProFTPD account line");
    place.write("cut.conf", "Port 21\n<Global>\nUmask 022\n");
    place
        .run(&["import", "proftpd", "ftpd.passwd", "--conf", "cut.conf", "--write", "--force"])
        .exits(78)
        .reports("cut.conf:2: unexpected end of file in <Global>");
    assert!(!place.path("wharf.toml.old").exists());
}

#[test]
fn vsftpd_is_imported_with_its_list_of_logins() {
    let (place, _) = with_home();
    let root = place.path("$USER").display().to_string();
    place.write(
        "vsftpd.conf",
        &format!(
            "listen=YES\nanonymous_enable=NO\nlocal_enable=YES\nguest_enable=YES\n\
             user_sub_token=$USER\nlocal_root={root}\nchroot_local_user=YES\nlocal_umask=022\n\
             pasv_min_port=40000\npasv_max_port=40100\nftpd_banner=Welcome\npasv_promiscuous=YES\n\
             rsa_cert_file=/nowhere/at/all.pem\nssl_enable=YES\nforce_local_logins_ssl=NO\n"
        ),
    );
    std::fs::create_dir(place.path("users")).unwrap();
    place.write("users/anna", "write_enable=YES\nlocal_max_rate=1048576\n");
    place.write("users/cleo", "local_root=/srv/cleo\n");
    place.write("logins.txt", "anna\nsecret\n");
    let words = ["import", "vsftpd", "vsftpd.conf", "--user-config-dir", "users"];
    let words = [&words[..], &["--logins", "logins.txt", "--write"]].concat();
    let ran = place.run(&words).exits(0);
    for part in [
        "vsftpd.conf:12: `pasv_promiscuous` is not supported",
        "vsftpd.conf:13: ",
        "wharf user add cleo --home /srv/cleo --permissions read",
    ] {
        assert!(ran.out.contains(part), "{part} is not in {}", ran.out);
    }
    serves(&place, "anna", "secret");
    let shown = place.run(&["user", "show", "anna"]).exits(0).out;
    assert!(shown.contains("1MiB/s") && shown.contains("full"), "{shown}");
    let alone = place.run(&["import", "vsftpd", "vsftpd.conf"]).exits(0);
    assert!(alone.out.contains("system accounts were used"), "{}", alone.out);
}

#[test]
fn a_csv_table_is_imported_and_an_export_reads_back() {
    let (place, home) = with_home();
    let table = format!(
        "\u{feff}Name;Password;Home;Permissions;Comment;Paths\r\n\
         anna;secret;{home};read-write;\"a;b\";/in=upload\r\nben;;{home};;;\r\n"
    );
    place.write("users.csv", &table);
    let ran = place.run(&["import", "csv", "users.csv", "--write"]).exits(0);
    assert!(ran.out.contains("users.csv:3: account `ben` has no password"), "{}", ran.out);
    serves(&place, "anna", "secret");
    let before = place.run(&["user", "list", "--json"]).exits(0).out;

    let plain = place.run(&["user", "export"]).exits(0).out;
    assert!(plain.starts_with("name,no_password,home,permissions,paths,enabled,"), "{plain}");
    assert!(!plain.contains("argon2"), "{plain}");
    let table = place.run(&["user", "export", "--csv", "--with-hashes"]).exits(0).out;
    place.write("exported.csv", &table);
    std::fs::remove_file(place.path("users.toml")).unwrap();
    // Accounts alone leave the configuration as it is.
    let config = place.read("wharf.toml");
    place.run(&["import", "csv", "exported.csv", "--write"]).exits(0);
    assert_eq!(place.read("wharf.toml"), config);
    assert_eq!(place.run(&["user", "list", "--json"]).exits(0).out, before);
    assert_eq!(place.run(&["user", "export", "--with-hashes"]).exits(0).out, table);
    serves(&place, "anna", "secret");
    place.write("cut.csv", "name,home\nanna,\"/srv");
    place.run(&["import", "csv", "cut.csv", "--write"]).exits(78).reports("cut.csv:2: a quote");
}
