//! SMTP as a client speaks it: a command, then a reply of one or more lines (RFC 5321 §4.2).

use super::{Why, meter::Spent};
use crate::certificate::presented::escaped;
use std::time::Duration;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout_at},
};

/// The longest line of a reply in octets. RFC 5321 §4.5.3.1.5 allows 512; four times that is no SMTP.
const LINE_MAX: usize = 2048;

/// How long the answer to QUIT is waited for: it changes nothing any more.
const FAREWELL: Duration = Duration::from_secs(5);

/// The most octets of a stranger's line that are kept.
const SHOWN: usize = 256;

/// The most lines of a reply that are kept for showing.
const LINES_SHOWN: usize = 32;

/// `octets` of a stranger, made fit to be shown and cut.
pub(super) fn shown(octets: &[u8]) -> String {
    escaped(&String::from_utf8_lossy(octets), SHOWN)
}

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// 200 to 599.
    pub(super) code: u16,
    /// What follows the code on each line.
    lines: Vec<Vec<u8>>,
}

impl Reply {
    /// Whether one of the lines after the first begins with this keyword, in any case.
    pub(super) fn offers(&self, keyword: &str) -> bool {
        let mut words = self.lines.iter().skip(1).map(|line| line.split(|b| b.is_ascii_whitespace()).next());
        words.any(|word| word.is_some_and(|word| word.eq_ignore_ascii_case(keyword.as_bytes())))
    }

    /// The lines without their code, fit to be shown.
    pub(super) fn shown_lines(&self) -> Vec<String> {
        self.lines.iter().take(LINES_SHOWN).map(|line| shown(line)).collect()
    }

    /// All lines as one text without the code, fit to be shown.
    pub(super) fn text(&self) -> String {
        shown(&self.lines.join(&b" "[..]))
    }

    /// All of it as one line, fit to be shown.
    pub(super) fn shown(&self) -> String {
        shown(&[self.code.to_string().as_bytes(), &self.lines.join(&b" "[..])].join(&b" "[..]))
    }
}

/// Why there is no reply.
#[derive(Debug)]
pub(super) enum NoReply {
    /// It did not come or end in time.
    Late,
    /// The connection is gone.
    Lost(std::io::Error),
    /// A line longer than 2 KB, or more octets than a session may bring.
    TooMuch,
    /// This is no reply.
    NotSmtp(Vec<u8>),
}

impl NoReply {
    /// The reason, and what there is to show.
    pub(super) fn reason(self) -> (Why, Option<String>) {
        match self {
            Self::Late => (Why::ReplyTimeout, None),
            Self::Lost(error) => (Why::ConnectionLost, Some(shown(error.to_string().as_bytes()))),
            Self::TooMuch => (Why::TooMuch, None),
            Self::NotSmtp(line) => (Why::SmtpBroken, Some(shown(&line))),
        }
    }
}

/// A conversation over one connection.
#[derive(Debug)]
pub(super) struct Talk<S> {
    stream: S,
    /// Came already, not yet read as a reply.
    ahead: Vec<u8>,
    /// The longest wait for the whole of one reply.
    reply: Duration,
    /// The end of the session.
    until: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    /// Begins to talk; `until` ends the session, whatever is going on.
    pub(super) fn new(stream: S, reply: Duration, until: Instant) -> Self {
        Self { stream, ahead: vec![], reply, until }
    }

    /// Sends one command alone and waits for its reply: nothing is ever pipelined.
    pub(super) async fn ask(&mut self, command: &str) -> Result<Reply, NoReply> {
        let deadline = self.deadline();
        timeout_at(deadline, self.say(command)).await.map_err(|_| NoReply::Late)?.map_err(NoReply::Lost)?;
        self.hear_until(deadline).await
    }

    /// Waits for a reply.
    pub(super) async fn hear(&mut self) -> Result<Reply, NoReply> {
        self.hear_until(self.deadline()).await
    }

    /// Says QUIT, and waits a little for the answer, whatever it is.
    pub(super) async fn leave(mut self) {
        let deadline = self.deadline().min(Instant::now() + FAREWELL);
        let farewell = async {
            if self.say("QUIT").await.is_ok() {
                let _ = self.read_reply().await;
            }
            let _ = self.stream.shutdown().await;
        };
        let _ = timeout_at(deadline, farewell).await;
    }

