//! Streams as encoders in the field make them, through the gateway's H.264 path, and out again without a loss.
//!
//! ```text
//!   ffmpeg + x264 ──► stream ── pictures ── nals ── SPS rewritten, noise left out ── packetize ──► RTP payloads
//!                       │                                                                             │
//!                       └── ffmpeg ──► hash of every picture    ==    hash of every picture ◄── ffmpeg ◄ joined
//! ```
//!
//! The payloads are joined by the rules of RFC 6184 alone, as a receiver that has never seen the gateway does.

#![expect(clippy::unwrap_used, reason = "tests: a broken rig may panic")]

use std::fs;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use device::replay::{Film, Picture};
use gateway::access_unit::{NalKind, nals};
use gateway::limits::RTP_PAYLOAD_BYTES_MAX;
use gateway::packetize::packetize;
use gateway::sps;

/// An encoder of the field.
struct Kind {
    size: (u16, u16),
    fps: u32,
    pictures: usize,
    /// Options of libx264.
    x264: &'static [&'static str],
}

const COMMON: [&str; 12] = [
    "-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "0", "-g", "15", "-threads", "1", "-preset", "veryfast",
];

impl Kind {
    fn stream(&self, folder: &Path) -> Vec<u8> {
        let file = folder.join("original.h264");
        let ((width, height), fps) = (self.size, self.fps);
        let made = Command::new("ffmpeg")
            .args(["-loglevel", "error", "-f", "lavfi", "-i"])
            .arg(format!("testsrc2=size={width}x{height}:rate={fps}"))
            .args(["-frames:v", &self.pictures.to_string()])
            .args(COMMON)
            .args(self.x264)
            .args(["-f", "h264"])
            .arg(&file)
            .status()
            .expect("ffmpeg is missing");
        assert!(made.success());
        fs::read(file).unwrap()
    }
}

/// What the stream has, so that a test can say that it has what it claims.
#[derive(Default)]
struct Seen {
    slices: usize,
    noise: usize,
    other: usize,
    profile: u8,
    reorder_before: Option<u32>,
    payloads: usize,
}

/// The stream as a viewer's decoder gets it: every picture through the gateway's path and back.
fn through(film: &Film, size: (u16, u16)) -> (Vec<u8>, Seen) {
    let (mut out, mut seen) = (Vec::new(), Seen::default());
    for picture in film.pictures() {
        let payloads = packetize(
            &rewritten(picture, size, &mut seen)
                .iter()
                .map(Vec::as_slice)
                .collect::<Vec<_>>(),
        );
        assert!(
            payloads
                .iter()
                .all(|payload| payload.len() <= RTP_PAYLOAD_BYTES_MAX)
        );
        seen.payloads += payloads.len();
        for nal in joined(&payloads) {
            out.extend_from_slice(&[0, 0, 0, 1]);
            out.extend_from_slice(&nal);
        }
    }
    (out, seen)
}

fn rewritten(picture: &Picture, size: (u16, u16), seen: &mut Seen) -> Vec<Vec<u8>> {
    let whole = [picture.config.as_deref().unwrap_or_default(), &picture.unit].concat();
    let mut kept = Vec::new();
    for nal in nals(&whole) {
        match NalKind::of(nal[0]) {
            NalKind::Noise => {
                seen.noise += 1;
                continue;
            }
            NalKind::Sps => {
                let (sps, new) = sps::rewrite(nal).unwrap();
                assert_eq!((sps.width, sps.height), size);
                assert_eq!(sps.reorder_frames, Some(0));
                assert_eq!(
                    sps::rewrite(&new).unwrap().1,
                    new,
                    "a second rewrite changes something"
                );
                seen.profile = sps.profile_level_id[0];
                seen.reorder_before = sps::Sps::parse(nal).unwrap().reorder_frames;
                kept.push(new);
                continue;
            }
            NalKind::Slice | NalKind::IdrSlice => seen.slices += 1,
            NalKind::Pps => {}
            NalKind::Other => seen.other += 1,
        }
        kept.push(nal.to_vec());
    }
    kept
}

