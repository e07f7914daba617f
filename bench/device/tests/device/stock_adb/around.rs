//! What is around and inside the device, through the stock client: its log, and an emulator's console with `adb emu`.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::ChildStdout;

use super::rig::{DEADLINE, Rig, text};

/// Reads until a line holds this.
async fn line_with(lines: &mut Lines<BufReader<ChildStdout>>, part: &str) -> String {
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(part) {
                return line;
            }
        }
        panic!("the log ended before {part}");
    };
    tokio::time::timeout(DEADLINE, reading)
        .await
        .unwrap_or_else(|_| panic!("never logged: {part}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_goes_on_while_it_is_read_and_ends_with_its_reader() {
    let rig = Rig::start().await;
    rig.adb(["shell", "log -p e -t Before 'it was read'"]).await;
    let mut logcat = rig
        .command(["-s", &rig.serial, "logcat"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(logcat.stdout.take().unwrap()).lines();
    let line = line_with(&mut lines, "it was read").await;
    assert!(line.contains(" E Before  : it was read"), "{line}");
    rig.adb(["shell", "am start -n dev.farglass.paint/.MainActivity"])
        .await;
    let line = line_with(&mut lines, "START u0").await;
    assert!(
        line.contains(" I ActivityTaskManager: ") && line.contains("dev.farglass.paint"),
        "{line}"
    );
    let android = &rig.userland.as_ref().unwrap().android;
    assert!(android.log_readers() > 0);
    logcat.kill().await.unwrap();
    let gone = async {
        while android.log_readers() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, gone)
        .await
        .expect("logcat goes on in the device");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_dumped_filtered_counted_and_cleared() {
    let rig = Rig::start().await;
    rig.adb(["logcat", "-b", "all", "-c"]).await;
    assert_eq!(rig.adb(["logcat", "-d"]).await, "");
    rig.adb(["shell", "log -t One a; log -p w -t Two b; log -t One c"])
        .await;
    let dump = |args: &'static [&'static str]| {
        let command = rig
            .command(["-s", &rig.serial, "logcat"].iter().chain(args))
            .output();
        async move {
            text(
                &tokio::time::timeout(DEADLINE, command)
                    .await
                    .unwrap()
                    .unwrap()
                    .stdout,
            )
        }
    };
    assert_eq!(
        dump(&["-d", "-v", "brief"]).await,
        "--------- beginning of main\nI/One     (  600): a\nW/Two     (  600): b\nI/One     (  600): c\n"
    );
    assert!(
        dump(&["-d", "-v", "raw", "-s", "Two:I"])
            .await
            .ends_with("main\nb\n")
    );
    assert!(dump(&["-t", "1", "-v", "raw"]).await.ends_with("main\nc\n"));
    assert_eq!(dump(&["-d", "-b", "system"]).await, "");
    assert_eq!(rig.shell("logcat -x").await.0, 1);
    rig.end().await;
}

/// A console of the rig's device; where it listens.
async fn console(rig: &Rig, token: Option<&str>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let android = rig.userland.as_ref().unwrap().android.clone();
    tokio::spawn(device::console::serve(
        listener,
        android,
        token.map(str::to_owned),
    ));
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn adb_emu_sets_what_the_device_then_tells() {
    let rig = Rig::start().await;
    let port = console(&rig, Some("secret")).await;
    // Where this client looks for the token.
    std::fs::write(rig.folder().join(".emulator_console_auth_token"), "secret").unwrap();
    let emulator = format!("emulator-{port}");
    for command in [
        &["sensor", "set", "acceleration", "1.5:-2:0.25"][..],
        &["geo", "fix", "13.405", "52.52", "34"],
        &["power", "capacity", "17"],
        &["power", "ac", "off"],
    ] {
        let args = ["-s", &emulator, "emu"]
            .into_iter()
            .chain(command.iter().copied());
        let output = tokio::time::timeout(DEADLINE, rig.command(args).output()).await;
        let output = output.expect("adb emu takes too long").unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
    assert!(
        rig.adb(["shell", "dumpsys sensorservice"])
            .await
            .contains("acceleration: 1.50, -2.00, 0.25\n")
    );
    let battery = rig.adb(["shell", "dumpsys battery"]).await;
    assert!(
        battery.contains("AC powered: false\n") && battery.contains("level: 17\n"),
        "{battery}"
    );
    assert!(
        rig.adb(["shell", "dumpsys location"])
            .await
            .contains("gps 52.520000,13.405000 alt=34.0")
    );
    rig.adb(["shell", "dumpsys battery set level 55"]).await;
    assert!(
        rig.adb(["shell", "dumpsys simulated"])
            .await
            .contains(r#""capacity":55"#)
    );
    rig.end().await;
}

/// Sends lines to the console and reads until it hangs up.
async fn talk(port: u16, lines: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    socket.write_all(lines.as_bytes()).await.unwrap();
    let mut told = String::new();
    let reading = tokio::time::timeout(DEADLINE, socket.read_to_string(&mut told));
    reading.await.expect("the console does not hang up").unwrap();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_wants_its_token_and_tells_why_a_command_is_not_followed() {
    let rig = Rig::start().await;
    let port = console(&rig, Some("secret")).await;
    let told = talk(port, "power ac off\nauth wrong\nquit\n").await;
    assert!(
        told.starts_with("Android Console: Authentication required\r\n"),
        "{told}"
    );
    assert!(told.contains("KO: unknown command, try 'help'\r\n"), "{told}");
    assert!(
        told.ends_with("KO: authentication token does not match ~/.emulator_console_auth_token\r\n"),
        "{told}"
    );
    let told = talk(
        port,
        "auth secret\r\nsensor get acceleration\r\ngeo fix 200 0\r\npower capacity 101\r\nsensor set nose 1\r\nsms send\r\nquit\r\n",
    )
    .await;
    let after: Vec<&str> = told
        .split_once("list of commands\r\nOK\r\n")
        .unwrap()
        .1
        .lines()
        .collect();
    assert_eq!(after[..2], ["acceleration = 0:9.81:0", "OK"]);
    assert_eq!(after.len(), 6, "{after:?}");
    assert!(
        after[2..].iter().all(|line| line.starts_with("KO: ")),
        "{after:?}"
    );
    // A line that never ends is nobody's command.
    assert!(!talk(port, &"x".repeat(5_000)).await.contains("KO"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_that_is_listed_can_be_asked() {
    let rig = Rig::start().await;
    let listed = rig.adb(["shell", "dumpsys -l"]).await;
    assert_eq!(rig.adb(["shell", "cmd -l"]).await, listed);
    let services: Vec<_> = listed.lines().skip(1).map(str::trim).collect();
    assert!(services.contains(&"package"), "{listed}");
    for service in services {
        let (code, out, err) = rig.shell(&format!("dumpsys {service}")).await;
        assert!(code == 0 && !out.is_empty(), "{service}: {err}");
    }
    let (code, _, err) = rig
        .shell("am start --display 7 -n dev.farglass.paint/.MainActivity")
        .await;
    assert!(code != 0 && err.contains("no app on display 7"), "{err}");
    rig.adb([
        "shell",
        "am start --display 0 -n dev.farglass.paint/.MainActivity",
    ])
    .await;
    let top = rig.adb(["shell", "dumpsys activity top"]).await;
    assert!(top.contains("dev.farglass.paint"), "{top}");
    rig.end().await;
}
