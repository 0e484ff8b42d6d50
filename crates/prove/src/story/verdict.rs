//! What must hold after the end, once the server is started again.

use std::collections::{BTreeMap, BTreeSet};

use wharf_proto::reply::Code;

use super::shelf::{Doubt, Shelf};
use super::{SHARED, Story, on_disk, seen};
use crate::prove::client::Client;
use crate::prove::content::{Content, Pool};
use crate::prove::random::Random;
use crate::prove::server::Server;

/// What the end may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Nothing that was confirmed.
    Kept,
    /// What was confirmed may be lost, older content be back, and what was new be empty or zeros in
    /// part; but no byte is of anything else.
    Own,
}

/// What was found besides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// How many cut uploads could be resumed.
    pub(crate) resumed: f64,
    /// How many files were empty or had zeros in place of their bytes.
    pub(crate) hollow: f64,
}

/// How many uploads are unfinished, apart from the notes beside them of what stood there when they
/// began.
fn unfinished(hidden: &BTreeSet<String>) -> usize {
    hidden.iter().filter(|name| !name.ends_with(".none") && !name.ends_with(".base")).count()
}

/// Checks all, on the disk and as a client, and resumes what was cut.
pub(crate) fn check(
    server: &Server,
    pool: &Pool,
    story: &Story,
    random: &mut Random,
    promise: Promise,
) -> Result<Found, String> {
    // What the end left of an APPE is cut off when its account logs in.
    let mut client = server.client(random.once_in(2))?;
    let (files, hidden) = on_disk(server)?;
    let mut hollow = 0.0;
    match promise {
        Promise::Kept => check_kept(pool, story, &files)?,
        Promise::Own => hollow = check_own(pool, story, &files)?,
    }
    let left: usize = story.shelves.iter().map(|shelf| shelf.left.len()).sum();
    let most = left + story.shelves.len();
    if promise == Promise::Kept && unfinished(&hidden) > most {
        let count = unfinished(&hidden);
        return Err(format!(
            "{count} unfinished uploads are left, at most {most} may be: {hidden:?}"
        ));
    }
    let names: BTreeSet<_> = files.keys().cloned().collect();
    if seen(&mut client)? != names {
        return Err("a client sees other names than there are files".to_owned());
    }
    for (name, bytes) in files.iter().filter(|_| random.once_in(4)) {
        if client.fetch(&format!("RETR {name}"))? != *bytes {
            return Err(format!("{name} is sent with another content than it has"));
        }
    }
    let mut resumed = 0.0;
    for shelf in &story.shelves {
        if resume(server, &mut client, pool, shelf, &files)? {
            resumed += 1.0;
        }
    }
    Ok(Found { resumed, hollow })
}

/// All that was confirmed is there, and nothing else but what was under way.
fn check_kept(pool: &Pool, story: &Story, files: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let mut known = BTreeSet::from([SHARED.to_owned()]);
    for shelf in &story.shelves {
        check_shelf(pool, shelf, files)?;
        known.extend(shelf.sure.keys().cloned());
        let changes = shelf.doubt.iter().flat_map(|doubt| &doubt.changes);
        known.extend(changes.map(|(name, _)| name.clone()));
    }
    if story.is_shared_there && !files.contains_key(SHARED) {
        return Err(format!("{SHARED} was confirmed and is lost"));
    }
    check_shared(pool, story, files.get(SHARED))?;
    match files.keys().find(|name| !known.contains(*name)) {
        Some(name) => Err(format!("{name} is there, and nobody made it")),
        None => Ok(()),
    }
}

