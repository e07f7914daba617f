//! Lifts that a device may not have taken, because it turned: which are repeated, for how long, and under which numbers.

use scrcpy::control::TouchAction;

use super::{LANDSCAPE, PORTRAIT, Rig, down, touches, up};

#[test]
fn a_lift_that_was_repeated_is_repeated_again_if_the_device_turned_once_more_meanwhile() {
    let mut rig = Rig::new();
    rig.apply(down(0, (0, 0), 1));
    rig.apply(up(0, (0, 0)));
    rig.apply(down(1, (0, 0), 1));
    for size in [LANDSCAPE, PORTRAIT] {
        let numbers: Vec<i64> = touches(&rig.resized(size)).iter().map(|touch| touch.1).collect();
        assert_eq!(numbers, [0, 1]);
    }
}

#[test]
fn no_number_is_used_twice_so_that_a_repeated_lift_means_the_same_finger() {
    let mut rig = Rig::new();
    rig.apply(down(0, (0, 0), 1));
    rig.apply(up(0, (0, 0)));
    rig.apply(down(0, (0x8000, 0x8000), 1));
    // Whichever of the three the server dropped, each goes up where it was.
    assert_eq!(
        touches(&rig.resized(LANDSCAPE)),
        [
            (TouchAction::UP, 0, 0, 0, 1280, 720),
            (TouchAction::UP, 1, 640, 360, 1280, 720)
        ]
    );
}

#[test]
fn the_lifts_that_are_remembered_are_bounded_and_the_oldest_goes() {
    let mut rig = Rig::new();
    for _ in 0..100 {
        rig.apply(down(0, (0, 0), 1));
        rig.apply(up(0, (0, 0)));
    }
    let numbers: Vec<i64> = touches(&rig.resized(LANDSCAPE))
        .iter()
        .map(|touch| touch.1)
        .collect();
    assert_eq!(numbers, (36..100).collect::<Vec<_>>());
}
