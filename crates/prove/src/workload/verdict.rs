//! What must hold after the end, once the server is restarted.

use std::collections::{BTreeMap, BTreeSet};

use wharf_load::{ClientSession, Random};
use wharf_proto::reply::Code;

use super::client_files::{ClientFiles, UnansweredCommand};
use super::{SHARED, Workload, on_disk, seen};
use crate::prove::content::{ContentPool, PooledContent};
use crate::prove::server::ProofServer;

/// What the end may destroy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Nothing that was confirmed.
    SurvivingWrites,
    /// Confirmed changes may be lost, older content may be back, and new files may be empty or
    /// partly zero; but no byte is foreign.
    Own,
}

/// Further findings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Findings {
    /// The number of interrupted uploads that could be resumed.
    pub(crate) resumed: f64,
    /// The number of files that were empty or had zeros in place of their bytes.
    pub(crate) hollow: f64,
}

/// The number of unfinished uploads, without the files beside them that identify the replaced file.
fn unfinished(hidden: &BTreeSet<String>) -> usize {
    let is_mark = |name: &str| MARKS.iter().any(|mark| name.ends_with(mark));
    hidden.iter().filter(|name| !is_mark(name)).count()
}

/// Suffixes of the files that identify the replaced file.
const MARKS: [&str; 2] = [".none", ".base"];

/// Checks everything, on disk and as a client, and resumes what was interrupted.
pub(crate) fn check(
    server: &ProofServer,
    pool: &ContentPool,
    workload: &Workload,
    random: &mut Random,
    promise: Promise,
) -> Result<Findings, String> {
    // The remains of an APPE are cut off when its account logs in.
    let mut client = server.client(random.once_in(2))?;
    let (files, hidden) = on_disk(server)?;
    let mut hollow = 0.0;
    match promise {
        Promise::SurvivingWrites => check_retained(pool, workload, &files)?,
        Promise::Own => hollow = check_own(pool, workload, &files)?,
    }
    let left: usize = workload.shelves.iter().map(|client_files| client_files.left.len()).sum();
    let most = left + workload.shelves.len();
    if promise == Promise::SurvivingWrites && unfinished(&hidden) > most {
        let count = unfinished(&hidden);
        return Err(format!(
            "{count} unfinished uploads remain, at most {most} expected: {hidden:?}"
        ));
    }
    let names: BTreeSet<_> = files.keys().cloned().collect();
    if seen(&mut client)? != names {
        return Err("the listing differs from the files".to_owned());
    }
    for (name, bytes) in files.iter().filter(|_| random.once_in(4)) {
        if client.download(&format!("RETR {name}"))? != *bytes {
            return Err(format!("{name} is sent with wrong content"));
        }
    }
    let mut resumed = 0.0;
    for client_files in &workload.shelves {
        if resume(server, &mut client, pool, client_files, &files)? {
            resumed += 1.0;
        }
    }
    Ok(Findings { resumed, hollow })
}

/// Everything confirmed is there, and nothing else except the command in progress.
fn check_retained(
    pool: &ContentPool,
    workload: &Workload,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<(), String> {
    let mut known = BTreeSet::from([SHARED.to_owned()]);
    for client_files in &workload.shelves {
        check_shelf(pool, client_files, files)?;
        known.extend(client_files.sure.keys().cloned());
        let changes = client_files.doubt.iter().flat_map(|doubt| &doubt.changes);
        known.extend(changes.map(|(name, _)| name.clone()));
    }
    if workload.is_shared_there && !files.contains_key(SHARED) {
        return Err(format!("{SHARED} was confirmed, but is missing"));
    }
    check_shared(pool, workload, files.get(SHARED))?;
    match files.keys().find(|name| !known.contains(*name)) {
        Some(name) => Err(format!("{name} exists, but was never created")),
        None => Ok(()),
    }
}

/// Every file has the bytes of one content of this client, or zeros in their place. Returns how
/// many files have such.
fn check_own(
    pool: &ContentPool,
    workload: &Workload,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<f64, String> {
    let mut hollow = 0.0;
    for (name, bytes) in files {
        let known = || {
            workload
                .shelves
                .iter()
                .flat_map(|client_files| &client_files.all)
                .chain(&workload.shared)
        };
        if known().any(|content| pool.is(content, bytes)) {
            continue;
        }
        let is_hollow = |content: &PooledContent| {
            let whole = pool.bytes(content);
            whole.len() >= bytes.len()
                && whole.iter().zip(bytes).all(|(own, found)| *found == 0 || own == found)
        };
        if !known().any(is_hollow) {
            return Err(format!("{name} has {} bytes that were never sent", bytes.len()));
        }
        hollow += 1.0;
    }
    Ok(hollow)
}

/// Each name has what was confirmed last, or the result of the command in progress; for all names
/// of one command alike.
fn check_shelf(
    pool: &ContentPool,
    client_files: &ClientFiles,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<(), String> {
    let is = |name: &str, content: Option<&PooledContent>| match (files.get(name), content) {
        (None, None) => true,
        (Some(bytes), Some(content)) => pool.is(content, bytes),
        _ => false,
    };
    let doubt =
        client_files.doubt.as_ref().map(|doubt| doubt.changes.as_slice()).unwrap_or_default();
    let is_doubtful = |name: &str| doubt.iter().any(|(other, _)| other == name);
    for (name, content) in client_files.sure.iter().filter(|(name, _)| !is_doubtful(name)) {
        if !is(name, Some(content)) {
            return Err(wrong(name, content, files));
        }
    }
    let is_before = doubt.iter().all(|(name, _)| is(name, client_files.sure.get(name)));
    let is_after = doubt.iter().all(|(name, content)| is(name, content.as_ref()));
    if is_before || is_after {
        return Ok(());
    }
    let describe: Vec<_> = doubt
        .iter()
        .map(|(name, content)| {
            let length = |content: Option<&PooledContent>| content.map_or(0, PooledContent::len);
            let found = files.get(name).map(Vec::len);
            format!(
                "{name} has {found:?} bytes, {} before and {} after",
                length(client_files.sure.get(name)),
                length(content.as_ref())
            )
        })
        .collect();
    Err(format!("neither old nor new: {}", describe.join("; ")))
}

fn wrong(name: &str, content: &PooledContent, files: &BTreeMap<String, Vec<u8>>) -> String {
    match files.get(name) {
        None => format!("{name} was confirmed, but is missing"),
        Some(bytes) if bytes.len() != content.len() => {
            format!("{name} has {} bytes, {} were confirmed", bytes.len(), content.len())
        }
        Some(_) => format!("{name} differs from what was confirmed"),
    }
}

fn check_shared(
    pool: &ContentPool,
    workload: &Workload,
    found: Option<&Vec<u8>>,
) -> Result<(), String> {
    match found {
        Some(bytes) if !workload.shared.iter().any(|content| pool.is(content, bytes)) => {
            Err(format!("{SHARED} is torn: {} bytes", bytes.len()))
        }
        _ => Ok(()),
    }
}

/// Resumes the upload interrupted by the kill, if a part of it was kept.
fn resume(
    server: &ProofServer,
    client: &mut ClientSession,
    pool: &ContentPool,
    client_files: &ClientFiles,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<bool, String> {
    let Some(UnansweredCommand { changes, is_upload: true }) = &client_files.doubt else {
        return Ok(false);
    };
    let Some((name, Some(content))) = changes.first() else { return Ok(false) };
    let old = files.get(name).map(Vec::len);
    let Some(kept) = client.existing_size(name)?.filter(|kept| Some(*kept) != old) else {
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
    Err(format!("{name} was resumed at {kept}, but is wrong"))
}