/// Whatever is there are bytes of one content of this client, or zeros in their place. Tells how
/// many files have such.
fn check_own(pool: &Pool, story: &Story, files: &BTreeMap<String, Vec<u8>>) -> Result<f64, String> {
    let mut hollow = 0.0;
    for (name, bytes) in files {
        let known = || story.shelves.iter().flat_map(|shelf| &shelf.all).chain(&story.shared);
        if known().any(|content| pool.is(content, bytes)) {
            continue;
        }
        let is_hollow = |content: &Content| {
            let whole = pool.bytes(content);
            whole.len() >= bytes.len()
                && whole.iter().zip(bytes).all(|(own, found)| *found == 0 || own == found)
        };
        if !known().any(is_hollow) {
            return Err(format!("{name} has {} bytes that nobody sent so", bytes.len()));
        }
        hollow += 1.0;
    }
    Ok(hollow)
}

/// Each name has what was confirmed last, or else what the command under way makes of it; all
/// names of one command the same.
fn check_shelf(
    pool: &Pool,
    shelf: &Shelf,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<(), String> {
    let is = |name: &str, content: Option<&Content>| match (files.get(name), content) {
        (None, None) => true,
        (Some(bytes), Some(content)) => pool.is(content, bytes),
        _ => false,
    };
    let doubt = shelf.doubt.as_ref().map(|doubt| doubt.changes.as_slice()).unwrap_or_default();
    let is_doubtful = |name: &str| doubt.iter().any(|(other, _)| other == name);
    for (name, content) in shelf.sure.iter().filter(|(name, _)| !is_doubtful(name)) {
        if !is(name, Some(content)) {
            return Err(wrong(name, content, files));
        }
    }
    let is_before = doubt.iter().all(|(name, _)| is(name, shelf.sure.get(name)));
    let is_after = doubt.iter().all(|(name, content)| is(name, content.as_ref()));
    if is_before || is_after {
        return Ok(());
    }
    let told: Vec<_> = doubt
        .iter()
        .map(|(name, content)| {
            let length = |content: Option<&Content>| content.map_or(0, Content::len);
            let found = files.get(name).map(Vec::len);
            format!(
                "{name} has {found:?} bytes, {} before and {} after",
                length(shelf.sure.get(name)),
                length(content.as_ref())
            )
        })
        .collect();
    Err(format!("neither old nor new: {}", told.join("; ")))
}

fn wrong(name: &str, content: &Content, files: &BTreeMap<String, Vec<u8>>) -> String {
    match files.get(name) {
        None => format!("{name} was confirmed and is lost"),
        Some(bytes) if bytes.len() != content.len() => {
            format!("{name} has {} bytes, {} were confirmed", bytes.len(), content.len())
        }
        Some(_) => format!("{name} has other bytes than were confirmed"),
    }
}

fn check_shared(pool: &Pool, story: &Story, found: Option<&Vec<u8>>) -> Result<(), String> {
    match found {
        Some(bytes) if !story.shared.iter().any(|content| pool.is(content, bytes)) => {
            Err(format!("{SHARED} is torn: {} bytes", bytes.len()))
        }
        _ => Ok(()),
    }
}

/// Goes on with the upload that the kill has cut, if something of it was kept.
fn resume(
    server: &Server,
    client: &mut Client,
    pool: &Pool,
    shelf: &Shelf,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<bool, String> {
    let Some(Doubt { changes, is_upload: true }) = &shelf.doubt else { return Ok(false) };
    let Some((name, Some(content))) = changes.first() else { return Ok(false) };
    let old = files.get(name).map(Vec::len);
    let Some(kept) = client.size(name)?.filter(|kept| Some(*kept) != old) else {
        return Ok(false);
    };
    if kept > content.len() {
        return Err(format!("{kept} bytes of {name} are kept, {} were sent", content.len()));
    }
    let bytes = pool.bytes(content);
    client.expect(&format!("REST {kept}"), Code::PENDING)?;
    client.store(&format!("STOR {name}"), bytes.get(kept..).unwrap_or_default())?;
    let found = std::fs::read(server.home().join(name)).unwrap_or_default();
    if found == bytes {
        return Ok(true);
    }
    Err(format!("{name} was resumed at {kept} and is not what was sent"))
}
