//! An agent's end of the agent link: joins, dials, dials again, and hands on what control asks.
//!
//! ```text
//!             ┌── no certificate, or an expired one: join with the token
//!  Driver ────┤
//!             └── dial ── Up(Greeting) ── Hello ── Welcome ──┬── Request(Incoming) …
//!                  ▲                                         │
//!                  └── pace.rs: at once, or ever later ─ Down ┘
//! ```
//!
//! How an agent uses it:
//!
//! ```text
//! let (link, mut events, driver) = client::link(config);
//! spawn(driver.run(cancel));
//! while let Some(event) = events.recv().await {
//!     match event {
//!         Event::Up(greeting) => greeting.hello(everything that is true now),
//!         Event::Request(incoming) => spawn(work on incoming.request, answer incoming.responder),
//!         Event::Down => {}           // sessions go on; control is told everything at the next Up
//!     }
//! }
//! link.tell(FromAgent::Report(…));    // at any time
//! ```
//!
//! Of several controls the one that did not welcome us is the last to be dialled next: it may be cut off from its
//! database, while another one is not.
//!
//! This file owns the retry: nobody above it dials. What is told while the link is down is dropped,
//! because the next Hello says what is true; when telling outruns the link, the link is taken down and
//! up again for the same reason. Requests may arrive in another order than control sent them.
//!
//! A link is missed in one of four ways, whichever is first: control says goodbye; a control that was started again
//! resets it; its host says that nobody listens (`socket.rs`); nothing comes for [`SILENCE`].
//!
//! It does not know what a request means.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use protocol::HostId;
use protocol::agent::{
    FromAgent, Hello, Intent, JoinReply, JoinRequest, Progress, RenewReply, RenewRequest, Reply, Request,
    Response,
};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::codec::{CodecError, Reader, write};
use super::dial::{Dialled, dial, in_time};
pub use super::failure::ClientError;
use super::identity::{Identity, Keeper};
use super::pace::{Pace, random_unit};
use super::tls::{agent_config, join_config};
use super::token::JoinToken;
use super::transport::{KEEP_ALIVE, REQUESTS_MAX};

/// Messages to control that wait for the link; beyond it the link is taken down and up again.
pub const OUTBOX_MAX: usize = 256;
/// Events that wait for the agent; beyond it control's requests wait in QUIC.
pub const EVENTS_MAX: usize = REQUESTS_MAX as usize;
/// A link from which nothing comes for this many keep-alives is dialled anew: two seconds. A link that was only slow
/// costs a dial, and no session.
const SILENCE: u32 = 4;
/// Wait after a renewal that failed. At half life there are hours left.
const RENEWAL_RETRY: Duration = Duration::from_secs(60);
/// How long the last packets may take when the agent stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where control is and who we are.
#[derive(Debug, Clone)]
pub struct Config {
    /// Control's address, `host:port`; of several controls on one database all, separated by commas.
    pub control: String,
    /// Folder for key and certificate.
    pub identity: PathBuf,
    /// For the first time, or after more than a day of absence.
    pub join: Option<JoinToken>,
    /// What this host calls itself, for people.
    pub name: String,
}

/// What the agent has to deal with.
#[derive(Debug)]
pub enum Event {
    /// The link is up; control waits for a Hello.
    Up(Greeting),
    /// Control wants something.
    Request(Incoming),
    /// The link is down; it is dialled again.
    Down,
}

/// Control waits for a Hello. Dropping it takes the link down.
#[derive(Debug)]
pub struct Greeting {
    /// This host's id.
    pub host: HostId,
    answer: oneshot::Sender<Hello>,
}

impl Greeting {
    /// Says what is true now.
    pub fn hello(self, hello: Hello) {
        // When the link broke meanwhile there is nobody to tell; the next Up asks again.
        let _ = self.answer.send(hello);
    }
}

