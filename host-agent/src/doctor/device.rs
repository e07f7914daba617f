//! What a device brings along: asked over adb, and by running the scrcpy server there to list its encoders.
//!
//! ```text
//!   adb ─► booted ─► android ─► scrcpy server (file) ─► pushed ─► encoders (list_encoders) ─► audio (audio.rs) ─► removed
//!    └─ fails: nothing more can be asked                 └─ no file: audio by the API level alone
//! ```
//!
//! What a file is named says nothing about the server inside, and its sum only about releases; the server itself
//! refuses to start for another version than its own, so that is asked on the device. Nothing is filmed.

use std::time::Duration;

use adb::host::Output;
use adb::key_file::Missing;
use adb::transfer::Target;
use adb::{HandshakeError, Host};
use bytes::Bytes;
use scrcpy::{ServerOptions, ServerVersion};
use sha2::{Digest as _, Sha256};

use super::servers::known_version;
use super::{Check, Verdict, audio};
use crate::probe::property;
use crate::way::{Way, WayError};

/// How long a device may take for one answer; a cold virtual machine needs some seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The oldest Android that the scrcpy server runs on: 5.0.
const SDK_MIN: u32 = 21;
/// Where the server's file goes.
const JAR: &str = "/data/local/tmp/farglass-doctor.jar";
/// Last words of a server that are shown.
const LAST_WORDS_CHARS_MAX: usize = 300;

/// A scrcpy server and what it is said to be.
#[derive(Debug, Clone)]
pub struct ServerFile {
    /// The file.
    pub bytes: Bytes,
    /// The version that the agent will ask for.
    pub version: ServerVersion,
}

/// Looks at a device, and with a server at whether that server can film it.
pub async fn device(way: &Way, server: Option<&ServerFile>) -> Vec<Check> {
    let mut checks = Vec::new();
    let host = match tokio::time::timeout(ANSWER_TIMEOUT, way.connect_with(Missing::Fail, None)).await {
        Ok(Ok(host)) => host,
        Ok(Err(error)) => {
            let cure = cure(&error);
            checks.push(Check::fails("adb", format!("{way}: {error}"), cure));
            return checks;
        }
        Err(_) => {
            checks.push(Check::fails("adb", format!("{way} does not answer"), NO_ADB));
            return checks;
        }
    };
    let features = host.banner().features.len();
    checks.push(Check::ok(
        "adb",
        format!("{way} is reached and lets us in ({features} features)"),
    ));
    let mut sdk = None;
    match ask(&host, "getprop").await {
        Ok(output) => {
            let listing = String::from_utf8_lossy(&output.stdout);
            sdk = level(&listing);
            checks.extend(properties(&listing));
        }
        Err(error) => checks.push(Check::fails(
            "android",
            format!("its shell does not work: {error}"),
            "Restart the device, or its container.",
        )),
    }
    match server {
        None => checks.push(audio::by_level(sdk)),
        Some(server) => {
            checks.push(sum(server));
            checks.extend(asked(&host, server, sdk).await);
        }
    }
    checks
}

/// What the server itself tells on the device.
async fn asked(host: &Host, server: &ServerFile, sdk: Option<u32>) -> [Check; 2] {
    if let Err(why) = push(host, server).await {
        return [unusable(why), audio::by_level(sdk)];
    }
    let encoders = encoders(host, server.version).await;
    // A server that does not start has said why.
    let audio = match encoders.verdict {
        Verdict::Ok | Verdict::Warning(_) if audio::can_tell(server.version) => {
            audio::ask(host, JAR, server.version).await
        }
        _ => audio::by_level(sdk),
    };
    // A file that stays is in nobody's way, and the next doctor writes it anew.
    let _ = ask(host, &format!("rm -f {JAR}")).await;
    [encoders, audio]
}

const NO_ADB: &str = "See that the address is that of the device's adb daemon: a phone listens after `adb tcpip 5555`, \
                      a container after its port 5555 was published.";

fn cure(error: &WayError) -> &'static str {
    match error {
        WayError::Handshake(HandshakeError::AuthRequired | HandshakeError::TlsRequired) => {
            "Give the device's address with ,key=FILE, and let the device accept that key (a phone asks its owner; a \
             container has a way to be given the public half, FILE.pub)."
        }
        WayError::Handshake(HandshakeError::Unauthorized) => {
            "Accept the key on the device's screen, or append the line of FILE.pub to /data/misc/adb/adb_keys on the \
             device, and connect again."
        }
        WayError::Handshake(_) => NO_ADB,
        WayError::Key(_) => "Make a key with `adb keygen FILE`, readable for the agent's user only.",
        WayError::Server(_) | WayError::Lookup { .. } => {
            "See with `adb devices` on that machine that its server runs and lists the serial number as `device`; a \
             server for others than its own machine is started with `adb -a start-server`."
        }
        WayError::Lost => "Try again.",
    }
}

