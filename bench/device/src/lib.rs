//! The simulated Android device: reached over adb, mirrored by scrcpy, drawn in software.
//!
//! ```text
//!   host ══ adb over TCP ══ adbd ──┬── shell commands, files ──────────────► Android (state)
//!                                  │                                          ▲        │ view
//!                                  └── abstract sockets ── scrcpy_server ─────┘ input  ▼
//!                                                          ▲ packets ── display ── screen, encoder
//! ```
//!
//! It is honest: it enforces the rules of the real daemon and of the real server (exact version, exact video size,
//! silence on a still screen), and nobody who talks to it over the network can tell but by its name.
//! Its programs share a [`Userland`]: the state ([`Android`]), the picture ([`display::Display`]), files, and the
//! sockets where a scrcpy server and the adb daemon meet.

pub mod abstract_sockets;
pub mod adbd;
pub mod android;
pub mod apk;
mod clock;
pub mod console;
pub mod dice;
pub mod display;
pub mod encode;
pub mod fault;
pub mod files;
pub mod hid;
pub mod processes;
pub mod replay;
pub mod scrcpy_server;
pub mod screen;
pub mod shell;
pub mod stand_in;
pub mod userland;

pub use adb::daemon::Guard;
pub use adb::window::Window;
pub use adb::{key_file, known_keys};
pub use android::Android;
pub use stand_in::{stand_in_server, stand_in_version};
pub use userland::{Manner, Root, Userland};

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adb::banner::Product;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use adbd::DelayedAck;
use android::{Idle, Model};
use display::Display;
use encode::Habit;
use fault::Faults;
use replay::Film;

/// What a device is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where adb listens. Keep off the odd ports 5555 to 5585 of the loopback: every adb server claims those.
    pub adb: SocketAddr,
    /// The model's name, up to 63 bytes without `:`, `;` or `=`, which adb's banner uses itself.
    pub name: String,
    /// Natural width in pixels, even, 320 to 4096.
    pub width: u16,
    /// Natural height in pixels, even, 320 to 4096.
    pub height: u16,
    /// Ticks of the display in a second, 1 to 240.
    pub fps: u32,
    /// How it starts.
    pub boot: Boot,
}

/// How a device starts. The adb daemon and its shell are there at once, the services come later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boot {
    /// The services are up after this long.
    Takes(Duration),
    /// They never come up.
    Fails,
}

impl Default for Boot {
    fn default() -> Self {
        Self::Takes(Duration::ZERO)
    }
}

/// How the device's scrcpy servers and encoders differ from a good phone's; [`Default`] is not at all.
#[derive(Debug, Clone, Default)]
pub struct Mirroring {
    /// What goes wrong.
    pub faults: Faults,
    /// The kind of its video encoder.
    pub encoder: Habit,
    /// Shown in place of the screen; `None` = the screen.
    pub film: Option<Film>,
}

/// How a device differs from a plain one; [`Default`] is not at all.
#[derive(Debug, Clone)]
pub struct Traits {
    /// How it is mirrored.
    pub mirroring: Mirroring,
    /// Whom its adb daemon lets in.
    pub guard: Guard,
    /// Which flow control its adb daemon lists.
    pub delayed_ack: DelayedAck,
    /// What a host may send on each stream, with delayed ack.
    pub window: Window,
    /// An emulator's console; none on a phone.
    pub console: Option<Console>,
    /// What its shell may do, and how quickly it does it.
    pub manner: Manner,
}

/// An emulator's console.
#[derive(Debug, Clone)]
pub struct Console {
    /// Where it listens.
    pub address: SocketAddr,
    /// What a client has to know; none lets anyone in.
    pub token: Option<String>,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            mirroring: Mirroring::default(),
            guard: Guard::Open,
            delayed_ack: DelayedAck::Listed,
            window: Window::default(),
            console: None,
            manner: Manner::default(),
        }
    }
}

