//! What a fence cuts, and when.

use std::time::Duration;

use gateway::engine::Input;
use gateway::{Gate, Offer, OfferError, Role};
use protocol::control::{Key, KeyAction, ToGateway, ToViewer};
use protocol::input::{Edge, EdgeKind, InputOp, Message, Pointer, Touch};
use protocol::{Channel, CloseReason, ConnectionId, Epoch, Fraction, Generation};
use rtc::sansio::Protocol;
use uuid::Uuid;

use crate::rig::Rig;

const MS: Duration = Duration::from_millis(1);

fn press(seq: u32, edge: u32) -> Message {
    let (x, y, generation) = (Fraction(100), Fraction(200), Generation(1));
    let pointers = vec![Pointer {
        id: 0,
        x,
        y,
        pressure: 500,
        moves: vec![],
    }];
    let edges = vec![Edge {
        n: edge,
        kind: EdgeKind::Down,
        id: 0,
        generation,
        x,
        y,
        age_ms: 0,
    }];
    Message::Touch(Touch {
        seq,
        t_ms: seq * 10,
        generation,
        pointers,
        edges,
    })
}

fn key() -> ToGateway {
    ToGateway::Key(Key {
        action: KeyAction::Down,
        keycode: 66,
        metastate: 0,
        repeat: 0,
    })
}

#[test]
fn a_higher_fence_cuts_media_and_input_at_once() {
    let mut rig = Rig::streaming(1);
    rig.group(3, 20_000);
    let viewer = rig.connect(1, Role::Controller);
    rig.say(viewer, Channel::Input, |out| press(1, 1).encode(out));
    rig.run(20 * MS);
    assert!(matches!(rig.inputs()[..], [InputOp::Down { .. }]));
    // On their way when the lease is revoked: a press, a key and a frame that was just handed over.
    rig.say(viewer, Channel::Control, |out| key().encode(out));
    rig.say(viewer, Channel::Input, |out| press(2, 2).encode(out));
    rig.frame(false, 20_000);
    let (inputs, sends) = (rig.inputs().len(), rig.sends.len());
    rig.fence(2, Gate::Open);
    assert_eq!(
        rig.closed(viewer),
        Some(CloseReason::LeaseEnded),
        "in the same step"
    );
    assert_eq!(rig.inputs()[inputs..], [InputOp::LiftAll]);
    assert!(rig.sends.len() <= sends + 4, "goodbye, abort and close_notify");
    let sends = rig.sends.len();
    for _ in 0..10 {
        rig.frame(true, 20_000);
        rig.run(100 * MS);
    }
    assert_eq!(rig.sends.len(), sends, "nothing is sent afterwards");
    assert_eq!(rig.inputs().len(), inputs + 1);
    assert_eq!(
        rig.told(viewer).last(),
        Some(&ToViewer::Bye(CloseReason::LeaseEnded))
    );
    assert!(
        rig.browsers[viewer].closed,
        "the viewer's stack knows without waiting for a timeout"
    );
}

#[test]
fn a_closed_gate_stops_media_and_input_and_an_open_one_brings_the_picture_back() {
    let mut rig = Rig::streaming(2);
    rig.group(3, 2_000);
    let viewer = rig.connect(1, Role::Controller);
    rig.say(viewer, Channel::Input, |out| press(1, 1).encode(out));
    rig.run(50 * MS);
    rig.fence(1, Gate::Closed);
    assert_eq!(rig.inputs().last(), Some(&InputOp::LiftAll));
    let (inputs, seen) = (rig.inputs().len(), rig.seen(viewer).len());
    rig.say(viewer, Channel::Input, |out| press(2, 2).encode(out));
    rig.say(viewer, Channel::Control, |out| key().encode(out));
    rig.frame(false, 2_000);
    rig.run(50 * MS);
    assert_eq!((rig.inputs().len(), rig.seen(viewer).len()), (inputs, seen));
    rig.fence(1, Gate::Open);
    rig.run(50 * MS);
    assert_eq!(
        rig.seen(viewer)[seen..],
        [0, 1, 2, 3],
        "from the cache, the frame behind the gate included"
    );
    let gates: Vec<_> = rig
        .told(viewer)
        .into_iter()
        .filter(|told| matches!(told, ToViewer::Gate { .. }))
        .collect();
    assert_eq!(gates, [true, false, true].map(|open| ToViewer::Gate { open }));
}

#[test]
fn an_offer_below_the_fence_is_refused() {
    let mut rig = Rig::streaming(3);
    rig.fence(5, Gate::Open);
    assert_eq!(
        rig.try_join(4, Role::Controller, true),
        Err(OfferError::Fenced { fence: Epoch(5) })
    );
    assert_eq!(rig.engine.left_behind(), 0);
}

#[test]
fn an_old_fence_opens_nothing() {
    let mut rig = Rig::streaming(4);
    rig.group(2, 500);
    rig.fence(3, Gate::Closed);
    let viewer = rig.connect(3, Role::Controller);
    rig.fence(2, Gate::Open);
    rig.run(100 * MS);
    assert!(rig.seen(viewer).is_empty());
    assert_eq!(rig.closed(viewer), None);
}

