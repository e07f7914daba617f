//! Every kind of encoder that the simulated device has, and those that x264 can be, all the way: nothing of a picture is
//! lost, changed or kept waiting.
//!
//! ```text
//!   device ══ adb ══ agent's demuxer ── gateway ══ WebRTC ══╤═ Chromium's decoder ──► hash of every picture ─┐
//!     │ bytes that it sent                                  └═ RFC 6184 ── ffmpeg ──► hash of every picture ─┤ equal
//!     └─────────────────────────────────────────────────────────── ffmpeg ──────────► hash of every picture ─┘
//! ```
//!
//! A kind without a row does not compile. The bytes that a device sent come from the agent's own recording of its wire,
//! or are the film's that it shows.

use device::encode::Habit;
use device::replay::Film;
use device::{Mirroring, Traits};
use gateway::access_unit::{NalKind, nals};
use gateway::limits::GOP_FRAMES_MAX;
use gateway::sps::Sps;
use host_agent::doctor::ServerFile;
use protocol::agent::{DeviceHealth, RefusalCode};

use signaling::link::call::CallError;

use crate::chromium::{Chromium, Picture};
use crate::ffmpeg;
use crate::finger;
use crate::phone::Phone;
use crate::rig::{Filming, PATIENCE, Rig, prepare};
use crate::show::Show;
use crate::viewer::Viewer;
use crate::x264;

const MOVING: &str = "dev.farglass.motion";
const STILL: &str = "dev.farglass.still";
/// Pictures that each viewer of a moving screen has to see.
const PICTURES: usize = 20;
/// What is proven of a kind.
struct Row {
    name: String,
    /// Of the screen, and whether the encoder shows another.
    screen: (u16, u16),
    decoded: (u16, u16),
    fps: u32,
    traits: Traits,
    filming: Filming,
    /// What a stream of this kind has, so that the row proves what its name says.
    claims: fn(&Seen),
}

/// What was in a stream.
#[derive(Debug, Default)]
struct Seen {
    pictures: usize,
    /// Parameter sets: they come when an encoder starts.
    starts: usize,
    slices: usize,
    noise: usize,
    messages: usize,
    profile: u8,
    /// Of the first SPS.
    reorder_frames: Option<u32>,
    /// What the device's SPS says.
    size: (u16, u16),
    /// Of the newest PPS.
    cabac: bool,
}

/// A stream, and what its pictures are.
struct Truth {
    hashes: Vec<String>,
    keys: Vec<bool>,
    /// After the last picture comes the first.
    loops: bool,
}

impl Truth {
    fn of(film: &Film, loops: bool) -> (Self, Seen) {
        let (mut stream, mut seen) = (Vec::new(), Seen::default());
        for picture in film.pictures() {
            let whole = [picture.config.as_deref().unwrap_or_default(), &picture.unit].concat();
            seen.look(nals(&whole));
            stream.extend(whole);
        }
        let truth = Self {
            hashes: ffmpeg::hashes(stream),
            keys: film.pictures().iter().map(|picture| picture.key).collect(),
            loops,
        };
        assert_eq!(
            truth.hashes.len(),
            truth.keys.len(),
            "the device's own stream is broken"
        );
        (truth, seen)
    }

    /// Where the last of `pictures` is in the stream, if they are a run of it that begins with a key frame.
    fn follow(&self, pictures: &[String]) -> Result<usize, String> {
        self.walk(pictures, 1)
    }

    /// As [`Self::follow`] of pictures that were shown: of two that were decoded at once the newer is.
    fn follow_shown(&self, pictures: &[String]) -> Result<usize, String> {
        self.walk(pictures, GOP_FRAMES_MAX)
    }

