//! A device that is well behind somebody who adds wrong packets to what it says.
//!
//! ```text
//!   agent ══ adb ══ meddler ══ adb ══ device
//!                     │ forwards [`Meddling::honest`] packets, and learns what each stream carries
//!                     │ then between all others: payloads damaged, cut, stretched · for streams that live, lived or never
//!                     │ did · OKAY, CLSE, OPEN that nobody waits for
//!                     └ at last a header that ends the connection; the agent calls again
//! ```
//!
//! Seeded. What it adds keeps to the header's rules, so that it is judged by everything behind them; what does not ends the
//! connection at once, and `bench/device/tests` sends a million of that kind.

use std::net::SocketAddr;

use adb::packet::{self, Command, Packet, Sum};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::network::Dice;

/// Payloads that are remembered, and damaged again and again.
const REMEMBERED: usize = 256;
/// Wrong packets that are written at once.
const AT_ONCE: usize = 64;
/// Most of a payload that is sent, so that a million of them is a matter of judging and not of copying.
const PAYLOAD_MAX: usize = 600;
/// One of so many wrong packets is for a stream that lives: each may end it, and then there is none for a while.
const RARELY: u64 = 256;
/// The same on every [`FRANK`]th connection, where most of those streams are over soon.
const OFTEN: u64 = 8;
const FRANK: usize = 4;
/// Wrong packets on such a connection: the agent has little to do there but to begin anew.
const EACH_OFTEN: usize = 60_000;

pub struct Meddler {
    pub address: SocketAddr,
    pub tally: watch::Receiver<Tally>,
    _serve: AbortOnDropHandle<()>,
}

/// What was sent so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Wrong packets.
    pub wrong: usize,
    /// Those among them for streams that live or did a moment ago.
    pub lively: usize,
    pub connections: usize,
}

/// On one connection.
struct Meddling {
    /// Packets of the device before the first wrong one.
    honest: usize,
    wrong: usize,
    /// One of so many is for a stream that lives.
    lively: u64,
}

impl Meddler {
    /// In front of a device; adds so many wrong packets to each connection.
    pub async fn before(device: SocketAddr, each: usize, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, tally) = watch::channel(Tally::default());
        let serve = tokio::spawn(async move {
            let mut dice = Dice::new(seed);
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let turn = told.borrow().connections;
                told.send_modify(|tally| tally.connections += 1);
                // While the agent films it, while it asks who it is, and while it looks at what is on it.
                let honest = [400, 6, 40][turn % 3];
                let is_frank = turn % FRANK == FRANK - 1;
                let meddling = Meddling {
                    honest,
                    wrong: if is_frank { EACH_OFTEN } else { each },
                    lively: if is_frank { OFTEN } else { RARELY },
                };
                // A connection that either side ends is over.
                let _ = meddling.run(near, device, &mut dice, &told).await;
            }
        });
        Self {
            address,
            tally,
            _serve: AbortOnDropHandle::new(serve),
        }
    }
}

impl Meddling {
    async fn run(
        &self,
        near: TcpStream,
        device: SocketAddr,
        dice: &mut Dice,
        told: &watch::Sender<Tally>,
    ) -> std::io::Result<()> {
        let far = TcpStream::connect(device).await?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
        let upward = async { tokio::io::copy(&mut near_in, &mut far_out).await.map(drop) };
        let downward = async {
            let (mut inbox, mut known) = (BytesMut::new(), Vec::new());
            let (mut forwarded, mut wrong) = (0, 0);
            while wrong < self.wrong {
                let flooding = forwarded >= self.honest;
                tokio::select! {
                    biased;
                    read = far_in.read_buf(&mut inbox) => if read? == 0 { return Ok(()) },
                    () = std::future::ready(()), if flooding => {}
                }
                let mut out = BytesMut::new();
                while let Ok(Some(packet)) = Packet::decode(&mut inbox) {
                    let Packet {
                        command,
                        arg0,
                        arg1,
                        ref payload,
                        ..
                    } = packet;
                    packet::encode(&mut out, command, (arg0, arg1), payload, Sum::Written);
                    forwarded += 1;
                    if command == Command::Wrte {
                        known.push((arg0, arg1, payload.slice(..payload.len().min(PAYLOAD_MAX))));
                        let surplus = known.len().saturating_sub(REMEMBERED);
                        known.drain(..surplus);
                    }
                }
                if flooding {
                    let added = (0..AT_ONCE).map(|_| add_wrong(&mut out, &known, self.lively, dice));
                    let lively = added.filter(|&lives| lives).count();
                    wrong += AT_ONCE;
                    told.send_modify(|tally| {
                        tally.wrong += AT_ONCE;
                        tally.lively += lively;
                    });
                }
                near_out.write_all(&out).await?;
            }
            near_out.write_all(&[0xff; packet::HEADER_LEN]).await
        };
        tokio::select! {
            end = upward => end,
            end = downward => end,
        }
    }
}

/// Appends one packet that is wrong in some way. True if it is for a stream that lives, or did a moment ago.
fn add_wrong(out: &mut BytesMut, known: &[(u32, u32, Bytes)], lively: u64, dice: &mut Dice) -> bool {
    let any = (0, 0, Bytes::from_static(b"nothing"));
    let pick = dice.roll(known.len().max(1) as u64) as usize;
    let (theirs, ours, payload) = known.get(pick).unwrap_or(&any);
    let mut payload = payload.to_vec();
    damage(&mut payload, dice);
    let lives = dice.roll(lively) == 0 && !known.is_empty();
    let nobody = 1_000_000 + dice.roll(1_000) as u32;
    let ids = match lives {
        true => (*theirs, *ours),
        false if dice.chance(50) => (nobody, nobody),
        // Half of a stream that lives.
        false => (nobody, *ours),
    };
    let (command, payload) = match dice.roll(20) {
        0 => (Command::Clse, Vec::new()),
        1 => (Command::Okay, extreme(dice).to_le_bytes().to_vec()),
        2 => (Command::Open, payload),
        _ => (Command::Wrte, payload),
    };
    // Nobody may send to a stream more than its reader takes; that would end the connection.
    let ids = if command == Command::Wrte && !lives {
        (nobody, nobody)
    } else {
        ids
    };
    packet::encode(out, command, ids, &payload, Sum::Written);
    lives
}

fn extreme(dice: &mut Dice) -> u32 {
    [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x0010_0000][dice.roll(6) as usize]
}

/// Bits flipped, the end cut off or stretched, a length at the front made huge.
fn damage(payload: &mut Vec<u8>, dice: &mut Dice) {
    let length = payload.len();
    let below = |dice: &mut Dice, end: usize| dice.roll(end.max(1) as u64) as usize;
    match dice.roll(4) {
        0 => payload.truncate(below(dice, length)),
        1 => payload.extend((0..below(dice, 64)).map(|at| at as u8 ^ 0x5a)),
        2 if length > 4 => {
            let at = below(dice, length.min(24) - 4);
            payload[at..at + 4].copy_from_slice(&extreme(dice).to_be_bytes());
        }
        _ => {
            for _ in 0..=below(dice, 4) {
                let at = below(dice, length);
                if let Some(byte) = payload.get_mut(at) {
                    *byte ^= 1 << below(dice, 8);
                }
            }
        }
    }
}
