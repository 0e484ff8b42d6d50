//! The server is killed in the middle of uploads (SIGKILL, as by a crash) and started again: under
//! a final name there is the old file or a whole new one, never a torn one, and nothing that was
//! answered with 226 is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::server::Server;
use crate::support::tree::Random;
use crate::support::wire::{Stored, Wire};

const ROUNDS: usize = 50;
const UPLOADERS: usize = 4;
const UPLOAD_BYTES_MAX: usize = 2_000_000;
/// The kill happens after at most this many bytes of a round.
const ROUND_BYTES_MAX: usize = 8_000_000;

/// One upload, complete or not.
struct Attempt {
    name: String,
    content: Vec<u8>,
    is_confirmed: bool,
}

type Attempts = Arc<Mutex<Vec<Attempt>>>;

#[test]
fn row_33_34_fifty_kills_in_the_middle_of_uploads_damage_no_file_and_lose_none() {
    let mut server = Server::with_one_account();
    let mut random = Random::new(60);
    // Contents are pieces of this, each from another place: quick to make, and never the same.
    let pool = Arc::new(random.bytes(2 * UPLOAD_BYTES_MAX));
    // What may be under each name that must be there: what was last confirmed, and all that was
    // tried after it.
    let mut possible = BTreeMap::<String, Vec<Vec<u8>>>::new();
    let mut resumed = 0;
    for round in 0..ROUNDS {
        let attempts = upload_until_killed(&mut server, &mut random, &pool, round);
        for attempt in &attempts {
            let content = attempt.content.clone();
            if attempt.is_confirmed {
                possible.insert(attempt.name.clone(), vec![content]);
            } else if let Some(known) = possible.get_mut(&attempt.name) {
                known.push(content);
            }
        }
        let unconfirmed: Vec<_> = attempts.iter().filter(|a| !a.is_confirmed).collect();
        let found = check_files(&server, &mut possible, &unconfirmed);
        server.start();
        let mut wire = server.wire();
        assert_eq!(listed(&mut wire), found, "round {round}");
        for attempt in unconfirmed {
            if resume(&server, &mut wire, attempt) {
                resumed += 1;
                possible.insert(attempt.name.clone(), vec![attempt.content.clone()]);
            }
        }
        for name in listed(&mut wire).into_iter().filter(|name| name.starts_with("new")) {
            possible.remove(&name);
            wire.expect(&format!("DELE {name}"), 250);
        }
    }
    assert!(resumed > 0, "no cut upload could be resumed");
}

/// Lets several clients upload, kills the server after a number of bytes, and returns what they
/// tried, in the order of each.
fn upload_until_killed(
    server: &mut Server,
    random: &mut Random,
    pool: &Arc<Vec<u8>>,
    round: usize,
) -> Vec<Attempt> {
    let attempts = Attempts::default();
    let (sender, reported) = channel();
    // All log in before the first starts, else the last would have done nothing by the kill.
    let wires: Vec<_> = (0..UPLOADERS).map(|_| server.wire()).collect();
    let uploaders: Vec<_> = wires
        .into_iter()
        .enumerate()
        .map(|(number, wire)| {
            let (attempts, sender, seed) = (Arc::clone(&attempts), sender.clone(), random.next());
            let pool = Arc::clone(pool);
            thread::spawn(move || upload(wire, (number, round), seed, &pool, &attempts, &sender))
        })
        .collect();
    drop(sender);
    let mut left = random.below(ROUND_BYTES_MAX);
    while let Some(rest) = reported.recv().ok().and_then(|sent| left.checked_sub(sent)) {
        left = rest;
    }
    server.kill();
    for uploader in uploaders {
        uploader.join().expect("it ends when the connection does");
    }
    let attempts = Arc::into_inner(attempts).expect("the uploaders are gone");
    attempts.into_inner().expect("nobody panicked")
}

