//! Imports of pyftpdlib servers.

use proptest::prelude::*;
use wharf_config::raw::Raw;

use super::*;
use crate::model::{ImportedAccount, ImportedPassword};
use crate::testing::{lines, text, value};

const BASE: &str = "/srv/old";

fn read_as(role: FileRole, source: &str) -> Result<ImportResult, ImportError> {
    read(&[(role, text("x.py", source))], Path::new(BASE))
}

fn settings(source: &str) -> ImportResult {
    read_as(FileRole::Settings, source).unwrap()
}

fn has_note(found: &ImportResult, part: &str) -> bool {
    lines(found).contains(part)
}

#[test]
fn all_settings_of_the_script_are_imported() {
    let found = settings(
        "# 服务器设置\nip = '192.168.1.20'\nport='2121'\nmax_upload = 300 * 1024\n\
         max_download=300*1024\nmax_cons = 150\nmax_per_ip = 10\npassive_ports=(2000,2200)\n\
         enable_anonymous = 'on'\nanonymous_path = r'E:\\public'\nenable_logging = 'on'\n\
         loging_name = 'pyftp.log'\nwelcome_msg = u'欢迎使用'\n",
    );
    for (path, expected) in [
        ("listen.0.address", "\"192.168.1.20\""),
        ("listen.0.port", "2121"),
        ("limits.user_upload_rate", "307200"),
        ("limits.user_download_rate", "307200"),
        ("limits.connections", "150"),
        ("limits.connections_per_ip", "10"),
        ("passive.ports", "\"2000-2200\""),
        ("login.anonymous", "true"),
        ("login.anonymous_home", "\"E:\\\\public\""),
        ("log.file", "\"/srv/old/pyftp.log\""),
        ("server.greeting", "\"欢迎使用\""),
    ] {
        assert_eq!(value(&found, path), expected, "{path}");
    }
    assert_eq!(found.imported_settings.len(), 11);
    assert!(has_note(&found, "Changed x.py:4 max_upload and max_download had no effect"));
    assert!(has_note(&found, "max_download to uploads"));
    assert!(has_note(&found, "Changed x.py:8 Python's range() leaves out its end; now port 2200"));
    assert_eq!(found.notes.len(), 3, "{:?}", lines(&found));
}

#[test]
fn both_spellings_and_types_are_supported() {
    for (source, path, expected) in [
        ("logging_name = '/var/log/a'", "log.file", "\"/var/log/a\""),
        ("loging_name = '/var/log/a'", "log.file", "\"/var/log/a\""),
        ("port = 21", "listen.0.port", "21"),
        ("port = \"21\"", "listen.0.port", "21"),
        ("enable_anonymous = True", "login.anonymous", "true"),
        ("enable_anonymous = 'off'", "login.anonymous", "false"),
        ("passive_ports = range(60000, 65536)", "passive.ports", "\"60000-65535\""),
        ("passive_ports = [5000, 5001, 5002]", "passive.ports", "\"5000-5002\""),
        ("timeout = 300", "limits.idle_timeout", "\"5m\""),
        ("ip = 'localhost'", "listen.0.address", "\"127.0.0.1\""),
        ("ip = ''", "listen.0.address", "-"),
    ] {
        let found = settings(&format!("max_cons = 1\n{source}\n"));
        assert_eq!(value(&found, path), expected, "{source}");
    }
    let off = settings("max_cons = 1\nloging_name = 'a.log'\nenable_logging = 'off'\n");
    assert_eq!(value(&off, "log.file"), "-");
    assert!(has_note(&off, "Lost x.py:2 loging_name is not used"));
}

