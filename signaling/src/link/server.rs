//! Control's end of the agent link: one task per connection, over any [`Backend`].
//!
//! ```text
//!  endpoint ── accept ─┬─ farglass-join/1   JoinRequest → Backend::join → sign → JoinReply
//!                      └─ farglass-agent/1  certificate → Hello → Backend::up → Welcome
//!                                           then in order: Backend::report, Backend::connection
//!                                           beside it:     RenewRequest → Backend::renew → sign
//!                                           at the end:    Backend::down
//! ```
//!
//! Messages of one host reach the backend one after the other; while it is busy the host waits in
//! QUIC's window, so there is no queue here. The endpoint's reset key comes from the authority's key:
//! an agent that still talks to a control that was killed gets a stateless reset from the next one and
//! dials at once, instead of waiting for its idle timeout.
//!
//! It does not know which host is welcome, and keeps no list of hosts: the backend does both.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use protocol::HostId;
use protocol::agent::{
    ALPN_AGENT, ALPN_JOIN, ConnectionEvent, FromAgent, Hello, Intent, JoinReply, JoinRequest, PROTOCOL,
    Progress, Refusal, RefusalCode, RenewReply, RenewRequest, Report,
};
use quinn::crypto::rustls::HandshakeData;
use rustls::pki_types::CertificateDer;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::call::{self, Call, CallError};
use super::codec::{CodecError, Reader, write};
use super::tls::{Authority, CERTIFICATE_LIFETIME, HostCertificate, TlsError, read_host_certificate};
use super::token::Fingerprint;

/// Handshake, first stream and first message must be there within this, else the peer is dropped.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections of hosts at the same time; more are refused. Ten times what one control is meant for.
const CONNECTIONS_MAX: usize = 10_000;
/// How long the last packets may take when control stops.
const FAREWELL: Duration = Duration::from_secs(1);
/// Between two looks at what came over a link, while somebody waits for it.
const HEARD_EVERY: Duration = Duration::from_millis(20);
/// Longest name of a host that is kept, bytes.
const NAME_BYTES_MAX: usize = 128;

/// QUIC application codes that an agent sees when control closes its connection.
pub mod close_code {
    /// Control stops; dial again.
    pub const STOPPING: u32 = 0;
    /// A newer connection of the same host took over.
    pub const REPLACED: u32 = 1;
    /// The host is not welcome.
    pub const REFUSED: u32 = 2;
    /// The agent broke the protocol.
    pub const PROTOCOL: u32 = 3;
}

/// A host that wants to be enrolled.
pub struct Join {
    /// The secret half of its token. Never logged.
    pub secret: String,
    /// Its key: the same key is the same host.
    pub key: Fingerprint,
    /// What it calls itself; at most 128 bytes.
    pub name: String,
    /// From where.
    pub peer: IpAddr,
    /// When the certificate that it gets will end.
    pub certificate_ends: SystemTime,
}

/// What control decides and keeps.
pub trait Backend: Send + Sync + 'static {
    /// May this host be enrolled, and under which id? Uses the token up.
    fn join(&self, join: Join) -> impl Future<Output = Result<HostId, Refusal>> + Send;
    /// May this host have a younger certificate, which will end then?
    fn renew(&self, host: &Host, ends: SystemTime) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// The host is here and this is what is true. Requests may be made from within.
    fn up(&self, host: Host, hello: Hello) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// The host's facts changed, or 5 s passed.
    fn report(&self, host: &Host, report: Report) -> impl Future<Output = ()> + Send;
    /// A viewer's connection changed.
    fn connection(&self, host: &Host, event: ConnectionEvent) -> impl Future<Output = ()> + Send;
    /// The link is gone. Comes once after each `up` that was welcomed.
    fn down(&self, host: &Host) -> impl Future<Output = ()> + Send;
}

/// A host whose link is up. Clones are the same link.
#[derive(Clone, Debug)]
pub struct Host {
    /// What its certificate says.
    pub certificate: HostCertificate,
    /// From where.
    pub peer: SocketAddr,
    connection: quinn::Connection,
}

