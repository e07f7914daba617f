//! The simulated device and a scrcpy client that shares no line with this project: the published npm packages of
//! web/e2e/independent-client. This test only gives them a device and a server file; what they check stands there.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use adb::daemon::Guard;
use adb::key_file::{self, Missing};
use adb::known_keys::{KnownKeys, NewKeys};
use base64::Engine as _;
use device::{Config, Traits};
use tokio::process::Command;
use tokio_util::sync::DropGuard;

use crate::phone::{plain, start};

/// Longer than the script's own deadlines together.
const DEADLINE: Duration = Duration::from_secs(150);
/// The newest version that the published packages speak.
const SERVER_VERSION: &str = "3.3.3";

/// What the versions' test speaks; its list is this one.
const VERSIONS: [&str; 12] = [
    "2.0", "2.1", "2.2", "2.3", "2.4", "2.6", "2.7", "3.0", "3.1", "3.2", "3.3.1", "3.3.3",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_published_client_pushes_the_server_starts_it_sees_and_touches() {
    let config = Config {
        width: 720,
        height: 1280,
        fps: 60,
        ..plain()
    };
    let (adb, _stop) = start(config, Traits::default()).await;

    let folder = tempfile::TempDir::new().unwrap();
    let key = key_file::load(&folder.path().join("adbkey"), "test@host", Missing::Generate).unwrap();
    let (guarded, _guarded) = guarded(KnownKeys::new(vec![key.public().clone()], NewKeys::Refuse)).await;
    let key_file = folder.path().join("key.der");
    std::fs::write(&key_file, pkcs8(&key.to_pem().unwrap())).unwrap();
    let stand_in = folder.path().join("scrcpy-server");
    std::fs::write(&stand_in, device::stand_in_server(SERVER_VERSION)).unwrap();
    let mut client = client("client.test.mjs");
    client
        .env("FARGLASS_ADB_PORT", adb.port().to_string())
        .env("FARGLASS_STAND_IN", &stand_in)
        .env("FARGLASS_GUARDED_PORT", guarded.to_string())
        .env("FARGLASS_CLIENT_KEY", &key_file);
    passes(client, 13).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_client_goes_through_a_whole_session_with_each_kind_of_server_that_it_knows() {
    let (adb, _stop) = start(plain(), Traits::default()).await;
    let folder = tempfile::TempDir::new().unwrap();
    for version in VERSIONS {
        std::fs::write(folder.path().join(version), device::stand_in_server(version)).unwrap();
    }
    let mut client = client("versions.test.mjs");
    client
        .env("FARGLASS_ADB_PORT", adb.port().to_string())
        .env("FARGLASS_STAND_INS", folder.path());
    passes(client, 2 * VERSIONS.len()).await;
}

/// Node with one file of tests.
fn client(file: &str) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/e2e/independent-client");
    assert!(
        folder.join("../../node_modules/@yume-chan/adb").exists(),
        "the client's packages are missing: run `npm ci` in web/"
    );
    let mut command = Command::new("node");
    command
        .args(["--test", "--test-reporter=spec", file])
        .current_dir(folder)
        // Nested under another runner, node would report to that one.
        .env_remove("NODE_TEST_CONTEXT")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// So many of its tests run, and all pass.
async fn passes(mut client: Command, tests: usize) {
    let output = tokio::time::timeout(DEADLINE, client.output())
        .await
        .expect("the client takes too long")
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        told.contains(&format!("pass {tests}\n")) && told.contains("skipped 0"),
        "not all of its tests ran:\n{told}"
    );
}

/// A device that lets in whoever has one of these keys; its port.
async fn guarded(known: KnownKeys) -> (u16, DropGuard) {
    let config = Config {
        name: "Farglass Guarded".to_owned(),
        ..plain()
    };
    let traits = Traits {
        guard: Guard::Keys(known),
        ..Traits::default()
    };
    let (adb, stop) = start(config, traits).await;
    (adb.port(), stop)
}

/// What stands between the lines of a PEM file.
fn pkcs8(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let text: String = lines.collect();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
