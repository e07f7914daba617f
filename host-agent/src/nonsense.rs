//! Devices that say what belongs to nothing, or announce 4 GiB, on each way that an agent has to one: the agent names it,
//! begins anew, takes no memory for it, and the device is of use afterwards. Only for tests.
//!
//! ```text
//!   device whose first link, command, push or server talks nonsense ══ adb ══ Device task ─► log, as an operator reads it
//! ```
//!
//! The picture is in neighbours.rs. Sound is what only the doctor listens to.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use device::fault::{Fault, Faults};
use protocol::agent::Reply;
use tracing_subscriber::fmt::MakeWriter;

use crate::doctor::{self, ServerFile};
use crate::rig::{PATIENCE, Phone, Rig, reply};

const PAINT: &str = "dev.farglass.paint";
const SEED: u64 = 5;
/// What all of this may cost, in bytes of resident memory, the simulated device, its encoder and the gateway included: far
/// below what is announced.
const MEMORY_MAX: u64 = 256 * 1024 * 1024;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// Waits until these were logged, in this order.
    async fn tells(&self, words: &[&str]) {
        let told = async {
            loop {
                let text = self.text();
                let mut rest = text.as_str();
                let found = words.iter().all(|words| match rest.split_once(words) {
                    Some((_, after)) => {
                        rest = after;
                        true
                    }
                    None => false,
                });
                if found {
                    return;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        if tokio::time::timeout(2 * PATIENCE, told).await.is_err() {
            panic!("{words:?} are not told: {}", self.text());
        }
    }
}

/// A line of this process's status, in bytes.
fn resident(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// The first that can have the fault has it, and nothing after that.
async fn named_and_over(kind: Fault, named: &str) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _hearing = tracing::subscriber::set_default(subscriber);
    let faults = Faults::new(vec![kind], SEED).of_the_first(1);
    let phone = Phone::faulty((360, 640), faults).await;
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = resident("VmRSS:");
    let mut rig = Rig::on(phone).await;
    // Named, and after that a picture again.
    log.tells(&[named, "capturing"]).await;
    rig.healthy().await;
    assert!(matches!(
        reply(rig.prepare(1, PAINT)).await,
        Reply::Prepared { .. }
    ));
    let cost = resident("VmHWM:").saturating_sub(before);
    assert!(cost <= MEMORY_MAX, "{cost} bytes");
}

#[tokio::test]
async fn garbage_between_two_packets_of_adb_is_no_packet() {
    named_and_over(Fault::AdbGarbage, "does not fit command").await;
}

#[tokio::test]
async fn an_adb_packet_of_four_gigabytes_is_too_long() {
    named_and_over(Fault::AdbHuge, "Wrte with 4294967295 bytes of payload").await;
}

#[tokio::test]
async fn garbage_in_what_a_command_prints_is_no_frame() {
    named_and_over(Fault::ShellGarbage, "unknown shell frame").await;
}

#[tokio::test]
async fn a_frame_of_a_commands_output_of_four_gigabytes_is_too_long() {
    named_and_over(Fault::ShellHuge, "a shell frame of 4294967295 bytes").await;
}

#[tokio::test]
async fn a_clipboard_of_four_gigabytes_is_above_its_limit() {
    named_and_over(Fault::ClipboardHuge, "4294967295 bytes are above the limit").await;
}

#[tokio::test]
async fn sync_data_of_four_gigabytes_is_too_long() {
    named_and_over(Fault::SyncHuge, "a sync response with 4294967295 bytes").await;
}

#[tokio::test]
async fn garbage_in_place_of_sync_data_is_no_response() {
    named_and_over(Fault::SyncGarbage, "unknown sync response").await;
}

#[tokio::test]
async fn garbage_in_place_of_sound_is_what_the_doctor_tells() {
    let faults = Faults::new(vec![Fault::AudioGarbage], SEED).of_the_first(2);
    let phone = Phone::faulty((360, 640), faults).await;
    let way = phone.address.to_string().parse().unwrap();
    let server = ServerFile {
        bytes: device::stand_in_server("4.1").into(),
        version: "4.1".parse().unwrap(),
    };
    // The second server is for sound alone; the first lists encoders. After them both the device is sound.
    for (verdict, told) in [("fails", "in place of a codec"), ("ok", "captured, in opus")] {
        let checks = doctor::device(&way, Some(&server)).await;
        let audio = checks.iter().find(|check| check.name == "audio").unwrap();
        assert!(
            audio.verdict.word() == verdict && audio.found.contains(told),
            "{audio}"
        );
    }
}
