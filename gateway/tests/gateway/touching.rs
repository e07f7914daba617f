//! Hands over a network that loses and reorders: no tap lost, no wrong tap, no stuck finger.

use std::time::Duration;

use gateway::engine::Input;
use gateway::latest::Lost;
use gateway::{Event, Gate, Role, SourceEvent};
use protocol::control::{Key, KeyAction, ToGateway, ToViewer};
use protocol::input::{InputOp, Message};
use protocol::{Channel, Generation, stats};

use crate::network::{Dice, Link, Verdict};
use crate::person::{Person, Screen};
use crate::rig::{Rig, gateway_address};

const MS: Duration = Duration::from_millis(1);

/// One person at one screen.
struct Play {
    rig: Rig,
    viewer: usize,
    person: Person,
    screen: Screen,
    events_seen: usize,
    acks_seen: usize,
}

impl Play {
    fn new(seed: u64, link: Link) -> Self {
        let mut rig = Rig::streaming(seed);
        rig.group(2, 500);
        let viewer = rig.connect(1, Role::Controller);
        rig.network.link = link;
        let person = Person::new(rig.now);
        Self {
            rig,
            viewer,
            person,
            screen: Screen::default(),
            events_seen: 0,
            acks_seen: 0,
        }
    }

    fn send(&mut self) {
        let touch = self.person.packet(self.rig.now);
        self.rig.say(self.viewer, Channel::Input, |out| {
            Message::Touch(touch).encode(out);
        });
    }

    /// Lets time pass, repeating what must be repeated.
    fn run(&mut self, time: Duration) {
        let end = self.rig.now + time;
        while self.rig.now < end {
            let step = (5 * MS).min(end - self.rig.now);
            self.rig.run(step);
            let acks = self.rig.acks(self.viewer);
            acks[self.acks_seen..]
                .iter()
                .for_each(|(_, ack)| self.person.acknowledge(ack));
            self.acks_seen = acks.len();
            if self.person.due(self.rig.now) {
                self.send();
            }
        }
        for (_, event) in &self.rig.events[self.events_seen..] {
            if let Event::Input { op, .. } = event {
                self.screen.apply(op);
            }
        }
        self.events_seen = self.rig.events.len();
    }

    fn press(&mut self, id: u8, x: u16, y: u16) {
        self.person.press(id, x, y, self.rig.now);
        self.send();
    }

    fn lift(&mut self, id: u8) {
        self.person.lift(id, self.rig.now);
        self.send();
    }

    /// A tap, a drag or a pinch that begins at a place of its own.
    fn gesture(&mut self, number: u16, dice: &mut Dice) -> Vec<(u16, u16)> {
        let (x, y) = (number * 100, 1_000 + number);
        match dice.roll(4) {
            0 | 1 => {
                self.press(0, x, y);
                self.run(dice.roll(120) as u32 * MS);
                self.lift(0);
                vec![(x, y)]
            }
            2 => {
                self.press(0, x, y);
                for step in 1..=dice.roll(40) as u16 {
                    self.run(8 * MS);
                    self.person.drag(0, x, y + 10 * step, self.rig.now);
                    self.send();
                }
                self.lift(0);
                vec![(x, y)]
            }
            _ => {
                self.press(0, x, y);
                self.press(1, x + 1, y);
                self.run(dice.roll(200) as u32 * MS);
                self.lift(1);
                self.run(dice.roll(20) as u32 * MS);
                self.lift(0);
                vec![(x, y), (x + 1, y)]
            }
        }
    }

    /// The person sees the newest picture that the viewer has been told of, on either channel.
    fn look(&mut self) {
        for (_, channel, bytes) in &self.rig.browsers[self.viewer].messages {
            let told = match channel {
                Channel::Control => ToViewer::decode(bytes).ok().and_then(|message| match message {
                    ToViewer::Picture { generation, .. } => Some(generation),
                    _ => None,
                }),
                Channel::Stats => stats::ToViewer::decode(bytes)
                    .ok()
                    .and_then(|message| match message {
                        stats::ToViewer::Picture { generation, .. } => Some(generation),
                        _ => None,
                    }),
                Channel::Input => None,
            };
            self.person.generation = told.unwrap_or(self.person.generation);
        }
    }

