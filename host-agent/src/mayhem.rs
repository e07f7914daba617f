//! A person on a device that is not well: random gestures, rotations, restarts and faults through the whole device task,
//! against the simulated device. Only for tests.
//!
//! ```text
//!   seed ─► steps: press · drag · lift · lift all · leave · wheel · rotate under the hand · kill the server · cut the wire
//!                     │ what was meant: places in the picture that the person saw          ─► ledger.rs
//!                     ▼                                                                         ▲ compared
//!   Device task ══ adb ══ simulated device with its faults ─► its log: presses, moves, lifts ───┘
//!                                                             at rest: its pointers are the person's (rests.rs)
//! ```
//!
//! The person sees a picture until a newer one is there, and sometimes a moment longer; what is aimed at a picture that
//! is gone must not land. Fingers that are down when the picture or the capture changes count as lifted, as on the page.
//! A failure prints its seed; `FARGLASS_SEED=n` runs that one alone. Steps are the same for a seed, their moments on the
//! device are not: those are a real machine's.

mod dice;
mod ledger;
mod rests;

use std::collections::BTreeMap;
use std::time::Duration;

use device::dice::Dice;
use device::fault::{Fault, Faults};
use protocol::agent::Reply;
use protocol::control::System;
use protocol::input::InputOp;
use protocol::{Epoch, Generation};
use scrcpy::{ControlMsg, ServerVersion};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::fingers::Place;
use crate::hand::{Frame, Order};
use crate::rig::{NEWEST, PATIENCE, Phone, Rig, reply};
use dice::place;
use ledger::{Ledger, What};

/// Steps between two times at rest.
const STEPS: usize = 50;
/// How many steps lie between two looks at the device: fewer events than its log keeps.
const STEPS_BETWEEN_LOOKS: usize = 5;
/// Fingers of the person.
const FINGERS: u8 = 5;
/// Times at rest in one run, at least.
const RESTS: usize = 3;
/// Servers, connections and lives of the daemon that have a stage's faults: then it has to come to rest.
const FAULTY: u64 = 2;
/// How long a person goes on dragging on a device that was asked to turn and does not.
const TURNING: Duration = Duration::from_secs(1);
/// Between two things that a person does on a device that is to fall ill by itself.
const PACE: Duration = Duration::from_millis(10);

/// What else happens besides gestures and rotations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rough {
    /// Nothing.
    No,
    /// The server is killed and the wire is cut now and then.
    Yes,
    /// That, and between two times at rest the agent or the device starts anew.
    Renewed,
}

/// What a run plays on.
#[derive(Clone)]
struct Stage {
    rough: Rough,
    kinds: Vec<Fault>,
    /// The screen in pixels.
    display: (u16, u16),
    /// The sizes that its video may have.
    videos: Vec<(u16, u16)>,
    /// Captures that the run has to live through: more than one where a fault ends them, unless a slow machine has spent
    /// every fault before it could film.
    captures: usize,
    /// Of scrcpy's server.
    version: &'static str,
}

impl Stage {
    fn sound(rough: Rough) -> Self {
        Self {
            rough,
            kinds: Vec::new(),
            display: (360, 640),
            videos: vec![(360, 640)],
            captures: 1,
            version: NEWEST,
        }
    }

    fn with(kind: Fault) -> Self {
        Self {
            kinds: vec![kind],
            ..Self::sound(Rough::No)
        }
    }

    /// Most notches of the wheel in one message: what is more comes as several, which nobody meant.
    fn notches_max(&self) -> i32 {
        let version: ServerVersion = self.version.parse().unwrap();
        if version.at_least(3, 3, 1) { 4 } else { 1 }
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(self.display, &self.videos)
    }
}

struct Run {
    seed: u64,
    dice: Dice,
    rig: Rig,
    stage: Stage,
    faults: Faults,
    captures: watch::Receiver<Option<mpsc::Sender<Order>>>,
    /// Captures so far.
    captured: usize,
    /// The picture that the person sees.
    view: Frame,
    held: BTreeMap<u8, Place>,
    ledger: Ledger,
}

impl Run {
    async fn new(seed: u64, stage: Stage) -> Self {
        let faults = Faults::new(stage.kinds.clone(), seed).of_the_first(FAULTY);
        let rig = Rig::of_on(stage.version, Phone::faulty(stage.display, faults.clone()).await).await;
        let captures = rig.handle.orders.clone();
        let mut run = Self {
            seed,
            dice: Dice::new(seed),
            rig,
            captures,
            captured: 0,
            view: Frame::default(),
            held: BTreeMap::new(),
            ledger: stage.ledger(),
            stage,
            faults,
        };
        run.prepare().await;
        run.is_captured_anew();
        run
    }

