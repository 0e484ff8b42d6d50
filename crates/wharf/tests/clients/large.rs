//! Large files: they leave the reactor and move without being copied, so everything that can happen
//! to a transfer happens to them once more.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::program::Program;
use crate::support::server::{PASSWORD, Server, Setup, USER};
use crate::support::tree::Random;

/// More than all buffers of the system between two ends.
const LARGE: usize = 40 << 20;

fn on_disk(server: &Server, name: &str) -> Vec<u8> {
    fs::read(server.home().join(name)).expect("the file is there")
}

fn assert_same(one: &[u8], two: &[u8], what: &str) {
    assert!(one == two, "{what}: {} and {} bytes", one.len(), two.len());
}

#[test]
fn a_large_file_is_transferred_in_both_directions_from_any_byte() {
    let server = Server::with_one_account();
    let bytes = Random::new(71).bytes(LARGE);
    let mut wire = server.wire();
    wire.expect("TYPE I", 200);
    wire.store("STOR a.bin", &bytes);
    assert_same(&on_disk(&server, "a.bin"), &bytes, "up");
    assert_same(&wire.download("RETR a.bin"), &bytes, "down");
    wire.expect("REST 1234567", 350);
    assert_same(&wire.download("RETR a.bin"), &bytes[1_234_567..], "down from the middle");
    wire.expect("REST 7654321", 350);
    wire.store("STOR a.bin", &bytes[..LARGE / 2]);
    let changed = [&bytes[..7_654_321], &bytes[..LARGE / 2]].concat();
    assert_same(&on_disk(&server, "a.bin"), &changed, "up from the middle");
    wire.store("APPE a.bin", &bytes);
    assert_same(&on_disk(&server, "a.bin"), &[changed, bytes].concat(), "up behind the end");
}

#[test]
fn curl_moves_a_large_file_over_every_tls_and_again_where_it_was_cut() {
    let server = Server::with_one_account();
    let bytes = Random::new(72).bytes(LARGE / 4);
    fs::write(server.home().join("down.bin"), &bytes).unwrap();
    let source = server.folder().join("source.bin");
    fs::write(&source, &bytes).unwrap();
    for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        let curl = || {
            let login = format!("{USER}:{PASSWORD}");
            Program::new("curl")
                .args(["-q", "-sS", "-k", "--ssl-reqd", "-u"])
                .arg(login)
                .args(version)
        };
        let url = |name: &str| format!("ftp://127.0.0.1:{}/{name}", server.port());
        let got = curl().arg(url("down.bin")).succeed();
        assert_same(&got.output, &bytes, "down");
        let got = curl().args(["-C", "1000000"]).arg(url("down.bin")).succeed();
        assert_same(&got.output, &bytes[1_000_000..], "the rest down");
        curl().arg("-T").arg(&source).arg(url("up.bin")).succeed();
        assert_same(&on_disk(&server, "up.bin"), &bytes, "up");
        fs::remove_file(server.home().join("up.bin")).unwrap();
    }
}

#[test]
fn a_large_download_can_be_aborted_and_the_session_continues() {
    let server = Server::with_one_account();
    fs::write(server.home().join("a.bin"), Random::new(73).bytes(LARGE)).unwrap();
    let mut wire = server.wire();
    wire.expect("TYPE I", 200);
    let mut data = wire.passive();
    assert_eq!(wire.ask("RETR a.bin").code(), 150);
    data.read_exact(&mut [0; 10_000]).unwrap();
    // The client does not read, so the transfer is stalled; the control connection is not.
    wire.expect("NOOP", 200);
    wire.send("ABOR");
    assert_eq!((wire.reply().code(), wire.reply().code()), (426, 226));
    drop(data);
    assert_eq!(wire.download("RETR a.bin").len(), LARGE);
}

#[test]
fn a_large_upload_that_is_aborted_can_be_resumed() {
    let server = Server::with_one_account();
    let bytes = Random::new(74).bytes(LARGE);
    let mut wire = server.wire();
    wire.expect("TYPE I", 200);
    let mut data = wire.passive();
    assert_eq!(wire.ask("STOR a.bin").code(), 150);
    data.write_all(&bytes[..LARGE / 2]).unwrap();
    wire.send("ABOR");
    assert_eq!((wire.reply().code(), wire.reply().code()), (426, 226));
    drop(data);
    assert!(!server.home().join("a.bin").exists(), "nothing half done is seen");
    let size = wire.expect("SIZE a.bin", 213).to_string();
    let kept: usize = size.trim_start_matches("213 ").trim().parse().unwrap();
    assert!(kept > 0 && kept <= LARGE / 2, "{kept}");
    wire.expect(&format!("REST {kept}"), 350);
    wire.store("STOR a.bin", &bytes[kept..]);
    assert_same(&on_disk(&server, "a.bin"), &bytes, "the whole");
}

