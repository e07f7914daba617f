//! `farglass doctor` as a person or a script runs it: a program that is told what to look at, prints what it found with
//! a cure for each thing that is not well, and says by its exit code whether something fails.
//!
//! ```text
//!   farglass device --encoder missing --boot never ◄─┐
//!   farglass device --fault audio-refused          ◄─┴─ farglass doctor [--json] … ──► stdout · stderr · exit code
//! ```
//!
//! What each check makes of what it finds is the matter of its own tests. What the machine that this runs on brings along
//! is asked of none: Docker's socket is a path at which nothing is, and a kernel without KVM or binder is only warned of.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod running;

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use running::{DEADLINE, Device, farglass};

/// The doctor, in a folder with a scrcpy server and without Docker.
struct Doctor {
    folder: TempDir,
}

impl Doctor {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("server"), device::stand_in_server("4.1")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where there is no Docker.
    fn docker(&self) -> PathBuf {
        self.path("docker.sock")
    }

    async fn run(&self, args: &[&str]) -> Output {
        let mut command = farglass("doctor");
        command
            .arg("--docker-socket")
            .arg(self.docker())
            .arg("--scrcpy-server")
            .arg(self.path("server"))
            .args(["--scrcpy-version", "4.1"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let ended = tokio::time::timeout(DEADLINE, command.output()).await;
        ended.expect("the doctor does not end").unwrap()
    }

    /// With `--json`, where something fails: the object, after a look at what is true of every such object.
    async fn report(&self, args: &[&str]) -> Report {
        let output = self.run(&[&["--json"], args].concat()).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("one object and nothing else");
        assert_eq!(report["verdict"], "fails");
        let checks = report["checks"].as_array().unwrap();
        let failures = checks.iter().filter(|check| check["verdict"] == "fails").count();
        let last = format!("farglass: {failures} of {} checks fail", checks.len());
        assert_eq!(told.lines().last(), Some(last.as_str()), "{told}");
        for check in checks {
            let has_cure = check["cure"].as_str().is_some_and(|cure| !cure.is_empty());
            assert_eq!(has_cure, check["verdict"] != "ok", "{check}");
        }
        Report(report)
    }
}

/// What the doctor printed as JSON.
struct Report(Value);

impl Report {
    /// The verdict of a check on this, and what was found.
    fn check(&self, about: &str, name: &str) -> (&str, &str) {
        let all = self.0["checks"].as_array().unwrap();
        let mut found = all
            .iter()
            .filter(|check| check["about"] == about && check["name"] == name);
        let (Some(check), None) = (found.next(), found.next()) else {
            panic!("not one {name} about {about}: {}", self.0);
        };
        let text = |name: &str| check[name].as_str().unwrap();
        (text("verdict"), text("found"))
    }

    fn verdict(&self, about: &str, name: &str) -> &str {
        self.check(about, name).0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_device_has_verdicts_of_its_own_with_cures_and_the_exit_code_is_1_when_one_fails() {
    let unfit = Device::start(&["--encoder", "missing", "--boot", "never"]).await;
    let silent = Device::start(&["--fault", "audio-refused"]).await;
    let (unfit_at, silent_at) = (unfit.address.to_string(), silent.address.to_string());
    let told = ["--device", &unfit_at, "--device", &silent_at];
    let report = Doctor::new().report(&told).await;

    assert_eq!(report.verdict(&unfit_at, "adb"), "ok");
    assert_eq!(report.verdict(&unfit_at, "booted"), "warning");
    let encoders = report.check(&unfit_at, "encoders");
    assert_eq!(encoders, ("fails", "the device has no encoder for H.264"));

    assert_eq!(report.verdict(&silent_at, "booted"), "ok");
    assert_eq!(report.verdict(&silent_at, "scrcpy server"), "warning");
    assert_eq!(report.verdict(&silent_at, "encoders"), "warning");
    let (verdict, found) = report.check(&silent_at, "audio");
    assert!(verdict == "warning" && found.contains("does not let"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_only_warnings_the_exit_code_is_0_and_a_person_reads_them_device_by_device() {
    let silent = Device::start(&["--fault", "audio-refused"]).await;
    let at = silent.address.to_string();
    let output = Doctor::new().run(&["--device", &at]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let mut of_device = text.lines().skip_while(|line| *line != at).skip(1);
    let audio = of_device.find(|line| line.starts_with("  warning audio "));
    assert!(audio.is_some(), "{text}");
    let cure = of_device.next().unwrap_or_default();
    assert!(cure.trim_start().starts_with("Take Android 11"), "{text}");
}

#[tokio::test]
async fn what_it_is_told_of_the_host_and_of_control_is_where_it_looks() {
    // Held here, so that it is free for nobody; and whoever asks it hears nothing.
    let mute = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = mute.local_addr().unwrap().to_string();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = format!("http://{}", listener.local_addr().unwrap());
    // Takes every connection and says nothing.
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let doctor = Doctor::new();
    let (docker, key) = (doctor.docker(), doctor.path("adbkey"));
    let told = [
        "--media",
        &taken,
        "--adb-key",
        text(&key),
        "--control",
        &control,
        "--link",
        &taken,
    ];
    let report = doctor.report(&told).await;
    drop(mute);

    let looked = [
        ("this host", "docker", "warning", text(&docker)),
        ("this host", "media port", "fails", &taken),
        ("this host", "adb key", "fails", text(&key)),
        ("control", "control", "fails", &control),
        ("control", "control link", "fails", &taken),
    ];
    for (about, name, verdict, place) in looked {
        let (is, found) = report.check(about, name);
        assert!(is == verdict && found.contains(place), "{name}: {is}: {found}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