/// Why a device does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A field of [`Config`] is out of its range.
    #[error("{0}")]
    Config(&'static str),
    /// The adb port or the display's thread cannot be had.
    #[error("the device cannot start")]
    Io(#[from] std::io::Error),
}

/// Runs a device until cancelled.
///
/// # Errors
/// The configuration is wrong, or the port is taken.
pub async fn run(config: Config, cancel: CancellationToken) -> Result<(), StartError> {
    run_as(config, Traits::default(), cancel).await
}

/// As [`run`], with these traits.
///
/// # Errors
/// The configuration is wrong, or the port is taken.
pub async fn run_as(config: Config, traits: Traits, cancel: CancellationToken) -> Result<(), StartError> {
    let listener = TcpListener::bind(config.adb).await?;
    serve_as(listener, config, traits, cancel).await
}

/// As [`run`], on a port that is bound already; `config.adb` is not used.
///
/// # Errors
/// The configuration is wrong.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    cancel: CancellationToken,
) -> Result<(), StartError> {
    serve_as(listener, config, Traits::default(), cancel).await
}

/// As [`serve`], with these traits.
///
/// # Errors
/// The configuration is wrong.
pub async fn serve_as(
    listener: TcpListener,
    config: Config,
    traits: Traits,
    cancel: CancellationToken,
) -> Result<(), StartError> {
    config.check().map_err(StartError::Config)?;
    let console = match traits.console {
        Some(Console { address, token }) => {
            let listener = TcpListener::bind(address).await?;
            tracing::info!(console.address = ?listener.local_addr().ok(), "the console is ready");
            Some((listener, token))
        }
        None => None,
    };
    let product = Product {
        name: "farglass_simulated".to_owned(),
        model: config.name.clone(),
        device: "simulated".to_owned(),
    };
    let android = Android::new(Model {
        name: config.name,
        width: config.width,
        height: config.height,
    });
    let (boot, around) = (boot(android.clone(), config.boot), android.clone());
    let dozing = doze(android.clone());
    let mirroring = traits.mirroring;
    let (display, thread) = match mirroring.film {
        Some(film) => Display::replay(android.clone(), film, config.fps)?,
        None => Display::spawn(android.clone(), config.fps)?,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_s = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
    let mut userland = Userland::new(android, display, now_s);
    userland.faults = mirroring.faults;
    userland.encoder = mirroring.encoder;
    userland.manner = traits.manner;
    let options = adbd::Options {
        product,
        delayed_ack: traits.delayed_ack,
        guard: traits.guard,
        window: traits.window,
    };
    tracing::info!(adb.address = ?listener.local_addr().ok(), "the device is ready");
    let console = async {
        match console {
            Some((listener, token)) => console::serve(listener, around, token).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = adbd::serve(listener, userland, &options, cancel) => {}
        never = boot => match never {},
        () = console => {}
        never = dozing => match never {},
    }
    // The thread ends by itself, soon after the last handle on the display.
    drop(thread);
    Ok(())
}

/// How often a device looks whether its screen is to go off.
const DOZE_LOOK: Duration = Duration::from_secs(1);

/// Switches the screen off when nobody uses the device, for ever.
async fn doze(android: Android) -> Infallible {
    let mut idle = Idle::new(tokio::time::Instant::now().into_std());
    loop {
        tokio::time::sleep(DOZE_LOOK).await;
        idle.look(&android, tokio::time::Instant::now().into_std());
    }
}

/// Brings the services up when it is time, and goes on for ever.
fn boot(android: Android, boot: Boot) -> impl Future<Output = Infallible> {
    if boot != Boot::default() {
        android.begin_boot();
    }
    async move {
        if let Boot::Takes(time) = boot {
            tokio::time::sleep(time).await;
            android.end_boot();
        }
        std::future::pending().await
    }
}

impl Config {
    fn check(&self) -> Result<(), &'static str> {
        let side = |side: u16| (320..=4096).contains(&side) && side.is_multiple_of(2);
        if !side(self.width) || !side(self.height) {
            return Err("width and height have to be even, from 320 to 4096");
        }
        if !(1..=240).contains(&self.fps) {
            return Err("the display has to tick 1 to 240 times a second");
        }
        if self.name.is_empty() || self.name.len() > 63 || self.name.contains([':', ';', '=', '\n']) {
            return Err("the name has to have 1 to 63 bytes without ':', ';', '=' and line feeds");
        }
        Ok(())
    }
}
