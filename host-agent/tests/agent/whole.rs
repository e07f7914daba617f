//! Join, Hello, requests, restarts, the end.

use std::net::SocketAddr;
use std::path::PathBuf;

use host_agent::{AgentError, Config};
use protocol::agent::{CloseConnection, RefusalCode, Role, WhepOffer};
use protocol::{CloseReason, ConnectionId, DeviceId, Epoch, SessionId};
use signaling::link::call::CallError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::rig::{Filming, PATIENCE, Rig, config_of, prepare, release};

const PAINT: &str = "dev.farglass.paint";

fn offer(device: DeviceId, epoch: u64) -> WhepOffer {
    WhepOffer {
        connection: ConnectionId::from_uuid(Uuid::from_u128(1)),
        session: SessionId::from_uuid(Uuid::from_u128(2)),
        lease: None,
        device,
        epoch: Epoch(epoch),
        role: Role::Controller,
        sdp: "this is no offer".to_owned(),
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, CallError>) -> RefusalCode {
    match result {
        Err(CallError::Refused(refusal)) => refusal.code,
        other => panic!("{other:?} is no refusal"),
    }
}

#[tokio::test]
async fn an_agent_joins_reports_its_device_and_prepares_and_releases_it() {
    let mut rig = Rig::new().await;
    let (link, device) = rig.control.healthy().await;
    assert_eq!((device.name.as_str(), device.model.as_str()), ("trial", "Trial"));

    let mut stages = Vec::new();
    let prepared = link
        .call(prepare(device.id, 1, PAINT), PATIENCE, |progress| {
            stages.push(progress.stage);
        })
        .await;
    let prepared = prepared.unwrap();
    assert_eq!((prepared.width, prepared.height), (360, 640));
    assert!(stages.len() >= 3 && stages.is_sorted(), "{stages:?}");
    link.call(release(device.id, 2), PATIENCE, drop).await.unwrap();
    rig.control.device(|device| device.fence == Epoch(2)).await;
    assert_eq!(
        code(link.call(prepare(device.id, 1, PAINT), PATIENCE, drop).await),
        RefusalCode::StaleEpoch
    );
    rig.stop_agent().await;
}

#[tokio::test]
async fn what_an_agent_does_not_have_is_refused_by_name() {
    let mut rig = Rig::new().await;
    let (link, device) = rig.control.healthy().await;
    let nobody = DeviceId::from_uuid(Uuid::from_u128(99));
    assert_eq!(
        code(link.call(prepare(nobody, 1, PAINT), PATIENCE, drop).await),
        RefusalCode::DeviceNotFound
    );
    let close = CloseConnection {
        connection: ConnectionId::from_uuid(Uuid::from_u128(3)),
        device: device.id,
        epoch: Epoch(0),
        reason: CloseReason::Kicked,
    };
    link.call(close, PATIENCE, drop).await.unwrap();
}

#[tokio::test]
async fn an_offer_ahead_of_its_preparation_raises_the_fence_first() {
    let mut rig = Rig::new().await;
    let (link, device) = rig.control.healthy().await;
    link.call(prepare(device.id, 1, PAINT), PATIENCE, drop)
        .await
        .unwrap();
    for _ in 0..2 {
        // The second under the same id shows that nothing was left of the first.
        assert_eq!(
            code(link.call(offer(device.id, 2), PATIENCE, drop).await),
            RefusalCode::BadSdp
        );
    }
    rig.control.device(|device| device.fence == Epoch(2)).await;
    assert_eq!(
        code(link.call(offer(device.id, 1), PATIENCE, drop).await),
        RefusalCode::StaleEpoch
    );
    link.call(prepare(device.id, 2, PAINT), PATIENCE, drop)
        .await
        .unwrap();
}

#[tokio::test]
async fn control_may_restart_and_hears_everything_again() {
    let mut rig = Rig::new().await;
    let (link, device) = rig.control.healthy().await;
    link.call(prepare(device.id, 4, PAINT), PATIENCE, drop)
        .await
        .unwrap();
    drop(link);
    rig.restart_control().await;
    let (link, again) = rig.control.device(|device| device.fence == Epoch(4)).await;
    assert_eq!(again.id, device.id);
    link.call(prepare(device.id, 4, PAINT), PATIENCE, drop)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_agent_may_restart_and_keeps_its_certificate_its_devices_and_their_fences() {
    let mut rig = Rig::new().await;
    let (link, device) = rig.control.healthy().await;
    link.call(prepare(device.id, 4, PAINT), PATIENCE, drop)
        .await
        .unwrap();
    rig.restart_agent().await;
    rig.control.until(|known| known.hellos == 2).await;
    let (_, again) = rig.control.healthy().await;
    assert_eq!((again.id, again.fence), (device.id, Epoch(4)));
}

#[tokio::test]
async fn an_agent_that_cannot_start_says_what_is_missing() {
    let data = tempfile::tempdir().unwrap();
    let nowhere: SocketAddr = ([127, 0, 0, 1], 9).into();
    let start = |config: Config| host_agent::run(config, CancellationToken::new());

    let config = config_of(&data, nowhere, nowhere, &Filming::default());
    let error = start(config.clone()).await.unwrap_err();
    assert!(
        matches!(
            &error,
            AgentError::File {
                what: "the scrcpy server",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("server"), "{error}");

    let mut twice = config.clone();
    twice.devices.push(config.devices[0].clone());
    assert!(matches!(start(twice).await, Err(AgentError::DeviceTwice(_))));

    std::fs::write(data.path().join("server"), device::stand_in_server("4.1")).unwrap();
    std::fs::write(data.path().join("token"), "no token").unwrap();
    assert!(matches!(
        start(config.clone()).await,
        Err(AgentError::Token { .. })
    ));

    let mut unenrolled = config;
    unenrolled.control.join_token_file = Some(PathBuf::from("/nonexistent"));
    let error = start(unenrolled).await.unwrap_err();
    assert!(error.to_string().contains("join token"), "{error}");
}