#[test]
fn unsupported_settings_are_reported_with_their_line() {
    let found = settings(
        "import os\nmax_cons = 1\nmax_conz = 5\nip = get_ip()\nport = 'high'\n\
         passive_ports = {1: 2}\nif os.name:\n    max_per_ip = 3\nprint('x')\nname = （1\nport=21\n",
    );
    for part in [
        "Lost x.py:3 unknown setting `max_conz`",
        "Changed x.py:4 `ip` is computed by the program",
        "Lost x.py:5 `port`: unsupported value: a text",
        "Lost x.py:6 `passive_ports`: unsupported value: something that only the running program \
        knows",
        "Lost x.py:7 `if` is program code",
        "Changed x.py:8 this is conditional",
        "Lost x.py:9 `print` is program code",
        "Lost x.py:10 invalid Python: `（` is a full-width character; use `(`",
    ] {
        assert!(has_note(&found, part), "{part}: {:#?}", lines(&found));
    }
    assert_eq!(found.notes.len(), 8, "{:#?}", lines(&found));
}

#[test]
fn truncated_and_other_files_are_rejected() {
    let cut = "ip='0.0.0.0'\nport='2121'\npassive_ports=(2000,";
    let rejected = read_as(FileRole::Settings, cut).unwrap_err();
    assert!(rejected.what.starts_with("x.py:3: unexpected end of file in"), "{rejected:?}");
    let rejected = read_as(FileRole::Settings, "ip='0.0.0.0'\nmax_co").unwrap_err();
    assert!(rejected.what.starts_with("x.py:2: unexpected end of file in `max_co`"));
    for (role, source) in [
        (FileRole::Settings, "import django\nDEBUG = True\n"),
        (FileRole::Settings, ""),
        (FileRole::Users, "hello\nworld\n"),
        (FileRole::Script, "print('hello')\n"),
    ] {
        assert!(read_as(role, source).is_err(), "{source}");
    }
}

fn accounts(source: &str) -> ImportResult {
    read_as(FileRole::Users, source).unwrap()
}

#[test]
fn the_rest_of_the_line_is_the_folder() {
    let found = accounts(
        "# 用户名 密码 权限 目录\nroot   12345  elradfmwM  E:\\\\work\n\r\n\
         anna\tsecret\telr\t/srv/My Files/a\nbob x elradfmwMT G://steam\r\n小明 密码 elr data\n",
    );
    let rows: Vec<_> = found
        .accounts
        .iter()
        .map(|account: &ImportedAccount| {
            let ImportedPassword::Plain(password) = &account.secret else { panic!("{account:?}") };
            (account.name.as_str(), password.as_str(), account.home.to_str().unwrap())
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("root", "12345", "E:\\work"),
            ("anna", "secret", "/srv/My Files/a"),
            ("bob", "x", "G:/steam"),
            ("小明", "密码", "/srv/old/data"),
        ]
    );
    let permissions = |index: usize| found.accounts[index].permissions.unwrap();
    assert_eq!(permissions(1), Permissions::READ_ONLY);
    assert_eq!(permissions(2), Permissions::FULL);
    assert!(!permissions(0).contains(Permissions::MTIME));
}

#[test]
fn invalid_account_lines_are_reported_and_others_are_imported() {
    let found = accounts(
        "anna x elr /a\nben x elr\ncleo\ndora x elrz /d\nanna y elr /b\n.x y elr /c\n\
         read x read /r\n",
    );
    let names: Vec<_> = found.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["anna", "read"]);
    for part in [
        "Lost x.py:2 invalid account: missing folder",
        "Lost x.py:3 invalid account: missing password, permissions and folder",
        "Lost x.py:4 account `dora`: invalid permission `z`",
        "Lost x.py:5 duplicate account `anna`, first defined at x.py:1",
        "Lost x.py:6 invalid account name `.x`",
    ] {
        assert!(has_note(&found, part), "{part}: {:#?}", lines(&found));
    }
    // Letters, not the preset name.
    assert!(found.accounts[1].permissions.unwrap().contains(Permissions::DELETE));
}

