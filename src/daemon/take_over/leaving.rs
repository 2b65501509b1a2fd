//! The old daemon: lends its sockets, lets go of the store, and ends when the new one is ready.

use super::{Talk, Word, is_end, prompt};
use crate::{
    acme::SchedulerHandle, admin::Newcomer, listening::PassedSocket, logging::chain, storage::SqliteStorage,
};
use rustix::net::sockopt::socket_peercred;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

/// The longest wait for the new daemon to open the store, which may have to be checked as a whole, and to
/// build its parts.
const BUILT: Duration = Duration::from_secs(600);
/// The wait before the store is taken back again.
const TAKE_BACK_AGAIN: Duration = Duration::from_secs(1);

/// What the daemon gives to another one that takes its place.
pub(in crate::daemon) struct Leaving {
    /// Handles on every listening socket.
    pub sockets: Vec<PassedSocket>,
    /// Who has to rest.
    pub scheduler: SchedulerHandle,
    /// The longest wait for that.
    pub longest_rest: Duration,
    /// Who writes to the store.
    pub storage: Arc<SqliteStorage>,
}

/// A daemon that is ready to take our place and waits for the word.
pub(in crate::daemon) struct Successor {
    talk: Talk,
    /// Its process, when the system knows.
    pub process: Option<u32>,
}

impl Successor {
    /// Tells it that nobody else accepts and writes any more.
    pub async fn go(mut self) {
        // If it is gone there is nothing to be done about it: its supervisor starts it anew.
        if let Err(error) = self.talk.say(&Word::Yours).await {
            error!(%error, "the new daemon is gone");
        }
    }
}

/// Why the new daemon did not take over.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("the new daemon is gone")]
    Gone,
    #[error("orders did not end, or what came of them cannot be stored")]
    NoRest,
    #[error("the store cannot be handed over")]
    Store(#[source] crate::storage::StorageError),
    #[error("the new daemon was not ready in time")]
    Late,
    #[error("the new daemon was not understood")]
    Broken(#[source] io::Error),
}

impl Leaving {
    /// Waits until a new daemon is ready to take our place; one that fails changes nothing for long.
    ///
    /// Daemons that want to take over come by `newcomers`.
    pub async fn successor(self, mut newcomers: mpsc::Receiver<Newcomer>) -> Successor {
        let mut next = None;
        loop {
            let Newcomer { stream, said } = match next.take() {
                Some(newcomer) => newcomer,
                None => match newcomers.recv().await {
                    Some(newcomer) => newcomer,
                    None => std::future::pending().await,
                },
            };
            let process =
                socket_peercred(&stream).ok().map(|peer| peer.pid.as_raw_nonzero().get().unsigned_abs());
            info!(process, "another daemon asks to take over");
            let mut talk = Talk::new(stream, said);
            let Err(why) = self.hand_over(&mut talk).await else { return Successor { talk, process } };
            warn!(why = %chain(&why), "not taken over, this daemon goes on");
            // It may be gone, which is why.
            let _ = talk.say(&Word::Refused(chain(&why).to_string())).await;
            drop(talk);
            // While the store cannot be had back, another new daemon may be what helps.
            next = tokio::select! {
                () = self.go_on() => None,
                newcomer = newcomers.recv() => newcomer,
            };
        }
    }

    async fn hand_over(&self, talk: &mut Talk) -> Result<(), NotTaken> {
        prompt(expect(talk, &Word::Lend)).await?;
        talk.say(&Word::Sockets(self.sockets.len())).await?;
        talk.send(&self.sockets).await?;
        prompt(expect(talk, &Word::Hold)).await?;
        let rested = tokio::select! {
            rested = self.scheduler.rest(self.longest_rest) => rested,
            // It has nothing to say now, so this is its end.
            said = talk.hear() => return Err(said.map_or_else(NotTaken::from, |_| NotTaken::Gone)),
        };
        if !rested {
            return Err(NotTaken::NoRest);
        }
        self.storage.hand_over().await.map_err(NotTaken::Store)?;
        info!("store handed over, serving goes on");
        talk.say(&Word::Held).await?;
        Ok(timeout(BUILT, expect(talk, &Word::Ready)).await.map_err(|_| NotTaken::Late)??)
    }

    /// Writes and orders again, as soon as the other daemon is gone.
    async fn go_on(&self) {
        let mut told = false;
        while let Err(error) = self.storage.take_back().await {
            if !std::mem::replace(&mut told, true) {
                error!(error = %chain(&error), "store not had back yet, serving goes on and nothing is ordered");
            }
            sleep(TAKE_BACK_AGAIN).await;
        }
        self.scheduler.wake().await;
    }
}

async fn expect(talk: &mut Talk, expected: &Word) -> io::Result<()> {
    match talk.hear().await? {
        Some(word) if word == *expected => Ok(()),
        Some(word) => Err(super::not_understood(&format!("{word:?}"))),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

impl From<io::Error> for NotTaken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Late,
            _ if is_end(&error) => Self::Gone,
            _ => Self::Broken(error),
        }
    }
}
