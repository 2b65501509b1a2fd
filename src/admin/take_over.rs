//! How a new daemon reaches the one that runs: the status socket, turned into a plain stream (RFC 9110 §7.8).
//!
//! Only the socket's owner can open it, and that is who may take over. What the two say on the stream is
//! their own matter; nothing of it is HTTP.

use super::{client::AskError, server::Sources};
use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, UPGRADE},
    },
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use http::Method;
use http_body_util::Empty;
use hyper::{
    client::conn::http1,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::{rt::TokioIo, server::conn::auto};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::{net::UnixStream, sync::mpsc};
use tracing::debug;

const PATH: &str = "/take-over";
/// What is spoken afterwards; the number changes with its meaning.
const PROTOCOL: HeaderValue = HeaderValue::from_static("mta-stsd-take-over/1");

/// A daemon that wants to take over. It has to speak first: what we send right after the answer might be
/// read as a part of it, and a socket among that would be lost.
#[derive(Debug)]
pub struct Newcomer {
    /// The stream to it.
    pub stream: UnixStream,
    /// What it has said already.
    pub said: Bytes,
}

/// Where new daemons are let in; cheap to clone.
#[derive(Clone, Debug)]
pub struct TakeOvers {
    newcomers: mpsc::Sender<Newcomer>,
    socket_is_theirs: Arc<AtomicBool>,
}

impl TakeOvers {
    /// The other end has the daemons that want to take over.
    pub fn new() -> (Self, mpsc::Receiver<Newcomer>) {
        let (newcomers, arrived) = mpsc::channel(1);
        (Self { newcomers, socket_is_theirs: Arc::default() }, arrived)
    }

    /// From now on another daemon's socket stands in the place of ours, and is left there.
    pub fn leave_socket(&self) {
        self.socket_is_theirs.store(true, Relaxed);
    }

    pub(super) fn socket_is_theirs(&self) -> bool {
        self.socket_is_theirs.load(Relaxed)
    }
}

pub(super) fn routes() -> Router<Sources> {
    Router::new().route(PATH, post(let_in))
}

async fn let_in(State(sources): State<Sources>, mut request: Request) -> Response {
    if request.headers().get(UPGRADE) != Some(&PROTOCOL) {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    }
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    // One at a time; the daemon takes this one in when it is through with another.
    let Ok(place) = sources.take_overs.newcomers.clone().try_reserve_owned() else {
        return StatusCode::CONFLICT.into_response();
    };
    tokio::spawn(async move {
        match upgrade.await.ok().and_then(newcomer) {
            Some(newcomer) => drop(place.send(newcomer)),
            None => debug!("a daemon that wanted to take over is gone"),
        }
    });
    let headers = [(CONNECTION, HeaderValue::from_static("upgrade")), (UPGRADE, PROTOCOL)];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// The stream below HTTP; none when it is no unix socket.
fn newcomer(upgraded: Upgraded) -> Option<Newcomer> {
    let parts = auto::upgrade::downcast::<TokioIo<UnixStream>>(upgraded).ok()?;
    Some(Newcomer { stream: parts.io.into_inner(), said: parts.read_buf })
}

/// See [`super::client::take_over`].
pub(super) async fn reach(socket: &Path) -> Result<UnixStream, AskError> {
    let stream = UnixStream::connect(socket).await.map_err(AskError::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(AskError::Broken)?;
    tokio::spawn(connection.with_upgrades());
    let request = hyper::Request::builder().method(Method::POST).uri(PATH).header("host", "localhost");
    let request = request.header(CONNECTION, "upgrade").header(UPGRADE, PROTOCOL);
    let request = request.body(Empty::<Bytes>::new()).map_err(|_| AskError::NotUnderstood)?;
    let response = sender.send_request(request).await.map_err(AskError::Broken)?;
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {}
        StatusCode::CONFLICT => {
            return Err(AskError::Refused("another take-over is under way".to_owned()));
        }
        _ => return Err(AskError::NotUnderstood),
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(AskError::Broken)?;
    let parts = upgraded.downcast::<TokioIo<UnixStream>>().map_err(|_| AskError::NotUnderstood)?;
    if parts.read_buf.is_empty() { Ok(parts.io.into_inner()) } else { Err(AskError::NotUnderstood) }
}
