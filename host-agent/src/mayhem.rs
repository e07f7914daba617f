//! A person on a device that is not well: random gestures, rotations, restarts and faults through the whole device task,
//! against the simulated device. Only for tests.
//!
//! ```text
//!   seed ─► steps: press · drag · lift · turn the wheel · rotate · kill the server · cut the wire
//!                     │ what was meant: pixels of the picture that the person saw
//!                     ▼
//!   Device task ══ adb ══ simulated device ─► its log: every press, move and wheel lies on a pixel that was meant
//!                                             at rest: its pointers are the person's, no more, no less
//! ```
//!
//! The person sees a picture until a newer one is there, and sometimes a moment longer; what is aimed at a picture that
//! is gone must not land. Fingers that are down when the picture or the capture changes count as lifted, as on the page.
//! A failure prints its seed; `FARGLASS_SEED=n` runs that one alone. Steps are the same for a seed, their moments on the
//! device are not: those are a real machine's.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use device::fault::{Fault, Faults};
use device::{Mirroring, Traits};
use protocol::agent::{DeviceHealth, Reply};
use protocol::control::System;
use protocol::input::InputOp;
use protocol::{Epoch, Fraction, Generation};
use scrcpy::ControlMsg;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::fingers::{PictureSize, Place};
use crate::hand::{Frame, Order};
use crate::rig::{PATIENCE, Phone, Rig, reply};

/// Steps of one run.
const STEPS: usize = 150;
/// How many steps lie between two looks at the device: fewer events than its log keeps.
const STEPS_BETWEEN_LOOKS: usize = 5;
/// Fingers of the person.
const FINGERS: u8 = 5;
/// Times at rest in one run.
const RESTS: usize = 3;

/// SplitMix64: small, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    fn place(&mut self) -> Place {
        let roll = self.roll();
        Place {
            x: Fraction(roll as u16),
            y: Fraction((roll >> 16) as u16),
        }
    }
}

/// What else happens besides gestures and rotations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rough {
    /// Nothing.
    No,
    /// The server is killed and the wire is cut now and then.
    Yes,
}

struct Run {
    seed: u64,
    dice: Dice,
    rig: Rig,
    rough: Rough,
    captures: watch::Receiver<Option<mpsc::Sender<Order>>>,
    /// The picture that the person sees.
    view: Frame,
    held: BTreeMap<u8, Place>,
    /// Pixels of the screen that a press, a move or a wheel was meant for.
    meant: HashSet<(i64, i64)>,
    /// Pixels where a lift may be: a finger's place in the picture of any size.
    lifts: HashSet<(i64, i64)>,
    /// The newest event of the device that was looked at.
    seq: u64,
    landed: usize,
}

impl Run {
    async fn new(seed: u64, rough: Rough, kinds: &[Fault]) -> Self {
        let traits = Traits {
            mirroring: Mirroring {
                faults: Faults::new(kinds.to_vec(), seed),
                ..Mirroring::default()
            },
            ..Traits::default()
        };
        let rig = Rig::on(Phone::with(traits).await).await;
        let captures = rig.handle.orders.clone();
        let mut run = Self {
            seed,
            dice: Dice(seed),
            rig,
            rough,
            captures,
            view: Frame::default(),
            held: BTreeMap::new(),
            meant: HashSet::new(),
            lifts: HashSet::new(),
            seq: 0,
            landed: 0,
        };
        run.prepare().await;
        run
    }

