//! How a connection begins: hello, and where the device wants it a key or TLS. Strict about the order of messages; it
//! does not know streams.
//!
//! ```text
//!   host                                      device (Guard)
//!   CNXN ───────────────────────────────────► Open: CNXN                                 done
//!                                             Keys: AUTH(token) ─┐
//!   AUTH(signature), with one key each time ◄────────────────────┘
//!                 ───────────────────────────► known: CNXN                               done
//!                                              else:  AUTH(new token), again
//!   AUTH(public key), when no key is left ──► accepted: CNXN                             done
//!                                             Tls:  STLS
//!   STLS, then TLS as its client ───────────► known: CNXN, inside                        done
//! ```
//!
//! No byte behind a packet is read before the packet is answered, for what follows STLS belongs to TLS.

use std::io;
use std::time::SystemTime;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::{client, server};

use crate::banner::{self, Banner, BannerError};
use crate::connection::ProtocolError;
use crate::daemon::{self, Guard};
use crate::host;
use crate::key::{Key, KeyError, PublicKey, Token};
use crate::known_keys::KnownKeys;
use crate::packet::{self, Command, HEADER_LEN, Header, MAX_PAYLOAD, Packet, Sum, VERSION};
use crate::tap::Tap;
use crate::tls::{self, TlsError};

/// How long the peer may take for its side of the handshake; what `adb connect` waits. Reached: [`HandshakeError::Timeout`].
pub const HANDSHAKE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
/// Packets that a device takes from a host until it knows it: more keys than anybody has. Reached: the connection ends.
const MAX_TRIES: usize = 64;
/// The one version of STLS.
const STLS_VERSION: u32 = 0x0100_0000;
/// What AUTH carries, in its first argument.
const AUTH_TOKEN: u32 = 1;
const AUTH_SIGNATURE: u32 = 2;
const AUTH_PUBLIC_KEY: u32 = 3;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The socket could not be opened, or broke. Trying again may help.
    #[error("no adb connection: {0}")]
    Io(#[from] io::Error),
    /// Nothing came in time: not adb, or a device that waits for something.
    #[error("the peer did not finish the adb handshake within {} s", HANDSHAKE_TIMEOUT.as_secs())]
    Timeout,
    /// The device wants a key (AUTH), and this host was given none.
    #[error(
        "the device asks for an adb key: give this host one, or start the device with ro.adb.secure=0 (most \
         emulator and redroid images do)"
    )]
    AuthRequired,
    /// The device wants TLS (STLS), as Android's wireless debugging does, and this host was given no key for it.
    #[error(
        "the device asks for TLS (wireless debugging): give this host a key that the device was paired with, or use \
         plain adb over TCP, as `adb tcpip 5555` turns on"
    )]
    TlsRequired,
    /// On a host: the device does not know any of our keys, and nobody has let us in yet. On a device: the host has
    /// no key that we let in.
    #[error(
        "the device does not accept this host's adb key: confirm it on the device's screen, or add it to the device's \
         adb_keys, and connect again"
    )]
    Unauthorized,
    /// The device has another key than the caller expects: not the device that it claims to be.
    #[error("the device shows another key than the one that is expected of it")]
    WrongDevice,
    /// Our own key cannot be used.
    #[error("the adb key cannot be used: {0}")]
    Key(#[from] KeyError),
    /// Our own side of TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The peer speaks, but not adb.
    #[error("the peer does not speak adb: {0}")]
    Protocol(#[from] ProtocolError),
    /// The peer's banner cannot be read.
    #[error("the peer's banner cannot be read: {0}")]
    Banner(#[from] BannerError),
}

/// What a peer says about itself in CNXN.
#[derive(Debug)]
pub(crate) struct Hello {
    pub(crate) version: u32,
    pub(crate) max_payload: usize,
    pub(crate) banner: Banner,
}

impl Hello {
    pub(crate) fn parse(packet: &Packet) -> Result<Self, BannerError> {
        Ok(Self {
            version: packet.arg0,
            max_payload: usize::try_from(packet.arg1)
                .unwrap_or(MAX_PAYLOAD)
                .clamp(1, MAX_PAYLOAD),
            banner: banner::parse(&packet.payload)?,
        })
    }
}

/// A connection that has begun: on the socket itself, or inside TLS.
pub(crate) enum Begun<S, T> {
    Plain(S, Hello),
    Tls(Box<T>, Hello),
}

/// Begins a connection as a host.
pub(crate) async fn as_host<S>(
    mut socket: Tap<S>,
    options: &host::Options,
) -> Result<Begun<Tap<S>, Tap<client::TlsStream<S>>>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut applicant = Applicant::new(&options.keys);
    let begun = async {
        send_hello(&mut socket, &options.banner()).await?;
        match apply(&mut socket, &mut applicant).await? {
            Applied::Admitted(hello) => Ok(Begun::Plain(socket, hello)),
            Applied::Tls => {
                let (socket, hello) = host_tls(socket, options).await?;
                Ok(Begun::Tls(Box::new(socket), hello))
            }
        }
    };
    match timeout(HANDSHAKE_TIMEOUT, begun).await {
        Ok(begun) => begun,
        Err(_) if applicant.has_asked => Err(HandshakeError::Unauthorized),
        Err(_) => Err(HandshakeError::Timeout),
    }
}

enum Applied {
    Admitted(Hello),
    Tls,
}

async fn apply<S>(socket: &mut S, applicant: &mut Applicant<'_>) -> Result<Applied, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut inbox = BytesMut::new();
    loop {
        let packet = match read_packet(socket, &mut inbox).await {
            // A device that turns us away hangs up without a word.
            Err(HandshakeError::Io(_)) if applicant.has_asked => return Err(HandshakeError::Unauthorized),
            packet => packet?,
        };
        match packet.command {
            Command::Cnxn => return Ok(Applied::Admitted(Hello::parse(&packet)?)),
            Command::Auth => {
                let (kind, payload) = applicant.answer(&packet)?;
                send(socket, Command::Auth, (kind, 0), &payload).await?;
            }
            Command::Stls if applicant.keys.is_empty() => return Err(HandshakeError::TlsRequired),
            Command::Stls => {
                send(socket, Command::Stls, (STLS_VERSION, 0), b"").await?;
                return Ok(Applied::Tls);
            }
            other => return Err(ProtocolError::Unexpected(other).into()),
        }
    }
}

/// A host that asks to be let in: one signature with each key, then its first public key, then nothing more.
struct Applicant<'a> {
    keys: &'a [Key],
    signed: usize,
    has_asked: bool,
}

