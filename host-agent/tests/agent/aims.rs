//! A person at the far end of everything touches a device that he turns under his own hand: what lands, lands where he
//! aimed in the picture that he named, and what he aimed at a picture that is gone does not land at all.
//!
//! ```text
//!   person: generation, fractions ══ WebRTC ══ gateway: is it this picture's? ── agent: pixels of its size ══ device
//!      │ pixel = ⌊fraction · size / 65536⌋, reckoned here                                                       │ its log
//!      └──────────────────────────────── each press and move is one of these ◄──────────────────────────────────┘
//! ```
//!
//! Nothing of the product reckons here, so that a mistake of it is not made twice. No two aims share a pixel, in either
//! position of the device. A press may be void for its age on a slow machine; then the person presses anew.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use adb::Host;
use protocol::control::{System, ToGateway, ToViewer};
use protocol::input::{Ack, Message};
use protocol::{Channel, Generation};
use serde_json::Value;

use crate::network::Dice;
use crate::person::Person;
use crate::phone::Phone;
use crate::rig::{Filming, PATIENCE, Rig};
use crate::show::Show;
use crate::viewer::Viewer;

/// Turns of the device, each with touches before, during and after it.
const TURNS: usize = 8;
/// Fingers that stay down while it turns.
const HELD: u8 = 2;
/// Drags of each of them before the turn, and while it turns.
const DRAGS: usize = 6;
/// What he presses in a picture that he knows to be gone.
const STALE: u8 = 3;

type Pixel = (i64, i64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    Press,
    Drag,
    /// At a picture that he knew to be gone.
    Stale,
}

/// What he was told of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Picture {
    generation: Generation,
    width: u16,
    height: u16,
}

impl Picture {
    fn pixel(self, (x, y): (u16, u16)) -> Pixel {
        let at = |fraction: u16, size: u16| i64::from(fraction) * i64::from(size) / 65_536;
        (at(x, self.width), at(y, self.height))
    }

    fn turned(self) -> Self {
        Self {
            width: self.height,
            height: self.width,
            ..self
        }
    }
}

struct Trial {
    seed: u64,
    dice: Dice,
    viewer: Viewer,
    device: Host,
    person: Person,
    /// What he aims at.
    view: Picture,
    /// The newest that he was told.
    told: Picture,
    aims: HashMap<Pixel, Aim>,
    /// The newest event of the device that was looked at.
    seq: u64,
    landed: usize,
}

impl Trial {
    async fn new(seed: u64, show: &mut Show) -> Self {
        let mut viewer = show.viewer().await;
        viewer
            .until("a picture", |peer| {
                let is_picture =
                    |bytes: &[u8]| matches!(ToViewer::decode(bytes), Ok(ToViewer::Picture { .. }));
                let mut said = peer.messages.iter();
                said.any(|(_, channel, bytes)| *channel == Channel::Control && is_picture(bytes))
            })
            .await;
        let nothing = Picture {
            generation: Generation(0),
            width: 0,
            height: 0,
        };
        let mut trial = Self {
            seed,
            dice: Dice::new(seed),
            viewer,
            device: show.rig.phone.host().await,
            person: Person::new(Instant::now()),
            view: nothing,
            told: nothing,
            aims: HashMap::new(),
            seq: 0,
            landed: 0,
        };
        trial.listen();
        trial.looks_up();
        trial
    }

    /// Takes what the gateway said, and says again what it may not have heard.
    fn listen(&mut self) {
        for (_, channel, bytes) in self.viewer.heard() {
            match channel {
                Channel::Input => self.person.acknowledge(&Ack::decode(&bytes).unwrap()),
                Channel::Control => {
                    if let Ok(ToViewer::Picture {
                        generation,
                        width,
                        height,
                    }) = ToViewer::decode(&bytes)
                    {
                        self.told = Picture {
                            generation,
                            width,
                            height,
                        };
                    }
                }
                Channel::Stats => {}
            }
        }
        if self.person.due(Instant::now()) {
            self.say();
        }
    }

    fn say(&mut self) {
        let mut bytes = Vec::new();
        Message::Touch(self.person.packet(Instant::now())).encode(&mut bytes);
        self.viewer.say(Channel::Input, &bytes);
    }

    /// From now on he aims at the newest picture.
    fn looks_up(&mut self) {
        self.view = self.told;
        self.person.generation = self.told.generation;
    }

    /// A place whose pixels nobody aimed at yet.
    fn aim(&mut self, aim: Aim) -> (u16, u16) {
        loop {
            let place = (self.dice.roll(65_536) as u16, self.dice.roll(65_536) as u16);
            let pixels = [self.view.pixel(place), self.view.turned().pixel(place)];
            if pixels.iter().any(|pixel| self.aims.contains_key(pixel)) {
                continue;
            }
            if aim == Aim::Stale {
                // Wherever it would land.
                self.aims.extend(pixels.map(|pixel| (pixel, aim)));
            } else {
                self.aims.insert(pixels[0], aim);
            }
            return place;
        }
    }