    /// A device that dies while it is prepared says so, and is asked again, as control does.
    async fn prepare(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.rig.healthy().await;
            let answer = reply(self.rig.prepare(1, "dev.farglass.paint")).await;
            if matches!(answer, Reply::Prepared { .. }) {
                return;
            }
            let seed = self.seed;
            assert!(
                Instant::now() < deadline,
                "seed {seed}: never prepared: {answer:?}"
            );
        }
    }

    async fn play(mut self) {
        let deadline = Instant::now() + 2 * PATIENCE;
        let (mut rests, mut landed) = (0, 0);
        while rests < RESTS || !self.has_seen_its_fault() {
            for step in 0..STEPS {
                self.step().await;
                if step % STEPS_BETWEEN_LOOKS == 0 {
                    self.look_at_device().await;
                    if self.stage.captures > 1 {
                        tokio::time::sleep(PACE).await;
                    }
                }
            }
            self.rest().await;
            rests += 1;
            landed += self.ledger.landed;
            if self.stage.rough == Rough::Renewed {
                self = self.renewed(rests % 2 == 0).await;
            }
            self.ledger.landed = 0;
            let seed = self.seed;
            assert!(
                self.has_seen_its_fault() || Instant::now() < deadline,
                "seed {seed}: the fault did not come"
            );
        }
        let seed = self.seed;
        assert!(landed > STEPS / 5, "seed {seed}: only {landed} events landed");
    }

    fn has_seen_its_fault(&self) -> bool {
        self.captured >= self.stage.captures || self.faults.are_over()
    }

    /// The agent starts anew on what it has written down, or the device does, with nothing of before.
    async fn renewed(self, device: bool) -> Self {
        let mut run = if device {
            let mut run = self;
            run.rig.reboot().await;
            run.ledger = run.stage.ledger();
            run
        } else {
            Self {
                rig: self.rig.restart().await,
                ..self
            }
        };
        run.captures = run.rig.handle.orders.clone();
        run.see(Frame::default());
        run.prepare().await;
        run.is_captured_anew();
        run
    }

    /// Takes up whether there is another capture.
    fn is_captured_anew(&mut self) -> bool {
        let is_anew = self.captures.has_changed().unwrap_or(false);
        if is_anew && self.captures.borrow_and_update().is_some() {
            self.captured += 1;
        }
        is_anew
    }

    /// Takes up what became of picture and capture; a person may be a moment late.
    fn look_at_picture(&mut self) {
        let captured_anew = self.is_captured_anew();
        let now = *self.rig.seen.frame.borrow();
        let is_late = !captured_anew && self.dice.below(4) == 0;
        if captured_anew || (now.changes != self.view.changes && !is_late) {
            self.see(now);
        }
    }

    fn see(&mut self, picture: Frame) {
        let (seed, size) = (self.seed, picture.size);
        assert!(
            size.is_none_or(|size| self.ledger.knows(size)),
            "seed {seed}: a picture of {size:?}"
        );
        self.view = picture;
        self.held.clear();
    }

    fn order(&self, order: Order) {
        // A hand that takes nothing is found out by the agent; the person goes on.
        if let Some(orders) = &*self.rig.handle.orders.borrow() {
            let _ = orders.try_send(order);
        }
    }

    fn send(&self, op: InputOp) {
        self.order(Order::Op {
            connection: self.rig.person,
            epoch: Epoch(1),
            aimed_at: self.view.size,
            op,
        });
    }

    /// A place in the picture that the person sees, and nowhere else.
    fn aim(&mut self, what: What) -> Option<(Place, Generation)> {
        let (place, size) = (place(&mut self.dice), self.view.size?);
        self.ledger.means(what, size, place);
        Some((place, Generation(self.view.changes as u16)))
    }

    async fn step(&mut self) {
        self.look_at_picture();
        match self.dice.below(60) {
            ..46 => self.touch(),
            46..49 => self.wheel(),
            49 => {
                self.held.clear();
                self.send(InputOp::LiftAll);
            }
            50 => {
                self.held.clear();
                let connection = self.rig.person;
                self.order(Order::Left { connection });
            }
            51..53 => self.send(InputOp::System(System::Rotate)),
            53..56 => self.turn().await,
            56 if self.stage.rough != Rough::No => self.kill_server().await,
            57 if self.stage.rough != Rough::No => self.rig.phone.cut(),
            _ => {}
        }
    }

    /// Turns the device with fingers on it, and goes on for a moment in the picture that is gone.
    async fn turn(&mut self) {
        for finger in 0..2 {
            self.press(finger);
        }
        let mut frames = self.rig.seen.frame.subscribe();
        let before = frames.borrow_and_update().changes;
        self.send(InputOp::System(System::Rotate));
        let until = Instant::now() + TURNING;
        while frames.borrow().changes == before && Instant::now() < until {
            self.drag(0);
            let _ = tokio::time::timeout(PACE, frames.changed()).await;
        }
        for _ in 0..self.dice.below(5) {
            self.touch();
        }
    }

    fn touch(&mut self) {
        let pointer = self.dice.below(FINGERS.into()) as u8;
        match self.dice.below(10) {
            ..4 => self.press(pointer),
            4..8 => self.drag(pointer),
            _ => self.lift(pointer),
        }
    }

    fn press(&mut self, pointer: u8) {
        let Some((place, generation)) = self.aim(What::Press(pointer)) else {
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
        let Some((place, generation)) = self.aim(What::Drag(pointer)) else {
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
        let place = place(&mut self.dice);
        self.ledger.may_lift(pointer, place);
        self.held.remove(&pointer);
        self.send(InputOp::Up {
            pointer,
            x: place.x,
            y: place.y,
        });
    }

    fn wheel(&mut self) {
        let most = self.stage.notches_max();
        let notches = (self.dice.below(5) as i32 - 2, self.dice.below(4) as i32 + 1);
        let notches = (notches.0.clamp(-most, most), notches.1.min(most));
        let Some((place, generation)) = self.aim(What::Wheel(notches.0, notches.1)) else {
            return;
        };
        self.send(InputOp::Wheel {
            x: place.x,
            y: place.y,
            dh: 120 * notches.0,
            dv: 120 * notches.1,
            generation,
        });
    }

    /// A camera's message ends a server that films a display, where servers know it; others are ended by their number.
    async fn kill_server(&self) {
        let (done, written) = oneshot::channel();
        self.order(Order::Effect {
            epoch: Epoch(1),
            messages: vec![ControlMsg::CameraZoomIn],
            done,
        });
        if self.stage.version != NEWEST {
            drop(written);
            self.rig.shell().shell("pkill -f '[s]cid='").await.unwrap();
        }
    }

    /// Reads the device's log on: whatever landed was meant for there.
    async fn look_at_device(&mut self) -> Value {
        let dump = self.rig.dump().await;
        if let Err(why) = self.ledger.read(&dump) {
            panic!("seed {}: {why}", self.seed);
        }
        dump
    }
}

/// All at once: mostly they wait for a device.
async fn runs(seeds: std::ops::Range<u64>, stages: &[Stage]) {
    let only: Option<u64> = std::env::var("FARGLASS_SEED")
        .ok()
        .map(|seed| seed.parse().unwrap());
    let mut playing = JoinSet::new();
    for stage in stages {
        for seed in seeds.clone().filter(|&seed| only.is_none_or(|only| only == seed)) {
            let stage = stage.clone();
            playing.spawn(async move { Run::new(seed, stage).await.play().await });
        }
    }
    while let Some(played) = playing.join_next().await {
        played.unwrap();
    }
}

#[tokio::test]
async fn however_a_person_gestures_and_turns_the_device_nothing_lands_elsewhere_and_no_finger_stays() {
    runs(1..9, &[Stage::sound(Rough::No)]).await;
}

#[tokio::test]
async fn nothing_lands_elsewhere_when_servers_are_killed_and_wires_cut() {
    runs(21..29, &[Stage::sound(Rough::Yes)]).await;
}

#[tokio::test]
async fn nothing_lands_elsewhere_when_agent_and_device_start_anew() {
    runs(31..35, &[Stage::sound(Rough::Renewed)]).await;
}

#[tokio::test]
async fn nothing_lands_elsewhere_with_servers_of_before() {
    // 3.3.4 tells sizes in parameter sets alone, 2.7 cannot be asked for a key frame either. Both film multiples of eight
    // pixels, whatever the display has.
    let of = |version| Stage {
        version,
        display: (362, 646),
        videos: vec![(360, 640)],
        ..Stage::sound(Rough::Yes)
    };
    runs(35..37, &["3.3.4", "2.7"].map(of)).await;
}

#[tokio::test]
async fn nothing_lands_elsewhere_when_sizes_are_told_late_or_refused_by_the_encoder() {
    // The encoder refuses the first size; the next one of scrcpy's ladder is 800 pixels high.
    let refused = Stage {
        display: (480, 860),
        videos: vec![(480, 860), (446, 800)],
        ..Stage::with(Fault::DoubleSession)
    };
    runs(41..45, &[Stage::with(Fault::UpLost), refused]).await;
}

#[tokio::test]
async fn nothing_lands_elsewhere_on_a_device_whose_servers_stall_die_and_talk_nonsense() {
    let ends = [
        Fault::ServerDeath,
        Fault::VideoGarbage,
        Fault::ControlGarbage,
        Fault::HugeLength,
    ];
    let mut stages: Vec<Stage> = ends
        .map(|kind| Stage {
            captures: 2,
            ..Stage::with(kind)
        })
        .into();
    stages.extend([Fault::EncoderStall, Fault::SlowStart].map(Stage::with));
    runs(61..63, &stages).await;
}

#[tokio::test]
async fn nothing_lands_elsewhere_and_no_finger_stays_when_the_link_or_the_daemon_is_lost() {
    let kinds = [Fault::LinkCut, Fault::HalfOpen, Fault::AdbdRestart];
    let stages = kinds.map(|kind| Stage {
        captures: 2,
        ..Stage::with(kind)
    });
    runs(81..84, &stages).await;
}
