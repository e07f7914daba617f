//! The wipe on devices that are not small, open and simple: much storage, more names than fit in memory, files that no
//! tool can name, an operator's files that a person changed, and no root.
//!
//! What one person leaves in each place is in canaries.rs.

use adb::transfer::Target;
use device::{Manner, Root};
use protocol::agent::{Reply, Reset};

use crate::canaries::{AUTHORITY, canaries, why};
use crate::rig::{Phone, Rig, reply};

const PAINT: &str = "dev.farglass.paint";

impl Rig {
    async fn says(&self, command: &str) -> String {
        let said = self.shell().shell(command).await.unwrap();
        String::from_utf8(said.stdout).unwrap()
    }
}

async fn push(rig: &Phone, path: &str, content: &[u8]) {
    let target = Target {
        path,
        permissions: 0o644,
        mtime_s: 1_700_000_000,
    };
    rig.host().await.push(&target, content).await.unwrap();
}

#[tokio::test]
async fn a_device_with_large_files_is_ready_without_reading_them_and_misses_one_that_was_changed() {
    // Thirty megabytes at a second each: more than any command may take.
    let manner = Manner {
        hash_mib_takes: std::time::Duration::from_secs(1),
        ..Manner::default()
    };
    let phone = Phone::of_manner(manner).await;
    push(&phone, "/sdcard/film", &vec![7; 30 << 20]).await;
    let mut rig = Rig::on(phone).await;
    rig.healthy().await;
    assert_eq!(reply(rig.release_with(1, Reset::Full)).await, Reply::Released);
    assert!(
        rig.says("ls /sdcard").await.contains("film"),
        "it is the operator's"
    );
    rig.says("echo mine > /sdcard/film").await;
    let why = why(reply(rig.release_with(2, Reset::Full)).await);
    assert_eq!(why, "the device is not clean: 1 files missing");
}

#[tokio::test]
async fn more_names_than_any_list_holds_are_gone_after_one_wipe() {
    let mut rig = Rig::on(Phone::start().await).await;
    rig.healthy().await;
    reply(rig.prepare(1, PAINT)).await;
    // More than nine megabytes of names where one look takes in eight, and a tree below a folder of its own.
    rig.says("cmd simulated litter /sdcard/Download 55000; cmd simulated litter /sdcard/deep/er 5000")
        .await;
    assert_eq!(reply(rig.release_with(2, Reset::Full)).await, Reply::Released);
    assert_eq!(rig.says("find /sdcard/ -mindepth 1").await, "/sdcard/Download\n");
}

#[tokio::test]
async fn what_has_no_print_belongs_to_the_operator_as_long_as_it_is_there() {
    let rig = Rig::of_an_operator("echo own > '/sdcard/a\nb'").await;
    reply(rig.prepare(1, PAINT)).await;
    rig.says("echo CANARY > '/sdcard/c\nd'").await;
    assert_eq!(reply(rig.release_with(2, Reset::Full)).await, Reply::Released);
    assert_eq!(rig.says("cat '/sdcard/a\nb'; cat '/sdcard/c\nd'").await, "own\n");
}

#[tokio::test]
async fn small_files_of_the_operator_come_back_and_larger_ones_are_missed() {
    let phone = Phone::start().await;
    let (small, large): (Vec<u8>, _) = ((0..=255).cycle().take(16 * 1024).collect(), vec![1; 17 * 1024]);
    phone
        .host()
        .await
        .shell("mkdir -p /sdcard/kiosk/empty")
        .await
        .unwrap();
    push(&phone, "/sdcard/kiosk/it's small", &small).await;
    push(&phone, "/sdcard/kiosk/changed", b"old").await;
    push(&phone, "/sdcard/large", &large).await;
    push(&phone, "/sdcard/Android/data/org.app/files/x", b"the app's").await;
    let mut rig = Rig::on(phone).await;
    rig.healthy().await;
    let person =
        "rm -rf /sdcard/kiosk /sdcard/Android; mkdir -p /sdcard/kiosk/changed; echo x > /sdcard/kiosk/empty";
    rig.says(person).await;
    assert_eq!(reply(rig.release_with(1, Reset::Full)).await, Reply::Released);
    assert_eq!(rig.says("cat /sdcard/kiosk/changed").await, "old");
    assert!(rig.says("ls -l -d /sdcard/kiosk/empty").await.starts_with('d'));
    let back = rig
        .shell()
        .pull("/sdcard/kiosk/it's small", 1 << 20)
        .await
        .unwrap();
    assert!(back == small);
    rig.says("rm /sdcard/large").await;
    let why = why(reply(rig.release_with(2, Reset::Full)).await);
    assert_eq!(why, "the device is not clean: 1 files missing");
}

#[tokio::test]
async fn without_root_the_wallpaper_and_authorities_are_all_that_stays_of_what_a_person_left() {
    let phone = Phone::of_manner(Manner {
        root: Root::Locked,
        ..Manner::default()
    });
    let mut rig = Rig::of_an_operator_on(phone.await, "true").await;
    rig.plant().await;
    assert_eq!(rig.places().await.len(), canaries().len());
    assert_eq!(reply(rig.release_with(1, Reset::Full)).await, Reply::Released);
    let unseen = ["su 0 cat /data/system/users/0/wallpaper", AUTHORITY];
    assert_eq!(rig.places().await, unseen);
    rig.is_as_before().await;
    rig.healthy().await;
}