impl Host {
    /// Who it is.
    #[must_use]
    pub fn id(&self) -> HostId {
        self.certificate.host
    }

    /// Whether both are the same link, not only the same host.
    #[must_use]
    pub fn is_same_link(&self, other: &Self) -> bool {
        self.connection.stable_id() == other.connection.stable_id()
    }

    /// Asks the agent to do something and waits for its answer, at most `deadline`.
    ///
    /// # Errors
    /// Any [`CallError`]; after `Lost` and `TimedOut` it is not known whether the agent acted.
    pub async fn call<C: Call>(
        &self,
        call: C,
        deadline: Duration,
        progress: impl FnMut(Progress) + Send,
    ) -> Result<C::Done, CallError> {
        let answer = call::run(&self.connection, call, progress);
        tokio::time::timeout(deadline, answer)
            .await
            .unwrap_or(Err(CallError::TimedOut))
    }

    /// Asks for something that may take long: waits as long as the agent tells of its progress, for `silence` without a
    /// word of it, and for `longest` in all.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_while<C: Call>(
        &self,
        call: C,
        silence: Duration,
        longest: Duration,
    ) -> Result<C::Done, CallError> {
        let word = Notify::new();
        let answer = self.call(call, longest, |_| word.notify_one());
        tokio::pin!(answer);
        loop {
            tokio::select! {
                answered = &mut answer => return answered,
                heard = tokio::time::timeout(silence, word.notified()) => {
                    heard.map_err(|_| CallError::TimedOut)?;
                }
            }
        }
    }

    /// Waits until the agent's end says something more, be it that it is there. False when the link is closed.
    pub async fn heard(&self) -> bool {
        let before = self.packets();
        let mut look = tokio::time::interval(HEARD_EVERY);
        while self.packets() == before {
            tokio::select! {
                _ = self.connection.closed() => return false,
                _ = look.tick() => {}
            }
        }
        self.is_up()
    }

    /// What arrived and only the agent can have sent: acknowledgements and touches.
    fn packets(&self) -> u64 {
        let frames = self.connection.stats().frame_rx;
        frames.acks + frames.ping
    }

    /// Whether the link still stands, as far as is known.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    /// Ends the link; the agent dials again unless the code is [`close_code::REFUSED`].
    pub fn close(&self, code: u32, why: &str) {
        self.connection.close(code.into(), why.as_bytes());
    }
}

/// Control's QUIC endpoint.
pub struct Server {
    endpoint: quinn::Endpoint,
    authority: Arc<Authority>,
}

impl Server {
    /// Takes over a bound socket.
    ///
    /// # Errors
    /// When the certificate cannot be made or the socket is not usable.
    pub fn new(socket: UdpSocket, authority: Arc<Authority>, now: SystemTime) -> Result<Self, ServerError> {
        let config = authority.server_config(now)?;
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = quinn::Endpoint::new(authority.endpoint_config(), Some(config), socket, runtime)?;
        Ok(Self { endpoint, authority })
    }

    /// Serves until cancelled, then says goodbye to every agent.
    ///
    /// # Errors
    /// When control's own certificate cannot be renewed.
    pub async fn run<B: Backend>(
        self,
        backend: Arc<B>,
        cancel: CancellationToken,
    ) -> Result<(), ServerError> {
        let mut peers = JoinSet::new();
        let mut renewal = tokio::time::interval(CERTIFICATE_LIFETIME / 2);
        renewal.tick().await;
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                _ = renewal.tick() => {
                    let config = self.authority.server_config(SystemTime::now())?;
                    self.endpoint.set_server_config(Some(config));
                }
                Some(_) = peers.join_next() => {}
                incoming = self.endpoint.accept() => {
                    let Some(incoming) = incoming else { break };
                    if peers.len() >= CONNECTIONS_MAX {
                        incoming.refuse();
                        continue;
                    }
                    peers.spawn(serve(incoming, self.authority.clone(), backend.clone()));
                }
            }
        }
        self.endpoint.close(close_code::STOPPING.into(), b"control stops");
        // The goodbye is a courtesy: agents notice by themselves.
        let _ = tokio::time::timeout(FAREWELL, async {
            while peers.join_next().await.is_some() {}
            self.endpoint.wait_idle().await;
        })
        .await;
        Ok(())
    }
}

