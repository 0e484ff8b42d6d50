//! Interrupted uploads are resumed by common clients, before and after a crash of the server;
//! concurrent uploads to one name, or above a quota, are complete or absent.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::program::Program;
use crate::support::server::{PASSWORD, Server, Setup, USER};
use crate::support::tree::Random;
use crate::support::wire::Wire;

/// More than the server gathers in memory before it writes.
const WHOLE_BYTES: usize = 3_000_000;
const SENT_BYTES: usize = 2_500_000;

/// A client that resumes the upload of `local`, of which the server has a part under `name`.
type ResumeFn = fn(&Server, &Path, &str);

const CLIENTS: [(&str, ResumeFn); 5] = [
    ("lftp", lftp),
    ("curl", curl),
    ("ncftpput", ncftpput),
    ("filezilla", size_rest_stor),
    ("appe", size_appe),
];

fn lftp(server: &Server, local: &Path, name: &str) {
    let script = format!(
        "set cmd:fail-exit true; set net:max-retries 1; set net:timeout 20;\n\
         set ftp:ssl-allow false; set ftp:use-allo true;\n\
         open -u {USER},{PASSWORD} ftp://127.0.0.1:{};\nput -c '{}' -o '{name}'\n",
        server.port(),
        local.display(),
    );
    Program::new("lftp").args(["-f", "/dev/stdin"]).input(script).succeed();
}

fn curl(server: &Server, local: &Path, name: &str) {
    let url = format!("ftp://{USER}:{PASSWORD}@127.0.0.1:{}/{name}", server.port());
    Program::new("curl").args(["-sS", "-m", "60", "-C", "-", "-T"]).arg(local).arg(url).succeed();
}

fn ncftpput(server: &Server, local: &Path, name: &str) {
    let port = server.port().to_string();
    let copy = local.with_file_name(name);
    fs::copy(local, &copy).unwrap();
    Program::new("ncftpput")
        .args(["-u", USER, "-p", PASSWORD, "-P", &port, "-F", "-z", "127.0.0.1", "/"])
        .arg(copy)
        .folder(&server.client_dir("ncftpput"))
        .succeed();
}

fn kept(wire: &mut Wire, name: &str) -> usize {
    let size = wire.expect(&format!("SIZE {name}"), 213).to_string();
    size[4..].trim().parse().unwrap()
}

/// As `FileZilla` does it.
fn size_rest_stor(server: &Server, local: &Path, name: &str) {
    let whole = fs::read(local).unwrap();
    let mut wire = server.wire();
    let from = kept(&mut wire, name);
    wire.expect(&format!("REST {from}"), 350);
    wire.store(format!("STOR {name}"), &whole[from..]);
}

fn size_appe(server: &Server, local: &Path, name: &str) {
    let whole = fs::read(local).unwrap();
    let mut wire = server.wire();
    let from = kept(&mut wire, name);
    wire.store(format!("APPE {name}"), &whole[from..]);
}

#[test]
fn row_33_every_client_resumes_an_interrupted_upload() {
    let server = Server::with_one_account();
    let mut random = Random::new(70);
    let local = server.client_dir("client").join("local");
    for (name, resume) in CLIENTS {
        let whole = random.bytes(WHOLE_BYTES);
        fs::write(&local, &whole).unwrap();
        server.wire().cut_store(&format!("STOR {name}"), &whole[..SENT_BYTES]);
        assert!(!server.home().join(name).exists(), "{name}: a cut upload is not published");
        resume(&server, &local, name);
        assert!(fs::read(server.home().join(name)).unwrap() == whole, "{name}");
    }
}

#[test]
fn row_56_an_old_file_is_replaced_as_a_whole_by_clients_that_misread_its_size_after_a_cut() {
    let server = Server::with_one_account();
    let mut random = Random::new(72);
    let local = server.client_dir("client").join("local");
    let longer = (random.bytes(2 * WHOLE_BYTES), random.bytes(WHOLE_BYTES));
    // A file that repeats itself looks like its rest.
    let zeros = (vec![0; WHOLE_BYTES / 2], vec![0; WHOLE_BYTES]);
    let clients: [(&str, ResumeFn); 2] = [("lftp", lftp), ("ncftpput", ncftpput)];
    for (name, continues) in clients {
        for (old, whole) in [&longer, &zeros] {
            fs::write(server.home().join(name), old).unwrap();
            fs::write(&local, whole).unwrap();
            server.wire().cut_store(&format!("STOR {name}"), &whole[..SENT_BYTES]);
            assert!(fs::read(server.home().join(name)).unwrap() == *old, "{name}");
            continues(&server, &local, name);
            assert!(fs::read(server.home().join(name)).unwrap() == *whole, "{name}");
        }
    }
}