#[test]
fn literals_of_a_program_are_imported() {
    let found = read_as(
        FileRole::Script,
        "from pyftpdlib.authorizers import DummyAuthorizer\nHOME = '/srv'\ndef main():\n    \
         authorizer = DummyAuthorizer()\n    authorizer.add_user('anna', 'secret', HOME + '/anna', \
         perm='elradfmwMT')\n    authorizer.add_user('ben', 'x', homedir='/srv/ben')\n    \
         authorizer.add_anonymous('/srv/public')\n    authorizer.override_perm('anna', \
         '/srv/anna/in', 'elw', recursive=True)\n    handler = FTPHandler\n    \
         handler.authorizer = authorizer\n    handler.banner = \"hi\" \" there\"\n    \
         handler.masquerade_address = '203.0.113.7'\n    handler.passive_ports = range(60000, \
         65535)\n    address = ('', 2121)\n    server = FTPServer(address, handler)\n    \
         server.max_cons = 256\n    server.max_cons_per_ip = 5\n    \
         logging.basicConfig(filename='/var/log/f.log')\n    handler.banner = make()\n    \
         server.serve_forever()\n",
    )
    .unwrap();
    for (path, expected) in [
        ("server.greeting", "\"hi there\""),
        ("passive.public_address", "\"203.0.113.7\""),
        ("passive.ports", "\"60000-65535\""),
        ("listen.0.port", "2121"),
        ("limits.connections", "256"),
        ("limits.connections_per_ip", "5"),
        ("log.file", "\"/var/log/f.log\""),
        ("login.anonymous_home", "\"/srv/public\""),
        ("login.anonymous_permissions", "\"read\""),
    ] {
        assert_eq!(value(&found, path), expected, "{path}");
    }
    assert_eq!(found.accounts.len(), 2);
    assert_eq!(found.accounts[0].home, Path::new("/srv/anna"));
    assert_eq!(found.accounts[0].paths[0].0.to_string(), "/in");
    assert_eq!(found.accounts[1].permissions, Some(Permissions::READ_ONLY));
    assert!(
        has_note(&found, "Lost x.py:19 `banner` is computed by the program"),
        "{:#?}",
        lines(&found)
    );
}

#[test]
fn the_program_determines_whether_its_limits_applied() {
    let files = |program: &str| {
        let texts = [
            (FileRole::Settings, text("settings.py", "max_upload = 1024\nmax_download = 2048\n")),
            (FileRole::Script, text("FtpServer.py", program)),
        ];
        read(&texts, Path::new(BASE)).unwrap()
    };
    let published = files(
        "import pyftpdlib\nfrom conf import settings\ndtp_handler = ThrottledDTPHandler\n\
         dtp_handler.read_limit = settings.max_download\n\
         dtp_handler.write_limit = settings.max_upload\n\
         server = FTPServer((settings.ip, settings.port), handler)\n",
    );
    assert!(has_note(&published, "the script does not assign"));
    assert!(has_note(&published, "applies max_download to uploads"));
    let corrected = files("import pyftpdlib\nhandler.dtp_handler = dtp_handler\n");
    assert!(has_note(&corrected, "applied to each transfer"));
    assert!(!has_note(&corrected, "uploads and max_upload"));
    assert_eq!(value(&corrected, "limits.user_upload_rate"), "1024");
    // Values from the settings file are not reported as computed.
    assert!(!has_note(&published, "computed"), "{:#?}", lines(&published));
    assert_eq!(corrected.imported_settings["limits.user_upload_rate"].raw, Raw::Integer(1024));
}

#[test]
fn file_roles_are_detected_by_content() {
    for (name, source, role) in [
        ("settings.py", "ip = '0.0.0.0'\nport = '2121'\n", FileRole::Settings),
        ("user.py", "# a\nanna x elr /srv\n", FileRole::Users),
        ("accounts.txt", "anna x elr /srv\nben y elr /srv\n", FileRole::Users),
        ("FtpServer.py", "from pyftpdlib.servers import FTPServer\n", FileRole::Script),
        ("x.py", "", FileRole::Settings),
    ] {
        assert_eq!(files::role(&text(name, source)), role, "{name}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_does_not_panic(
        source in "(\\PC|\\n){0,60}\
                   |((port|ip|max_cons|passive_ports|x)( = |=)[0-9'(),a*]{0,8}\\n){0,5}\
                   |(h\\.add_user|FTPServer|override_perm)\\([a'\",=()0-9]{0,30}\\)\\n",
    ) {
        for role in [FileRole::Settings, FileRole::Users, FileRole::Script] {
            let _ = read_as(role, &source);
        }
    }
}
