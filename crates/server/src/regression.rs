//! Old faults that tests of the simulation put back, to show that its seeds find them.
//!
//! They exist only with the feature `regressions` and debug assertions. Without them each check is
//! a constant, so that a release build contains no fault.

/// A fault that was fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regression {
    /// A limit set by a reload is also charged for bytes that moved without it.
    EarlierBytesCounted,
    /// A used-up range of passive ports rejects sessions that could share a port.
    PortNotShared,
    /// One of the sessions that share a port accepts for all of them, and only while it waits.
    FirstSessionAccepts,
    /// Connections of unexpected peers end the wait of a client.
    UnexpectedPeersEndWait,
    /// Behind a line that waits for the end of a transfer, ABOR is not read.
    AbortNotRead,
    /// A shutdown waits for data connections that are not open yet.
    ShutdownWaitsForConnection,
    /// A shutdown waits for TLS handshakes of control connections.
    ShutdownWaitsForHandshake,
    /// A shutdown waits for transfers in which nothing moves.
    ShutdownWaitsForStoppedTransfer,
}

#[cfg(all(feature = "regressions", debug_assertions))]
mod switch {
    use std::cell::Cell;

    use crate::regression::Regression;

    thread_local! {
        static INJECTED: Cell<Option<Regression>> = const { Cell::new(None) };
    }

    /// The fault is present in servers of this thread until this is dropped.
    #[derive(Debug)]
    #[must_use]
    pub struct InjectedRegression(());

    impl Drop for InjectedRegression {
        fn drop(&mut self) {
            INJECTED.set(None);
        }
    }

    impl Regression {
        /// Puts the fault back for servers that run on this thread.
        pub fn inject(self) -> InjectedRegression {
            INJECTED.set(Some(self));
            InjectedRegression(())
        }

        pub(crate) fn is_present(self) -> bool {
            INJECTED.get() == Some(self)
        }
    }
}

#[cfg(all(feature = "regressions", debug_assertions))]
pub use self::switch::InjectedRegression;

#[cfg(not(all(feature = "regressions", debug_assertions)))]
impl Regression {
    #[expect(clippy::unused_self, reason = "tests put back single faults")]
    pub(crate) const fn is_present(self) -> bool {
        false
    }
}
