//! Offers, answers and the start of a connection: the stack's traps, one by one.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use gateway::mux::{Stun, StunClass};
use gateway::{Offer, OfferError, Role};
use protocol::input::{Message, Touch};
use protocol::{Channel, ConnectionId, Epoch, Generation};
use rtc::sansio::Protocol;
use uuid::Uuid;

use crate::browser::{Browser, H264, PLAYOUT_DELAY};
use crate::network::{Link, Verdict};
use crate::rig::{Rig, gateway_address};

const MS: Duration = Duration::from_millis(1);

fn answer_to(edit: impl FnOnce(String) -> String) -> Result<String, OfferError> {
    let mut rig = Rig::streaming(1);
    let connection = ConnectionId::from_uuid(Uuid::from_u128(7));
    let address = ([192, 0, 2, 1], 4_000).into();
    let mut browser = Browser::new(connection, address, true, rig.now);
    let sdp = edit(browser.offer(rig.now));
    let offer = Offer {
        connection,
        device: rig.device,
        epoch: Epoch(1),
        role: Role::Controller,
        sdp,
    };
    let answer = rig.engine.offer(&offer, rig.now).map(|answer| answer.sdp);
    assert_eq!(
        rig.engine.connections(),
        usize::from(answer.is_ok()),
        "a refused offer leaves nothing behind"
    );
    answer
}

#[test]
fn the_answer_is_active_full_ice_and_holds_one_candidate_of_component_1() {
    let answer = answer_to(|offer| offer).unwrap();
    let lines = |start: &str| answer.lines().filter(|line| line.starts_with(start)).count();
    assert!(lines("a=setup:active") > 0 && lines("a=setup:passive") == 0 && lines("a=setup:actpass") == 0);
    assert_eq!(lines("a=ice-lite"), 0);
    assert!(lines("a=candidate:") > 0);
    let gateway = format!(
        " 1 udp 2130706431 {} {} typ host",
        gateway_address().ip(),
        gateway_address().port()
    );
    for line in answer.lines().filter(|line| line.starts_with("a=candidate:")) {
        assert!(line.ends_with(&gateway), "{line}");
    }
    assert!(lines("a=end-of-candidates") > 0, "nothing is trickled: {answer}");
    assert!(lines("a=sendonly") == 1, "{answer}");
}

#[test]
fn the_answer_takes_the_offers_own_numbers() {
    let answer = answer_to(|offer| offer).unwrap();
    assert!(
        answer.contains(&format!("a=rtpmap:{H264} H264/90000")),
        "{answer}"
    );
    assert!(answer.contains(&format!("apt={H264}")), "{answer}");
    assert!(
        answer.contains(&format!("a=extmap:3 {PLAYOUT_DELAY}")),
        "{answer}"
    );
}

#[test]
fn an_offer_without_usable_h264_is_refused_by_name() {
    let mode_0 = answer_to(|offer| offer.replace("packetization-mode=1", "packetization-mode=0"));
    assert_eq!(mode_0, Err(OfferError::CodecUnsupported));
    assert_eq!(
        answer_to(|offer| offer.replace("H264", "VP8")),
        Err(OfferError::CodecUnsupported)
    );
}

#[test]
fn a_hostile_offer_is_a_typed_error_and_never_a_panic() {
    let mut offer = String::new();
    answer_to(|ours| {
        offer.clone_from(&ours);
        ours
    })
    .unwrap();
    let lines: Vec<&str> = offer.lines().collect();
    let join = |lines: &[&str]| lines.join("\r\n") + "\r\n";
    for at in 0..lines.len() {
        let without: Vec<&str> = lines
            .iter()
            .enumerate()
            .filter(|(n, _)| *n != at)
            .map(|(_, line)| *line)
            .collect();
        let _ = answer_to(|_| join(&without));
        let _ = answer_to(|_| join(&lines[..at]));
        for noise in [
            "",
            " ",
            "a=",
            "a=rtpmap:",
            "a=fmtp:121 apt=121",
            "m=video 9 X",
            "a=extmap:0 x",
            "a=mid:\u{fffd}",
            "a=setup:holdconn",
        ] {
            let mut edited = lines.clone();
            edited[at] = noise;
            let _ = answer_to(|_| join(&edited));
        }
        let cut = &lines[at][..lines[at].len() / 2];
        let mut edited = lines.clone();
        edited[at] = cut;
        let _ = answer_to(|_| join(&edited));
    }
    assert!(matches!(
        answer_to(|_| "x".repeat(40_000)),
        Err(OfferError::TooLarge { bytes: 40_000 })
    ));
}

#[test]
fn payload_type_and_extension_are_the_negotiated_ones_on_every_packet() {
    let mut rig = Rig::streaming(2);
    rig.group(2, 5_000);
    let viewer = rig.connect(1, Role::Controller);
    rig.run(50 * MS);
    assert!(rig.browsers[viewer].packets.len() > 6);
    for (_, packet) in rig.browsers[viewer].packets.values() {
        assert_eq!(packet.header.payload_type, H264);
        assert_eq!(
            packet.header.get_extension(3).as_deref(),
            Some(&[0, 0, 0][..]),
            "playout-delay 0/0"
        );
    }
}

#[test]
fn a_player_without_channels_sees() {
    let mut rig = Rig::streaming(3);
    rig.group(2, 500);
    let viewer = rig.try_join(1, Role::Spectator, false).unwrap();
    rig.until("connected", |rig| rig.connected(viewer).is_some());
    rig.run(50 * MS);
    assert_eq!(rig.seen(viewer), [0, 1]);
}

