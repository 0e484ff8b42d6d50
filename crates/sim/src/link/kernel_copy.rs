//! What a simulated kernel copy does with a connection.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use tokio::io::ReadBuf;
use tokio::time::sleep_until;
use wharf_core::async_trait;
use wharf_core::lock;
use wharf_server::net::{CopyDirection, KernelCopyLink};

use super::{LinkState, ReadState, Side};
use crate::network_faults::InjectedFailure;

/// The server's end of a connection, for a worker.
pub(crate) struct LinkCopy {
    shared: Arc<Mutex<LinkState>>,
    side: Side,
    injected_failure: InjectedFailure,
}

impl LinkCopy {
    pub(crate) fn new(
        shared: Arc<Mutex<LinkState>>,
        side: Side,
        injected_failure: InjectedFailure,
    ) -> Self {
        Self { shared, side, injected_failure }
    }

    fn shared(&self) -> MutexGuard<'_, LinkState> {
        lock(&self.shared)
    }

    /// Counts a call. The failing one resets the connection.
    fn check(&self) -> io::Result<()> {
        if self.injected_failure.fails_now() {
            self.shared().reset();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

#[async_trait]
impl KernelCopyLink for LinkCopy {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        let read = self.shared().read(self.side, &mut buffer)?;
        match read {
            ReadState::Done => {
                self.check()?;
                Ok(buffer.filled().len())
            }
            ReadState::NotBefore(_) | ReadState::Nothing => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.shared().write(self.side, bytes)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    async fn ready(&self, direction: CopyDirection) {
        loop {
            let at = poll_fn(|context| {
                let mut shared = self.shared();
                match direction {
                    CopyDirection::Send if shared.is_writable(self.side) => Poll::Ready(None),
                    CopyDirection::Send => {
                        shared.wake_writer(self.side, context.waker());
                        Poll::Pending
                    }
                    CopyDirection::Receive => {
                        match shared.read(self.side, &mut ReadBuf::new(&mut [])) {
                            Ok(ReadState::NotBefore(at)) => Poll::Ready(Some(at)),
                            Ok(ReadState::Nothing) => {
                                shared.wake_reader(self.side, context.waker());
                                Poll::Pending
                            }
                            Ok(ReadState::Done) | Err(_) => Poll::Ready(None),
                        }
                    }
                }
            })
            .await;
            match at {
                Some(at) => sleep_until(at).await,
                None => return,
            }
        }
    }

    fn shut_down(&self) {
        self.shared().shut_down(self.side);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use wharf_load::Random;
    use wharf_server::net::Link as _;

    use super::*;
    use crate::link::{SimLink, connection};
    use crate::network_faults::{LinkCounter, NetworkFaults};

    fn ends() -> (SimLink, Arc<dyn KernelCopyLink>, SimLink) {
        let at = SocketAddr::from(([192, 0, 2, 1], 20));
        let counter = LinkCounter::default();
        let (client, server) = connection(&counter, NetworkFaults::Slow(1), Random::new(1), at, at);
        let copy = server.for_kernel_copy().unwrap();
        (client, copy, server)
    }

    #[tokio::test(start_paused = true)]
    async fn a_kernel_copy_reads_what_has_arrived_and_then_the_end() {
        let (mut client, copy, _server) = ends();
        let mut buffer = [0; 8];
        client.write_all(b"hello").await.unwrap();
        assert_eq!(copy.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut received = Vec::new();
        client.finish(None);
        loop {
            copy.ready(CopyDirection::Receive).await;
            match copy.read(&mut buffer).unwrap() {
                0 => break,
                got => received.extend_from_slice(&buffer[..got]),
            }
        }
        assert_eq!(received, b"hello");
    }

    #[tokio::test(start_paused = true)]
    async fn a_kernel_copy_writes_until_the_window_is_full_and_after_the_client_has_read() {
        let (mut client, copy, _server) = ends();
        let mut written = 0;
        while let Ok(more) = copy.write(&[b'x'; 1000]) {
            written += more;
        }
        let mut received = vec![0; written];
        let ((), read) =
            tokio::join!(copy.ready(CopyDirection::Send), client.read_exact(&mut received));
        assert_eq!(read.unwrap(), written);
        assert!(copy.write(b"x").is_ok());
        copy.shut_down();
        assert!(copy.write(b"x").is_err());
        assert_eq!(copy.read(&mut [0; 8]).unwrap(), 0);
    }
}
