//! The simulated device and a scrcpy client that shares no line with this project: the published npm packages of
//! web/e2e/independent-client. This test only gives them a device and a server file; what they check stands there.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// Longer than the script's own deadlines together.
const DEADLINE: Duration = Duration::from_secs(150);
/// The newest version that the published packages speak.
const SERVER_VERSION: &str = "3.3.3";

#[tokio::test(flavor = "multi_thread")]
async fn a_published_client_pushes_the_server_starts_it_sees_and_touches() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let adb = listener.local_addr().unwrap();
    let config = device::Config {
        adb,
        name: "Farglass Test".to_owned(),
        width: 720,
        height: 1280,
        fps: 60,
        boot: device::Boot::default(),
    };
    let stop = CancellationToken::new();
    let device = tokio::spawn(device::serve(listener, config, stop.clone()));

    let folder = tempfile::TempDir::new().unwrap();
    let stand_in = folder.path().join("scrcpy-server");
    std::fs::write(&stand_in, device::stand_in_server(SERVER_VERSION)).unwrap();
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/e2e/independent-client");
    assert!(
        client.join("../../node_modules/@yume-chan/adb").exists(),
        "the client's packages are missing: run `npm ci` in web/"
    );
    let running = Command::new("node")
        .args(["--test", "--test-reporter=spec"])
        .current_dir(&client)
        .env("FARGLASS_ADB_PORT", adb.port().to_string())
        .env("FARGLASS_STAND_IN", &stand_in)
        // Nested under another runner, node would report to that one.
        .env_remove("NODE_TEST_CONTEXT")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(DEADLINE, running)
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
        told.contains("pass 6") && told.contains("skipped 0"),
        "not all of its tests ran:\n{told}"
    );

    stop.cancel();
    device.await.unwrap().unwrap();
}