    fn gestures(&mut self, seed: u64, count: u16) -> Vec<(u16, u16)> {
        let mut dice = Dice::new(seed ^ 0xdead);
        let mut made = Vec::new();
        for number in 0..count {
            made.extend(self.gesture(number, &mut dice));
            self.run((20 + dice.roll(100)) as u32 * MS);
        }
        self.run(Duration::from_secs(2));
        made
    }
}

fn lossy(loss_percent: u64) -> Link {
    Link {
        delay: 15 * MS,
        jitter: 20 * MS,
        loss_percent,
    }
}

fn every_gesture_arrives_once(seed: u64) {
    let mut play = Play::new(seed, lossy(5));
    let made = play.gestures(seed, 500);
    assert_eq!(
        play.screen.presses, made,
        "seed {seed}: each press once, in order, where it was made"
    );
    assert!(
        play.screen.down.is_empty(),
        "seed {seed}: stuck: {:?}",
        play.screen.down
    );
    assert_eq!(
        play.screen.lifts,
        made.len(),
        "seed {seed}: each press has its lift"
    );
    assert_eq!(play.rig.engine.stats().counters.edges_void, 0, "seed {seed}");
}

#[test]
fn five_percent_loss_loses_no_gesture_and_invents_none_seed_1() {
    every_gesture_arrives_once(1);
}

#[test]
fn five_percent_loss_loses_no_gesture_and_invents_none_seed_2() {
    every_gesture_arrives_once(2);
}

#[test]
fn five_percent_loss_loses_no_gesture_and_invents_none_seed_3() {
    every_gesture_arrives_once(3);
}

#[test]
fn five_percent_loss_loses_no_gesture_and_invents_none_seed_4() {
    every_gesture_arrives_once(4);
}

#[test]
fn heavy_loss_may_lose_gestures_but_never_invents_one_or_leaves_a_finger() {
    for seed in 5..8 {
        let mut play = Play::new(seed, lossy(25));
        let made = play.gestures(seed, 100);
        play.rig.network.link = lossy(0);
        play.run(Duration::from_secs(1));
        let mut rest = made.iter();
        for press in &play.screen.presses {
            assert!(
                rest.any(|made| made == press),
                "seed {seed}: {press:?} is wrong, late or twice"
            );
        }
        let (arrived, made) = (play.screen.presses.len(), made.len());
        assert!(arrived * 100 > made * 97, "seed {seed}: {arrived} of {made}");
        assert!(
            play.screen.down.is_empty(),
            "seed {seed}: stuck: {:?}",
            play.screen.down
        );
    }
}

#[test]
fn an_outage_lifts_the_finger_and_what_was_meant_during_it_does_not_come_late() {
    let mut play = Play::new(9, Link::default());
    play.press(0, 10, 20);
    play.run(100 * MS);
    assert_eq!(play.screen.down.len(), 1);
    play.rig.network.link.loss_percent = 100;
    play.run(200 * MS);
    play.lift(0);
    play.run(50 * MS);
    play.press(0, 30, 40);
    play.run(700 * MS);
    assert!(play.screen.down.is_empty(), "lifted for its silence");
    play.rig.network.link.loss_percent = 0;
    play.run(200 * MS);
    assert_eq!(play.screen.presses, [(10, 20)], "a late tap is a wrong tap");
    play.lift(0);
    play.run(100 * MS);
    play.press(0, 50, 60);
    play.run(100 * MS);
    assert_eq!(play.screen.presses, [(10, 20), (50, 60)], "the next press counts");
    assert_eq!(play.screen.down.len(), 1);
}

