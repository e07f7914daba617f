//! One run of the scrcpy server on a device: from the pushed file to the tasks that read its sockets.
//!
//! ```text
//!   push jar ─► shell: app_process … scid ─► open localabstract:scrcpy_SCID ─ dummy byte? ─┐ 100 ms × 100
//!                      │                                  ▲───────────── no ───────────────┤
//!                      └ ends: its last words             open control ◄────── yes ────────┘
//!                                                           │  all sockets are open before anything else is read
//!   tasks: film (video → gateway) · hand (orders → control) · ears (control → acks) · voice (log) · pulse
//! ```
//!
//! Whichever task ends first ends the capture; its owner drops it and starts another with backoff. Dropping
//! it closes the sockets, at which the server ends and deletes its file. Every run has its own file and its
//! own random scid, so that a server that is still dying touches neither.
//!
//! It does not know leases, epochs (the hand does) or when to try again. Versions: `scrcpy` crate.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use adb::host::{Shell, ShellError, ShellEvent};
use adb::stream::WriteError;
use adb::transfer::{Target, TransferError};
use adb::{End, Host, OpenError, Reader, Stream};
use bytes::{Buf as _, Bytes, BytesMut};
use gateway::SourceHandle;
use scrcpy::device_msg::{self, DeviceMsgError};
use scrcpy::handshake::{self, DUMMY_BYTE, DUMMY_RETRY_MS, DUMMY_TRIES_MAX, Scid};
use scrcpy::options::{EncodeError, LogLevel};
use scrcpy::{Demuxer, DeviceMsg, ServerOptions, ServerVersion};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::custody::Pass;
use crate::film::{self, Film, FilmEnd, Seen};
use crate::hand::{ACKS_MAX, Hand, ORDERS_MAX, Order, Senses};

/// How long a server may take from its launch to its first key frame: a cold emulator needs some seconds for
/// the virtual machine, then half a second after waking the screen. At the limit the run is given up.
const FIRST_PICTURE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long pushing the server's 90 kB may take.
const PUSH_TIMEOUT: Duration = Duration::from_secs(15);
/// Last words of a server that are kept for the error, bytes; the beginning is dropped.
const LAST_WORDS_BYTES_MAX: usize = 512;
/// What a server says, of any version, when Android gives it no encoder for what it was asked for.
const NO_ENCODER: &str = "Could not create default video encoder";
/// Where the server's files go, up to the run's own number.
const JAR: &str = "/data/local/tmp/farglass-";
/// What 4.0 does by itself and older servers must be told: encode in real time, hold nothing back.
const CODEC_OPTIONS_BEFORE_4: &str = "priority=0,latency=1";

/// What all captures of a host have in common.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) server: Bytes,
    pub(crate) version: ServerVersion,
    pub(crate) fps_max: Option<u16>,
    pub(crate) bit_rate: u32,
    pub(crate) pulse: Pulse,
}

/// How often a device is asked for a sign of life, and how long it may take: after both it counts as gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pulse {
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
}

impl Pulse {
    /// Seldom enough to cost a device nothing.
    pub(crate) const EVERY: Duration = Duration::from_secs(5);
}

/// A capture that runs: its first key frame has come.
pub(crate) struct Capture {
    pub(crate) orders: mpsc::Sender<Order>,
    tasks: JoinSet<CaptureEnd>,
}

