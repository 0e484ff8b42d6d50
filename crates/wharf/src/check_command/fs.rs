//! The subject `fs`: whether files can be kept where the homes are, and how many can be open.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use wharf_storage::TEMP_PREFIX;

use super::page::Page;
use super::{Subjects, homes};
use crate::config::choice::Durability;
use crate::config::units::show_size;
use crate::os::{FileSystem, file_system, raise_file_limit};
use crate::outcome::{Failure, plain};
use crate::serve_command::capacity::DescriptorBudget;

/// Homes that are looked at; more say no more.
const HOMES_MAX: usize = 10_000;
/// Entries of a home's top that are looked at for what uploads left.
const ENTRIES_MAX: usize = 10_000;
/// Below one part in so many, there is little room.
const LITTLE: u64 = 20;
/// A clock that says a time before this is wrong: wharf was not written then.
const EPOCH: i64 = 1_767_225_600;
/// Clocks of file servers that differ by more than this confuse clients that compare times.
const SKEW_MAX: Duration = Duration::from_secs(5);
/// Times of files may be a little ahead: a disk rounds, and a clock was set.
const AHEAD_MAX: Duration = Duration::from_hours(24);

pub(super) fn look(subjects: &Subjects<'_>, page: &mut Page) -> Result<(), Failure> {
    look_at_clock(subjects, page);
    look_at_open_files(subjects, page);
    let mut folders: BTreeMap<u64, (FileSystem, PathBuf)> = BTreeMap::new();
    let mut leftovers = Leftovers::default();
    let keep = subjects.config.files.partial_upload_retention.0;
    for (_, home) in homes(subjects)?.0.into_iter().take(HOMES_MAX) {
        leftovers.count(&home, keep);
        if let Some(system) = file_system(&home) {
            folders.entry(system.device).or_insert((system, home));
        }
    }
    for (system, folder) in folders.values() {
        look_at_system(system, folder, page);
        try_folder(subjects, system, folder, page);
    }
    leftovers.tell(page);
    Ok(())
}