impl<'a> Applicant<'a> {
    fn new(keys: &'a [Key]) -> Self {
        Self {
            keys,
            signed: 0,
            has_asked: false,
        }
    }

    /// The answer to a token: AUTH's first argument and its payload.
    fn answer(&mut self, packet: &Packet) -> Result<(u32, Vec<u8>), HandshakeError> {
        let first = self.keys.first().ok_or(HandshakeError::AuthRequired)?;
        let token: &Token = match (packet.arg0, packet.payload.as_ref().try_into()) {
            (AUTH_TOKEN, Ok(token)) => token,
            _ => return Err(ProtocolError::Unexpected(Command::Auth).into()),
        };
        if let Some(key) = self.keys.get(self.signed) {
            self.signed += 1;
            return Ok((AUTH_SIGNATURE, key.sign(token)?));
        }
        if self.has_asked {
            return Err(HandshakeError::Unauthorized);
        }
        self.has_asked = true;
        Ok((AUTH_PUBLIC_KEY, format!("{}\0", first.public()).into_bytes()))
    }
}

/// Goes on in TLS. What is seen from outside are no packets any more, so who sees them moves in.
async fn host_tls<S>(
    socket: Tap<S>,
    options: &host::Options,
) -> Result<(Tap<client::TlsStream<S>>, Hello), HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connector = tls::connector(&options.keys, &options.trust, SystemTime::now())?;
    let (socket, witness) = socket.into_parts();
    let socket = tls::connect(&connector, socket)
        .await
        .map_err(|error| match tls::cause(&error) {
            Some(cause) if tls::is_distrust(cause) => HandshakeError::WrongDevice,
            _ => HandshakeError::Io(error),
        })?;
    let mut socket = Tap::new(socket, witness);
    // In TLS 1.3 a server judges the client when the client is done already: its alert comes in place of the hello.
    let mut inbox = BytesMut::new();
    match read_packet(&mut socket, &mut inbox).await {
        Ok(packet) if packet.command == Command::Cnxn => Ok((socket, Hello::parse(&packet)?)),
        Ok(packet) => Err(ProtocolError::Unexpected(packet.command).into()),
        Err(HandshakeError::Io(error)) => match tls::cause(&error) {
            Some(rustls::Error::AlertReceived(_)) => Err(HandshakeError::Unauthorized),
            _ => Err(error.into()),
        },
        Err(error) => Err(error),
    }
}

/// Begins a connection as a device.
pub(crate) async fn as_device<S>(
    mut socket: S,
    options: &daemon::Options,
) -> Result<Begun<S, server::TlsStream<S>>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let begun = async {
        let mut inbox = BytesMut::new();
        match admit(&mut socket, &mut inbox, None, options).await? {
            Admission::In(hello) => Ok(Begun::Plain(socket, hello)),
            Admission::Tls(hello, key, known) => {
                let acceptor = tls::acceptor(key, known, SystemTime::now())?;
                let accepting = tls::accept(&acceptor, socket).await;
                let mut socket = accepting.map_err(|error| match tls::cause(&error) {
                    Some(cause) if tls::is_distrust(cause) => HandshakeError::Unauthorized,
                    _ => HandshakeError::Io(error),
                })?;
                send_hello(&mut socket, &options.banner).await?;
                Ok(Begun::Tls(Box::new(socket), hello))
            }
        }
    };
    timeout(HANDSHAKE_TIMEOUT, begun)
        .await
        .map_err(|_| HandshakeError::Timeout)?
}

