//! Our account at the authority: one for each directory, opened when the first order needs it.
//!
//! The account's key is kept *before* it is registered, and looked up at the authority before an
//! account is made for it, so that a crash at any instant leads back to the same account. The
//! exception is External Account Binding: there the library makes the key itself and hands it out
//! together with the account. A crash in the moment between the authority's answer and our write
//! loses that account, and the operator asks for a new binding.

use super::{
    Account, AccountBuilder, Error, ExternalAccountKey, Key, NONCE_PAUSE, NONCE_REPEATS, NewAccount,
    failure::{is_problem, sort, sort_answer, sort_transport, unreachable},
    insist, kept,
};
use crate::{
    acme::{
        authority::IssueError,
        problem::{Stage, printable},
        transport::Transport,
    },
    certificate::PrivateKey,
    config,
    storage::{Storage, StorageError},
};
use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use http::{Request, Response};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Instant,
};
use tracing::{debug, info, warn};
use zeroize::Zeroizing;

/// MAC keys are handed out in base64url, with or without padding.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How long a directory is believed: authorities add profiles and renewal information in passing.
const SESSION_LONGEST: Duration = Duration::from_secs(86_400);

/// An account ready for orders.
pub(super) struct Session {
    pub account: Account,
    /// Its key, for the answers to challenges.
    pub key: PrivateKey,
    pub directory: Directory,
    opened_at: Instant,
}

/// What the library leaves out of the authority's directory (RFC 8555 §7.1.1).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Directory {
    pub new_nonce: String,
    pub key_change: Option<String>,
    pub renewal_info: Option<String>,
    #[serde(default)]
    pub meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub terms_of_service: Option<String>,
    pub caa_identities: Vec<String>,
}

/// Opens the account once, for all orders that need it.
pub(super) struct Registrar {
    pub(super) directory: String,
    settings: config::AuthoritySettings,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) transport: Transport,
    opened: Mutex<Opened>,
    /// Held by all that sign with the account's key, and alone by whoever changes it.
    use_of_key: RwLock<()>,
}

#[derive(Default)]
struct Opened {
    session: Option<Arc<Session>>,
    failed: Option<(Instant, IssueError)>,
}

impl Registrar {
    pub fn new(
        directory: &str,
        settings: &config::AuthoritySettings,
        storage: Arc<dyn Storage>,
        transport: Transport,
    ) -> Self {
        let (directory, settings) = (directory.to_owned(), settings.clone());
        Self {
            directory,
            settings,
            storage,
            transport,
            opened: Mutex::default(),
            use_of_key: RwLock::default(),
        }
    }

