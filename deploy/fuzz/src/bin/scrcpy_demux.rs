//! The video socket in both framings; the first byte picks how it begins.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use scrcpy::demux::{Demuxer, Start};
    use scrcpy::version::Framing;
    let Some((pick, rest)) = bytes.split_first() else {
        return;
    };
    let framing = if pick & 1 == 0 {
        Framing::Legacy
    } else {
        Framing::Session
    };
    let start = Start {
        framing,
        dummy_byte: pick & 2 != 0,
        device_name: pick & 4 != 0,
        stream_header: pick & 8 != 0,
    };
    let mut demuxer = Demuxer::new(start);
    let (head, tail) = rest.split_at(rest.len() / 2);
    for piece in [head, tail] {
        demuxer.push(bytes::Bytes::copy_from_slice(piece));
        while let Ok(Some(_)) = demuxer.poll() {}
    }
});
