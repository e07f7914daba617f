//! What a capture makes of its display: a part of it, turned, mirrored, leaned; and where a touch on that lands.
//!
//! ```text
//!   display ── crop ── orientation ── angle ──► filtered ── max_size, rounding ──► video
//!      ▲                                                                             │
//!      └───────────────────────────── a touch, backwards ────────────────────────────┘
//! ```
//!
//! From server 3.0 both ways are one affine transform, of unit squares whose origin is at the bottom left, and a
//! position is cut off to whole pixels only in the end, as the server's own arithmetic does it. Before, a position is
//! turned and then stretched in whole numbers; from 2.5 a newer Android shows all of the display in the video's frame,
//! whatever was asked for, and only size and positions follow. It does not know encoders, nor who touches.

mod affine;

use scrcpy::options::{CaptureOrientation, Crop, Orientation, ServerOptions, VideoLock};
use scrcpy::version::ServerVersion;

use super::canvas::{Canvas, Rgb};
use super::layout::{Rect, full};
use super::scale::{Rounding, capture_size, scaled};
use crate::android::Size;
use affine::Affine;

/// What a client asked for, and how its server does it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lens {
    crop: Option<Crop>,
    orientation: CaptureOrientation,
    lock: VideoLock,
    /// Degrees clockwise.
    angle: f32,
    era: Era,
    /// Longer side of the video at most.
    pub max_size: Option<u16>,
    rounding: Rounding,
}

/// How servers have done it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Era {
    /// From 2.0: the compositor cuts and turns.
    Projected,
    /// From 2.5: as before for sizes and positions, but the picture is all of the display.
    Mirrored,
    /// From 3.0: a filter, and a new session when the size changes.
    Filtered,
    /// From 4.0: and when the display is turned upside down.
    Followed,
}

