//! The stand-in for scrcpy's server: what `app_process / com.genymobile.scrcpy.Server` runs on this device.
//!
//! ```text
//!   shell ── start(args) ──► version = own? ── options ── sockets: video, audio, control ── both loops run ──► exit
//!     ▲                        │ no                         │ fails                           video write fails,
//!     └─ log lines, exit code ─┴────────────────────────────┘                                 control ends
//! ```
//!
//! It follows the server's rules from 2.0 to 4.1, in both framings; which one is decided by the version that the
//! pushed file stands in for. Input goes to [`Android`](crate::Android), pictures come from
//! [`Display`](crate::display::Display), sound from a file. Asked for a list, it prints it and opens no socket. What is
//! to go wrong is in its [plan](crate::fault). It does not know adb: it meets its client in the
//! [abstract sockets](crate::abstract_sockets).

mod audio;
mod cleanup;
mod control;
mod lists;
mod log;
mod sockets;
mod stage;
mod video;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use scrcpy::codec::VideoCodec;
use scrcpy::options::{self, ServerOptions, VideoSource, codec_options};
use scrcpy::version::{Framing, ServerVersion};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::android::Android;
use crate::android::displays::MAIN;
use crate::display::{CaptureHandle, CaptureOptions, FirstSize};
use crate::encode::{Habit, Wishes};
use crate::fault::Plan;
use crate::screen::lens::Lens;
use crate::screen::scale::Rounding;
use crate::userland::Userland;

use cleanup::CleanUp;
pub use log::Output;
use log::{Log, OUTPUT_MAX};
use sockets::Sockets;
use stage::{Flex, Stage};

/// How often a server with `keep_active` gives a sign of life.
const KEEP_ACTIVE_EVERY: Duration = Duration::from_secs(4);

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
    let plan = userland.faults.next_plan();
    tokio::spawn(async move {
        let mut log = Log::new(userland.android.clone(), sender);
        let ended = killed
            .run_until_cancelled(run(&userland, launch, plan, &mut log))
            .await;
        match ended {
            None | Some(Ok(End::Killed)) => {}
            Some(Ok(End::Closed)) => log.exit(0).await,
            Some(Ok(End::Broken(why))) => {
                log.error(&why).await;
                log.exit(0).await;
            }
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

async fn run(userland: &Userland, launch: Launch, plan: Plan, log: &mut Log) -> Result<End, Fatal> {
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
    let lists = lists::wanted(userland, version, &options);
    if !lists.is_empty() {
        for list in lists {
            log.info(&list).await;
        }
        return Ok(End::Closed);
    }
    // Before 3.0 the display was looked for before anything else.
    let early = !version.at_least(3, 0, 0);
    if let (true, Err(why)) = (early, stage::display(android, &options)) {
        return Ok(End::Broken(why));
    }
    let display = android.on(options.display_id);
    let warning = lens(version, &options).warning(display.size(), display.rotation().quarters());
    if let (true, Some(warning)) = (options.video, warning) {
        log.warn(&warning).await;
    }
    let cleanup = CleanUp::start(android, &options);
    tokio::time::sleep(plan.starts_after).await;
    let sockets = sockets::open(&userland.sockets, &options, &android.name()).await?;
    // There is no camera, and a real server that finds none ends without a word.
    if options.video && options.video_source == VideoSource::Camera {
        return Ok(End::Closed);
    }
    let stage = match Stage::new(userland, &options, lens(version, &options)) {
        Ok(stage) => stage,
        Err(why) => return Ok(End::Broken(why)),
    };
    let mirror = Mirror {
        stage: &stage,
        version,
        options: &options,
        injector: Injector::new(&stage.userland.android, cleanup),
    };
    let death = async {
        match plan.dies_after {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        end = mirror.run(sockets, &plan) => end,
        () = death => Ok(End::Killed),
    }
}

/// A server with open sockets.
struct Mirror<'a> {
    stage: &'a Stage,
    version: ServerVersion,
    options: &'a ServerOptions,
    injector: Injector<'a>,
}

impl Mirror<'_> {
    async fn run(&self, sockets: Sockets, plan: &Plan) -> Result<End, Fatal> {
        let Sockets {
            video,
            audio,
            control,
        } = sockets;
        let (options, framing) = (self.options, self.version.framing());
        if let (Some(_), Some(why)) = (&video, unknown_encoder(options, self.stage.userland.encoder)) {
            return Ok(End::Broken(why));
        }
        let capture = match video {
            Some(_) => Some(capture(&self.stage.userland, self.version, options, plan)?),
            None => None,
        };
        let screen = control::Screen {
            shown: capture.as_ref().map(|capture| capture.shown.clone()),
            reset: capture.as_ref().map(CaptureHandle::reset),
            flex: self.stage.flex.as_ref(),
        };
        let video = async {
            match (video, capture) {
                (Some(socket), Some(capture)) => {
                    let resized = || self.stage.flex.as_ref().is_some_and(Flex::take_resized);
                    video::send(socket, capture.packets, framing, options, plan, resized).await
                }
                _ => std::future::pending().await,
            }
        };
        let audio = async {
            match audio {
                Some(socket) => match audio::send(socket, framing, options, plan).await {
                    // The rest of a server goes on without sound.
                    End::Closed if options.video || options.control => std::future::pending().await,
                    end => end,
                },
                None => std::future::pending().await,
            }
        };
        let control = async {
            match control {
                Some(socket) => {
                    control::serve(socket, &self.injector, self.version, options, &screen, plan).await
                }
                None => std::future::pending().await,
            }
        };
        let flexing = async {
            match &self.stage.flex {
                Some(flex) => flex.follow().await,
                None => std::future::pending().await,
            }
        };
        let active = keep_active(&self.stage.userland.android, options);
        Ok(tokio::select! {
            never = active => match never {},
            end = video => end,
            never = flexing => match never {},
            end = audio => end,
            end = control => end,
        })
    }
}

/// Does as if somebody used the device, for ever, if that is asked for.
async fn keep_active(android: &Android, options: &ServerOptions) -> Infallible {
    loop {
        match options.keep_active && options.control {
            true => tokio::time::sleep(KEEP_ACTIVE_EVERY).await,
            false => std::future::pending().await,
        }
        android.live();
    }
}

/// Who injects. When it is gone, however it went, its fingers are lifted, its HID devices are unplugged, and what it
/// changed is put back.
struct Injector<'a> {
    android: &'a Android,
    source: u64,
    cleanup: Option<CleanUp>,
}

impl<'a> Injector<'a> {
    /// With a number of its own, so that the pointers of two servers do not meet; 0 is the shell's.
    fn new(android: &'a Android, cleanup: Option<CleanUp>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let source = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            android,
            source,
            cleanup,
        }
    }
}

