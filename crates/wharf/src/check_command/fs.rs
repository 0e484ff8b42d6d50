//! The subject `fs`: file systems of homes, and the limit of open files.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use wharf_config::choice::Durability;
use wharf_config::outcome::{Failure, plain};
use wharf_config::units::show_size;
use wharf_runtime::os::{FileSystem, file_system, raise_file_limit};
use wharf_runtime::serve::capacity::DescriptorBudget;
use wharf_storage::TEMP_PREFIX;

use super::page::CheckPage;
use super::{Subjects, homes};

/// Maximum number of homes that are checked.
const HOMES_MAX: usize = 10_000;
/// Maximum number of entries of a home that are searched for partial uploads.
const ENTRIES_MAX: usize = 10_000;
/// Free space is low below this fraction of the disk.
const LITTLE: u64 = 20;
/// A clock before this time is wrong: wharf did not exist then.
const EPOCH: i64 = 1_767_225_600;
/// Maximum difference of clocks of file servers; clients compare times.
const SKEW_MAX: Duration = Duration::from_secs(5);
/// Tolerance of file times in the future: file systems round, and clocks are adjusted.
const AHEAD_MAX: Duration = Duration::from_hours(24);

pub(super) fn inspect(subjects: &Subjects<'_>, page: &mut CheckPage) -> Result<(), Failure> {
    inspect_clock(subjects, page);
    inspect_open_files(subjects, page);
    let mut folders: BTreeMap<u64, (FileSystem, PathBuf)> = BTreeMap::new();
    let mut partial_uploads = PartialUploads::default();
    let keep = subjects.config.files.partial_upload_retention.0;
    for (_, home) in homes(subjects)?.0.into_iter().take(HOMES_MAX) {
        partial_uploads.count(&home, keep);
        if let Some(system) = file_system(&home) {
            folders.entry(system.device).or_insert((system, home));
        }
    }
    for (system, folder) in folders.values() {
        inspect_system(system, folder, page);
        try_folder(subjects, system, folder, page);
    }
    partial_uploads.report(page);
    Ok(())
}

