//! Random people, rotations and news of them, against a strict model of scrcpy's server: whatever they do, the
//! server's pointers end as the mapper's table, and nothing is sent that it would make a ghost of.
//!
//! Pure and quick, thousands of steps in a second, which finds orders of events that a real device shows rarely. That the
//! model is like the device is not proven here: mayhem.rs does the same through the device.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use protocol::input::InputOp;
use scrcpy::ControlMsg;
use scrcpy::control::{POINTERS_MAX, TouchAction};

use super::{LANDSCAPE, PORTRAIT, Rig, connection, down, drag, up};
use crate::fingers::PictureSize;

/// scrcpy's server as far as pointers go, but stricter: what it would swallow or make a ghost of is a fault.
struct Server {
    size: PictureSize,
    down: BTreeSet<i64>,
}

impl Server {
    fn take(&mut self, messages: &[ControlMsg], resizing: bool) -> Result<(), TestCaseError> {
        for message in messages {
            let ControlMsg::Touch(touch) = message else {
                continue;
            };
            let at = touch.position;
            prop_assert!(at.x >= 0 && at.x < at.width.into() && at.y >= 0 && at.y < at.height.into());
            if (at.width, at.height) != (self.size.width, self.size.height) {
                continue;
            }
            let id = touch.pointer.0;
            match touch.action {
                TouchAction::DOWN => {
                    prop_assert!(self.down.insert(id), "{id} pressed twice");
                    prop_assert!(self.down.len() <= POINTERS_MAX);
                }
                TouchAction::MOVE => prop_assert!(self.down.contains(&id), "{id} moved while up"),
                TouchAction::UP => {
                    prop_assert!(self.down.remove(&id) || resizing, "{id} lifted while up");
                }
                other => prop_assert!(false, "{other:?} is never sent"),
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Step {
    Op(u128, InputOp),
    Leave(u128),
    /// The server turns; the agent hears of it after some more steps.
    Rotate,
    /// The news of the rotation arrives.
    News,
    Wait(u16),
}

fn op() -> impl Strategy<Value = InputOp> {
    let place = || (any::<u16>(), any::<u16>());
    prop_oneof![
        3 => (0u8..12, place(), 0u16..4).prop_map(|(id, at, generation)| down(id, at, generation)),
        4 => (0u8..12, place(), 0u16..4).prop_map(|(id, at, generation)| drag(id, at, generation)),
        3 => (0u8..12, place()).prop_map(|(id, at)| up(id, at)),
        1 => Just(InputOp::LiftAll),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1u128..4, op()).prop_map(|(person, op)| Step::Op(person, op)),
        1 => (1u128..4).prop_map(Step::Leave),
        1 => Just(Step::Rotate),
        2 => Just(Step::News),
        1 => (0u16..50).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_people_do_the_servers_pointers_end_as_the_tables(steps in prop::collection::vec(step(), 1..120)) {
        let mut rig = Rig::new();
        let mut server = Server { size: PORTRAIT, down: BTreeSet::new() };
        let mut known = PORTRAIT;
        let mut turned_at = None;
        for step in steps {
            // News never takes longer than the agent remembers lifted fingers.
            let late = turned_at.is_some_and(|at| rig.now - at >= crate::fingers::LIFT_MEMORY / 2);
            match step {
                Step::News => {}
                _ if late => {}
                Step::Op(person, op) => {
                    rig.person = connection(person);
                    let out = rig.apply(op);
                    server.take(&out, false)?;
                    continue;
                }
                Step::Leave(person) => {
                    let mut out = Vec::new();
                    rig.input.leave(rig.now, connection(person), &mut out);
                    server.take(&out, false)?;
                    continue;
                }
                // The next rotation starts after the last one was told: the encoder does one after the other.
                Step::Rotate if turned_at.is_some() => continue,
                Step::Rotate => {
                    server.size = if server.size == PORTRAIT { LANDSCAPE } else { PORTRAIT };
                    turned_at = Some(rig.now);
                    continue;
                }
                Step::Wait(ms) => {
                    rig.now += Duration::from_millis(ms.into());
                    continue;
                }
            }
            if turned_at.take().is_some() {
                known = server.size;
                server.take(&rig.resized(known), true)?;
            }
            let table: BTreeSet<i64> = rig.input.fingers().down().map(|id| id.0).collect();
            prop_assert_eq!(&table, &server.down);
        }
        if turned_at.is_some() {
            known = server.size;
            server.take(&rig.resized(known), true)?;
        }
        prop_assert_eq!(known, server.size);
        let mut out = Vec::new();
        rig.input.cut(rig.now, &mut out);
        server.take(&out, false)?;
        prop_assert_eq!(server.down, BTreeSet::new());
    }
}