#[test]
fn a_touch_of_an_older_picture_only_lifts() {
    let mut play = Play::new(10, Link::default());
    play.press(0, 10, 20);
    play.run(50 * MS);
    play.rig.source(SourceEvent::Picture {
        width: 1280,
        height: 720,
    });
    play.person.drag(0, 99, 99, play.rig.now);
    play.press(1, 30, 40);
    play.run(50 * MS);
    assert_eq!(play.screen.presses, [(10, 20)]);
    assert_eq!(play.screen.down[&0], (10, 20), "it did not move");
    let told = play.rig.told(play.viewer);
    let picture = ToViewer::Picture {
        generation: Generation(2),
        width: 1280,
        height: 720,
    };
    assert_eq!(
        told.last(),
        Some(&picture),
        "the viewer learns of the new picture"
    );
    play.lift(0);
    play.lift(1);
    play.person.generation = Generation(2);
    play.press(0, 70, 80);
    play.run(50 * MS);
    assert_eq!(play.screen.presses, [(10, 20), (70, 80)]);
    assert_eq!(play.screen.lifts, 1);
}

/// The next `count` datagrams from the gateway that are no media are lost.
fn lose_words(rig: &mut Rig, mut count: usize) {
    rig.network.filter = Some(Box::new(move |packet, _| {
        let words = packet.from == gateway_address() && (20..64).contains(&packet.data[0]);
        if words && count > 0 {
            count -= 1;
            return Verdict::Drop;
        }
        Verdict::Pass
    }));
}

#[test]
fn a_touch_of_a_new_picture_counts_within_150_ms_though_the_word_of_it_was_lost() {
    let mut play = Play::new(15, Link::default());
    lose_words(&mut play.rig, 1);
    play.rig.source(SourceEvent::Picture {
        width: 1280,
        height: 720,
    });
    play.run(100 * MS);
    play.look();
    play.press(0, 30, 40);
    play.run(50 * MS);
    assert_eq!(play.screen.presses, [(30, 40)]);
}

#[test]
fn a_viewer_that_only_looks_learns_of_a_new_picture_within_the_same_time() {
    let mut play = Play::new(16, Link::default());
    lose_words(&mut play.rig, 2);
    play.rig.source(SourceEvent::Picture {
        width: 1280,
        height: 720,
    });
    play.run(150 * MS);
    play.look();
    assert_eq!(play.person.generation, Generation(2));
}

#[test]
fn whoever_still_names_an_older_picture_long_afterwards_is_told_with_the_answer() {
    let mut play = Play::new(17, Link::default());
    lose_words(&mut play.rig, usize::MAX);
    play.rig.source(SourceEvent::Picture {
        width: 1280,
        height: 720,
    });
    play.run(3_500 * MS);
    play.rig.network.filter = None;
    play.press(0, 10, 20);
    play.run(20 * MS);
    play.look();
    play.lift(0);
    play.press(0, 30, 40);
    play.run(50 * MS);
    assert_eq!(play.screen.presses, [(30, 40)]);
}

#[test]
fn too_many_messages_are_dropped_and_the_state_recovers() {
    let mut play = Play::new(11, Link::default());
    for _ in 0..2_000 {
        play.send();
    }
    play.run(1_000 * MS);
    let limited = play.rig.engine.stats().counters.inputs_limited;
    assert!((1_200..=1_520).contains(&limited), "{limited}");
    play.press(0, 10, 20);
    play.run(100 * MS);
    assert_eq!(play.screen.down.len(), 1);
}

