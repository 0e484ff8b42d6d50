//! lftp: mirrors, resumes and changes of names, over every kind of connection.

use std::fs;
use std::path::Path;

use crate::support::program::{Outcome, Program};
use crate::support::server::{PASSWORD, Server, Setup, USER};
use crate::support::tree::{Random, Tree};

/// How lftp connects.
#[derive(Clone, Copy)]
struct LftpMode {
    address: &'static str,
    security: Security,
    is_passive: bool,
    /// Whether it lists with MLSD, else with LIST.
    is_mlsd: bool,
}

#[derive(Clone, Copy)]
enum Security {
    Plain,
    Explicit,
    Implicit,
}

const PLAIN: LftpMode =
    LftpMode { address: "127.0.0.1", security: Security::Plain, is_passive: true, is_mlsd: false };

/// Runs lftp commands in the folder of a client.
fn lftp(server: &Server, client_dir: &Path, mode: LftpMode, commands: &str) -> Outcome {
    let yes = |is_on: bool| if is_on { "on" } else { "off" };
    let (scheme, port, ssl) = match mode.security {
        Security::Plain => ("ftp", server.port(), "set ftp:ssl-allow false"),
        Security::Explicit => {
            ("ftp", server.port(), "set ftp:ssl-force true; set ftp:ssl-protect-data true")
        }
        Security::Implicit => ("ftps", server.ports().implicit(), "set ftp:ssl-protect-data true"),
    };
    let script = format!(
        "set cmd:fail-exit true; set net:max-retries 1; set net:timeout 20; set xfer:clobber on;\n\
         set ssl:verify-certificate no; {ssl};\n\
         set ftp:passive-mode {}; set ftp:use-mlsd {}; set ftp:prefer-epsv true;\n\
         open -u {USER},{PASSWORD} {scheme}://{}:{port};\n{commands}\n",
        yes(mode.is_passive),
        yes(mode.is_mlsd),
        mode.address,
    );
    Program::new("lftp").arg("-f").arg("/dev/stdin").folder(client_dir).input(script).run()
}

fn lftp_succeeds(server: &Server, client_dir: &Path, mode: LftpMode, commands: &str) -> Outcome {
    let outcome = lftp(server, client_dir, mode, commands);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    outcome
}

/// Mirrors a tree down and another one up.
fn mirrors_up_and_down(mode: LftpMode) {
    let server = Setup::new().set("names", "backslash_as_slash = \"never\"").start();
    let tree = Tree::awkward(1).without(|path| is_unsupported_by_lftp(path, mode));
    tree.write(&server.home().join("down"));
    let client_dir = server.client_dir("lftp");
    let other = Tree::awkward(2).without(|path| is_unsupported_by_lftp(path, mode));
    other.write(&client_dir.join("up"));

    lftp_succeeds(&server, &client_dir, mode, "mirror down got; mirror -R up up;");

    tree.assert_at(&client_dir.join("got"));
    other.assert_at(&server.home().join("up"));
}

/// lftp splits a line of LIST at ` -> ` whatever kind of file it is of.
fn is_unsupported_by_lftp(path: &str, mode: LftpMode) -> bool {
    !mode.is_mlsd && path.contains(" -> ")
}

#[test]
fn lftp_mirrors_a_tree_of_300_awkward_files_in_both_directions_in_plain() {
    mirrors_up_and_down(PLAIN);
}

#[test]
fn lftp_mirrors_a_tree_of_300_awkward_files_in_both_directions_with_mlsd() {
    mirrors_up_and_down(LftpMode { is_mlsd: true, ..PLAIN });
}

#[test]
fn lftp_mirrors_a_tree_of_300_awkward_files_in_both_directions_actively() {
    mirrors_up_and_down(LftpMode { is_passive: false, ..PLAIN });
}

#[test]
fn lftp_mirrors_a_tree_of_300_awkward_files_in_both_directions_over_explicit_tls() {
    mirrors_up_and_down(LftpMode { security: Security::Explicit, is_mlsd: true, ..PLAIN });
}

