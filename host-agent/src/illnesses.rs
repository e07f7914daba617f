//! Devices that start slowly, hang or never come up, through the whole device task: the agent notices, says it, and shows the
//! picture again as soon as there is one. Only for tests.
//!
//! ```text
//!   device with one fault ══ adb ══ Device task ─► health, as control is told it
//!                                               └► key frames, as the gateway gets them
//! ```
//!
//! What ends a capture by itself is in neighbours.rs: this is about what keeps silent.

use std::time::Duration;

use device::Boot;
use device::fault::{Fault, Faults};
use protocol::agent::{DeviceHealth, Reply};
use tokio::time::Instant;

use crate::keyframes::STALL;
use crate::rig::{PATIENCE, Phone, Rig, reply};

const PAINT: &str = "dev.farglass.paint";

/// How long the encoder hangs: much longer than a key frame may take.
const HANG: Duration = Duration::from_secs(5 * STALL.as_secs());

async fn ill(kind: Fault) -> Rig {
    let faults = Faults::new(vec![kind], 1).hanging_for(HANG);
    Rig::on(Phone::faulty((360, 640), faults).await).await
}

fn key_frames(rig: &Rig) -> u64 {
    rig.seen.progress.borrow().key_starts
}

#[tokio::test]
async fn an_encoder_that_hangs_is_noticed_by_who_waits_for_it_and_filmed_anew() {
    let mut rig = ill(Fault::EncoderStall).await;
    rig.healthy().await;
    let motion = "am start -n dev.farglass.motion/.MainActivity";
    rig.shell().shell(motion).await.unwrap();
    // Somebody who waits goes on asking, as a viewer without a picture does.
    let deadline = Instant::now() + PATIENCE;
    let mut asked = tokio::time::interval(STALL / 10);
    let told = loop {
        tokio::select! {
            fact = rig.fact(|fact| fact.health != DeviceHealth::Healthy) => break fact,
            _ = asked.tick() => rig.handle.key_frame_wanted.notify_one(),
        }
        assert!(Instant::now() < deadline, "it was never said");
    };
    assert_eq!(told.health, DeviceHealth::Degraded);
    let before = key_frames(&rig);
    rig.healthy().await;
    assert!(key_frames(&rig) > before, "the picture came again");
}

#[tokio::test]
async fn a_server_that_starts_slowly_is_waited_for_and_the_device_is_not_called_well_before() {
    let mut rig = ill(Fault::SlowStart).await;
    let first = rig.fact(|fact| !fact.model.is_empty()).await;
    assert_eq!((first.health, key_frames(&rig)), (DeviceHealth::Booting, 0));
    rig.healthy().await;
    assert!(key_frames(&rig) > 0, "it is well when there is a picture");
    assert!(matches!(
        reply(rig.prepare(1, PAINT)).await,
        Reply::Prepared { .. }
    ));
    // The next server is as slow; the device is known now.
    rig.phone.cut();
    rig.fact(|fact| fact.health != DeviceHealth::Healthy).await;
    let before = key_frames(&rig);
    rig.healthy().await;
    assert!(key_frames(&rig) > before);
}

#[tokio::test]
async fn a_device_whose_boot_fails_is_said_to_boot_and_nobody_gets_it() {
    let mut rig = Rig::on(Phone::booting(Boot::Fails).await).await;
    let fact = rig.fact(|_| true).await;
    assert_eq!(fact.health, DeviceHealth::Booting);
    // It is asked again and again whether it is up, and says no.
    let asked = || async {
        rig.shell()
            .shell("getprop sys.boot_completed")
            .await
            .unwrap()
            .stdout
    };
    assert_eq!(asked().await, b"\n");
    let answer = reply(rig.prepare(1, PAINT)).await;
    assert!(matches!(answer, Reply::Refused(_)), "{answer:?}");
    let health = rig.facts.borrow().as_ref().map(|fact| fact.health);
    assert_eq!(health, Some(DeviceHealth::Booting), "still");
}

#[tokio::test]
async fn a_device_that_takes_its_time_to_boot_is_filmed_as_soon_as_it_is_up() {
    let boot = Boot::Takes(Duration::from_secs(2));
    let mut rig = Rig::on(Phone::booting(boot).await).await;
    let first = rig.fact(|_| true).await;
    assert_eq!(first.health, DeviceHealth::Booting);
    rig.healthy().await;
    assert!(key_frames(&rig) > 0);
    assert!(matches!(
        reply(rig.prepare(1, PAINT)).await,
        Reply::Prepared { .. }
    ));
}