fn inspect_clock(subjects: &Subjects<'_>, page: &mut CheckPage) {
    let now = Timestamp::now();
    let hint = "set the clock, and synchronize it with NTP: certificates and logs depend on it";
    if now.as_second() < EPOCH {
        page.fail(format!("the system clock is wrong: {now}"), hint);
        return;
    }
    let files = subjects.file.iter().chain([&subjects.config.server.users_file.0]);
    let is_ahead = |file: &&PathBuf| {
        let changed = fs::metadata(file).and_then(|facts| facts.modified());
        changed.is_ok_and(|changed| changed > SystemTime::now() + AHEAD_MAX)
    };
    match files.clone().find(is_ahead) {
        Some(file) => page.warn(
            format!(
                "{} has a modification time in the future: the clock may be wrong",
                file.display()
            ),
            hint,
        ),
        None => page.row("clock", &now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
    }
}

fn inspect_open_files(subjects: &Subjects<'_>, page: &mut CheckPage) {
    raise_file_limit();
    let descriptors = DescriptorBudget::beside(subjects.config.listen.len());
    let (sessions, reported) = descriptors.of(subjects.config.limits.connections);
    let sessions = sessions.number().map_or_else(|| "any number of".to_owned(), |n| n.to_string());
    page.row("open files", &format!("enough for {sessions} sessions, in this shell"));
    if let Some(reported) = reported {
        page.warn(reported, "a service has its own limit: systemctl show -p LimitNOFILE wharf");
    }
}

fn inspect_system(system: &FileSystem, folder: &Path, page: &mut CheckPage) {
    let shown = folder.display();
    let kind = system.kind.as_deref().unwrap_or("of unknown kind");
    let free = format!("{} of {} free", show_size(system.free), show_size(system.total));
    page.row("disk", &format!("{shown}: {kind}, {free}"));
    if system.total > 0 && system.free < system.total / LITTLE {
        page.warn(
            format!("low disk space at {shown}: {free}"),
            "free disk space, or set quotas (limits.user_quota); files.min_free_space is reserved \
             from uploads",
        );
    }
    if let Some((free, total)) = system.inodes
        && free < total / LITTLE
    {
        page.warn(
            format!("low number of free inodes at {shown}: {free} of {total}"),
            "delete small files, or set quotas (limits.user_quota_files)",
        );
    }
    match kind {
        "nfs" | "nfs4" => page.note(
            format!("{shown} is on NFS"),
            "mount it hard, not soft, or confirmed uploads can be lost; two servers need \
             working file locks",
        ),
        "cifs" | "smb3" | "smbfs" | "9p" | "virtiofs" | "vboxsf" => page.note(
            format!("{shown} is on a network file system ({kind})"),
            "permissions and names are those of the remote system; if uploads fail, check it",
        ),
        "fuse" | "fuseblk" | "fuse.sshfs" | "fuse.rclone" | "fuse.mergerfs" | "fuse.s3fs" => page
            .note(
                format!("{shown} is on a FUSE file system ({kind})"),
                "some of them cannot replace a file atomically; see the result of the test above",
            ),
        "tmpfs" | "ramfs" => page.note(
            format!("{shown} is in memory ({kind})"),
            "uploaded files are lost after a reboot",
        ),
        "vfat" | "exfat" | "msdos" => page.note(
            format!("{shown} is on {kind}"),
            "times have a resolution of 2 s, permission bits are not supported, and a power \
             failure can lose more than the newest files; on vfat, files are limited to 4 GiB",
        ),
        "overlay" => page.note(
            format!("{shown} is in the file system of a container (overlay)"),
            "mount a volume there, or uploaded files are lost with the container",
        ),
        _ => {}
    }
}

/// Does the operations of an upload: write, sync, rename, delete.
fn try_folder(subjects: &Subjects<'_>, system: &FileSystem, folder: &Path, page: &mut CheckPage) {
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
        Ok(()) => page.row("", "write, sync, rename and delete succeeded"),
        // Whether the server has access is checked with the accounts.
        Err((_, error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            page.row("", "not tested: this system user has no write permission");
        }
        Err((step, error)) => page.fail(
            format!("uploads to {shown} would fail: {step}: {}", plain(&error)),
            "see the system log for errors of that file system",
        ),
    }
    if ignores_case {
        page.note(
            format!("{shown} is on a case-insensitive file system"),
            "permissions of paths apply to each spelling; two names cannot differ only in case",
        );
    }
    let skew = changed.map(|changed| match SystemTime::now().duration_since(changed) {
        Ok(behind) => behind,
        Err(ahead) => ahead.duration(),
    });
    if let Some(skew) = skew.filter(|skew| *skew > SKEW_MAX) {
        page.warn(
            format!(
                "the clock of {shown} differs from the system clock by {} seconds",
                skew.as_secs()
            ),
            "synchronize both with NTP: clients compare times to find changed files",
        );
    }
}

/// A temporary name that is hidden from clients.
fn trial(folder: &Path, letter: &str) -> PathBuf {
    folder.join(format!("{TEMP_PREFIX}check-{}-{letter}", std::process::id()))
}

fn write_and_rename(
    from: &Path,
    to: &Path,
    durability: Durability,
) -> Result<(), (&'static str, io::Error)> {
    let reported = |step: &'static str| move |error| (step, error);
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(from).map_err(reported("create"))?;
    file.write_all(b"wharf check\n").map_err(reported("write"))?;
    if durability == Durability::Full {
        file.sync_all().map_err(reported("sync"))?;
    }
    drop(file);
    fs::rename(from, to).map_err(reported("rename"))
}

/// Partial uploads.
#[derive(Default)]
struct PartialUploads {
    count: u64,
    bytes: u64,
}

impl PartialUploads {
    /// Counts those at the top of a home that are older than their retention.
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

    fn report(&self, page: &mut CheckPage) {
        if self.count > 0 {
            page.note(
                format!(
                    "{} partial uploads exceed files.partial_upload_retention, with {}",
                    self.count,
                    show_size(self.bytes)
                ),
                "the next start of the server deletes them",
            );
        }
    }
}
