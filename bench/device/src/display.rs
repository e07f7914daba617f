//! The display: one thread that draws at the ticks of a vsync clock and encodes for everyone who captures.
//!
//! ```text
//!   nothing changed ──► sleep until the device changes or a capture wants something
//!   changed ──► sleep until the next tick ──► draw once ──► for each capture: convert, encode, hand over
//! ```
//!
//! Newest wins: a capture whose reader is behind gets no picture until there is room, and then the newest. Nothing is
//! encoded while nothing changes, but for one repeat of the last picture after 100 ms, as MediaCodec does it.
//! The thread ends when the last [`Display`] handle is gone. It does not know sockets or framings.

mod capture;
mod vsync;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use scrcpy::Pts;
use thiserror::Error;

use crate::android::{Android, Size};
use crate::clock;
use crate::encode::{Habit, Wishes};
use crate::replay::{self, Film};
use crate::screen::lens::{Lens, Look};
use crate::screen::{Moment, Screen};

use capture::Capture;
pub(crate) use vsync::Vsync;

/// Packets that wait for a capture's reader. A real encoder has a few output buffers; when they are full it takes no
/// picture, and the surface keeps the newest.
pub const PACKETS_MAX: usize = 4;

/// Captures and requests that wait for the display's thread; more are refused or wait for the next tick.
const COMMANDS_MAX: usize = 16;

/// Longest sleep of the thread, so that it notices that it is not needed any more.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// A piece of a capture's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Pictures of this size follow.
    Session(Size),
    /// Parameter sets.
    Config(Bytes),
    /// One picture.
    Frame {
        /// When it was drawn.
        pts: Pts,
        /// Whether it is a key frame.
        key: bool,
        /// One access unit.
        data: Bytes,
    },
    /// The end, and why: the server's words.
    Failed {
        /// A size that no encoder takes, if it came to a size.
        size: Option<Size>,
        /// What it says.
        why: String,
    },
}

/// What a capture asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CaptureOptions {
    /// Bits per second.
    pub bit_rate: u32,
    /// What of the display is shown, and how.
    pub lens: Lens,
    /// Pictures per second at most, `None` = as the display.
    pub max_fps: Option<f32>,
    /// What kind of encoder the device has.
    pub encoder: Habit,
    /// What the client asks of it.
    pub wishes: Wishes,
    /// Whether the encoder takes the first size.
    pub first_size: FirstSize,
}

/// What becomes of the first session of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FirstSize {
    /// It gives pictures.
    #[default]
    Works,
    /// It ends before a picture, and another follows with the next smaller size of scrcpy's ladder.
    FailsThenSmaller,
    /// It ends before a picture, and with it the capture.
    Fails,
}

/// What a capture shows at this moment: the size of its video, which input has to name exactly, and where that lands.
/// As long as a session lasts its pixels are mapped to the display as it was held then.
#[derive(Debug, Clone, Default)]
pub struct Shown(Arc<Mutex<Option<Look>>>);

/// A handle on the display's thread.
#[derive(Debug, Clone)]
pub struct Display {
    android: Android,
    fps: u32,
    commands: mpsc::SyncSender<Attach>,
}

/// One running capture. Dropping it ends the capture.
#[derive(Debug)]
pub struct CaptureHandle {
    /// What to send.
    pub packets: tokio::sync::mpsc::Receiver<Packet>,
    /// What input is checked against.
    pub shown: Shown,
    reset: Reset,
}

/// Asks a capture for a new session.
#[derive(Debug, Clone)]
pub struct Reset {
    wanted: Arc<AtomicU32>,
    android: Android,
}

/// The display takes no more captures.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the display takes no more captures")]
pub struct Busy;

/// A capture on its way to the thread.
pub(crate) struct Attach {
    pub(crate) options: CaptureOptions,
    pub(crate) packets: tokio::sync::mpsc::Sender<Packet>,
    pub(crate) shown: Shown,
    pub(crate) resets_wanted: Arc<AtomicU32>,
}

impl Shown {
    /// `None` before the first session.
    pub fn load(&self) -> Option<Look> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store(&self, look: Look) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
    }
}

impl CaptureHandle {
    /// Asks for new sessions on behalf of this capture.
    pub fn reset(&self) -> Reset {
        self.reset.clone()
    }
}

impl Reset {
    /// A new session: size, parameter sets, key frame. Requests before the next tick count as one.
    pub fn request(&self) {
        self.wanted.fetch_add(1, Ordering::AcqRel);
        self.android.poke();
    }
}

