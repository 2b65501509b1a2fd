//! `tests/vectors/http.json`, each vector over HTTP/1 and, where it offers h2, over HTTP/2 too.

use crate::{
    client::{Answer, Http2, Tls, alert, exchange, read_to_close},
    hello::{TLS_1_1, client_hello, fatal, send},
    server::{COM, Challenge, Target, TestServer, limits, within},
};
use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use rustls::AlertDescription;
use serde_json::Value;
use tokio::net::TcpStream;

/// What stands for `TOKEN` in the vectors: tokens of authorities are longer.
const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

#[tokio::test]
async fn every_vector_of_http_json_holds() {
    let server = TestServer::start(limits());
    let checked = hold(&server.target, include_str!("../vectors/http.json")).await;
    assert!(checked >= 23, "only {checked} vectors were checked");
}

/// Holds `target` to the vectors; hands back how many there are.
pub async fn hold(target: &Target, vectors: &str) -> usize {
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    for vector in vectors {
        let id = vector["id"].as_str().unwrap();
        if vector["connection"]["port"] == 80 {
            plain(target, id, vector).await;
        } else if vector["request"].is_null() {
            handshake(target, id, vector).await;
        } else {
            request_over_http1(target, id, vector).await;
            request_over_http2(target, id, vector).await;
        }
    }
    vectors.len()
}

async fn plain(target: &Target, id: &str, vector: &Value) {
    let _pending = (target.pend)(Challenge::Http01 { host: COM, token: TOKEN });
    let text = vector["request"]["text"].as_str().unwrap().replace("TOKEN", TOKEN);
    let mut stream = within(TcpStream::connect(target.http)).await.unwrap();
    let answer = exchange(&mut stream, &text).await.unwrap();
    check_status(id, answer.status, vector);
    assert_eq!(answer.header("location"), "", "{id}");
    if answer.status == 200 {
        assert_eq!(answer.text(), format!("{TOKEN}.thumbprint"), "{id}");
        assert!(answer.body.len() < 128, "{id}");
    } else {
        assert!(!answer.text().contains("UNKNOWN") && !answer.text().contains("STSv1"), "{id}: {answer:?}");
    }
}

async fn handshake(target: &Target, id: &str, vector: &Value) {
    let connection = &vector["connection"];
    let _pending =
        (connection["pending_challenge"] == true).then(|| (target.pend)(Challenge::TlsAlpn01 { host: COM }));
    if connection["max_tls"] == "1.1" {
        let answer = send(target.https, &client_hello(TLS_1_1, connection["sni"].as_str())).await;
        assert_eq!(answer, fatal(number(&vector["expect"]["alert"])), "{id}");
        return;
    }
    let mut tls = tls(connection);
    tls.unverified = true;
    let connected = tls.connect(target).await;
    if vector["expect"]["tls"] == "handshake" {
        let mut stream = connected.unwrap();
        let session = stream.get_ref().1;
        assert_eq!(session.alpn_protocol(), Some(&b"acme-tls/1"[..]), "{id}");
        let chain = session.peer_certificates().unwrap();
        assert_eq!(chain.len(), 1, "{id}: a challenge certificate stands alone");
        // The octets of id-pe-acmeIdentifier (RFC 8737 §6.1).
        let identifier = [0x2b, 6, 1, 5, 5, 7, 1, 31];
        assert!(chain[0].windows(identifier.len()).any(|window| window == identifier), "{id}");
        assert_eq!(read_to_close(&mut stream).await, b"", "{id}: no application data");
        return;
    }
    let error = connected.map(drop).expect_err(id);
    let seen = alert(&error).unwrap_or_else(|| panic!("{id}: {error}"));
    // One vector leaves the alert open; ours is the one of any name without a certificate.
    let expected = match &vector["expect"]["alert"] {
        Value::Null => AlertDescription::UnrecognisedName,
        name => AlertDescription::from(number(name)),
    };
    assert_eq!(seen, expected, "{id}");
}