    /// With at most so many steps from one to the next.
    fn walk(&self, pictures: &[String], steps: usize) -> Result<usize, String> {
        let end = self.hashes.len();
        let keys = (0..end).filter(|&at| self.keys[at]);
        // Where it may be: pictures can be equal. The first may be one of those that follow a key frame at once.
        let mut at: Vec<usize> = keys.flat_map(|key| key..(key + steps).min(end)).collect();
        at.retain(|&at| Some(&self.hashes[at]) == pictures.first());
        if at.is_empty() {
            return Err(format!(
                "of {} pictures the first is none that was sent",
                pictures.len()
            ));
        }
        for (number, picture) in pictures.iter().enumerate().skip(1) {
            let ahead = at.iter().flat_map(|&at| (1..=steps).map(move |step| at + step));
            // Chromium may ask for a key frame, and is sent the cached group again.
            let again = (0..=at[at.len() - 1]).filter(|&key| steps > 1 && self.keys[key]);
            let ahead = ahead.chain(again.flat_map(|key| key..key + steps));
            let wrapped = ahead.map(|at| if self.loops { at % end } else { at });
            let mut next: Vec<usize> = wrapped
                .filter(|&at| at < end && self.hashes[at] == *picture)
                .collect();
            next.sort_unstable();
            next.dedup();
            if next.is_empty() {
                return Err(format!(
                    "picture {number} does not follow those before it, which end at {at:?}"
                ));
            }
            at = next;
        }
        Ok(at[0])
    }
}

impl Seen {
    fn look<'a>(&mut self, nals: impl Iterator<Item = &'a [u8]>) {
        self.pictures += 1;
        for nal in nals {
            match NalKind::of(nal[0]) {
                NalKind::Slice | NalKind::IdrSlice => self.slices += 1,
                NalKind::Noise => self.noise += 1,
                NalKind::Other => self.messages += 1,
                NalKind::Pps => self.cabac = x264::is_cabac(nal),
                NalKind::Sps => {
                    self.starts += 1;
                    let sps = Sps::parse(nal).unwrap();
                    self.profile = sps.profile_level_id[0];
                    self.reorder_frames = sps.reorder_frames;
                    self.size = (sps.width, sps.height);
                }
            }
        }
    }

    /// One slice a picture, and nothing but pictures.
    fn check_usual(&self) {
        assert_eq!((self.profile, self.size), (66, (360, 640)), "{self:?}");
        assert_eq!(
            (self.slices, self.noise, self.messages),
            (self.pictures, 0, 0),
            "{self:?}"
        );
    }
}

/// The row of a kind of the device's own encoder; none for a device that has no encoder.
fn of_device(habit: Habit) -> Option<Row> {
    let screen = (360, 640);
    let claims: fn(&Seen) = match habit {
        Habit::Missing => return None,
        Habit::Usual | Habit::Guest10 | Habit::Guest25 => Seen::check_usual,
        Habit::SlowReset => |seen| {
            seen.check_usual();
            assert!(seen.starts > 1, "it was never reset: {seen:?}");
        },
        Habit::Main => |seen| assert_eq!(seen.profile, 77, "{seen:?}"),
        Habit::Slices => |seen| assert!(seen.slices > seen.pictures, "{seen:?}"),
        Habit::Noisy => |seen| {
            assert_eq!(
                (seen.noise, seen.messages),
                (seen.pictures, seen.pictures),
                "{seen:?}"
            );
        },
        Habit::SizeIgnored => |seen| assert_eq!(seen.size, (352, 640), "{seen:?}"),
    };
    let decoded = match habit {
        Habit::SizeIgnored => (352, 640),
        _ => screen,
    };
    Some(Row {
        name: habit.name().to_owned(),
        screen,
        decoded,
        fps: 30,
        traits: Traits {
            mirroring: Mirroring {
                encoder: habit,
                ..Mirroring::default()
            },
            ..Traits::default()
        },
        filming: Filming {
            recorded: true,
            ..Filming::default()
        },
        claims,
    })
}