#[test]
fn lftp_mirrors_a_tree_of_300_awkward_files_in_both_directions_over_implicit_tls_and_ipv6() {
    mirrors_up_and_down(LftpMode { security: Security::Implicit, address: "[::1]", ..PLAIN });
}

#[test]
fn lftp_mirrors_a_tree_of_300_awkward_files_in_both_directions_actively_over_explicit_tls() {
    mirrors_up_and_down(LftpMode { security: Security::Explicit, is_passive: false, ..PLAIN });
}

/// Packed both ways, under TLS, and resumed in the middle.
#[test]
fn row_16_lftp_compresses_what_it_mirrors_and_resumes_it() {
    let mode = LftpMode { security: Security::Explicit, is_mlsd: true, ..PLAIN };
    let setup = Setup::new().set("names", "backslash_as_slash = \"never\"");
    let server = setup.set("compat", "mode_z = true").start();
    let tree = Tree::awkward(3).without(|path| is_unsupported_by_lftp(path, mode));
    tree.write(&server.home().join("down"));
    let client_dir = server.client_dir("lftp");
    let other = Tree::awkward(4).without(|path| is_unsupported_by_lftp(path, mode));
    other.write(&client_dir.join("up"));
    let text = "a line of a log that compresses well\n".repeat(100_000);
    fs::write(server.home().join("log"), &text).expect("the home is there");
    fs::write(client_dir.join("log"), &text[..1_234_567]).expect("the folder exists");

    let reported = lftp_succeeds(
        &server,
        &client_dir,
        mode,
        "debug 5; set ftp:use-mode-z true; set ftp:mode-z-level 9;\
         mirror down got; mirror -R up up; get -c log; put log -o again;",
    );

    assert!(reported.output().contains("MODE Z"), "{}", reported.output());
    tree.assert_at(&client_dir.join("got"));
    other.assert_at(&server.home().join("up"));
    for log in [client_dir.join("log"), server.home().join("again")] {
        assert!(fs::read_to_string(log).expect("it came") == text);
    }
}

/// All connection modes, for small files.
fn every_mode() -> impl Iterator<Item = LftpMode> {
    let securities = [Security::Plain, Security::Explicit, Security::Implicit];
    securities.into_iter().flat_map(|security| {
        // In active mode over IPv6, lftp 4.9.2 offers `::` as its own address.
        [("127.0.0.1", true), ("127.0.0.1", false), ("[::1]", true)].map(|(address, is_passive)| {
            LftpMode { address, security, is_passive, is_mlsd: is_passive }
        })
    })
}

#[test]
fn lftp_resumes_an_interrupted_download_in_every_mode() {
    let server = Server::with_one_account();
    let mut random = Random::new(3);
    let whole = random.bytes(300_000);
    fs::write(server.home().join("a file.bin"), &whole).unwrap();
    let client_dir = server.client_dir("lftp");
    for mode in every_mode() {
        let local = client_dir.join("got.bin");
        fs::write(&local, &whole[..random.below(whole.len())]).unwrap();
        lftp_succeeds(&server, &client_dir, mode, "get -c 'a file.bin' -o got.bin");
        assert!(fs::read(&local).unwrap() == whole);
    }
}

#[test]
fn lftp_resumes_an_interrupted_upload_in_every_mode() {
    let server = Server::with_one_account();
    let mut random = Random::new(4);
    let client_dir = server.client_dir("lftp");
    for (index, mode) in every_mode().enumerate() {
        let whole = random.bytes(300_000);
        fs::write(client_dir.join("file.bin"), &whole).unwrap();
        let cut = 1 + random.below(whole.len() - 1);
        let name = format!("up {index}.bin");
        server.wire().cut_store(&format!("STOR {name}"), &whole[..cut]);
        assert!(!server.home().join(&name).exists(), "a cut upload is not published");
        lftp_succeeds(&server, &client_dir, mode, &format!("put -c file.bin -o '{name}'"));
        assert!(fs::read(server.home().join(&name)).unwrap() == whole, "{name} cut at {cut}");
    }
}

