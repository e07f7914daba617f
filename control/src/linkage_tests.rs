//! Rows about links come back to what is true, whoever wrote them last.

use crate::domain::device::Health;
use crate::domain::time::UnixMs;
use crate::rig::linked::{Linked, on_both_linked};
use crate::rig::pair::until;

on_both_linked![
    a_link_that_another_control_forgot_is_noted_again_and_its_devices_are_there,
    a_host_that_is_gone_and_still_noted_as_linked_is_marked_lost,
];

async fn a_link_that_another_control_forgot_is_noted_again_and_its_devices_are_there(on: Linked) {
    let app = on.rig.app.clone();
    // The report that nothing has changed since.
    on.agent.touched(None);
    app.store.replica_leaves(app.replica.id).await.unwrap();
    app.store.unlinked_are_offline().await.unwrap();
    on.device_is(|device| device.health == Health::Offline).await;
    let healthy = on.device_is(|device| {
        on.agent.touched(None);
        device.health == Health::Healthy
    });
    healthy.await;
    // A report may have been noted before the link was.
    until(async || {
        app.store
            .links_of(app.replica.id)
            .await
            .unwrap()
            .contains(&on.rig.host)
    })
    .await;
}

async fn a_host_that_is_gone_and_still_noted_as_linked_is_marked_lost(mut on: Linked) {
    let (app, host) = (on.rig.app.clone(), on.rig.host);
    let hello = on.agent.hello();
    on.agent.stop();
    on.device_is(|device| device.health == Health::Offline).await;
    // Its end could not be noted: the rows are as they were before it.
    let (replica, now) = (app.replica.id, UnixMs::now());
    app.store
        .link_host(host, replica, app.authority, now)
        .await
        .unwrap();
    app.store.adopt(host, &hello, now).await.unwrap();
    on.device_is(|device| device.health == Health::Offline).await;
    assert!(app.store.links_of(replica).await.unwrap().is_empty());
}
