//! A film in place of the screen, made by ffmpeg for the test.

use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use device::Android;
use device::android::{Model, Size};
use device::display::{CaptureHandle, Display, Packet};
use device::replay::Film;

use crate::captures::{OPTIONS, moving, packet};

/// Forty pictures, a key frame every ten.
fn film() -> Film {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("film.h264");
    let made = Command::new("ffmpeg")
        .args([
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x568:rate=20:duration=2",
        ])
        .args([
            "-c:v",
            "libx264",
            "-profile:v",
            "high",
            "-bf",
            "0",
            "-g",
            "10",
            "-sc_threshold",
            "0",
        ])
        .args(["-pix_fmt", "yuv420p", "-threads", "1", "-f", "h264"])
        .arg(&file)
        .status()
        .expect("ffmpeg is missing");
    assert!(made.success());
    Film::parse(&Bytes::from(std::fs::read(file).unwrap())).unwrap()
}

fn shown(film: &Film, fps: u32) -> CaptureHandle {
    let android = Android::new(Model {
        name: "Film".into(),
        width: 720,
        height: 1_280,
    });
    let (display, _) = Display::replay(android, film.clone(), fps).unwrap();
    display.capture(OPTIONS).unwrap()
}

async fn unit(capture: &mut CaptureHandle) -> (bool, Bytes) {
    loop {
        if let Packet::Frame { key, data, .. } = packet(capture).await {
            return (key, data);
        }
    }
}

#[tokio::test]
async fn a_film_is_shown_byte_for_byte_at_its_pace_and_again_from_the_beginning() {
    let film = film();
    let size = Size {
        width: 320,
        height: 568,
    };
    assert_eq!((film.size(), film.pictures().len()), (size, 40));
    let started = Instant::now();
    let mut capture = shown(&film, 100);
    assert_eq!(packet(&mut capture).await, Packet::Session(size));
    let config = film.pictures()[0].config.clone().unwrap();
    assert_eq!(packet(&mut capture).await, Packet::Config(config));
    for _ in 0..2 {
        for picture in film.pictures() {
            assert_eq!(unit(&mut capture).await, (picture.key, picture.unit.clone()));
        }
    }
    // Eighty pictures, a hundredth of a second apart; the first comes at a tick.
    assert!(
        started.elapsed() >= Duration::from_millis(790),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_reset_goes_on_from_the_next_key_frame() {
    let film = film();
    let mut capture = shown(&film, 60);
    for _ in 0..13 {
        unit(&mut capture).await;
    }
    capture.reset().request();
    while !matches!(packet(&mut capture).await, Packet::Session(_)) {}
    assert!(matches!(packet(&mut capture).await, Packet::Config(_)));
    let next = unit(&mut capture).await;
    // What was in the queue is read before; the reset comes within the second ten or, on a busy machine, the third.
    let keys: Vec<usize> = (0..40).filter(|&index| film.pictures()[index].key).collect();
    assert_eq!(keys, [0, 10, 20, 30]);
    let index = film
        .pictures()
        .iter()
        .position(|picture| picture.unit == next.1)
        .unwrap();
    assert!(next.0 && index % 10 == 0 && index >= 20, "picture {index}");
}

#[tokio::test]
async fn eight_films_cost_a_fraction_of_what_one_drawn_and_encoded_screen_does() {
    let film = film();
    let mut films: Vec<CaptureHandle> = (0..8).map(|_| shown(&film, 60)).collect();
    let begin = spent();
    for _ in 0..60 {
        for capture in &mut films {
            unit(capture).await;
        }
    }
    let of_films = spent() - begin;
    drop(films);
    let display = moving(720, 1_280);
    let mut live = display.capture(OPTIONS).unwrap();
    let begin = spent();
    for _ in 0..60 {
        unit(&mut live).await;
    }
    let of_one_screen = spent() - begin;
    assert!(4 * of_films < of_one_screen, "{of_films:?}, {of_one_screen:?}");
}

/// Processor time of this process; a test is a process of its own under nextest.
fn spent() -> Duration {
    let clock = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID;
    nix::time::clock_gettime(clock).unwrap().into()
}
