//! Counts the entries of a listing while it is received.

use crate::plan::Listing;

/// Counts entries, without `.` and `..` and without the line `total 12` of LIST.
#[derive(Debug)]
pub(crate) struct Counter {
    verb: Listing,
    /// The beginning of an incomplete line.
    begun: Vec<u8>,
    entries: u64,
}

impl Counter {
    pub(crate) fn new(verb: Listing) -> Self {
        Self { verb, begun: Vec::new(), entries: 0 }
    }

    /// Processes the next part of the listing.
    pub(crate) fn take(&mut self, mut part: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', part) {
            let (line, rest) = part.split_at(end);
            part = rest.get(1..).unwrap_or_default();
            if self.begun.is_empty() {
                self.entries += u64::from(is_entry(self.verb, line));
            } else {
                self.begun.extend_from_slice(line);
                self.entries += u64::from(is_entry(self.verb, &self.begun));
                self.begun.clear();
            }
        }
        // Only the part of an incomplete line that is inspected is kept.
        let free_bytes = LINE_BYTES_MAX.saturating_sub(self.begun.len()).min(part.len());
        self.begun.extend_from_slice(part.get(..free_bytes).unwrap_or_default());
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries + u64::from(is_entry(self.verb, &self.begun))
    }
}

const LINE_BYTES_MAX: usize = 64 << 10;

fn is_entry(verb: Listing, line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let name = line.rsplit(|byte| matches!(byte, b' ' | b'/')).next().unwrap_or_default();
    let is_dots = matches!(name, b"." | b"..");
    !line.is_empty()
        && !is_dots
        && match verb {
            Listing::Mlsd => !is_self_or_parent(line),
            Listing::List => !line.starts_with(b"total "),
            Listing::Nlst => true,
        }
}

/// `type=cdir;modify=…; name`: the folder itself, or its parent (RFC 3659 §7.5.1).
fn is_self_or_parent(line: &[u8]) -> bool {
    let facts = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    facts.split(|byte| *byte == b';').any(|fact| {
        fact.eq_ignore_ascii_case(b"type=cdir") || fact.eq_ignore_ascii_case(b"type=pdir")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(verb: Listing, text: &str) -> u64 {
        let mut counter = Counter::new(verb);
        counter.take(text.as_bytes());
        counter.entries()
    }

    #[test]
    fn lines_that_are_not_entries_do_not_count() {
        let list = "total 8\r\ndrwxr-xr-x 2 a a 0 Jan  1 00:00 .\r\n-rw-r--r-- 1 a a 0 x.\r\n";
        assert_eq!(count(Listing::List, list), 1);
        let mlsd = "Type=cdir;Modify=1; .\r\ntype=pdir; /\r\ntype=file; type=cdir;\r\n";
        assert_eq!(count(Listing::Mlsd, mlsd), 1);
        assert_eq!(count(Listing::Nlst, "total 8\n\nb\n.\n"), 2);
        assert_eq!(count(Listing::Nlst, "a\r\nwithout end"), 2);
        assert_eq!(count(Listing::Nlst, "d/.\r\nd/..\r\nd/...\r\nd/a.\r\n"), 2);
    }

    proptest! {
        #[test]
        fn parts_of_any_size_make_the_same_count(
            names in prop::collection::vec("[a-z. ]{0,9}", 0..20),
            size in 1_usize..9,
        ) {
            let text = names.join("\r\n");
            let mut counter = Counter::new(Listing::Nlst);
            text.as_bytes().chunks(size).for_each(|part| counter.take(part));
            prop_assert_eq!(counter.entries(), count(Listing::Nlst, &text));
        }
    }
}