async fn ask(host: &Host, command: &str) -> Result<Output, String> {
    match tokio::time::timeout(ANSWER_TIMEOUT, host.shell(command)).await {
        Ok(output) => output.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())),
    }
}

/// The API level that `getprop` lists.
fn level(listing: &str) -> Option<u32> {
    property(listing, "ro.build.version.sdk").and_then(|sdk| sdk.parse().ok())
}

/// What `getprop` tells.
fn properties(listing: &str) -> [Check; 2] {
    let booted = if property(listing, "sys.boot_completed") == Some("1") {
        Check::ok("booted", "it has booted")
    } else {
        Check::warning(
            "booted",
            "it has not finished booting",
            "Wait for it; a container that never comes up tells why in `docker logs` and `logcat`.",
        )
    };
    let release = property(listing, "ro.build.version.release").unwrap_or("unknown");
    let android = match level(listing) {
        None => Check::fails(
            "android",
            "it does not tell its API level",
            "See what `adb shell getprop ro.build.version.sdk` says: what answers is hardly Android.",
        ),
        Some(sdk @ SDK_MIN..) => Check::ok("android", format!("Android {release}, API {sdk}")),
        Some(sdk) => Check::fails(
            "android",
            format!("Android {release}, API {sdk}"),
            "The scrcpy server needs Android 5.0 (API 21) or later: take a newer image or phone.",
        ),
    };
    [booted, android]
}

/// Whether the file is the release that it is said to be.
fn sum(server: &ServerFile) -> Check {
    let digest = Sha256::digest(&server.bytes);
    let sum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    of_release(&sum, server.version.to_string())
}

/// Whether a file of this SHA-256 is the release that it is said to be.
fn of_release(sum: &str, said: String) -> Check {
    const NAME: &str = "scrcpy server";
    match (known_version(sum), said) {
        (Some(known), said) if known == said => Check::ok(NAME, format!("the file is the release {known}")),
        (Some(known), said) => Check::fails(
            NAME,
            format!("the file is the release {known} and not {said}"),
            format!("Say --scrcpy-version {known}, or take the file scrcpy-server-v{said} of that release."),
        ),
        (None, said) => Check::warning(
            NAME,
            format!("no release has this file (SHA-256 {sum})"),
            format!(
                "If it was not built on purpose, take scrcpy-server-v{said} from the project's releases again: a page \
                 saved in its place, or half a file, looks like this."
            ),
        ),
    }
}

async fn push(host: &Host, server: &ServerFile) -> Result<(), String> {
    let target = Target {
        path: JAR,
        permissions: 0o644,
        mtime_s: 0,
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, host.push(&target, &server.bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("the server's file cannot be pushed: {error}")),
        Err(_) => Err("the device does not take the server's file".to_owned()),
    }
}

const ENCODERS: &str = "encoders";

fn unusable(found: String) -> Check {
    Check::fails(
        ENCODERS,
        found,
        "Take the server's file again, and see that /data/local/tmp on the device can be written and has room.",
    )
}

/// Runs the server on the device for its list of encoders.
async fn encoders(host: &Host, version: ServerVersion) -> Check {
    let options = ServerOptions {
        list_encoders: true,
        // Otherwise it removes its file, which is needed once more.
        cleanup: false,
        ..ServerOptions::default()
    };
    let listed = match options.command_line(JAR, version) {
        Ok(command) => ask(host, &command).await,
        Err(error) => Err(error.to_string()),
    };
    match listed {
        Ok(output) => judge(ENCODERS, &output),
        Err(error) => unusable(format!("the server cannot be run: {error}")),
    }
}

/// What the server printed.
fn judge(name: &'static str, output: &Output) -> Check {
    let printed = [&output.stdout[..], &output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    if output.exit.is_some_and(|code| code != 0) || printed.contains("[server] ERROR") {
        let said = printed.trim();
        let said: String = said.chars().take(LAST_WORDS_CHARS_MAX).collect();
        return Check::fails(
            name,
            format!("the server does not start: {said}"),
            "The file and --scrcpy-version have to be of the same release; the server's own words tell which it is.",
        );
    }
    let encoders: Vec<Encoder<'_>> = printed.lines().filter_map(h264_encoder).collect();
    let names: Vec<&str> = encoders.iter().map(|encoder| encoder.name).collect();
    let names = names.join(", ");
    if encoders.is_empty() {
        Check::fails(
            name,
            "the device has no encoder for H.264",
            "Take an image with one: without it a device cannot be filmed.",
        )
    } else if encoders.iter().all(|encoder| encoder.in_software) {
        Check::warning(
            name,
            format!("H.264 in software only: {names}"),
            "It works, and takes the host's processor: give the device some cores of its own, or lower --fps.",
        )
    } else {
        Check::ok(name, format!("H.264: {names}"))
    }
}

/// Any bytes as what `getprop` lists and as what the server prints.
pub(super) fn read_any(bytes: &[u8]) -> Vec<Check> {
    let output = Output {
        stdout: bytes.to_vec(),
        stderr: Vec::new(),
        exit: Some(0),
    };
    let mut checks = properties(&String::from_utf8_lossy(bytes)).to_vec();
    checks.push(judge(ENCODERS, &output));
    checks.extend(bytes.first_chunk().map(|bytes| audio::judge(*bytes)));
    checks
}

struct Encoder<'a> {
    name: &'a str,
    in_software: bool,
}

