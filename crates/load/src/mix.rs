//! Mixed work: which operation a session does next.

use crate::random::Random;

/// One operation of [`crate::LoadCase::Mixed`]; names are those of a session's own files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    List,
    /// The number of the file.
    Retrieve(u64),
    Store {
        name: String,
        length: u64,
    },
    Rename {
        from: String,
        to: String,
    },
    Delete(String),
}

/// Decides the operations of one session, and records the files that it has uploaded.
#[derive(Debug)]
pub(crate) struct Mixer {
    random: Random,
    session: usize,
    /// The number of the next new name.
    next: u64,
    own: Vec<String>,
}

/// Operations in 100.
const LISTS: u64 = 15;
const RETRIEVES: u64 = 35;
const STORES: u64 = 25;
const RENAMES: u64 = 10;
const DELETES: u64 = 15;

/// Uploads have 2^0 to 2^6 KiB.
const SIZES: u64 = 7;
/// The longest upload.
pub(crate) const STORE_BYTES_MAX: u64 = 64 << 10;

impl Mixer {
    pub(crate) fn new(seed: u64, session: usize) -> Self {
        let number = u64::try_from(session).unwrap_or(u64::MAX).wrapping_add(1);
        let random = Random::new(Random::new(seed).number() ^ number);
        Self { random, session, next: 0, own: Vec::new() }
    }

    /// The next operation. A session without files uploads one instead of renaming or deleting.
    pub(crate) fn act(&mut self, downloads: u64) -> Act {
        let draw = self.random.below(LISTS + RETRIEVES + STORES + RENAMES + DELETES);
        if draw < LISTS {
            return Act::List;
        }
        if draw < LISTS + RETRIEVES {
            return Act::Retrieve(self.random.below(downloads));
        }
        if draw >= LISTS + RETRIEVES + STORES
            && let Some(from) = self.take_own()
        {
            if draw >= LISTS + RETRIEVES + STORES + RENAMES {
                return Act::Delete(from);
            }
            let to = self.new_name();
            self.own.push(to.clone());
            return Act::Rename { from, to };
        }
        let name = self.new_name();
        self.own.push(name.clone());
        Act::Store { name, length: 1024 << self.random.below(SIZES) }
    }

    fn take_own(&mut self) -> Option<String> {
        let count = u64::try_from(self.own.len()).unwrap_or(u64::MAX);
        let index = usize::try_from(self.random.below(count)).unwrap_or_default();
        (!self.own.is_empty()).then(|| self.own.swap_remove(index))
    }

    fn new_name(&mut self) -> String {
        self.next += 1;
        format!("s{}-{}", self.session, self.next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn acts(seed: u64, session: usize) -> Vec<Act> {
        let mut mixer = Mixer::new(seed, session);
        (0..1000).map(|_| mixer.act(5)).collect()
    }

    #[test]
    fn the_seed_and_the_session_decide_everything() {
        assert_eq!(acts(1, 0), acts(1, 0));
        assert_ne!(acts(1, 0), acts(2, 0));
        assert_ne!(acts(1, 0), acts(1, 1));
    }

    #[test]
    fn only_files_that_exist_are_renamed_and_deleted() {
        let mut files = HashSet::new();
        let (mut renames, mut deletions) = (0, 0);
        for act in acts(7, 3) {
            match act {
                Act::Store { name, length } => {
                    assert!((1024..=STORE_BYTES_MAX).contains(&length), "{length}");
                    assert!(files.insert(name));
                }
                Act::Rename { from, to } => {
                    assert!(files.remove(&from) && files.insert(to));
                    renames += 1;
                }
                Act::Delete(name) => {
                    assert!(files.remove(&name));
                    deletions += 1;
                }
                Act::Retrieve(number) => assert!(number < 5),
                Act::List => {}
            }
        }
        assert!(renames > 50 && deletions > 100, "{renames} {deletions}");
    }
}
