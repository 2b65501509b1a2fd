//! An MX host on loopback that follows a script.

use crate::{
    certificate::presented::Roots,
    dialing::Reach,
    dns::DnsName,
    starttls::{Probe, Prober, Settings},
};
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use rustls_pki_types::CertificateDer;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

pub const HOST: &str = "mx.example.com";
pub const US: &str = "probe.example.org";

pub fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// An authority made for one test, with a leaf for [`HOST`].
pub struct Pki {
    pub root: CertificateDer<'static>,
    pub chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Pki {
    pub fn new() -> Self {
        let dated = |mut params: CertificateParams| {
            params.not_before = OffsetDateTime::from_unix_timestamp(now().as_second() - 86_400).unwrap();
            params.not_after = OffsetDateTime::from_unix_timestamp(now().as_second() + 80 * 86_400).unwrap();
            params
        };
        let mut params = dated(CertificateParams::default());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let (key, params) =
            (KeyPair::generate().unwrap(), CertificateParams::new([HOST.to_owned()]).unwrap());
        let leaf = dated(params).signed_by(&key, &issuer).unwrap();
        Self { root: issuer.der().clone(), chain: vec![leaf.into()], key }
    }

    pub fn server(&self) -> Arc<ServerConfig> {
        self.server_with(self.chain.clone(), false)
    }

    /// A server with this chain; `needs_sni` makes it refuse whoever does not ask for [`HOST`].
    pub fn server_with(&self, chain: Vec<CertificateDer<'static>>, needs_sni: bool) -> Arc<ServerConfig> {
        #[derive(Debug)]
        struct Choosy(Arc<CertifiedKey>, bool);
        impl ResolvesServerCert for Choosy {
            fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
                (!self.1 || hello.server_name() == Some(HOST)).then(|| Arc::clone(&self.0))
            }
        }
        let der = rustls_pki_types::PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let key = aws_lc_rs::sign::any_ecdsa_type(&der.into()).unwrap();
        let certified = Arc::new(CertifiedKey::new(chain, key));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Choosy(certified, needs_sni)));
        Arc::new(config)
    }
}

/// What the host does once it has said 220 to STARTTLS.
#[derive(Clone)]
pub enum Secure {
    /// TLS by the book.
    Tls(Arc<ServerConfig>),
    /// The same, but whoever offers less than TLS 1.2 gets a ServerHello of TLS 1.0.
    TlsOrOlder(Arc<ServerConfig>),
    /// Reads a ClientHello, answers these octets, and closes.
    Octets(fn(&[u8]) -> &'static [u8]),
    /// Says nothing at all.
    Nothing,
}

/// What the host says.
#[derive(Clone)]
pub struct Script {
    pub greeting: &'static str,
    pub ehlo: &'static str,
    pub starttls: &'static str,
    pub secure: Secure,
    pub ehlo_after_tls: &'static str,
    /// Written again and again, this many milliseconds apart, before anything else.
    pub endless: Option<(&'static str, u64)>,
}

impl Script {
    pub fn good(secure: Secure) -> Self {
        Self {
            greeting: "220-mx.example.com ESMTP\r\n220 ready\r\n",
            ehlo: "250-mx.example.com\r\n250-SIZE 1000\r\n250-StartTLS\r\n250 8BITMIME\r\n",
            starttls: "220 go ahead\r\n",
            secure,
            ehlo_after_tls: "250-mx.example.com\r\n250 8BITMIME\r\n",
            endless: None,
        }
    }
}

/// A listening host; it ends when dropped.
pub struct Mx {
    pub address: SocketAddr,
    /// What was said to it, session by session: commands, and `TLS` with the SNI in between.
    said: Arc<Mutex<Vec<Vec<String>>>>,
    task: JoinHandle<()>,
}

impl Mx {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let said = Arc::<Mutex<Vec<Vec<String>>>>::default();
        let kept = Arc::clone(&said);
        let task = tokio::spawn(async move {
            let mut sessions = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                kept.lock().unwrap().push(vec![]);
                let note = Note { said: Arc::clone(&kept), session: kept.lock().unwrap().len() - 1 };
                sessions.spawn(session(socket, script.clone(), note));
            }
        });
        Self { address, said, task }
    }