#[test]
fn lftp_renames_deletes_and_makes_directories() {
    let server = Server::with_one_account();
    let home = server.home();
    let client_dir = server.client_dir("lftp");
    fs::write(home.join("旧名字.txt"), "text").unwrap();
    fs::write(home.join("doomed"), "").unwrap();
    fs::write(client_dir.join("other"), "").unwrap();

    let commands = "mkdir -p 'one dir/sub/deep'; mv 旧名字.txt 'one dir/新名字.txt'; rm doomed;\n\
                    mkdir empty; rmdir empty; mkdir full; put other -o full/x; rm -r full;\n\
                    cls -1 --quiet 'one dir'; pwd";
    let outcome = lftp_succeeds(&server, &client_dir, PLAIN, commands);

    let text = outcome.text();
    assert!(text.starts_with("one dir/sub/\none dir/新名字.txt\n"), "{text}");
    assert_eq!(fs::read_to_string(home.join("one dir/新名字.txt")).unwrap(), "text");
    assert!(home.join("one dir/sub/deep").is_dir());
    for gone in ["旧名字.txt", "doomed", "empty", "full"] {
        assert!(!home.join(gone).exists(), "{gone}");
    }
}

#[test]
fn lftp_preserves_the_time_of_a_file_in_both_directions() {
    let server = Server::with_one_account();
    let client_dir = server.client_dir("lftp");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::create_dir(client_dir.join("up")).unwrap();
    fs::write(client_dir.join("up/old.txt"), "old").unwrap();
    fs::File::open(client_dir.join("up/old.txt")).unwrap().set_modified(time).unwrap();

    let mode = LftpMode { is_mlsd: true, ..PLAIN };
    lftp_succeeds(&server, &client_dir, mode, "mirror -R up there; mirror there down");

    for path in [server.home().join("there/old.txt"), client_dir.join("down/old.txt")] {
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), time, "{}", path.display());
    }
}

#[test]
fn lftp_reports_a_missing_directory_immediately() {
    let server = Server::with_one_account();
    let outcome = lftp(&server, &server.client_dir("lftp"), PLAIN, "ls missing-dir");
    assert_ne!(outcome.code, Some(0), "{}", outcome.output());
    assert_eq!(outcome.text(), "");
}

#[test]
fn lftp_transfers_where_data_must_resume_the_tls_session() {
    let server = Setup::new().set("tls", "session_reuse = \"require\"").start();
    let client_dir = server.client_dir("lftp");
    let bytes = Random::new(5).bytes(70_000);
    for name in ["a", "b", "c"] {
        fs::write(client_dir.join(name), &bytes).unwrap();
    }
    for security in [Security::Explicit, Security::Implicit] {
        let mode = LftpMode { security, ..PLAIN };
        let commands = "mput a b c; rm a; mv b a; get a -o back; rm a c";
        lftp_succeeds(&server, &client_dir, mode, commands);
        assert!(fs::read(client_dir.join("back")).unwrap() == bytes);
    }
}

/// lftp uses MODE Z wherever FEAT names it, and then sleeps before it sends an empty file, up to
/// five seconds. Forty of these would take longer than any program may here.
#[test]
fn row_16_lftp_mirrors_empty_files_with_and_without_mode_z() {
    for is_on in [false, true] {
        let server = Setup::new().set("compat", &format!("mode_z = {is_on}")).start();
        let client_dir = server.client_dir("lftp");
        fs::create_dir_all(client_dir.join("tree")).unwrap();
        for index in 0..40 {
            fs::write(client_dir.join("tree").join(format!("empty{index}")), "").unwrap();
        }
        for (name, security) in [("plain", PLAIN.security), ("tls", Security::Explicit)] {
            let mode = LftpMode { security, ..PLAIN };
            let commands = format!("debug 5; mirror -R tree {name}");
            let outcome = lftp_succeeds(&server, &client_dir, mode, &commands);
            assert_eq!(fs::read_dir(server.home().join(name)).unwrap().count(), 40, "{name}");
            assert_eq!(outcome.errors.contains("MODE Z"), is_on, "{}", outcome.errors);
        }
    }
}
