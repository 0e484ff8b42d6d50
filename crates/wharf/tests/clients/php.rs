//! PHP's `ftp_ssl_connect`, which reuses the TLS session of its control connection.

use std::fs;

use crate::support::program::Program;
use crate::support::server::{PASSWORD, Server, Setup, USER};
use crate::support::tree::Random;

/// Transfers over one control connection.
const COUNT: usize = 6;

/// Uploads, lists and downloads, with TLS of this version at most.
fn php(server: &Server, version: &str) -> Program {
    let client_dir = server.client_dir("php");
    let settings = format!(
        "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n\
         MaxProtocol = {version}\n"
    );
    fs::write(client_dir.join("openssl.cnf"), settings).unwrap();
    let script = format!(
        "$c = ftp_ssl_connect('127.0.0.1', {port}, 20); \
         if (!ftp_login($c, '{USER}', '{PASSWORD}')) exit(2); ftp_pasv($c, true); \
         for ($i = 0; $i < {COUNT}; $i++) {{ \
           if (!ftp_put($c, \"$i\", 'up', FTP_BINARY)) exit(3); \
           if (!ftp_put($c, \"$i\", 'up', FTP_BINARY)) exit(7); \
           if (!is_array(ftp_nlist($c, '.'))) exit(4); \
           if (!ftp_get($c, 'down', \"$i\", FTP_BINARY)) exit(5); \
         }} \
         if (!ftp_put($c, 'empty', 'empty', FTP_BINARY)) exit(6); \
         ftp_close($c);",
        port = server.port(),
    );
    Program::new("php").folder(&client_dir).env("OPENSSL_CONF", "openssl.cnf").args(["-r", &script])
}

#[test]
fn row_09_php_transfers_whether_or_not_data_must_resume_the_tls_session() {
    for (reuse, min_version, versions) in [
        ("prefer", "1.2", &["TLSv1.2", "TLSv1.3"][..]),
        ("require", "1.2", &["TLSv1.2", "TLSv1.3"]),
        ("require", "1.3", &["TLSv1.3"]),
    ] {
        let server = Setup::new()
            .set("tls", &format!("session_reuse = {reuse:?}"))
            .set("tls", &format!("min_version = {min_version:?}"))
            .start();
        let bytes = Random::new(21).bytes(90_000);
        fs::write(server.client_dir("php").join("up"), &bytes).unwrap();
        fs::write(server.client_dir("php").join("empty"), "").unwrap();
        for version in versions {
            php(&server, version).succeed();
            for index in 0..COUNT {
                let stored = fs::read(server.home().join(index.to_string())).unwrap();
                assert!(stored == bytes, "{reuse} {version} {index}");
            }
            assert!(fs::read(server.client_dir("php").join("down")).unwrap() == bytes);
            assert_eq!(fs::read(server.home().join("empty")).unwrap(), b"");
        }
    }
}
