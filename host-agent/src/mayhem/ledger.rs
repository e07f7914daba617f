//! What a person meant, and whether what the device noticed is that and nothing else.
//!
//! ```text
//!   person: step · finger · press, drag, wheel · place in the picture that he saw ──► pixel of the display it showed
//!   device: its log ──► each down, move and wheel is the next thing meant for that pixel
//!                       each move is of the finger under that number, and no number comes down twice
//!                       each lift is where that finger was, in a picture of some size
//! ```
//!
//! Everything that is meant has a step of its own, and what lands lands in that order. A device that turns twice before it
//! tells a size may lose a finger's DOWN and take its moves, or lose its UP and take its next DOWN: that is mended when the
//! sizes are told, and at rest nothing of it may be left. It does not know the agent, and reckons pixels by itself: a mistake
//! of the agent's must not be made twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use protocol::Fraction;
use serde_json::Value;

use crate::fingers::{PictureSize, Place};

/// A pixel of the display.
pub(super) type Pixel = (i64, i64);

/// What was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Press(u8),
    Drag(u8),
    /// Notches to the right and up.
    Wheel(i32, i32),
}

#[derive(Debug)]
struct Aim {
    step: u64,
    what: What,
}

/// One run's account.
pub(super) struct Ledger {
    /// The display as the device is held naturally.
    display: PictureSize,
    /// Sizes that a video of it may have, held naturally.
    videos: Vec<PictureSize>,
    step: u64,
    aims: HashMap<Pixel, Vec<Aim>>,
    /// Where each finger may be lifted.
    lifts: HashMap<Pixel, BTreeSet<u8>>,
    /// The fingers behind the device's numbers.
    down: BTreeMap<i64, u8>,
    /// The step of what landed last.
    newest: u64,
    /// The newest event of the device that was looked at.
    seq: u64,
    /// Presses, moves and turns of the wheel that landed.
    pub(super) landed: usize,
}

impl Ledger {
    pub(super) fn new(display: (u16, u16), videos: &[(u16, u16)]) -> Self {
        let size = |&(width, height): &(u16, u16)| PictureSize { width, height };
        Self {
            display: size(&display),
            videos: videos.iter().map(size).collect(),
            step: 0,
            aims: HashMap::new(),
            lifts: HashMap::new(),
            down: BTreeMap::new(),
            newest: 0,
            seq: 0,
            landed: 0,
        }
    }

    /// Somebody means a place in a picture of this size.
    pub(super) fn means(&mut self, what: What, size: PictureSize, place: Place) {
        self.step += 1;
        let step = self.step;
        let pixel = self.landing(size, place);
        self.aims.entry(pixel).or_default().push(Aim { step, what });
        if let What::Press(finger) | What::Drag(finger) = what {
            self.may_lift(finger, place);
        }
    }

    /// A finger may go up at this place, in a picture of any size: lifts are repeated when it changes.
    pub(super) fn may_lift(&mut self, finger: u8, place: Place) {
        for natural in self.videos.clone() {
            for size in [natural, turned(natural)] {
                let pixel = self.landing(size, place);
                self.lifts.entry(pixel).or_default().insert(finger);
            }
        }
    }

    /// The pixel of the display that shows this place of the picture.
    pub(super) fn landing(&self, size: PictureSize, place: Place) -> Pixel {
        let is_turned = (size.width < size.height) != (self.display.width < self.display.height);
        let display = if is_turned {
            turned(self.display)
        } else {
            self.display
        };
        // A fraction of the video's pixels, and then of the display's; both are rounded down.
        let on_display = |fraction: Fraction, video: u16, display: u16| {
            let at = i64::from(fraction.0) * i64::from(video) / 65_536;
            at * i64::from(display) / i64::from(video)
        };
        (
            on_display(place.x, size.width, display.width),
            on_display(place.y, size.height, display.height),
        )
    }

    /// Whether this is a size that the device's video may have.
    pub(super) fn knows(&self, size: PictureSize) -> bool {
        self.videos
            .iter()
            .any(|&natural| size == natural || size == turned(natural))
    }

    /// Reads the device's log on.
    ///
    /// # Errors
    /// The first event that nobody meant, and why not.
    pub(super) fn read(&mut self, dump: &Value) -> Result<(), String> {
        let events = dump["events"].as_array().ok_or("no events")?;
        let seq = |event: &Value| event["seq"].as_u64().unwrap_or(0);
        if events.first().is_some_and(|first| seq(first) > self.seq + 1) {
            return Err("the log was read too late".to_owned());
        }
        for event in events {
            if seq(event) > self.seq {
                self.seq = seq(event);
                self.event(event).map_err(|why| format!("{why}: {event}"))?;
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &Value) -> Result<(), &'static str> {
        let id = event["id"].as_i64();
        let pixel = event["x"].as_i64().zip(event["y"].as_i64());
        match (event["kind"].as_str().unwrap_or(""), id, pixel) {
            ("down", Some(id), Some(pixel)) => {
                let finger = self.land(pixel, |what| match what {
                    What::Press(finger) => Some(finger),
                    _ => None,
                });
                let finger = finger.ok_or("nobody pressed there, or not then")?;
                match self.down.insert(id, finger) {
                    Some(_) => Err("that number is down already"),
                    None => Ok(()),
                }
            }
            ("move", Some(id), Some(pixel)) => {
                let down = self.down.get(&id).copied();
                let finger = self.land(pixel, |what| match what {
                    What::Drag(finger) if down.is_none_or(|down| down == finger) => Some(finger),
                    _ => None,
                });
                let finger = finger.ok_or("that finger did not move there, or not then")?;
                self.down.insert(id, finger);
                Ok(())
            }
            ("up", Some(id), Some(pixel)) => {
                let may = self.lifts.get(&pixel).ok_or("nobody lifted there")?;
                match self.down.remove(&id) {
                    Some(finger) if !may.contains(&finger) => Err("another finger was there"),
                    // Once more, for the first one may have been lost.
                    Some(_) | None => Ok(()),
                }
            }
            ("gone", Some(id), None) => {
                self.down.remove(&id);
                Ok(())
            }
            ("scroll", None, Some(pixel)) => {
                let turned = |axis: &str| event[axis].as_f64();
                let meant = |what| match what {
                    What::Wheel(dh, dv) => {
                        let is_it =
                            turned("horizontal") == Some(dh.into()) && turned("vertical") == Some(dv.into());
                        is_it.then_some(())
                    }
                    _ => None,
                };
                self.land(pixel, meant)
                    .ok_or("nobody turned the wheel there, or not so")
            }
            ("key" | "text" | "paste", ..) => Ok(()),
            _ => Err("nobody does that"),
        }
    }

    /// The next thing that was meant for this pixel, if it is of the right kind.
    fn land<T>(&mut self, pixel: Pixel, kind: impl Fn(What) -> Option<T>) -> Option<T> {
        let newest = self.newest;
        let aims = self.aims.get(&pixel)?.iter().filter(|aim| aim.step > newest);
        let (step, found) = aims.filter_map(|aim| Some((aim.step, kind(aim.what)?))).next()?;
        self.newest = step;
        self.landed += 1;
        Some(found)
    }
}

pub(super) fn turned(size: PictureSize) -> PictureSize {
    PictureSize {
        width: size.height,
        height: size.width,
    }
}