fn number(alert: &Value) -> u8 {
    match alert.as_str().unwrap() {
        "protocol_version" => 70,
        "unrecognized_name" => 112,
        "no_application_protocol" => 120,
        other => panic!("an alert the test does not know: {other}"),
    }
}

fn tls(connection: &Value) -> Tls {
    let mut tls = Tls::to("unset.example");
    tls.sni = connection["sni"].as_str().map(str::to_owned);
    tls.tls12_only = connection["max_tls"] == "1.2";
    let offered = connection["alpn"].as_array().unwrap();
    tls.alpn = offered.iter().map(|protocol| protocol.as_str().unwrap().as_bytes().to_vec()).collect();
    tls
}

async fn request_over_http1(target: &Target, id: &str, vector: &Value) {
    let mut tls = tls(&vector["connection"]);
    tls.alpn.retain(|protocol| protocol == b"http/1.1");
    let mut stream = tls.connect(target).await.unwrap();
    let answer = exchange(&mut stream, vector["request"]["text"].as_str().unwrap()).await.unwrap();
    check(id, &answer, vector);
}

async fn request_over_http2(target: &Target, id: &str, vector: &Value) {
    let connection = &vector["connection"];
    let text = vector["request"]["text"].as_str().unwrap();
    let Some(request) = translate(text) else { return };
    if !connection["max_tls"].is_null() {
        return;
    }
    let mut http2 = Http2::connect(target, connection["sni"].as_str().unwrap()).await;
    let response = http2.send(request).await.unwrap();
    let headers = response.headers().iter();
    let answer = Answer {
        status: response.status().as_u16(),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: response.body().to_vec(),
    };
    check(&format!("{id} over h2"), &answer, vector);
}

/// The same request for HTTP/2; `None` when it is about the Host lines of HTTP/1.1.
fn translate(text: &str) -> Option<Request<Empty<Bytes>>> {
    let mut lines = text.trim_end().split("\r\n");
    let mut request_line = lines.next()?.split(' ');
    let (method, path) = (request_line.next()?, request_line.next()?);
    let fields: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
    let [host] = fields.iter().filter(|(name, _)| *name == "Host").collect::<Vec<_>>()[..] else {
        return None;
    };
    let mut request = Request::builder().method(method).uri(format!("https://{}{path}", host.1));
    for (name, value) in fields.iter().filter(|(name, _)| *name != "Host") {
        request = request.header(*name, *value);
    }
    Some(request.body(Empty::new()).unwrap())
}

fn check(id: &str, answer: &Answer, vector: &Value) {
    let expect = &vector["expect"];
    check_status(id, answer.status, vector);
    assert_eq!(answer.header("location"), "", "{id}: a redirect");
    for absent in ["content-encoding", "transfer-encoding", "set-cookie", "alt-svc", "etag", "last-modified"]
    {
        assert_eq!(answer.header(absent), "", "{id}: {absent}");
    }
    for (name, value) in expect["headers"].as_object().into_iter().flatten() {
        assert_eq!(answer.header(name), value.as_str().unwrap(), "{id}: {name}");
    }
    let policy = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmax_age: 604800\r\n";
    let is_head = vector["request"]["text"].as_str().unwrap().starts_with("HEAD");
    if answer.status == 200 {
        assert_eq!(answer.text(), if is_head { "" } else { policy }, "{id}");
        assert_eq!(answer.header("content-length"), policy.len().to_string(), "{id}");
    } else {
        assert!(!answer.text().contains("STSv1"), "{id}");
    }
}

fn check_status(id: &str, status: u16, vector: &Value) {
    let expected = match &vector["expect"]["status"] {
        Value::Array(several) => several.clone(),
        one => vec![one.clone()],
    };
    assert!(expected.contains(&status.into()), "{id}: {status}, not {expected:?}");
}
