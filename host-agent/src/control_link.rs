//! The agent's end of the link to control, with every request turned into an [`Asker`].
//!
//! ```text
//!   signaling::link::client ── Up · Request · Down ──► ControlLink::next ──► agent
//!                       ▲                                    │ one task per request
//!                       └── Progress*, Reply ◄── Answers ────┘
//! ```
//!
//! The client dials, joins and dials again by itself; at most `REQUESTS_MAX` requests are open at once, so
//! there are at most that many tasks. It does not know what a request means.

use protocol::agent::{FromAgent, Request};
use signaling::link::client::{self, ClientError, Event, Greeting, Incoming, Link, Responder};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::asker::{Answers, Asker};

/// What comes over the link.
pub(crate) enum LinkEvent {
    /// Control waits for a Hello.
    Up(Greeting),
    /// Control wants something.
    Request(Request, Asker),
    /// The link is down and dialled again. Sessions go on.
    Down,
    /// The link has been given up, or ended because we asked for it.
    Ended(Result<(), ClientError>),
}

/// The link and its driver. Dropping it cuts the link.
pub(crate) struct ControlLink {
    link: Link,
    events: mpsc::Receiver<Event>,
    answering: JoinSet<()>,
    cancel: CancellationToken,
    driver: Option<AbortOnDropHandle<Result<(), ClientError>>>,
}

impl ControlLink {
    /// Starts the task that keeps the link up.
    pub(crate) fn start(config: client::Config) -> Self {
        let (link, events, driver) = client::link(config);
        let cancel = CancellationToken::new();
        let driver = tokio::spawn(driver.run(cancel.clone()));
        Self {
            link,
            events,
            answering: JoinSet::new(),
            cancel,
            driver: Some(AbortOnDropHandle::new(driver)),
        }
    }

    /// Tells control, without waiting.
    pub(crate) fn tell(&self, message: FromAgent) {
        self.link.tell(message);
    }

    /// The next event; after [`LinkEvent::Ended`] none comes any more. Safe to cancel.
    pub(crate) async fn next(&mut self) -> LinkEvent {
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Event::Up(greeting)) => return LinkEvent::Up(greeting),
                    Some(Event::Request(incoming)) => return self.take(incoming),
                    Some(Event::Down) => return LinkEvent::Down,
                    None => return LinkEvent::Ended(self.driver_end().await),
                },
                Some(_) = self.answering.join_next() => {}
            }
        }
    }

    /// Lets what was told leave, and ends the link.
    pub(crate) async fn close(mut self) {
        self.cancel.cancel();
        if let Err(error) = self.driver_end().await {
            tracing::debug!(%error, "the link to control was down when it was closed");
        }
    }

    fn take(&mut self, incoming: Incoming) -> LinkEvent {
        let (asker, answers) = Asker::new();
        self.answering.spawn(carry(answers, incoming.responder));
        LinkEvent::Request(incoming.request, asker)
    }

    async fn driver_end(&mut self) -> Result<(), ClientError> {
        match &mut self.driver {
            Some(driver) => {
                let end = driver.await;
                self.driver = None;
                end.unwrap_or_else(|error| Err(ClientError::Network(error.to_string())))
            }
            None => std::future::pending().await,
        }
    }
}

/// Carries one request's answers to control. Dropping the responder unanswered tells control that the call
/// broke, which is what happened when nobody replied.
async fn carry(mut answers: Answers, mut responder: Responder) {
    loop {
        tokio::select! {
            biased;
            Some(progress) = answers.progress.recv() => {
                if responder.progress(progress).await.is_err() {
                    return;
                }
            }
            reply = &mut answers.reply => {
                if let Ok(reply) = reply {
                    // Control may be gone; what was done stays done.
                    let _ = responder.reply(reply).await;
                }
                return;
            }
        }
    }
}
