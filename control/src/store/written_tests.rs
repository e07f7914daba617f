//! What is written down in the audit log: every quarantine with its reason, everybody who only watches.

use protocol::agent::Role;
use protocol::{CloseReason, Epoch};
use uuid::Uuid;

use crate::domain::device::{Occupancy, Reset, Soiled};
use crate::domain::lease::Event;
use crate::rig::{Rig, after, on_both};
use crate::secret::Hash;
use crate::store::audit::{Actor, ActorKind};
use crate::store::connections::Owner;
use crate::store::viewer_tokens::{NewViewerToken, Operator};

on_both![
    every_way_into_quarantine_has_its_reason_and_one_row,
    whoever_only_watches_is_written_down_with_who_let_them_in,
    a_device_under_the_name_of_one_that_its_host_does_not_know_any_more_is_quarantined,
];

/// The reasons of all quarantines, and how the device shows the last.
async fn quarantines(rig: &Rig) -> (Vec<String>, Option<Soiled>) {
    let sql = "SELECT result, resource_id FROM audit_log WHERE action = 'device.quarantine' ORDER BY id";
    let rows = rig.app.store.rows(sql).await.unwrap();
    let device = rig.app.store.device(rig.device).await.unwrap().unwrap();
    for row in &rows {
        assert_eq!(row.text("resource_id").unwrap(), rig.device.to_string());
    }
    let reasons = rows.iter().map(|row| row.text("result").unwrap()).collect();
    assert_eq!(
        device.quarantine.is_some(),
        device.occupancy == Occupancy::Quarantined
    );
    (reasons, device.quarantine.map(|(why, _)| why))
}

/// A lease that ends, and what its release comes to.
async fn released(rig: &Rig, seconds: u64, event: Event) {
    let session = rig.granted("t", "a", after(seconds)).await;
    let store = &rig.app.store;
    let end = Event::End(CloseReason::LeaseEnded);
    for event in [end, event] {
        store
            .step(session.lease, event, &Actor::SYSTEM, after(seconds))
            .await
            .unwrap();
    }
}

async fn every_way_into_quarantine_has_its_reason_and_one_row(rig: Rig) {
    rig.link("t", None, None).await;
    let store = &rig.app.store;
    released(&rig, 1, Event::Cleaned).await;
    assert_eq!(quarantines(&rig).await, (vec![], None));

    released(&rig, 2, Event::CleanFailed(Soiled::NoAnswer)).await;
    let mut said = vec!["no_answer".to_owned()];
    assert_eq!(quarantines(&rig).await, (said.clone(), Some(Soiled::NoAnswer)));

    let Reset { epoch, .. } = store
        .reset_device(rig.device, &Actor::SYSTEM, after(3))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        quarantines(&rig).await,
        (said.clone(), None),
        "it is being cleaned"
    );
    store
        .device_was_reset(rig.device, epoch, Err(Soiled::NotCleaned), after(4))
        .await
        .unwrap();
    said.push("not_cleaned".to_owned());
    assert_eq!(quarantines(&rig).await, (said.clone(), Some(Soiled::NotCleaned)));

    // Control dies over a cleaning that no lease remembers: the order stands, and nothing is to be written down.
    let order = store
        .reset_device(rig.device, &Actor::SYSTEM, after(5))
        .await
        .unwrap()
        .unwrap();
    store.settle_devices(after(6)).await.unwrap();
    assert_eq!(quarantines(&rig).await, (said.clone(), None));
    assert_eq!(store.resetting().await.unwrap(), [order]);
    let Reset { epoch, .. } = order;
    store
        .device_was_reset(rig.device, epoch, Ok(()), after(8))
        .await
        .unwrap();
    assert_eq!(store.resetting().await.unwrap(), []);
    rig.hello(Epoch(epoch.0 + 5), after(9)).await;
    said.push("forgotten".to_owned());
    assert_eq!(quarantines(&rig).await, (said.clone(), Some(Soiled::Forgotten)));
    rig.hello(Epoch(epoch.0 + 5), after(10)).await;
    assert_eq!(quarantines(&rig).await.0, said, "the same again is nothing new");
}

async fn whoever_only_watches_is_written_down_with_who_let_them_in(rig: Rig) {
    rig.link("t", None, None).await;
    let session = rig.granted("t", "a", after(1)).await;
    let store = &rig.app.store;
    let (admin, _) = store.user_by_login("admin").await.unwrap().unwrap();
    let operator = Actor {
        kind: ActorKind::User,
        id: Some(admin.id.to_string()),
        ip: None,
    };
    let token = Hash::of("token");
    let signed_in = Hash::of("signed in");
    store
        .sign_in(&admin, signed_in, &operator, after(1))
        .await
        .unwrap();
    let user = admin.id;
    let new = NewViewerToken {
        token,
        lease: session.lease,
        role: Role::Observer,
        operator: Some(Operator { user, signed_in }),
    };
    store.add_viewer_token(new, &operator, after(2)).await.unwrap();
    let viewer = async |lease, seconds| store.viewer(token, lease, after(seconds)).await.unwrap();
    let owner = viewer(session.lease, 2).await.unwrap();
    assert!(
        viewer(session.lease, 12 * 3600 + 1).await.is_none(),
        "a sign-in that is not used ends, and its look with it"
    );
    assert_eq!((owner.role, owner.operator), (Role::Observer, Some(admin.id)));
    let other = protocol::LeaseId::from_uuid(Uuid::now_v7());
    assert!(viewer(other, 2).await.is_none(), "a token is for one lease");
    let opened = store
        .open_connection(owner, 1, &operator, after(3))
        .await
        .unwrap()
        .unwrap();
    let holder = Owner {
        hash: Hash(session.binding),
        role: Role::Controller,
        operator: None,
        ..owner
    };
    store
        .open_connection(holder, 1, &Actor::SYSTEM, after(4))
        .await
        .unwrap()
        .unwrap();

    let sql = "SELECT action, actor_kind, actor_id, resource_id FROM audit_log
         WHERE resource_type IN ('connection', 'viewer_token') ORDER BY id";
    let rows = store.rows(sql).await.unwrap();
    let said: Vec<_> = rows
        .iter()
        .map(|row| ["action", "actor_kind", "actor_id", "resource_id"].map(|name| row.text(name).unwrap()))
        .collect();
    let who = admin.id.to_string();
    let expected = [
        ["viewer_token.create", "user", &who, &session.lease.to_string()].map(str::to_owned),
        ["connection.observe", "user", &who, &opened.id.to_string()].map(str::to_owned),
    ];
    assert_eq!(said, expected, "and the holder's own connection is none of these");
}

async fn a_device_under_the_name_of_one_that_its_host_does_not_know_any_more_is_quarantined(mut rig: Rig) {
    assert_eq!(quarantines(&rig).await, (vec![], None));
    // The agent lost its folder: it takes the device, on which somebody may have been, for one that it never saw.
    rig.device = protocol::DeviceId::from_uuid(Uuid::now_v7());
    rig.hello(Epoch(0), after(1)).await;
    let forgotten = "forgotten".to_owned();
    assert_eq!(
        quarantines(&rig).await,
        (vec![forgotten], Some(Soiled::Forgotten))
    );
    rig.hello(Epoch(0), after(2)).await;
    assert_eq!(quarantines(&rig).await.0.len(), 1, "it is said once");
}
