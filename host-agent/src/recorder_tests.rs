//! Recordings of the simulated device: what is in them, what is not, and what they show when they are played.
//!
//! Text is typed through a whole device task and looked for in the file. Limits are met by a session whose thread has not
//! started. A recording of a live, turning screen is played by another device, and both are decoded: the same pictures.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use adb::Host;
use adb::recording::{self, Why};
use adb::transfer::Target;
use bytes::BytesMut;
use device::replay::Film;
use device::{Mirroring, Traits};
use openh264::decoder::{DecodedYUV, Decoder};
use openh264::formats::YUVSource as _;
use protocol::Epoch;
use protocol::agent::Reply;
use protocol::input::InputOp;
use scrcpy::handshake::{Scid, socket_name};
use scrcpy::{ControlMsg, Demuxer, Event, control};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::capture::{first_socket, options};
use crate::rig::{PATIENCE, Phone, Rig, recipe, reply};

pub(super) const SECRET: &str = "hunter2 pässwörd";

pub(super) fn recorder(folder: &Path, text: Text) -> Recorder {
    let folder = folder.to_owned();
    Recorder::open(&RecordConfig { folder, text }).unwrap()
}

pub(super) async fn finished(recorder: &Recorder) {
    tokio::time::timeout(PATIENCE, recorder.finished())
        .await
        .expect("a recording is never finished");
}

/// The one recording of the device `trial`.
pub(super) fn only_file(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder.join("trial")).unwrap();
    let file = files.next().expect("a recording").unwrap().path();
    assert!(files.next().is_none(), "more than one file");
    file
}

/// A connection to a device that is recorded as `trial`.
async fn recorded(recorder: &Recorder, version: ServerVersion, address: SocketAddr) -> Host {
    let recording = recorder.of(&"trial".parse().unwrap(), version);
    let options = adb::host::Options {
        witness: recording.begin(Packets::Ours).await,
        ..adb::host::Options::default()
    };
    options.connect(address).await.unwrap()
}

fn head(file: &Path) -> Head {
    recording::parse(fs::read(file).unwrap().into()).unwrap().0
}

fn records(file: &Path) -> Vec<Record> {
    let (_, records) = recording::parse(fs::read(file).unwrap().into()).unwrap();
    records.map(Result::unwrap).collect()
}

/// A person types and pastes through a whole device task; gives the recording.
pub(super) async fn typed(text: Text) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(folder.path(), text);
    let mut rig = Rig::recorded(Phone::start().await, recorder.clone()).await;
    rig.healthy().await;
    let prepared = reply(rig.prepare(1, "dev.farglass.echo")).await;
    assert!(matches!(prepared, Reply::Prepared { .. }), "{prepared:?}");
    rig.act(1, InputOp::Text("hunter2 ".to_owned()));
    rig.act(1, InputOp::Text("pässwörd".to_owned()));
    rig.sees("the text", |dump| dump["text"] == SECRET).await;
    let fact = rig.fact(|_| true).await;
    assert_eq!(fact.fence, Epoch(1));
    drop(rig);
    finished(&recorder).await;
    let file = only_file(folder.path());
    (folder, file)
}

pub(super) fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn a_recording_has_pictures_input_and_what_ran_and_nothing_that_was_typed() {
    let (_folder, file) = typed(Text::Redacted).await;
    assert_eq!(file.extension().unwrap(), "wire");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&file).unwrap();
    assert!(!has(&bytes, "hunter2") && !has(&bytes, "pässwörd"));
    assert!(has(&bytes, "********"));
    let records = records(&file);
    assert_eq!(records.last().unwrap().what, What::Ended(Why::SessionOver));
    let opened = |service: &str| {
        records
            .iter()
            .filter(|record| matches!(&record.what, What::Opened(_, name) if name.starts_with(service)))
            .count()
    };
    assert!(opened("shell,v2,raw:getprop") > 0 && opened("sync:") > 0);
    assert!(opened("localabstract:scrcpy_") >= 2);
    // What the recorder makes of it is a film: the video was not touched.
    assert!(!Film::open(&file).unwrap().pictures().is_empty());
}