/// The row of a kind that x264 plays.
fn of_x264(kind: x264::Kind) -> Row {
    use x264::Kind;
    let claims: fn(&Seen) = match kind {
        Kind::High => |seen| assert_eq!((seen.profile, seen.cabac), (100, true), "{seen:?}"),
        Kind::Main => |seen| assert_eq!(seen.profile, 77, "{seen:?}"),
        Kind::FourSlices => |seen| assert_eq!(seen.slices, 4 * seen.pictures, "{seen:?}"),
        Kind::SmallSlices => |seen| assert!(seen.slices > 3 * seen.pictures, "{seen:?}"),
        Kind::Phone => |seen| assert_eq!(seen.size, (1_080, 2_400), "{seen:?}"),
        Kind::OddCrop => |seen| assert_eq!(seen.size, (362, 786), "{seen:?}"),
        Kind::Noisy => |seen| {
            assert_eq!(
                seen.noise, seen.pictures,
                "a delimiter in front of every picture: {seen:?}"
            );
            assert!(seen.messages >= seen.pictures, "{seen:?}");
        },
        Kind::NoVui => |seen| assert_eq!(seen.reorder_frames, None, "{seen:?}"),
        Kind::Guest10 | Kind::Guest25 => |seen| assert_eq!(seen.profile, 66, "{seen:?}"),
    };
    Row {
        name: format!("x264 {kind:?}"),
        screen: kind.size(),
        decoded: kind.size(),
        fps: kind.fps(),
        traits: Traits {
            mirroring: Mirroring {
                film: Some(kind.film(2 * PICTURES)),
                ..Mirroring::default()
            },
            ..Traits::default()
        },
        filming: Filming::default(),
        claims,
    }
}

/// What Chromium and the plain receiver saw in one lease.
struct Sight {
    decoded: Vec<Picture>,
    received: Vec<Vec<Vec<u8>>>,
}

impl Sight {
    /// Both saw nothing but a run of the stream, each picture as it is.
    fn check(&self, truth: &Truth, size: (u16, u16)) {
        for picture in &self.decoded {
            assert_eq!(
                ((picture.width, picture.height), picture.format.as_str()),
                (size, "I420")
            );
        }
        let shown: Vec<String> = self.decoded.iter().map(|picture| picture.hash.clone()).collect();
        truth
            .follow_shown(&shown)
            .unwrap_or_else(|why| panic!("Chromium: {why}"));
        for sps in self
            .received
            .iter()
            .flatten()
            .filter(|nal| NalKind::of(nal[0]) == NalKind::Sps)
        {
            let sps = Sps::parse(sps).unwrap();
            assert_eq!((sps.reorder_frames, (sps.width, sps.height)), (Some(0), size));
        }
        let received = hashes(&self.received);
        truth.follow(&received).unwrap_or_else(|why| panic!("RTP: {why}"));
    }
}

/// What a decoder makes of pictures that came by RTP: as many.
fn hashes(received: &[Vec<Vec<u8>>]) -> Vec<String> {
    let nals = received.iter().flatten();
    let hashes = ffmpeg::hashes(nals.flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect());
    assert_eq!(hashes.len(), received.len(), "each picture is one picture");
    hashes
}

fn is_key(picture: &[Vec<u8>]) -> bool {
    picture.iter().any(|nal| NalKind::of(nal[0]) == NalKind::IdrSlice)
}

/// Looks on until the screen is at rest, and once more from a viewer that comes then.
async fn prove(chromium: &mut Chromium, row: &Row) {
    let phone = Phone::sized(row.screen, row.fps, row.traits.clone()).await;
    let mut show = Show::on(Rig::with(phone, &row.filming).await).await;
    show.prepare(MOVING).await;
    let view = show.browser(chromium).await;
    let mut viewer = show.viewer().await;
    finger::touch(&show, &mut viewer, row.screen).await;
    chromium.pictures(view, PICTURES).await.unwrap();
    viewer
        .until("pictures", |peer| peer.frames().len() >= PICTURES)
        .await;
    let is_film = row.traits.mirroring.film.is_some();
    if is_film {
        // A film never rests, but the wire to it can.
        show.rig.phone.freeze(true);
    }
    let moving = Sight {
        decoded: chromium.pictures(view, PICTURES).await.unwrap(),
        received: pictures(&viewer),
    };
    // A decoder that was held up goes on at a key frame that waits already: a few pictures each time, not most.
    let statistics = chromium.statistics(view).await;
    assert!(
        statistics.frames_dropped < statistics.frames_decoded,
        "{statistics:?}"
    );
    chromium.leave(view).await;

    if !is_film {
        if row.traits.mirroring.encoder == Habit::SlowReset {
            viewer.has_the_encoder_reset().await;
        }
        show.prepare(STILL).await;
        viewer = show.viewer().await;
        viewer.until("a picture", |peer| !peer.frames().is_empty()).await;
    }
    let still = join_late(chromium, &mut show, &viewer).await;
    show.rig.phone.freeze(false);
    show.rig.stop_agent().await;

    let (truth, sent) = match &row.traits.mirroring.film {
        Some(film) => Truth::of(film, true),
        None => Truth::of(&Film::open(&show.rig.recording()).unwrap(), false),
    };
    (row.claims)(&sent);
    moving.check(&truth, row.decoded);
    still.check(&truth, row.decoded);
}

