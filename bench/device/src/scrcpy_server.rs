//! The stand-in for scrcpy's server: what `app_process / com.genymobile.scrcpy.Server` runs on this device.
//!
//! ```text
//!   shell ── start(args) ──► version = own? ── options ── sockets: video, audio, control ── both loops run ──► exit
//!     ▲                        │ no                         │ fails                           video write fails,
//!     └─ log lines, exit code ─┴────────────────────────────┘                                 control ends
//! ```
//!
//! It follows the server's rules from 2.0 to 4.1, in both framings; which one is decided by the version that the
//! pushed file stands in for. There is no audio: an audio socket says so and stays silent. Input goes to
//! [`Android`](crate::Android), pictures come from [`Display`](crate::display::Display). It does not know adb: it
//! meets its client in the [abstract sockets](crate::abstract_sockets).

mod control;
mod log;
mod sockets;
mod video;

use std::sync::atomic::{AtomicU64, Ordering};

use scrcpy::codec::{AudioStart, VideoCodec};
use scrcpy::handshake;
use scrcpy::options::{self, ServerOptions};
use scrcpy::version::{Framing, ServerVersion};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::display::{CaptureHandle, CaptureOptions};
use crate::userland::Userland;

pub use log::Output;
use log::{Log, OUTPUT_MAX};
use sockets::Sockets;

/// Versions before 4.0 round the video's size down to this, whatever is asked.
const LEGACY_ALIGNMENT: u16 = 8;

/// The encoder takes even sizes only.
const ENCODER_ALIGNMENT: u16 = 2;

/// What the shell found on a command line that starts the server.
pub struct Launch {
    /// The version that the file on the class path stands in for; see [`crate::stand_in_version`].
    pub own_version: String,
    /// The arguments after the class name: the client's version, then `key=value`.
    pub args: Vec<String>,
    /// Deletes the file on the class path; called once if the options say so.
    pub remove_jar: Box<dyn FnOnce() + Send>,
}

/// A started server. Dropping it kills the server.
pub struct Running {
    output: mpsc::Receiver<Output>,
    _kill: DropGuard,
}

impl Running {
    /// The next line that it prints, or its exit code as the last thing; `None` after that. Safe to cancel.
    pub async fn next(&mut self) -> Option<Output> {
        self.output.recv().await
    }
}

/// Starts a server in a task of its own, which ends by itself, or when the result is dropped.
pub fn start(userland: &Userland, launch: Launch) -> Running {
    let (sender, output) = mpsc::channel(OUTPUT_MAX);
    let kill = CancellationToken::new();
    let (userland, killed) = (userland.clone(), kill.clone());
    tokio::spawn(async move {
        let mut log = Log::new(sender);
        let ended = killed.run_until_cancelled(run(&userland, launch, &mut log)).await;
        match ended {
            None => {}
            Some(Ok(())) => log.exit(0).await,
            Some(Err(Fatal(why))) => {
                log.error(&why).await;
                log.exit(1).await;
            }
        }
    });
    Running {
        output,
        _kill: kill.drop_guard(),
    }
}

/// An exception that reaches the server's `main`.
struct Fatal(String);

impl<E: std::error::Error> From<E> for Fatal {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

async fn run(userland: &Userland, launch: Launch, log: &mut Log) -> Result<(), Fatal> {
    let Launch {
        own_version,
        args,
        remove_jar,
    } = launch;
    let (version, options) = read_arguments(&own_version, &args, log).await?;
    let android = &userland.android;
    log.info(&format!(
        "Device: [Farglass] farglass {} (Android 14)",
        android.name()
    ))
    .await;
    if options.cleanup {
        remove_jar();
    }
    if options.power_on {
        android.set_screen_on(true);
    }
    let Sockets {
        video,
        audio,
        control,
    } = sockets::open(&userland.sockets, &options, &android.name()).await?;
    let capture = match video {
        Some(_) => Some(capture(userland, version, &options)?),
        None => None,
    };
    let source = next_source();
    let screen = control::Screen {
        size: capture.as_ref().map(|capture| capture.size.clone()),
        reset: capture.as_ref().map(CaptureHandle::reset),
    };
    let _audio = silence(audio).await;
    let video = async {
        match (video, capture) {
            (Some(socket), Some(capture)) => {
                video::send(socket, capture.packets, version.framing(), &options).await
            }
            _ => std::future::pending().await,
        }
    };
    let control = async {
        match control {
            Some(socket) => control::serve(socket, android, version, &options, source, &screen).await,
            None => std::future::pending().await,
        }
    };
    let end = tokio::select! {
        end = video => end,
        end = control => end,
    };
    android.forget_pointers(source);
    if let End::Broken(why) = end {
        log.error(&why).await;
    }
    Ok(())
}

/// Why a server that ran has ended; its exit code is 0 either way.
enum End {
    /// The client closed a socket.
    Closed,
    /// The client sent what ends a server, or the encoder gave up.
    Broken(String),
}

async fn read_arguments(
    own: &str,
    args: &[String],
    log: &mut Log,
) -> Result<(ServerVersion, ServerOptions), Fatal> {
    let (client, args) = args
        .split_first()
        .ok_or_else(|| Fatal("Missing client version".to_owned()))?;
    if client != own {
        return Err(Fatal(format!(
            "The server version ({own}) does not match the client ({client})"
        )));
    }
    let version: ServerVersion = own.parse()?;
    let parsed = options::parse(version, args)?;
    log.set_level(parsed.options.log_level);
    for key in &parsed.unknown_keys {
        log.warn(&format!("Unknown server option: {key}")).await;
    }
    let options = parsed.options;
    if options.video && options.video_codec != VideoCodec::H264 {
        return Err(Fatal(format!("No encoder for {}", options.video_codec.name())));
    }
    if options.display_id != 0 {
        return Err(Fatal(format!("Unknown display id: {}", options.display_id)));
    }
    Ok((version, options))
}

fn capture(
    userland: &Userland,
    version: ServerVersion,
    options: &ServerOptions,
) -> Result<CaptureHandle, Fatal> {
    let alignment = match version.framing() {
        Framing::Legacy => LEGACY_ALIGNMENT,
        Framing::Session => options.min_size_alignment.max(ENCODER_ALIGNMENT),
    };
    Ok(userland.display.capture(CaptureOptions {
        bit_rate: options.video_bit_rate,
        max_size: options.max_size,
        alignment,
        max_fps: options.max_fps,
    })?)
}

/// Says on the audio socket that there is no audio, and keeps it open. A client that is gone shows elsewhere.
async fn silence(audio: Option<sockets::Open>) -> Option<sockets::Open> {
    let mut socket = audio?;
    let header = handshake::encode_audio_header(AudioStart::Disabled);
    socket.write_all(&header).await.ok()?;
    Some(socket)
}

/// Numbers servers, so that their pointers do not meet; 0 is the shell's.
fn next_source() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
