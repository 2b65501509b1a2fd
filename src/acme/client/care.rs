//! Care of the account: showing it, giving it another key, closing it (RFC 8555 §7.3).
//!
//! A change of key survives a crash at any instant. The new key is kept before the authority hears of
//! it, the old one until the authority has agreed; whoever opens the account and finds two keys asks
//! the authority whose the account is.

use super::{
    AcmeAuthority, Key, NONCE_PAUSE, NONCE_REPEATS,
    account::{Registrar, Session},
    failure::{sort_answer, sort_transport, unreachable},
};
use crate::{
    acme::{
        authority::IssueError,
        problem::{ProblemDocument, Stage, printable},
        signed::SigningKey,
    },
    certificate::PrivateKey,
};
use bytes::Bytes;
use http::{HeaderMap, Request, header};
use serde::Deserialize;
use std::sync::Arc;
use tracing::info;

/// Shown contacts, and characters of each.
const CONTACTS_MAX: usize = 20;

/// Our account as the authority shows it. All of it is the authority's text, escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountShown {
    /// What identifies it; CAA records may name it (RFC 8657 §3).
    pub url: String,
    /// `valid`, `deactivated` (by us) or `revoked` (by the authority).
    pub status: String,
    /// Where the authority writes to.
    pub contact: Vec<String>,
}

impl AcmeAuthority {
    /// Our account; registered first when there is none yet.
    ///
    /// # Errors
    ///
    /// [`IssueError`] as for an order.
    pub async fn account(&self) -> Result<AccountShown, IssueError> {
        #[derive(Deserialize)]
        struct Shown {
            status: String,
            #[serde(default)]
            contact: Vec<String>,
        }
        let registrar = &self.registrar;
        let _in_use = registrar.in_use().await;
        let session = registrar.session(None).await?;
        // An empty payload asks for the account without changing it (§6.3).
        let answer = registrar.post(&session, session.account.id(), "").await?;
        let shown: Shown = serde_json::from_slice(&answer)
            .map_err(|error| unreachable(format!("an account that cannot be read: {error}")))?;
        Ok(AccountShown {
            url: printable(session.account.id()),
            status: printable(&shown.status),
            contact: shown.contact.iter().take(CONTACTS_MAX).map(|contact| printable(contact)).collect(),
        })
    }

    /// Gives the account a fresh key (§7.3.5). Waits for orders under way; new ones wait for it.
    ///
    /// # Errors
    ///
    /// [`IssueError`]; the account then has one of the two keys, and the next order finds out which.
    pub async fn change_key(&self) -> Result<(), IssueError> {
        let registrar = Arc::clone(&self.registrar);
        in_full(async move {
            let _alone = registrar.alone().await;
            registrar.change_key().await
        })
        .await
    }

    /// Closes the account for good and forgets its key (§7.3.6). Whatever orders next registers a new
    /// one, so take the authority out of the configuration, or know what you do: CAA records that name
    /// the old account forbid the new one.
    ///
    /// # Errors
    ///
    /// [`IssueError`]; the account is then as it was.
    pub async fn deactivate(&self) -> Result<(), IssueError> {
        let registrar = Arc::clone(&self.registrar);
        in_full(async move {
            let _alone = registrar.alone().await;
            let session = registrar.session(None).await?;
            let url = session.account.id();
            registrar.post(&session, url, r#"{"status":"deactivated"}"#).await?;
            registrar.close().await;
            for name in [registrar.key_name(), registrar.url_name(), registrar.contact_name()] {
                registrar.forget(&name).await?;
            }
            info!(directory = registrar.directory, account = printable(url), "account deactivated");
            Ok(())
        })
        .await
    }
}

impl Registrar {
    async fn change_key(self: &Arc<Self>) -> Result<(), IssueError> {
        let session = self.session(None).await?;
        let Some(resource) = &session.directory.key_change else {
            return Err(IssueError::Refused {
                detail: "the authority changes no keys of accounts".to_owned(),
            });
        };
        let (_, der) = Key::generate_pkcs8().map_err(|error| unreachable(error.to_string()))?;
        let next = PrivateKey::from_pkcs8(der.secret_pkcs8_der().to_vec());
        let (old, new) = (SigningKey::new(&session.key)?, SigningKey::new(&next)?);
        let proof = new.key_change(session.account.id(), &old, resource)?;
        self.keep(&self.next_key_name(), next.pkcs8()).await?;
        let changed = self.post(&session, resource, &proof.to_string()).await;
        // However that went, whoever opens the account next looks at both keys.
        self.close().await;
        changed?;
        self.adopt(&next).await
    }

    /// Ends a change of key that a crash or a lost answer has left open.
    pub(super) async fn finish_key_change(&self) -> Result<(), IssueError> {
        let Some(next) = self.kept(&self.next_key_name()).await? else { return Ok(()) };
        let next = PrivateKey::from_pkcs8(next.to_vec());
        match self.look_up(&next).await? {
            Some(_) => self.adopt(&next).await,
            None => self.forget(&self.next_key_name()).await,
        }
    }

    /// Makes `next` the account's key; it is kept twice for a moment, which is as good as once.
    async fn adopt(&self, next: &PrivateKey) -> Result<(), IssueError> {
        self.keep(&self.key_name(), next.pkcs8()).await?;
        self.forget(&self.next_key_name()).await?;
        info!(directory = self.directory, "account's key changed");
        Ok(())
    }

    /// What a request that the account signs brings; only a success is an answer.
    async fn post(&self, session: &Session, url: &str, payload: &str) -> Result<Bytes, IssueError> {
        let key = SigningKey::new(&session.key)?;
        let mut repeats = 0;
        loop {
            let nonce = self.nonce(&session.directory.new_nonce).await?;
            let body = key.request(session.account.id(), &nonce, url, payload)?.to_string();
            let request = Request::post(url)
                .header(header::CONTENT_TYPE, "application/jose+json")
                .body(Bytes::from(body))
                .map_err(|error| unreachable(format!("{url}: {error}")))?;
            let answer = self.transport.send(request).await.map_err(|error| sort_transport(&error))?;
            if answer.status().is_success() {
                return Ok(answer.into_body());
            }
            let bad_nonce = ProblemDocument::read(answer.body()).problem(None).word() == "badNonce";
            if !bad_nonce || repeats >= NONCE_REPEATS {
                return Err(sort_answer(&answer, Stage::Account));
            }
            repeats += 1;
            tokio::time::sleep(NONCE_PAUSE).await;
        }
    }

    async fn nonce(&self, url: &str) -> Result<String, IssueError> {
        let request = Request::head(url).body(Bytes::new());
        let request = request.map_err(|error| unreachable(format!("{url}: {error}")))?;
        let answer = self.transport.send(request).await.map_err(|error| sort_transport(&error))?;
        let nonce = |headers: &HeaderMap| Some(headers.get("replay-nonce")?.to_str().ok()?.to_owned());
        nonce(answer.headers()).ok_or_else(|| unreachable("the authority gives no nonces".to_owned()))
    }
}

/// Runs `work` to its end even when nobody waits for it any more: half a change is none.
async fn in_full(
    work: impl Future<Output = Result<(), IssueError>> + Send + 'static,
) -> Result<(), IssueError> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(unreachable(error.to_string())))
}