/// A request and the way back.
#[derive(Debug)]
pub struct Incoming {
    /// What control wants.
    pub request: Request,
    /// The way back.
    pub responder: Responder,
}

/// Answers one request. Dropping it without a reply tells control that the call broke.
#[derive(Debug)]
pub struct Responder {
    stream: quinn::SendStream,
}

/// Control no longer waits for the answer. What was done stays done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("control no longer waits for this answer")]
pub struct Gone;

impl Responder {
    /// Tells how far it is.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn progress(&mut self, progress: Progress) -> Result<(), Gone> {
        write(&mut self.stream, &Response::Progress(progress))
            .await
            .map_err(|_| Gone)
    }

    /// Tells how it ended.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn reply(mut self, reply: Reply) -> Result<(), Gone> {
        write(&mut self.stream, &Response::Reply(reply))
            .await
            .map_err(|_| Gone)?;
        self.stream.finish().map_err(|_| Gone)
    }
}

/// Tells control things. Clones share one outbox.
#[derive(Debug, Clone)]
pub struct Link {
    outbox: mpsc::Sender<FromAgent>,
    resync: Arc<Notify>,
}

impl Link {
    /// Tells control, in order, without waiting. While the link is down this does nothing; when the
    /// outbox is full the link is taken down and up again, so that a Hello says it all at once.
    pub fn tell(&self, message: FromAgent) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.outbox.try_send(message) {
            self.resync.notify_one();
        }
    }
}

/// Makes the three ends: tell, hear, run.
#[must_use]
pub fn link(config: Config) -> (Link, mpsc::Receiver<Event>, Driver) {
    let (outbox, told) = mpsc::channel(OUTBOX_MAX);
    let (events, heard) = mpsc::channel(EVENTS_MAX);
    let resync = Arc::new(Notify::new());
    let driver = Driver {
        config,
        told,
        events,
        resync: resync.clone(),
        up: None,
        first: 0,
    };
    (Link { outbox, resync }, heard, driver)
}

/// Keeps the link up.
pub struct Driver {
    config: Config,
    told: mpsc::Receiver<FromAgent>,
    events: mpsc::Sender<Event>,
    resync: Arc<Notify>,
    /// Since when control has us, if it does.
    up: Option<Instant>,
    /// Which of control's addresses is dialled first.
    first: usize,
}

