//! Listening sockets on their way from one process to another, over a unix socket (SCM_RIGHTS, unix(7)).
//!
//! Both processes then hold the same socket with one queue: neither loses what waits in it when the
//! other closes its handle. That is not so with SO_REUSEPORT, where each process has a queue of its own,
//! and closing one resets the connections that wait there.
//!
//! One octet goes with each socket and says what it is for, so that a reader cannot mistake one for
//! another, and what follows on the stream is not read along.

use super::passed::{Entrance, PassedSocket};
use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};
use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::AsFd,
};
use tokio::{io::Interest, net::UnixStream};

/// The octets that stand for what a socket is for.
const OCTETS: [(u8, Entrance); 4] =
    [(b'S', Entrance::Https), (b'H', Entrance::Http), (b'B', Entrance::Backend), (b'P', Entrance::Page)];

/// Sends `socket` over `stream`; it stays open here as well.
///
/// # Errors
///
/// When the other side is gone.
pub async fn send_socket(stream: &UnixStream, socket: &PassedSocket) -> io::Result<()> {
    let known = OCTETS.into_iter().find(|(_, entrance)| Some(*entrance) == socket.entrance());
    let what = [known.map_or(b'?', |(octet, _)| octet)];
    let sent = stream.async_io(Interest::WRITABLE, || {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [socket.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        Ok(sendmsg(stream, &[IoSlice::new(&what)], &mut ancillary, SendFlags::NOSIGNAL)?)
    });
    sent.await.map(drop)
}

/// Receives one socket from `stream`.
///
/// # Errors
///
/// When the other side is gone, or sends something else.
pub async fn receive_socket(stream: &UnixStream) -> io::Result<PassedSocket> {
    let mut what = [0];
    let received = stream.async_io(Interest::READABLE, || {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let octets = &mut [IoSliceMut::new(&mut what)];
        let message = recvmsg(stream, octets, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        if message.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut descriptors = ancillary.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        descriptors.next().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no socket came along"))
    });
    let socket = received.await?;
    let known = OCTETS.into_iter().find(|(octet, _)| *octet == what[0]);
    PassedSocket::new(known.map(|(_, entrance)| entrance), socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn sockets_arrive_with_what_they_are_for_and_words_around_them_stay_whole() {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let all = [Entrance::Https, Entrance::Http, Entrance::Backend, Entrance::Page];
        let sockets = all.map(|entrance| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            PassedSocket::new(Some(entrance), listener.into()).unwrap()
        });
        one.write_all(b"before").await.unwrap();
        for socket in &sockets {
            send_socket(&one, socket).await.unwrap();
        }
        one.write_all(b"after").await.unwrap();
        drop(one);

        let mut before = [0; 6];
        other.read_exact(&mut before).await.unwrap();
        assert_eq!(&before, b"before");
        for sent in &sockets {
            let received = receive_socket(&other).await.unwrap();
            assert_eq!(received.entrance(), sent.entrance());
            assert_eq!(received.address(), sent.address());
        }
        let mut after = String::new();
        other.read_to_string(&mut after).await.unwrap();
        assert_eq!(after, "after");
        assert!(receive_socket(&other).await.is_err(), "the other side is gone");
    }

    #[tokio::test]
    async fn words_in_the_place_of_a_socket_are_refused() {
        let (mut one, other) = UnixStream::pair().unwrap();
        one.write_all(b"S").await.unwrap();
        assert_eq!(receive_socket(&other).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
