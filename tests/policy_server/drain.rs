//! Stop: what has begun is finished, what idles is closed, what stays is cut and counted.

use crate::{
    client::{Http2, Tls, exchange, get, read_answer, read_to_close},
    server::{BRIEF, COM, TestServer, limits, until, within},
};
use mta_stsd::https::Drained;
use tokio::{io::AsyncWriteExt, net::TcpStream};

#[tokio::test]
async fn a_request_under_way_is_finished() {
    let server = TestServer::start(limits());
    let mut stream = Tls::to(COM).connect(&server.target).await.unwrap();
    let text = get(COM);
    let (begun, rest) = text.split_at(30);
    stream.write_all(begun.as_bytes()).await.unwrap();
    server.stop.cancel();
    let address = server.target.https;
    until_refused(address).await;
    let answer = exchange(&mut stream, rest).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(read_to_close(&mut stream).await, b"");
    assert_eq!(server.drained().await, Drained { left: 0 });
}

#[tokio::test]
async fn a_handshake_under_way_is_finished_and_served() {
    let server = TestServer::start(limits());
    let tcp = TcpStream::connect(server.target.https).await.unwrap();
    until(|| server.policies.open_connections() == 1).await;
    server.stop.cancel();
    until_refused(server.target.https).await;
    let mut stream = Tls::to(COM).over(tcp, &server.target).await.unwrap();
    assert_eq!(exchange(&mut stream, &get(COM)).await.unwrap().status, 200);
    assert_eq!(server.drained().await, Drained { left: 0 });
}

#[tokio::test]
async fn idle_connections_are_closed_at_once() {
    let server = TestServer::start(limits());
    let mut http1 = Tls::to(COM).connect(&server.target).await.unwrap();
    assert_eq!(exchange(&mut http1, &get(COM)).await.unwrap().status, 200);
    let mut http2 = Http2::connect(&server.target, COM).await;
    let request = http::Request::get(format!("https://{COM}/")).body(Default::default()).unwrap();
    assert_eq!(http2.send(request).await.unwrap().status(), 404);
    // Neither waits for its idle timeout: that is as long as the drain may take.
    let drained = server.stop().await;
    assert_eq!(drained, Drained { left: 0 });
    assert!(read_answer(&mut http1, false).await.is_none());
    http2.closed().await;
}

#[tokio::test]
async fn what_is_left_at_the_deadline_is_cut_and_counted() {
    let mut limits = limits();
    limits.drain_timeout = BRIEF;
    let server = TestServer::start(limits);
    let mut silent = TcpStream::connect(server.target.https).await.unwrap();
    until(|| server.policies.open_connections() == 1).await;
    let policies = server.policies.clone();
    assert_eq!(server.stop().await, Drained { left: 1 });
    assert_eq!(read_to_close(&mut silent).await, b"");
    assert_eq!(policies.open_connections(), 0);
}

async fn until_refused(address: std::net::SocketAddr) {
    within(async { while TcpStream::connect(address).await.is_ok() {} }).await;
}
