//! How many sessions the system's limit of open files has room for.

use wharf_core::account::Count;

use crate::os::free_files;

/// A listening address has one, another to accept with in need, and one that is given up then.
const FILES_OF_LISTENER: usize = 3;
/// For all else that is opened while we run: logs, accounts, folders that are listed, pipes between
/// files and sockets, clients that are told that there is no room.
const FILES_OF_SERVER: u64 = 16;

/// What the system permitted when nobody was here yet. A reload finds descriptors in use, so it
/// goes by what was found at the start.
#[derive(Clone, Copy)]
pub(crate) struct DescriptorBudget {
    free: Option<u64>,
}

impl DescriptorBudget {
    /// What there is beside so many listening addresses.
    pub(crate) fn beside(listeners: usize) -> Self {
        let for_listeners = u64::try_from(listeners * FILES_OF_LISTENER).unwrap_or(u64::MAX);
        Self { free: free_files().map(|free| free.saturating_sub(for_listeners)) }
    }

    /// The sessions that can be served at a time of those that are wanted, and what to say if that
    /// is not all of them.
    pub(crate) fn of(self, wanted: Count) -> (Count, Option<String>) {
        self.free.map_or((wanted, None), |free| fitting(wanted, free))
    }
}

fn fitting(wanted: Count, free: u64) -> (Count, Option<String>) {
    // Each has its control connection. A transfer takes up to three more, a port, a connection
    // and a file, for which a quarter is left: few of those who are here move a file at a time.
    // One that finds none is told 425 or 451, and may try again.
    let room = free.saturating_sub(FILES_OF_SERVER);
    let most = (room - room / 4).max(1);
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    match wanted.number() {
        Some(number) if number <= most => (wanted, None),
        // Who wants any number gets what there is.
        None => (Count::from_number(most), None),
        Some(number) => {
            let text = format!(
                "limits.connections = {number} does not fit: the system permits {free} more open \
                 files, enough for {most} sessions, so more are not let in; raise that \
                 limit (systemd: LimitNOFILE=, a shell: ulimit -n) or lower limits.connections"
            );
            (Count::from_number(most), Some(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_06_no_more_sessions_are_let_in_than_have_room() {
        let at_most = Count::from_number;
        assert_eq!(fitting(at_most(512), 1_000_000), (at_most(512), None));
        assert_eq!(fitting(at_most(300), 16 + 400), (at_most(300), None));
        assert_eq!(fitting(Count::Unlimited, 16 + 400), (at_most(300), None));
        let (sessions, told) = fitting(at_most(512), 16 + 400);
        assert_eq!(sessions, at_most(300));
        assert!(told.unwrap().contains("limits.connections = 512 does not fit"));
        assert_eq!(fitting(Count::Unlimited, 0).0, at_most(1));
    }
}