/// The endpoint cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The socket.
    #[error("agent link: {0}")]
    Socket(#[from] io::Error),
}

/// Why a peer is dropped.
#[derive(Debug, thiserror::Error)]
enum PeerError {
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error(transparent)]
    Quic(#[from] quinn::ConnectionError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Protocol(&'static str),
    #[error("refused: {0}")]
    Refused(String),
}

async fn serve<B: Backend>(incoming: quinn::Incoming, authority: Arc<Authority>, backend: Arc<B>) {
    let peer = incoming.remote_address();
    let greeting = tokio::time::timeout(GREETING_TIMEOUT, async { incoming.accept()?.await }).await;
    let connection = match greeting {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a handshake on the agent link failed");
            return;
        }
        Err(_) => return,
    };
    let alpn = connection
        .handshake_data()
        .and_then(|data| data.downcast::<HandshakeData>().ok());
    let alpn = alpn.and_then(|data| data.protocol).unwrap_or_default();
    let served = match alpn.as_slice() {
        ALPN_JOIN => serve_join(&connection, &authority, &*backend).await,
        ALPN_AGENT => serve_agent(&connection, &authority, &*backend).await,
        _ => Err(PeerError::Protocol("no protocol in common")),
    };
    match served {
        Ok(()) => {}
        Err(PeerError::Quic(error)) => tracing::info!(%peer, %error, "the link to an agent ended"),
        Err(PeerError::Refused(why)) => {
            tracing::warn!(%peer, %why, "an agent was refused");
            connection.close(close_code::REFUSED.into(), b"refused");
        }
        Err(error) => {
            tracing::warn!(%peer, %error, "an agent broke the protocol of the link");
            connection.close(close_code::PROTOCOL.into(), b"protocol");
        }
    }
}

async fn serve_join<B: Backend>(
    connection: &quinn::Connection,
    authority: &Authority,
    backend: &B,
) -> Result<(), PeerError> {
    let (mut send, request) = first_message::<JoinRequest>(connection).await?;
    let reply = match enroll(connection.remote_address().ip(), request.1, authority, backend).await? {
        Ok((host_id, certificate_pem)) => {
            let ca_pem = authority.certificate_pem().to_owned();
            JoinReply::Accepted {
                host_id,
                certificate_pem,
                ca_pem,
            }
        }
        Err(refusal) => JoinReply::Refused(refusal),
    };
    write(&mut send, &reply).await?;
    // The agent closes once it has read the reply.
    let _ = send.finish();
    let _ = tokio::time::timeout(GREETING_TIMEOUT, connection.closed()).await;
    match reply {
        JoinReply::Accepted { host_id, .. } => {
            tracing::info!(host.id = %host_id, peer = %connection.remote_address(), "a host joined");
            Ok(())
        }
        JoinReply::Refused(refusal) => Err(PeerError::Refused(refusal.detail)),
    }
}

/// The request is checked before the token is used up, so that a damaged request costs nothing.
async fn enroll<B: Backend>(
    peer: IpAddr,
    request: JoinRequest,
    authority: &Authority,
    backend: &B,
) -> Result<Result<(HostId, String), Refusal>, PeerError> {
    let csr = authority.read_request(&request.csr_pem)?;
    let now = SystemTime::now();
    let mut name = request.name;
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    let certificate_ends = now + CERTIFICATE_LIFETIME;
    let join = Join {
        secret: request.token,
        key: csr.key,
        name,
        peer,
        certificate_ends,
    };
    match backend.join(join).await {
        Ok(host) => Ok(Ok((host, authority.sign(csr, host, now)?.pem))),
        Err(refusal) => Ok(Err(refusal)),
    }
}