    /// A device that dies while it is prepared says so, and is asked again, as control does.
    async fn prepare(&mut self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            self.rig.healthy().await;
            let answer = reply(self.rig.prepare(1, "dev.farglass.paint")).await;
            if matches!(answer, Reply::Prepared { .. }) {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "seed {}: never prepared: {answer:?}",
                self.seed
            );
        }
    }

    /// Takes up what became of picture and capture; a person may be a moment late.
    fn look_at_picture(&mut self) {
        let captured_anew = self.captures.has_changed().unwrap_or(false);
        if captured_anew {
            self.captures.borrow_and_update();
        }
        let now = *self.rig.seen.frame.borrow();
        let is_late = !captured_anew && self.dice.below(4) == 0;
        if captured_anew || (now.changes != self.view.changes && !is_late) {
            self.view = now;
            self.held.clear();
        }
    }

    /// Whether there was a hand for it.
    fn send(&self, op: InputOp) -> bool {
        let order = Order::Op {
            connection: self.rig.person,
            epoch: Epoch(1),
            aimed_at: self.view.size,
            op,
        };
        // A hand that takes nothing is found out by the agent; the person goes on.
        let orders = self.rig.handle.orders.borrow();
        orders
            .as_ref()
            .is_some_and(|orders| orders.try_send(order).is_ok())
    }

    /// A place in the picture that the person sees, and nowhere else.
    fn aim(&mut self) -> Option<(Place, Generation)> {
        let (place, size) = (self.dice.place(), self.view.size?);
        self.meant.extend(landings(size, place));
        self.lifts.extend(landings(size, place));
        self.lifts.extend(landings(turned(size), place));
        Some((place, Generation(self.view.changes as u16)))
    }

    async fn step(&mut self) {
        self.look_at_picture();
        let pointer = self.dice.below(FINGERS.into()) as u8;
        match self.dice.below(60) {
            0..20 => self.press(pointer),
            20..44 => self.drag(pointer),
            44..54 => self.lift(pointer),
            54..56 => self.wheel(),
            56..58 => {
                self.send(InputOp::System(System::Rotate));
            }
            58 if self.rough == Rough::Yes => self.kill_server(),
            59 if self.rough == Rough::Yes => self.rig.phone.cut(),
            _ => {}
        }
    }

    fn press(&mut self, pointer: u8) {
        let Some((place, generation)) = self.aim() else {
            return;
        };
        self.held.insert(pointer, place);
        self.send(InputOp::Down {
            pointer,
            x: place.x,
            y: place.y,
            pressure: u16::MAX,
            generation,
        });
    }

    fn drag(&mut self, pointer: u8) {
        let Some((place, generation)) = self.aim() else {
            return;
        };
        if let Some(held) = self.held.get_mut(&pointer) {
            *held = place;
        }
        self.send(InputOp::Move {
            pointer,
            x: place.x,
            y: place.y,
            pressure: u16::MAX,
            generation,
        });
    }

    fn lift(&mut self, pointer: u8) {
        let Some((place, _)) = self.aim() else { return };
        self.held.remove(&pointer);
        self.send(InputOp::Up {
            pointer,
            x: place.x,
            y: place.y,
        });
    }

    fn wheel(&mut self) {
        let Some((place, generation)) = self.aim() else {
            return;
        };
        self.send(InputOp::Wheel {
            x: place.x,
            y: place.y,
            dh: 0,
            dv: 120,
            generation,
        });
    }

    /// A camera's message ends a server that films a display.
    fn kill_server(&self) {
        let (done, _) = oneshot::channel();
        let order = Order::Effect {
            epoch: Epoch(1),
            messages: vec![ControlMsg::CameraZoomIn],
            done,
        };
        if let Some(orders) = &*self.rig.handle.orders.borrow() {
            let _ = orders.try_send(order);
        }
    }

    /// Reads the device's log on: whatever landed was meant for there.
    async fn look_at_device(&mut self) -> Value {
        let dump = self.rig.dump().await;
        let events = dump["events"].as_array().unwrap();
        let first = events.first().map_or(1, |event| event["seq"].as_u64().unwrap());
        assert!(first <= self.seq + 1, "the log was read too late");
        for event in events {
            let seq = event["seq"].as_u64().unwrap();
            if seq <= self.seq {
                continue;
            }
            self.seq = seq;
            let (Some(x), Some(y)) = (event["x"].as_i64(), event["y"].as_i64()) else {
                continue;
            };
            let was_meant = match event["kind"].as_str().unwrap() {
                "up" => self.lifts.contains(&(x, y)),
                _ => self.meant.contains(&(x, y)),
            };
            assert!(was_meant, "seed {}: nobody meant {event}", self.seed);
            self.landed += 1;
        }
        dump
    }

    /// Lets everything settle, then compares the device's pointers with the person's: none, some, and none again.
    async fn rest(&mut self) {
        self.until_pointers_are(&[]).await;
        let fingers: Vec<u8> = (0..FINGERS).filter(|_| self.dice.below(2) == 0).collect();
        self.until_pointers_are(&fingers).await;
        self.until_pointers_are(&[]).await;
    }

    /// The person lifts everything and presses these fingers; when the picture or the capture changes meanwhile, again.
    async fn until_pointers_are(&mut self, fingers: &[u8]) {
        let deadline = tokio::time::Instant::now() + 2 * PATIENCE;
        loop {
            self.rig.fact(|fact| fact.health == DeviceHealth::Healthy).await;
            self.captures.borrow_and_update();
            self.view = *self.rig.seen.frame.borrow();
            self.held.clear();
            self.send(InputOp::LiftAll);
            for &finger in fingers {
                self.press(finger);
            }
            let last = loop {
                let dump = self.look_at_device().await;
                if self.device_agrees(&dump) {
                    return;
                }
                let changed = self.captures.has_changed().unwrap_or(true)
                    || self.rig.seen.frame.borrow().changes != self.view.changes;
                // The size that the device checks may have changed before it was told.
                let is_elsewhere = self.view.size != size_of(&dump);
                if changed || is_elsewhere || tokio::time::Instant::now() > deadline {
                    break dump;
                }
            };
            assert!(
                tokio::time::Instant::now() < deadline,
                "seed {}: the person holds {:?} in {:?}, and the device says {last}",
                self.seed,
                self.held,
                self.view
            );
        }
    }

    fn device_agrees(&self, dump: &Value) -> bool {
        let Some(size) = self.view.size else { return false };
        let pointers = dump["pointers"].as_array().unwrap().iter();
        let at = |pointer: &Value| (pointer["x"].as_i64().unwrap(), pointer["y"].as_i64().unwrap());
        let device: BTreeSet<(i64, i64)> = pointers.map(at).collect();
        let person: BTreeSet<(i64, i64)> = self.held.values().map(|place| pixel(size, *place)).collect();
        device == person
    }
}