/// What a lens shows of a display that is held in one way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// What the client is told, and what its positions have to name.
    pub video: Size,
    touches: Touches,
    shows: Shows,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Touches {
    /// Positions are the display's already.
    Same,
    /// From pixels of the video to pixels of the display.
    By(Affine),
    /// Turned back by quarters, then stretched from the video before it was turned to this part.
    Within {
        quarters: u8,
        unturned: Size,
        part: Rect,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shows {
    /// All of the display.
    All,
    /// All of it, its shape kept, with bars.
    Framed,
    /// Of this size before it is scaled to the video: from pixels of it to pixels of the display.
    Through(Size, Affine),
}

/// Why a lens shows nothing of a display: the server's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blind {
    /// The cut is not inside the display: known before a size is.
    Outside(String),
    /// There is no pixel in it.
    Empty(&'static str),
}

impl Lens {
    /// All of the display, as it is held, in a size that an encoder takes.
    pub const WHOLE: Self = Self {
        crop: None,
        orientation: CaptureOrientation::Follows(Orientation {
            flipped: false,
            quarters: 0,
        }),
        lock: VideoLock::Unlocked,
        angle: 0.0,
        era: Era::Followed,
        max_size: None,
        rounding: Rounding::Down(2),
    };

    /// What these options ask of a server of this version.
    #[must_use]
    pub fn new(version: ServerVersion, options: &ServerOptions, rounding: Rounding) -> Self {
        let era = match version {
            version if version.at_least(4, 0, 0) => Era::Followed,
            version if version.at_least(3, 0, 0) => Era::Filtered,
            version if version.at_least(2, 5, 0) => Era::Mirrored,
            _ => Era::Projected,
        };
        Self {
            crop: options.crop,
            orientation: options.capture_orientation,
            lock: options.lock_video_orientation,
            angle: options.angle,
            era,
            max_size: options.max_size,
            rounding,
        }
    }

    /// Whether a display that keeps its size but is held the other way begins a new session.
    pub(crate) fn follows_half_turns(&self) -> bool {
        self.era != Era::Filtered
    }

    /// Whether the client's sides are the display's other ones.
    pub(crate) fn swaps(&self) -> bool {
        matches!(
            self.orientation,
            CaptureOrientation::Follows(Orientation { quarters: 1 | 3, .. })
                | CaptureOrientation::Locked(Orientation { quarters: 1 | 3, .. })
        )
    }

    /// A lock as the display is held at the start is one from now on.
    pub(crate) fn settle(&mut self, rotation: u8) {
        if self.orientation == CaptureOrientation::LockedAtStart {
            let quarters = (4 - rotation % 4) % 4;
            self.orientation = CaptureOrientation::Locked(Orientation {
                flipped: false,
                quarters,
            });
        }
        if self.lock == VideoLock::AtStart {
            self.lock = VideoLock::At(rotation % 4);
        }
    }

    /// What an old server warns of before it shows nothing.
    #[must_use]
    pub fn warning(&self, display: Size, rotation: u8) -> Option<String> {
        let crop = self.crop.filter(|_| self.is_old())?;
        let Size { width, height } = display;
        let Crop {
            width: w,
            height: h,
            x,
            y,
        } = transposed(crop, rotation);
        self.part(display, rotation).is_none().then(|| {
            format!(
                "Crop rectangle ({w}:{h}:{x}:{y}) does not intersect device screen ({width}:{height}:0:0)"
            )
        })
    }

    /// What it shows of a display that is held so: quarters against the clock.
    ///
    /// # Errors
    /// Nothing.
    pub fn look(&self, display: Size, rotation: u8) -> Result<Look, Blind> {
        match self.is_old() {
            true => self.projected(display, rotation % 4),
            false => self.filtered(display, rotation % 4),
        }
    }

    fn is_old(&self) -> bool {
        matches!(self.era, Era::Projected | Era::Mirrored)
    }

    fn video(&self, filtered: Size) -> Result<Size, Blind> {
        let video = capture_size(filtered, self.max_size, self.rounding);
        match video.width > 0 && video.height > 0 {
            true => Ok(video),
            false => Err(Blind::Empty(
                "Capture/encoding error: java.lang.IllegalArgumentException: null",
            )),
        }
    }

    fn filtered(&self, display: Size, rotation: u8) -> Result<Look, Blind> {
        let mut filter = Filter {
            size: display,
            transform: None,
        };
        if let Some(crop) = self.crop {
            filter.crop(transposed(crop, rotation)).map_err(Blind::Outside)?;
        }
        let orientation = match self.orientation {
            CaptureOrientation::Follows(orientation) => orientation,
            CaptureOrientation::Locked(orientation) => {
                filter.turn((4 - rotation) % 4);
                orientation
            }
            // As if it had been held so from the start.
            CaptureOrientation::LockedAtStart => Orientation::default(),
        };
        if orientation.flipped {
            filter.then(Affine::MIRROR);
        }
        filter.turn((4 - orientation.quarters % 4) % 4);
        filter.lean(self.angle);
        let video = self.video(filter.size)?;
        let back = filter.transform.and_then(Affine::inverse);
        let pixels = |from: Size| {
            let unit = Affine::to_pixels(display);
            back.map_or(unit, |back| unit.after(back))
                .after(Affine::from_pixels(from))
        };
        Ok(Look {
            video,
            touches: match back.is_some() || video != display {
                true => Touches::By(pixels(video)),
                false => Touches::Same,
            },
            shows: match back {
                Some(_) => Shows::Through(filter.size, pixels(filter.size)),
                None => Shows::All,
            },
        })
    }

    fn projected(&self, display: Size, rotation: u8) -> Result<Look, Blind> {
        let part = self.part(display, rotation).unwrap_or(Rect {
            x: 0,
            y: 0,
            w: 0,
            h: 0,
        });
        let cut = size_of(part);
        let unturned = self.video(cut)?;
        let quarters = match self.lock {
            VideoLock::Unlocked | VideoLock::AtStart => 0,
            VideoLock::At(lock) => (lock + 4 - rotation) % 4,
        };
        let turned = |size: Size| {
            if quarters.is_multiple_of(2) {
                size
            } else {
                swapped(size)
            }
        };
        let shows = match self.era {
            _ if quarters == 0 && part == full(display) => Shows::All,
            Era::Mirrored => Shows::Framed,
            _ => {
                let back = Affine::turned_back(quarters, turned(cut));
                let moved = Affine::moved(f64::from(part.x), f64::from(part.y));
                Shows::Through(turned(cut), moved.after(back))
            }
        };
        Ok(Look {
            video: turned(unturned),
            touches: Touches::Within {
                quarters,
                unturned,
                part,
            },
            shows,
        })
    }

    /// What of the display an old server takes; `None`: not a pixel.
    fn part(&self, display: Size, rotation: u8) -> Option<Rect> {
        let Some(crop) = self.crop else {
            return Some(full(display));
        };
        let Crop { width, height, x, y } = transposed(crop, rotation);
        let (right, bottom) = (x.saturating_add(width), y.saturating_add(height));
        let (x, y) = (x.max(0), y.max(0));
        let (w, h) = (
            right.min(i32::from(display.width)) - x,
            bottom.min(i32::from(display.height)) - y,
        );
        (w > 0 && h > 0).then_some(Rect { x, y, w, h })
    }
}

impl Look {
    /// All of a display, stretched to a video.
    #[must_use]
    pub fn stretched(video: Size, display: Size) -> Self {
        Self {
            video,
            touches: Touches::Within {
                quarters: 0,
                unturned: video,
                part: full(display),
            },
            shows: Shows::All,
        }
    }

    /// Where a position in the video lands on the display; it may be outside of both.
    #[must_use]
    pub fn lands(&self, (x, y): (i32, i32)) -> (i32, i32) {
        match self.touches {
            Touches::Same => (x, y),
            Touches::By(affine) => {
                let (x, y) = affine.at(f64::from(x), f64::from(y));
                (x as i32, y as i32)
            }
            Touches::Within {
                quarters,
                unturned,
                part,
            } => {
                let (width, height) = (i32::from(self.video.width), i32::from(self.video.height));
                let (x, y) = match quarters {
                    1 => (height.saturating_sub(y), x),
                    2 => (width.saturating_sub(x), height.saturating_sub(y)),
                    3 => (y, width.saturating_sub(x)),
                    _ => (x, y),
                };
                let stretched = |at: i32, part: i32, video: u16| {
                    let at = i64::from(at) * i64::from(part) / i64::from(video);
                    i32::try_from(at).unwrap_or(i32::MAX)
                };
                (
                    part.x.saturating_add(stretched(x, part.w, unturned.width)),
                    part.y.saturating_add(stretched(y, part.h, unturned.height)),
                )
            }
        }
    }

    /// The display's picture as this shows it, of the size that is encoded; `None`: all of it, merely scaled.
    #[must_use]
    pub fn show(&self, display: &Canvas, encoded: Size) -> Option<Canvas> {
        match self.shows {
            Shows::All => None,
            Shows::Framed => Some(framed(display, encoded)),
            Shows::Through(size, affine) => {
                let mut shown = Canvas::new(size);
                shown.fill_with(full(size), |x, y| {
                    let (x, y) = affine.at(f64::from(x) + 0.5, f64::from(y) + 0.5);
                    display
                        .pixel(x.floor() as i32, y.floor() as i32)
                        .unwrap_or(Rgb(0))
                });
                match size == encoded {
                    true => Some(shown),
                    false => Some(scaled(&shown, encoded)),
                }
            }
        }
    }
}

/// The picture as large as fits, in the middle of a black one.
fn framed(display: &Canvas, frame: Size) -> Canvas {
    let Size { width, height } = display.size();
    let (w, h) = (u32::from(width), u32::from(height));
    let (fw, fh) = (u32::from(frame.width), u32::from(frame.height));
    let (sw, sh) = match w * fh > h * fw {
        true => (fw, (h * fw / w).max(1)),
        false => ((w * fh / h).max(1), fh),
    };
    let inner = Size {
        width: sw as u16,
        height: sh as u16,
    };
    let small = scaled(display, inner);
    let (left, top) = (((fw - sw) / 2) as i32, ((fh - sh) / 2) as i32);
    let mut shown = Canvas::new(frame);
    shown.fill_with(full(frame), |x, y| {
        small.pixel(x - left, y - top).unwrap_or(Rgb(0))
    });
    shown
}

/// A picture on its way through the server's filter.
struct Filter {
    size: Size,
    transform: Option<Affine>,
}

impl Filter {
    fn then(&mut self, affine: Affine) {
        self.transform = Some(self.transform.map_or(affine, |before| affine.after(before)));
    }

    fn crop(&mut self, crop: Crop) -> Result<(), String> {
        let Crop { width, height, x, y } = crop;
        let (right, bottom) = (i64::from(x) + i64::from(width), i64::from(y) + i64::from(height));
        let Size { width: w, height: h } = self.size;
        if x < 0 || y < 0 || right > i64::from(w) || bottom > i64::from(h) {
            return Err(format!(
                "Crop Rect({x}, {y} - {right}, {bottom}) exceeds the input area ({w}x{h})"
            ));
        }
        let (w, h) = (f64::from(w), f64::from(h));
        // Seen from below.
        let (left, under) = (f64::from(x) / w, 1.0 - f64::from(y + height) / h);
        let (wide, high) = (f64::from(width) / w, f64::from(height) / h);
        self.then(Affine::scaled(1.0 / wide, 1.0 / high).after(Affine::moved(-left, -under)));
        self.size = Size {
            width: width as u16,
            height: height as u16,
        };
        Ok(())
    }

    /// Against the clock.
    fn turn(&mut self, quarters: u8) {
        if quarters > 0 {
            self.then(Affine::turned(quarters));
        }
        if quarters % 2 == 1 {
            self.size = swapped(self.size);
        }
    }

    fn lean(&mut self, clockwise: f32) {
        if clockwise != 0.0 {
            let shape = f64::from(self.size.width) / f64::from(self.size.height);
            self.then(Affine::leaned(-f64::from(clockwise), shape));
        }
    }
}

/// A cut of the natural orientation, on a display that is held so.
fn transposed(crop: Crop, rotation: u8) -> Crop {
    let Crop { width, height, x, y } = crop;
    match rotation % 2 {
        0 => crop,
        _ => Crop {
            width: height,
            height: width,
            x: y,
            y: x,
        },
    }
}

fn size_of(rect: Rect) -> Size {
    let side = |side: i32| u16::try_from(side).unwrap_or(u16::MAX);
    Size {
        width: side(rect.w),
        height: side(rect.h),
    }
}

fn swapped(size: Size) -> Size {
    Size {
        width: size.height,
        height: size.width,
    }
}

#[cfg(test)]
mod tests;
