//! A hand at a desk: packets in, what the device is told out.

use proptest::prelude::*;
use protocol::input::Move;

use super::*;

const GENERATION: Generation = Generation(7);

struct Desk {
    hand: Hand,
    start: Instant,
    generation: Generation,
    allowed: bool,
}

impl Desk {
    fn new() -> Self {
        Self {
            hand: Hand::default(),
            start: Instant::now(),
            generation: GENERATION,
            allowed: true,
        }
    }

    /// A packet that arrives `at_ms` after the start.
    fn touch(&mut self, at_ms: u64, touch: &Touch) -> (Vec<InputOp>, Ack) {
        let mut ops = Vec::new();
        let arrival = self.arrival(at_ms);
        let ack = self.hand.touch(touch, arrival, &mut ops);
        (ops, ack)
    }

    fn wheel(&mut self, at_ms: u64, seq: u32, total_v: i32) -> Vec<InputOp> {
        let (x, y) = (Fraction(1), Fraction(2));
        let wheel = Wheel {
            seq,
            t_ms: at_ms as u32,
            generation: GENERATION,
            x,
            y,
            total_h: 0,
            total_v,
        };
        let mut ops = Vec::new();
        let arrival = self.arrival(at_ms);
        self.hand.wheel(&wheel, arrival, &mut ops);
        ops
    }

    fn arrival(&self, at_ms: u64) -> Arrival {
        Arrival {
            at: self.start + Duration::from_millis(at_ms),
            at_us: at_ms * 1_000,
            generation: Some(self.generation),
            allowed: self.allowed,
        }
    }
}

fn edge(n: u32, kind: EdgeKind, id: u8, age_ms: u16) -> Edge {
    Edge {
        n,
        kind,
        id,
        generation: GENERATION,
        x: Fraction(100),
        y: Fraction(200),
        age_ms,
    }
}

fn at(id: u8, x: u16) -> Pointer {
    Pointer {
        id,
        x: Fraction(x),
        y: Fraction(200),
        pressure: 9,
        moves: Vec::new(),
    }
}

fn packet(seq: u32, t_ms: u32, pointers: Vec<Pointer>, edges: Vec<Edge>) -> Touch {
    Touch {
        seq,
        t_ms,
        generation: GENERATION,
        pointers,
        edges,
    }
}