async fn serve_agent<B: Backend>(
    connection: &quinn::Connection,
    authority: &Authority,
    backend: &B,
) -> Result<(), PeerError> {
    let identity = connection
        .peer_identity()
        .and_then(|any| any.downcast::<Vec<CertificateDer<'_>>>().ok());
    let leaf = identity.as_ref().and_then(|chain| chain.first());
    let leaf = leaf.ok_or(PeerError::Protocol("no client certificate"))?;
    let certificate = read_host_certificate(leaf)?;
    let host = Host {
        certificate,
        peer: connection.remote_address(),
        connection: connection.clone(),
    };

    let (mut send, (mut reader, first)) = first_message::<FromAgent>(connection).await?;
    let FromAgent::Hello(hello) = first else {
        return Err(PeerError::Protocol("the first message is no Hello"));
    };
    let welcome = if hello.protocol.contains(&PROTOCOL) {
        backend.up(host.clone(), hello).await
    } else {
        let detail = format!(
            "control speaks version {PROTOCOL}; the agent speaks {:?}",
            hello.protocol
        );
        Err(Refusal {
            code: RefusalCode::Version,
            detail,
        })
    };
    if let Err(refusal) = welcome {
        write(&mut send, &Intent::Refused(refusal.clone())).await?;
        let _ = send.finish();
        let _ = tokio::time::timeout(GREETING_TIMEOUT, connection.closed()).await;
        return Err(PeerError::Refused(refusal.detail));
    }
    let served = async {
        write(
            &mut send,
            &Intent::Welcome {
                host_id: host.id(),
                protocol: PROTOCOL,
            },
        )
        .await?;
        tokio::select! {
            ended = listen(&mut reader, &host, backend) => ended,
            ended = renewals(&host, authority, backend) => ended,
        }
    };
    let ended = served.await;
    backend.down(&host).await;
    ended
}

async fn listen<B: Backend>(reader: &mut Reader, host: &Host, backend: &B) -> Result<(), PeerError> {
    loop {
        match reader.read().await {
            Ok(Some(FromAgent::Report(report))) => backend.report(host, report).await,
            Ok(Some(FromAgent::Connection(event))) => backend.connection(host, event).await,
            Ok(Some(FromAgent::Hello(_))) => return Err(PeerError::Protocol("a second Hello")),
            Ok(None) => return Ok(()),
            // A broken stream is how a broken connection looks from here; that one has the reason.
            Err(CodecError::Stream(_)) => return Err(host.connection.closed().await.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn renewals<B: Backend>(host: &Host, authority: &Authority, backend: &B) -> Result<(), PeerError> {
    loop {
        let (mut send, receive) = host.connection.accept_bi().await?;
        let mut reader = Reader::new(receive);
        let request = tokio::time::timeout(GREETING_TIMEOUT, reader.expect::<RenewRequest>())
            .await
            .map_err(|_| PeerError::Protocol("a renewal without a request"))??;
        let csr = authority.read_request(&request.csr_pem)?;
        let now = SystemTime::now();
        let reply = if csr.key == host.certificate.key {
            match backend.renew(host, now + CERTIFICATE_LIFETIME).await {
                Ok(()) => RenewReply::Renewed {
                    certificate_pem: authority.sign(csr, host.id(), now)?.pem,
                },
                Err(refusal) => RenewReply::Refused(refusal),
            }
        } else {
            let detail = "a renewal is for the key that the host joined with".to_owned();
            RenewReply::Refused(Refusal {
                code: RefusalCode::Unauthorised,
                detail,
            })
        };
        write(&mut send, &reply).await?;
        let _ = send.finish();
    }
}

/// The first stream and the first message on it, in time.
async fn first_message<T: serde::de::DeserializeOwned>(
    connection: &quinn::Connection,
) -> Result<(quinn::SendStream, (Reader, T)), PeerError> {
    let first = async {
        let (send, receive) = connection.accept_bi().await?;
        let mut reader = Reader::new(receive);
        let message = reader.expect().await?;
        Ok((send, (reader, message)))
    };
    let timed_out = Err(PeerError::Protocol("nothing was said in time"));
    tokio::time::timeout(GREETING_TIMEOUT, first)
        .await
        .unwrap_or(timed_out)
}
