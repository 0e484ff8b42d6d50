//! One run of a proof: the plan, the first seed, the server, and the folder.

use std::path::{Path, PathBuf};

use crate::prove::folder::TemporaryFolder;
use crate::prove::proofs::ProofExtent;

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

    /// A new folder, which is removed when it is dropped.
    pub(crate) fn folder(&self) -> Result<TemporaryFolder, String> {
        TemporaryFolder::new(&self.place)
    }

    pub(crate) fn wharf(&self) -> &Path {
        &self.wharf
    }
}
