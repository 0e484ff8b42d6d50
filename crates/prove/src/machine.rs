//! The machine of a proof.

use std::path::Path;

use serde::Serialize;
use wharf_load::machine::{cores, file_system, kernel, processor};

/// Facts on the machine for readers of the result.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ProofMachine {
    processor: String,
    cores: usize,
    kernel: String,
    /// The type of the file system of the proof's files.
    files: String,
}

impl ProofMachine {
    /// Queries the system; `place` is the folder of the files.
    pub(crate) fn describe(place: &Path) -> Self {
        let (processor, kernel) = (processor(), kernel());
        Self { processor, cores: cores(), kernel, files: file_system(place) }
    }
}