/// What a device says and is asked that has the secret in it: a field of text, a table, the clipboard's neighbour, a file,
/// its name, and both ways of a transfer.
async fn said_again(text: Text) -> (tempfile::TempDir, Vec<u8>) {
    const CANARY_FILE: &str = "/sdcard/hunter2";
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(folder.path(), text);
    let phone = Phone::start().await;
    let host = recorded(&recorder, ServerVersion::NEWEST, phone.address).await;
    let target = Target {
        path: CANARY_FILE,
        permissions: 0o644,
        mtime_s: 0,
    };
    host.push(&target, b"hunter2 in a file").await.unwrap();
    for command in [
        "am start -n dev.farglass.echo/.MainActivity; input text hunter2; dumpsys simulated",
        "content insert --uri content://sms --bind body:s:hunter2; content query --uri content://sms",
        &format!("cat {CANARY_FILE}"),
        "ls /sdcard",
    ] {
        let said = host.shell(command).await.unwrap().stdout;
        assert!(has(&said, "hunter2"), "{command} says nothing of it");
    }
    let pulled = host.pull(CANARY_FILE, 1 << 20).await.unwrap();
    assert!(has(&pulled, "hunter2"));
    assert!(has(&host.shell("wm size").await.unwrap().stdout, "360x640"));
    drop(host);
    finished(&recorder).await;
    let bytes = fs::read(only_file(folder.path())).unwrap();
    (folder, bytes)
}

#[tokio::test]
async fn what_was_typed_and_copied_does_not_come_back_by_a_shell_a_file_or_its_name() {
    let (_folder, bytes) = said_again(Text::Redacted).await;
    assert!(!has(&bytes, "hunter2"));
    assert!(has(&bytes, "360x640"), "what is no person's is kept");
    assert!(has(&bytes, "shell,v2,raw:content ********"), "what ran is told");
    let (_folder, bytes) = said_again(Text::Kept).await;
    assert!(has(&bytes, "hunter2"));
}

#[tokio::test]
async fn an_operator_who_wants_the_text_gets_it() {
    let (_folder, file) = typed(Text::Kept).await;
    let bytes = fs::read(&file).unwrap();
    assert!(has(&bytes, "hunter2") && has(&bytes, "pässwörd"));
}

/// A session whose thread has not started yet.
fn stalled(folder: &Path) -> (Session, Writing, std::sync::mpsc::Receiver<Record>) {
    let head = Head {
        text_kept: true,
        packets: false,
        started_us: 1_000,
        device: "trial".to_owned(),
        server: "4.1".to_owned(),
    };
    let file = File::create(folder, &head, Arc::default()).unwrap();
    let (queue, taken) = std::sync::mpsc::sync_channel(QUEUE_RECORDS_MAX);
    let waiting = Arc::new(Waiting::default());
    let writing = Writing::new(file, Text::Kept, "4.1".parse().unwrap(), Arc::clone(&waiting));
    let session = Session {
        started: Instant::now(),
        next: AtomicU32::new(1),
        queue,
        waiting,
    };
    (session, writing, taken)
}