/// Why there is no capture.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    /// The server's file did not reach the device.
    #[error("the scrcpy server cannot be pushed: {0}")]
    Push(#[from] TransferError),
    /// Its options do not fit its version. A mistake in the configuration.
    #[error(transparent)]
    Options(#[from] EncodeError),
    /// The shell or a socket could not be opened.
    #[error("the scrcpy server cannot be reached: {0}")]
    Open(#[from] OpenError),
    /// No randomness for the server's number.
    #[error("no random number for the server: {0}")]
    Random(getrandom::Error),
    /// It never listened, or never showed a picture.
    #[error("the scrcpy server did not {0} in time")]
    Late(&'static str),
    /// It ended before the first picture.
    #[error(transparent)]
    Ended(#[from] CaptureEnd),
}

/// Why a capture ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureEnd {
    /// The server ended, with its last words.
    #[error("the scrcpy server ended with code {}: {said}", code.map_or_else(|| "unknown".to_owned(), |code| code.to_string()))]
    Server {
        /// Its exit code, where the device tells it.
        code: Option<u8>,
        /// The end of what it printed.
        said: String,
    },
    /// The device has nothing that makes H.264, so it cannot be shown.
    #[error("the device has no encoder for H.264, and cannot be shown without one")]
    NoEncoder,
    /// The video socket.
    #[error(transparent)]
    Film(#[from] FilmEnd),
    /// The control socket, reading.
    #[error("the control socket closed")]
    ControlClosed,
    /// The control socket carried something unknown.
    #[error(transparent)]
    Message(#[from] DeviceMsgError),
    /// The control socket, writing.
    #[error("the control socket takes no input: {0}")]
    Hand(#[from] WriteError),
    /// The device gave no sign of life: its connection is of no use any more.
    #[error("the device does not answer")]
    NoPulse,
    /// The connection to the device ended.
    #[error(transparent)]
    Connection(#[from] End),
    /// A task of ours failed.
    #[error("a task of the capture failed: {0}")]
    Task(String),
}

impl Capture {
    /// Starts a server and returns once its first key frame has gone to `source`. Dropping the future at any
    /// point leaves nothing behind but a server that ends by itself.
    pub(crate) async fn start(
        host: Host,
        recipe: Recipe,
        source: SourceHandle,
        seen: Arc<Seen>,
        pass: watch::Receiver<Pass>,
    ) -> Result<Self, CaptureError> {
        let random = getrandom::u32().map_err(CaptureError::Random)?;
        let scid = Scid::from_bits(random);
        let jar = format!("{JAR}{scid}.jar");
        let before = seen
            .server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(scid);
        // Whether that works shows when the next file is pushed.
        let _ = tokio::time::timeout(PUSH_TIMEOUT, host.shell(&clear_away(before))).await;
        let target = Target {
            path: &jar,
            permissions: 0o644,
            mtime_s: 0,
        };
        let pushed = tokio::time::timeout(PUSH_TIMEOUT, host.push(&target, &recipe.server)).await;
        pushed.map_err(|_| CaptureError::Late("take its file"))??;

        let options = options(&recipe, scid);
        let shell = host
            .start_shell(&options.command_line(&jar, recipe.version)?)
            .await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(voice(shell));
        let starting = run_up(&host, &recipe, &options, scid, (source, seen, pass), &mut tasks);
        match tokio::time::timeout(FIRST_PICTURE_TIMEOUT, starting).await {
            Ok(Ok(orders)) => {
                tasks.spawn(pulse(host, recipe.pulse));
                Ok(Self { orders, tasks })
            }
            Ok(Err(error)) => Err(better_reason(error, &mut tasks).await),
            Err(_) => Err(CaptureError::Late("show a picture")),
        }
    }

    /// Waits for the end. Safe to cancel.
    pub(crate) async fn ended(&mut self) -> CaptureEnd {
        ended(&mut self.tasks).await
    }
}

/// What our last server may have left. One whose link was lost without a word runs on, with an encoder and with the fingers
/// that were down; one that was killed or never started leaves its file (and one that still runs does not miss the name).
/// The brackets keep the shell's own command line from being meant.
fn clear_away(before: Option<Scid>) -> String {
    let kill = before.map_or_else(String::new, |scid| format!("pkill -f '[s]cid={scid}'; "));
    format!("{kill}rm -f {JAR}*.jar")
}

/// Opens the sockets, starts their tasks and waits for the first key frame.
async fn run_up(
    host: &Host,
    recipe: &Recipe,
    options: &ServerOptions,
    scid: Scid,
    (source, seen, pass): (SourceHandle, Arc<Seen>, watch::Receiver<Pass>),
    tasks: &mut JoinSet<CaptureEnd>,
) -> Result<mpsc::Sender<Order>, CaptureError> {
    let service = format!("localabstract:{}", handshake::socket_name(Some(scid)));
    let (video, rest) = tokio::select! {
        first = first_socket(host, &service) => first?,
        end = ended(tasks) => return Err(end.into()),
    };
    // The server says nothing more before every socket is there.
    let control = host.open(&service).await?;

    let mut demuxer = Demuxer::new(options.video_start(recipe.version));
    demuxer.push(rest);
    let mut progress = seen.progress.subscribe();
    let before = progress.borrow_and_update().key_starts;
    let frame = seen.frame.subscribe();
    let film = Film {
        framing: recipe.version.framing(),
        demuxer,
        source,
        seen,
        sizes: film::Sizes::default(),
    };
    tasks.spawn(async move { film::run(video.into_split().0, film).await.into() });

    let (reader, writer) = control.into_split();
    let (acks, heard) = mpsc::channel(ACKS_MAX);
    tasks.spawn(ears(reader, acks));
    let (orders, taken) = mpsc::channel(ORDERS_MAX);
    let hand = Hand::new(
        recipe.version,
        writer,
        Senses {
            orders: taken,
            acks: heard,
            frame,
            pass,
        },
    );
    tasks.spawn(async move {
        match hand.run().await {
            Ok(()) => CaptureEnd::ControlClosed,
            Err(error) => error.into(),
        }
    });
    tokio::select! {
        _ = progress.wait_for(|progress| progress.key_starts > before) => Ok(orders),
        end = ended(tasks) => Err(end.into()),
    }
}

pub(crate) fn options(recipe: &Recipe, scid: Scid) -> ServerOptions {
    ServerOptions {
        scid: Some(scid),
        log_level: LogLevel::Info,
        audio: false,
        video_bit_rate: recipe.bit_rate,
        max_fps: recipe.fps_max.map(f32::from),
        tunnel_forward: true,
        stay_awake: true,
        // What is copied on the device is its holder's; nobody has asked for it.
        clipboard_autosync: false,
        video_codec_options: if recipe.version.at_least(4, 0, 0) {
            String::new()
        } else {
            CODEC_OPTIONS_BEFORE_4.to_owned()
        },
        ..ServerOptions::default()
    }
}

/// The first socket whose dummy byte came, and what followed it. Some devices confirm a stream although
/// nothing listens yet, and then close it: only the byte tells.
pub(crate) async fn first_socket(host: &Host, service: &str) -> Result<(Stream, Bytes), CaptureError> {
    for _ in 0..DUMMY_TRIES_MAX {
        match host.open(service).await {
            Ok(mut stream) => {
                if let Some(mut chunk) = stream.read_chunk().await.map_err(CaptureEnd::from)?
                    && chunk.first() == Some(&DUMMY_BYTE)
                {
                    chunk.advance(1);
                    return Ok((stream, chunk));
                }
            }
            Err(OpenError::Refused) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_millis(DUMMY_RETRY_MS)).await;
    }
    Err(CaptureError::Late("listen"))
}

async fn ended(tasks: &mut JoinSet<CaptureEnd>) -> CaptureEnd {
    match tasks.join_next().await {
        Some(Ok(end)) => end,
        Some(Err(error)) => CaptureEnd::Task(error.to_string()),
        None => CaptureEnd::Task("no task is left".to_owned()),
    }
}

/// A socket that closed says less than the server's last words, which may be a moment behind.
async fn better_reason(error: CaptureError, tasks: &mut JoinSet<CaptureEnd>) -> CaptureError {
    const MOMENT: Duration = Duration::from_millis(500);
    let words = async {
        loop {
            match ended(tasks).await {
                end @ (CaptureEnd::Server { .. } | CaptureEnd::NoEncoder) => return Some(end),
                CaptureEnd::Task(_) => return None,
                _ => {}
            }
        }
    };
    match (&error, tokio::time::timeout(MOMENT, words)) {
        (CaptureError::Ended(CaptureEnd::Server { .. } | CaptureEnd::NoEncoder), _) => error,
        (_, words) => words.await.ok().flatten().map_or(error, CaptureError::Ended),
    }
}

/// Logs what the server prints, until it ends.
async fn voice(mut shell: Shell) -> CaptureEnd {
    let mut said = BytesMut::new();
    loop {
        match shell.next().await {
            Ok(Some(ShellEvent::Stdout(text) | ShellEvent::Stderr(text))) => {
                tracing::debug!(text = %String::from_utf8_lossy(&text).trim_end(), "scrcpy server");
                said.extend_from_slice(&text);
                let surplus = said.len().saturating_sub(LAST_WORDS_BYTES_MAX);
                said.advance(surplus);
            }
            Ok(Some(ShellEvent::Exit(code))) => return last_words(Some(code), &said),
            Ok(None) => return last_words(None, &said),
            Err(ShellError::Open(OpenError::Ended(end))) => return end.into(),
            Err(error) => return CaptureEnd::Task(error.to_string()),
        }
    }
}

fn last_words(code: Option<u8>, said: &[u8]) -> CaptureEnd {
    let said = String::from_utf8_lossy(said).trim().to_owned();
    if said.contains(NO_ENCODER) {
        return CaptureEnd::NoEncoder;
    }
    CaptureEnd::Server { code, said }
}

/// Reads what the device says on the control socket.
async fn ears(mut reader: Reader, acks: mpsc::Sender<u64>) -> CaptureEnd {
    let mut bytes = BytesMut::new();
    loop {
        match reader.read_chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return CaptureEnd::ControlClosed,
            Err(end) => return end.into(),
        }
        loop {
            match device_msg::decode(&bytes) {
                Ok(Some((message, length))) => {
                    bytes.advance(length);
                    if let DeviceMsg::AckClipboard(sequence) = message {
                        // A full queue means that nobody waits for it any more.
                        let _ = acks.try_send(sequence);
                    }
                }
                Ok(None) => break,
                Err(error) => return error.into(),
            }
        }
    }
}

/// Asks for a sign of life now and then: a connection that is cut without a word looks like a still screen.
async fn pulse(host: Host, pulse: Pulse) -> CaptureEnd {
    loop {
        tokio::time::sleep(pulse.every).await;
        match tokio::time::timeout(pulse.timeout, host.shell("echo")).await {
            Ok(Ok(_)) => {}
            Ok(Err(ShellError::Open(OpenError::Ended(end)))) => return end.into(),
            // A shell that fails is a shell that answers.
            Ok(Err(_)) => {}
            Err(_) => return CaptureEnd::NoPulse,
        }
    }
}