fn names(ops: &[InputOp]) -> Vec<String> {
    ops.iter()
        .map(|op| match op {
            InputOp::Down { pointer, .. } => format!("down {pointer}"),
            InputOp::Move { pointer, x, .. } => format!("move {pointer} {}", x.0),
            InputOp::Up { pointer, .. } => format!("up {pointer}"),
            InputOp::LiftAll => "lift all".into(),
            InputOp::Wheel { dv, .. } => format!("wheel {dv}"),
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_tap_in_one_packet_is_applied_once_however_often_it_comes() {
    let mut desk = Desk::new();
    let edges = vec![edge(1, EdgeKind::Down, 0, 80), edge(2, EdgeKind::Up, 0, 10)];
    let (ops, ack) = desk.touch(0, &packet(1, 0, vec![], edges.clone()));
    assert_eq!(names(&ops), ["down 0", "up 0"]);
    assert_eq!((ack.seq, ack.edge), (1, 2));
    assert!(desk.touch(50, &packet(2, 50, vec![], edges)).0.is_empty());
}

#[test]
fn an_old_packet_brings_only_edges_that_are_unseen() {
    let mut desk = Desk::new();
    desk.touch(
        0,
        &packet(2, 10, vec![at(0, 50)], vec![edge(1, EdgeKind::Down, 0, 5)]),
    );
    let (ops, ack) = desk.touch(
        5,
        &packet(1, 5, vec![at(0, 1)], vec![edge(1, EdgeKind::Down, 0, 0)]),
    );
    assert!(ops.is_empty());
    assert_eq!(ack.seq, 2);
    let (ops, _) = desk.touch(6, &packet(1, 6, vec![], vec![edge(2, EdgeKind::Up, 0, 0)]));
    assert_eq!(names(&ops), ["up 0"]);
}

#[test]
fn moves_of_lost_packets_come_with_the_next_one_and_each_once() {
    let mut desk = Desk::new();
    desk.touch(
        0,
        &packet(1, 0, vec![at(0, 100)], vec![edge(1, EdgeKind::Down, 0, 0)]),
    );
    let moves = |ages: &[u16]| {
        let step = |&age_ms: &u16| Move {
            age_ms,
            x: Fraction(1000 - age_ms),
            y: Fraction(200),
        };
        ages.iter().map(step).collect()
    };
    let pointer = Pointer {
        moves: moves(&[24, 16, 8]),
        ..at(0, 1000)
    };
    assert_eq!(
        names(&desk.touch(32, &packet(3, 32, vec![pointer], vec![])).0),
        ["move 0 976", "move 0 984", "move 0 992", "move 0 1000"]
    );
    let again = Pointer {
        moves: moves(&[24, 16, 8]),
        ..at(0, 1008)
    };
    assert_eq!(
        names(&desk.touch(40, &packet(4, 40, vec![again], vec![])).0),
        ["move 0 1008"]
    );
}

#[test]
fn a_late_press_is_void_and_so_is_its_lift() {
    let mut desk = Desk::new();
    desk.touch(0, &packet(1, 0, vec![], vec![]));
    let (ops, ack) = desk.touch(
        600,
        &packet(2, 600, vec![at(0, 1)], vec![edge(1, EdgeKind::Down, 0, 501)]),
    );
    assert!(ops.is_empty());
    assert_eq!(ack.edge, 1);
    let (ops, ack) = desk.touch(620, &packet(3, 620, vec![], vec![edge(2, EdgeKind::Up, 0, 0)]));
    assert!(ops.is_empty());
    assert_eq!((ack.edge, desk.hand.counts.void), (2, 1));
}

#[test]
fn the_time_that_a_packet_was_under_way_counts() {
    let mut desk = Desk::new();
    desk.touch(10, &packet(1, 0, vec![], vec![]));
    let tap = vec![edge(1, EdgeKind::Down, 0, 0)];
    assert!(
        desk.touch(1_000, &packet(2, 480, vec![at(0, 1)], tap))
            .0
            .is_empty()
    );
}

#[test]
fn another_pictures_press_is_void_but_its_lift_is_not() {
    let mut desk = Desk::new();
    desk.touch(
        0,
        &packet(1, 0, vec![at(0, 100)], vec![edge(1, EdgeKind::Down, 0, 0)]),
    );
    desk.generation = GENERATION.next();
    let (ops, _) = desk.touch(
        10,
        &packet(
            2,
            10,
            vec![at(0, 500), at(1, 5)],
            vec![edge(2, EdgeKind::Down, 1, 0)],
        ),
    );
    assert!(
        ops.is_empty(),
        "an older generation neither presses nor moves: {ops:?}"
    );
    let (ops, _) = desk.touch(
        20,
        &packet(3, 20, vec![at(1, 5)], vec![edge(3, EdgeKind::Up, 0, 0)]),
    );
    assert_eq!(names(&ops), ["up 0"]);
}

#[test]
fn a_pointer_that_the_newest_packet_does_not_know_is_lifted() {
    let mut desk = Desk::new();
    let edges = vec![edge(1, EdgeKind::Down, 0, 0), edge(2, EdgeKind::Down, 1, 0)];
    desk.touch(0, &packet(1, 0, vec![at(0, 100), at(1, 100)], edges));
    assert_eq!(
        names(&desk.touch(10, &packet(2, 10, vec![at(1, 100)], vec![])).0),
        ["up 0"]
    );
}

#[test]
fn a_silent_pointer_is_lifted_and_stays_up_until_it_presses_again() {
    let mut desk = Desk::new();
    desk.touch(
        0,
        &packet(1, 0, vec![at(0, 100)], vec![edge(1, EdgeKind::Down, 0, 0)]),
    );
    assert_eq!(desk.hand.timeout(), Some(desk.start + POINTER_SILENT_AFTER));
    let mut ops = Vec::new();
    desk.hand.lift_silent(
        desk.start + POINTER_SILENT_AFTER - Duration::from_millis(1),
        &mut ops,
    );
    assert!(ops.is_empty());
    desk.hand.lift_silent(desk.start + POINTER_SILENT_AFTER, &mut ops);
    assert_eq!(names(&ops), ["up 0"]);
    assert!(
        desk.touch(400, &packet(2, 400, vec![at(0, 300)], vec![]))
            .0
            .is_empty()
    );
    assert!(
        desk.touch(410, &packet(3, 410, vec![], vec![edge(2, EdgeKind::Up, 0, 0)]))
            .0
            .is_empty()
    );
    let press = vec![edge(3, EdgeKind::Down, 0, 0)];
    assert_eq!(
        names(&desk.touch(420, &packet(4, 420, vec![at(0, 100)], press)).0),
        ["down 0"]
    );
}

#[test]
fn a_press_behind_a_closed_gate_is_void() {
    let mut desk = Desk::new();
    desk.allowed = false;
    assert!(
        desk.touch(
            0,
            &packet(1, 0, vec![at(0, 100)], vec![edge(1, EdgeKind::Down, 0, 0)])
        )
        .0
        .is_empty()
    );
    desk.allowed = true;
    assert!(
        desk.touch(
            50,
            &packet(2, 50, vec![at(0, 100)], vec![edge(1, EdgeKind::Down, 0, 50)])
        )
        .0
        .is_empty()
    );
}

#[test]
fn a_pointer_pressed_twice_is_lifted_in_between() {
    let mut desk = Desk::new();
    desk.touch(
        0,
        &packet(1, 0, vec![at(0, 100)], vec![edge(1, EdgeKind::Down, 0, 0)]),
    );
    let (ops, _) = desk.touch(
        50,
        &packet(2, 50, vec![at(0, 100)], vec![edge(3, EdgeKind::Down, 0, 0)]),
    );
    assert_eq!(names(&ops), ["up 0", "down 0"]);
}

#[test]
fn the_wheel_scrolls_what_is_new_and_never_twice() {
    let mut desk = Desk::new();
    assert_eq!(names(&desk.wheel(0, 1, 120)), ["wheel 120"]);
    assert!(desk.wheel(10, 2, 120).is_empty());
    assert_eq!(names(&desk.wheel(20, 4, 360)), ["wheel 240"]);
    assert!(desk.wheel(30, 3, 240).is_empty());
    assert_eq!(
        names(&desk.wheel(40, 5, i32::MAX)),
        [format!("wheel {WHEEL_STEP_MAX}")]
    );
}

#[test]
fn everything_is_lifted_at_once_and_only_when_something_is_down() {
    let (mut desk, mut ops) = (Desk::new(), Vec::new());
    desk.hand.lift_all(&mut ops);
    assert!(ops.is_empty());
    desk.touch(
        0,
        &packet(1, 0, vec![at(0, 100)], vec![edge(1, EdgeKind::Down, 0, 0)]),
    );
    desk.hand.lift_all(&mut ops);
    assert_eq!(ops, [InputOp::LiftAll]);
    assert!(!desk.hand.is_down());
}

/// What a device must never see: a pointer pressed twice, or moved or lifted while it is up.
fn check(down: &mut Vec<u8>, ops: &[InputOp]) {
    for op in ops {
        match op {
            InputOp::Down { pointer, .. } => {
                assert!(
                    !down.contains(pointer) && down.len() < POINTERS_MAX,
                    "{op:?} while {down:?}"
                );
                down.push(*pointer);
            }
            InputOp::Move { pointer, .. } => assert!(down.contains(pointer), "{op:?} while {down:?}"),
            InputOp::Up { pointer, .. } => {
                assert!(down.contains(pointer), "{op:?} while {down:?}");
                down.retain(|id| id != pointer);
            }
            _ => {}
        }
    }
}

fn any_touch() -> impl Strategy<Value = Touch> {
    let pointer = (0u8..4, 0u16..5, prop::collection::vec((0u16..50, 0u16..5), 0..4));
    let any_edge = (1u32..40, any::<bool>(), 0u8..4, 6u16..8, 0u16..700);
    let (pointers, edges) = (
        prop::collection::vec(pointer, 0..6),
        prop::collection::vec(any_edge, 0..8),
    );
    (0u32..50, 0u32..2_000, 6u16..8, pointers, edges).prop_map(|(seq, t_ms, generation, pointers, edges)| {
        let moves = |moves: Vec<(u16, u16)>| {
            let step = |(age_ms, x)| Move {
                age_ms,
                x: Fraction(x),
                y: Fraction(0),
            };
            moves.into_iter().map(step).collect()
        };
        let pointer = |(id, x, steps)| Pointer {
            moves: moves(steps),
            ..at(id, x)
        };
        let to_edge = |(n, down, id, generation, age_ms)| {
            let kind = if down { EdgeKind::Down } else { EdgeKind::Up };
            Edge {
                generation: Generation(generation),
                ..edge(n, kind, id, age_ms)
            }
        };
        Touch {
            generation: Generation(generation),
            ..packet(
                seq,
                t_ms,
                pointers.into_iter().map(pointer).collect(),
                edges.into_iter().map(to_edge).collect(),
            )
        }
    })
}

proptest! {
    #[test]
    fn no_packets_make_a_device_see_nonsense(
        touches in prop::collection::vec((any_touch(), 0u64..400, any::<bool>()), 1..60)
    ) {
        let (mut desk, mut down, mut time) = (Desk::new(), Vec::new(), 0);
        for (touch, pause, allowed) in touches {
            time += pause;
            desk.allowed = allowed;
            let mut ops = Vec::new();
            desk.hand.lift_silent(desk.start + Duration::from_millis(time), &mut ops);
            check(&mut down, &ops);
            let (ops, _) = desk.touch(time, &touch);
            check(&mut down, &ops);
            prop_assert_eq!(desk.hand.is_down(), !down.is_empty());
        }
        let mut ops = Vec::new();
        desk.hand.lift_silent(desk.start + Duration::from_millis(time) + POINTER_SILENT_AFTER, &mut ops);
        check(&mut down, &ops);
        prop_assert!(down.is_empty(), "stuck: {:?}", down);
    }
}