impl Driver {
    /// Runs until cancelled, until the agent dropped its events, or until trying again cannot help.
    ///
    /// # Errors
    /// A [`ClientError`] that a person has to deal with.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), ClientError> {
        let keeper = Keeper::open(&self.config.identity)?;
        let mut pace = Pace::default();
        loop {
            let error = match self.once(&keeper, &cancel).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_final() => return Err(error),
                Err(error) => error,
            };
            let stood = self.up.take().map(|since| since.elapsed());
            let wait = pace.ended(error.is_away(), stood, random_unit());
            tracing::warn!(control = %self.config.control, %error, wait_ms = wait.as_millis() as u64, "no link to control");
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One dial: `Ok` when it was ended from our side.
    async fn once(&mut self, keeper: &Keeper, cancel: &CancellationToken) -> Result<(), ClientError> {
        let identity = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            identity = self.enrolled(keeper) => identity?,
        };
        let config = agent_config(
            &identity.authority_pem,
            &identity.certificate_pem,
            &keeper.key_pem(),
        )?;
        let dialled = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            dialled = dial(&self.config.control, config, self.first) => dialled?,
        };
        self.first = dialled.place + 1;
        let ended = tokio::select! {
            () = cancel.cancelled() => Ok(()),
            () = dialled.refused.cancelled() => Err(ClientError::nobody_listens()),
            ended = self.session(&dialled.connection, keeper, identity) => ended,
        };
        let Dialled {
            endpoint,
            connection,
            place,
            ..
        } = dialled;
        if self.up.is_some() {
            self.first = place;
        }
        // A broken stream is how a broken connection looks from within; that one has the reason.
        let broken = connection.close_reason();
        connection.close(0u32.into(), b"agent stops");
        let Err(error) = ended else {
            // Control notices by itself when this last packet is lost.
            let _ = tokio::time::timeout(FAREWELL, endpoint.wait_idle()).await;
            return Ok(());
        };
        if self.events.send(Event::Down).await.is_err() {
            return Ok(());
        }
        Err(match (error, broken) {
            (ClientError::Network(_), Some(reason)) => reason.into(),
            (error, _) => error,
        })
    }

    /// The identity to dial with, joined for if need be.
    async fn enrolled(&mut self, keeper: &Keeper) -> Result<Identity, ClientError> {
        let token = self.config.join.clone();
        let is_of_it = |identity: &Identity| {
            let token = token.as_ref();
            token.is_none_or(|token| identity.is_of(token.authority()))
        };
        match keeper.load()? {
            Some(identity) if identity.is_good(SystemTime::now()) && is_of_it(&identity) => Ok(identity),
            _ => match token {
                Some(token) => self.join(keeper, &token).await,
                None => Err(ClientError::NotEnrolled {
                    control: self.config.control.clone(),
                }),
            },
        }
    }

    async fn join(&mut self, keeper: &Keeper, token: &JoinToken) -> Result<Identity, ClientError> {
        let dialled = dial(&self.config.control, join_config(token.authority())?, self.first).await?;
        self.first = dialled.place + 1;
        let connection = dialled.connection;
        let request = JoinRequest {
            token: token.secret().to_owned(),
            csr_pem: keeper.signing_request()?,
            name: self.config.name.clone(),
        };
        let reply = in_time(async {
            let (mut send, receive) = connection.open_bi().await?;
            write(&mut send, &request).await?;
            Ok(Reader::new(receive).expect::<JoinReply>().await?)
        })
        .await?;
        connection.close(0u32.into(), b"joined");
        match reply {
            JoinReply::Accepted {
                host_id,
                certificate_pem,
                ca_pem,
            } => {
                tracing::info!(host.id = %host_id, "this host joined");
                self.first = dialled.place;
                Ok(keeper.keep(certificate_pem, ca_pem)?)
            }
            JoinReply::Refused(refusal) => Err(ClientError::Refused(refusal)),
        }
    }

    /// A link from its Hello to its end.
    async fn session(
        &mut self,
        connection: &quinn::Connection,
        keeper: &Keeper,
        identity: Identity,
    ) -> Result<(), ClientError> {
        // What was told before now is part of the Hello that is asked for next.
        while self.told.try_recv().is_ok() {}
        let (answer, hello) = oneshot::channel();
        if self
            .events
            .send(Event::Up(Greeting {
                host: identity.host(),
                answer,
            }))
            .await
            .is_err()
        {
            return Ok(());
        }
        let hello = in_time(async {
            hello
                .await
                .map_err(|_| ClientError::Network("the agent gave no Hello".to_owned()))
        })
        .await?;
        let (mut send, receive) = connection.open_bi().await?;
        let mut intents = Reader::new(receive);
        write(&mut send, &FromAgent::Hello(hello)).await?;
        in_time(async { welcomed(intents.expect().await?) }).await?;
        self.up = Some(Instant::now());
        tracing::info!(host.id = %identity.host(), control = %connection.remote_address(), "linked to control");
        tokio::select! {
            ended = tell(&mut self.told, &mut send) => ended,
            ended = hear(connection, &self.events) => ended,
            ended = heed(&mut intents, connection) => ended,
            ended = renew(connection, keeper, identity) => ended,
            () = silence(|| connection.stats().udp_rx.datagrams) => {
                Err(ClientError::Away("nothing comes from control any more".to_owned()))
            }
            () = self.resync.notified() => Err(ClientError::Network("more was told than the link carries".to_owned())),
        }
    }
}

