//! Pictures on their way: losses, overflows, times.

use std::time::Duration;

use gateway::engine::Input;
use gateway::latest::{Latest, Lost};
use gateway::limits::PICTURES_PENDING_MAX;
use gateway::{AccessUnit, Role, SourceEvent};
use protocol::stats::{ToGateway, ToViewer};
use protocol::{Channel, Pts};

use crate::network::Link;
use crate::rig::{Rig, annex_b, slice};

const MS: Duration = Duration::from_millis(1);

#[test]
fn lost_packets_are_sent_again_and_every_frame_is_whole() {
    let mut rig = Rig::streaming(1);
    rig.frame(true, 8_000);
    let viewer = rig.connect(1, Role::Controller);
    rig.network.link = Link {
        loss_percent: 3,
        ..Link::default()
    };
    for _ in 0..300 {
        rig.frame(false, 8_000);
        rig.run(Duration::from_micros(16_667));
    }
    rig.network.link.loss_percent = 0;
    rig.frame(false, 500);
    rig.run(Duration::from_secs(1));
    assert_eq!(rig.seen(viewer), (0..302).collect::<Vec<_>>());
    let stats = rig.engine.stats();
    assert!(
        stats.counters.packets > 301 * 7,
        "there were retransmissions: {stats:?}"
    );
}

#[test]
fn a_frame_is_one_send() {
    let mut rig = Rig::streaming(2);
    rig.frame(true, 500);
    rig.connect(1, Role::Controller);
    rig.run(Duration::from_secs(1));
    let before = rig.sends.len();
    rig.frame(false, 8_000);
    assert_eq!(rig.sends[before..], [(rig.now, 7)]);
    let before = rig.sends.len();
    rig.frame(true, 60_000);
    assert!(
        rig.sends.len() - before <= 2,
        "parameter sets, then a run: {:?}",
        &rig.sends[before..]
    );
}

/// The media thread stood still while the device went on: what waited is dropped, and the picture comes
/// back with the next key frame, which is asked for.
#[test]
fn after_an_overflow_the_newest_picture_wins() {
    let mut rig = Rig::streaming(3);
    rig.frame(true, 500);
    let viewer = rig.connect(1, Role::Controller);
    rig.run(400 * MS);
    let mut latest = Latest::default();
    let count = PICTURES_PENDING_MAX as u32 + 5;
    for number in 1..=count {
        let data = annex_b(&[&slice(number, false, 500)]);
        let pts = Pts(80_000_000 + u64::from(number) * 16_667);
        latest.push(SourceEvent::Unit(AccessUnit {
            pts,
            key: false,
            data,
            received: rig.now,
        }));
    }
    let lost = latest.take_lost();
    assert_eq!(
        lost,
        Lost {
            pictures: u64::from(count),
            key_frame_needed: true
        }
    );
    rig.handle(Input::SourceLost(rig.device, lost));
    while let Some(event) = latest.pop() {
        rig.source(event);
    }
    assert_eq!(rig.key_frames_wanted(), 1);
    rig.run(400 * MS);
    rig.frame(false, 500);
    let key = rig.frame(true, 500);
    rig.frame(false, 500);
    rig.run(50 * MS);
    assert_eq!(rig.seen(viewer), [0, key, key + 1]);
    assert_eq!(rig.engine.stats().counters.pictures_dropped, u64::from(count));
}

#[test]
fn times_of_frames_are_told_to_who_asks() {
    let mut rig = Rig::streaming(4);
    rig.frame(true, 500);
    let viewer = rig.connect(1, Role::Controller);
    rig.say(viewer, Channel::Stats, |out| {
        ToGateway::Subscribe { every_n: 1 }.encode(out);
    });
    rig.run(50 * MS);
    let sent = rig.now;
    rig.frame(false, 3_000);
    rig.run(50 * MS);
    let stats = rig.browsers[viewer]
        .messages
        .iter()
        .filter(|(_, channel, _)| *channel == Channel::Stats);
    let metas: Vec<_> = stats
        .filter_map(|(.., bytes)| match ToViewer::decode(bytes).unwrap() {
            ToViewer::FrameMeta(meta) => Some(meta),
            _ => None,
        })
        .collect();
    let [meta] = metas[..] else { panic!("{metas:?}") };
    assert_eq!(meta.rtp, rig.browsers[viewer].frames().last().unwrap().rtp);
    let unix_us = 1_700_000_000_000_000 + (sent - rig.start).as_micros() as u64;
    assert_eq!(
        (meta.capture_us, meta.received_us, meta.sent_us, meta.residence_us),
        (unix_us, unix_us, unix_us, 0)
    );
    assert_eq!((meta.width, meta.height), (720, 1280));
}

#[test]
fn a_ping_tells_the_gateways_clock() {
    let mut rig = Rig::streaming(5);
    let viewer = rig.connect(1, Role::Controller);
    rig.say(viewer, Channel::Stats, |out| {
        ToGateway::Ping { id: 7, t0_us: 42 }.encode(out);
    });
    rig.run(rig.network.link.delay);
    let arrived_us = 1_700_000_000_000_000 + (rig.now - rig.start).as_micros() as u64;
    rig.run(rig.network.link.delay);
    let (.., bytes) = rig.browsers[viewer].messages.last().unwrap();
    let pong = ToViewer::Pong {
        id: 7,
        t0_us: 42,
        t1_us: arrived_us,
        t2_us: arrived_us,
    };
    assert_eq!(ToViewer::decode(bytes), Ok(pong));
}

#[test]
fn residence_is_recorded_for_every_frame_of_every_viewer() {
    let mut rig = Rig::streaming(6);
    rig.frame(true, 500);
    rig.connect(1, Role::Controller);
    rig.connect(1, Role::Spectator);
    let before = rig.engine.stats().residence.count;
    rig.group(10, 2_000);
    assert_eq!(rig.engine.stats().residence.count, before + 20);
}

#[test]
fn a_viewer_that_is_away_is_sent_nothing_and_gets_the_picture_when_it_is_back() {
    let mut rig = Rig::streaming(7);
    let viewer = rig.connect(1, Role::Controller);
    rig.group(60, 2_000);
    rig.network.link.loss_percent = 100;
    rig.group(420, 2_000);
    let sends = rig.sends.len();
    rig.group(60, 2_000);
    assert!(
        rig.sends.len() - sends < 10,
        "checks only: {}",
        rig.sends.len() - sends
    );
    let wanted = rig.key_frames_wanted();
    rig.network.link.loss_percent = 0;
    rig.until("a key frame is asked for", |rig| rig.key_frames_wanted() > wanted);
    let key = rig.frame(true, 2_000);
    rig.run(50 * MS);
    assert_eq!(rig.seen(viewer).last(), Some(&key));
    assert_eq!(rig.closed(viewer), None);
}
