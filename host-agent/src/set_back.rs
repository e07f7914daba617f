//! Agents whose folder is lost, or older than what was done on the device. What they have forgotten the device says
//! itself (`reset/witness.rs`).
//!
//! What one person leaves, and how the next looks for it, is in canaries.rs.

use protocol::Epoch;
use protocol::agent::{RefusalCode, Reply, Reset};

use crate::canaries::why;
use crate::reset::witness::WITNESS;
use crate::rig::{Rig, reply};

const PAINT: &str = "dev.farglass.paint";
const PREPARED: Reply = Reply::Prepared {
    width: 360,
    height: 640,
};

impl Rig {
    /// Whether the device says that it was used.
    async fn bears_witness(&self) -> bool {
        let said = self.shell().shell(&format!("ls -d {WITNESS}")).await.unwrap();
        said.exit == Some(0)
    }
}

#[tokio::test]
async fn a_device_bears_witness_of_its_use_until_it_is_wiped_in_full() {
    let mut rig = Rig::of_an_operator("true").await;
    assert!(!rig.bears_witness().await, "nobody was let in");
    assert_eq!(reply(rig.prepare(1, PAINT)).await, PREPARED);
    assert!(rig.bears_witness().await);
    assert_eq!(reply(rig.release_with(2, Reset::WipeApp)).await, Reply::Released);
    assert!(rig.bears_witness().await, "nobody vouches for it");
    assert_eq!(reply(rig.release_with(3, Reset::Full)).await, Reply::Released);
    assert!(!rig.bears_witness().await);
    assert_eq!(reply(rig.prepare(4, PAINT)).await, PREPARED);
    // Another device at the end of the same wire: its holder is let in there as well.
    rig.reboot().await;
    rig.sees("the app again", |dump| dump["foreground"] == PAINT)
        .await;
    rig.healthy().await;
    assert!(rig.bears_witness().await);
}

#[tokio::test]
async fn an_agent_that_is_put_back_with_control_hears_from_the_device_that_it_was_used() {
    let rig = Rig::of_an_operator("true").await;
    let backup = rig.folder_kept();
    assert_eq!(reply(rig.prepare(1, PAINT)).await, PREPARED);
    rig.plant().await;
    let mut rig = rig.restart_on(backup).await;
    rig.healthy().await;
    assert_eq!(reply(rig.prepare(2, PAINT)).await, PREPARED);
    assert_eq!(rig.found().await, [""; 0]);
    rig.is_as_before().await;
}

#[tokio::test]
async fn whoever_held_a_device_when_its_agent_was_copied_away_does_not_see_what_others_left_since() {
    let rig = Rig::of_an_operator("true").await;
    assert_eq!(reply(rig.prepare(1, PAINT)).await, PREPARED);
    let backup = rig.folder_kept();
    assert_eq!(reply(rig.release_with(2, Reset::Full)).await, Reply::Released);
    assert_eq!(reply(rig.prepare(3, PAINT)).await, PREPARED);
    rig.plant().await;
    let mut rig = rig.restart_on(backup).await;
    rig.fact(|fact| fact.fence == Epoch(4)).await;
    // Control was put back with it: it takes him for the holder still.
    for _ in 0..2 {
        let Reply::Refused(refusal) = reply(rig.prepare(1, PAINT)).await else {
            panic!("he was let in on what another one left")
        };
        assert_eq!(refusal.code, RefusalCode::StaleEpoch);
        rig.healthy().await;
    }
    assert_eq!(reply(rig.prepare(5, PAINT)).await, PREPARED);
    assert_eq!(rig.found().await, [""; 0], "the next one gets a wiped device");
    rig.is_as_before().await;
}

#[tokio::test]
async fn a_holder_goes_on_after_a_restart_and_after_one_on_a_copy_of_his_own_time() {
    let rig = Rig::of_an_operator("true").await;
    assert_eq!(reply(rig.prepare(1, PAINT)).await, PREPARED);
    let copy = rig.folder_kept();
    let mut rig = rig.restart_on(copy).await;
    let fact = rig.healthy().await;
    assert_eq!(fact.fence, Epoch(1));
    assert_eq!(reply(rig.prepare(1, PAINT)).await, PREPARED);
}

#[tokio::test]
async fn an_agent_that_lost_its_folder_takes_no_baseline_of_a_device_that_was_used() {
    let rig = Rig::of_an_operator("true").await;
    assert_eq!(reply(rig.prepare(1, PAINT)).await, PREPARED);
    rig.plant().await;
    let mut rig = rig.restart_on(tempfile::tempdir().unwrap()).await;
    rig.healthy().await;
    // The fence is above whoever the device names.
    assert_eq!(rig.fact(|fact| fact.fence == Epoch(2)).await.fence, Epoch(2));
    let refused = why(reply(rig.prepare(2, PAINT)).await);
    assert!(
        refused.contains("baseline") && refused.contains(WITNESS),
        "{refused}"
    );
    let refused = why(reply(rig.release_with(3, Reset::Full)).await);
    assert!(refused.contains("baseline"), "{refused}");
    // Its operator has cleaned it by hand and says so.
    rig.shell().shell(&format!("rm {WITNESS}")).await.unwrap();
    let mut rig = rig.restart_on(tempfile::tempdir().unwrap()).await;
    rig.healthy().await;
    assert_eq!(reply(rig.release_with(3, Reset::Full)).await, Reply::Released);
}

#[tokio::test]
async fn nobody_hides_something_under_the_name_of_the_witness() {
    let rig = Rig::of_an_operator("true").await;
    assert_eq!(reply(rig.prepare(1, PAINT)).await, PREPARED);
    let hide = format!("rm {WITNESS}; mkdir -p {WITNESS}; echo CANARY > {WITNESS}/file");
    rig.shell().shell(&hide).await.unwrap();
    assert_eq!(reply(rig.release_with(2, Reset::Full)).await, Reply::Released);
    assert_eq!(rig.found().await, [""; 0]);
}
