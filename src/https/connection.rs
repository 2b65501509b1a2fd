//! HTTP on one connection, within limits, until it ends.
//!
//! The watchdog is one rule: no new request for `idle_timeout`, and the connection is dropped. It
//! covers idle connections, answers that are not read, windows of zero and headers that never end.
//! A connection that got old, has asked often, or stands in the way of a stop is wound down: the
//! answer under way is finished, the peer is told, and what is left after a grace period is dropped.

use super::respond::text;
use crate::config::Limits;
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, TRANSFER_ENCODING},
};
use http_body_util::Full;
use hyper::{
    body::{Body, Incoming},
    server::conn::{http1, http2},
    service::{HttpService, service_fn},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    future::ready,
    io,
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a connection that is being wound down may still take, and how long one that has not
/// asked yet may wait to ask after a stop.
pub(super) const GRACE: Duration = Duration::from_secs(3);

/// After an answer to a request we did not read to its end, the rest is read for this long and up
/// to this much: closing over unread octets would reset the connection and take the answer with it.
const LINGER: (Duration, usize) = (Duration::from_secs(1), 64 * 1024);

/// The smallest read buffer hyper accepts.
const HYPER_BUFFER_MIN: usize = 8 * 1024;

/// HTTP/2: the flow-control window in octets. Requests have no bodies worth a larger one.
const HTTP2_WINDOW: u32 = 64 * 1024 - 1;

/// HTTP/2: octets of answers held for a peer that does not read.
const HTTP2_SEND_BUFFER: usize = 16 * 1024;

/// HTTP/2: streams reset by the peer before we looked at them.
const HTTP2_PENDING_RESETS: usize = 20;

/// HTTP/2: streams we reset for faults of the peer.
const HTTP2_OWN_RESETS: usize = 64;

/// Which HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1 or 1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Which HTTP is spoken on `stream` without TLS: HTTP/2 begins with words that are no request
/// (RFC 9113 §3.4). Takes nothing; waits as long as the peer does.
pub(super) async fn spoken(stream: &TcpStream) -> io::Result<Protocol> {
    const PREFACE: &[u8] = b"PRI ";
    /// Looking does not take, so there is nothing to wait for but time. Who sends four octets in
    /// pieces has it.
    const PAUSE: Duration = Duration::from_millis(5);
    let mut seen = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut seen).await?;
        let begin = seen.get(..count).unwrap_or_default();
        if begin == PREFACE {
            return Ok(Protocol::Http2);
        } else if begin.is_empty() || !PREFACE.starts_with(begin) {
            return Ok(Protocol::Http1);
        }
        sleep(PAUSE).await;
    }
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// In order, by either side.
    Closed,
    /// The watchdog dropped it.
    Idle,
    /// The peer broke the protocol, took too long over a header, or vanished.
    Fault(hyper::Error),
}

/// Serves requests on `io` until it ends; `answer` must not wait and cannot fail. Limits answer what never
/// gets there, and `limited` is told the status.
pub(super) async fn serve<IO, A, D>(
    io: &mut IO,
    protocol: Protocol,
    limits: &Limits,
    stop: &CancellationToken,
    answer: A,
    limited: D,
) -> Ending
where
    IO: AsyncRead + AsyncWrite + Unpin,
    A: Fn(&Request<Incoming>) -> Response<Full<Bytes>>,
    D: Fn(StatusCode),
{
    let activity = Activity::new();
    let service = service_fn(|request| {
        activity.note_request(limits.requests_per_connection);
        ready(Ok::<_, Infallible>(admit(&request, limits, &activity, &answer, &limited)))
    });
    let ending = match protocol {
        // Boxed: moved through async functions by value they would be in the task several times over.
        Protocol::Http1 => watch(Box::pin(http1(limits, &mut *io, service)), &activity, limits, stop).await,
        Protocol::Http2 => watch(Box::pin(http2(limits, &mut *io, service)), &activity, limits, stop).await,
    };
    let unread = activity.unread.load(Relaxed) || matches!(&ending, Ending::Fault(error) if error.is_parse());
    if unread && protocol == Protocol::Http1 {
        linger(io).await;
    }
    ending
}

