//! A socket that brings only so much, and tells what came first after a mark.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// What is known of a socket's reading; kept when the TLS library drops the socket.
#[derive(Debug)]
pub(super) struct Meter {
    left: AtomicUsize,
    spent: AtomicBool,
    first: Mutex<Option<u8>>,
}

impl Meter {
    /// Forgets what came; the next octet is the first.
    pub(super) fn mark(&self) {
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The first octet that was read after the mark.
    pub(super) fn first(&self) -> Option<u8> {
        *self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether more came than may.
    pub(super) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }
}

/// The error of reading on.
#[derive(Debug, thiserror::Error)]
#[error("more octets than one session may bring")]
pub(super) struct Spent;

/// A connection whose reading ends with an error after so many octets.
#[derive(Debug)]
pub(super) struct Metered {
    socket: TcpStream,
    meter: Arc<Meter>,
}

impl Metered {
    /// Lets `octets` be read from `socket`.
    pub(super) fn new(socket: TcpStream, octets: usize) -> Self {
        let (spent, first) = (AtomicBool::new(false), Mutex::new(None));
        Self { socket, meter: Arc::new(Meter { left: AtomicUsize::new(octets), spent, first }) }
    }

    /// What is known of the reading.
    pub(super) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// Whether something lies here unread at this moment.
    pub(super) async fn has_more(&self) -> bool {
        // Lets the runtime learn what the socket has; without that, only what it knew already counts.
        tokio::task::yield_now().await;
        matches!(self.socket.try_read(&mut [0; 1]), Ok(1..))
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.meter.left.load(Ordering::Relaxed);
        if left == 0 {
            self.meter.spent.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::Error::other(Spent)));
        }
        let most = left.min(into.remaining());
        let mut part = ReadBuf::new(into.initialize_unfilled_to(most));
        std::task::ready!(Pin::new(&mut self.socket).poll_read(context, &mut part))?;
        let read = part.filled().len();
        let octet = part.filled().first().copied();
        into.advance(read);
        self.meter.left.store(left - read, Ordering::Relaxed);
        let mut first = self.meter.first.lock().unwrap_or_else(PoisonError::into_inner);
        *first = first.or(octet);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