    /// While this is held, the account keeps its key.
    pub async fn in_use(&self) -> RwLockReadGuard<'_, ()> {
        self.use_of_key.read().await
    }

    /// While this is held, nobody signs with the account's key.
    pub async fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.use_of_key.write().await
    }

    /// From now on the account is opened anew, from what the store has.
    pub async fn close(&self) {
        *self.opened.lock().await = Opened::default();
    }

    /// The account; opened at first need, and registered again when it is the `unknown` one, which the
    /// authority has forgotten.
    pub async fn session(
        self: &Arc<Self>,
        unknown: Option<&Arc<Session>>,
    ) -> Result<Arc<Session>, IssueError> {
        let (registrar, unknown, asked_at) = (Arc::clone(self), unknown.cloned(), Instant::now());
        // In a task of its own: an order may be cancelled at any await, half an account may not be.
        let task = tokio::spawn(async move { registrar.open_once(unknown, asked_at).await });
        task.await.unwrap_or_else(|error| Err(IssueError::Unreachable { detail: error.to_string() }))
    }

    async fn open_once(
        &self,
        unknown: Option<Arc<Session>>,
        asked_at: Instant,
    ) -> Result<Arc<Session>, IssueError> {
        let mut opened = self.opened.lock().await;
        let is_unknown =
            |session: &Arc<Session>| unknown.as_ref().is_some_and(|unknown| Arc::ptr_eq(unknown, session));
        let known = opened.session.clone().filter(|session| !is_unknown(session));
        if let Some(session) = known.as_ref().filter(|session| session.opened_at.elapsed() < SESSION_LONGEST)
        {
            return Ok(Arc::clone(session));
        }
        // Whoever waited while somebody else failed shares the failure. Trying one after the other
        // would make the last of them wait for all timeouts in a row.
        if let Some((_, error)) = opened.failed.as_ref().filter(|(failed_at, _)| *failed_at >= asked_at) {
            return Err(error.clone());
        }
        match (self.open(unknown.is_some()).await, known) {
            // A directory of yesterday is better than none.
            (Err(error), Some(session)) => {
                debug!(directory = self.directory, %error, "directory not read again");
                Ok(session)
            }
            (Ok(session), _) => Ok(Arc::clone(opened.session.insert(Arc::new(session)))),
            (Err(error), None) => {
                *opened = Opened { session: None, failed: Some((Instant::now(), error.clone())) };
                Err(error)
            }
        }
    }

    async fn open(&self, forgotten: bool) -> Result<Session, IssueError> {
        let directory = self.read_directory().await?;
        self.finish_key_change().await?;
        let key = self.kept(&self.key_name()).await?.map(|der| PrivateKey::from_pkcs8(der.to_vec()));
        let url = self.kept(&self.url_name()).await?;
        let session = match (key, url) {
            (Some(key), Some(url)) if !forgotten => self.restore(key, &url, directory).await,
            (key, _) => self.register(key, directory).await,
        }?;
        self.note_caa_identities(&session.directory).await;
        Ok(session)
    }

    /// Keeps by what CAA records may name the authority, for those who say what to publish. An order is
    /// as good without.
    async fn note_caa_identities(&self, directory: &Directory) {
        let (name, identities) = (kept::caa_name(&self.directory), directory.meta.caa_identities.join(" "));
        match self.kept(&name).await {
            Ok(Some(known)) if *known == identities.as_bytes() => {}
            Ok(None) if identities.is_empty() => {}
            _ => {
                if let Err(error) = self.keep(&name, identities.as_bytes()).await {
                    debug!(directory = self.directory, %error, "CAA identities not kept");
                }
            }
        }
    }

    async fn restore(
        &self,
        key: PrivateKey,
        url: &[u8],
        directory: Directory,
    ) -> Result<Session, IssueError> {
        let url = String::from_utf8_lossy(url).into_owned();
        let account = self.builder().from_parts(url, key.pkcs8().into(), self.directory.clone()).await;
        let session = Session::new(account.map_err(refused)?, key, directory);
        let told = self.kept(&self.contact_name()).await?;
        if told.is_none_or(|told| *told != self.contact_text().into_bytes()) {
            // The account is as good with an old contact, so this stops nobody.
            if let Err(error) = self.tell_contact(&session).await {
                warn!(directory = self.directory, %error, "authority did not take the account's contact");
            }
        }
        Ok(session)
    }

    async fn register(&self, kept: Option<PrivateKey>, directory: Directory) -> Result<Session, IssueError> {
        let (account, key) = match kept {
            Some(key) => match self.look_up(&key).await? {
                Some(account) => (account, key),
                None => self.create(Some(key), &directory).await?,
            },
            None => self.create(None, &directory).await?,
        };
        let session = Session::new(account, key, directory);
        // With a binding the contact went along already.
        if self.settings.external_account.is_none() && !self.settings.contact.is_empty() {
            self.tell_contact(&session).await?;
        }
        let url = session.account.id();
        self.keep(&self.url_name(), url.as_bytes()).await?;
        info!(directory = self.directory, account = printable(url), "account registered");
        Ok(session)
    }

    /// Makes the authority's contact the configured one.
    async fn tell_contact(&self, session: &Session) -> Result<(), IssueError> {
        let contact: Vec<&str> = self.settings.contact.iter().map(String::as_str).collect();
        insist!(session.account.update_contacts(&contact)).map_err(refused)?;
        self.keep(&self.contact_name(), self.contact_text().as_bytes()).await?;
        info!(directory = self.directory, contact = self.contact_text(), "account's contact told");
        Ok(())
    }

    /// The account that `key` has at the authority, if any (RFC 8555 §7.3.1).
    pub(super) async fn look_up(&self, key: &PrivateKey) -> Result<Option<Account>, IssueError> {
        let directory = &self.directory;
        match insist!(async { self.builder().from_key(library_key(key)?, directory.clone()).await }) {
            Ok((account, _)) => Ok(Some(account)),
            Err(error) if is_problem(&error, "accountDoesNotExist") => Ok(None),
            Err(error) => Err(refused(error)),
        }
    }

    async fn create(
        &self,
        kept: Option<PrivateKey>,
        directory: &Directory,
    ) -> Result<(Account, PrivateKey), IssueError> {
        self.check_terms(directory)?;
        let directory = &self.directory;
        if let Some(external) = &self.settings.external_account {
            let binding = read_binding(external).await?;
            let contact: Vec<&str> = self.settings.contact.iter().map(String::as_str).collect();
            let account =
                NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
            let (account, credentials) =
                insist!(self.builder().create(&account, directory.clone(), Some(&binding)))
                    .map_err(refused)?;
            let key = PrivateKey::from_pkcs8(credentials.private_key().secret_pkcs8_der().to_vec());
            self.keep(&self.key_name(), key.pkcs8()).await?;
            self.keep(&self.contact_name(), self.contact_text().as_bytes()).await?;
            return Ok((account, key));
        }
        let key = match kept {
            Some(key) => key,
            None => {
                let (_, der) = Key::generate_pkcs8().map_err(refused)?;
                let key = PrivateKey::from_pkcs8(der.secret_pkcs8_der().to_vec());
                self.keep(&self.key_name(), key.pkcs8()).await?;
                key
            }
        };
        let (account, _) =
            insist!(async { self.builder().create_from_key(library_key(&key)?, directory.clone()).await })
                .map_err(refused)?;
        Ok((account, key))
    }

    /// Terms of service are agreed to by the operator, never silently.
    fn check_terms(&self, directory: &Directory) -> Result<(), IssueError> {
        match &directory.meta.terms_of_service {
            Some(terms) if !self.settings.terms_of_service_agreed => Err(IssueError::Account {
                detail: printable(&format!(
                    "read its terms of service at {terms}, then set acme.terms_of_service_agreed = true"
                )),
            }),
            _ => Ok(()),
        }
    }

    async fn read_directory(&self) -> Result<Directory, IssueError> {
        let answer = self.get(&self.directory).await?;
        if !answer.status().is_success() {
            return Err(sort_answer(&answer, Stage::Order));
        }
        serde_json::from_slice(answer.body()).map_err(|error| unreachable(format!("no directory: {error}")))
    }

    /// What a plain GET of `url` brings, problem documents included.
    pub async fn get(&self, url: &str) -> Result<Response<Bytes>, IssueError> {
        let request = Request::get(url).body(Bytes::new());
        let request = request.map_err(|error| unreachable(format!("{url}: {error}")))?;
        self.transport.send(request).await.map_err(|error| sort_transport(&error))
    }

    /// How long `answer` asks us to wait, if it does.
    pub fn retry_after(&self, answer: &Response<Bytes>) -> Option<Duration> {
        self.transport.retry_after(answer)
    }

    /// What is kept under `name`; what was forgotten is not.
    pub(super) async fn kept(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, IssueError> {
        let kept = self.storage.credential(name).await.map_err(not_kept)?;
        Ok(kept.filter(|kept| !kept.is_empty()))
    }

    pub(super) async fn keep(&self, name: &str, secret: &[u8]) -> Result<(), IssueError> {
        self.storage.save_credential(name, secret).await.map_err(not_kept)
    }

    /// Puts nothing in the place of what is kept under `name`.
    pub(super) async fn forget(&self, name: &str) -> Result<(), IssueError> {
        self.keep(name, b"").await
    }

    fn builder(&self) -> AccountBuilder {
        Account::builder_with_http(Box::new(self.transport.clone()))
    }

    /// The configured contact as it is kept and shown; never empty, for no contact is one as well.
    fn contact_text(&self) -> String {
        if self.settings.contact.is_empty() { "none".to_owned() } else { self.settings.contact.join(" ") }
    }

    /// Where the account's key is kept.
    pub(super) fn key_name(&self) -> String {
        format!("acme-account:{}", self.directory)
    }

    /// Where the key is kept that the account is being given.
    pub(super) fn next_key_name(&self) -> String {
        format!("acme-account-next:{}", self.directory)
    }

    /// Where the account's URL is kept, once the authority has given one.
    pub(super) fn url_name(&self) -> String {
        kept::url_name(&self.directory)
    }

    /// Where the contact is kept that the authority was told last.
    pub(super) fn contact_name(&self) -> String {
        format!("acme-account-contact:{}", self.directory)
    }
}

