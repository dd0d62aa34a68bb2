//! The way to the poller from every thread: a bounded queue of accounts whose usage somebody wants to know now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::provider::quota::Document;

/// Questions that wait at most (accounts §4.4).
const QUEUE: usize = 100;

/// Why usage is not asked for now.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PollRefused {
    /// It was asked less than 30 s ago.
    #[error("usage was asked for less than 30 seconds ago; try again then")]
    TooSoon {
        /// When it may be asked again, Unix ms.
        next: UnixMs,
    },
    /// The provider tells usage nowhere, or only in response headers.
    #[error("this provider has no usage page; its quota is known from replies, if at all")]
    NoEndpoint,
    /// No such account, or one that cannot be used: switched off, dead, or not configured.
    #[error(
        "the account cannot be asked: it is switched off, needs a new credential, or was removed"
    )]
    Unusable,
    /// Too many questions wait, or the router is stopping.
    #[error("too many usage questions are waiting; try again in a minute")]
    Busy,
}

/// One question.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) account: AccountId,
    /// `None`: nobody waits for the answer.
    pub(super) answer: Option<oneshot::Sender<Answer>>,
}

/// The document after the look; that the look failed stands in it (`stale`, `message`).
pub(super) type Answer = Result<Arc<Document>, PollRefused>;

/// Asks for usage. Clones of the process share one queue.
#[derive(Debug)]
pub struct QuotaPolls {
    sender: mpsc::Sender<Ask>,
    /// Until the poller takes it.
    receiver: Mutex<Option<mpsc::Receiver<Ask>>>,
}

impl Default for QuotaPolls {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl QuotaPolls {
    /// Asks for one account's usage and waits for the answer. A look that failed is an answer, too: the document says
    /// that it is stale, and why.
    ///
    /// # Errors
    /// When it is not asked at all.
    pub async fn ask(&self, account: AccountId) -> Answer {
        if self.receiver().is_some() {
            // Nobody is there who would answer.
            return Err(PollRefused::Busy);
        }
        let (answer, answered) = oneshot::channel();
        let ask = Ask { account, answer: Some(answer) };
        self.sender.try_send(ask).map_err(|_full_or_stopping| PollRefused::Busy)?;
        // Dropped unanswered: the poller stopped.
        answered.await.unwrap_or(Err(PollRefused::Busy))
    }

    /// The account's usage should be looked at soon; nobody waits. A full queue forgets it: the next round comes by.
    pub fn wish(&self, account: AccountId) {
        drop(self.sender.try_send(Ask { account, answer: None }));
    }

    /// The other end, once.
    pub(super) fn take(&self) -> Option<mpsc::Receiver<Ask>> {
        self.receiver().take()
    }

    fn receiver(&self) -> MutexGuard<'_, Option<mpsc::Receiver<Ask>>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