fn welcomed(intent: Intent) -> Result<(), ClientError> {
    match intent {
        Intent::Welcome { .. } => Ok(()),
        Intent::Refused(refusal) => Err(ClientError::Refused(refusal)),
    }
}

async fn tell(told: &mut mpsc::Receiver<FromAgent>, send: &mut quinn::SendStream) -> Result<(), ClientError> {
    while let Some(message) = told.recv().await {
        write(send, &message).await?;
    }
    // Every `Link` is gone: nothing will be told, but requests still come.
    std::future::pending().await
}

/// Takes requests; each is read in a task of its own, so that a slow stream holds up no other.
async fn hear(connection: &quinn::Connection, events: &mpsc::Sender<Event>) -> Result<(), ClientError> {
    let mut reading = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = reading.join_next() => {}
            () = events.closed() => return Ok(()),
            accepted = connection.accept_bi() => {
                let (stream, receive) = accepted?;
                let events = events.clone();
                reading.spawn(async move {
                    let request = in_time(async { Ok(Reader::new(receive).expect::<Request>().await?) }).await;
                    match request {
                        Ok(request) => {
                            let responder = Responder { stream };
                            // The agent is stopping when nobody takes it; control sees the call break.
                            let _ = events.send(Event::Request(Incoming { request, responder })).await;
                        }
                        Err(error) => tracing::warn!(%error, "a request of control could not be read"),
                    }
                });
            }
        }
    }
}

/// Waits for what control says on the first stream; for now only its end.
async fn heed(intents: &mut Reader, connection: &quinn::Connection) -> Result<(), ClientError> {
    match intents.read::<Intent>().await {
        Ok(Some(intent)) => {
            welcomed(intent)?;
            Err(ClientError::Network("control welcomed us twice".to_owned()))
        }
        Ok(None) => Err(ClientError::Network("control ended the link".to_owned())),
        Err(CodecError::Stream(_)) => Err(connection.closed().await.into()),
        Err(error) => Err(error.into()),
    }
}

/// Ends when nothing arrives for [`SILENCE`]. Looks are counted, and no time is read: an agent that was itself held up
/// for seconds has not listened meanwhile.
async fn silence(mut arrived: impl FnMut() -> u64) {
    let (mut last, mut silent) = (arrived(), 0);
    while silent < SILENCE {
        tokio::time::sleep(KEEP_ALIVE).await;
        let now = arrived();
        silent = if now == last { silent + 1 } else { 0 };
        last = now;
    }
}

/// Renews the certificate at half of its life, for the next dial. Never ends by itself.
async fn renew(
    connection: &quinn::Connection,
    keeper: &Keeper,
    mut identity: Identity,
) -> Result<(), ClientError> {
    loop {
        tokio::time::sleep(identity.until_renewal(SystemTime::now())).await;
        let csr_pem = keeper.signing_request()?;
        let reply = in_time(async {
            let (mut send, receive) = connection.open_bi().await?;
            write(&mut send, &RenewRequest { csr_pem }).await?;
            let _ = send.finish();
            Ok(Reader::new(receive).expect::<RenewReply>().await?)
        })
        .await;
        match reply {
            Ok(RenewReply::Renewed { certificate_pem }) => {
                identity = keeper.keep(certificate_pem, identity.authority_pem)?;
                tracing::info!(host.id = %identity.host(), "this host's certificate was renewed");
            }
            Ok(RenewReply::Refused(refusal)) => return Err(ClientError::Refused(refusal)),
            Err(error) => {
                tracing::warn!(%error, "renewing this host's certificate failed");
                tokio::time::sleep(RENEWAL_RETRY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_link_from_which_nothing_comes_is_given_up_after_two_seconds_and_one_datagram_saves_it() {
        let start = tokio::time::Instant::now();
        // Datagrams come for three seconds and a half; after that nothing.
        silence(|| u64::try_from(start.elapsed().as_millis().min(3_500) / 1_000).unwrap()).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