impl Session {
    fn new(account: Account, key: PrivateKey, directory: Directory) -> Self {
        Self { account, key, directory, opened_at: Instant::now() }
    }
}

/// The binding as the authority handed it out (RFC 8555 §7.3.4).
async fn read_binding(external: &config::ExternalAccount) -> Result<ExternalAccountKey, IssueError> {
    let unusable = |why: &str| {
        let file = external.mac_key_file.display();
        IssueError::Account { detail: printable(&format!("cannot use the MAC key in {file}: {why}")) }
    };
    let text = tokio::fs::read(&external.mac_key_file).await.map_err(|error| unusable(&error.to_string()))?;
    let text = Zeroizing::new(text);
    let key = BASE64_URL.decode(text.trim_ascii()).map_err(|_| unusable("it is not base64url"))?;
    Ok(ExternalAccountKey::new(external.key_id.clone(), &Zeroizing::new(key)))
}

fn library_key(key: &PrivateKey) -> Result<(Key, PrivateKeyDer<'static>), Error> {
    let der = PrivatePkcs8KeyDer::from(key.pkcs8());
    Ok((Key::from_pkcs8_der(der.clone_key())?, PrivateKeyDer::Pkcs8(der.clone_key())))
}

fn refused(error: Error) -> IssueError {
    sort(&error, Stage::Account)
}

/// Without a place for the account there is none: it would be made again and again.
fn not_kept(error: StorageError) -> IssueError {
    IssueError::Unreachable { detail: format!("the account cannot be kept: {error}") }
}
