//! The words between two daemons, as far as no real pair says them: `tests/upgrade` has the pairs.

use super::*;
use crate::listening::Entrance;
use std::net::TcpListener;

fn pair() -> (Talk, Talk) {
    let (one, other) = UnixStream::pair().unwrap();
    (Talk::new(one, Bytes::new()), Talk::new(other, Bytes::new()))
}

#[tokio::test]
async fn every_word_arrives_as_it_was_said_and_an_end_is_no_word() {
    let (mut one, mut other) = pair();
    let words = [
        Word::Lend,
        Word::Sockets(3),
        Word::Hold,
        Word::Held,
        Word::Ready,
        Word::Yours,
        Word::Refused("orders did not end".to_owned()),
    ];
    for word in &words {
        one.say(word).await.unwrap();
        assert_eq!(other.hear().await.unwrap().as_ref(), Some(word));
    }
    drop(one);
    assert_eq!(other.hear().await.unwrap(), None);
}

#[tokio::test]
async fn what_is_no_word_is_refused_however_long_it_is() {
    for said in [&b"hello\n"[..], b"sockets many\n", b"sockets 1000000\n", &[b'x'; 2 * LINE_MAX]] {
        let (mut one, mut other) = pair();
        one.stream.write_all(said).await.unwrap();
        assert!(other.hear().await.is_err(), "{:?}", String::from_utf8_lossy(said));
    }
}

#[tokio::test]
async fn sockets_stand_between_words() {
    let (mut one, mut other) = pair();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sockets = [PassedSocket::new(Some(Entrance::Https), listener.into()).unwrap()];
    one.say(&Word::Sockets(1)).await.unwrap();
    one.send(&sockets).await.unwrap();
    one.say(&Word::Held).await.unwrap();
    assert_eq!(other.hear().await.unwrap(), Some(Word::Sockets(1)));
    let received = other.receive(1).await.unwrap();
    assert_eq!(received[0].address(), sockets[0].address());
    assert_eq!(other.hear().await.unwrap(), Some(Word::Held));
}

#[tokio::test]
async fn what_was_read_with_the_request_is_heard_first() {
    let (mut one, other) = pair();
    let mut other = Talk::new(other.stream, Bytes::from_static(b"lend\nho"));
    one.stream.write_all(b"ld\n").await.unwrap();
    assert_eq!(other.hear().await.unwrap(), Some(Word::Lend));
    assert_eq!(other.hear().await.unwrap(), Some(Word::Hold));
}