impl Drop for Injector<'_> {
    fn drop(&mut self) {
        self.android.detach_all_hid(self.source);
        self.android.forget_pointers(self.source);
    }
}

/// Why a server that ran has ended; its exit code is 0 if it could still say so.
enum End {
    /// Something ended it from outside; it says nothing any more.
    Killed,
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
    let mut options = parsed.options;
    if options.new_display.is_some() {
        // Asked for both, a real server makes the new one: an assertion is all that it has against it, and Android
        // checks none.
        options.display_id = MAIN;
    }
    Ok((version, options))
}

/// What to say if the options ask for an encoder that is not there.
fn unknown_encoder(options: &ServerOptions, there: Habit) -> Option<String> {
    let asked = options.video_encoder.as_str();
    let codec = options.video_codec.name();
    if there == Habit::Missing || options.video_codec != VideoCodec::H264 {
        return Some(format!("Could not create default video encoder for {codec}"));
    }
    (!asked.is_empty() && asked != lists::VIDEO_ENCODER).then(|| {
        format!(
            "Video encoder '{asked}' for {codec} not found\n{}",
            lists::video_encoders(there)
        )
    })
}

/// How a server of this version shows the display.
fn lens(version: ServerVersion, options: &ServerOptions) -> Lens {
    let rounding = match version.framing() {
        Framing::Legacy if version.at_least(3, 0, 0) => Rounding::ShorterToNearest,
        Framing::Legacy => Rounding::BeforeScaling,
        Framing::Session => Rounding::Down(options.min_size_alignment.max(ENCODER_ALIGNMENT)),
    };
    Lens::new(version, options, rounding)
}

fn capture(
    userland: &Userland,
    version: ServerVersion,
    options: &ServerOptions,
    plan: &Plan,
) -> Result<CaptureHandle, Fatal> {
    // They were read when the server started.
    let wishes = Wishes::new(&codec_options(&options.video_codec_options).unwrap_or_default());
    Ok(userland.display.capture(CaptureOptions {
        bit_rate: wishes.bit_rate.unwrap_or(options.video_bit_rate),
        lens: lens(version, options),
        max_fps: wishes.max_fps.or(options.max_fps),
        encoder: userland.encoder,
        wishes,
        first_size: match (plan.first_size_fails, options.downsize_on_error) {
            (false, _) => FirstSize::Works,
            (true, true) => FirstSize::FailsThenSmaller,
            (true, false) => FirstSize::Fails,
        },
    })?)
}
