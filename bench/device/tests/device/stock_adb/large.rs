//! Much at once through the stock client: long output, large files by their hash with the memory that they cost,
//! directories of many files, a picture, and a terminal's Ctrl-C.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rig::{DEADLINE, Rig, pattern, text};

const MIB: u32 = 1024 * 1024;

/// Resident memory of this process, which is the device's, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_mebibytes_go_there_and_back_by_their_hash_and_are_held_once() {
    let rig = Rig::start().await;
    // Written and hashed in pieces, so that the memory that is measured is the device's.
    let mut hash = Sha256::new();
    let mut file = std::fs::File::create(rig.path("big")).unwrap();
    for seed in 0..25 {
        let piece = pattern(seed, 4 * MIB);
        hash.update(&piece);
        std::io::Write::write_all(&mut file, &piece).unwrap();
    }
    drop(file);
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let before = resident();
    rig.adb(["push", &rig.path("big"), "/sdcard/big"]).await;
    let stored = resident().saturating_sub(before);
    assert!(stored < 150 * u64::from(MIB), "the push costs {stored} bytes");
    let told = rig.adb(["shell", "sha256sum /sdcard/big"]).await;
    assert_eq!(told, format!("{hash}  /sdcard/big\n"));
    rig.adb(["pull", "/sdcard/big", &rig.path("back")]).await;
    let read = resident().saturating_sub(before);
    assert!(read < 170 * u64::from(MIB), "push and pull cost {read} bytes");
    let back = tokio::process::Command::new("sha256sum")
        .arg(rig.path("back"))
        .output()
        .await
        .unwrap();
    assert!(text(&back.stdout).starts_with(&hash));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_megabytes_of_output_come_byte_by_byte() {
    let rig = Rig::start().await;
    let data = pattern(5, 10_000_000);
    std::fs::write(rig.path("data"), &data).unwrap();
    rig.adb(["push", &rig.path("data"), "/sdcard/data"]).await;
    for how in ["shell", "exec-out"] {
        let output = rig
            .adb_any(["-s", &rig.serial, how, "cat /sdcard/data; exit 3"])
            .await;
        assert!(output.stdout == data, "{how}: {} bytes", output.stdout.len());
        assert!(output.stderr.is_empty(), "{how}");
        // Without frames there is no exit code.
        let code = if how == "shell" { 3 } else { 0 };
        assert_eq!(output.status.code(), Some(code), "{how}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_many_files_comes_back_as_it_went() {
    let rig = Rig::start().await;
    let leaf = |n: u32| format!("a{}/b{}/leaf {n}", n % 3, n % 7);
    for n in 0..60 {
        let path = rig.folder().join("tree").join(leaf(n));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, pattern(n, n * 1_000)).unwrap();
    }
    rig.adb(["push", &rig.path("tree"), "/sdcard/tree"]).await;
    rig.adb(["pull", "/sdcard/tree", &rig.path("back")]).await;
    for n in 0..60 {
        let back = std::fs::read(rig.folder().join("back").join(leaf(n))).unwrap();
        assert!(back == pattern(n, n * 1_000), "{}", leaf(n));
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screenshot_is_a_picture_of_the_displays_size() {
    let rig = Rig::start().await;
    let output = rig.adb_any(["-s", &rig.serial, "exec-out", "screencap -p"]).await;
    let decoder = png::Decoder::new(std::io::Cursor::new(output.stdout));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height), (720, 1280));
    assert!(pixels.iter().any(|&byte| byte != pixels[0]), "one colour only");
    rig.end().await;
}

/// A command that says that it runs, and then listens at a port of the device.
const LISTENS: &str = "echo up; nc -l -p 7300";

/// Whether somebody in the device listens at the command's port; it takes no connection to find out.
fn listens(rig: &Rig) -> bool {
    let ports = &rig.userland.as_ref().unwrap().ports;
    ports.listen("7300").is_err()
}

async fn until_nobody_listens(rig: &Rig) {
    let ended = async {
        while listens(rig) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, ended)
        .await
        .expect("the remote command goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_to_the_client_ends_the_remote_command() {
    let rig = Rig::start().await;
    let mut shell = rig
        .command(["-s", &rig.serial, "shell", LISTENS])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut up = [0; 3];
    shell.stdout.as_mut().unwrap().read_exact(&mut up).await.unwrap();
    let id = i32::try_from(shell.id().unwrap()).unwrap();
    kill(Pid::from_raw(id), Signal::SIGINT).unwrap();
    let status = tokio::time::timeout(DEADLINE, shell.wait()).await;
    assert!(!status.expect("adb goes on").unwrap().success());
    until_nobody_listens(&rig).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_on_a_terminal_ends_the_command_and_leaves_the_shell() {
    let rig = Rig::start().await;
    // Twice -t: a terminal on the device although there is none here.
    let mut shell = rig
        .command(["-s", &rig.serial, "shell", "-t", "-t"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = shell.stdin.take().unwrap();
    let mut screen = shell.stdout.take().unwrap();
    let mut seen = String::new();
    let mut until = async |wanted: &str| {
        while !seen.contains(wanted) {
            let mut piece = [0; 256];
            let length = screen.read(&mut piece).await.unwrap();
            assert_ne!(length, 0, "the shell ended: {seen}");
            seen.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    };
    let talking = async {
        keys.write_all(format!("{LISTENS}\n").as_bytes()).await.unwrap();
        until("up\r\n").await;
        keys.write_all(b"\x03").await.unwrap();
        until("^C\r\n").await;
        keys.write_all(b"echo code $?\n").await.unwrap();
        until("code 130\r\n").await;
        keys.write_all(b"exit 4\n").await.unwrap();
    };
    tokio::time::timeout(DEADLINE, talking).await.expect("no answer");
    let status = tokio::time::timeout(DEADLINE, shell.wait()).await;
    assert_eq!(status.expect("the shell goes on").unwrap().code(), Some(4));
    until_nobody_listens(&rig).await;
    rig.end().await;
}
