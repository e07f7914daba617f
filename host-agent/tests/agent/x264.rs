//! Streams as hardware encoders and guests make them, made by x264.

use bytes::Bytes;
use device::replay::Film;
use gateway::access_unit::{NalKind, nals};

use crate::ffmpeg;

/// entropy_coding_mode_flag of a PPS: the bit behind two ids in ue(v) (ITU-T H.264, 7.3.2.2), which are small.
pub fn is_cabac(pps: &[u8]) -> bool {
    let bits = u32::from_be_bytes([pps[1], pps[2], 0, 0]);
    let after_id = |bits: u32| bits << (2 * bits.leading_zeros() + 1);
    after_id(after_id(bits)) >> 31 == 1
}

/// A kind of encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// High profile, CABAC, 8x8 transform, several references.
    High,
    /// Main profile with one reference.
    Main,
    /// Four slices a picture.
    FourSlices,
    /// Slices as small as a packet.
    SmallSlices,
    /// A phone's screen, whose height is no multiple of a macroblock's.
    Phone,
    /// Cropped in both directions, by less than a macroblock.
    OddCrop,
    /// A delimiter before every picture and messages about its timing.
    Noisy,
    /// Parameter sets that end before their VUI.
    NoVui,
    /// Software in a guest, 10 pictures a second.
    Guest10,
    /// Software in a guest, 25 pictures a second.
    Guest25,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::High,
        Self::Main,
        Self::FourSlices,
        Self::SmallSlices,
        Self::Phone,
        Self::OddCrop,
        Self::Noisy,
        Self::NoVui,
        Self::Guest10,
        Self::Guest25,
    ];

    /// Pixels.
    pub fn size(self) -> (u16, u16) {
        match self {
            Self::High | Self::FourSlices | Self::SmallSlices => (720, 1_280),
            Self::Phone => (1_080, 2_400),
            Self::OddCrop => (362, 786),
            Self::NoVui => (642, 360),
            Self::Main | Self::Noisy => (640, 360),
            Self::Guest10 | Self::Guest25 => (480, 800),
        }
    }

    /// Pictures a second.
    pub fn fps(self) -> u32 {
        match self {
            Self::Guest10 => 10,
            Self::Guest25 => 25,
            Self::High => 60,
            _ => 30,
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Self::High => &["-profile:v", "high", "-coder", "1", "-refs", "3"],
            Self::Main => &["-profile:v", "main", "-refs", "1"],
            Self::FourSlices => &["-profile:v", "baseline", "-slices", "4"],
            Self::SmallSlices => &["-profile:v", "high", "-x264-params", "slice-max-size=1000"],
            Self::Phone => &["-profile:v", "high", "-crf", "32"],
            Self::OddCrop => &["-profile:v", "baseline"],
            Self::Noisy => &[
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
            Self::NoVui => &["-profile:v", "main", "-refs", "4"],
            Self::Guest10 | Self::Guest25 => {
                &["-profile:v", "baseline", "-tune", "zerolatency", "-b:v", "1M"]
            }
        }
    }

    /// So many pictures, a key frame every fifteen.
    pub fn film(self, pictures: usize) -> Film {
        let stream = ffmpeg::x264(self.size(), pictures, self.options());
        let film = Film::parse(&Bytes::from(stream)).unwrap();
        let film = match self {
            Self::NoVui => Film::parse(&without_vui(&film).into()).unwrap(),
            _ => film,
        };
        assert_eq!(film.pictures().len(), pictures);
        film
    }
}

/// The stream with SPS that end before their VUI. Works for profiles up to Main, whose SPS are short.
fn without_vui(film: &Film) -> Vec<u8> {
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
