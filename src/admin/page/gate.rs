//! Who may look, and who may act.
//!
//! | | without `admin.token_file` | with it |
//! | --- | --- | --- |
//! | look | everybody who can connect: this host's users | who has logged in, or shows the token as `Bearer` |
//! | act | nobody | the same; a browser's form must repeat what its session was given |
//!
//! `/livez`, `/readyz`, the stylesheet and the login itself are for everybody who asks by a name of ours.

use super::{
    Page, answer, host, secret,
    session::{Attempts, Digest, Sessions},
    shown::Frame,
};
use askama::Template;
use axum::{
    Extension,
    extract::{Form, FromRequest, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::timeout;
use tracing::{debug, error, info};

/// The longest that one answer may take, the reading of a form among it.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Paths that need nobody's token.
const FOR_EVERYBODY: [&str; 5] = ["/login", "/style.css", "/icon.svg", "/livez", "/readyz"];
/// The cookie of a session; over TLS browsers then see to it that it is of this host alone.
const COOKIES: [(bool, &str); 2] = [(true, "__Host-mta-stsd"), (false, "mta-stsd")];

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// Who asks.
    pub peer: IpAddr,
    /// The address of ours that was connected to.
    pub local: IpAddr,
    /// Whether it is over TLS.
    pub tls: bool,
}

/// Who asks, as far as it is known.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// Anybody, where there is no token.
    Anybody,
    /// Somebody who has logged in; what the forms of the session repeat.
    LoggedIn(String),
    /// A program that shows the token.
    Machine,
    /// Somebody who has shown nothing.
    Nobody,
}

impl Caller {
    /// What forms have to repeat; `None` for who gets no forms.
    pub(super) fn csrf(&self) -> Option<String> {
        match self {
            Self::LoggedIn(csrf) => Some(csrf.clone()),
            _ => None,
        }
    }
}

/// The keeper of names, token and sessions.
pub(super) struct Gate {
    names: Vec<String>,
    token_file: Option<PathBuf>,
    sessions: Mutex<Sessions>,
    attempts: Mutex<Attempts>,
}

impl Gate {
    pub(super) fn new(names: Vec<String>, token_file: Option<PathBuf>) -> Self {
        Self { names, token_file, sessions: Mutex::default(), attempts: Mutex::default() }
    }

    /// Whether there is a token to log in with.
    pub(super) fn has_token(&self) -> bool {
        self.token_file.is_some()
    }

