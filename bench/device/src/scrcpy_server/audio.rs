//! Writes sound to the audio socket: a short tone, again and again, in Opus or as raw samples.
//!
//! ```text
//!   codec id u32 ── CONFIG: OpusHead (19 bytes) ── one Opus packet every 20 ms …      opus
//!   codec id u32 ── 1 024 stereo samples of 16 bits every 21⅓ ms …                    raw
//!   00000001     ── the server ends                                                   aac, flac: no such encoder
//!   00000000     ── nothing more, the server goes on                                  refused by the device
//! ```
//!
//! The Opus packets are the file `assets/tone.opus.packets`; `assets/README.md` tells how it was made. Times are of the
//! same clock as the pictures'.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use scrcpy::codec::{AudioCodec, AudioStart};
use scrcpy::handshake;
use scrcpy::options::ServerOptions;
use scrcpy::packet::Header;
use scrcpy::version::Framing;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{End, lists};
use crate::clock;
use crate::fault::Plan;

/// Packets behind their big-endian u16 lengths, OpusHead first.
const TONE: &[u8] = include_bytes!("../../assets/tone.opus.packets");

/// The sound in one Opus packet.
const OPUS_PACKET: Duration = Duration::from_millis(20);

/// Samples of each channel in one raw packet: what the real server reads at once.
const RAW_SAMPLES: u32 = 1_024;

const SAMPLE_RATE: u32 = 48_000;

/// The tone of raw samples in Hz, a divisor of the sample rate so that it needs no phase.
const RAW_TONE: u32 = 480;

/// How loud raw samples are, of 32 767.
const RAW_AMPLITUDE: f32 = 8_000.0;

/// Writes until the socket ends; a device that refuses says so and never returns.
pub(super) async fn send(
    mut socket: impl AsyncWrite + Unpin,
    framing: Framing,
    options: &ServerOptions,
    plan: &Plan,
) -> End {
    let codec = options.audio_codec;
    let asked = options.audio_encoder.as_str();
    let unknown_encoder = !asked.is_empty() && asked != lists::AUDIO_ENCODER;
    let start = match codec {
        _ if plan.audio_refused => AudioStart::Disabled,
        AudioCodec::Raw => AudioStart::Codec(codec),
        _ if unknown_encoder => AudioStart::ConfigurationError,
        AudioCodec::Opus => AudioStart::Codec(codec),
        AudioCodec::Aac | AudioCodec::Flac => AudioStart::ConfigurationError,
    };
    if let Some(garbage) = &plan.audio_garbage
        && socket.write_all(garbage).await.is_err()
    {
        return End::Closed;
    }
    let told = options.send_stream_meta || !matches!(start, AudioStart::Codec(_));
    if told
        && socket
            .write_all(&handshake::encode_audio_header(start))
            .await
            .is_err()
    {
        return End::Closed;
    }
    let mut stream = Stream {
        socket,
        framing,
        headers: options.send_frame_meta,
    };
    match start {
        AudioStart::Disabled => std::future::pending().await,
        AudioStart::ConfigurationError => {
            let why = match unknown_encoder {
                true => format!("Audio encoder '{asked}' for {} not found", codec.name()),
                false => format!("Could not create default audio encoder for {}", codec.name()),
            };
            End::Broken(format!("{why}\n{}", lists::audio_encoders()))
        }
        AudioStart::Codec(AudioCodec::Raw) => stream.raw().await,
        AudioStart::Codec(_) => stream.opus().await,
    }
}

struct Stream<S> {
    socket: S,
    framing: Framing,
    headers: bool,
}

impl<S: AsyncWrite + Unpin> Stream<S> {
    async fn opus(&mut self) -> End {
        let mut packets = packets();
        if let Some(head) = packets.next()
            && self
                .write(Header::Config { len: head.len() }, head)
                .await
                .is_err()
        {
            return End::Closed;
        }
        let mut ticks = paced(OPUS_PACKET);
        for packet in packets
            .clone()
            .chain(std::iter::repeat_with(|| packets.clone()).flatten())
        {
            ticks.tick().await;
            if self.packet(packet).await.is_err() {
                return End::Closed;
            }
        }
        End::Closed
    }

    async fn raw(&mut self) -> End {
        let mut ticks = paced(Duration::from_secs(1) * RAW_SAMPLES / SAMPLE_RATE);
        let mut at = 0;
        loop {
            ticks.tick().await;
            let mut block = BytesMut::with_capacity(RAW_SAMPLES as usize * 4);
            for _ in 0..RAW_SAMPLES {
                let turn = at as f32 * RAW_TONE as f32 / SAMPLE_RATE as f32;
                let sample = ((turn * std::f32::consts::TAU).sin() * RAW_AMPLITUDE) as i16;
                block.put_i16_le(sample);
                block.put_i16_le(sample);
                at = (at + 1) % (SAMPLE_RATE / RAW_TONE);
            }
            if self.packet(&block).await.is_err() {
                return End::Closed;
            }
        }
    }

    async fn packet(&mut self, data: &[u8]) -> std::io::Result<()> {
        let header = Header::Frame {
            pts: clock::monotonic(),
            key: true,
            len: data.len(),
        };
        self.write(header, data).await
    }

    async fn write(&mut self, header: Header, data: &[u8]) -> std::io::Result<()> {
        let mut wire = BytesMut::with_capacity(scrcpy::packet::HEADER_LEN + data.len());
        if let (true, Some(header)) = (self.headers, header.encode(self.framing)) {
            wire.put_slice(&header);
        }
        wire.put_slice(data);
        self.socket.write_all(&wire).await
    }
}

/// Ticks that are not made up for: a client that is behind misses sound.
fn paced(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

fn packets() -> Packets<'static> {
    Packets(TONE)
}

#[derive(Clone)]
struct Packets<'a>(&'a [u8]);

impl<'a> Iterator for Packets<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (len, rest) = self.0.split_first_chunk()?;
        let (packet, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
        self.0 = rest;
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tone_is_whole_packets_behind_an_opus_head() {
        let mut packets = packets();
        let head = packets.next().unwrap();
        assert_eq!((&head[..8], head.len(), head[9]), (&b"OpusHead"[..], 19, 2));
        let media: Vec<&[u8]> = packets.by_ref().collect();
        assert_eq!(packets.0, b"", "the file ends inside a packet");
        assert!(media.len() >= 100);
        // The top bits say how long the packet is: here all are 20 ms, full band, stereo, one frame.
        assert!(media.iter().all(|packet| packet[0] == media[0][0]));
    }
}