impl Display {
    /// Starts the thread of a display with this many ticks a second.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn spawn(android: Android, fps: u32) -> std::io::Result<(Self, thread::JoinHandle<()>)> {
        let (commands, received) = mpsc::sync_channel(COMMANDS_MAX);
        let display = Self {
            android: android.clone(),
            fps,
            commands,
        };
        let run = move || Loop::new(android, fps).run(&received);
        let thread = thread::Builder::new().name("display".to_owned()).spawn(run)?;
        Ok((display, thread))
    }

    /// Starts the thread of a display that shows a film to every capture, this many pictures a second.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn replay(android: Android, film: Film, fps: u32) -> std::io::Result<(Self, thread::JoinHandle<()>)> {
        let (commands, attached) = mpsc::sync_channel(COMMANDS_MAX);
        let run = move || replay::show(&film, fps, &attached);
        let thread = thread::Builder::new().name("film".to_owned()).spawn(run)?;
        let display = Self {
            android,
            fps,
            commands,
        };
        Ok((display, thread))
    }

    /// Its ticks a second.
    #[must_use]
    pub fn fps(&self) -> u32 {
        self.fps
    }

    /// Starts a capture; its first packets come with the next tick.
    ///
    /// # Errors
    /// The thread has ended, or has not taken the last captures yet.
    pub fn capture(&self, options: CaptureOptions) -> Result<CaptureHandle, Busy> {
        let (sender, packets) = tokio::sync::mpsc::channel(PACKETS_MAX);
        let (shown, wanted) = (Shown::default(), Arc::new(AtomicU32::new(0)));
        let attach = Attach {
            options,
            packets: sender,
            shown: shown.clone(),
            resets_wanted: Arc::clone(&wanted),
        };
        self.commands.try_send(attach).map_err(|_| Busy)?;
        self.android.poke();
        let android = self.android.clone();
        let reset = Reset { wanted, android };
        Ok(CaptureHandle {
            packets,
            shown,
            reset,
        })
    }
}

struct Loop {
    android: Android,
    screen: Screen,
    captures: Vec<Capture>,
    vsync: Vsync,
    switched_on: Instant,
    /// The device's change that the screen shows, 0 = none.
    shown: u64,
    /// How often it was poked.
    pokes: u64,
}

impl Loop {
    fn new(android: Android, fps: u32) -> Self {
        let now = Instant::now();
        Self {
            screen: Screen::new(&android),
            android,
            captures: Vec::new(),
            vsync: Vsync::new(now, fps),
            switched_on: now,
            shown: 0,
            pokes: 0,
        }
    }

    fn run(mut self, commands: &mpsc::Receiver<Attach>) {
        loop {
            loop {
                match commands.try_recv() {
                    Ok(attach) => self.captures.push(Capture::new(attach)),
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
            self.captures.retain(Capture::is_read);
            let now = Instant::now();
            match self.next_due(now) {
                Some(due) if due <= now => {
                    thread::sleep(self.vsync.next(now).saturating_duration_since(Instant::now()));
                    self.tick();
                }
                due => {
                    let until = due.map_or(IDLE_MAX, |due| due.saturating_duration_since(now));
                    // Without a reader nothing is drawn, however much changes.
                    let seen = (!self.captures.is_empty()).then_some(self.shown);
                    self.android.wait(seen, &mut self.pokes, until.min(IDLE_MAX));
                }
            }
        }
    }

    /// When there is something to do, if nothing changes before.
    fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.captures.is_empty() {
            return None;
        }
        if self.screen.moves() || self.android.version() != self.shown {
            return Some(now);
        }
        self.captures.iter().filter_map(|capture| capture.due(now)).min()
    }

    fn tick(&mut self) {
        let (started, pts) = (Instant::now(), clock::monotonic());
        if self.screen.moves() || self.android.version() != self.shown {
            let moment = Moment {
                elapsed: started - self.switched_on,
                unix_100us: clock::unix_100us(),
            };
            self.shown = self.screen.draw(&self.android, moment);
        }
        let damage = self.screen.canvas_mut().take_damage();
        let (canvas, rotation) = (self.screen.canvas(), self.screen.rotation());
        self.captures.retain_mut(|capture| {
            capture.damaged(damage);
            let pictured = capture.picture(canvas, rotation, pts, started);
            if let Err(error) = &pictured {
                tracing::error!(%error, "a capture ends");
            }
            pictured.is_ok()
        });
    }
}
