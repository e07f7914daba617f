//! A device that asks for a key, and the stock client with a key of its own in the test's folder.

use adb::daemon::Guard;
use adb::key::PublicKey;
use adb::key_file::{self, Missing};
use adb::known_keys::{KnownKeys, NewKeys};

use super::rig::{Rig, text};

fn guarded(known: &KnownKeys) -> Guard {
    Guard::Keys(known.clone())
}

/// The key that stock adb has made for itself.
fn key_of(rig: &Rig) -> PublicKey {
    let file = rig.folder().join(".android/adbkey.pub");
    PublicKey::parse(&std::fs::read(file).unwrap()).unwrap()
}

/// What `adb devices` says of the device, once it says something else than that it is connecting.
async fn state(rig: &Rig) -> String {
    let finding = async {
        loop {
            let list = text(&rig.adb_any(["devices"]).await.stdout);
            let line = list
                .lines()
                .find_map(|line| line.strip_prefix(&rig.serial))
                .map(str::trim);
            match line {
                Some("connecting" | "authorizing") => tokio::task::yield_now().await,
                other => return other.unwrap_or("unlisted").to_owned(),
            }
        }
    };
    tokio::time::timeout(super::DEADLINE, finding)
        .await
        .expect("adb stays undecided")
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_known_key_stock_adb_is_let_in_by_its_signature() {
    let known = KnownKeys::new(Vec::new(), NewKeys::Accept);
    let rig = Rig::with(guarded(&known)).await;
    // The first time it has to offer its key. What it prints depends on when its server looks at the state.
    rig.adb_any(["connect", &rig.serial]).await;
    rig.adb(["wait-for-device"]).await;
    assert_eq!(known.all(), [key_of(&rig)]);
    rig.adb_any(["disconnect", &rig.serial]).await;
    // From then on its signature does.
    let second = text(&rig.adb_any(["connect", &rig.serial]).await.stdout);
    assert!(second.starts_with("connected to"), "{second}");
    assert_eq!(rig.adb(["shell", "echo in"]).await, "in\n");
    assert_eq!(known.all().len(), 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_unknown_key_stock_adb_is_refused() {
    let known = KnownKeys::new(Vec::new(), NewKeys::Refuse);
    let rig = Rig::with(guarded(&known)).await;
    // What `connect` prints proves nothing here: adb's server looks at the state of the connection a moment after the
    // refusal has woken it, and when the device has hung up by then it finds "offline", which it calls connected.
    rig.adb_any(["connect", &rig.serial]).await;
    assert_ne!(state(&rig).await, "device");
    let shell = rig.adb_any(["-s", &rig.serial, "shell", "echo in"]).await;
    assert!(!shell.status.success() && shell.stdout.is_empty(), "{shell:?}");
    assert_eq!(known.all(), []);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_stock_adb_serves_our_host_and_ours_serves_stock_adb() {
    let rig = Rig::start().await;
    let path = rig.folder().join(".android/adbkey");
    let theirs = key_file::load(&path, "test@host", Missing::Fail).unwrap();
    let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
    let blob = public.split_whitespace().next().unwrap();
    assert_eq!(theirs.public().to_string(), format!("{blob} test@host"));
    rig.end().await;

    let known = KnownKeys::new(Vec::new(), NewKeys::Refuse);
    let rig = Rig::prepared(guarded(&known), |folder| {
        let path = folder.join(".android/adbkey");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let ours = key_file::load(&path, "test@host", Missing::Generate).unwrap();
        known.remember(ours.public());
    })
    .await;
    let told = text(&rig.adb_any(["connect", &rig.serial]).await.stdout);
    assert!(told.starts_with("connected to"), "{told}");
    assert_eq!(rig.adb(["shell", "echo in"]).await, "in\n");
    rig.end().await;
}