    /// The connection, and what came of the host beyond the last reply.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.ahead)
    }

    fn deadline(&self) -> Instant {
        self.until.min(Instant::now() + self.reply)
    }

    async fn hear_until(&mut self, deadline: Instant) -> Result<Reply, NoReply> {
        timeout_at(deadline, self.read_reply()).await.map_err(|_| NoReply::Late)?
    }

    async fn say(&mut self, command: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }

    async fn read_reply(&mut self) -> Result<Reply, NoReply> {
        let mut reply: Option<Reply> = None;
        loop {
            let line = self.read_line().await?;
            let Some((code, text, last)) = parse(&line) else { return Err(NoReply::NotSmtp(line)) };
            let reply = reply.get_or_insert(Reply { code, lines: vec![] });
            if reply.code != code {
                return Err(NoReply::NotSmtp(line));
            }
            reply.lines.push(text.to_vec());
            if last {
                return Ok(reply.clone());
            }
        }
    }

    /// One line without its end. A bare LF ends one, too: that is the lesser fault.
    async fn read_line(&mut self) -> Result<Vec<u8>, NoReply> {
        loop {
            let end = self.ahead.iter().position(|octet| *octet == b'\n');
            if end.unwrap_or(self.ahead.len()) >= LINE_MAX {
                return Err(NoReply::TooMuch);
            }
            if let Some(end) = end {
                let mut line: Vec<u8> = self.ahead.drain(..=end).collect();
                line.pop();
                line.pop_if(|octet| *octet == b'\r');
                return Ok(line);
            }
            let mut piece = [0; 1024];
            match self.stream.read(&mut piece).await {
                Ok(0) => return Err(NoReply::Lost(std::io::ErrorKind::UnexpectedEof.into())),
                Ok(read) => self.ahead.extend(piece.iter().take(read)),
                Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Spent>()) => {
                    return Err(NoReply::TooMuch);
                }
                Err(error) => return Err(NoReply::Lost(error)),
            }
        }
    }
}

/// Code, text, and whether this is the last line of its reply.
fn parse(line: &[u8]) -> Option<(u16, &[u8], bool)> {
    let (code, rest) = line.split_at_checked(3)?;
    let code: u16 = std::str::from_utf8(code).ok()?.parse().ok().filter(|code| (200..600).contains(code))?;
    match rest {
        [] => Some((code, rest, true)),
        [b' ', text @ ..] => Some((code, text, true)),
        [b'-', text @ ..] => Some((code, text, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `octets` are read as, and how much of them is left.
    async fn read(octets: &[u8]) -> (Result<Reply, NoReply>, usize) {
        let (ours, mut theirs) = tokio::io::duplex(70_000);
        theirs.write_all(octets).await.unwrap();
        drop(theirs);
        let mut talk = Talk::new(ours, Duration::from_secs(60), Instant::now() + Duration::from_secs(60));
        let reply = talk.hear().await;
        (reply, talk.into_parts().1.len())
    }

    #[tokio::test]
    async fn a_reply_ends_with_the_first_line_without_a_hyphen() {
        let (reply, left) = read(b"250-mx.example\r\n250-startTLS\r\n250 SIZE 1\r\n250 x\r\n").await;
        let reply = reply.unwrap();
        assert_eq!((reply.code, reply.shown_lines().len(), left), (250, 3, 7));
        assert!(reply.offers("STARTTLS") && reply.offers("size") && !reply.offers("mx.example"));
        assert!(
            !read(b"250-STARTTLS\r\n250-XSTARTTLS\r\n250 STARTTLSX\r\n").await.0.unwrap().offers("STARTTLS")
        );
        assert_eq!(read(b"220\r\n").await.0.unwrap().code, 220);
        assert_eq!(read(b"220 bare\n").await.0.unwrap().text(), "bare");
    }

    #[tokio::test]
    async fn what_is_no_reply_is_told_apart() {
        for odd in
            ["SSH-2.0-x\r\n", "\r\n", "22\r\n", "999 x\r\n", "+20 x\r\n", "220x\r\n", "220-a\r\n250 b\r\n"]
        {
            assert!(matches!(read(odd.as_bytes()).await.0, Err(NoReply::NotSmtp(_))), "{odd:?}");
        }
        assert!(matches!(read(b"220-a\r\n220").await.0, Err(NoReply::Lost(_))));
        assert!(matches!(read(&[b'2'; 3000]).await.0, Err(NoReply::TooMuch)));
        let long = [b"220 ".as_slice(), &[b'x'; 2044], b"\r\n"].concat();
        assert!(matches!(read(&long).await.0, Err(NoReply::TooMuch)));
    }

    #[tokio::test]
    async fn what_a_host_says_is_escaped_and_cut() {
        let (reply, _) = read(b"220 \x1b[31m\xff<b>\x00\r\n").await;
        assert_eq!(reply.unwrap().text(), "\\u{1b}[31m\\u{fffd}<b>\\u{0}");
        let (reply, _) = read(&[b"220 ".as_slice(), &[b'x'; 2000], b"\r\n"].concat()).await;
        assert_eq!(reply.unwrap().text().len(), SHOWN);
    }
}
