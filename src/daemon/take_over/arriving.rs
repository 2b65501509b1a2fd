//! The new daemon: asks the old one for its sockets and its store, or starts where there is no old one.

use super::{PROMPT, Talk, Word, prompt};
use crate::{
    admin::client::{self, AskError},
    config::{Listen, Server},
    daemon::StartError,
    listening::{ListenError, Listeners, PassedSocket, Passer, listen},
};
use bytes::Bytes;
use std::{io, path::Path};
use tokio::time::timeout;
use tracing::{info, warn};

/// How a daemon comes to its sockets and its store.
#[derive(Debug)]
pub(in crate::daemon) struct Arrival {
    /// Sockets that were passed to us, by whom.
    passed: (Vec<PassedSocket>, Passer),
    listeners: Option<Listeners>,
    old: Option<Talk>,
}

/// Why the running daemon's place was not taken; it goes on.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// It could not be asked.
    #[error("the running daemon could not be asked: stop it, then start this one")]
    Ask(#[source] AskError),
    /// It goes on by itself.
    #[error("the running daemon refused: {0}")]
    Refused(String),
    /// The stream between us broke, or made no sense.
    #[error("the running daemon was not understood")]
    Broken(#[source] io::Error),
}

impl Arrival {
    /// With the sockets that a service manager passed, if any.
    pub fn alone(passed: Vec<PassedSocket>) -> Self {
        Self { passed: (passed, Passer::Manager), listeners: None, old: None }
    }

    /// Reaches the daemon that answers at the status socket of `server`; where there is none, nothing
    /// changes.
    ///
    /// # Errors
    ///
    /// [`TakeOverError`].
    pub async fn reach_old(&mut self, status_socket: &Path) -> Result<(), TakeOverError> {
        let stream = match client::take_over(status_socket).await {
            Ok(stream) => stream,
            Err(AskError::Connect(error)) if is_nobody(&error) => {
                info!(socket = %status_socket.display(), "no daemon to take over from");
                return Ok(());
            }
            Err(error) => return Err(TakeOverError::Ask(error)),
        };
        let mut talk = Talk::new(stream, Bytes::new());
        talk.say(&Word::Lend).await.map_err(TakeOverError::Broken)?;
        let count = match prompt(talk.hear()).await.map_err(TakeOverError::Broken)? {
            Some(Word::Sockets(count)) => count,
            word => return Err(unexpected(word)),
        };
        let sockets = talk.receive(count).await.map_err(TakeOverError::Broken)?;
        // Those of a service manager are the same ones, or the ones that are wanted.
        if self.passed.0.is_empty() {
            self.passed = (sockets, Passer::Predecessor);
        }
        self.old = Some(talk);
        Ok(())
    }

    /// Whether another daemon runs, whose place we take.
    pub fn has_old(&self) -> bool {
        self.old.is_some()
    }

    /// Listens on every address, and tells what does not agree. The sockets are handed out once.
    ///
    /// # Errors
    ///
    /// [`ListenError`] for a socket that cannot be used.
    pub fn listen(&mut self, server: &Server) -> Result<Listeners, ListenError> {
        if let Some(listeners) = self.listeners.take() {
            return Ok(listeners);
        }
        let (passed, passer) = (std::mem::take(&mut self.passed.0), self.passed.1);
        let Listen { https, http, backend, .. } = &server.listen;
        let listeners = listen(https, http, backend, &server.admin.listen, passed, passer)?;
        for remark in &listeners.remarks {
            warn!("{remark}");
        }
        Ok(listeners)
    }

    /// Makes the old daemon stop writing, if there is one, after everything that may go wrong without that.
    ///
    /// # Errors
    ///
    /// [`StartError`] when it refuses, or a socket cannot be used.
    pub async fn hold(&mut self, server: &Server) -> Result<(), StartError> {
        if self.old.is_some() {
            self.listeners = Some(self.listen(server)?);
        }
        Ok(self.ask_to_hold().await?)
    }

    async fn ask_to_hold(&mut self) -> Result<(), TakeOverError> {
        let Some(talk) = &mut self.old else { return Ok(()) };
        info!("waiting for the running daemon to let go of the store; its orders may have to end first");
        talk.say(&Word::Hold).await.map_err(TakeOverError::Broken)?;
        // It has its own limits on what it waits for.
        match talk.hear().await.map_err(TakeOverError::Broken)? {
            Some(Word::Held) => Ok(()),
            // Gone without a word: the store's lock tells whether that is so.
            None => Ok(()),
            word => Err(unexpected(word)),
        }
    }

    /// Says that everything is built, and waits until the old daemon accepts no more. From now on there is
    /// no way back.
    ///
    /// # Errors
    ///
    /// [`TakeOverError`] when the old daemon has gone on by itself meanwhile.
    pub async fn ready(&mut self) -> Result<(), TakeOverError> {
        let Some(mut talk) = self.old.take() else { return Ok(()) };
        // If it cannot be told, what it has said or its end tells the rest.
        let _ = talk.say(&Word::Ready).await;
        match timeout(PROMPT, talk.hear()).await {
            Ok(Ok(Some(Word::Yours))) => info!("took over from the daemon before"),
            Ok(Ok(Some(word))) => return Err(unexpected(Some(word))),
            // We have the store's lock and its sockets, and nobody else will come.
            Ok(Ok(None) | Err(_)) => warn!("the daemon before ended without a word, taking its place"),
            Err(_) => warn!("the daemon before hangs, taking its place"),
        }
        Ok(())
    }
}

fn unexpected(word: Option<Word>) -> TakeOverError {
    match word {
        Some(Word::Refused(why)) => TakeOverError::Refused(why),
        Some(word) => TakeOverError::Broken(super::not_understood(&format!("{word:?}"))),
        None => TakeOverError::Broken(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Whether the error says that nobody listens, and not that we may not ask.
fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
