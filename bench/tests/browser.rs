//! The bench's eyes, proven on a page whose truth is known: a viewer and its source in one page,
//! joined by WebRTC on loopback (`loopback/page.js`), in real Chromium, under a strict content policy.
//!
//! The source answers a touch after 40 ms, hides two frames of every fifty and says that each frame
//! took 250 µs: exactly that must be measured.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bench::browser::{self, Browser, Window};
use bench::frames::Ages;
use bench::page::{Page, SCRIPTS};
use bench::procs;
use bench::taps::{ANSWER_LIMIT, Answers, Schedule};
use tokio::net::TcpListener;

mod loopback;

const TAPS: u64 = 8;
/// Frames that are watched one after the other: the source hides some of so many.
const WATCHED: u64 = 100;
/// How often the page is asked how many there are: each question takes its time from the frames.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// The longest that any fact may take to become true.
const PATIENCE: Duration = Duration::from_secs(60);
/// Holds when every touch is answered, and the watched page has seen the last answer.
const ALL_ANSWERED: &str = "answers.length === 0 && farglassBench.facts().input === touches";
const WINDOW: Window = Window {
    width: 500,
    height: 900,
};

async fn start() -> anyhow::Result<(Browser, SocketAddr)> {
    let (address, _) = loopback::serve().await?;
    let chromium = browser::find(None)?;
    Ok((Browser::launch(&chromium, WINDOW, &SCRIPTS).await?, address))
}

#[tokio::test]
async fn a_pages_frames_touches_and_statistics_are_measured_as_they_are() {
    let (browser, address) = start().await.unwrap();
    let mut page = Page::open(browser, &format!("http://{address}/")).await.unwrap();

    let clock = page.clock().await.unwrap();
    assert!(clock.ahead_ms.abs() <= 1.0 + clock.within_ms, "{clock:?}");
    let facts = page.facts().await.unwrap();
    assert!(
        facts.ready_ms.unwrap() < facts.gate_ms.unwrap(),
        "the events came before the gate: {facts:?}"
    );
    assert!(facts.ready_to_first_frame_ms().unwrap() > 0.0, "{facts:?}");
    let marks: Vec<&str> = facts.marks.iter().map(|mark| mark.name.as_str()).collect();
    assert_eq!(marks, ["farglass:launch", "farglass:gate"]);

    let before = page.start().await.unwrap().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while page.facts().await.unwrap().frames < facts.frames + WATCHED {
        assert!(Instant::now() < deadline, "too few frames are shown");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    assert!(page.look_away().await.unwrap() >= WATCHED);
    let made = tap_until_answered(&mut page).await;
    let recording = page.stop().await.unwrap();

    let ages = Ages::of(&recording.shown);
    let numbers: Vec<u32> = recording
        .shown
        .iter()
        .filter_map(|one| Some(one.reading?.frame))
        .collect();
    let drawn = u64::from(numbers.last().unwrap() - numbers.first().unwrap() + 1);
    assert_eq!(ages.every.len(), drawn, "every frame drawn is scored once");
    assert!(
        ages.unseen >= 2,
        "the source hid frames, and {} were missed",
        ages.unseen
    );
    assert_eq!((ages.impossible, ages.restarts), (0, 0));
    assert!(
        recording
            .damage
            .keys()
            .all(|why| why == "replaced before it was read"),
        "a barcode was drawn that could not be read: {:?}",
        recording.damage
    );

    let answers = Answers::of(&recording.taps);
    assert_eq!(answers.durations.len(), made);
    assert!(answers.lost <= made - TAPS, "{answers:?} of {made}");
    assert!(
        answers.durations.spread().unwrap().min >= 40.0,
        "{:?}",
        answers.durations.spread()
    );

    let residence = recording.residence.spread().unwrap();
    assert_eq!(
        (residence.p50, residence.max, recording.bad_metas),
        (0.25, 0.25, 0)
    );
    let after = recording.inbound.unwrap();
    assert!(after.frames_decoded > before.frames_decoded, "{after:?}");
    assert!(after.jitter_buffer_emitted_count > before.jitter_buffer_emitted_count);
    assert!(after.timestamp > before.timestamp);

    let png = page.browser.screenshot().await.unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    page.browser.close().await.unwrap();
}

/// Taps until so many as are wanted were answered in time, on a busy machine a few more; how many that were.
async fn tap_until_answered(page: &mut Page) -> u64 {
    let mut schedule = Schedule::new(5);
    let deadline = Instant::now() + PATIENCE;
    let (mut made, mut in_time) = (0, 0);
    while in_time < TAPS {
        tokio::time::sleep(schedule.next_pause()).await;
        let place = page
            .target(schedule.next_place())
            .await
            .expect("the page shows a device");
        let began = Instant::now();
        let answered = page.tap(place).await.expect("Chromium taps");
        made += 1;
        if answered {
            in_time += u64::from(began.elapsed() < ANSWER_LIMIT);
            continue;
        }
        // What comes too late must not be taken for the next one's answer.
        page.start().await.expect("the page records anew");
        while !page
            .browser
            .evaluate::<bool>(ALL_ANSWERED, Duration::ZERO)
            .await
            .expect("the page says what it waits for")
        {
            assert!(Instant::now() < deadline, "a touch had no answer");
        }
        page.look_away().await.expect("the page forgets what it recorded");
    }
    made
}

#[tokio::test]
async fn a_dropped_browser_leaves_no_process_behind() {
    let (mut browser, address) = start().await.unwrap();
    browser
        .navigate(&format!("http://{address}/nothing"))
        .await
        .unwrap();
    let tree = procs::table().unwrap().tree(browser.pid());
    assert!(tree.len() > 1, "Chromium has helpers: {tree:?}");
    drop(browser);
    // A killed helper whose parent is gone is reaped by init in its own time: an entry without a
    // command line is only waiting for that.
    let left = || {
        let table = procs::table().unwrap();
        table
            .iter()
            .filter(|process| tree.contains(&process.pid) && !process.argv.is_empty())
            .count()
    };
    let deadline = Instant::now() + PATIENCE;
    while left() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(left(), 0);
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_told() {
    let (mut browser, _) = start().await.unwrap();
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let error = browser
        .navigate(&format!("http://{free}/"))
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "Chromium cannot open the page: net::ERR_CONNECTION_REFUSED"
    );
    let thrown = browser
        .evaluate::<u32>("undefinedThing()", Duration::ZERO)
        .await
        .unwrap_err()
        .to_string();
    assert!(thrown.contains("ReferenceError"), "{thrown}");
    browser.close().await.unwrap();
}