    fn press(&mut self, finger: u8, aim: Aim) -> Pixel {
        let place = self.aim(aim);
        self.person.press(finger, place.0, place.1, Instant::now());
        self.say();
        self.view.pixel(place)
    }

    fn drag(&mut self, finger: u8) {
        let place = self.aim(Aim::Drag);
        self.person.drag(finger, place.0, place.1, Instant::now());
        self.say();
    }

    fn lift(&mut self, finger: u8) {
        self.person.lift(finger, Instant::now());
        self.say();
    }

    /// Reads the device's log on: each press and move is one that he meant for there.
    async fn look(&mut self) -> Value {
        let said = self.device.shell("dumpsys simulated").await.unwrap().stdout;
        let dump: Value = serde_json::from_slice(&said).unwrap();
        let events = dump["events"].as_array().unwrap();
        let seq = |event: &Value| event["seq"].as_u64().unwrap();
        assert!(
            events.first().is_none_or(|first| seq(first) <= self.seq + 1),
            "read too late"
        );
        for event in events {
            if seq(event) <= self.seq {
                continue;
            }
            self.seq = seq(event);
            let aim = self.aims.get(&pixel_of(event)).copied();
            let meant = match event["kind"].as_str().unwrap() {
                "down" => aim == Some(Aim::Press),
                "move" => matches!(aim, Some(Aim::Press | Aim::Drag)),
                _ => continue,
            };
            assert!(meant, "seed {}: {event} lands, which is {aim:?}", self.seed);
            self.landed += 1;
        }
        dump
    }

    /// Waits for what the device says.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.listen();
            let dump = self.look().await;
            if wanted(&dump) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "seed {}: never {what}: {dump}",
                self.seed
            );
        }
    }

    /// Presses with a finger until it is down where it was aimed, with nothing else.
    async fn holds(&mut self, finger: u8) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let pixel = self.press(finger, Aim::Press);
            // A press that was void for its age never lands; this is longer than it may be old.
            let until = Instant::now() + Duration::from_secs(1);
            while Instant::now() < until {
                self.listen();
                let dump = self.look().await;
                if pointers(&dump).contains(&pixel) {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "seed {}: no press lands", self.seed);
            self.lift(finger);
        }
    }

    /// Turns the device with fingers on it.
    async fn turn(&mut self) {
        for finger in 0..HELD {
            self.holds(finger).await;
        }
        for _ in 0..DRAGS {
            self.drag(0);
            self.look().await;
        }
        let before = self.told;
        let mut bytes = Vec::new();
        ToGateway::System(System::Rotate).encode(&mut bytes);
        self.viewer.say(Channel::Control, &bytes);
        let deadline = Instant::now() + PATIENCE;
        while self.told == before {
            self.drag(1);
            self.listen();
            self.look().await;
            assert!(Instant::now() < deadline, "seed {}: it never turns", self.seed);
        }
        assert_eq!(
            (self.told.width, self.told.height),
            (before.height, before.width),
            "seed {}",
            self.seed
        );
        // He knows that it is gone; a viewer that is wrong or wicked names it all the same.
        for finger in HELD..HELD + STALE {
            self.press(finger, Aim::Stale);
        }
        self.listen();
        for finger in (0..HELD + STALE).rev() {
            self.lift(finger);
        }
        self.looks_up();
        // Behind all that, in order: once this one is down, everything before it is through.
        self.holds(9).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.listen();
            let dump = self.look().await;
            match pointers(&dump).len() {
                1 => break,
                // On a machine that stood still it was lifted for the silence of its hand.
                0 => {
                    self.lift(9);
                    self.holds(9).await;
                }
                _ => {}
            }
            assert!(
                Instant::now() < deadline,
                "seed {}: more fingers: {dump}",
                self.seed
            );
        }
        self.drag(9);
        self.lift(9);
        self.until("no finger", |dump| pointers(dump).is_empty()).await;
    }
}

fn pixel_of(event: &Value) -> Pixel {
    let at = |axis: &str| event[axis].as_i64().unwrap_or(-1);
    (at("x"), at("y"))
}

fn pointers(dump: &Value) -> Vec<Pixel> {
    dump["pointers"]
        .as_array()
        .unwrap()
        .iter()
        .map(pixel_of)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_aims_at_a_turning_device_lands_there_and_what_he_aims_at_a_gone_picture_nowhere() {
    for seed in [1, 2] {
        let rig = Rig::with(Phone::start().await, &Filming::default()).await;
        let mut show = Show::on(rig).await;
        show.prepare("dev.farglass.paint").await;
        let mut trial = Trial::new(seed, &mut show).await;
        for _ in 0..TURNS {
            trial.turn().await;
        }
        let landed = trial.landed;
        assert!(
            landed >= TURNS * usize::from(HELD + 1),
            "seed {seed}: only {landed} landed"
        );
        show.rig.stop_agent().await;
    }
}
