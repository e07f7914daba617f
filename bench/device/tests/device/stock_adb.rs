//! The simulated device as Debian's own `adb` sees it: nothing here speaks the protocol but the stock client.
//!
//! Every test has its own device and its own adb server. The server listens on a Unix socket in the test's folder, so
//! that tests side by side, and an adb of the machine's user, never meet; it is ended with the test.

pub(crate) mod apk;
mod around;
mod cut;
mod guard;
mod halfway;
mod install;
mod large;
mod rig;
mod server;
mod terminal;
mod wire;

use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::ChildStdout;
use tokio_util::sync::CancellationToken;

use rig::{DEADLINE, Rig, pattern, text};

#[tokio::test(flavor = "multi_thread")]
async fn it_is_listed_with_its_product() {
    let rig = Rig::start().await;
    let list = text(&rig.adb_any(["devices", "-l"]).await.stdout);
    let line = list
        .lines()
        .find(|line| line.starts_with(&rig.serial))
        .expect(&list);
    for part in [
        " device ",
        "product:farglass_simulated",
        "model:Farglass_Test",
        "device:simulated",
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert_eq!(rig.adb(["get-state"]).await.trim(), "device");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shell_commands_tell_their_output_errors_and_exit_code() {
    let rig = Rig::start().await;
    let ok = |out: &str| (0, out.to_owned(), String::new());
    assert_eq!(rig.shell("echo 'a  b' $?; exit 0").await, ok("a  b 0\n"));
    assert_eq!(rig.shell("false || echo no && X=1; echo $X").await, ok("no\n1\n"));
    assert_eq!(rig.shell("exit 42").await.0, 42);
    assert_eq!(rig.shell("false").await.0, 1);
    let (code, out, err) = rig.shell("echo out; cat /nothing; nonsense --x").await;
    assert_eq!((code, out.as_str()), (127, "out\n"));
    assert_eq!(
        err,
        "cat: /nothing: No such file or directory\n/system/bin/sh: nonsense: inaccessible or not found\n"
    );
    assert_eq!(
        rig.shell("cat /nothing 2>/dev/null || echo gone 1>&2").await,
        (0, String::new(), "gone\n".into())
    );
    assert_eq!(rig.shell("ls | cat").await.0, 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_device_answers_truthfully_about_itself() {
    let rig = Rig::start().await;
    assert_eq!(
        rig.adb(["shell", "getprop ro.product.model; wm size"]).await,
        "Farglass Test\nPhysical size: 720x1280\n"
    );
    assert!(rig.adb(["shell", "id"]).await.starts_with("uid=2000(shell)"));
    assert!(
        rig.adb(["shell", "pm list packages"])
            .await
            .contains("package:dev.farglass.echo\n")
    );
    rig.adb(["shell", "am start -W -n dev.farglass.echo/.MainActivity"])
        .await;
    rig.adb(["shell", "input text 'hello%sthere'; input keyevent KEYCODE_DEL"])
        .await;
    let dump = rig.adb(["shell", "dumpsys simulated"]).await;
    assert!(
        dump.contains(r#""foreground":"dev.farglass.echo""#) && dump.contains(r#""text":"hello ther""#),
        "{dump}"
    );
    assert!(
        rig.adb(["shell", "dumpsys window"])
            .await
            .contains(" dev.farglass.echo/dev.farglass.echo.MainActivity}")
    );
    assert_eq!(
        rig.adb(["shell", "pm clear dev.farglass.echo"]).await,
        "Success\n"
    );
    let dump = rig.adb(["shell", "dumpsys simulated"]).await;
    assert!(
        dump.contains(r#""text":"""#) && dump.contains(r#""foreground":"dev.farglass.launcher""#),
        "{dump}"
    );
    let (code, _, err) = rig.shell("am start -n no.such/.MainActivity").await;
    assert_eq!((code, err.contains("does not exist")), (1, true), "{err}");
    rig.adb(["shell", "settings put system user_rotation 1"]).await;
    assert_eq!(
        rig.adb(["shell", "settings get system user_rotation"]).await,
        "1\n"
    );
    assert!(
        rig.adb(["shell", "dumpsys simulated"])
            .await
            .contains(r#""rotation":1"#)
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_survive_the_way_there_and_back() {
    let rig = Rig::start().await;
    let content = pattern(1, 9_000_000);
    std::fs::write(rig.path("big"), &content).unwrap();
    rig.adb(["push", &rig.path("big"), "/data/local/tmp/"]).await;
    rig.adb(["push", &rig.path("big"), "/sdcard/new/deep/copy"]).await;
    for from in ["/data/local/tmp/big", "/sdcard/new/deep/copy"] {
        rig.adb(["pull", from, &rig.path("back")]).await;
        assert!(std::fs::read(rig.path("back")).unwrap() == content, "{from}");
    }
    let tree = rig.folder().join("tree/inner");
    std::fs::create_dir_all(&tree).unwrap();
    std::fs::write(tree.join("leaf"), "x").unwrap();
    rig.adb(["push", &rig.path("tree"), "/sdcard/"]).await;
    assert_eq!(
        rig.adb(["shell", "cat /sdcard/tree/inner/leaf; ls /sdcard"])
            .await,
        "xDownload\nnew\ntree\n"
    );
    rig.adb(["pull", "/sdcard/tree", &rig.path("tree-back")]).await;
    assert_eq!(std::fs::read(rig.path("tree-back/inner/leaf")).unwrap(), b"x");
    rig.adb(["shell", "rm -r /sdcard/tree"]).await;
    let missing = rig
        .adb_any(["-s", &rig.serial, "pull", "/sdcard/tree", &rig.path("x")])
        .await;
    assert!(!missing.status.success(), "{missing:?}");
    let denied = rig
        .adb_any(["-s", &rig.serial, "push", &rig.path("big"), "/system/big"])
        .await;
    assert!(
        !denied.status.success() && text(&denied.stdout).contains("Permission denied"),
        "{denied:?}"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forwards_reach_programs_that_listen_in_the_device() {
    let rig = Rig::start().await;
    let mut program = rig
        .command(["-s", &rig.serial, "shell", "nc -l -p 7000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let port = rig.adb(["forward", "tcp:0", "tcp:7000"]).await;
    let data = pattern(2, 300_000);
    let mut from_program = program.stdout.take().unwrap();
    let mut socket = connected(&port, &mut from_program).await;
    let sending = async {
        socket.write_all(&data).await.unwrap();
        let mut answer = [0; 6];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
    };
    let receiving = async {
        let mut got = vec![0; data.len()];
        from_program.read_exact(&mut got).await.unwrap();
        assert!(got == data);
        program
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"answer")
            .await
            .unwrap();
    };
    tokio::time::timeout(DEADLINE, async { tokio::join!(sending, receiving) })
        .await
        .expect("no data");
    drop(socket);
    let status = tokio::time::timeout(DEADLINE, program.wait())
        .await
        .expect("nc goes on")
        .unwrap();
    assert!(status.success());
    rig.adb(["forward", "--remove-all"]).await;
    rig.end().await;
}

/// Connects until a program in the device gets a greeting: adb's server accepts in any case, and hangs up when nobody
/// listens behind the forward.
async fn connected(port: &str, program: &mut ChildStdout) -> TcpStream {
    let connecting = async {
        loop {
            let mut socket = TcpStream::connect(format!("127.0.0.1:{}", port.trim()))
                .await
                .unwrap();
            // Written into a connection that is hung up already, it fails, and the next attempt follows.
            if socket.write_all(b"hello").await.is_err() {
                continue;
            }
            let (mut greeting, mut end) = ([0; 5], [0]);
            tokio::select! {
                got = program.read_exact(&mut greeting) => {
                    got.unwrap();
                    assert_eq!(&greeting, b"hello");
                    return socket;
                }
                _ = socket.read(&mut end) => {}
            }
        }
    };
    tokio::time::timeout(DEADLINE, connecting)
        .await
        .expect("nobody listens behind the forward")
}

#[tokio::test(flavor = "multi_thread")]
async fn reverses_lead_programs_of_the_device_to_the_host() {
    let rig = Rig::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    rig.adb(["reverse", "tcp:7100", &format!("tcp:{port}")]).await;
    rig.adb(["reverse", "localabstract:seven", &format!("tcp:{port}")])
        .await;
    let list = rig.adb(["reverse", "--list"]).await;
    assert!(
        list.contains(&format!(" tcp:7100 tcp:{port}")) && list.contains(" localabstract:seven "),
        "{list}"
    );
    for command in ["nc localhost 7100", "nc -U @seven"] {
        let data = pattern(3, 500_000);
        let serving = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(&data).await.unwrap();
        };
        let mut program = rig
            .command(["-s", &rig.serial, "shell", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Its input stays open: adb has no half-close, so the end of the input would end the answer too.
        let input = program.stdin.take();
        let both = async { tokio::join!(program.wait_with_output(), serving) };
        let (output, ()) = tokio::time::timeout(DEADLINE, both).await.expect("no data");
        assert!(output.unwrap().stdout == data, "{command}");
        drop(input);
    }
    rig.adb(["reverse", "--remove", "tcp:7100"]).await;
    assert_eq!(
        rig.shell("nc localhost 7100").await,
        (1, String::new(), "nc: Connection refused\n".into())
    );
    rig.adb(["reverse", "--remove-all"]).await;
    assert_eq!(rig.adb(["reverse", "--list"]).await.trim(), "");
    let unknown = rig
        .adb_any(["-s", &rig.serial, "reverse", "--remove", "tcp:1"])
        .await;
    assert!(!unknown.status.success());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_port_is_given_out_on_request() {
    let rig = Rig::start().await;
    let given: u16 = rig
        .adb(["reverse", "tcp:0", "tcp:9"])
        .await
        .trim()
        .parse()
        .unwrap();
    assert!(
        rig.adb(["reverse", "--list"])
            .await
            .contains(&format!(" tcp:{given} tcp:9"))
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_and_raw_output_pass_unchanged() {
    let rig = Rig::start().await;
    let data = pattern(4, 1_000_000);
    let mut cat = rig
        .command(["-s", &rig.serial, "shell", "cat > /sdcard/typed"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = cat.stdin.take().unwrap();
    stdin.write_all(&data).await.unwrap();
    drop(stdin);
    tokio::time::timeout(DEADLINE, cat.wait())
        .await
        .expect("cat goes on")
        .unwrap();
    let running = rig
        .command(["-s", &rig.serial, "exec-out", "cat /sdcard/typed"])
        .output();
    let output = tokio::time::timeout(DEADLINE, running)
        .await
        .expect("no output")
        .unwrap();
    assert!(output.stdout == data);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_without_a_command_reads_lines() {
    let rig = Rig::start().await;
    let mut shell = rig
        .command(["-s", &rig.serial, "shell"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(b"X=7\necho x$X\nexit 5\necho never\n")
        .await
        .unwrap();
    let output = tokio::time::timeout(DEADLINE, shell.wait_with_output())
        .await
        .expect("the shell goes on")
        .unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(5), "x7\n".into())
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_adb_servers_use_one_device_at_once() {
    let first = Rig::start().await;
    let second = Rig::over(first.serial.clone(), CancellationToken::new().drop_guard()).await;
    second.adb_any(["connect", &second.serial]).await;
    first.adb(["shell", "echo shared > /sdcard/note"]).await;
    assert_eq!(second.adb(["shell", "cat /sdcard/note"]).await, "shared\n");
    second.end().await;
    assert_eq!(first.adb(["shell", "cat /sdcard/note"]).await, "shared\n");
    first.end().await;
}