fn look_at_clock(subjects: &Subjects<'_>, page: &mut Page) {
    let now = Timestamp::now();
    let remedy = "set it, and keep it right with NTP: certificates and logs depend on it";
    if now.as_second() < EPOCH {
        page.fail(format!("the clock says {now}, which is wrong"), remedy);
        return;
    }
    let files = subjects.file.iter().chain([&subjects.config.server.users_file.0]);
    let is_ahead = |file: &&PathBuf| {
        let changed = fs::metadata(file).and_then(|facts| facts.modified());
        changed.is_ok_and(|changed| changed > SystemTime::now() + AHEAD_MAX)
    };
    match files.clone().find(is_ahead) {
        Some(file) => page.warn(
            format!("{} was changed in the future: the clock may be wrong", file.display()),
            remedy,
        ),
        None => page.row("clock", &now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
    }
}

fn look_at_open_files(subjects: &Subjects<'_>, page: &mut Page) {
    raise_file_limit();
    let room = DescriptorBudget::beside(subjects.config.listen.len());
    let (sessions, told) = room.of(subjects.config.limits.connections);
    let sessions = sessions.number().map_or_else(|| "any number of".to_owned(), |n| n.to_string());
    page.row("open files", &format!("enough for {sessions} sessions, in this shell"));
    if let Some(told) = told {
        page.warn(told, "a service has a limit of its own: systemctl show -p LimitNOFILE wharf");
    }
}

fn look_at_system(system: &FileSystem, folder: &Path, page: &mut Page) {
    let shown = folder.display();
    let kind = system.kind.as_deref().unwrap_or("of unknown kind");
    let free = format!("{} of {} free", show_size(system.free), show_size(system.total));
    page.row("disk", &format!("{shown}: {kind}, {free}"));
    if system.total > 0 && system.free < system.total / LITTLE {
        page.warn(
            format!("there is little room at {shown}: {free}"),
            "make room, or give accounts quotas (limits.user_quota); uploads leave files.min_free_space \
             free",
        );
    }
    if let Some((free, total)) = system.inodes
        && free < total / LITTLE
    {
        page.warn(
            format!("the file system of {shown} takes {free} more files, of {total}"),
            "remove small files, or give accounts quotas (limits.user_quota_files)",
        );
    }
    match kind {
        "nfs" | "nfs4" => page.note(
            format!("{shown} is on NFS"),
            "mount it hard, not soft, or an upload can be confirmed and lost; locks keep two \
             servers apart only where they work there",
        ),
        "cifs" | "smb3" | "smbfs" | "9p" | "virtiofs" | "vboxsf" => page.note(
            format!("{shown} is on a folder of another computer ({kind})"),
            "rights and names are those of the other side; if uploads fail, look there",
        ),
        "fuse" | "fuseblk" | "fuse.sshfs" | "fuse.rclone" | "fuse.mergerfs" | "fuse.s3fs" => page
            .note(
                format!("{shown} is kept by a program ({kind})"),
                "some of them cannot replace a file in one step; see that the trial above is fine",
            ),
        "tmpfs" | "ramfs" => page.note(
            format!("{shown} is in memory ({kind})"),
            "what is uploaded there is gone after a restart of the computer",
        ),
        "vfat" | "exfat" | "msdos" => page.note(
            format!("{shown} is on {kind}"),
            "times have two seconds, there are no permission bits, and a power failure can lose \
             more than the newest files; a file has less than 4 GiB on vfat",
        ),
        "overlay" => page.note(
            format!("{shown} is within a container's own layers (overlay)"),
            "mount a volume there, or what is uploaded goes with the container",
        ),
        _ => {}
    }
}

/// Does what an upload does: writes, syncs, renames, removes.
fn try_folder(subjects: &Subjects<'_>, system: &FileSystem, folder: &Path, page: &mut Page) {
    if system.is_read_only {
        return;
    }
    let (from, to) = (trial(folder, "a"), trial(folder, "b"));
    let tried = write_and_rename(&from, &to, subjects.config.files.durability);
    let ignores_case = fs::symlink_metadata(trial(folder, "B")).is_ok();
    let changed = fs::metadata(&to).and_then(|facts| facts.modified()).ok();
    for path in [&from, &to] {
        let _ = fs::remove_file(path);
    }
    let shown = folder.display();
    match tried {
        Ok(()) => page.row("", "written, synced, renamed and removed there"),
        // Whether the server may is asked of the accounts.
        Err((_, error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            page.row("", "not tried: this account of the system may not write there");
        }
        Err((step, error)) => page.fail(
            format!("uploads to {shown} would fail: {step}: {}", plain(&error)),
            "see what the system's own log says of that file system",
        ),
    }
    if ignores_case {
        page.note(
            format!("{shown} takes large and small letters of names for the same"),
            "rights by path hold for each spelling; two files cannot differ in case alone",
        );
    }
    let skew = changed.map(|changed| match SystemTime::now().duration_since(changed) {
        Ok(behind) => behind,
        Err(ahead) => ahead.duration(),
    });
    if let Some(skew) = skew.filter(|skew| *skew > SKEW_MAX) {
        page.warn(
            format!("the clock of {shown} differs from ours by {} seconds", skew.as_secs()),
            "keep both right with NTP: clients compare times to find what changed",
        );
    }
}

/// A name that no client sees.
fn trial(folder: &Path, letter: &str) -> PathBuf {
    folder.join(format!("{TEMP_PREFIX}check-{}-{letter}", std::process::id()))
}

fn write_and_rename(
    from: &Path,
    to: &Path,
    durability: Durability,
) -> Result<(), (&'static str, io::Error)> {
    let told = |step: &'static str| move |error| (step, error);
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(from).map_err(told("create"))?;
    file.write_all(b"wharf check\n").map_err(told("write"))?;
    if durability == Durability::Full {
        file.sync_all().map_err(told("sync"))?;
    }
    drop(file);
    fs::rename(from, to).map_err(told("rename"))
}

/// What uploads left that were cut.
#[derive(Default)]
struct Leftovers {
    count: u64,
    bytes: u64,
}

impl Leftovers {
    /// Counts those at the top of a home that are older than cut uploads are kept.
    fn count(&mut self, home: &Path, keep: Duration) {
        let Ok(entries) = fs::read_dir(home) else { return };
        for entry in entries.take(ENTRIES_MAX).filter_map(Result::ok) {
            let name = entry.file_name();
            if !name.to_string_lossy().starts_with(TEMP_PREFIX) {
                continue;
            }
            let Ok(facts) = entry.metadata() else { continue };
            let age = facts.modified().ok().and_then(|changed| changed.elapsed().ok());
            if facts.is_file() && age.is_some_and(|age| age > keep) {
                self.count += 1;
                self.bytes = self.bytes.saturating_add(facts.len());
            }
        }
    }

    fn tell(&self, page: &mut Page) {
        if self.count > 0 {
            page.note(
                format!(
                    "{} uploads that were cut are older than files.partial_upload_retention, with {}",
                    self.count,
                    show_size(self.bytes)
                ),
                "the next start of the server removes them",
            );
        }
    }
}