/// A controlled agent that forgot a nomination which overtook the answer to its own check.
#[test]
fn an_early_nomination_is_not_forgotten() {
    let mut rig = Rig::streaming(4);
    let answers = Rc::new(Cell::new(0));
    let counted = Rc::clone(&answers);
    rig.network.filter = Some(Box::new(move |packet, _| match Stun::parse(&packet.data) {
        // The browser's answers to our checks are late; its own checks are not, and the nominating one
        // comes once only.
        Some(stun) if packet.to == gateway_address() && stun.class == StunClass::Success => {
            Verdict::Delay(60 * MS)
        }
        Some(stun) if packet.to == gateway_address() && stun.use_candidate => {
            counted.set(counted.get() + 1);
            if counted.get() == 1 {
                Verdict::Pass
            } else {
                Verdict::Drop
            }
        }
        _ => Verdict::Pass,
    }));
    let viewer = rig.join(1, Role::Controller);
    rig.until("connected", |rig| rig.connected(viewer).is_some());
    assert!(answers.get() >= 1, "there was a nomination");
    let timings = rig.connected(viewer).unwrap();
    // The browser's first check leaves with its first tick; then one round trip, and the late answer.
    assert!(timings.ice < 350 * MS, "{timings:?}");
}

/// The answer to our own check comes from an address that we have only sent to.
#[test]
fn an_address_is_learned_from_what_we_send() {
    let mut rig = Rig::streaming(5);
    let until = rig.now + 500 * MS;
    rig.network.filter = Some(Box::new(move |packet, now| match Stun::parse(&packet.data) {
        Some(stun) if packet.to == gateway_address() && stun.class == StunClass::Request && now < until => {
            Verdict::Drop
        }
        _ => Verdict::Pass,
    }));
    let viewer = rig.join(1, Role::Controller);
    let (connection, fragment) = (rig.browsers[viewer].connection, rig.browsers[viewer].fragment());
    rig.engine.patch(connection, &fragment, rig.now).unwrap();
    rig.until("connected", |rig| rig.connected(viewer).is_some());
    assert_eq!(rig.engine.stats().counters.strays, 0);
}

#[test]
fn a_fragment_of_another_session_is_refused() {
    let mut rig = Rig::streaming(6);
    let viewer = rig.join(1, Role::Controller);
    let connection = rig.browsers[viewer].connection;
    let refused = rig.engine.patch(connection, "a=ice-ufrag:other\r\n", rig.now);
    assert_eq!(refused, Err(gateway::PatchError::OtherSession));
}

#[test]
fn a_channel_that_the_viewer_opens_itself_is_closed() {
    let mut rig = Rig::streaming(7);
    let viewer = rig.connect(1, Role::Controller);
    rig.browsers[viewer].open_in_band();
    rig.pump_browser(viewer);
    rig.run(500 * MS);
    assert!(rig.browsers[viewer].closed, "the foreign channel was closed");
    assert_eq!(rig.closed(viewer), None, "and the connection goes on");
    assert_eq!(rig.engine.stats().counters.bad_messages, 1);
}

/// Nothing on an unreliable channel waits for something that was lost, in either direction.
#[test]
fn negotiated_channels_are_unreliable_both_ways() {
    let mut rig = Rig::streaming(8);
    let viewer = rig.connect(1, Role::Controller);
    rig.network.link = Link {
        loss_percent: 10,
        ..Link::default()
    };
    let (start, count) = (rig.now, 300);
    for seq in 1..=count {
        let t_ms = (rig.now - start).as_millis() as u32;
        let touch = Touch {
            seq,
            t_ms,
            generation: Generation(1),
            pointers: vec![],
            edges: vec![],
        };
        rig.say(viewer, Channel::Input, |out| Message::Touch(touch).encode(out));
        rig.run(10 * MS);
    }
    rig.run(Duration::from_secs(3));
    let acks = rig.acks(viewer);
    assert!(
        (count as usize * 7 / 10..count as usize * 9 / 10).contains(&acks.len()),
        "lost both ways: {}",
        acks.len()
    );
    let worst = acks
        .iter()
        .map(|(at, ack)| *at - start - Duration::from_millis(u64::from(ack.t_ms)))
        .max()
        .unwrap();
    assert!(worst <= 25 * MS, "a round trip is 20 ms: {worst:?}");
}

#[test]
fn a_viewer_that_breaks_the_protocol_too_often_is_closed() {
    let mut rig = Rig::streaming(9);
    let viewer = rig.connect(1, Role::Controller);
    for _ in 0..=gateway::limits::BAD_MESSAGES_MAX {
        rig.say(viewer, Channel::Input, |out| out.push(0xee));
        rig.run(10 * MS);
    }
    assert_eq!(rig.closed(viewer), Some(protocol::CloseReason::Protocol));
    assert!(rig.browsers[viewer].pc.poll_timeout().is_some() || rig.browsers[viewer].closed);
}

/// No step waits for a timer: what is left is what the protocols themselves take.
#[test]
fn a_start_takes_the_round_trips_of_its_protocols_and_no_more() {
    let mut rig = Rig::streaming(10);
    let viewer = rig.connect(1, Role::Controller);
    let timings = rig.connected(viewer).unwrap();
    // A round trip is 20 ms. ICE: the viewer's check, ours, its nomination. DTLS 1.2: with the cookie that
    // this peer asks for (a browser does not) and two flights each way. SCTP: INIT and COOKIE.
    assert_eq!(timings.ice, 30 * MS);
    assert!(timings.dtls - timings.ice <= 62 * MS, "{timings:?}");
    assert!(timings.channels - timings.dtls <= 42 * MS, "{timings:?}");
}
