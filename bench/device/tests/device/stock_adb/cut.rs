//! The connection ends in the middle of each thing that the stock client does: the client fails and says so, the device
//! lets go of what it held for it, and the next connection finds everything as it should be.
//!
//! The cut is `adb disconnect`, at a moment when the device is known to be in the middle of it: it waits for more than ever
//! comes, or the wire holds the rest of it back.

use std::process::Stdio;

use adb::daemon::Guard;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::apk::{App, Packing, apk};
use super::rig::{DEADLINE, Rig, pattern, text};
use super::wire::{Direction, Wire};

async fn connect_again(rig: &Rig) {
    let told = text(&rig.adb_any(["connect", &rig.serial]).await.stdout);
    assert!(told.starts_with("connected to"), "{told}");
    assert_eq!(rig.adb(["shell", "echo well"]).await, "well\n");
}

/// Waits until the device says so of itself.
async fn until(rig: &Rig, what: &str, holds: impl Fn(&device::Userland) -> bool) {
    let userland = rig.userland.as_ref().unwrap();
    let waiting = async {
        while !holds(userland) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

/// The client has ended; whether it calls that a success, and what it printed since.
async fn ended(client: Child) -> (bool, String) {
    let output = tokio::time::timeout(DEADLINE, client.wait_with_output())
        .await
        .expect("adb goes on")
        .unwrap();
    (
        output.status.success(),
        text(&output.stdout) + &text(&output.stderr),
    )
}

fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_command_it_ends_with_its_sockets() {
    let rig = Rig::start().await;
    let mut shell =
        spawn(&mut rig.command(["-s", &rig.serial, "shell", "echo up; nc -l -p 7400; echo over"]));
    let mut up = [0; 3];
    shell.stdout.as_mut().unwrap().read_exact(&mut up).await.unwrap();
    rig.disconnect().await;
    // This client takes a shell without an exit code for one with 0; but it has nothing to show for it.
    assert_eq!(ended(shell).await, (true, String::new()));
    until(&rig, "the port is free", |userland| {
        userland.ports.listen("7400").is_ok()
    })
    .await;
    connect_again(&rig).await;
    rig.end().await;
}

/// A device behind a wire, connected.
async fn wired() -> (Rig, Wire) {
    let mut rig = Rig::with(Guard::Open).await;
    let wire = Wire::before(&mut rig).await;
    connect_again(&rig).await;
    (rig, wire)
}

/// What is pushed and pulled when the cut comes, in bytes.
const LARGE: usize = 24 << 20;
/// How much of it passes before.
const PART: usize = 4 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_push_nothing_is_left_behind() {
    let (rig, wire) = wired().await;
    let data = pattern(1, 8_000_000);
    std::fs::write(rig.path("whole"), &data).unwrap();
    rig.adb(["push", &rig.path("whole"), "/sdcard/file"]).await;
    std::fs::write(rig.path("large"), vec![0; LARGE]).unwrap();
    wire.hold_after(Direction::ToDevice, PART);
    let client = spawn(&mut rig.command(["-s", &rig.serial, "push", &rig.path("large"), "/sdcard/file"]));
    until(&rig, "the push begins", |userland| {
        userland.files.room_taken() > data.len()
    })
    .await;
    rig.disconnect().await;
    let (success, told) = ended(client).await;
    assert!(!success && told.contains("failed"), "{told}");
    wire.go_on();
    connect_again(&rig).await;
    // The old content is still there, and the new one does not count.
    rig.adb(["pull", "/sdcard/file", &rig.path("back")]).await;
    assert!(std::fs::read(rig.path("back")).unwrap() == data);
    until(&rig, "the room is free", |userland| {
        userland.files.room_taken() == data.len()
    })
    .await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_pull_the_client_says_so() {
    let (rig, wire) = wired().await;
    std::fs::write(rig.path("large"), vec![0; LARGE]).unwrap();
    rig.adb(["push", &rig.path("large"), "/sdcard/large"]).await;
    wire.hold_after(Direction::ToHost, PART);
    let client = spawn(&mut rig.command(["-s", &rig.serial, "pull", "/sdcard/large", &rig.path("part")]));
    let part = rig.folder().join("part");
    until(&rig, "the pull begins", |_| {
        std::fs::metadata(&part).is_ok_and(|part| part.len() > 0)
    })
    .await;
    rig.disconnect().await;
    let (success, told) = ended(client).await;
    assert!(!success && !told.contains("1 file pulled"), "{told}");
    wire.go_on();
    connect_again(&rig).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_an_install_nothing_is_installed() {
    let rig = Rig::start().await;
    let app = App {
        package: "org.example.torn",
        version_code: 1,
        version_name: "1",
        label: "Torn",
    };
    // An install that is torn for certain: the device waits for more than ever comes.
    let whole = apk(app, Packing::Tight, &pattern(1, 1_000_000));
    let asked = format!("cmd package install -S {}", whole.len() + 1);
    let mut client = spawn(&mut rig.command(["-s", &rig.serial, "shell", &asked]));
    client.stdin.as_mut().unwrap().write_all(&whole).await.unwrap();
    rig.disconnect().await;
    assert_eq!(
        ended(client).await,
        (true, String::new()),
        "no Success, and no Failure"
    );
    connect_again(&rig).await;
    assert!(
        !rig.adb(["shell", "pm list packages"])
            .await
            .contains("org.example.torn")
    );
    std::fs::write(rig.path("app.apk"), &whole).unwrap();
    let again = rig
        .adb_any(["-s", &rig.serial, "install", &rig.path("app.apk")])
        .await;
    assert!(again.status.success(), "{again:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_and_a_reverse_in_use_are_closed_on_both_sides() {
    let rig = Rig::start().await;
    let userland = rig.userland.as_ref().unwrap();
    let mut inside = userland.ports.listen("7500").unwrap();
    let port = rig.adb(["forward", "tcp:0", "tcp:7500"]).await;
    let outside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("tcp:{}", outside.local_addr().unwrap().port());
    rig.adb(["reverse", "localabstract:torn", &to]).await;

    let mut near = TcpStream::connect(format!("127.0.0.1:{}", port.trim()))
        .await
        .unwrap();
    let mut far = tokio::time::timeout(DEADLINE, inside.accept()).await.unwrap();
    let mut program = userland.sockets.connect("torn").unwrap();
    let (mut host, _) = tokio::time::timeout(DEADLINE, outside.accept())
        .await
        .unwrap()
        .unwrap();
    near.write_all(b"x").await.unwrap();
    program.write_all(b"y").await.unwrap();
    assert_eq!(
        (far.read_u8().await.unwrap(), host.read_u8().await.unwrap()),
        (b'x', b'y')
    );
    rig.disconnect().await;
    let ends = async {
        let mut byte = [0];
        // An end, or a reset: either way nothing comes any more.
        for over in [
            far.read(&mut byte).await,
            program.read(&mut byte).await,
            near.read(&mut byte).await,
            host.read(&mut byte).await,
        ] {
            assert!(matches!(over, Ok(0) | Err(_)), "{over:?}");
        }
    };
    tokio::time::timeout(DEADLINE, ends)
        .await
        .expect("a socket stays open");
    until(&rig, "the name is free", |userland| {
        userland.sockets.listen("torn").is_ok()
    })
    .await;
    connect_again(&rig).await;
    assert_eq!(rig.adb(["reverse", "--list"]).await.trim(), "");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_raw_output_the_client_ends() {
    let rig = Rig::start().await;
    let mut client = spawn(&mut rig.command(["-s", &rig.serial, "exec-out", "screencap -p; cat"]));
    let mut first = [0; 8];
    client
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .await
        .unwrap();
    assert_eq!(&first, b"\x89PNG\r\n\x1a\n");
    rig.disconnect().await;
    // Raw output has no exit code, so there is nothing to fail with; but it ends.
    ended(client).await;
    connect_again(&rig).await;
    rig.end().await;
}