/// A host's second CNXN on a connection: it begins again, without TLS, and has to show its key again.
pub(crate) async fn begin_again<S>(
    socket: &mut S,
    inbox: &mut BytesMut,
    packet: Packet,
    options: &daemon::Options,
) -> Result<Hello, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let admitting = admit(socket, inbox, Some(packet), options);
    match timeout(HANDSHAKE_TIMEOUT, admitting).await {
        Ok(Ok(Admission::In(hello))) => Ok(hello),
        // Inside of TLS the guard is open, and without TLS it stays as it was: a connection cannot change over.
        Ok(Ok(Admission::Tls(..))) => Err(ProtocolError::Unexpected(Command::Stls).into()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(HandshakeError::Timeout),
    }
}

enum Admission<'a> {
    In(Hello),
    Tls(Hello, &'a Key, &'a KnownKeys),
}

/// Where a device stands with a host.
enum Stage {
    Strange,
    /// It was told to sign this token.
    Asked(Hello, Token),
    /// It was told to go on in TLS.
    Shielding(Hello),
}

async fn admit<'a, S>(
    socket: &mut S,
    inbox: &mut BytesMut,
    mut first: Option<Packet>,
    options: &'a daemon::Options,
) -> Result<Admission<'a>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stage = Stage::Strange;
    for _ in 0..MAX_TRIES {
        let packet = match first.take() {
            Some(packet) => packet,
            None => read_packet(socket, inbox).await?,
        };
        stage = match (stage, packet.command, &options.guard) {
            // Also in the middle of the others: a host may begin again at any time.
            (_, Command::Cnxn, guard) => {
                let hello = Hello::parse(&packet)?;
                match guard {
                    Guard::Open => {
                        send_hello(socket, &options.banner).await?;
                        return Ok(Admission::In(hello));
                    }
                    Guard::Keys(_) => Stage::Asked(hello, ask(socket).await?),
                    Guard::Tls { .. } => {
                        send(socket, Command::Stls, (STLS_VERSION, 0), b"").await?;
                        Stage::Shielding(hello)
                    }
                }
            }
            (Stage::Asked(hello, token), Command::Auth, Guard::Keys(known)) => {
                if admits(known, &packet, &token)? {
                    send_hello(socket, &options.banner).await?;
                    return Ok(Admission::In(hello));
                }
                Stage::Asked(hello, ask(socket).await?)
            }
            (Stage::Shielding(hello), Command::Stls, Guard::Tls { key, known }) => {
                return Ok(Admission::Tls(hello, key, known));
            }
            (_, other, _) => return Err(ProtocolError::Unexpected(other).into()),
        };
    }
    Err(HandshakeError::Unauthorized)
}

/// Judges an AUTH of a host: whether it is in; a public key that is not wanted ends the connection.
fn admits(known: &KnownKeys, packet: &Packet, token: &Token) -> Result<bool, HandshakeError> {
    match packet.arg0 {
        AUTH_SIGNATURE => Ok(known.verify(token, &packet.payload)),
        AUTH_PUBLIC_KEY => {
            let key = PublicKey::parse(&packet.payload)?;
            if known.admit(&key) {
                return Ok(true);
            }
            tracing::debug!(?key, "a host with an unknown key was turned away");
            Err(HandshakeError::Unauthorized)
        }
        _ => Err(ProtocolError::Unexpected(Command::Auth).into()),
    }
}

async fn ask(socket: &mut (impl AsyncWrite + Unpin)) -> Result<Token, HandshakeError> {
    let mut token = Token::default();
    getrandom::fill(&mut token).map_err(|error| io::Error::other(error.to_string()))?;
    send(socket, Command::Auth, (AUTH_TOKEN, 0), &token).await?;
    Ok(token)
}

async fn send_hello(socket: &mut (impl AsyncWrite + Unpin), ours: &Banner) -> io::Result<()> {
    let max_payload = u32::try_from(MAX_PAYLOAD).expect("1 MiB fits");
    let banner = ours.to_string();
    send(socket, Command::Cnxn, (VERSION, max_payload), banner.as_bytes()).await
}

/// The peer's version is not known yet, so these packets always carry their sum.
async fn send(
    socket: &mut (impl AsyncWrite + Unpin),
    command: Command,
    args: (u32, u32),
    payload: &[u8],
) -> io::Result<()> {
    let mut out = BytesMut::new();
    packet::encode(&mut out, command, args, payload, Sum::Written);
    socket.write_all(&out).await?;
    socket.flush().await
}

/// Reads one packet and not a byte more than that.
async fn read_packet(
    socket: &mut (impl AsyncRead + Unpin),
    inbox: &mut BytesMut,
) -> Result<Packet, HandshakeError> {
    loop {
        if let Some(packet) = Packet::decode(inbox).map_err(ProtocolError::from)? {
            return Ok(packet);
        }
        let whole = match inbox.len() {
            0..HEADER_LEN => HEADER_LEN,
            _ => HEADER_LEN + Header::parse(inbox).map_err(ProtocolError::from)?.length,
        };
        let missing = u64::try_from(whole - inbox.len()).expect("a packet has at most 1 MiB");
        if (&mut *socket).take(missing).read_buf(inbox).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}