#[test]
fn a_disk_that_does_not_keep_up_costs_records_and_never_time_and_the_file_says_how_many() {
    let folder = tempfile::tempdir().unwrap();
    let (session, writing, taken) = stalled(folder.path());
    let stream = session.opened("localabstract:x", None);
    // Sixty-four pictures leave room for so many bytes that the number of records is the next limit.
    let picture = Bytes::from(vec![1; QUEUE_BYTES_MAX / 64 - 256]);
    // Nobody takes anything; each call returns all the same.
    for _ in 0..200 {
        session.received(stream, &picture);
    }
    for _ in 0..3 * QUEUE_RECORDS_MAX {
        session.sent(stream, b"x");
    }
    let before = session.waiting.bytes.load(Ordering::Relaxed);
    assert!(before <= QUEUE_BYTES_MAX, "{before} bytes wait");
    drop(session);
    writing.run(&taken);
    let records = records(&folder.path().join("1.wire"));
    let lost: (u64, u64) = records
        .iter()
        .filter_map(|record| match record.what {
            What::Lost { records, bytes } => Some((records, bytes)),
            _ => None,
        })
        .fold((0, 0), |sum, lost| (sum.0 + lost.0, sum.1 + lost.1));
    let kept = records
        .iter()
        .filter(|record| matches!(record.what, What::Received(..) | What::Sent(..)))
        .count() as u64;
    assert_eq!(kept + lost.0, 200 + 3 * QUEUE_RECORDS_MAX as u64);
    let inputs_kept = QUEUE_RECORDS_MAX - 1 - 64;
    let inputs_lost = 3 * QUEUE_RECORDS_MAX - inputs_kept;
    assert_eq!(lost.1 as usize, (200 - 64) * picture.len() + inputs_lost);
}

#[test]
fn a_recording_ends_where_the_disk_may_take_no_more_and_no_new_one_begins() {
    let folder = tempfile::tempdir().unwrap();
    let (session, mut writing, taken) = stalled(folder.path());
    let used = Arc::new(AtomicU64::new(DISK_BYTES_MAX - 3_000));
    writing = writing.counting(Arc::clone(&used));
    let stream = session.opened("localabstract:x", None);
    for _ in 0..8 {
        session.received(stream, &Bytes::from(vec![1; 500]));
    }
    drop(session);
    writing.run(&taken);
    let records = records(&folder.path().join("1.wire"));
    assert_eq!(records.last().unwrap().what, What::Ended(Why::Full));
    let kept = records
        .iter()
        .filter(|record| matches!(record.what, What::Received(..)));
    assert_eq!(kept.count(), 5);
    assert!(used.load(Ordering::Relaxed) <= DISK_BYTES_MAX);
    used.store(DISK_BYTES_MAX, Ordering::Relaxed);
    let head = Head {
        text_kept: true,
        packets: false,
        started_us: 5_000,
        device: String::new(),
        server: String::new(),
    };
    let refused = File::create(folder.path(), &head, used).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::QuotaExceeded);
}

#[tokio::test]
async fn whoever_makes_room_is_recorded_again() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&RecordConfig {
        folder: folder.path().to_owned(),
        text: Text::Redacted,
    })
    .unwrap();
    // As if others had filled the disk, which are gone now.
    recorder.0.used.store(DISK_BYTES_MAX, Ordering::Relaxed);
    let device = "trial".parse().unwrap();
    drop(
        recorder
            .session(&device, ServerVersion::NEWEST, Packets::Ours)
            .unwrap(),
    );
    recorder.finished().await;
    assert!(recorder.0.used.load(Ordering::Relaxed) < 1_000);
}

/// A device whose screen moves, or that shows a film.
async fn device_showing(film: Option<Film>) -> (SocketAddr, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = device::Config {
        adb: address,
        name: "Trial".to_owned(),
        width: 360,
        height: 640,
        fps: 30,
        boot: device::Boot::default(),
    };
    let traits = Traits {
        mirroring: Mirroring {
            film,
            ..Mirroring::default()
        },
        ..Traits::default()
    };
    let stop = CancellationToken::new();
    tokio::spawn(device::serve_as(listener, config, traits, stop.clone()));
    (address, stop.drop_guard())
}

/// A picture as a decoder shows it.
fn fingerprint(picture: &DecodedYUV<'_>) -> u64 {
    let mut hash = DefaultHasher::new();
    let ((width, height), (luma, chroma, _)) = (picture.dimensions(), picture.strides());
    (width, height).hash(&mut hash);
    for (plane, stride, width, height) in [
        (picture.y(), luma, width, height),
        (picture.u(), chroma, width / 2, height / 2),
        (picture.v(), chroma, width / 2, height / 2),
    ] {
        for row in plane.chunks(stride).take(height) {
            row[..width].hash(&mut hash);
        }
    }
    hash.finish()
}