#[test]
fn a_spectator_sees_and_touches_nothing() {
    let mut rig = Rig::streaming(5);
    rig.group(2, 500);
    let viewer = rig.connect(1, Role::Spectator);
    rig.say(viewer, Channel::Input, |out| press(1, 1).encode(out));
    rig.say(viewer, Channel::Control, |out| key().encode(out));
    rig.run(50 * MS);
    assert_eq!(rig.seen(viewer), [0, 1]);
    assert!(rig.inputs().is_empty());
    assert_eq!(
        rig.acks(viewer).len(),
        1,
        "what is void is acknowledged, so that it is not repeated"
    );
}

#[test]
fn a_kicked_viewer_is_told_why() {
    let mut rig = Rig::streaming(6);
    let viewer = rig.connect(1, Role::Controller);
    rig.handle(Input::Close(rig.browsers[viewer].connection, CloseReason::Kicked));
    rig.run(50 * MS);
    assert_eq!(rig.told(viewer).last(), Some(&ToViewer::Bye(CloseReason::Kicked)));
}

#[test]
fn a_viewer_that_says_goodbye_is_forgotten() {
    let mut rig = Rig::streaming(7);
    let viewer = rig.connect(1, Role::Controller);
    rig.say(viewer, Channel::Control, |out| {
        ToGateway::Bye(CloseReason::ClientLeft).encode(out);
    });
    rig.run(50 * MS);
    assert_eq!(rig.closed(viewer), Some(CloseReason::ClientLeft));
    assert_eq!(rig.engine.left_behind(), 0);
}

#[test]
fn a_page_that_is_closed_is_forgotten_within_half_a_round_trip() {
    let mut rig = Rig::streaming(13);
    let viewer = rig.connect(1, Role::Controller);
    rig.browsers[viewer].pc.close().unwrap();
    rig.pump_browser(viewer);
    rig.run(rig.network.link.delay);
    assert_eq!(rig.closed(viewer), Some(CloseReason::ClientLeft));
}

#[test]
fn a_viewer_that_vanishes_is_given_up() {
    let mut rig = Rig::streaming(8);
    let viewer = rig.connect(1, Role::Controller);
    rig.say(viewer, Channel::Input, |out| press(1, 1).encode(out));
    rig.run(50 * MS);
    rig.network.link.loss_percent = 100;
    rig.run(gateway::limits::POINTER_SILENT_AFTER);
    assert!(
        matches!(rig.inputs()[..], [InputOp::Down { .. }, InputOp::Up { .. }]),
        "its finger is lifted first"
    );
    rig.run(gateway::limits::ICE_FAILED_AFTER + Duration::from_secs(5));
    assert_eq!(rig.closed(viewer), Some(CloseReason::IceFailed));
}

#[test]
fn a_viewer_that_never_comes_is_given_up() {
    let mut rig = Rig::streaming(9);
    rig.network.link.loss_percent = 100;
    let viewer = rig.join(1, Role::Controller);
    rig.run(gateway::limits::CONNECT_TIMEOUT + MS);
    assert_eq!(rig.closed(viewer), Some(CloseReason::IceFailed));
}

/// The offer came over the signalling, which knows whom it let in; whoever else finds the way has no picture.
#[test]
fn a_viewer_whose_certificate_is_not_the_one_it_was_let_in_with_sees_and_touches_nothing() {
    let mut rig = Rig::streaming(13);
    let named_another = |sdp: String| {
        let (before, print) = sdp.split_once("a=fingerprint:sha-256 ").unwrap();
        let other = if print.starts_with('0') { "1" } else { "0" };
        format!("{before}a=fingerprint:sha-256 {other}{}", &print[1..])
    };
    let own = rig.join_as(1, Role::Controller, true, |sdp| sdp).unwrap();
    let thief = rig.join_as(1, Role::Controller, true, named_another).unwrap();
    rig.group(60, 500);
    rig.run(gateway::limits::CONNECT_TIMEOUT + MS);
    assert!(rig.connected(own).is_some() && !rig.browsers[own].packets.is_empty());
    assert_eq!(rig.connected(thief), None);
    assert!(rig.browsers[thief].packets.is_empty());
    assert_eq!(rig.closed(thief), Some(CloseReason::DtlsFailed));
}

#[test]
fn a_connection_id_is_used_once() {
    let mut rig = Rig::streaming(10);
    let viewer = rig.connect(1, Role::Controller);
    let connection = rig.browsers[viewer].connection;
    let (device, epoch, role) = (rig.device, Epoch(1), Role::Controller);
    let offer = Offer {
        connection,
        device,
        epoch,
        role,
        sdp: String::new(),
    };
    assert_eq!(
        rig.engine.offer(&offer, rig.now),
        Err(OfferError::DuplicateConnection(connection))
    );
}

#[test]
fn one_viewer_too_many_is_refused_by_name() {
    let mut rig = Rig::streaming(11);
    for _ in 0..4 {
        rig.join(1, Role::Spectator);
    }
    assert_eq!(
        rig.try_join(1, Role::Spectator, true),
        Err(OfferError::TooManyViewers { limit: 4 })
    );
}

#[test]
fn a_patch_for_nobody_is_refused() {
    let mut rig = Rig::streaming(12);
    let nobody = ConnectionId::from_uuid(Uuid::from_u128(9));
    let refused = rig.engine.patch(nobody, "", rig.now);
    assert_eq!(refused, Err(gateway::PatchError::UnknownConnection(nobody)));
}
