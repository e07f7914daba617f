//! An agent's end of the agent link: joins, dials, dials again, and hands on what control asks.
//!
//! ```text
//!             ┌── no certificate, or an expired one: join with the token
//!  Driver ────┤
//!             └── dial ── Up(Greeting) ── Hello ── Welcome ──┬── Request(Incoming) …
//!                  ▲                                         │
//!                  └── 1, 2, 4, 8, 16, 30 s ± 20 % ── Down ──┘
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
//! This file owns the retry: nobody above it dials. What is told while the link is down is dropped,
//! because the next Hello says what is true; when telling outruns the link, the link is taken down and
//! up again for the same reason. Requests may arrive in another order than control sent them.
//!
//! It does not know what a request means.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use protocol::HostId;
use protocol::agent::{
    FromAgent, Hello, Intent, JoinReply, JoinRequest, Progress, Refusal, RefusalCode, RenewReply,
    RenewRequest, Reply, Request, Response,
};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::codec::{CodecError, Reader, write};
use super::dial::{backoff, dial, in_time, random_unit};
use super::identity::{Identity, IdentityError, Keeper};
use super::tls::{TlsError, agent_config, join_config};
use super::token::JoinToken;
use super::transport::REQUESTS_MAX;

/// Messages to control that wait for the link; beyond it the link is taken down and up again.
pub const OUTBOX_MAX: usize = 256;
/// Events that wait for the agent; beyond it control's requests wait in QUIC.
pub const EVENTS_MAX: usize = REQUESTS_MAX as usize;
/// A link that held this long ends a row of failures.
const STEADY: Duration = Duration::from_secs(60);
/// Wait after a renewal that failed. At half life there are hours left.
const RENEWAL_RETRY: Duration = Duration::from_secs(60);
/// How long the last packets may take when the agent stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where control is and who we are.
#[derive(Debug, Clone)]
pub struct Config {
    /// Control's address, `host:port`.
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

/// Why the driver gave up. Everything else is retried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Neither certificate nor token.
    #[error(
        "this host is not enrolled with the control at {control}: make a join token there and start the agent with it"
    )]
    NotEnrolled {
        /// Where control is.
        control: String,
    },
    /// Control does not want this host, or not this token.
    #[error("control refused this host: {}", .0.detail)]
    Refused(Refusal),
    /// The identity's folder.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The link broke or could not be made. Retried.
    #[error("{0}")]
    Network(String),
}

impl ClientError {
    /// Whether trying again cannot help.
    fn is_final(&self) -> bool {
        match self {
            Self::Refused(refusal) => {
                matches!(refusal.code, RefusalCode::Unauthorised | RefusalCode::Version)
            }
            Self::Network(_) => false,
            Self::NotEnrolled { .. } | Self::Identity(_) | Self::Tls(_) => true,
        }
    }
}

impl From<CodecError> for ClientError {
    fn from(error: CodecError) -> Self {
        Self::Network(error.to_string())
    }
}

impl From<quinn::ConnectionError> for ClientError {
    fn from(error: quinn::ConnectionError) -> Self {
        Self::Network(error.to_string())
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
    };
    (Link { outbox, resync }, heard, driver)
}

/// Keeps the link up.
pub struct Driver {
    config: Config,
    told: mpsc::Receiver<FromAgent>,
    events: mpsc::Sender<Event>,
    resync: Arc<Notify>,
}

impl Driver {
    /// Runs until cancelled, until the agent dropped its events, or until trying again cannot help.
    ///
    /// # Errors
    /// A [`ClientError`] that a person has to deal with.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), ClientError> {
        let keeper = Keeper::open(&self.config.identity)?;
        let mut failures = 0;
        loop {
            let since = Instant::now();
            let error = match self.once(&keeper, &cancel).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_final() => return Err(error),
                Err(error) => error,
            };
            failures = if since.elapsed() >= STEADY {
                0
            } else {
                failures + 1
            };
            let wait = backoff(failures, random_unit());
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
            dialled = dial(&self.config.control, config) => dialled?,
        };
        let (endpoint, connection) = dialled;
        let ended = tokio::select! {
            () = cancel.cancelled() => Ok(()),
            ended = self.session(&connection, keeper, identity) => ended,
        };
        connection.close(0u32.into(), b"agent stops");
        // Control notices by itself when this last packet is lost.
        let _ = tokio::time::timeout(FAREWELL, endpoint.wait_idle()).await;
        if ended.is_err() && self.events.send(Event::Down).await.is_err() {
            return Ok(());
        }
        ended
    }

    /// The identity to dial with, joined for if need be.
    async fn enrolled(&self, keeper: &Keeper) -> Result<Identity, ClientError> {
        let token = self.config.join.as_ref();
        match keeper.load()? {
            Some(identity)
                if identity.is_good(SystemTime::now())
                    && token.is_none_or(|token| identity.is_of(token.authority())) =>
            {
                Ok(identity)
            }
            _ => match token {
                Some(token) => self.join(keeper, token).await,
                None => Err(ClientError::NotEnrolled {
                    control: self.config.control.clone(),
                }),
            },
        }
    }

    async fn join(&self, keeper: &Keeper, token: &JoinToken) -> Result<Identity, ClientError> {
        let (_endpoint, connection) = dial(&self.config.control, join_config(token.authority())?).await?;
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
        tracing::info!(host.id = %identity.host(), control = %self.config.control, "linked to control");
        tokio::select! {
            ended = tell(&mut self.told, &mut send) => ended,
            ended = hear(connection, &self.events) => ended,
            ended = heed(&mut intents, connection) => ended,
            ended = renew(connection, keeper, identity) => ended,
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
