//! basic-ftp of npm, with which the deploy actions of code hosts upload.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::program::Program;
use crate::support::server::{PASSWORD, Server, Setup, USER};
use crate::support::tree::Random;

/// Trees that are uploaded: Node ends some empty uploads without `close_notify`, by a race.
const TREES: usize = 4;

/// Where `cargo xtask setup` installs npm packages: in cargo's target folder.
fn modules() -> PathBuf {
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is within a folder");
    let folder = built.join("node/node_modules");
    assert!(
        folder.join("basic-ftp").is_dir(),
        "basic-ftp is needed: cargo xtask setup installs it"
    );
    folder
}

fn node(server: &Server, version: &str, script: &str) -> Program {
    let script = format!(
        "(async () => {{ const ftp = require('basic-ftp'); const c = new ftp.Client(20000); \
         await c.access({{ host: '127.0.0.1', port: {port}, user: '{USER}', \
         password: '{PASSWORD}', secure: true, \
         secureOptions: {{ rejectUnauthorized: false, maxVersion: '{version}' }} }}); \
         {script} c.close(); }})().catch(e => {{ console.error(String(e)); process.exit(1); }});",
        port = server.port(),
    );
    Program::new("node")
        .folder(&server.client_dir("node"))
        .env("NODE_PATH", modules())
        .args(["-e", &script])
}

#[test]
fn row_33_basic_ftp_uploads_trees_of_empty_files() {
    let server = Server::with_one_account();
    let tree = server.client_dir("node").join("tree");
    fs::create_dir_all(&tree).unwrap();
    let names: Vec<_> = (0..20).map(|index| format!(".empty{index}")).collect();
    for name in &names {
        fs::write(tree.join(name), "").unwrap();
    }
    for version in ["TLSv1.2", "TLSv1.3"] {
        for index in 0..TREES {
            let to = format!("{version}-{index}");
            let script =
                format!("await c.ensureDir('/{to}'); await c.uploadFromDir('tree', '/{to}');");
            node(&server, version, &script).succeed();
            for name in &names {
                assert_eq!(
                    fs::read(server.home().join(&to).join(name)).unwrap(),
                    b"",
                    "{to} {name}"
                );
            }
        }
    }
}

#[test]
fn row_09_basic_ftp_transfers_where_data_must_resume_the_tls_session() {
    let server = Setup::new().set("tls", "session_reuse = \"require\"").start();
    let client_dir = server.client_dir("node");
    let bytes = Random::new(22).bytes(90_000);
    fs::write(client_dir.join("up"), &bytes).unwrap();
    for version in ["TLSv1.2", "TLSv1.3"] {
        let script = "for (const n of ['a', 'b', 'c', 'd', 'e', 'f']) { \
                      await c.uploadFrom('up', n); \
                      await c.list(); await c.downloadTo('down', n); }";
        node(&server, version, script).succeed();
        assert!(fs::read(server.home().join("f")).unwrap() == bytes, "{version}");
        assert!(fs::read(client_dir.join("down")).unwrap() == bytes, "{version}");
    }
}
