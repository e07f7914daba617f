//! One capture of the display: its encoder, what of the picture it has not encoded yet, and when it is due.
//!
//! ```text
//!              first tick, rotation, reset               new picture
//!   ┌───────┐ ───────────────────────────► ┌─────────┐ ─────────────► encode
//!   │ Fresh │   Session, Config, key frame │ Running │ ◄─┐
//!   └───────┘                              └─────────┘ ──┘ quiet for 100 ms: encode once more, then silence
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use scrcpy::Pts;
use thiserror::Error;
use tokio::sync::mpsc;

use super::{Attach, CaptureOptions, FirstSize, PACKETS_MAX, Packet, Shown};
use crate::android::{Rotation, Size};
use crate::encode::{EncodeError, Encoder, EncoderSettings, Habit, SLOW_RESET};
use crate::screen::canvas::Canvas;
use crate::screen::layout::{Rect, full};
use crate::screen::lens::{Blind, Look};
use crate::screen::planes::Planes;
use crate::screen::scale::scaled;

/// Packets of a new session: all have to fit before it is begun. A first one that fails adds its size.
const SESSION_PACKETS: usize = 4;

/// The longer sides that scrcpy tries in turn after an encoder has failed, in pixels.
const SMALLER_SIDES: [u16; 6] = [2_560, 1_920, 1_600, 1_280, 1_024, 800];

/// Pictures per second that the bit rate is shared by, if the capture does not say; the display's usual rate.
const FRAME_RATE: f32 = 60.0;

/// Why a capture ends by itself.
#[derive(Debug, Error)]
pub(super) enum CaptureError {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("the video encoder takes no size")]
    NoSize,
    #[error("nothing of the display is shown")]
    Blind,
}

pub(super) struct Capture {
    options: CaptureOptions,
    packets: mpsc::Sender<Packet>,
    shown: Shown,
    resets_wanted: Arc<AtomicU32>,
    resets_done: u32,
    /// When a session that was asked for may begin, with an encoder that is slow at it.
    ready_at: Option<Instant>,
    state: State,
}

enum State {
    Fresh,
    Running(Box<Running>),
}

struct Running {
    display: Size,
    rotation: Rotation,
    look: Look,
    encoder: Encoder,
    planes: Planes,
    /// What the planes lack of the newest picture.
    missing: Option<Rect>,
    last: Instant,
    repeated: bool,
}

impl Capture {
    pub(super) fn new(attach: Attach) -> Self {
        let Attach {
            options,
            packets,
            shown,
            resets_wanted,
        } = attach;
        Self {
            options,
            packets,
            shown,
            resets_wanted,
            resets_done: 0,
            ready_at: None,
            state: State::Fresh,
        }
    }

    /// Whether anyone still reads it.
    pub(super) fn is_read(&self) -> bool {
        !self.packets.is_closed()
    }

    /// A part of the display has changed.
    pub(super) fn damaged(&mut self, damage: Option<Rect>) {
        if let (State::Running(running), Some(damage)) = (&mut self.state, damage) {
            running.missing = Some(running.missing.map_or(damage, |missing| missing.union(damage)));
        }
    }