    /// The token as it is now; without one that can be read nobody comes in.
    async fn token(&self) -> Option<Digest> {
        let file = self.token_file.clone()?;
        match tokio::task::spawn_blocking(move || secret::token(&file)).await.ok()? {
            Ok(token) => Some(token),
            Err(error) => {
                // Whoever asks chooses how often; the operator finds out by not getting in.
                debug!(%error, "token of the admin page not read");
                None
            }
        }
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every request passes: the name it asks by, where it comes from, who sends it.
pub(super) async fn guard(
    State(page): State<Page>,
    Extension(ends): Extension<Ends>,
    request: Request,
    next: Next,
) -> Response {
    let answered = timeout(ANSWER_MAX, pass(&page, ends, request, next)).await;
    let too_long = "The daemon took too long over this answer.";
    answer::bound(
        answered.unwrap_or_else(|_| {
            answer::refusal(StatusCode::SERVICE_UNAVAILABLE, "No answer in time", too_long)
        }),
    )
}

async fn pass(page: &Page, ends: Ends, mut request: Request, next: Next) -> Response {
    let gate = &page.0.gate;
    let asked = host::asked_for(request.uri(), request.headers());
    let Some(asked) = asked.filter(|asked| host::is_ours(asked, &gate.names, ends.local)) else {
        let why = "This host does not answer to that name. If it should, write the name under admin.names.";
        return answer::refusal(StatusCode::MISDIRECTED_REQUEST, "Not this host", why);
    };
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && !host::is_our_own(request.headers()) {
        let why = "This was sent by a page that is not ours.";
        return answer::refusal(StatusCode::FORBIDDEN, "Refused", why);
    }
    if !gate.has_token() && host::is_forwarded(request.headers()) {
        let why = "A proxy sends this for somebody else, who would need a token: set admin.token_file.";
        return answer::refusal(StatusCode::FORBIDDEN, "Refused", why);
    }
    // A proxy that has a name for us speaks TLS to browsers, or should.
    let secure = ends.tls || !host::is_loopback(&asked);
    let caller = match caller(page, ends.peer, secure, request.headers()).await {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let path = request.uri().path();
    if matches!(caller, Caller::Nobody) && !FOR_EVERYBODY.contains(&path) {
        return ask_for_token(request.headers(), changes);
    }
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(Secure(secure));
    next.run(request).await
}

/// Whether browsers send the session's cookie over TLS only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secure(bool);

async fn caller(page: &Page, peer: IpAddr, secure: bool, headers: &HeaderMap) -> Result<Caller, Response> {
    let gate = &page.0.gate;
    if !gate.has_token() {
        return Ok(Caller::Anybody);
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(shown) = bearer.and_then(|value| value.strip_prefix("Bearer ")) {
        return show_token(page, peer, shown.trim()).await.map(|_| Caller::Machine);
    }
    let Some(cookie) = cookie(headers, secure) else { return Ok(Caller::Nobody) };
    let Some(token) = gate.token().await else { return Ok(Caller::Nobody) };
    let now = page.0.sources.clock.now();
    let csrf = gate.sessions().csrf(cookie, token, now).map(str::to_owned);
    Ok(csrf.map_or(Caller::Nobody, Caller::LoggedIn))
}

/// Holds what `peer` shows against the token; few tries are free.
async fn show_token(page: &Page, peer: IpAddr, shown: &str) -> Result<Digest, Response> {
    let (gate, now) = (&page.0.gate, page.0.sources.clock.now());
    if !gate.attempts().may(peer, now) {
        let why = "Too many wrong tokens came from this address. Wait five minutes.";
        let refusal = answer::refusal(StatusCode::TOO_MANY_REQUESTS, "Wait a little", why);
        return Err(([(header::RETRY_AFTER, "300")], refusal).into_response());
    }
    match gate.token().await.filter(|token| *token == Digest::of(shown.as_bytes())) {
        Some(token) => Ok(token),
        None => {
            gate.attempts().failed(peer, now);
            debug!(%peer, "wrong token shown to the admin page");
            Err(unauthorized())
        }
    }
}

fn unauthorized() -> Response {
    let refusal = answer::refusal(StatusCode::UNAUTHORIZED, "Not let in", "This is not the token.");
    ([(header::WWW_AUTHENTICATE, "Bearer")], refusal).into_response()
}

/// Browsers are led to the form; programs are told what they lack.
fn ask_for_token(headers: &HeaderMap, changes: bool) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") && !changes {
        return Redirect::to("/login").into_response();
    }
    let why = "Log in at /login, or show the token: Authorization: Bearer TOKEN";
    let refusal = answer::refusal(StatusCode::UNAUTHORIZED, "Not logged in", why);
    ([(header::WWW_AUTHENTICATE, "Bearer")], refusal).into_response()
}

fn cookie(headers: &HeaderMap, secure: bool) -> Option<&str> {
    let name = cookie_name(secure);
    let fields = headers.get_all(header::COOKIE).iter().filter_map(|field| field.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn cookie_name(secure: bool) -> &'static str {
    COOKIES.iter().find(|(is, _)| *is == secure).map_or("", |(_, name)| name)
}

/// The cookie as it is set; with an empty value it is taken away.
fn set_cookie(value: &str, secure: bool) -> Option<HeaderValue> {
    let end = if value.is_empty() { "; Max-Age=0" } else { "" };
    let only_tls = if secure { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{only_tls}{end}", cookie_name(secure));
    HeaderValue::from_str(&text).ok()
}

/// Proof that whoever sent this request may act, and meant to.
pub(super) struct Acting;

/// What every form repeats.
#[derive(Deserialize)]
struct Repeated {
    #[serde(default)]
    csrf: String,
}

impl FromRequest<Page> for Acting {
    type Rejection = Response;

    async fn from_request(request: Request, page: &Page) -> Result<Self, Response> {
        match request.extensions().get::<Caller>().cloned() {
            // Only what was told the token sends it; no browser does so by itself.
            Some(Caller::Machine) => Ok(Self),
            Some(Caller::LoggedIn(csrf)) => {
                let Form(form) = Form::<Repeated>::from_request(request, page)
                    .await
                    .map_err(IntoResponse::into_response)?;
                let why =
                    "This form is not of this session any more. Go back, load the page anew and try again.";
                let same = Digest::of(form.csrf.as_bytes()) == Digest::of(csrf.as_bytes());
                if same { Ok(Self) } else { Err(answer::refusal(StatusCode::FORBIDDEN, "Refused", why)) }
            }
            _ => {
                let why =
                    "Without admin.token_file this page only shows. Set it, or use the command mta-stsd.";
                Err(answer::refusal(StatusCode::FORBIDDEN, "Refused", why))
            }
        }
    }
}

#[derive(Template)]
#[template(path = "login.html")]
struct LogIn {
    frame: Frame,
    wrong: bool,
}

pub(super) async fn show_login(State(page): State<Page>) -> Response {
    if !page.0.gate.has_token() {
        return Redirect::to("/").into_response();
    }
    answer::page(StatusCode::OK, &LogIn { frame: Frame::plain("Log in"), wrong: false })
}

#[derive(Deserialize)]
pub(super) struct Token {
    #[serde(default)]
    token: String,
}

pub(super) async fn log_in(
    State(page): State<Page>,
    Extension(ends): Extension<Ends>,
    Extension(Secure(secure)): Extension<Secure>,
    Form(form): Form<Token>,
) -> Response {
    if !page.0.gate.has_token() {
        return Redirect::to("/").into_response();
    }
    let token = match show_token(&page, ends.peer, form.token.trim()).await {
        Ok(token) => token,
        Err(refusal) if refusal.status() == StatusCode::UNAUTHORIZED => {
            let again = LogIn { frame: Frame::plain("Log in"), wrong: true };
            return answer::page(StatusCode::UNAUTHORIZED, &again);
        }
        Err(refusal) => return refusal,
    };
    let opened = page.0.gate.sessions().open(token, page.0.sources.clock.now());
    match opened.and_then(|cookie| set_cookie(&cookie, secure)) {
        Some(cookie) => {
            info!(peer = %ends.peer, "logged in to the admin page");
            ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
        }
        None => {
            error!("no random octets for a session of the admin page");
            answer::refusal(StatusCode::SERVICE_UNAVAILABLE, "Not now", "The system has no random octets.")
        }
    }
}

pub(super) async fn log_out(
    State(page): State<Page>,
    Extension(Secure(secure)): Extension<Secure>,
    headers: HeaderMap,
    _: Acting,
) -> Response {
    if let Some(cookie) = cookie(&headers, secure) {
        page.0.gate.sessions().close(cookie);
    }
    let taken = set_cookie("", secure).map(|cookie| [(header::SET_COOKIE, cookie)]);
    (taken.map(IntoIterator::into_iter).into_iter().flatten().collect::<HeaderMap>(), Redirect::to("/login"))
        .into_response()
}
