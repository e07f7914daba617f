//! A device task against the simulated device, over real adb, with a real gateway.
//!
//! What control asks goes in as commands and what a person does as orders, as the agent's loop gives them; what came of
//! it is read from the device itself, over a connection of the test's own. Random people are in mayhem.rs, devices with
//! faults in neighbours.rs.

use protocol::agent::{DeviceHealth, RefusalCode, Reply, Reset, Stage as Step};
use protocol::control::System;
use protocol::input::InputOp;
use protocol::{Epoch, Fraction};
use scrcpy::ControlMsg;
use serde_json::Value;
use tokio::sync::oneshot;

use super::*;
use crate::capture::{Capture, CaptureEnd, CaptureError};
use crate::rig::{NEWEST, Rig, recipe, reply};

const PAINT: &str = "dev.farglass.paint";
const ECHO: &str = "dev.farglass.echo";

fn refused(reply: Reply) -> RefusalCode {
    match reply {
        Reply::Refused(refusal) => refusal.code,
        other => panic!("{other:?} is no refusal"),
    }
}

fn pointers(dump: &Value) -> usize {
    dump["pointers"].as_array().unwrap().len()
}

/// The kinds and places of the touches so far.
fn touches(dump: &Value) -> Vec<(String, i64, i64)> {
    let events = dump["events"].as_array().unwrap().iter();
    let touch = |event: &Value| {
        let kind = event["kind"].as_str()?;
        let is_touch = ["down", "move", "up"].contains(&kind);
        is_touch.then(|| {
            (
                kind.to_owned(),
                event["x"].as_i64().unwrap(),
                event["y"].as_i64().unwrap(),
            )
        })
    };
    events.filter_map(touch).collect()
}

#[tokio::test]
async fn a_device_is_filmed_from_the_moment_it_is_reached() {
    let mut rig = Rig::new().await;
    let fact = rig.healthy().await;
    assert_eq!(
        (fact.width, fact.height, fact.model.as_str()),
        (360, 640, "Trial")
    );
    assert_eq!(fact.fence, Epoch(0));
    assert_eq!(fact.labels["pool"], "trial");
}

#[tokio::test]
async fn prepare_cleans_launches_and_shows_a_picture_of_the_app() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    rig.shell()
        .shell("am start -n dev.farglass.echo/.Main")
        .await
        .unwrap();
    let before = rig.seen.progress.borrow().starts;
    let mut answers = rig.prepare(1, PAINT);
    let mut steps = Vec::new();
    while let Some(progress) = answers.progress.recv().await {
        steps.push(progress);
    }
    assert_eq!(
        reply(answers).await,
        Reply::Prepared {
            width: 360,
            height: 640
        }
    );
    // A key frame of an encoder that started after the launch: whoever joins sees nothing older.
    assert!(rig.seen.progress.borrow().key_starts > before);
    let stages: Vec<Step> = steps.iter().map(|step| step.stage).collect();
    assert!(stages.is_sorted(), "{steps:?}");
    assert_eq!(
        (stages.first(), stages.last()),
        (Some(&Step::Reset), Some(&Step::FirstFrame))
    );
    assert_eq!(rig.dump().await["foreground"], PAINT);
    assert_eq!(
        rig.fact(|fact| fact.fence == Epoch(1)).await.health,
        DeviceHealth::Healthy
    );
}

#[tokio::test]
async fn an_app_that_does_not_exist_fails_the_preparation_and_says_why() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    match reply(rig.prepare(1, "dev.farglass.nothing")).await {
        Reply::Refused(refusal) => {
            assert_eq!(refusal.code, RefusalCode::SetupFailed);
            assert!(refusal.detail.contains("am start"), "{}", refusal.detail);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn touches_land_on_the_pixels_that_they_were_aimed_at() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    reply(rig.prepare(1, PAINT)).await;
    let before = touches(&rig.dump().await).len();
    let (x, y) = (Fraction::middle_of(123, 360), Fraction::middle_of(456, 640));
    rig.press(1, 4, (x.0, y.0), 1);
    rig.act(1, InputOp::Up { pointer: 4, x, y });
    let dump = rig
        .sees("the tap", |dump| touches(dump).len() >= before + 2)
        .await;
    let expected = [("down".to_owned(), 123, 456), ("up".to_owned(), 123, 456)];
    assert_eq!(touches(&dump)[before..], expected);
}

#[tokio::test]
async fn nobody_touches_before_the_gate_is_open_or_with_another_epoch() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    reply(rig.prepare(5, PAINT)).await;
    for epoch in [0, 4, 6] {
        rig.press(epoch, 0, (1, 1), 1);
    }
    rig.press(5, 1, (0x8000, 0x8000), 1);
    let dump = rig.sees("a finger", |dump| pointers(dump) > 0).await;
    assert_eq!(touches(&dump), [("down".to_owned(), 180, 320)]);
}