/// Where what is aimed at `place` may land: on its pixel, or, while the device turns and its server still takes the
/// picture that it shows, on that pixel as the server scales it to the screen that is turned already.
fn landings(size: PictureSize, place: Place) -> [(i64, i64); 2] {
    let ((x, y), screen) = (pixel(size, place), turned(size));
    let scaled = |at: i64, from: u16, to: u16| at * i64::from(to) / i64::from(from);
    let turning = (
        scaled(x, size.width, screen.width),
        scaled(y, size.height, screen.height),
    );
    [(x, y), turning]
}

fn pixel(size: PictureSize, place: Place) -> (i64, i64) {
    let at = size.position(place);
    (at.x.into(), at.y.into())
}

fn turned(size: PictureSize) -> PictureSize {
    PictureSize {
        width: size.height,
        height: size.width,
    }
}

fn size_of(dump: &Value) -> Option<PictureSize> {
    Some(PictureSize {
        width: dump["width"].as_u64()?.try_into().ok()?,
        height: dump["height"].as_u64()?.try_into().ok()?,
    })
}

async fn runs(seeds: std::ops::Range<u64>, rough: Rough, kinds: &[Fault]) {
    let only = std::env::var("FARGLASS_SEED")
        .ok()
        .map(|seed| seed.parse().unwrap());
    let seeds = only.map_or(seeds, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let mut run = Run::new(seed, rough, kinds).await;
        for _ in 0..RESTS {
            for step in 0..STEPS / RESTS {
                run.step().await;
                if step % STEPS_BETWEEN_LOOKS == 0 {
                    run.look_at_device().await;
                }
            }
            run.rest().await;
        }
        assert!(
            run.landed > STEPS / 10,
            "seed {seed}: only {} events landed",
            run.landed
        );
    }
}

#[tokio::test]
async fn however_a_person_gestures_and_turns_the_device_nothing_lands_elsewhere_and_no_finger_stays() {
    runs(1..13, Rough::No, &[]).await;
}

#[tokio::test]
async fn nothing_lands_elsewhere_when_servers_are_killed_and_wires_cut() {
    runs(21..29, Rough::Yes, &[]).await;
}

#[tokio::test]
async fn nothing_lands_elsewhere_when_sizes_are_told_late() {
    runs(41..49, Rough::No, &[Fault::UpLost]).await;
}

#[tokio::test]
async fn nothing_lands_elsewhere_on_a_device_whose_servers_die_and_talk_nonsense() {
    let kinds = [
        Fault::ServerDeath,
        Fault::VideoGarbage,
        Fault::ControlGarbage,
        Fault::HugeLength,
        Fault::EncoderStall,
    ];
    for kind in kinds {
        runs(61..64, Rough::No, &[kind]).await;
    }
}