    /// When it has something to encode, if nothing changes before.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        match &self.state {
            State::Fresh => Some(now),
            State::Running(_) if self.reset_wanted() => Some(self.ready_at.unwrap_or(now)),
            State::Running(running) if running.missing.is_some() => Some(running.last + self.interval()),
            State::Running(running) if running.repeated => None,
            State::Running(running) => running.last.checked_add(self.options.wishes.repeat_after?),
        }
    }

    /// Encodes the newest picture, if that is due and its reader has room.
    ///
    /// # Errors
    /// The encoder failed; the capture is of no more use.
    pub(super) fn picture(
        &mut self,
        canvas: &Canvas,
        rotation: Rotation,
        pts: Pts,
        now: Instant,
    ) -> Result<(), CaptureError> {
        let begins = match &self.state {
            State::Fresh => true,
            State::Running(running) => {
                let turned = self.options.lens.follows_half_turns() && running.rotation != rotation;
                running.display != canvas.size() || turned || self.reset_wanted()
            }
        };
        if begins {
            return match self.holds_up(now) {
                true => Ok(()),
                false => self.begin(canvas, rotation, pts, now),
            };
        }
        if self.due(now).is_none_or(|due| due > now) || self.packets.capacity() == 0 {
            return Ok(());
        }
        if let State::Running(running) = &mut self.state {
            running.repeated = running.missing.is_none();
            running.last = now;
            let packets = running.encode(canvas, pts, false)?;
            self.send(packets);
        }
        Ok(())
    }

    fn begin(
        &mut self,
        canvas: &Canvas,
        rotation: Rotation,
        pts: Pts,
        now: Instant,
    ) -> Result<(), CaptureError> {
        if self.packets.capacity() < SESSION_PACKETS {
            return Ok(());
        }
        self.options.lens.settle(rotation.quarters());
        self.first_size(canvas.size(), rotation)?;
        self.resets_done = self.resets_wanted.load(Ordering::Acquire);
        let encoder = Encoder::new(EncoderSettings {
            habit: self.options.encoder,
            bit_rate: self.options.bit_rate,
            frame_rate: self.options.max_fps.unwrap_or(FRAME_RATE),
            wishes: self.options.wishes,
        })?;
        let look = self.look(canvas.size(), rotation)?;
        let encoded = self.options.encoder.size_of(look.video);
        let mut running = Box::new(Running {
            display: canvas.size(),
            rotation,
            look,
            encoder,
            planes: Planes::new(encoded),
            missing: Some(full(canvas.size())),
            last: now,
            repeated: false,
        });
        let first = running.encode(canvas, pts, true)?;
        self.state = State::Running(running);
        // Input is checked against the new size a little before its reader hears of it, as on a real device.
        self.shown.store(look);
        self.send([Packet::Session(look.video)].into_iter().chain(first));
        Ok(())
    }

    /// What is shown; if that is nothing, its reader is told why.
    fn look(&self, display: Size, rotation: Rotation) -> Result<Look, CaptureError> {
        let look = self.options.lens.look(display, rotation.quarters());
        look.map_err(|blind| {
            let (size, why) = match blind {
                Blind::Outside(why) => {
                    let thread = "Exception on thread Thread[video,5,main]";
                    (
                        None,
                        format!("{thread}\njava.lang.IllegalArgumentException: {why}"),
                    )
                }
                Blind::Empty(why) => {
                    let (width, height) = (0, 0);
                    (Some(Size { width, height }), why.to_owned())
                }
            };
            self.send([Packet::Failed { size, why }]);
            CaptureError::Blind
        })
    }

    /// Whether the encoder is not ready for a new session yet, for that is slow with it.
    fn holds_up(&mut self, now: Instant) -> bool {
        if self.options.encoder != Habit::SlowReset || matches!(self.state, State::Fresh) {
            return false;
        }
        let ready = *self.ready_at.get_or_insert(now + SLOW_RESET);
        if now >= ready {
            self.ready_at = None;
        }
        now < ready
    }

    /// A first size that does not work is told and left.
    fn first_size(&mut self, display: Size, rotation: Rotation) -> Result<(), CaptureError> {
        let fails = std::mem::take(&mut self.options.first_size);
        if fails == FirstSize::Works {
            return Ok(());
        }
        let look = self.look(display, rotation)?;
        let size = look.video;
        self.shown.store(look);
        self.send([Packet::Session(size)]);
        let longer = size.width.max(size.height);
        match SMALLER_SIDES.into_iter().find(|&side| side < longer) {
            Some(side) if fails == FirstSize::FailsThenSmaller => {
                self.options.lens.max_size = Some(side);
                Ok(())
            }
            _ => Err(CaptureError::NoSize),
        }
    }

    /// The room was asked for before; a reader that is gone is noticed at the next tick.
    fn send(&self, packets: impl IntoIterator<Item = Packet>) {
        for packet in packets {
            let _ = self.packets.try_send(packet);
        }
    }

    fn reset_wanted(&self) -> bool {
        self.resets_wanted.load(Ordering::Acquire) != self.resets_done
    }

    /// Least distance of two pictures: a little less than `max_fps` or the encoder says, so that a tick that comes early
    /// counts.
    fn interval(&self) -> Duration {
        let least = [self.options.max_fps, self.options.encoder.fps_max()];
        match least.into_iter().flatten().reduce(f32::min) {
            Some(fps) => Duration::from_secs_f32(0.8 / fps),
            None => Duration::ZERO,
        }
    }
}

impl Running {
    /// Parameter sets, if they are the first, and the picture; nothing if the encoder swallowed it.
    fn encode(&mut self, canvas: &Canvas, pts: Pts, first: bool) -> Result<Vec<Packet>, EncodeError> {
        if let Some(missing) = self.missing.take() {
            if let Some(shown) = self.look.show(canvas, self.planes.size()) {
                self.planes.update(&shown, full(shown.size()));
            } else if self.planes.size() == canvas.size() {
                self.planes.update(canvas, missing);
            } else {
                let small = scaled(canvas, self.planes.size());
                self.planes.update(&small, full(small.size()));
            }
        }
        let Some(encoded) = self.encoder.encode(&self.planes, pts.0 / 1_000, first)? else {
            return Ok(Vec::new());
        };
        let frame = Packet::Frame {
            pts,
            key: encoded.key,
            data: encoded.unit,
        };
        Ok(encoded
            .config
            .map(Packet::Config)
            .into_iter()
            .chain([frame])
            .collect())
    }
}

const _: () = assert!(SESSION_PACKETS <= PACKETS_MAX);
