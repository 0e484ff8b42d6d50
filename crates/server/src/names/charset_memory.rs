//! The character set that the clients of each account use: a hint for its next session.

use std::collections::HashMap;
use std::sync::Mutex;

use encoding_rs::Encoding as Charset;

use wharf_core::lock;

/// The most accounts that are remembered; the least recently noted are evicted.
const ACCOUNTS_MAX: usize = 4096;

/// The sets that sessions settled on, by account. Not kept across restarts.
#[derive(Debug, Default)]
pub(crate) struct CharsetMemory(Mutex<AccountCharsets>);

#[derive(Debug, Default)]
struct AccountCharsets {
    sets: HashMap<String, (&'static Charset, u64)>,
    count: u64,
}

impl CharsetMemory {
    /// The set that the account's clients used last.
    pub(crate) fn of(&self, user: &str) -> Option<&'static Charset> {
        let noted = lock(&self.0);
        noted.sets.get(user).map(|(set, _)| *set)
    }

    /// Records that a client of the account uses `set`.
    pub(crate) fn note(&self, user: &str, set: &'static Charset) {
        let mut noted = lock(&self.0);
        noted.count += 1;
        let count = noted.count;
        if noted.sets.len() >= ACCOUNTS_MAX && !noted.sets.contains_key(user) {
            // Evicts an eighth at once, so that this happens rarely.
            let mut last_uses: Vec<u64> =
                noted.sets.values().map(|(_, last_use)| *last_use).collect();
            last_uses.sort_unstable();
            let oldest = last_uses.get(ACCOUNTS_MAX / 8).copied().unwrap_or(count);
            noted.sets.retain(|_, (_, last_use)| *last_use > oldest);
        }
        noted.sets.insert(user.to_owned(), (set, count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_set_of_an_account_counts_and_the_memory_is_bounded() {
        let charset_memory = CharsetMemory::default();
        assert_eq!(charset_memory.of("anna"), None);
        charset_memory.note("anna", encoding_rs::GBK);
        charset_memory.note("anna", encoding_rs::BIG5);
        assert_eq!(charset_memory.of("anna"), Some(encoding_rs::BIG5));
        for number in 0..ACCOUNTS_MAX * 2 {
            charset_memory.note(&format!("user{number}"), encoding_rs::GBK);
        }
        assert_eq!(charset_memory.of("anna"), None, "the oldest is forgotten");
        let last = format!("user{}", ACCOUNTS_MAX * 2 - 1);
        assert_eq!(charset_memory.of(&last), Some(encoding_rs::GBK));
        assert!(charset_memory.0.lock().unwrap().sets.len() <= ACCOUNTS_MAX);
    }
}