#[tokio::test]
async fn release_lifts_every_finger_raises_the_fence_and_lets_nobody_touch() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    reply(rig.prepare(1, PAINT)).await;
    rig.press(1, 0, (0x1000, 0x1000), 1);
    rig.press(1, 1, (0x9000, 0x9000), 1);
    rig.sees("two fingers", |dump| pointers(dump) == 2).await;

    assert_eq!(reply(rig.release(2)).await, Reply::Released);
    rig.press(1, 2, (1, 1), 1);
    rig.press(2, 2, (1, 1), 1);
    let dump = rig.sees("no finger", |dump| pointers(dump) == 0).await;
    assert_eq!(dump["foreground"], "dev.farglass.launcher");
    assert_eq!(rig.fact(|fact| fact.fence == Epoch(2)).await.fence, Epoch(2));
    assert_eq!(
        refused(reply(rig.prepare(1, PAINT)).await),
        RefusalCode::StaleEpoch
    );
    assert_eq!(pointers(&rig.dump().await), 0);
}

#[tokio::test]
async fn what_one_holder_typed_and_copied_is_gone_for_the_next() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    reply(rig.prepare(1, ECHO)).await;
    rig.act(1, InputOp::Text("secret é".to_owned()));
    let typed = |dump: &Value| dump["text"] == "secret é" && dump["clipboard"] == "secret é";
    rig.sees("the text", typed).await;
    assert_eq!(reply(rig.release(2)).await, Reply::Released);
    let dump = rig.dump().await;
    assert_eq!(
        (&dump["text"], &dump["clipboard"]),
        (&Value::from(""), &Value::from(""))
    );
}

#[tokio::test]
async fn text_of_all_kinds_arrives_in_its_order() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    reply(rig.prepare(1, ECHO)).await;
    for text in ["héllo ", "plain ", "你好", " and ", "ünd"] {
        rig.act(1, InputOp::Text(text.to_owned()));
    }
    rig.sees("the text", |dump| dump["text"] == "héllo plain 你好 and ünd")
        .await;
}

async fn rotation(version: &'static str) {
    let mut rig = Rig::of(version).await;
    rig.healthy().await;
    reply(rig.prepare(1, PAINT)).await;
    rig.press(1, 0, (0x8000, 0x8000), 1);
    rig.sees("a finger", |dump| pointers(dump) == 1).await;
    rig.act(1, InputOp::System(System::Rotate));
    rig.fact(|fact| (fact.width, fact.height) == (640, 360)).await;
    rig.sees("no finger", |dump| pointers(dump) == 0).await;

    let before = touches(&rig.dump().await).len();
    rig.press(1, 0, (0xffff, 0xffff), 2);
    let dump = rig
        .sees("a finger on the turned screen", |dump| pointers(dump) == 1)
        .await;
    assert_eq!(touches(&dump)[before..], [("down".to_owned(), 639, 359)]);
}

#[tokio::test]
async fn after_a_rotation_fingers_are_up_and_new_ones_land_in_the_new_size() {
    rotation(NEWEST).await;
}

#[tokio::test]
async fn before_4_the_size_after_a_rotation_comes_from_the_parameter_sets() {
    rotation("3.3.4").await;
}

#[tokio::test]
async fn before_3_a_fresh_picture_comes_from_a_new_capture() {
    let mut rig = Rig::of("2.7").await;
    rig.healthy().await;
    assert_eq!(
        reply(rig.prepare(1, PAINT)).await,
        Reply::Prepared {
            width: 360,
            height: 640
        }
    );
}