    pub fn said(&self) -> Vec<Vec<String>> {
        self.said.lock().unwrap().clone()
    }
}

impl Drop for Mx {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Note {
    said: Arc<Mutex<Vec<Vec<String>>>>,
    session: usize,
}

impl Note {
    fn down(&self, text: String) {
        self.said.lock().unwrap()[self.session].push(text);
    }
}

/// Errors end a session: the prober may hang up at any time.
async fn session(mut socket: TcpStream, script: Script, note: Note) -> Option<()> {
    while let Some((text, pause)) = script.endless {
        socket.write_all(text.as_bytes()).await.ok()?;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    socket.write_all(script.greeting.as_bytes()).await.ok()?;
    if !talk(&mut socket, script.ehlo, script.starttls, &note).await? {
        return None;
    }
    let config = match script.secure {
        Secure::Tls(config) => config,
        Secure::TlsOrOlder(config) => {
            let mut head = [0; 11];
            while socket.peek(&mut head).await.ok()? < head.len() {
                tokio::task::yield_now().await;
            }
            if head[10] < 3 {
                read_record(&mut socket).await?;
                return socket.write_all(OLDER).await.ok();
            }
            config
        }
        Secure::Octets(answer) => {
            let hello = read_record(&mut socket).await?;
            return socket.write_all(answer(&hello)).await.ok();
        }
        Secure::Nothing => {
            // Until the prober hangs up.
            let _ = socket.read_to_end(&mut vec![]).await;
            return None;
        }
    };
    let mut stream = TlsAcceptor::from(config).accept(socket).await.ok()?;
    note.down(format!("TLS {}", stream.get_ref().1.server_name().unwrap_or("-")));
    talk(&mut stream, script.ehlo_after_tls, "503 no\r\n", &note).await;
    Some(())
}

/// A ServerHello of TLS 1.0, as far as anybody reads it.
pub const OLDER: &[u8] = &[22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1, 7, 7, 7, 7, 7, 7, 7, 7];

async fn read_record(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = [0; 5];
    socket.read_exact(&mut head).await.ok()?;
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    socket.read_exact(&mut body).await.ok()?;
    Some(body)
}

/// Answers commands; true once STARTTLS was answered with 220, false after QUIT.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    ehlo: &str,
    starttls: &str,
    note: &Note,
) -> Option<bool> {
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(stream.read_u8().await.ok()?);
        }
        let command = String::from_utf8(line).unwrap().trim_end().to_owned();
        note.down(command.clone());
        let answer = match command.split(' ').next() {
            Some("EHLO") => ehlo,
            Some("STARTTLS") => starttls,
            Some("QUIT") => "221 bye\r\n",
            _ => "500 what?\r\n",
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
        match command.as_str() {
            "STARTTLS" if answer.starts_with("220") => return Some(true),
            "QUIT" => {
                let _ = stream.shutdown().await;
                return Some(false);
            }
            _ => {}
        }
    }
}

/// Patient enough for the slowest machine.
pub fn settings(port: u16, roots: Vec<CertificateDer<'static>>) -> Settings {
    let patience = Duration::from_secs(60);
    Settings {
        port,
        connect: patience,
        reply: patience,
        session: patience,
        ..Settings::new(US, vec![Arc::new(Roots::of(roots))])
    }
}

pub fn everywhere() -> Reach {
    Reach { allow_private: true, own: vec![] }
}

/// Looks at a host that trusts nobody in particular.
pub async fn look(mx: &Mx) -> Probe {
    look_with(mx, settings(mx.address.port(), vec![])).await
}

pub async fn look_with(mx: &Mx, settings: Settings) -> Probe {
    Prober::new(settings, everywhere()).probe(&DnsName::new(HOST), mx.address.ip(), now()).await
}
