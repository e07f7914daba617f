//! Devices with faults beside one that is well, all on one gateway: each comes back by itself, and the one that is well
//! loses no picture. Only for tests.
//!
//! ```text
//!   film ═ device ═══ task, recorded ──┐
//!   fault ═ device ══ task ────────────┤── one gateway
//!   fault ═ device ══ task ────────────┘
//! ```
//!
//! The neighbour shows a film, whose device leaves no picture out, and a recorder beside its task sees each one that the
//! agent took. What the gateway does with them afterwards is the gateway's to prove.

use std::time::Duration;

use adb::recording::{self, What};
use bytes::Bytes;
use device::fault::{Fault, Faults};
use device::replay::Film;
use device::{Mirroring, Traits};
use openh264::encoder::{Encoder, EncoderConfig};
use openh264::formats::YUVBuffer;
use protocol::agent::DeviceHealth;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config::RecordConfig;
use crate::recorder::{Recorder, Text};
use crate::rig::{PATIENCE, Phone, Rig};

/// Pictures of the film; it is shown in a loop, thirty a second.
const PICTURES: usize = 45;
const WIDTH: usize = 320;
const HEIGHT: usize = 640;

/// A grey that gets lighter.
fn film() -> Film {
    let config = EncoderConfig::new();
    let api = openh264::OpenH264API::from_source();
    let mut encoder = Encoder::with_api_config(api, config).unwrap();
    let mut file = Vec::new();
    for picture in 0..PICTURES {
        let mut planes = vec![128; WIDTH * HEIGHT * 3 / 2];
        planes[..WIDTH * HEIGHT].fill(16 + 4 * picture as u8);
        let picture = YUVBuffer::from_vec(planes, WIDTH, HEIGHT);
        encoder.encode(&picture).unwrap().write_vec(&mut file);
    }
    let film = Film::parse(&Bytes::from(file)).unwrap();
    assert_eq!(film.pictures().len(), PICTURES);
    film
}

async fn phone(kinds: &[Fault], film: Option<Film>) -> Phone {
    let mirroring = Mirroring {
        faults: Faults::new(kinds.to_vec(), 5),
        film,
        ..Mirroring::default()
    };
    let traits = Traits {
        mirroring,
        ..Traits::default()
    };
    Phone::with(traits).await
}

/// Falls ill and gets well, twice.
async fn comes_back(mut rig: Rig) {
    for _ in 0..2 {
        let well = |health| health == DeviceHealth::Healthy;
        rig.fact(|fact| well(fact.health)).await;
        rig.fact(|fact| !well(fact.health)).await;
    }
    rig.healthy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_with_faults_come_back_by_themselves_and_their_neighbour_loses_no_picture() {
    let (folder, film) = (tempfile::tempdir().unwrap(), film());
    let recorder = Recorder::open(&RecordConfig {
        folder: folder.path().to_owned(),
        text: Text::Redacted,
    })
    .unwrap();
    let mut neighbour = Rig::recorded(phone(&[], Some(film.clone())).await, recorder.clone()).await;
    neighbour.healthy().await;
    let mut ill = tokio::task::JoinSet::new();
    for kind in [
        Fault::ServerDeath,
        Fault::VideoGarbage,
        Fault::ControlGarbage,
        Fault::HugeLength,
        Fault::LinkCut,
        Fault::HalfOpen,
        Fault::AdbdRestart,
    ] {
        let rig = Rig::beside(&neighbour, phone(&[kind], None).await).await;
        // Faults that come after some pictures need pictures.
        let _ = rig
            .shell()
            .shell("am start -n dev.farglass.motion/.MainActivity")
            .await;
        ill.spawn(comes_back(rig));
    }
    let all = async { while ill.join_next().await.transpose().unwrap().is_some() {} };
    tokio::time::timeout(4 * PATIENCE, all)
        .await
        .expect("one is ill for ever");
    assert_eq!(neighbour.healthy().await.health, DeviceHealth::Healthy);
    drop(neighbour);
    tokio::time::timeout(PATIENCE, recorder.finished()).await.unwrap();
    check_recording(folder.path(), &film);
}

/// One connection, one run of the server, every picture of the film in its order.
fn check_recording(folder: &std::path::Path, film: &Film) {
    let files: Vec<_> = std::fs::read_dir(folder.join("trial")).unwrap().collect();
    assert_eq!(files.len(), 1, "the neighbour was connected to again");
    let file = files[0].as_ref().unwrap().path();
    let (_, records) = recording::parse(std::fs::read(&file).unwrap().into()).unwrap();
    let launched = |what: &What| matches!(what, What::Opened(_, service) if service.contains(" scid="));
    let launches = records.filter(|record| launched(&record.as_ref().unwrap().what));
    assert_eq!(launches.count(), 1, "the neighbour's server was started again");
    let taken = Film::open(&file).unwrap();
    let shown = film.pictures().iter().cycle();
    assert!(taken.pictures().len() > PICTURES, "hardly a film");
    for (at, (taken, shown)) in taken.pictures().iter().zip(shown).enumerate() {
        assert!(taken.unit == shown.unit, "picture {at} is another one");
    }
}

/// An address where everybody gets this answer; gives the times between the first calls.
async fn answering(answer: Vec<u8>) -> (Rig, mpsc::Receiver<Instant>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let way = listener.local_addr().unwrap().to_string();
    let (told, calls) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            if told.send(Instant::now()).await.is_err() {
                return;
            }
            // Whoever called may hang up in the middle of it.
            let _ = socket.write_all(&answer).await;
        }
    });
    (Rig::by(Phone::start().await, &way).await, calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_talks_nonsense_in_place_of_a_device_is_called_ever_more_seldom() {
    // adb's header: command, two arguments, the length of what follows, its sum, the command's complement.
    let cnxn = u32::from_le_bytes(*b"CNXN");
    let huge = [cnxn, 0x0100_0001, 4096, u32::MAX, 0, !cnxn];
    let huge = huge.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut all = tokio::task::JoinSet::new();
    for answer in [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        vec![0xff; 100_000],
        huge,
        vec![],
    ] {
        all.spawn(async move {
            let (rig, mut calls) = answering(answer.clone()).await;
            let mut times = Vec::new();
            while times.len() < 4 {
                let call = tokio::time::timeout(PATIENCE, calls.recv()).await;
                times.push(call.expect("it is given up").unwrap());
            }
            // Half a second, one, two, each a fifth less at most. A call may be noticed late, all the more so the first.
            let took = times[3] - times[0];
            assert!(
                took >= Duration::from_millis(1_400),
                "four calls within {took:?}, after {} bytes",
                answer.len()
            );
            let health = rig.facts.borrow().as_ref().map(|fact| fact.health);
            assert_ne!(health, Some(DeviceHealth::Healthy));
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
}
