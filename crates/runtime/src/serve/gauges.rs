//! Values that are updated periodically in the background: free disk space and quota usage. A slow
//! or missing disk blocks no request.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::Builder as Thread;
use std::time::Duration;

use wharf_core::account::Account;
use wharf_core::lock;
use wharf_core::storage::UsedSpace;
use wharf_storage::Quotas;

use super::reload::Reloader;
use crate::os::disk_of;
use crate::wire;

/// The update interval.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum number of disks reported.
const DISKS_MAX: usize = 16;
/// Maximum number of accounts reported, the fullest first.
const QUOTAS_MAX: usize = 500;

/// The values of the last update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GaugeValues {
    pub(super) disks: Vec<DiskSpace>,
    pub(super) quotas: Vec<QuotaUse>,
}

/// The space of one disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DiskSpace {
    /// The first home on it.
    pub(super) folder: String,
    pub(super) free: u64,
    pub(super) size: u64,
}

/// Quota usage of an account, and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QuotaUse {
    pub(super) user: String,
    pub(super) used: UsedSpace,
    pub(super) bytes_max: Option<u64>,
    pub(super) files_max: Option<u64>,
}

/// Updates the values on a separate thread, until it is dropped.
pub(super) struct Gauges {
    found: Arc<Mutex<GaugeValues>>,
    _end: Sender<()>,
}

impl Gauges {
    /// Starts the thread.
    pub(super) fn start(reloader: Arc<Reloader>) -> Self {
        let found = Arc::<Mutex<GaugeValues>>::default();
        let (end, ended) = channel();
        let used = Arc::clone(&found);
        let poll = move || {
            loop {
                let seen = poll(&reloader);
                *lock(&used) = seen;
                if ended.recv_timeout(POLL_INTERVAL) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        // Without the thread, only these values are missing.
        let _ = Thread::new().name("gauges".to_owned()).spawn(poll);
        Self { found, _end: end }
    }

    /// The latest values.
    pub(super) fn found(&self) -> GaugeValues {
        lock(&self.found).clone()
    }
}

fn poll(reloader: &Reloader) -> GaugeValues {
    let accounts = reloader.accounts.all();
    let anonymous = wire::anonymous_home(&reloader.in_force().config).map(Path::to_owned);
    let mut homes: Vec<PathBuf> = accounts.iter().map(|account| account.home.clone()).collect();
    homes.extend(anonymous);
    homes.sort();
    homes.dedup();
    let quotas = reloader.quotas.as_ref().map(|quotas| uses(&accounts, quotas));
    GaugeValues { disks: disks(&homes), quotas: quotas.unwrap_or_default() }
}

fn disks(homes: &[PathBuf]) -> Vec<DiskSpace> {
    let mut disks = BTreeMap::new();
    for home in homes {
        let Some((number, free, size)) = disk_of(home) else { continue };
        let folder = home.display().to_string();
        disks.entry(number).or_insert(DiskSpace { folder, free, size });
        if disks.len() >= DISKS_MAX {
            break;
        }
    }
    disks.into_values().collect()
}

fn uses(accounts: &[Account], quotas: &Quotas) -> Vec<QuotaUse> {
    let use_of = |account: &Account| {
        let quota = quotas.quota_of(account);
        let (bytes_max, files_max) = (quota.bytes.bytes(), quota.files.number().map(u64::from));
        if !quota.is_limited() {
            return None;
        }
        let used = quotas.used(&account.home)?;
        Some(QuotaUse { user: account.name.clone(), used, bytes_max, files_max })
    };
    let mut uses: Vec<_> = accounts.iter().filter_map(use_of).collect();
    uses.sort_by(|one, other| {
        other.fullness().cmp(&one.fullness()).then_with(|| one.user.cmp(&other.user))
    });
    uses.truncate(QUOTAS_MAX);
    uses
}

impl QuotaUse {
    /// The usage in thousandths of the limit.
    fn fullness(&self) -> u128 {
        let share = |used: u64, most: Option<u64>| {
            most.map_or(0, |most| u128::from(used) * 1000 / u128::from(most.max(1)))
        };
        share(self.used.bytes, self.bytes_max).max(share(self.used.files, self.files_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_on_one_disk_are_one_disk() {
        let folder = tempfile::tempdir().unwrap();
        let homes = ["a", "b", "missing"].map(|name| folder.path().join(name));
        std::fs::create_dir(&homes[0]).unwrap();
        std::fs::create_dir(&homes[1]).unwrap();
        let disks = disks(&homes);
        let expected = if cfg!(unix) { vec![homes[0].display().to_string()] } else { Vec::new() };
        assert_eq!(disks.iter().map(|disk| disk.folder.clone()).collect::<Vec<_>>(), expected);
        assert!(disks.iter().all(|disk| 0 < disk.free && disk.free <= disk.size));
    }

    #[test]
    fn the_usage_of_an_account_is_that_of_its_fullest_limit() {
        let fullness = |bytes, bytes_max, files, files_max| {
            let used = UsedSpace { bytes, files };
            QuotaUse { user: String::new(), used, bytes_max, files_max }.fullness()
        };
        assert_eq!(fullness(50, Some(100), 9, Some(10)), 900);
        assert_eq!(fullness(50, Some(100), 9, None), 500);
        assert_eq!(fullness(u64::MAX, Some(u64::MAX), 0, None), 1000);
    }
}