#[test]
fn a_client_that_pauses_gets_the_whole_file() {
    let server = Server::with_one_account();
    let bytes = Random::new(75).bytes(LARGE);
    fs::write(server.home().join("a.bin"), &bytes).unwrap();
    let mut wire = server.wire();
    wire.expect("TYPE I", 200);
    let mut data = wire.passive();
    assert_eq!(wire.ask("RETR a.bin").code(), 150);
    let mut got = Vec::new();
    let mut is_confirmed = false;
    while got.len() < LARGE {
        // A reply arrives while the transfer waits for the client. The end of the transfer may come
        // first: the last megabytes fit into the buffers of the system.
        wire.send("NOOP");
        let mut code = wire.reply().code();
        if code == 226 && !is_confirmed {
            is_confirmed = true;
            code = wire.reply().code();
        }
        assert_eq!(code, 200);
        (&mut data).take(5 << 20).read_to_end(&mut got).unwrap();
    }
    if !is_confirmed {
        assert_eq!(wire.reply().code(), 226);
    }
    assert_same(&got, &bytes, "down");
}

#[test]
fn a_client_that_sends_slowly_is_read_to_the_end() {
    let server = Server::with_one_account();
    let bytes = Random::new(76).bytes(3 << 20);
    let mut wire = server.wire();
    wire.expect("TYPE I", 200);
    let mut data = wire.passive();
    assert_eq!(wire.ask("STOR a.bin").code(), 150);
    for piece in bytes.chunks(100_000) {
        data.write_all(piece).unwrap();
        wire.expect("NOOP", 200);
    }
    drop(data);
    assert_eq!(wire.reply().code(), 226);
    assert_same(&on_disk(&server, "a.bin"), &bytes, "up");
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_reported() {
    let server = Server::with_one_account();
    let path = server.home().join("a.bin");
    fs::write(&path, Random::new(77).bytes(LARGE)).unwrap();
    let mut wire = server.wire();
    wire.expect("TYPE I", 200);
    let mut data = wire.passive();
    assert_eq!(wire.ask("RETR a.bin").code(), 150);
    data.read_exact(&mut [0; 1000]).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
    let mut rest = Vec::new();
    // However the connection ends: the reply reports that the file is incomplete.
    let _ = data.read_to_end(&mut rest);
    assert!(rest.len() < LARGE - 1000);
    assert_eq!(wire.reply().code(), 451);
    wire.expect("NOOP", 200);
}

#[test]
fn a_stalled_large_upload_is_aborted() {
    let setup = Setup::new().set("limits", "transfer_stall_timeout = \"1s\"");
    let server = setup.account(USER, "full", &[]).start();
    let mut wire = server.wire();
    wire.expect("TYPE I", 200);
    let mut data = wire.passive();
    assert_eq!(wire.ask("STOR a.bin").code(), 150);
    data.write_all(&Random::new(78).bytes(2 << 20)).unwrap();
    assert_eq!(wire.reply().code(), 426);
    assert!(!server.home().join("a.bin").exists());
}

#[test]
fn a_data_port_is_reused_unless_an_unexpected_peer_connected() {
    let server = Server::with_one_account();
    fs::write(server.home().join("a.txt"), "content").unwrap();
    let mut wire = server.wire();
    let mut port = || {
        let address = wire.expect("PASV", 227).pasv_address();
        let mut data = TcpStream::connect(address).unwrap();
        assert_eq!(wire.ask("RETR a.txt").code(), 150);
        let mut got = String::new();
        data.read_to_string(&mut got).unwrap();
        assert_eq!((got.as_str(), wire.reply().code()), ("content", 226));
        address
    };
    let first = port();
    assert_eq!(port(), first, "it saves making another");
    let _unexpected = TcpStream::connect(first).unwrap();
    assert_ne!(port(), first, "another session waits there");
}