/// Uploads one file after the other until the connection ends. Even uploaders replace one file
/// repeatedly, odd ones create new files.
fn upload(
    mut wire: Wire,
    (number, round): (usize, usize),
    seed: u64,
    pool: &[u8],
    attempts: &Mutex<Vec<Attempt>>,
    sender: &Sender<usize>,
) {
    let mut random = Random::new(seed);
    for turn in 0.. {
        let name = if number % 2 == 0 {
            format!("replaced{number}")
        } else {
            format!("new-{round}-{number}-{turn}")
        };
        let size = random.below(UPLOAD_BYTES_MAX);
        let start = random.below(pool.len() - size);
        let content = pool[start..start + size].to_vec();
        let index = {
            let mut attempts = attempts.lock().expect("nobody panicked");
            attempts.push(Attempt {
                name: name.clone(),
                content: content.clone(),
                is_confirmed: false,
            });
            attempts.len() - 1
        };
        let sender = |sent| {
            let _ = sender.send(sent);
        };
        match wire.try_store(&format!("STOR {name}"), &content, sender) {
            Stored::Confirmed => {
                attempts.lock().expect("nobody panicked")[index].is_confirmed = true;
            }
            Stored::ConnectionLost => return,
        }
    }
}

/// Fails if a file is torn or lost, and returns the names that are there.
fn check_files(
    server: &Server,
    possible: &mut BTreeMap<String, Vec<Vec<u8>>>,
    unconfirmed: &[&Attempt],
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(server.home()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // Hidden files of partial uploads; the listing test checks that clients do not see them.
        if name.starts_with('.') {
            continue;
        }
        let content = fs::read(server.home().join(&name)).unwrap();
        let is_whole = possible.get(&name).is_some_and(|known| known.contains(&content))
            || unconfirmed.iter().any(|attempt| attempt.name == name && attempt.content == content);
        assert!(is_whole, "{name} is torn: {} bytes", content.len());
        possible.insert(name.clone(), vec![content]);
        found.insert(name);
    }
    for name in possible.keys() {
        assert!(found.contains(name), "{name} was confirmed and is lost");
    }
    found
}

/// Resumes an upload that the kill has interrupted, if a part of it was stored and its name is
/// free.
fn resume(server: &Server, wire: &mut Wire, attempt: &Attempt) -> bool {
    let path = server.home().join(&attempt.name);
    let size = wire.ask(format!("SIZE {}", attempt.name));
    if path.exists() || size.code() != 213 {
        return false;
    }
    let kept: usize = size.to_string()[4..].trim().parse().unwrap();
    assert!(kept <= attempt.content.len(), "{kept} bytes of {}", attempt.content.len());
    wire.expect(&format!("REST {kept}"), 350);
    wire.store(format!("STOR {}", attempt.name), &attempt.content[kept..]);
    assert!(fs::read(path).unwrap() == attempt.content, "{} resumed at {kept}", attempt.name);
    true
}

/// The names that a client sees. Hidden files of wharf itself must not be among them.
fn listed(wire: &mut Wire) -> BTreeSet<String> {
    let names = |bytes: Vec<u8>| -> BTreeSet<String> {
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    };
    let found = names(wire.download("NLST"));
    assert_eq!(names(wire.download("NLST -a")), found);
    let facts = names(wire.download("MLSD"));
    let in_facts = facts.iter().filter_map(|line| line.split_once(' '));
    let in_facts: BTreeSet<_> = in_facts
        .map(|(_, name)| name.to_owned())
        .filter(|name| name != "." && name != "..")
        .collect();
    assert_eq!(in_facts, found);
    found
}

#[test]
fn row_33_a_killed_replacement_leaves_the_old_file_and_can_be_resumed() {
    /// More than the server gathers in memory before it writes.
    const SENT: usize = 2_500_000;
    let mut server = Server::with_one_account();
    let mut random = Random::new(61);
    let (old, new) = (random.bytes(50_000), random.bytes(3_000_000));
    let path = server.home().join("file");
    fs::write(&path, &old).unwrap();

    server.wire().leave_unfinished("STOR file", &new[..SENT], || server.kill());
    assert!(fs::read(&path).unwrap() == old);
    server.start();
    let mut wire = server.wire();
    assert!(wire.download("RETR file") == old);
    assert_eq!(listed(&mut wire), BTreeSet::from(["file".to_owned()]));

    let size = wire.expect("SIZE file", 213).to_string();
    let kept: usize = size[4..].trim().parse().unwrap();
    // It sends RETR; the client resumes after that part of the new file.
    assert_eq!(kept, old.len());
    wire.expect(&format!("REST {kept}"), 350);
    wire.store("STOR file", &new[kept..]);
    assert!(fs::read(&path).unwrap() == new);
    assert!(wire.download("RETR file") == new);
}