/// `--video-codec=h264 --video-encoder=NAME   (hw) [vendor]`; servers before 2.5 say neither hw nor sw, but Android's own
/// encoders in software have names of their own.
fn h264_encoder(line: &str) -> Option<Encoder<'_>> {
    let (_, encoder) = line.split_once("--video-codec=h264 --video-encoder=")?;
    let name = encoder.split_whitespace().next()?.trim_matches('\'');
    let says_hardware = encoder.contains("(hw)");
    let is_androids = name.starts_with("OMX.google.") || name.starts_with("c2.android.");
    Some(Encoder {
        name,
        in_software: encoder.contains("(sw)") || (is_androids && !says_hardware),
    })
}

#[cfg(test)]
mod tests {
    use super::super::servers::KNOWN_SERVERS;
    use super::*;

    fn words(checks: &[Check]) -> Vec<&'static str> {
        checks.iter().map(|check| check.verdict.word()).collect()
    }

    #[test]
    fn what_android_tells_decides_what_works() {
        let listing = |sdk: u32| {
            format!(
                "[ro.build.version.release]: [x]\n[ro.build.version.sdk]: [{sdk}]\n[sys.boot_completed]: [1]\n"
            )
        };
        assert_eq!(words(&properties(&listing(34))), ["ok", "ok"]);
        assert_eq!(words(&properties(&listing(20))), ["ok", "fails"]);
        assert_eq!(words(&properties("")), ["warning", "fails"]);
    }

    #[test]
    fn a_server_is_known_by_its_sum_or_not_at_all() {
        let file = |bytes: &'static [u8]| ServerFile {
            bytes: Bytes::from_static(bytes),
            version: "4.1".parse().unwrap(),
        };
        let check = sum(&file(b"<html>not found</html>"));
        assert_eq!(check.verdict.word(), "warning");
        assert!(check.found.contains("SHA-256 "), "{check}");
    }

    #[test]
    fn a_release_is_told_from_another_that_it_is_taken_for() {
        for (known, sum) in KNOWN_SERVERS {
            let check = of_release(sum, known.to_owned());
            assert_eq!(check.verdict.word(), "ok", "{check}");
            let other = if known == "4.1" { "4.0" } else { "4.1" };
            let check = of_release(sum, other.to_owned());
            assert_eq!(check.verdict.word(), "fails", "{check}");
            assert!(
                check.found.contains(&format!("{known} and not {other}")),
                "{check}"
            );
            let cure = format!("--scrcpy-version {known}");
            assert!(check.to_string().contains(&cure), "{check}");
        }
    }

    #[test]
    fn encoders_in_hardware_in_software_and_none_are_told_apart() {
        let printed = |text: &str, exit: u8| {
            judge(
                "encoders",
                &Output {
                    stdout: text.as_bytes().to_vec(),
                    stderr: Vec::new(),
                    exit: Some(exit),
                },
            )
        };
        let line = |rest: &str| {
            format!("[server] INFO: List of video encoders:\n    --video-codec=h264 --video-encoder={rest}\n")
        };
        let hardware = printed(&line("c2.qti.avc.encoder            (hw) [vendor]"), 0);
        assert_eq!(
            (hardware.verdict.word(), hardware.found.as_str()),
            ("ok", "H.264: c2.qti.avc.encoder")
        );
        assert_eq!(
            printed(&line("c2.android.avc.encoder        (sw)"), 0)
                .verdict
                .word(),
            "warning"
        );
        assert_eq!(
            printed(&line("'OMX.google.h264.encoder'"), 0).verdict.word(),
            "warning"
        );
        assert_eq!(
            printed("--video-codec=h265 --video-encoder=x (hw)", 0)
                .verdict
                .word(),
            "fails"
        );
        let other = printed(
            "[server] ERROR: The server version (4.0) does not match the client (4.1)",
            1,
        );
        assert!(
            other.verdict.word() == "fails" && other.found.contains("(4.0)"),
            "{other}"
        );
    }
}
