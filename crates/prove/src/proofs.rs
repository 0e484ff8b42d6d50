//! The table of all proofs. A new one is a module and a row.

use std::time::Duration;

use crate::prove::report::ProofReport;
use crate::prove::run::ProofRun;
use crate::prove::{cut, flood, full, kill, leak, logins, power, race, soak, timing, torture};

/// A destructive test of a promise.
pub(crate) struct Proof {
    /// One word, for the command line and for the result's file.
    pub(crate) name: &'static str,
    /// What is done and what must hold, in one line.
    pub(crate) about: &'static str,
    /// The counted events, in the plural: `kills`.
    pub(crate) unit: &'static str,
    /// Seconds, for every test run. It must pass on a slow, busy machine.
    pub(crate) short: ProofExtent,
    /// The proof for docs/TRUST.md; run manually.
    pub(crate) long: ProofExtent,
    /// Whether it mounts file systems. It then runs in its own namespaces, so that nothing stays
    /// mounted or running, however it ends.
    pub(crate) mounts: bool,
    /// Runs rounds as long as [`ProofReport::has_next_round`] returns true.
    ///
    /// An error means that the proof could not be carried out. Failures that it finds go to the
    /// report instead, with the seed that repeats them.
    pub(crate) run: fn(&ProofRun, &ProofReport) -> Result<(), String>,
}

/// The extent of a proof: until both are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProofExtent {
    pub(crate) count: u64,
    pub(crate) time: Duration,
}

impl ProofExtent {
    /// This many rounds, however long they take.
    pub(crate) const fn count(count: u64) -> Self {
        Self { count, time: Duration::ZERO }
    }
}

/// In the order of a full run.
pub(crate) static PROOFS: &[&Proof] = &[
    &kill::PROOF,
    &cut::PROOF,
    &full::PROOF,
    &power::PROOF,
    &leak::PROOF,
    &race::PROOF,
    &flood::PROOF,
    &timing::PROOF,
    &logins::PROOF,
    &soak::PROOF,
    &torture::PROOF,
];

/// The proofs of these names; all for none or for `all`.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<&'static Proof>, String> {
    if names.is_empty() || names.iter().any(|name| name == "all") {
        return Ok(PROOFS.to_vec());
    }
    let find = |name: &String| {
        let found = PROOFS.iter().copied().find(|proof| proof.name == name);
        found.ok_or_else(|| {
            let known: Vec<_> = PROOFS.iter().map(|proof| proof.name).collect();
            format!("unknown proof \"{name}\"\nhint: proofs are {}, and all", known.join(", "))
        })
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_proof_has_a_name_of_its_own_and_the_long_form_does_more() {
        for (number, proof) in PROOFS.iter().enumerate() {
            assert!(PROOFS.iter().skip(number + 1).all(|other| other.name != proof.name));
            let (short, long) = (proof.short, proof.long);
            assert!(long.count >= short.count && long.time >= short.time, "{}", proof.name);
            assert!(long != short, "{}", proof.name);
        }
    }

    #[test]
    fn an_unknown_name_is_reported_with_the_known_ones() {
        let message = chosen(&["kil".to_owned()]).err().unwrap();
        assert!(message.contains("\"kil\"\n") && message.contains("kill"), "{message}");
        assert_eq!(chosen(&[]).ok().unwrap().len(), PROOFS.len());
    }
}