#[test]
fn row_33_row_41_every_client_resumes_an_upload_interrupted_by_a_crash() {
    let mut server = Server::with_one_account();
    let mut random = Random::new(71);
    let local = server.client_dir("client").join("local");
    for (name, resume) in CLIENTS {
        let whole = random.bytes(WHOLE_BYTES);
        fs::write(&local, &whole).unwrap();
        let wire = server.wire();
        wire.leave_unfinished(&format!("STOR {name}"), &whole[..SENT_BYTES], || server.kill());
        server.start();
        let kept = kept(&mut server.wire(), name);
        assert!(kept > 0 && kept <= SENT_BYTES, "{name}: {kept} bytes are left");
        resume(&server, &local, name);
        assert!(fs::read(server.home().join(name)).unwrap() == whole, "{name}");
        let left = fs::read_dir(server.home()).unwrap().flatten();
        let left: Vec<_> =
            left.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b".")).collect();
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}

#[test]
fn row_33_many_uploads_to_one_name_leave_a_complete_file_and_readers_see_no_other() {
    const WRITERS: u64 = 4;
    const ROUNDS: usize = 5;
    let server = Server::with_one_account();
    let contents: Vec<_> =
        (0..=WRITERS).map(|seed| Random::new(80 + seed).bytes(600_000)).collect();
    fs::write(server.home().join("one"), &contents[0]).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut wire = server.wire();
        let (is_over, contents) = (&is_over, &contents);
        let reader = scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let read = wire.download("RETR one");
                assert!(contents.contains(&read), "{} bytes of no upload", read.len());
            }
        });
        let writers: Vec<_> = contents[1..]
            .iter()
            .map(|content| {
                let mut wire = server.wire();
                scope.spawn(move || (0..ROUNDS).for_each(|_| wire.store("STOR one", content)))
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert!(contents[1..].contains(&fs::read(server.home().join("one")).unwrap()));
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 1);
}

/// Bytes and files as the server counts them.
fn counted(wire: &mut Wire) -> (u64, u64) {
    let reported = wire.expect("SITE QUOTA", 200).to_string();
    let number = |what: &str| {
        let after =
            reported.split(what).nth(1).unwrap_or_else(|| panic!("no {what} in {reported}"));
        after.split_whitespace().next().unwrap().parse().unwrap()
    };
    (number("Bytes used: "), number("Files and directories used: "))
}

fn there(folder: &Path) -> (u64, u64) {
    // The server's notes about a partial upload do not count for the account.
    let is_note = |name: &Path| name.extension().is_some_and(|end| end == "base" || end == "none");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let kept = entries.filter(|entry| !is_note(Path::new(&entry.file_name())));
    let sizes = kept.map(|entry| entry.metadata().unwrap().len());
    sizes.fold((0, 0), |(bytes, files), size| (bytes + size, files + 1))
}

#[test]
fn row_37_a_quota_applies_to_the_kernel_copy_too_and_survives_a_crash_and_a_stop() {
    let mut server = Setup::new().account(USER, "full", &["--quota", "8MiB"]).start();
    let mut random = Random::new(90);
    let big = random.bytes(5_000_000);
    let mut wire = server.wire();
    wire.store("STOR first", &big);
    assert_eq!(counted(&mut wire), (5_000_000, 1));
    // The second does not fit: it is discarded, and the session continues.
    let data = wire.passive();
    wire.expect("STOR second", 150);
    thread::scope(|scope| {
        let big = &big;
        scope.spawn(move || {
            use std::io::Write as _;
            let mut data = data;
            // The server closes it in the middle.
            let _ = data.write_all(big);
        });
        assert_eq!(wire.reply().code(), 552);
    });
    assert_eq!(counted(&mut wire), (5_000_000, 1));
    wire.expect("NOOP", 200);
    // Replacing a file counts no more than storing it.
    wire.store("STOR first", &big[..4_000_000]);
    drop(wire);

    server.wire().leave_unfinished("STOR cut", &big[..SENT_BYTES], || server.kill());
    server.start();
    let mut wire = server.wire();
    wire.expect("MKD d", 257);
    wire.expect("RMD d", 250);
    assert_eq!(counted(&mut wire), there(&server.home()));
    drop(wire);
    let ledger = |server: &Server| {
        let found = Program::new("find").arg(server.folder()).args(["-name", "quota.ledger"]);
        found.succeed().text()
    };
    assert_eq!(ledger(&server), "", "nobody may believe it while things change");
    assert_eq!(server.stop(), Some(0));
    assert_ne!(ledger(&server), "");
    server.start();
    assert_eq!(counted(&mut server.wire()), there(&server.home()));
}