#[tokio::test]
async fn a_server_that_dies_is_started_again_and_the_session_goes_on() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    reply(rig.prepare(1, PAINT)).await;
    // A camera message ends a server that films a display.
    let orders = rig.handle.orders.borrow().clone().unwrap();
    let (done, _) = oneshot::channel();
    let order = Order::Effect {
        epoch: Epoch(1),
        messages: vec![ControlMsg::CameraZoomIn],
        done,
    };
    orders.send(order).await.unwrap();
    rig.fact(|fact| fact.health == DeviceHealth::Degraded).await;
    rig.healthy().await;
    rig.press(1, 0, (0x8000, 0x8000), 1);
    rig.sees("a finger", |dump| pointers(dump) == 1).await;
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_again_and_the_session_goes_on() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    reply(rig.prepare(1, PAINT)).await;
    rig.phone.cut();
    rig.fact(|fact| fact.health != DeviceHealth::Healthy).await;
    rig.healthy().await;
    rig.press(1, 0, (0x8000, 0x8000), 1);
    rig.sees("a finger", |dump| pointers(dump) == 1).await;
}

#[tokio::test]
async fn a_device_that_booted_anew_shows_the_app_again_before_its_holder_may_touch_it() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    reply(rig.prepare(1, PAINT)).await;
    rig.press(1, 0, (0x8000, 0x8000), 1);
    rig.sees("a finger", |dump| pointers(dump) == 1).await;
    rig.reboot().await;
    let away = rig.fact(|fact| fact.health != DeviceHealth::Healthy).await;
    assert_eq!(away.fence, Epoch(1), "it is the same holder's");
    rig.healthy().await;
    assert_eq!(rig.dump().await["foreground"], PAINT);
    rig.press(1, 0, (0x8000, 0x8000), 1);
    rig.sees("a finger", |dump| pointers(dump) == 1).await;
    assert_eq!(rig.dump().await["strokes"], 1, "only the touch of the new boot");
}

#[tokio::test]
async fn a_restarted_agent_knows_which_boot_its_holder_had() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    reply(rig.prepare(1, PAINT)).await;
    let mut rig = rig.restart().await;
    rig.healthy().await;
    assert_eq!(rig.dump().await["strokes"], 0, "it was let go on");
    rig.reboot().await;
    rig.fact(|fact| fact.health != DeviceHealth::Healthy).await;
    rig.healthy().await;
    assert_eq!(rig.dump().await["foreground"], PAINT);
}

#[tokio::test]
async fn an_agent_that_starts_again_together_with_its_device_launches_the_app_before_anybody_may_touch_it() {
    for asks_again in [false, true] {
        let mut rig = Rig::new().await;
        rig.healthy().await;
        reply(rig.prepare(1, PAINT)).await;
        let mut rig = rig.restart_with_the_device().await;
        if asks_again {
            reply(rig.prepare(1, PAINT)).await;
        }
        rig.healthy().await;
        assert_eq!(rig.dump().await["foreground"], PAINT, "asks again: {asks_again}");
        rig.press(1, 0, (0x8000, 0x8000), 1);
        rig.sees("a finger", |dump| pointers(dump) == 1).await;
    }
}

#[tokio::test]
async fn a_connection_that_was_only_cut_launches_nothing() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    reply(rig.prepare(1, PAINT)).await;
    rig.shell()
        .shell("am start -n dev.farglass.echo/.MainActivity")
        .await
        .unwrap();
    rig.phone.cut();
    rig.fact(|fact| fact.health != DeviceHealth::Healthy).await;
    rig.healthy().await;
    assert_eq!(rig.dump().await["foreground"], ECHO);
}

#[tokio::test]
async fn a_device_that_was_cleaned_for_the_last_holder_is_not_cleaned_again_for_the_next() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    reply(rig.prepare(1, ECHO)).await;
    rig.act(1, InputOp::Text("secret".to_owned()));
    rig.sees("the text", |dump| dump["text"] == "secret").await;
    assert_eq!(reply(rig.release_with(2, Reset::Full)).await, Reply::Released);
    assert_eq!(rig.dump().await["text"], "");
    let before = rig.fuse.count();
    reply(rig.prepare(3, PAINT)).await;
    assert_eq!(
        rig.fuse.count() - before,
        3,
        "the witness is looked for, the app launched, the witness put"
    );
    assert_eq!(rig.dump().await["foreground"], PAINT);
}

#[tokio::test]
async fn a_connection_that_went_silent_is_given_up_although_the_screen_may_be_at_rest() {
    let mut rig = Rig::impatient().await;
    rig.healthy().await;
    reply(rig.prepare(1, PAINT)).await;
    rig.phone.freeze(true);
    rig.fact(|fact| fact.health != DeviceHealth::Healthy).await;
    rig.phone.freeze(false);
    rig.healthy().await;
    rig.press(1, 0, (0x8000, 0x8000), 1);
    rig.sees("a finger", |dump| pointers(dump) == 1).await;
}

