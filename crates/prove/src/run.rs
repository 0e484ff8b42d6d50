//! One run of a proof: how much, which seed, which server, and where there is room.

use std::path::{Path, PathBuf};

use crate::prove::folder::Folder;
use crate::prove::proofs::Plan;

/// What a proof is given.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) plan: Plan,
    /// The seed of round 0; that of round `n` is this one and `n`, so that
    /// `--seed S --count 1` repeats one round.
    pub(crate) seed: u64,
    /// The server's program.
    pub(crate) wharf: PathBuf,
    /// Where files of proofs are made; on a disk, not in memory.
    pub(crate) place: PathBuf,
}

impl Run {
    /// The seed of a round.
    pub(crate) fn seed_of(&self, round: u64) -> u64 {
        self.seed.wrapping_add(round)
    }

    /// A new folder, which goes when it is dropped.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn folder(&self) -> Result<Folder, String> {
        Folder::new(&self.place)
    }

    pub(crate) fn wharf(&self) -> &Path {
        &self.wharf
    }
}
