//! A device that has learnt a real one's packets and sends each of them wrong.
//!
//! ```text
//!   OPEN of the host ──► OKAY, and that service's recorded payloads ── mutate ──► the host
//!   payload   bits flipped · cut · stretched · a length made huge          (most: what is inside has to be judged)
//!   header    ids, arguments, command, magic, length                       (some: mostly the end of the connection)
//!   order     twice · for another stream · OPENs that nobody asked for · hello again · nothing but noise
//! ```

use std::collections::BTreeMap;

use adb::packet::{self, Command, Packet, Sum};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::tape::Tape;

/// Wrong packets on one connection, if the host bears so many.
const EACH: usize = 400;
/// Most of a payload that is sent, so that a million of them is a matter of judging and not of copying.
const PAYLOAD: usize = 700;

/// SplitMix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).unwrap()
    }

    fn extreme(&mut self) -> u32 {
        [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x0010_0000][self.below(6)]
    }
}

/// A stream that the host has opened here.
struct Stream {
    /// The host's id.
    id: u32,
    payloads: Vec<Bytes>,
    next: usize,
}

/// Plays the device on one connection; how many wrong packets it sent.
pub(crate) async fn attack(mut wire: DuplexStream, tape: &Tape, dice: &mut Dice) -> usize {
    let mut inbox = BytesMut::new();
    let mut sent = 0;
    let mut streams: BTreeMap<u32, Stream> = BTreeMap::new();
    if wire.read_buf(&mut inbox).await.is_err() {
        return 0;
    }
    let mut out = BytesMut::new();
    let hello = (packet::VERSION, 1 << 20);
    packet::encode(&mut out, Command::Cnxn, hello, &tape.banner, Sum::Written);
    if dice.below(64) == 0 {
        // Before anything is known: a hello that is wrong itself.
        let at = dice.below(out.len());
        out[at] ^= 1 << dice.below(8);
        sent += 1;
    }
    if wire.write_all(&out).await.is_err() {
        return sent;
    }
    while sent < EACH {
        // At first there has to be something to be wrong about.
        let wait = sent < 16 && streams.len() < 4;
        if !listen(&mut wire, &mut inbox, &mut streams, tape, wait).await {
            return sent;
        }
        if wait {
            continue;
        }
        let mut out = BytesMut::new();
        // A few at once, so that not each costs the host a turn of its task.
        for _ in 0..16 {
            wrong(&mut out, &mut streams, dice);
            sent += 1;
        }
        if wire.write_all(&out).await.is_err() {
            return sent;
        }
        // The host's turn: its task, and those who read its streams.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }
    sent
}

/// Takes what the host has sent, and confirms the streams that it opens; false when it is gone.
async fn listen(
    wire: &mut DuplexStream,
    inbox: &mut BytesMut,
    streams: &mut BTreeMap<u32, Stream>,
    tape: &Tape,
    wait: bool,
) -> bool {
    tokio::select! {
        biased;
        read = wire.read_buf(inbox) => if !matches!(read, Ok(1..)) { return false },
        () = std::future::ready(()), if !wait => {}
    }
    let mut out = BytesMut::new();
    while let Ok(Some(packet)) = Packet::decode(inbox) {
        let Packet {
            command,
            arg0,
            payload,
            ..
        } = packet;
        match command {
            Command::Open => {
                let service = String::from_utf8_lossy(&payload).into_owned();
                let kind = ["shell", "sync", "video", "control"]
                    .into_iter()
                    .find(|kind| service.contains(kind));
                let payloads = kind.map_or_else(Vec::new, |kind| tape.payloads[kind].clone());
                let stream = Stream {
                    id: arg0,
                    payloads,
                    next: 0,
                };
                streams.insert(arg0, stream);
                // The window is that of delayed ack, which the real banner lists.
                packet::encode(
                    &mut out,
                    Command::Okay,
                    (arg0, arg0),
                    &(1i32 << 20).to_le_bytes(),
                    Sum::Zero,
                );
            }
            Command::Clse => drop(streams.remove(&arg0)),
            _ => {}
        }
    }
    wire.write_all(&out).await.is_ok()
}

/// Appends one packet that is wrong in some way.
fn wrong(out: &mut BytesMut, streams: &mut BTreeMap<u32, Stream>, dice: &mut Dice) {
    let which = dice.below(streams.len());
    let (id, mut payload) = match streams.values_mut().nth(which) {
        Some(stream) if !stream.payloads.is_empty() => {
            let payload = stream.payloads[stream.next % stream.payloads.len()].clone();
            stream.next += 1;
            (stream.id, payload[..payload.len().min(PAYLOAD)].to_vec())
        }
        Some(stream) => (stream.id, b"nothing".to_vec()),
        None => (u32::try_from(dice.below(1_000)).unwrap(), b"nothing".to_vec()),
    };
    let mut command = Command::Wrte;
    let mut args = (id, id);
    match dice.below(40) {
        0..=19 => damage(&mut payload, dice),
        20..=24 => payload.truncate(dice.below(payload.len())),
        25..=29 => payload.extend((0..dice.below(64)).map(|at| (at * 37) as u8)),
        30 => args.1 = dice.extreme(),
        31 => args.0 = dice.extreme(),
        32 => command = Command::Clse,
        33 => {
            command = Command::Open;
            args.0 = u32::try_from(dice.below(4_000)).unwrap();
            args.1 = dice.extreme();
        }
        34 => {
            command = Command::Okay;
            payload.clear();
            payload.extend_from_slice(&dice.extreme().to_le_bytes());
        }
        35 => (command, args, payload) = again(dice),
        // In its order, for a stream that it does not belong to, or twice.
        _ => args = (args.0, streams.keys().next().copied().unwrap_or(1)),
    }
    let begin = out.len();
    packet::encode(out, command, args, &payload, Sum::Zero);
    if dice.below(150) == 0 {
        // In the header itself: mostly nothing can be followed after it.
        let at = begin + dice.below(packet::HEADER_LEN);
        out[at] ^= 1 << dice.below(8);
    }
}

/// One of the packets that only have a place before all others.
fn again(dice: &mut Dice) -> (Command, (u32, u32), Vec<u8>) {
    match dice.below(24) {
        0 => (Command::Auth, (1, 0), vec![7; 20]),
        1 => (Command::Stls, (packet::VERSION_WITH_SUM, 0), Vec::new()),
        2 => (
            Command::Cnxn,
            (dice.extreme(), dice.extreme()),
            b"device::".to_vec(),
        ),
        _ => (Command::Clse, (0, dice.extreme()), Vec::new()),
    }
}

fn damage(payload: &mut [u8], dice: &mut Dice) {
    if payload.is_empty() {
        return;
    }
    if payload.len() > 16 && dice.below(4) == 0 {
        // Where lengths mostly stand: at the front.
        let at = dice.below(payload.len().min(24) - 4);
        payload[at..at + 4].copy_from_slice(&dice.extreme().to_be_bytes());
        return;
    }
    for _ in 0..=dice.below(4) {
        let at = dice.below(payload.len());
        payload[at] ^= 1 << dice.below(8);
    }
}