/// The same recording as an agent of before wrote it, which knew no packets.
fn of_the_first_layout(file: &Path) -> Bytes {
    let head = Head {
        text_kept: false,
        packets: false,
        started_us: 1,
        device: "trial".to_owned(),
        server: head(file).server,
    };
    let mut out = BytesMut::new();
    recording::encode_head(&head, &mut out);
    out[8] = 1;
    for record in records(file) {
        if !matches!(record.what, What::Packet(_) | What::Carried(..)) {
            recording::encode_record(&record, &mut out);
        }
    }
    out.freeze()
}

/// A client of its own that mirrors the device: `count` pictures, decoded. With `rotate` it turns the
/// device after a third.
async fn watch(host: &Host, version: &str, count: usize, rotate: bool) -> Vec<u64> {
    let recipe = recipe(version);
    let scid = Scid::from_bits(7);
    let target = Target {
        path: "/data/local/tmp/x.jar",
        permissions: 0o644,
        mtime_s: 0,
    };
    host.push(&target, &recipe.server).await.unwrap();
    let options = options(&recipe, scid);
    let command = options.command_line(target.path, recipe.version).unwrap();
    let _shell = host.start_shell(&command).await.unwrap();
    let service = format!("localabstract:{}", socket_name(Some(scid)));
    let (mut video, rest) = first_socket(host, &service).await.unwrap();
    let mut hand = host.open(&service).await.unwrap();
    let mut demuxer = Demuxer::new(options.video_start(recipe.version));
    demuxer.push(rest);
    let (mut decoder, mut config, mut shown) = (Decoder::new().unwrap(), Bytes::new(), Vec::new());
    while shown.len() < count {
        match demuxer.poll().unwrap() {
            Some(Event::Config(sets)) => {
                (decoder, config) = (Decoder::new().unwrap(), sets);
            }
            Some(Event::Frame { data, .. }) => {
                let unit = [std::mem::take(&mut config), data].concat();
                if let Some(picture) = decoder.decode(&unit).unwrap() {
                    shown.push(fingerprint(&picture));
                }
                if rotate && shown.len() == count / 3 {
                    let mut bytes = BytesMut::new();
                    control::encode(recipe.version, &ControlMsg::RotateDevice, &mut bytes).unwrap();
                    hand.send(&bytes).await.unwrap();
                }
            }
            Some(_) => {}
            None => demuxer.push(video.read_chunk().await.unwrap().expect("the video goes on")),
        }
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_of_a_live_device_plays_to_the_identical_pictures_in_both_framings() {
    const PICTURES: usize = 60;
    for version in ["4.1", "3.3.4"] {
        let folder = tempfile::tempdir().unwrap();
        let recorder = recorder(folder.path(), Text::Redacted);
        let (address, _device) = device_showing(None).await;
        let host = recorded(&recorder, version.parse().unwrap(), address).await;
        host.shell("am start -n dev.farglass.motion/.MainActivity")
            .await
            .unwrap();
        let live = tokio::time::timeout(PATIENCE, watch(&host, version, PICTURES, true)).await;
        let live = live.expect("the live device shows too little");
        drop(host);
        finished(&recorder).await;
        let distinct: std::collections::HashSet<&u64> = live.iter().collect();
        assert!(distinct.len() > PICTURES / 2, "the screen hardly moved");

        let file = only_file(folder.path());
        let film = Film::open(&file).unwrap();
        let old = Film::parse(&of_the_first_layout(&file)).unwrap();
        assert!(old.pictures() == film.pictures(), "the older layout shows others");
        for client in ["4.1", "3.3.4"] {
            let (address, _device) = device_showing(Some(film.clone())).await;
            let host = Host::connect(address).await.unwrap();
            let played = tokio::time::timeout(PATIENCE, watch(&host, client, PICTURES, false)).await;
            assert!(
                played.expect("the played one shows too little") == live,
                "recorded from {version}, played to {client}: other pictures"
            );
        }
    }
}
