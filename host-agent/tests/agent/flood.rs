//! A device whose pictures are as large as any, behind somebody who makes some of them wrong and adds packets of 1 MiB.
//!
//! ```text
//!   agent ══ adb ══ flood ══ adb ══ device: key frames of several MiB
//!                     │ Closed: nobody is let through
//!                     │ Honest: as the device says
//!                     │ Wild:   large payloads damaged where they are, their lengths kept (the stream goes on, mostly)
//!                     │         between all others 1 MiB: for streams that live, lived or never did · OPENs with such a
//!                     └         name · OKAY, CLSE, CNXN with such a payload · at last a header that ends the connection
//! ```
//!
//! Seeded. It keeps nothing of what passes, so that what grows is not its own.

use std::net::SocketAddr;

use adb::packet::{self, Command, Packet, Sum};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::network::Dice;

/// The largest payload that adb knows.
const LARGE: usize = 1 << 20;
/// Payloads from here on are of pictures.
const OF_PICTURES: usize = 32 * 1024;
/// Packets of the device that pass first, after each call: the server is started by then.
const HONEST: usize = 150;
/// Large wrong packets on one connection.
const EACH: usize = 60;
/// One of so many wrong packets is for a stream that lives: each may end it.
const RARELY: u64 = 12;

pub struct Flood {
    pub address: SocketAddr,
    pub tally: watch::Receiver<Tally>,
    mood: watch::Sender<Mood>,
    _serve: AbortOnDropHandle<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Closed,
    Honest,
    Wild,
}

/// What was sent so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Large packets that nobody waits for.
    pub wrong: usize,
    /// Parts of pictures that were damaged.
    pub damaged: usize,
    pub connections: usize,
}

impl Flood {
    /// In front of a device, closed.
    pub async fn before(device: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, tally) = watch::channel(Tally::default());
        let (mood, moods) = watch::channel(Mood::Closed);
        let serve = tokio::spawn(async move {
            let mut dice = Dice::new(seed);
            loop {
                let (near, _) = listener.accept().await.unwrap();
                if *moods.borrow() == Mood::Closed {
                    continue;
                }
                told.send_modify(|tally| tally.connections += 1);
                let mut passing = Passing {
                    moods: moods.clone(),
                    told: &told,
                    dice: &mut dice,
                    passed: 0,
                    wrong: 0,
                    live: (0, 0),
                };
                // A connection that either side ends is over.
                let _ = passing.run(near, device).await;
            }
        });
        Self {
            address,
            tally,
            mood,
            _serve: AbortOnDropHandle::new(serve),
        }
    }

    pub fn becomes(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

/// One connection.
struct Passing<'a> {
    moods: watch::Receiver<Mood>,
    told: &'a watch::Sender<Tally>,
    dice: &'a mut Dice,
    /// Packets of the device.
    passed: usize,
    wrong: usize,
    /// The stream that carried something last.
    live: (u32, u32),
}

impl Passing<'_> {
    async fn run(&mut self, near: TcpStream, device: SocketAddr) -> std::io::Result<()> {
        let far = TcpStream::connect(device).await?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
        let upward = async { tokio::io::copy(&mut near_in, &mut far_out).await.map(drop) };
        let downward = async {
            let mut inbox = BytesMut::new();
            let nothing: Bytes = vec![0x5a; LARGE].into();
            while self.wrong < EACH {
                if far_in.read_buf(&mut inbox).await? == 0 {
                    return Ok(());
                }
                while let Ok(Some(packet)) = Packet::decode(&mut inbox) {
                    let mut out = BytesMut::new();
                    self.pass(packet, &mut out);
                    if self.is_wild() && self.dice.chance(40) {
                        self.add_wrong(&mut out, &nothing);
                    }
                    near_out.write_all(&out).await?;
                }
            }
            near_out.write_all(&[0xff; packet::HEADER_LEN]).await
        };
        tokio::select! {
            end = upward => end,
            end = downward => end,
        }
    }

    fn is_wild(&self) -> bool {
        self.passed > HONEST && *self.moods.borrow() == Mood::Wild
    }

    /// As the device sent it, or damaged.
    fn pass(&mut self, packet: Packet, out: &mut BytesMut) {
        self.passed += 1;
        let Packet {
            command,
            arg0,
            arg1,
            payload,
            ..
        } = packet;
        if command == Command::Wrte {
            self.live = (arg0, arg1);
        }
        let is_picture = command == Command::Wrte && payload.len() >= OF_PICTURES;
        if is_picture && self.is_wild() && self.dice.chance(20) {
            let mut payload = payload.to_vec();
            self.damage(&mut payload);
            self.told.send_modify(|tally| tally.damaged += 1);
            return packet::encode(out, command, (arg0, arg1), &payload, Sum::Written);
        }
        packet::encode(out, command, (arg0, arg1), &payload, Sum::Written);
    }

    /// Bits flipped, and here and there the beginning of another NAL unit, or of many.
    fn damage(&mut self, payload: &mut [u8]) {
        let dice = &mut *self.dice;
        let many = if dice.chance(10) { 20_000 } else { 20 };
        for _ in 0..many {
            let at = dice.roll(payload.len() as u64 - 5) as usize;
            if dice.chance(50) {
                payload[at] ^= 1 << dice.roll(8);
            } else {
                payload[at..at + 4].copy_from_slice(&[0, 0, 1, dice.roll(32) as u8 | 0x60]);
            }
        }
    }

    /// Appends a large packet that is wrong in some way.
    fn add_wrong(&mut self, out: &mut BytesMut, payload: &[u8]) {
        self.wrong += 1;
        self.told.send_modify(|tally| tally.wrong += 1);
        let nobody = 1_000_000 + self.dice.roll(1_000) as u32;
        let (theirs, ours) = self.live;
        let (command, ids) = match self.dice.roll(8) {
            0 => (Command::Open, (nobody, 0)),
            1 => (Command::Okay, (nobody, nobody)),
            2 => (Command::Clse, (nobody, nobody)),
            3 if self.dice.roll(RARELY) == 0 => (Command::Cnxn, (packet::VERSION, 1 << 20)),
            _ if self.dice.roll(RARELY) == 0 => (Command::Wrte, (theirs, ours)),
            _ => (Command::Wrte, (nobody, nobody)),
        };
        packet::encode(out, command, ids, payload, Sum::Written);
    }
}