#[test]
fn a_spectators_wish_for_a_key_frame_waits_for_the_finger() {
    let mut rig = Rig::streaming(12);
    rig.group(40, 500);
    let controller = rig.connect(1, Role::Controller);
    assert_eq!(rig.key_frames_wanted(), 1);
    rig.frame(true, 500);
    rig.run(Duration::from_secs(1));
    rig.handle(Input::SourceLost(
        rig.device,
        Lost {
            pictures: 0,
            key_frame_needed: false,
        },
    ));
    rig.frame(true, 200_000);
    let (viewer, start) = (controller, rig.now);
    let mut person = Person::new(start);
    person.press(0, 1, 1, rig.now);
    let before = rig.key_frames_wanted();
    let spectator = rig.join(1, Role::Spectator);
    for _ in 0..20 {
        let touch = person.packet(rig.now);
        rig.say(viewer, Channel::Input, |out| Message::Touch(touch).encode(out));
        rig.run(50 * MS);
    }
    assert!(rig.connected(spectator).is_some());
    assert_eq!(rig.key_frames_wanted(), before, "a finger is down");
    person.lift(0, rig.now);
    let touch = person.packet(rig.now);
    rig.say(viewer, Channel::Input, |out| Message::Touch(touch).encode(out));
    rig.run(50 * MS);
    assert_eq!(rig.key_frames_wanted(), before + 1);
}

#[test]
fn text_keys_and_buttons_arrive_in_order_over_loss() {
    let mut rig = Rig::streaming(13);
    let viewer = rig.connect(1, Role::Controller);
    rig.network.link = lossy(10);
    for n in 0..50 {
        let text = protocol::control::ToGateway::Text(format!("{n}"));
        rig.say(viewer, Channel::Control, |out| text.encode(out));
        rig.run(20 * MS);
    }
    rig.run(Duration::from_secs(30));
    let texts: Vec<_> = (0..50).map(|n| InputOp::Text(format!("{n}"))).collect();
    assert_eq!(rig.inputs(), texts);
}

#[test]
fn a_closed_gate_lifts_and_what_is_pressed_behind_it_is_void() {
    let mut play = Play::new(14, Link::default());
    play.press(0, 10, 20);
    play.run(50 * MS);
    play.rig.fence(1, Gate::Closed);
    play.run(50 * MS);
    assert!(play.screen.down.is_empty());
    play.press(1, 30, 40);
    play.run(50 * MS);
    play.rig.fence(1, Gate::Open);
    play.run(200 * MS);
    assert_eq!(play.screen.presses, [(10, 20)]);
}

fn key(action: KeyAction, keycode: u32) -> ToGateway {
    ToGateway::Key(Key {
        action,
        keycode,
        metastate: 0,
        repeat: 0,
    })
}

#[test]
fn a_key_whose_viewer_has_vanished_is_lifted_long_before_its_connection_is_given_up() {
    let mut rig = Rig::streaming(18);
    let viewer = rig.connect(1, Role::Controller);
    rig.say(viewer, Channel::Control, |out| {
        key(KeyAction::Down, 21).encode(out);
    });
    rig.run(100 * MS);
    assert_eq!(rig.inputs().len(), 1);
    rig.network.link.loss_percent = 100;
    rig.run(3_500 * MS);
    assert_eq!(rig.inputs().last(), Some(&InputOp::LiftAll));
    assert_eq!(rig.closed(viewer), None);
}

#[test]
fn a_key_that_somebody_still_holds_or_has_released_is_left_alone() {
    let mut rig = Rig::streaming(19);
    let viewer = rig.connect(1, Role::Controller);
    rig.say(viewer, Channel::Control, |out| {
        key(KeyAction::Down, 21).encode(out);
    });
    for id in 0..8 {
        rig.run(1_000 * MS);
        rig.say(viewer, Channel::Stats, |out| {
            stats::ToGateway::Ping { id, t0_us: 0 }.encode(out);
        });
    }
    rig.say(viewer, Channel::Control, |out| key(KeyAction::Up, 21).encode(out));
    rig.run(Duration::from_secs(5));
    assert_eq!(rig.inputs().len(), 2, "{:?}", rig.inputs());
}
