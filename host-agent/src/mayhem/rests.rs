//! Times at rest: what the device holds is what the person holds, no more, no less.
//!
//! ```text
//!   settle   the person lifts everything and presses some fingers; again when picture or capture changes
//!     ├─ calm   presses, drags and lifts in one picture ─► the device holds the same, then nothing, each finger by its lift
//!     └─ turn   the device turns under the fingers      ─► the device holds nothing, and nobody lifted
//! ```
//!
//! Settling may mend what the storm before left; calm and turn may not: while they look, nobody sends anything. They are
//! taken back only when picture or capture change by themselves, and then come again.

use protocol::agent::DeviceHealth;
use protocol::control::System;
use protocol::input::InputOp;
use serde_json::Value;
use tokio::time::Instant;

use super::ledger::Pixel;
use super::{FINGERS, PACE, Run, TURNING};
use crate::rig::PATIENCE;

/// Touches in one calm.
const TOUCHES: usize = 15;

/// The picture and the capture that something is true of.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Scene {
    changes: u64,
    captured: usize,
}

impl Run {
    /// Lets everything settle, then compares the device's pointers with the person's.
    pub(super) async fn rest(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let fail = |seed| assert!(Instant::now() < deadline, "seed {seed}: it never comes to rest");
        self.until_pointers_are(&[]).await;
        while !self.calm().await {
            fail(self.seed);
        }
        while !self.turn_under_fingers().await {
            fail(self.seed);
        }
        self.until_pointers_are(&[]).await;
    }

    /// Fingers that the dice choose.
    fn some_fingers(&mut self) -> Vec<u8> {
        (0..FINGERS).filter(|_| self.dice.below(2) == 0).collect()
    }

    /// Gestures without a storm. False when picture or capture changed meanwhile: then nothing is known.
    async fn calm(&mut self) -> bool {
        let fingers = self.some_fingers();
        self.until_pointers_are(&fingers).await;
        let scene = self.scene();
        for _ in 0..TOUCHES {
            self.touch();
        }
        if !self.comes_to_agree(scene).await {
            return false;
        }
        for finger in 0..FINGERS {
            self.lift(finger);
        }
        self.comes_to_agree(scene).await
    }

    /// The device turns while fingers are down, and the person does nothing about it. False as with [`Self::calm`].
    async fn turn_under_fingers(&mut self) -> bool {
        self.until_pointers_are(&[0, 3]).await;
        let before = self.scene();
        let (mut frames, mut captures) = (self.rig.seen.frame.subscribe(), self.captures.clone());
        self.send(InputOp::System(System::Rotate));
        let turned = async {
            tokio::select! {
                _ = frames.wait_for(|frame| frame.changes != before.changes) => {}
                // The order may have gone down with the capture that it was for.
                _ = captures.changed() => {}
            }
        };
        if tokio::time::timeout(PATIENCE, turned).await.is_err() {
            panic!("seed {}: the device does not turn", self.seed);
        }
        let after = self.scene();
        self.view = *self.rig.seen.frame.borrow();
        self.held.clear();
        let once = Scene {
            changes: before.changes + 1,
            ..before
        };
        after == once && self.comes_to_agree(after).await
    }

    fn scene(&mut self) -> Scene {
        self.is_captured_anew();
        Scene {
            changes: self.rig.seen.frame.borrow().changes,
            captured: self.captured,
        }
    }

    /// Waits until the device's pointers are the person's, and sends nothing. False when the scene changed.
    async fn comes_to_agree(&mut self, scene: Scene) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let dump = self.look_at_device().await;
            if self.captures.has_changed().unwrap_or(true) || self.scene() != scene {
                return false;
            }
            if self.device_agrees(&dump) {
                return true;
            }
            self.assert_before(deadline, &dump);
            tokio::time::sleep(PACE).await;
        }
    }

    /// The person lifts everything and presses these fingers; when the picture or the capture changes meanwhile, again.
    async fn until_pointers_are(&mut self, fingers: &[u8]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.rig.fact(|fact| fact.health == DeviceHealth::Healthy).await;
            self.is_captured_anew();
            let mut frames = self.rig.seen.frame.subscribe();
            let now = *frames.borrow_and_update();
            self.see(now);
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
                if changed || self.is_held_otherwise(&dump) || Instant::now() > deadline {
                    break dump;
                }
            };
            if self.is_held_otherwise(&last) {
                let _ = tokio::time::timeout(TURNING, frames.changed()).await;
            }
            self.assert_before(deadline, &last);
        }
    }

    fn assert_before(&self, deadline: Instant, last: &Value) {
        assert!(
            Instant::now() < deadline,
            "seed {}: the person holds {:?} in {:?}, and the device has {}, last {:?}",
            self.seed,
            self.held,
            self.view,
            last["pointers"],
            newest(last, 12)
        );
    }

    fn device_agrees(&self, dump: &Value) -> bool {
        let Some(size) = self.view.size else { return false };
        let pointers = dump["pointers"].as_array().unwrap().iter();
        let at = |pointer: &Value| (pointer["x"].as_i64().unwrap(), pointer["y"].as_i64().unwrap());
        let mut device: Vec<Pixel> = pointers.map(at).collect();
        let places = self.held.values().map(|&place| self.ledger.landing(size, place));
        let mut person: Vec<Pixel> = places.collect();
        device.sort_unstable();
        person.sort_unstable();
        device == person
    }

    fn is_held_otherwise(&self, dump: &Value) -> bool {
        let is_upright = dump["width"].as_u64() < dump["height"].as_u64();
        self.view
            .size
            .is_none_or(|size| (size.width < size.height) != is_upright)
    }
}

/// The newest events of the device's log, and of what it dropped.
fn newest(dump: &Value, count: usize) -> Vec<String> {
    let of = |list: &str| {
        let all = dump[list].as_array().unwrap();
        let newest = all.iter().skip(all.len().saturating_sub(count));
        newest.map(Value::to_string).collect::<Vec<_>>()
    };
    [of("events"), of("drops")].concat()
}
