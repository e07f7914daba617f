//! The network between the engine and the browsers, in virtual time: seeded loss, delay and reordering.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A small generator (xorshift64*): a seed repeats a run's dice.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }
}

/// How a link behaves, in both directions.
#[derive(Clone, Copy)]
pub struct Link {
    pub delay: Duration,
    /// Each datagram takes up to so much longer, so some overtake others.
    pub jitter: Duration,
    pub loss_percent: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss_percent: 0,
        }
    }
}

pub struct Packet {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub data: Vec<u8>,
}

/// What to do with a datagram that a test looks at.
pub enum Verdict {
    Pass,
    Drop,
    Delay(Duration),
}

/// Looks at a datagram before the link does.
pub type Filter = Box<dyn FnMut(&Packet, Instant) -> Verdict>;

pub struct Network {
    pub link: Link,
    pub filter: Option<Filter>,
    dice: Dice,
    under_way: BTreeMap<(Instant, u64), Packet>,
    sent: u64,
}

impl Network {
    pub fn new(seed: u64) -> Self {
        let (link, dice) = (Link::default(), Dice::new(seed));
        Self {
            link,
            filter: None,
            dice,
            under_way: BTreeMap::new(),
            sent: 0,
        }
    }

    pub fn send(&mut self, packet: Packet, now: Instant) {
        let verdict = self
            .filter
            .as_mut()
            .map_or(Verdict::Pass, |filter| filter(&packet, now));
        let extra = match verdict {
            Verdict::Pass => Duration::ZERO,
            Verdict::Delay(extra) => extra,
            Verdict::Drop => return,
        };
        if self.dice.chance(self.link.loss_percent) {
            return;
        }
        let jitter = self.dice.roll(self.link.jitter.as_micros() as u64 + 1);
        let at = now + self.link.delay + extra + Duration::from_micros(jitter);
        self.sent += 1;
        self.under_way.insert((at, self.sent), packet);
    }

    pub fn next_at(&self) -> Option<Instant> {
        self.under_way.keys().next().map(|(at, _)| *at)
    }

    pub fn arrived(&mut self, now: Instant) -> Option<Packet> {
        let (&key, _) = self.under_way.iter().next()?;
        if key.0 > now {
            None
        } else {
            self.under_way.remove(&key)
        }
    }
}