/// Who joins a screen at rest sees its last picture, and resets no encoder.
async fn join_late(chromium: &mut Chromium, show: &mut Show, viewer: &Viewer) -> Sight {
    let keys = |pictures: &[Vec<Vec<u8>>]| pictures.iter().filter(|picture| is_key(picture)).count();
    let before = keys(&pictures(viewer));
    let late = show.browser(chromium).await;
    let (received, decoded) = loop {
        let received = pictures(viewer);
        let last = hashes(&received).pop().unwrap();
        let decoded = chromium.until_shown(late, &last).await.unwrap();
        // A screen that has come to rest is encoded once more.
        if decoded.last().unwrap().hash == last && pictures(viewer).len() == received.len() {
            break (received, decoded);
        }
    };
    assert_eq!(
        keys(&received),
        before,
        "who joins a still screen resets no encoder"
    );
    chromium.leave(late).await;
    Sight { decoded, received }
}

fn pictures(viewer: &Viewer) -> Vec<Vec<Vec<u8>>> {
    viewer
        .pictures()
        .into_iter()
        .map(|picture| picture.nals)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_kind_of_the_devices_encoder_reaches_a_browser_unharmed() {
    let mut chromium = Chromium::launch().await;
    let mut rows: Vec<Row> = Habit::ALL.into_iter().filter_map(of_device).collect();
    // Before 4.0 no packet tells the size: it is told once, and then in the parameter sets alone.
    for habit in [Habit::Usual, Habit::SizeIgnored] {
        let mut row = of_device(habit).unwrap();
        row.name = format!("{habit:?} before 4.0");
        row.filming.version = "3.3.4";
        rows.push(row);
    }
    for row in rows {
        println!("{}", row.name);
        prove(&mut chromium, &row).await;
    }
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_kind_that_x264_plays_reaches_a_browser_unharmed() {
    let mut chromium = Chromium::launch().await;
    for kind in x264::Kind::ALL {
        println!("{kind:?}");
        prove(&mut chromium, &of_x264(kind)).await;
    }
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_device_without_an_encoder_is_offline_for_people_and_named_to_its_operator() {
    let traits = Traits {
        mirroring: Mirroring {
            encoder: Habit::Missing,
            ..Mirroring::default()
        },
        ..Traits::default()
    };
    let mut rig = Rig::with(Phone::with(traits).await, &Filming::default()).await;
    let (link, device) = rig
        .control
        .device(|device| device.health == DeviceHealth::Offline)
        .await;
    let refused = link
        .call(prepare(device.id, 1, STILL), PATIENCE, drop)
        .await
        .unwrap_err();
    let CallError::Refused(refusal) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(refusal.code, RefusalCode::DeviceOffline);
    assert!(refusal.detail.contains("no encoder for H.264"), "{refusal:?}");

    let way = rig.phone.address.to_string().parse().unwrap();
    let server = ServerFile {
        bytes: device::stand_in_server("4.1").into(),
        version: "4.1".parse().unwrap(),
    };
    let checks = host_agent::doctor::device(&way, Some(&server)).await;
    let encoders = checks.iter().find(|check| check.name == "encoders").unwrap();
    assert!(
        encoders.verdict.cure().is_some() && encoders.to_string().contains("no encoder for H.264"),
        "{encoders}"
    );
    rig.stop_agent().await;
}
