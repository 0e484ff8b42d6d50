//! The number of sessions that the system's limit of open files allows.

use wharf_core::account::Count;

use crate::os::free_files;

/// File descriptors per listen address: one to listen, one to accept with when descriptors run out,
/// and one reserve.
const FILES_OF_LISTENER: usize = 3;
/// Descriptors for everything else: logs, accounts, listed folders, pipes between files and
/// sockets, connections that are being rejected.
const FILES_OF_SERVER: u64 = 16;

/// The descriptors that were available before the first session. A reload finds descriptors in use,
/// so it uses the value from the start.
#[derive(Clone, Copy)]
pub struct DescriptorBudget {
    free: Option<u64>,
}

impl DescriptorBudget {
    /// The descriptors available with this number of listen addresses.
    pub fn beside(listeners: usize) -> Self {
        let for_listeners = u64::try_from(listeners * FILES_OF_LISTENER).unwrap_or(u64::MAX);
        Self { free: free_files().map(|free| free.saturating_sub(for_listeners)) }
    }

    /// The number of concurrent sessions that can be served, and a warning if it is less than
    /// configured.
    pub fn of(self, wanted: Count) -> (Count, Option<String>) {
        self.free.map_or((wanted, None), |free| fitting(wanted, free))
    }
}

fn fitting(wanted: Count, free: u64) -> (Count, Option<String>) {
    // Each session has a control connection. A transfer needs up to three more: a port, a
    // connection and a file. A quarter is reserved for them, since few sessions transfer a file at
    // the same time. If none is left, the client gets 425 or 451 and can try again.
    let available = free.saturating_sub(FILES_OF_SERVER);
    let most = (available - available / 4).max(1);
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    match wanted.number() {
        Some(number) if number <= most => (wanted, None),
        // Without a limit, all available descriptors are used.
        None => (Count::from_number(most), None),
        Some(number) => {
            let text = format!(
                "limits.connections = {number} exceeds the limit of open files: {free} are \
                 available, so at most {most} sessions are accepted; raise the limit (systemd: \
                 LimitNOFILE=, shell: ulimit -n) or lower limits.connections"
            );
            (Count::from_number(most), Some(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_06_sessions_are_limited_by_available_descriptors() {
        let at_most = Count::from_number;
        assert_eq!(fitting(at_most(512), 1_000_000), (at_most(512), None));
        assert_eq!(fitting(at_most(300), 16 + 400), (at_most(300), None));
        assert_eq!(fitting(Count::Unlimited, 16 + 400), (at_most(300), None));
        let (sessions, warning) = fitting(at_most(512), 16 + 400);
        assert_eq!(sessions, at_most(300));
        assert!(
            warning.unwrap().contains("limits.connections = 512 exceeds the limit of open files")
        );
        assert_eq!(fitting(Count::Unlimited, 0).0, at_most(1));
    }
}