/// Lets a request through to `answer` unless its framing or size already says no.
fn admit<A, D>(
    request: &Request<Incoming>,
    limits: &Limits,
    activity: &Activity,
    answer: &A,
    limited: &D,
) -> Response<Full<Bytes>>
where
    A: Fn(&Request<Incoming>) -> Response<Full<Bytes>>,
    D: Fn(StatusCode),
{
    // hyper hides a Content-Length beside Transfer-Encoding, so a smuggling attempt looks like
    // any chunked request. No sender has a use for one here: all of them are refused.
    let chunked = request.headers().contains_key(TRANSFER_ENCODING);
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let refused = if chunked {
        Some(StatusCode::BAD_REQUEST)
    } else {
        (target > limits.uri_bytes).then_some(StatusCode::URI_TOO_LONG)
    };
    let mut response = match refused {
        Some(status) => {
            limited(status);
            text(request, status)
        }
        None => answer(request),
    };
    let has_body = chunked || !request.body().is_end_stream();
    let dubious = has_body || response.status() == StatusCode::BAD_REQUEST;
    if dubious && request.version() != Version::HTTP_2 {
        activity.unread.fetch_or(has_body, Relaxed);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Drives `connection` to its end, and makes it end.
async fn watch<C>(
    mut connection: Pin<Box<C>>,
    activity: &Activity,
    limits: &Limits,
    stop: &CancellationToken,
) -> Ending
where
    C: Windable,
{
    let mut wind_down = pin!(async {
        tokio::select! {
            () = sleep(limits.connection_age) => {}
            () = activity.spent.notified() => {}
            () = stop.cancelled() => {
                // Whoever has not asked yet may ask once: the connection was accepted, so it counts.
                let _ = timeout(GRACE, activity.asked()).await;
            }
        }
    });
    let mut latest = None;
    let mut deadline = Instant::now() + limits.idle_timeout;
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => return result.map_or_else(Ending::Fault, |()| Ending::Closed),
            () = wind_down.as_mut(), if latest.is_none() => {
                connection.as_mut().wind_down();
                let end = Instant::now() + GRACE;
                latest = Some(end);
                deadline = deadline.min(end);
            }
            () = sleep_until(deadline) => {
                let idle_at = activity.last_request() + limits.idle_timeout;
                let next = latest.map_or(idle_at, |end| idle_at.min(end));
                if next <= deadline {
                    return Ending::Idle;
                }
                deadline = next;
            }
        }
    }
}

/// What the connection's watchdog knows of its requests.
#[derive(Debug)]
struct Activity {
    born: Instant,
    last_request_ms: AtomicU64,
    requests: AtomicU32,
    first: Notify,
    spent: Notify,
    unread: AtomicBool,
}

impl Activity {
    fn new() -> Self {
        Self {
            born: Instant::now(),
            last_request_ms: AtomicU64::new(0),
            requests: AtomicU32::new(0),
            first: Notify::new(),
            spent: Notify::new(),
            unread: AtomicBool::new(false),
        }
    }

    fn note_request(&self, most: u32) {
        let age = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_request_ms.store(age, Relaxed);
        let requests = self.requests.fetch_add(1, Relaxed).saturating_add(1);
        if requests == 1 {
            self.first.notify_one();
        }
        if requests >= most {
            self.spent.notify_one();
        }
    }

    /// When the last request came; the start of the connection before the first.
    fn last_request(&self) -> Instant {
        self.born + Duration::from_millis(self.last_request_ms.load(Relaxed))
    }

    /// Waits for the first request.
    async fn asked(&self) {
        self.first.notified().await;
    }
}

/// Reads what the peer still sends, so that our last answer reaches it.
async fn linger<IO: AsyncRead + AsyncWrite + Unpin>(io: &mut IO) {
    let (most_time, most_octets) = LINGER;
    let _ = timeout(most_time, async {
        io.shutdown().await?;
        let mut sink = vec![0; 2048];
        let mut read = 0;
        while read < most_octets {
            match io.read(&mut sink).await? {
                0 => break,
                octets => read += octets,
            }
        }
        Ok::<_, io::Error>(())
    })
    .await;
}

fn http1<IO, S>(limits: &Limits, io: IO, service: S) -> http1::Connection<TokioIo<IO>, S>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible>,
{
    http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper's timer also runs while it waits for the first octet of the next request, so between
        // requests the shorter of this and the idle timeout counts.
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.header_count)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(HYPER_BUFFER_MIN))
        // Head and body are copied together: one TLS record, one write.
        .writev(false)
        .serve_connection(TokioIo::new(io), service)
}

fn http2<IO, S>(limits: &Limits, io: IO, service: S) -> http2::Connection<TokioIo<IO>, S, TokioExecutor>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible>,
    S::Future: Send + 'static,
{
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(limits.http2_header_bytes)
        .initial_stream_window_size(HTTP2_WINDOW)
        .initial_connection_window_size(HTTP2_WINDOW)
        .max_frame_size(16 * 1024)
        .max_send_buf_size(HTTP2_SEND_BUFFER)
        .max_pending_accept_reset_streams(HTTP2_PENDING_RESETS)
        .max_local_error_reset_streams(HTTP2_OWN_RESETS)
        .serve_connection(TokioIo::new(io), service)
}

/// A connection of hyper's that can be asked to end after what is under way.
trait Windable: Future<Output = hyper::Result<()>> {
    fn wind_down(self: Pin<&mut Self>);
}

impl<IO, S> Windable for http1::Connection<TokioIo<IO>, S>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible>,
{
    fn wind_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<IO, S> Windable for http2::Connection<TokioIo<IO>, S, TokioExecutor>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible>,
    S::Future: Send + 'static,
{
    fn wind_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
