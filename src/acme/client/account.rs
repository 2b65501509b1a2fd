//! Our account at the authority: one for each directory, opened when the first order needs it.
//!
//! The account's key is kept *before* it is registered, and looked up at the authority before an
//! account is made for it, so that a crash at any instant leads back to the same account. The
//! exception is External Account Binding: there the library makes the key itself and hands it out
//! together with the account. A crash in the moment between the authority's answer and our write
//! loses that account, and the operator asks for a new binding.

use super::{
    Account, AccountBuilder, Error, ExternalAccountKey, Key, NONCE_PAUSE, NONCE_REPEATS, NewAccount, insist,
    is_problem, sort,
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
use http::Request;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Deserialize;
use std::sync::Arc;
use tokio::{sync::Mutex, time::Instant};
use tracing::info;
use zeroize::Zeroizing;

/// MAC keys are handed out in base64url, with or without padding.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An account ready for orders.
pub(super) struct Session {
    pub account: Account,
    /// Its key, for the answers to challenges.
    pub key: PrivateKey,
}

/// Opens the account once, for all orders that need it.
pub(super) struct Registrar {
    directory: String,
    settings: config::AuthoritySettings,
    storage: Arc<dyn Storage>,
    transport: Transport,
    opened: Mutex<Opened>,
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
        Self { directory, settings, storage, transport, opened: Mutex::default() }
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
        let is_unknown = |session| unknown.as_ref().is_some_and(|unknown| Arc::ptr_eq(unknown, session));
        if let Some(session) = opened.session.as_ref().filter(|session| !is_unknown(session)) {
            return Ok(Arc::clone(session));
        }
        // Whoever waited while somebody else failed shares the failure. Trying one after the other
        // would make the last of them wait for all timeouts in a row.
        if let Some((_, error)) = opened.failed.as_ref().filter(|(failed_at, _)| *failed_at >= asked_at) {
            return Err(error.clone());
        }
        match self.open(unknown.is_some()).await {
            Ok(session) => Ok(Arc::clone(opened.session.insert(Arc::new(session)))),
            Err(error) => {
                *opened = Opened { session: None, failed: Some((Instant::now(), error.clone())) };
                Err(error)
            }
        }
    }

    async fn open(&self, forgotten: bool) -> Result<Session, IssueError> {
        let key = self.storage.credential(&self.key_name()).await.map_err(not_kept)?;
        let key = key.map(|der| PrivateKey::from_pkcs8(der.to_vec()));
        let url = self.storage.credential(&self.url_name()).await.map_err(not_kept)?;
        match (key, url) {
            (Some(key), Some(url)) if !forgotten => self.restore(key, &url).await,
            (key, _) => self.register(key).await,
        }
    }

    async fn restore(&self, key: PrivateKey, url: &[u8]) -> Result<Session, IssueError> {
        let url = String::from_utf8_lossy(url).into_owned();
        let directory = self.directory.clone();
        let account = self.builder().from_parts(url, key.pkcs8().into(), directory).await.map_err(refused)?;
        Ok(Session { account, key })
    }

    async fn register(&self, kept: Option<PrivateKey>) -> Result<Session, IssueError> {
        let session = match kept {
            Some(key) => match self.look_up(&key).await? {
                Some(account) => Session { account, key },
                None => self.create(Some(key)).await?,
            },
            None => self.create(None).await?,
        };
        if self.settings.external_account.is_none() && !self.settings.contact.is_empty() {
            let contact = self.contact();
            insist!(session.account.update_contacts(&contact)).map_err(refused)?;
        }
        let url = session.account.id();
        self.storage.save_credential(&self.url_name(), url.as_bytes()).await.map_err(not_kept)?;
        info!(directory = self.directory, account = printable(url), "account registered");
        Ok(session)
    }

    /// The account that `key` has at the authority, if any (RFC 8555 §7.3.1).
    async fn look_up(&self, key: &PrivateKey) -> Result<Option<Account>, IssueError> {
        let directory = &self.directory;
        match insist!(async { self.builder().from_key(library_key(key)?, directory.clone()).await }) {
            Ok((account, _)) => Ok(Some(account)),
            Err(error) if is_problem(&error, "accountDoesNotExist") => Ok(None),
            Err(error) => Err(refused(error)),
        }
    }

    async fn create(&self, kept: Option<PrivateKey>) -> Result<Session, IssueError> {
        self.check_terms().await?;
        let directory = &self.directory;
        if let Some(external) = &self.settings.external_account {
            let binding = read_binding(external).await?;
            let contact = self.contact();
            let account =
                NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
            let (account, credentials) =
                insist!(self.builder().create(&account, directory.clone(), Some(&binding)))
                    .map_err(refused)?;
            let key = PrivateKey::from_pkcs8(credentials.private_key().secret_pkcs8_der().to_vec());
            self.keep_key(&key).await?;
            return Ok(Session { account, key });
        }
        let key = match kept {
            Some(key) => key,
            None => {
                let (_, der) = Key::generate_pkcs8().map_err(refused)?;
                let key = PrivateKey::from_pkcs8(der.secret_pkcs8_der().to_vec());
                self.keep_key(&key).await?;
                key
            }
        };
        let (account, _) =
            insist!(async { self.builder().create_from_key(library_key(&key)?, directory.clone()).await })
                .map_err(refused)?;
        Ok(Session { account, key })
    }

    /// Terms of service are agreed to by the operator, never silently.
    async fn check_terms(&self) -> Result<(), IssueError> {
        #[derive(Deserialize)]
        struct Described {
            #[serde(default)]
            meta: Meta,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Meta {
            terms_of_service: Option<String>,
        }

        if self.settings.terms_of_service_agreed {
            return Ok(());
        }
        let unreachable = |detail: String| IssueError::Unreachable { detail: printable(&detail) };
        let request = Request::get(&self.directory).body(Bytes::new());
        let request = request.map_err(|error| unreachable(error.to_string()))?;
        let answer =
            self.transport.send(request).await.map_err(|error| refused(Error::Other(error.into())))?;
        let described: Described =
            serde_json::from_slice(answer.body()).map_err(|error| unreachable(error.to_string()))?;
        match described.meta.terms_of_service {
            None => Ok(()),
            Some(terms) => Err(IssueError::Account {
                detail: printable(&format!(
                    "read its terms of service at {terms}, then set acme.terms_of_service_agreed = true"
                )),
            }),
        }
    }

    async fn keep_key(&self, key: &PrivateKey) -> Result<(), IssueError> {
        self.storage.save_credential(&self.key_name(), key.pkcs8()).await.map_err(not_kept)
    }

    fn builder(&self) -> AccountBuilder {
        Account::builder_with_http(Box::new(self.transport.clone()))
    }

    fn contact(&self) -> Vec<&str> {
        self.settings.contact.iter().map(String::as_str).collect()
    }

    /// Where the account's key is kept.
    fn key_name(&self) -> String {
        format!("acme-account:{}", self.directory)
    }

    /// Where the account's URL is kept, once the authority has given one.
    fn url_name(&self) -> String {
        format!("acme-account-url:{}", self.directory)
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