/// RFC 6184, packetization-mode 1: single units, STAP-A (24) and FU-A (28).
fn joined(payloads: &[Bytes]) -> Vec<Vec<u8>> {
    let mut nals: Vec<Vec<u8>> = Vec::new();
    for payload in payloads {
        match payload[0] & 0x1f {
            24 => {
                let mut rest = &payload[1..];
                while let Some((len, after)) = rest.split_first_chunk() {
                    let (nal, after) = after.split_at(u16::from_be_bytes(*len).into());
                    nals.push(nal.to_vec());
                    rest = after;
                }
            }
            28 if payload[1] & 0x80 != 0 => {
                let header = payload[0] & 0xe0 | payload[1] & 0x1f;
                nals.push([&[header][..], &payload[2..]].concat());
            }
            28 => nals.last_mut().unwrap().extend_from_slice(&payload[2..]),
            _ => nals.push(payload.to_vec()),
        }
    }
    nals
}

/// A hash of every picture that ffmpeg's decoder gives out.
fn decoded(folder: &Path, name: &str, stream: &[u8]) -> Vec<String> {
    let file = folder.join(name);
    fs::write(&file, stream).unwrap();
    let output = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-f", "h264", "-i"])
        .arg(&file)
        .args(["-vsync", "passthrough", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{name}: {complaints}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let pictures = text.lines().filter(|line| !line.starts_with('#'));
    pictures
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

/// Every picture comes out as it went in; what was seen on the way.
fn check(kind: &Kind) -> Seen {
    let folder = tempfile::TempDir::new().unwrap();
    check_stream(kind, folder.path(), &kind.stream(folder.path()))
}

fn check_stream(kind: &Kind, folder: &Path, original: &[u8]) -> Seen {
    let film = Film::parse(&Bytes::copy_from_slice(original)).unwrap();
    assert_eq!(film.pictures().len(), kind.pictures);
    let (passed, seen) = through(&film, kind.size);
    let before = decoded(folder, "before.h264", original);
    let after = decoded(folder, "after.h264", &passed);
    assert_eq!(before.len(), kind.pictures);
    assert!(before == after, "pictures differ");
    seen
}

#[test]
fn high_profile_with_cabac_and_8x8_transform_passes_unharmed() {
    let seen = check(&Kind {
        size: (720, 1_280),
        fps: 60,
        pictures: 40,
        x264: &["-profile:v", "high", "-coder", "1", "-refs", "3"],
    });
    assert_eq!(seen.profile, 100);
    assert!(seen.payloads > 40);
}

#[test]
fn main_profile_with_one_reference_passes_unharmed() {
    let seen = check(&Kind {
        size: (640, 360),
        fps: 30,
        pictures: 30,
        x264: &["-profile:v", "main", "-refs", "1"],
    });
    assert_eq!(seen.profile, 77);
}

#[test]
fn four_slices_a_picture_stay_one_picture() {
    let seen = check(&Kind {
        size: (720, 1_280),
        fps: 30,
        pictures: 30,
        x264: &["-profile:v", "baseline", "-slices", "4"],
    });
    assert_eq!(seen.slices, 4 * 30);
}

#[test]
fn slices_as_small_as_a_packet_pass_unharmed() {
    let seen = check(&Kind {
        size: (720, 1_280),
        fps: 30,
        pictures: 20,
        x264: &[
            "-profile:v",
            "high",
            "-x264-params",
            "slice-max-size=1000",
            "-b:v",
            "4M",
        ],
    });
    assert!(seen.slices > 3 * 20, "{} slices", seen.slices);
}

#[test]
fn a_cropped_phone_screen_keeps_its_size() {
    check(&Kind {
        size: (1_080, 2_400),
        fps: 30,
        pictures: 12,
        x264: &["-profile:v", "high"],
    });
    // Cropped in both directions, and by less than a macroblock.
    check(&Kind {
        size: (362, 786),
        fps: 30,
        pictures: 20,
        x264: &["-profile:v", "baseline"],
    });
}

#[test]
fn delimiters_and_timing_messages_cost_no_picture() {
    let seen = check(&Kind {
        size: (640, 360),
        fps: 30,
        pictures: 30,
        x264: &[
            "-profile:v",
            "main",
            "-x264-params",
            "aud=1:nal-hrd=cbr",
            "-b:v",
            "2M",
            "-minrate",
            "2M",
            "-maxrate",
            "2M",
            "-bufsize",
            "1M",
        ],
    });
    assert_eq!(seen.noise, 30, "a delimiter in front of every picture");
    assert!(seen.other > 30, "{} messages", seen.other);
}

#[test]
fn an_encoder_without_a_vui_is_made_to_say_that_it_reorders_nothing() {
    let kind = Kind {
        size: (642, 360),
        fps: 25,
        pictures: 25,
        x264: &["-profile:v", "main", "-refs", "4"],
    };
    let folder = tempfile::TempDir::new().unwrap();
    let seen = check_stream(&kind, folder.path(), &without_vui(&kind.stream(folder.path())));
    assert_eq!(seen.reorder_before, None);
}

/// The stream with SPS that end before their VUI. Works for profiles up to Main, whose SPS are short.
fn without_vui(stream: &[u8]) -> Vec<u8> {
    let film = Film::parse(&Bytes::copy_from_slice(stream)).unwrap();
    let mut out = Vec::new();
    for picture in film.pictures() {
        for nal in nals(picture.config.as_deref().unwrap_or_default()) {
            out.extend_from_slice(&[0, 0, 0, 1]);
            match NalKind::of(nal[0]) {
                NalKind::Sps => out.extend(sps_without_vui(nal)),
                _ => out.extend_from_slice(nal),
            }
        }
        out.extend_from_slice(&picture.unit);
    }
    out
}

/// Section 7.3.2.1.1, as text of zeros and ones.
fn sps_without_vui(nal: &[u8]) -> Vec<u8> {
    let bits: String = nal.iter().map(|byte| format!("{byte:08b}")).collect();
    let ue = |at: &mut usize| {
        let zeros = bits[*at..].find('1').unwrap();
        let value = u32::from_str_radix(&bits[*at + zeros..=*at + 2 * zeros], 2).unwrap() - 1;
        *at += 2 * zeros + 1;
        value
    };
    let at = &mut 32; // after header, profile, constraints and level
    let (_id, _frame_num) = (ue(at), ue(at));
    match ue(at) {
        0 => {
            ue(at);
        }
        2 => {}
        _ => panic!("x264 counts pictures in no other way"),
    }
    let _references = ue(at);
    *at += 1; // gaps allowed
    let _size = (ue(at), ue(at));
    assert_eq!(&bits[*at..=*at], "1", "x264 makes frames only");
    *at += 2;
    let crops = if &bits[*at..=*at] == "1" { 4 } else { 0 };
    *at += 1;
    for _ in 0..crops {
        ue(at);
    }
    let at = *at;
    assert_eq!(&bits[at..=at], "1", "there is a VUI to take out");
    let mut head = format!("{}01", &bits[..at]);
    while !head.len().is_multiple_of(8) {
        head.push('0');
    }
    let bytes: Vec<u8> = (0..head.len() / 8)
        .map(|n| u8::from_str_radix(&head[8 * n..8 * n + 8], 2).unwrap())
        .collect();
    assert!(
        !bytes.windows(3).any(|three| three == [0, 0, 3]),
        "escapes are not expected in what is kept"
    );
    bytes
}

#[test]
fn guests_without_a_gpu_at_10_and_25_pictures_a_second_pass_unharmed() {
    for fps in [10, 25] {
        check(&Kind {
            size: (720, 1_280),
            fps,
            pictures: 25,
            x264: &["-profile:v", "baseline", "-tune", "zerolatency", "-b:v", "1M"],
        });
    }
}
