//! A worker's questions to the router, asked together.
//!
//! To wake the control plane costs a worker about what the answer costs that thread. So a question waits until
//! everything that is ready on the worker has had its turn, and what others ask meanwhile goes along in one message.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::SendError;
use actix::{Addr, MailboxError, Message};
use tokio::sync::{Notify, oneshot};

use crate::actors::checkout::{Checked, Checkout};
use crate::actors::reports;
use crate::actors::router::Router;

/// A question, and where its answer goes. Nobody there any more: what was lent comes back by itself.
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub checkout: Checkout,
    /// Takes the answer.
    pub answer: oneshot::Sender<Checked>,
}

/// Questions of one worker, in the order in which they were asked.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Questions(pub Vec<Question>);

/// What a worker has to ask. Belongs to its thread.
#[derive(Debug)]
pub struct Outbox {
    held: Rc<RefCell<Vec<Question>>>,
    /// Told when something is held.
    begun: Rc<Notify>,
}

impl Outbox {
    /// Questions to `router`, whichever it is when they go. A task of this thread's runtime sends them.
    #[must_use]
    pub fn to(router: Rc<RefCell<Addr<Router>>>) -> Self {
        let outbox = Self { held: Rc::default(), begun: Rc::default() };
        let (held, begun) = (Rc::clone(&outbox.held), Rc::clone(&outbox.begun));
        actix::spawn(async move {
            loop {
                // Woken like every other task, this one comes after those that were ready before.
                begun.notified().await;
                let questions = Questions(held.take());
                // They would wake the same thread.
                reports::send_held();
                let sent = router.borrow().try_send(questions);
                if let Err(SendError::Full(questions)) = sent {
                    let room = router.borrow().send(questions);
                    // A router that died answers nobody; those who wait see that.
                    let _died = room.await;
                }
            }
        });
        outbox
    }

    /// Asks, and waits for the answer, for `patience` at most.
    ///
    /// # Errors
    /// When the router died or does not answer in time. The journey is lost with it.
    pub async fn ask(
        &self,
        checkout: Checkout,
        patience: Duration,
    ) -> Result<Checked, MailboxError> {
        let (answer, told) = oneshot::channel();
        self.held.borrow_mut().push(Question { checkout, answer });
        self.begun.notify_one();
        match tokio::time::timeout(patience, told).await {
            Ok(answered) => answered.map_err(|_died| MailboxError::Closed),
            Err(_elapsed) => Err(MailboxError::Timeout),
        }
    }
}
