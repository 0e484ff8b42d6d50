//! One run of a proof: the plan, the first seed, the server, and the folder.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use wharf_load::lock;

use crate::prove::folder::TemporaryFolder;
use crate::prove::proofs::ProofExtent;
use crate::prove::report::ProofReport;

/// The parameters of a proof.
#[derive(Debug)]
pub(crate) struct ProofRun {
    pub(crate) plan: ProofExtent,
    /// The seed of round 0; that of round `n` is `seed + n`, so that `--seed S --count 1` repeats
    /// one round.
    pub(crate) seed: u64,
    /// The path of the server's program.
    pub(crate) wharf: PathBuf,
    /// The folder for files of proofs; on a disk, not in memory.
    pub(crate) place: PathBuf,
}

impl ProofRun {
    /// The seed of a round.
    pub(crate) fn seed_of(&self, round: u64) -> u64 {
        self.seed.wrapping_add(round)
    }

    /// The seeds of the rounds, as long as the plan has another one.
    pub(crate) fn seeds(&self, report: &ProofReport) -> impl Iterator<Item = u64> {
        let rounds = (0..).take_while(|_| report.has_next_round());
        rounds.map(|round| self.seed_of(round))
    }

    /// A new folder, which is removed when it is dropped.
    pub(crate) fn folder(&self) -> Result<TemporaryFolder, String> {
        TemporaryFolder::new(&self.place)
    }

    pub(crate) fn wharf(&self) -> &Path {
        &self.wharf
    }
}

/// Does the work for each item, `clients` at a time, and returns the results in the items' order.
pub(crate) fn in_parallel<T: Sync>(
    clients: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<(), String> + Sync,
) -> Vec<Result<(), String>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![Err("not attempted".to_owned()); items.len()]);
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let result = work(item);
                    if let Some(slot) = lock(&results).get_mut(index) {
                        *slot = result;
                    }
                }
            });
        }
    });
    std::mem::take(&mut *lock(&results))
}