#[tokio::test]
async fn a_key_frame_that_somebody_waits_for_comes_from_a_reset_of_the_encoder() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    let mut progress = rig.seen.progress.subscribe();
    let before = progress.borrow_and_update().key_starts;
    rig.handle.key_frame_wanted.notify_one();
    let again = progress.wait_for(|progress| progress.key_starts > before);
    tokio::time::timeout(crate::rig::PATIENCE, again)
        .await
        .expect("a key frame")
        .unwrap();
    assert_eq!(rig.facts.borrow().as_ref().unwrap().health, DeviceHealth::Healthy);
}

#[tokio::test]
async fn a_server_of_another_version_is_told_by_its_own_words() {
    let rig = Rig::new().await;
    let mut recipe = recipe("3.3.4");
    recipe.version = "4.1".parse().unwrap();
    let (gateway, _events) =
        gateway::start(&gateway::GatewayConfig::new(([127, 0, 0, 1], 0).into())).unwrap();
    let (_pass, passes) = watch::channel(Pass {
        epoch: Epoch(0),
        open: false,
    });
    let host = rig.phone.host().await;
    let seen = Arc::new(Seen::new());
    let started = Capture::start(host, recipe, gateway.source(rig.id), seen, passes).await;
    match started.map(drop) {
        Err(CaptureError::Ended(CaptureEnd::Server { code: Some(1), said })) => {
            assert!(said.contains("3.3.4") && said.contains("4.1"), "{said}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_restarted_agent_keeps_the_fence_and_the_session_that_was_prepared() {
    let prepared = Reply::Prepared {
        width: 360,
        height: 640,
    };
    let mut rig = Rig::new().await;
    rig.healthy().await;
    reply(rig.prepare(7, PAINT)).await;
    rig.press(7, 0, (0x8000, 0x8000), 1);
    rig.act(7, InputOp::LiftAll);
    rig.sees("a stroke", |dump| dump["strokes"] == 1).await;

    let mut rig = rig.restart().await;
    assert_eq!(
        refused(reply(rig.prepare(6, PAINT)).await),
        RefusalCode::StaleEpoch
    );
    // The same request has the same outcome, before the capture runs and after, and cleans nothing.
    assert_eq!(reply(rig.prepare(7, PAINT)).await, prepared);
    rig.healthy().await;
    rig.press(7, 0, (0x8000, 0x8000), 1);
    let dump = rig.sees("a finger", |dump| pointers(dump) == 1).await;
    assert_eq!(
        (&dump["foreground"], &dump["strokes"]),
        (&Value::from(PAINT), &Value::from(2))
    );
    assert_eq!(reply(rig.prepare(7, PAINT)).await, prepared);
    assert_eq!(pointers(&rig.dump().await), 1);
}

#[tokio::test]
async fn a_request_that_is_repeated_while_it_runs_is_done_once_and_answered_twice() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    let (first, second) = (rig.prepare(1, PAINT), rig.prepare(1, PAINT));
    let prepared = Reply::Prepared {
        width: 360,
        height: 640,
    };
    assert_eq!(
        (reply(first).await, reply(second).await),
        (prepared.clone(), prepared)
    );
    let (first, second) = (rig.release(2), rig.release(2));
    assert_eq!(
        (reply(first).await, reply(second).await),
        (Reply::Released, Reply::Released)
    );
    assert_eq!(
        reply(rig.release(2)).await,
        Reply::Released,
        "and once more, afterwards"
    );
}

#[tokio::test]
async fn a_release_overtakes_a_preparation_which_then_touches_nothing_more() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    let prepare = rig.prepare(1, PAINT);
    let release = rig.release(2);
    assert_eq!(refused(reply(prepare).await), RefusalCode::StaleEpoch);
    assert_eq!(reply(release).await, Reply::Released);
    assert_eq!(rig.dump().await["foreground"], "dev.farglass.launcher");
}

#[tokio::test]
async fn a_device_that_went_away_is_offline_and_its_preparation_says_so() {
    let mut rig = Rig::new().await;
    rig.healthy().await;
    rig.phone.vanish();
    rig.fact(|fact| fact.health == DeviceHealth::Offline).await;
    assert_eq!(
        refused(reply(rig.prepare(1, PAINT)).await),
        RefusalCode::DeviceOffline
    );
}
